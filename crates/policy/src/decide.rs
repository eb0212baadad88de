//! The decision: which statements concern a request, and what they come to together.

use crate::context::Context;
use crate::document::{Effect, Policy, Statement};
use crate::principal::{Closeness, Principal};

/// What is asked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `ecs:RunTask`; told apart without regard to case.
    pub action: &'a str,
    /// An ARN, or `*` for an action that is about no resource.
    pub resource: &'a str,
    pub principal: Principal<'a>,
    pub context: &'a dyn Context,
}

/// A policy and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<P> {
    /// An ARN, or an inline policy's name.
    pub name: String,
    pub policy: P,
}

/// The policies that concern a caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    /// Attached and inline, of the user, its groups, or the role.
    pub identity: Vec<Named<Policy>>,
    /// What the identity's policies can give at most.
    pub boundary: Option<Policy>,
    /// What the session was narrowed to when it was begun; together they allow what one of them does.
    pub session: Option<Vec<Policy>>,
}

/// A kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Identity,
    Boundary,
    Session,
    Resource,
}

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    /// A statement denies it.
    ExplicitDeny(Source),
    /// No statement of this kind of policy allows it.
    ImplicitDeny(Source),
}

impl Decision {
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// What the statements of some policies say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Allow(Closeness),
    Deny,
}

/// Decides in IAM's order. `resource` is the policy of what is acted on, if it has one. Accounts are not crossed: caller
/// and resource are of one.
pub fn decide(request: &Request<'_>, grants: &Grants, resource: Option<&Policy>) -> Decision {
    let action = request.action.to_ascii_lowercase();
    let is_bounded = grants.boundary.is_some();
    let ask = |policies: &mut dyn Iterator<Item = &Policy>| {
        let mut says = Says::Nothing;
        for statement in policies.flat_map(|policy| &policy.statements) {
            let Some(closeness) = concerns(statement, request, &action, is_bounded) else { continue };
            match (statement.effect, says) {
                (Effect::Deny, _) => return Says::Deny,
                (Effect::Allow, Says::Allow(other)) if other >= closeness => {}
                (Effect::Allow, _) => says = Says::Allow(closeness),
            }
        }
        says
    };
    let of_resource = ask(&mut resource.into_iter());
    let of_identity = ask(&mut grants.identity.iter().map(|named| &named.policy));
    let of_boundary = grants.boundary.as_ref().map(|boundary| ask(&mut std::iter::once(boundary)));
    let of_session = grants.session.as_ref().map(|policies| ask(&mut policies.iter()));
    let all = [
        (Source::Identity, Some(of_identity)),
        (Source::Resource, Some(of_resource)),
        (Source::Boundary, of_boundary),
        (Source::Session, of_session),
    ];
    if let Some((source, _)) = all.iter().find(|(_, says)| *says == Some(Says::Deny)) {
        return Decision::ExplicitDeny(*source);
    }
    // The resource's policy names this very caller: nothing else has to agree.
    if of_resource == Says::Allow(Closeness::Exact) {
        return Decision::Allowed;
    }
    let granted_to_role = of_resource == Says::Allow(Closeness::Role);
    if of_identity == Says::Nothing && !granted_to_role {
        return Decision::ImplicitDeny(Source::Identity);
    }
    for (source, says) in [(Source::Boundary, of_boundary), (Source::Session, of_session)] {
        if says == Some(Says::Nothing) {
            return Decision::ImplicitDeny(source);
        }
    }
    Decision::Allowed
}

/// What one policy says by itself, as a role's trust policy does: [`Decision::Allowed`] only if it allows. `Account` names
/// count as allowing when `account_is_enough`.
pub fn says(request: &Request<'_>, policy: &Policy, account_is_enough: bool) -> Decision {
    let action = request.action.to_ascii_lowercase();
    let mut decision = Decision::ImplicitDeny(Source::Resource);
    for statement in &policy.statements {
        let Some(closeness) = concerns(statement, request, &action, false) else { continue };
        match statement.effect {
            Effect::Deny => return Decision::ExplicitDeny(Source::Resource),
            Effect::Allow if account_is_enough || closeness != Closeness::Account => decision = Decision::Allowed,
            Effect::Allow => {}
        }
    }
    decision
}

