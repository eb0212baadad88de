//! AssumeRole: credentials of a role for whoever its trust policy names.

use super::session;
use crate::identity::{self, Ask, Fields, is_trusted, managed_document};
use crate::{Cx, iam};
use longshore_aws_model::AwsError;
use longshore_aws_model::sts::{AssumeRoleInput, AssumeRoleOutput, AssumedRoleUser, PolicyDescriptorType, Tag, codes};
use longshore_store::{Snapshot, Tx};
use longshore_types::Tags;
use longshore_types::arn::{self, Arn};
use longshore_types::iam::{Role, RoleSession};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are begun with a session's credentials last no longer, whatever the role allows.
const CHAINED_SECONDS_MAX: i32 = 3600;

const TAG_SESSION: &str = "sts:TagSession";
const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

pub fn assume_role(tx: &mut Tx, cx: &Cx, input: AssumeRoleInput) -> Result<AssumeRoleOutput, AwsError> {
    refuse_unsupported(&input)?;
    let role = role(tx, cx, &input.role_arn)?.ok_or_else(|| denied(cx, "sts:AssumeRole", &input.role_arn))?;
    let before = cx.caller.session.clone();
    check_trust(tx, cx, &role, &input, before.as_deref())?;
    let seconds = input.duration_seconds.unwrap_or(3600);
    if before.is_some() && seconds > CHAINED_SECONDS_MAX {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(validation(message));
    }
    if seconds > role.max_session_seconds {
        return Err(validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
    }
    let policies = session_policies(tx, cx, input.policy.as_deref(), input.policy_arns.as_deref())?;
    let (tags, transitive_tags) = session_tags(&input, before.as_deref())?;
    let packed_policy_size = packed_size(input.policy.as_deref(), input.policy_arns.as_deref(), &tags)?;
    let source_identity = source_identity(&input, before.as_deref()).map(str::to_owned);
    let session = RoleSession {
        role_arn: arn::role(&cx.scope.account, &role.path, &role.name),
        role_id: role.id.clone(),
        session_name: input.role_session_name,
        policies,
        tags,
        transitive_tags,
        source_identity,
        ..session::new(cx, Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let output = AssumeRoleOutput {
        credentials: Some(session::credentials(&session)),
        assumed_role_user: Some(AssumedRoleUser {
            assumed_role_id: Some(format!("{}:{}", session.role_id, session.session_name)),
            arn: Some(session::assumed_role_arn(&session)),
        }),
        packed_policy_size,
        source_identity: session.source_identity.clone(),
        ..Default::default()
    };
    session::forget_ended(tx, cx.now);
    tx.role_sessions().put(session.access_key_id.clone(), session);
    Ok(output)
}

/// What would mark the session by a second factor, or by contexts of identity providers: nobody here has either.
fn refuse_unsupported(input: &AssumeRoleInput) -> Result<(), AwsError> {
    let given = [
        ("SerialNumber", input.serial_number.is_some()),
        ("TokenCode", input.token_code.is_some()),
        ("ProvidedContexts", input.provided_contexts.is_some()),
        ("MinimumSessionTokenSize", input.minimum_session_token_size.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(validation(&format!("The parameter {name} is not supported by Longshore."))),
        None => Ok(()),
    }
}

/// The role has to be trusting, and expressly so for tags and a source identity, those that a chain hands on included.
fn check_trust(
    state: &Snapshot,
    cx: &Cx,
    role: &Role,
    input: &AssumeRoleInput,
    before: Option<&RoleSession>,
) -> Result<(), AwsError> {
    let fields = Fields::of(input);
    let ask = Ask { state, cx, operation: "AssumeRole", fields: &fields };
    let has_tags = input.tags.as_ref().is_some_and(|tags| !tags.is_empty())
        || before.is_some_and(|session| !session.transitive_tags.is_empty());
    let source_identity = source_identity(input, before);
    let actions = [("sts:AssumeRole", true), (TAG_SESSION, has_tags), (SET_SOURCE_IDENTITY, source_identity.is_some())];
    if let Some((action, _)) = actions.iter().find(|(action, is_asked)| *is_asked && !is_trusted(&ask, role, action)) {
        return Err(denied(cx, action, &input.role_arn));
    }
    let inherited = before.and_then(|session| session.source_identity.as_deref());
    match (&cx.enforced, inherited) {
        (_, Some(_)) if inherited != source_identity => Err(denied(cx, SET_SOURCE_IDENTITY, &input.role_arn)),
        // In a chain the caller's own policies have to allow it, too, even where the trust policy names the caller.
        (Some(enforced), Some(_)) => identity::authorize(&ask, enforced, "sts", SET_SOURCE_IDENTITY, &input.role_arn),
        _ => Ok(()),
    }
}

/// The texts of the policies that narrow a session; `None` if it is given none.
pub fn session_policies(
    state: &Snapshot,
    cx: &Cx,
    policy: Option<&str>,
    arns: Option<&[PolicyDescriptorType]>,
) -> Result<Option<Vec<String>>, AwsError> {
    const ARNS_MAX: usize = 10;
    let mut texts = Vec::new();
    if let Some(text) = policy {
        iam::check_session_policy(text)?;
        texts.push(text.to_owned());
    }
    let arns: Vec<&str> = arns.unwrap_or_default().iter().filter_map(|policy| policy.arn.as_deref()).collect();
    if arns.len() > ARNS_MAX {
        return Err(validation(&format!("The number of PolicyArns must not exceed {ARNS_MAX}.")));
    }
    for policy_arn in arns {
        let text = managed_document(state, &cx.scope.account, policy_arn).ok_or_else(|| {
            let message = format!("The specified session policy ARN {policy_arn} is not valid.");
            AwsError::new(codes::MALFORMED_POLICY_DOCUMENT, message)
        })?;
        texts.push(text.into_owned());
    }
    Ok((!texts.is_empty()).then_some(texts))
}

/// Per cent that a session's policies and tags take of the room for them. AWS compresses them first, in a way it does not
/// tell: only what no compression would make room for is too large here.
pub fn packed_size(
    policy: Option<&str>,
    arns: Option<&[PolicyDescriptorType]>,
    tags: &Tags,
) -> Result<Option<i32>, AwsError> {
    const ROOM: usize = 2048;
    const COMPRESSION: usize = 4;
    let arns = arns.unwrap_or_default().iter().filter_map(|policy| policy.arn.as_deref());
    let policies: usize = policy.into_iter().chain(arns).map(|text| text.chars().count()).sum();
    if policies > ROOM {
        return Err(validation(&format!("Session policies must not exceed {ROOM} characters in all.")));
    }
    let tags: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
    let percent = ((policies + tags) * 100).div_ceil(ROOM);
    if percent > 100 * COMPRESSION {
        let text = format!("Packed size of session tags consumes {percent}% of allotted space.");
        return Err(AwsError::new(codes::PACKED_POLICY_TOO_LARGE, text));
    }
    Ok(i32::try_from(percent.min(100)).ok().filter(|percent| *percent > 0))
}

/// Tags of the request over those that the caller's session hands on, and the keys that this one hands on.
fn session_tags(input: &AssumeRoleInput, before: Option<&RoleSession>) -> Result<(Tags, BTreeSet<String>), AwsError> {
    let mut tags = Tags::default();
    let mut transitive = BTreeSet::new();
    if let Some(before) = before {
        let handed_on = |(key, _): &(&String, &String)| before.transitive_tags.contains(*key);
        tags = before.tags.iter().filter(handed_on).map(|(key, value)| (key.clone(), value.clone())).collect();
        transitive.clone_from(&before.transitive_tags);
    }
    let given = parse_tags(input.tags.as_deref())?;
    if let Some((key, _)) = given.iter().find(|(key, _)| transitive.contains(*key)) {
        let message = format!(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session: {key}"
        );
        return Err(validation(&message));
    }
    for key in input.transitive_tag_keys.iter().flatten() {
        if given.get(key).is_none() {
            return Err(validation("The specified transitive tag key must be included in the requested tags."));
        }
        transitive.insert(key.clone());
    }
    tags.merge(&given);
    Ok((tags, transitive))
}

/// Tags of a request; keys are unique without regard to case.
pub fn parse_tags(given: Option<&[Tag]>) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given.unwrap_or_default() {
        let key = tag.key.clone().unwrap_or_default();
        if tags.0.keys().any(|other| other.eq_ignore_ascii_case(&key)) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.0.insert(key, tag.value.clone().unwrap_or_default());
    }
    if tags.0.len() > Tags::MAX {
        return Err(validation("The number of session tags must not exceed 50."));
    }
    Ok(tags)
}

/// What the request gives, else what the caller's session hands on: once set, it stays through every role.
fn source_identity<'a>(input: &'a AssumeRoleInput, before: Option<&'a RoleSession>) -> Option<&'a str> {
    input.source_identity.as_deref().or_else(|| before?.source_identity.as_deref())
}

/// The role of an ARN of this account; the path must be the role's.
fn role(tx: &mut Tx, cx: &Cx, role_arn: &str) -> Result<Option<Arc<Role>>, AwsError> {
    let parsed = Arn::parse(role_arn).filter(|arn| arn.service == "iam");
    let path = parsed.as_ref().and_then(|arn| arn.resource.strip_prefix("role/"));
    let (Some(parsed), Some(path)) = (&parsed, path) else {
        return Err(validation(&format!("{role_arn} is invalid")));
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let role = tx.roles().get(&(cx.scope.account.clone(), name.to_owned()));
    let is_same = |role: &Arc<Role>| {
        parsed.account == cx.scope.account.as_str() && arn::role(&cx.scope.account, &role.path, &role.name) == role_arn
    };
    Ok(role.filter(is_same))
}

/// The same for a role that does not exist: an answer must not tell which roles there are.
fn denied(cx: &Cx, action: &str, role_arn: &str) -> AwsError {
    let message = format!("User: {} is not authorized to perform: {action} on resource: {role_arn}", cx.caller.arn);
    AwsError::new("AccessDenied", message).with_status(403)
}

pub fn validation(message: &str) -> AwsError {
    AwsError::new("ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::Timestamp;

    const OWN_ACCOUNT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRole"}]}"#;
    const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

    fn with_role(trust_policy: &str) -> Fixture {
        let fixture = Fixture::new();
        let trust_policy = trust_policy.to_owned();
        fixture.write(move |tx, cx| {
            let role = Role {
                name: "web".to_owned(),
                path: "/app/".to_owned(),
                id: "AROAX".to_owned(),
                trust_policy,
                description: None,
                max_session_seconds: 3600,
                created_at: cx.now,
                tags: Default::default(),
                attached_policies: Default::default(),
                inline_policies: Default::default(),
                permissions_boundary: None,
                linked_service: None,
                last_used: None,
            };
            tx.roles().put((cx.scope.account.clone(), role.name.clone()), role);
        });
        fixture
    }

    fn input(role_arn: &str) -> AssumeRoleInput {
        AssumeRoleInput { role_arn: role_arn.to_owned(), role_session_name: "me".to_owned(), ..Default::default() }
    }

    #[test]
    fn a_trusted_caller_gets_credentials() {
        let fixture = with_role(OWN_ACCOUNT);
        let output = write(&fixture, assume_role, input("arn:aws:iam::123456789012:role/app/web")).expect("a session");
        let user = output.assumed_role_user.expect("a user");
        assert_eq!(user.arn.as_deref(), Some("arn:aws:sts::123456789012:assumed-role/web/me"));
        assert_eq!(user.assumed_role_id.as_deref(), Some("AROAX:me"));
        let credentials = output.credentials.expect("credentials");
        assert_eq!(credentials.expiration, Some(Timestamp(fixture.now.0 + 3_600_000)));
        let key = credentials.access_key_id.expect("a key");
        assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
        fixture.read(|state, cx| {
            let session = session::find(state, &key, cx.now).expect("it lasts");
            assert_eq!(Some(&session.secret_access_key), credentials.secret_access_key.as_ref());
            assert_eq!(session::find(state, &key, session.expires_at), None);
        });
    }

    #[test]
    fn everyone_else_is_refused() {
        let denied = |arn: &str| {
            format!(
                "AccessDenied: User: arn:aws:iam::123456789012:root is not authorized to perform: sts:AssumeRole on \
                 resource: {arn}"
            )
        };
        let fixture = with_role(NOBODY);
        for arn in [
            "arn:aws:iam::123456789012:role/app/web",
            "arn:aws:iam::123456789012:role/web",
            "arn:aws:iam::210987654321:role/app/web",
            "arn:aws:iam::123456789012:role/none",
        ] {
            let result = write(&fixture, assume_role, input(arn));
            assert_eq!(result.as_ref().expect_err("refused").http_status, Some(403));
            assert_eq!(refusal(result), denied(arn));
        }
        assert_eq!(
            refusal(write(&fixture, assume_role, input("arn:aws:s3:::bucket"))),
            "ValidationError: arn:aws:s3:::bucket is invalid"
        );
    }

    #[test]
    fn sessions_are_no_longer_than_the_role_allows_and_nothing_is_ignored() {
        let fixture = with_role(OWN_ACCOUNT);
        let arn = "arn:aws:iam::123456789012:role/app/web";
        let long = AssumeRoleInput { duration_seconds: Some(7200), ..input(arn) };
        assert_eq!(
            refusal(write(&fixture, assume_role, long)),
            "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        );
        let narrowed = AssumeRoleInput { policy: Some("{}".to_owned()), ..input(arn) };
        assert!(refusal(write(&fixture, assume_role, narrowed)).starts_with("MalformedPolicyDocument: "));
        let factor = AssumeRoleInput { token_code: Some("123456".to_owned()), ..input(arn) };
        assert_eq!(
            refusal(write(&fixture, assume_role, factor)),
            "ValidationError: The parameter TokenCode is not supported by Longshore."
        );
    }

    #[test]
    fn policies_and_tags_have_their_bounds() {
        let fixture = with_role(&OWN_ACCOUNT.replace("sts:AssumeRole", "sts:*"));
        let arn = "arn:aws:iam::123456789012:role/app/web";
        let assume = |input| write(&fixture, assume_role, input);
        let policy = |length: usize| {
            let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*"}}"#;
            let room = " ".repeat(length - text.len());
            AssumeRoleInput { policy: Some(format!("{text}{room}")), ..input(arn) }
        };
        assert_eq!(assume(policy(2048)).expect("all of it").packed_policy_size, Some(100));
        assert!(refusal(assume(policy(2049))).ends_with("must not exceed 2048 characters in all."));
        let tag = |n: usize| Tag { key: Some(format!("k{n}")), value: Some("v".repeat(250)) };
        let tags = |count| AssumeRoleInput { tags: Some((0..count).map(tag).collect()), ..input(arn) };
        assert_eq!(assume(tags(32)).expect("all of them").packed_policy_size, Some(100));
        let text = "PackedPolicyTooLarge: Packed size of session tags consumes 408% of allotted space.";
        assert_eq!(refusal(assume(tags(33))), text);
    }

    #[test]
    fn an_ended_session_is_known_for_an_hour() {
        let mut fixture = with_role(OWN_ACCOUNT);
        let arn = "arn:aws:iam::123456789012:role/app/web";
        let session = write(&fixture, assume_role, input(arn)).expect("a session");
        let key = session.credentials.and_then(|credentials| credentials.access_key_id).expect("a key");
        for (minutes, is_known) in [(61, true), (60, false)] {
            fixture.now = fixture.now + Duration::from_secs(minutes * 60);
            write(&fixture, assume_role, input(arn)).expect("another");
            assert_eq!(fixture.read(|state, _| state.role_sessions().get(&key).is_some()), is_known);
        }
    }

    #[test]
    fn a_session_has_policies_and_the_tags_that_are_trusted() {
        let fixture = with_role(OWN_ACCOUNT);
        let arn = "arn:aws:iam::123456789012:role/app/web";
        let tag = Tag { key: Some("team".to_owned()), value: Some("a".to_owned()) };
        let tagged = || AssumeRoleInput { tags: Some(vec![tag.clone()]), ..input(arn) };
        assert_eq!(
            refusal(write(&fixture, assume_role, tagged())),
            format!(
                "AccessDenied: User: arn:aws:iam::123456789012:root is not authorized to perform: sts:TagSession on resource: {arn}"
            )
        );
        fixture.write(|tx, cx| {
            tx.roles().update(&(cx.scope.account.clone(), "web".to_owned()), |role| {
                role.trust_policy = OWN_ACCOUNT.replace("sts:AssumeRole", "sts:*");
            });
        });
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*"}}"#;
        let arns = vec![PolicyDescriptorType { arn: Some("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()) }];
        let narrowed = AssumeRoleInput {
            policy: Some(policy.to_owned()),
            policy_arns: Some(arns),
            transitive_tag_keys: Some(vec!["team".to_owned()]),
            source_identity: Some("ann".to_owned()),
            ..tagged()
        };
        let output = write(&fixture, assume_role, narrowed).expect("a session");
        assert!(output.packed_policy_size.is_some_and(|percent| percent > 0));
        fixture.read(|state, _| {
            let session = state.role_sessions().all().next().expect("a session");
            assert_eq!(session.policies.as_ref().map(Vec::len), Some(2));
            assert_eq!(session.tags.get("team"), Some("a"));
            assert!(session.transitive_tags.contains("team"));
            assert_eq!(session.source_identity.as_deref(), Some("ann"));
        });
    }

    /// The context of a session of the role `from` that `ann` began, in iam mode; the role's policy is this statement.
    fn chained(fixture: &Fixture, statement: &str) -> Cx {
        let mut cx = fixture.user("{}");
        let session = RoleSession {
            role_arn: "arn:aws:iam::123456789012:role/from".to_owned(),
            role_id: "AROAFROM".to_owned(),
            session_name: "me".to_owned(),
            source_identity: Some("ann".to_owned()),
            ..session::new(&cx, Duration::from_secs(3600))
        };
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        cx.caller = fixture.write(move |tx, cx| {
            let web = tx.roles().get(&(cx.scope.account.clone(), "web".to_owned())).expect("the other role");
            let role = Role {
                name: "from".to_owned(),
                path: "/".to_owned(),
                id: session.role_id.clone(),
                inline_policies: [("own".to_owned(), policy)].into(),
                ..web.as_ref().clone()
            };
            tx.roles().put((cx.scope.account.clone(), role.name.clone()), role);
            session::caller(tx, Arc::new(session))
        });
        cx
    }

    #[test]
    fn a_chain_hands_its_source_identity_on_where_trust_and_own_policies_let_it() {
        const ARN: &str = "arn:aws:iam::123456789012:role/app/web";
        const BOTH: &str = r#"{"Effect":"Allow","Action":["sts:AssumeRole","sts:SetSourceIdentity"],"Resource":"*"}"#;
        const TRUSTING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/from"},"Action":["sts:AssumeRole","sts:SetSourceIdentity"],"Condition":{"StringEquals":{"sts:SourceIdentity":"ann"}}}]}"#;
        let assume = |trust: &str, own: &str, source_identity: Option<&str>| {
            let fixture = with_role(trust);
            let cx = chained(&fixture, own);
            let input = AssumeRoleInput { source_identity: source_identity.map(str::to_owned), ..input(ARN) };
            let written =
                fixture.store.write_blocking(move |tx| assume_role(tx, &cx, input)).expect("a store in memory");
            written.map(|output| output.source_identity).map_err(|error| error.message)
        };
        let refused = |because: &str| {
            let caller = "arn:aws:sts::123456789012:assumed-role/from/me";
            Err(format!(
                "User: {caller} is not authorized to perform: sts:SetSourceIdentity on resource: {ARN}{because}"
            ))
        };
        assert_eq!(assume(TRUSTING, BOTH, None), Ok(Some("ann".to_owned())));
        assert_eq!(assume(TRUSTING, BOTH, Some("ann")), Ok(Some("ann".to_owned())));
        assert!(assume(TRUSTING, BOTH, Some("bob")).is_err());
        assert_eq!(assume(OWN_ACCOUNT, BOTH, None), refused(""));
        let own_account = &OWN_ACCOUNT.replace("sts:AssumeRole", "sts:*");
        assert_eq!(assume(own_account, BOTH, None), Ok(Some("ann".to_owned())));
        assert_eq!(assume(own_account, BOTH, Some("bob")), refused(""));
        let because = " because no identity-based policy allows the sts:SetSourceIdentity action";
        assert_eq!(assume(TRUSTING, &BOTH.replace("sts:SetSourceIdentity", "sts:TagSession"), None), refused(because));
    }
}
