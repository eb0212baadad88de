//! What a request knows about itself, looked up key by key as policies ask.

use super::{Ask, Source, resource_tags};
use crate::Principal;
use longshore_policy::{Context, Values};
use longshore_types::Tags;
use longshore_types::iam::SessionOf;
use std::borrow::Cow;

/// The context of one action on one resource.
pub struct RequestContext<'a> {
    pub ask: &'a Ask<'a>,
    pub action: &'a str,
    pub resource: &'a str,
}

impl Context for RequestContext<'_> {
    fn get(&self, key: &str) -> Option<Values<'_>> {
        let (prefix, name) = key.split_once(':')?;
        let name = name.split_once('/').map_or((name, None), |(kind, tag)| (kind, Some(tag)));
        let (name, tag) = (name.0.to_ascii_lowercase(), name.1);
        match (prefix.to_ascii_lowercase().as_str(), tag) {
            ("aws", None) => self.global(&name),
            ("aws", Some(tag)) => self.tag(&name, tag),
            // `ecs:ResourceTag/team` is `aws:ResourceTag/team`, before there was one key for all.
            (_, Some(tag)) if name == "resourcetag" || name == "requesttag" => self.tag(&name, tag),
            (prefix, None) => self.of_service(prefix, &name),
            _ => None,
        }
    }
}

impl RequestContext<'_> {
    fn global(&self, name: &str) -> Option<Values<'_>> {
        let cx = self.ask.cx;
        let caller = &cx.caller;
        let session = caller.session.as_deref();
        let role_session = session.filter(|session| session.of == SessionOf::Role);
        Some(match name {
            // A session's principal is its role, which policies name.
            "principalarn" => Values::one(role_session.map_or(caller.arn.as_str(), |s| s.role_arn.as_str())),
            "principalaccount" | "resourceaccount" => Values::one(cx.scope.account.as_str()),
            "principaltype" => Values::one(match caller.principal {
                Principal::Root => "Account",
                Principal::User(_) => "User",
                Principal::Role(_) => "AssumedRole",
                Principal::Federated(_) => "FederatedUser",
                Principal::Service => "AWSService",
            }),
            "userid" => Values::one(caller.user_id.as_str()),
            "username" => match &caller.principal {
                Principal::User(name) => Values::one(name.as_str()),
                _ => return None,
            },
            "sourceip" => Values::one(cx.enforced.as_ref()?.source.address().to_string()),
            // Of requests that come through an endpoint of a VPC.
            "vpcsourceip" => match cx.enforced.as_ref()?.source {
                Source::Client(_) => return None,
                source => Values::one(source.address().to_string()),
            },
            "useragent" => Values::one(cx.enforced.as_ref()?.user_agent.clone()?),
            "currenttime" => Values::one(cx.now.rfc3339()),
            "epochtime" => Values::one(cx.now.seconds().to_string()),
            "requestedregion" => Values::one(cx.scope.region.as_str()),
            // Connections here are plain HTTP; what ECS does by itself is not, on AWS.
            "securetransport" => match cx.enforced.as_ref()?.source {
                Source::ForTask(_) => Values::one("true"),
                Source::Client(_) | Source::Task(_) => Values::one("false"),
            },
            "viaawsservice" | "principalisawsservice" => Values::one("false"),
            // Nobody has a second factor; long-lived keys do not even say so.
            "multifactorauthpresent" => session.map(|_| Values::one("false"))?,
            "tokenissuetime" => Values::one(session?.issued_at.rfc3339()),
            "sourceidentity" => Values::one(session?.source_identity.as_deref()?),
            "federatedprovider" => return None,
            "tagkeys" => {
                let keys = self.ask.fields.tags().iter().map(|tag| tag.key.as_str());
                let named = ["tagKeys", "TagKeys"].into_iter().flat_map(|path| self.ask.all(path));
                return many(keys.chain(named).map(Cow::Borrowed));
            }
            _ => return None,
        })
    }

    fn tag(&self, kind: &str, tag: &str) -> Option<Values<'_>> {
        match kind {
            "requesttag" => many(self.request_tags().filter(|(key, _)| key.eq_ignore_ascii_case(tag)).map(|(_, v)| v)),
            "resourcetag" => named(&resource_tags::find(self.ask.state, &self.ask.cx.scope, self.resource)?, tag),
            "principaltag" => self.principal_tag(tag),
            _ => None,
        }
    }

    /// The session's tag of this name, else the user's or the role's.
    fn principal_tag(&self, tag: &str) -> Option<Values<'_>> {
        let (cx, state) = (self.ask.cx, self.ask.state);
        let of_session = cx.caller.session.as_ref().and_then(|session| named(&session.tags, tag));
        of_session.or_else(|| {
            let account = cx.scope.account.clone();
            match &cx.caller.principal {
                Principal::User(name) => named(&state.users().get(&(account, name.clone()))?.tags, tag),
                Principal::Role(name) => named(&state.roles().get(&(account, name.clone()))?.tags, tag),
                _ => None,
            }
        })
    }

    /// Key and value of each tag that the request gives. Handlers store nothing where a value is missing; those that remove
    /// tags then remove the key with whatever value.
    fn request_tags(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let removes = matches!(self.ask.operation, "DeleteTags" | "RemoveTagsFromCertificate" | "UntagLogGroup");
        let given = self.ask.fields.tags().iter().filter(move |tag| tag.value.is_some() || !removes);
        given.map(|tag| (tag.key.as_str(), Cow::Borrowed(tag.value.as_deref().unwrap_or_default())))
    }

    fn of_service(&self, prefix: &str, name: &str) -> Option<Values<'_>> {
        let ask = self.ask;
        match prefix {
            "ecs" => crate::ecs::permissions::context(ask, name, self.resource),
            "ec2" => crate::ec2::permissions::context(ask, name, self.resource, self.action),
            "iam" => crate::iam::permissions::context(ask, name, self.action),
            "sts" => crate::sts::permissions::context(ask, name),
            "elasticloadbalancing" => crate::elbv2::permissions::context(ask, name, self.action),
            "secretsmanager" => crate::secretsmanager::permissions::context(ask, name),
            "ssm" => crate::ssm::permissions::context(ask, name),
            _ => None,
        }
    }
}