/// The statements of policies that concern a request: index of the policy, Sid, effect.
pub type Statements<'a> = Vec<(usize, Option<&'a str>, Effect)>;

/// The statements that concern a request, for showing; `is_bounded` is whether the caller has a permissions boundary.
pub fn matches<'a>(request: &Request<'_>, policies: &[&'a Policy], is_bounded: bool) -> Statements<'a> {
    let action = request.action.to_ascii_lowercase();
    let all = policies.iter().enumerate().flat_map(|(i, policy)| policy.statements.iter().map(move |s| (i, s)));
    all.filter(|(_, statement)| concerns(statement, request, &action, is_bounded).is_some())
        .map(|(i, statement)| (i, statement.sid.as_deref(), statement.effect))
        .collect()
}

/// Whether a statement is about a request, and how exactly it names who asks.
fn concerns(statement: &Statement, request: &Request<'_>, action: &str, is_bounded: bool) -> Option<Closeness> {
    if statement.actions.inner.cover(action) == statement.actions.negated {
        return None;
    }
    if let Some(resources) = &statement.resources {
        let covered = resources
            .inner
            .iter()
            .any(|pattern| pattern.is_any() || pattern.is_like(request.resource, request.context));
        if covered == resources.negated {
            return None;
        }
    }
    let closeness = match &statement.principals {
        None => Closeness::Exact,
        Some(names) if names.negated => {
            // On AWS `NotPrincipal` allows nothing, and its denials spare nobody who has a permissions boundary.
            if statement.effect == Effect::Allow || (!is_bounded && names.inner.spare(request.principal)) {
                return None;
            }
            Closeness::Exact
        }
        Some(names) => names.inner.meet(request.principal)?,
    };
    statement.conditions.iter().all(|condition| condition.holds(request.context)).then_some(closeness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MapContext, NoContext};

    fn policy(statements: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#)).expect("a policy")
    }

    fn grants(statements: &str) -> Grants {
        Grants { identity: vec![Named { name: "p".to_owned(), policy: policy(statements) }], ..Default::default() }
    }

    const USER: Principal<'_> =
        Principal::Aws { arn: "arn:aws:iam::123456789012:user/ann", role: None, account: "123456789012" };
    const SESSION: Principal<'_> = Principal::Aws {
        arn: "arn:aws:sts::123456789012:assumed-role/web/s",
        role: Some("arn:aws:iam::123456789012:role/web"),
        account: "123456789012",
    };
    const CLUSTER: &str = "arn:aws:ecs:us-east-1:123456789012:cluster/web";

    fn decision(grants: &Grants, resource: Option<&Policy>, principal: Principal<'_>, action: &str) -> Decision {
        decide(&Request { action, resource: CLUSTER, principal, context: &NoContext }, grants, resource)
    }

    #[test]
    fn an_identity_is_allowed_what_its_policies_allow_and_none_denies() {
        let run = |statements: &str, action: &str| decision(&grants(statements), None, USER, action);
        let implicit = Decision::ImplicitDeny(Source::Identity);
        let explicit = Decision::ExplicitDeny(Source::Identity);
        let allow =
            |action: &str, resource: &str| format!(r#"[{{"Effect":"Allow","Action":{action},"Resource":{resource}}}]"#);
        assert_eq!(run("[]", "ecs:DeleteCluster"), implicit);
        assert_eq!(run(&allow(r#""ECS:delete*""#, r#""*""#), "ecs:DeleteCluster"), Decision::Allowed);
        assert_eq!(run(&allow(r#""*""#, r#""arn:aws:ecs:*:*:cluster/w*""#), "ecs:DeleteCluster"), Decision::Allowed);
        assert_eq!(run(&allow(r#""e?s:*""#, r#""*""#), "ecs:DeleteCluster"), Decision::Allowed);
        assert_eq!(run(&allow(r#"["ec2:*","ecs:Describe*"]"#, r#""*""#), "ecs:DeleteCluster"), implicit);
        assert_eq!(run(&allow(r#""ecs:*""#, r#""arn:aws:ecs:*:*:service/*""#), "ecs:DeleteCluster"), implicit);
        assert_eq!(
            run(
                r#"[{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:ecs:*:*:service/*"}]"#,
                "ecs:DeleteCluster"
            ),
            Decision::Allowed
        );
        assert_eq!(run(r#"[{"Effect":"Allow","NotAction":"ecs:*","Resource":"*"}]"#, "ecs:DeleteCluster"), implicit);
        let both = r#"[{"Effect":"Allow","Action":"*","Resource":"*"},
            {"Effect":"Deny","Action":"ecs:DeleteCluster","Resource":"*"}]"#;
        assert_eq!(run(both, "ecs:DeleteCluster"), explicit);
        assert_eq!(run(both, "ecs:RunTask"), Decision::Allowed);
    }

    #[test]
    fn boundary_and_session_narrow_what_identity_allows() {
        let all = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        let reading = r#"{"Effect":"Allow","Action":"ecs:Describe*","Resource":"*"}"#;
        let denying = r#"[{"Effect":"Deny","Action":"*","Resource":"*"}]"#;
        let bounded = Grants { boundary: Some(policy(reading)), ..grants(all) };
        assert_eq!(decision(&bounded, None, USER, "ecs:DescribeClusters"), Decision::Allowed);
        assert_eq!(decision(&bounded, None, USER, "ecs:RunTask"), Decision::ImplicitDeny(Source::Boundary));
        let narrowed = Grants { session: Some(vec![policy(reading), policy("[]")]), ..grants(all) };
        assert_eq!(decision(&narrowed, None, SESSION, "ecs:DescribeClusters"), Decision::Allowed);
        assert_eq!(decision(&narrowed, None, SESSION, "ecs:RunTask"), Decision::ImplicitDeny(Source::Session));
        let denied = Grants { session: Some(vec![policy(denying)]), ..grants(all) };
        assert_eq!(decision(&denied, None, SESSION, "ecs:RunTask"), Decision::ExplicitDeny(Source::Session));
        let only_boundary = Grants { boundary: Some(policy(all)), ..Default::default() };
        assert_eq!(decision(&only_boundary, None, USER, "ecs:RunTask"), Decision::ImplicitDeny(Source::Identity));
    }

    #[test]
    fn a_resources_policy_grants_by_itself_unless_it_names_the_account() {
        let to = |name: &str| {
            policy(&format!(r#"[{{"Effect":"Allow","Principal":{name},"Action":"ecs:*","Resource":"*"}}]"#))
        };
        let none = Grants::default();
        let run = |name: &str, principal| decision(&none, Some(&to(name)), principal, "ecs:RunTask");
        let implicit = Decision::ImplicitDeny(Source::Identity);
        assert_eq!(run(r#""*""#, USER), Decision::Allowed);
        assert_eq!(run(r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#, USER), Decision::Allowed);
        assert_eq!(run(r#"{"AWS":"arn:aws:iam::123456789012:user/bob"}"#, USER), implicit);
        assert_eq!(run(r#"{"AWS":"123456789012"}"#, USER), implicit);
        assert_eq!(run(r#"{"AWS":"arn:aws:iam::123456789012:root"}"#, USER), implicit);
        assert_eq!(run(r#"{"AWS":"arn:aws:iam::123456789012:role/web"}"#, SESSION), Decision::Allowed);
        assert_eq!(run(r#"{"Service":"ecs-tasks.amazonaws.com"}"#, USER), implicit);
        assert_eq!(
            run(r#"{"Service":"ecs-tasks.amazonaws.com"}"#, Principal::Service("ecs-tasks.amazonaws.com")),
            Decision::Allowed
        );
        // A grant to the role is narrowed by the session's policy; one to the session is not.
        let narrowed = Grants { session: Some(vec![policy("[]")]), ..Default::default() };
        let of_role = to(r#"{"AWS":"arn:aws:iam::123456789012:role/web"}"#);
        let of_session = to(r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/web/s"}"#);
        assert_eq!(
            decision(&narrowed, Some(&of_role), SESSION, "ecs:RunTask"),
            Decision::ImplicitDeny(Source::Session)
        );
        assert_eq!(decision(&narrowed, Some(&of_session), SESSION, "ecs:RunTask"), Decision::Allowed);
    }

    #[test]
    fn a_denial_of_all_others_spares_whom_it_names_with_role_and_account() {
        const ALL: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
        let to = |effect: &str, names: &[&str]| {
            policy(&format!(
                r#"[{{"Effect":"{effect}","NotPrincipal":{{"AWS":{names:?}}},"Action":"*","Resource":"*"}}]"#
            ))
        };
        let run = |grants: &Grants, names: &[&str], principal| {
            decision(grants, Some(&to("Deny", names)), principal, "ecs:RunTask").is_allowed()
        };
        let [user, root] = ["arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:root"];
        let [role, session] = ["arn:aws:iam::123456789012:role/web", "arn:aws:sts::123456789012:assumed-role/web/s"];
        let all = grants(ALL);
        assert!(run(&all, &[user, root], USER));
        assert!(run(&all, &[user, "123456789012"], USER));
        assert!(run(&all, &["*"], USER));
        for others in [&[user][..], &[root], &["arn:aws:iam::123456789012:user/bob", root], &[]] {
            assert!(!run(&all, others, USER), "{others:?}");
        }
        assert!(run(&all, &[session, role, root], SESSION));
        for others in [&[session, root][..], &[role, root], &[session, role], &[user, root]] {
            assert!(!run(&all, others, SESSION), "{others:?}");
        }
        let bounded = Grants { boundary: Some(policy(ALL)), ..grants(ALL) };
        assert!(!run(&bounded, &[user, root], USER));
        let allowing = to("Allow", &["arn:aws:iam::123456789012:user/bob"]);
        assert!(!decision(&Grants::default(), Some(&allowing), USER, "ecs:RunTask").is_allowed());
    }

    #[test]
    fn conditions_and_variables_ask_the_context() {
        let mut context = MapContext::default();
        context.set("ecs:cluster", vec![CLUSTER.to_owned()]);
        context.set("aws:PrincipalTag/team", vec!["web".to_owned()]);
        let grants = grants(
            r#"[{"Sid":"mine","Effect":"Allow","Action":"ecs:RunTask",
            "Resource":"arn:aws:ecs:*:*:cluster/${aws:PrincipalTag/team}",
            "Condition":{"ArnLike":{"ecs:cluster":"arn:aws:ecs:*:*:cluster/*"}}}]"#,
        );
        let request = Request { action: "ecs:RunTask", resource: CLUSTER, principal: USER, context: &context };
        assert_eq!(decide(&request, &grants, None), Decision::Allowed);
        assert_eq!(
            decide(&Request { context: &NoContext, ..request }, &grants, None),
            Decision::ImplicitDeny(Source::Identity)
        );
        let policies: Vec<&Policy> = grants.identity.iter().map(|named| &named.policy).collect();
        assert_eq!(matches(&request, &policies, false), [(0, Some("mine"), Effect::Allow)]);
        assert_eq!(policies[0].keys(), ["aws:PrincipalTag/team", "ecs:cluster"]);
    }

    #[test]
    fn before_2012_there_are_no_variables() {
        let text = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"${aws:username}"}}"#;
        let grants = Grants {
            identity: vec![Named { name: String::new(), policy: Policy::parse(text).expect("a policy") }],
            ..Default::default()
        };
        let request = Request { action: "a:b", resource: "${aws:username}", principal: USER, context: &NoContext };
        assert!(decide(&request, &grants, None).is_allowed());
    }

    #[test]
    fn what_is_no_policy_is_told() {
        for text in [
            "",
            "{}",
            r#"{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":[1],"Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Odd":{"a":"b"}}}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"me"}}"#,
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}