/// One value or several; `None` without any.
fn many<'a>(values: impl Iterator<Item = Cow<'a, str>>) -> Option<Values<'a>> {
    let mut values: Vec<_> = values.collect();
    match values.len() {
        0 => None,
        1 => values.pop().map(Values::One),
        _ => Some(Values::Many(values)),
    }
}

/// The tags of this name. Conditions do not tell `Team` from `team`: a resource that has both is judged by both.
fn named<'a>(tags: &Tags, name: &str) -> Option<Values<'a>> {
    many(tags.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| Cow::Owned(value.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Fields;
    use crate::testing::Fixture;
    use longshore_aws_model::Shape;
    use longshore_aws_model::ec2::{CreateTagsInput, DeleteTagsInput, Tag};

    /// What a key has for a request; `None` without the key.
    fn values<I: Shape>(
        fixture: &Fixture,
        operation: &str,
        input: &I,
        resource: &str,
        key: &str,
    ) -> Option<Vec<String>> {
        fixture.read(|state, cx| {
            let ask = Ask { state, cx, fields: &Fields::of(input), operation };
            let context = RequestContext { ask: &ask, action: "ec2:CreateTags", resource };
            context.get(key).map(|values| values.as_slice().iter().map(ToString::to_string).collect())
        })
    }

    fn tag(key: &str, value: Option<&str>) -> Tag {
        Tag { key: Some(key.to_owned()), value: value.map(str::to_owned) }
    }

    fn some(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_tag_without_a_value_does_not_take_anothers() {
        let fixture = Fixture::new();
        let input = CreateTagsInput { tags: vec![tag("team", None), tag("z", Some("blue"))], ..Default::default() };
        let get = |key| values(&fixture, "CreateTags", &input, "*", key);
        assert_eq!(get("aws:RequestTag/team"), some(&[""]));
        assert_eq!(get("aws:RequestTag/z"), some(&["blue"]));
        assert_eq!(get("aws:TagKeys"), some(&["team", "z"]));
    }

    #[test]
    fn removing_a_tag_without_a_value_names_its_key_alone() {
        let fixture = Fixture::new();
        let tags = Some(vec![tag("protected", None), tag("team", Some("blue"))]);
        let input = DeleteTagsInput { tags, ..Default::default() };
        let get = |key| values(&fixture, "DeleteTags", &input, "*", key);
        assert_eq!(get("aws:TagKeys"), some(&["protected", "team"]));
        assert_eq!(get("aws:RequestTag/protected"), None);
        assert_eq!(get("aws:RequestTag/team"), some(&["blue"]));
    }

    #[test]
    fn services_keys_are_members_of_the_request() {
        use longshore_aws_model::secretsmanager::DeleteSecretInput;
        use longshore_aws_model::ssm::{GetParametersByPathInput, PutParameterInput};
        let fixture = Fixture::new();
        let input = DeleteSecretInput {
            secret_id: "db".to_owned(),
            recovery_window_in_days: Some(7),
            force_delete_without_recovery: Some(true),
        };
        let get = |key| values(&fixture, "DeleteSecret", &input, "*", key);
        assert_eq!(get("secretsmanager:ForceDeleteWithoutRecovery"), some(&["true"]));
        assert_eq!(get("secretsmanager:RecoveryWindowInDays"), some(&["7"]));
        assert_eq!(get("secretsmanager:SecretId"), some(&["db"]));
        assert_eq!(get("secretsmanager:VersionId"), None);
        let input = PutParameterInput { overwrite: Some(true), policies: Some("[]".to_owned()), ..Default::default() };
        assert_eq!(values(&fixture, "PutParameter", &input, "*", "ssm:overwrite"), some(&["true"]));
        assert_eq!(values(&fixture, "PutParameter", &input, "*", "ssm:Policies"), some(&["[]"]));
        let input = GetParametersByPathInput { recursive: Some(true), ..Default::default() };
        assert_eq!(values(&fixture, "GetParametersByPath", &input, "*", "ssm:Recursive"), some(&["true"]));
    }

    #[test]
    fn tag_names_are_the_same_in_any_case() {
        let fixture = Fixture::new();
        let resource = fixture.write(|tx, cx| {
            let vpc = tx.vpcs().prefix(&cx.scope).next().expect("the default VPC").id.clone();
            let tags = [("Team", "red"), ("team", "blue")].map(|(key, value)| (key.to_owned(), value.to_owned()));
            tx.vpcs().update(&(cx.scope.clone(), vpc.clone()), |vpc| vpc.tags = tags.into_iter().collect());
            longshore_types::arn::ec2(&cx.scope, "vpc", vpc.as_str())
        });
        let input = CreateTagsInput { tags: vec![tag("Team", Some("red"))], ..Default::default() };
        let get = |key| values(&fixture, "CreateTags", &input, &resource, key);
        assert_eq!(get("aws:ResourceTag/TEAM"), some(&["red", "blue"]));
        assert_eq!(get("aws:RequestTag/team"), some(&["red"]));
    }

    #[test]
    fn a_sessions_tag_hides_its_users_in_any_case() {
        let fixture = Fixture::new();
        let mut cx = fixture.user("{}");
        fixture.write(|tx, cx| {
            let tags = ["team", "Site"].map(|key| (key.to_owned(), "users".to_owned()));
            let key = (cx.scope.account.clone(), "ann".to_owned());
            tx.users().update(&key, |user| user.tags = tags.into_iter().collect());
        });
        let mut session = crate::sts::session::new(&cx, std::time::Duration::ZERO);
        session.tags.0.insert("TEAM".to_owned(), "sessions".to_owned());
        cx.caller.session = Some(std::sync::Arc::new(session));
        fixture.read(|state, _| {
            let ask = Ask { state, cx: &cx, fields: &Fields::default(), operation: "" };
            let context = RequestContext { ask: &ask, action: "ec2:CreateTags", resource: "*" };
            assert_eq!(context.get("aws:PrincipalTag/team"), Some(Values::one("sessions")));
            assert_eq!(context.get("aws:PrincipalTag/site"), Some(Values::one("users")));
        });
    }
}
