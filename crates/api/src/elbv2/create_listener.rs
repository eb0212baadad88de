//! CreateListener.

use super::authenticate::Owner;
use super::error::refuse;
use super::{actions, authenticate, error, limits, listener_tls, names, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateListenerInput, CreateListenerOutput, MutualAuthenticationAttributes, codes};
use longshore_store::tables::Listeners;
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::elbv2::Listener;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `off` is what every listener has.
pub fn check_mutual_authentication(given: Option<&MutualAuthenticationAttributes>) -> Result<(), AwsError> {
    let Some(given) = given else { return Ok(()) };
    let off = MutualAuthenticationAttributes { mode: Some("off".to_owned()), ..Default::default() };
    if *given == off || *given == Default::default() { Ok(()) } else { Err(error::unsupported("MutualAuthentication")) }
}

pub fn create_listener(tx: &mut Tx, cx: &Cx, input: CreateListenerInput) -> Result<CreateListenerOutput, AwsError> {
    refuse!(input; alpn_policy);
    check_mutual_authentication(input.mutual_authentication.as_ref())?;
    let load_balancer = names::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?;
    let protocol = input.protocol.ok_or_else(|| error::validation("A protocol must be specified"))?;
    check_protocol(&protocol)?;
    let port = check_port(input.port.ok_or_else(|| error::validation("A port must be specified"))?)?;
    let arn = names::listener_arn(&load_balancer.arn, &cx.ids().hex(16));
    let owner = Owner { arn: &arn, protocol: &protocol, former: &[] };
    let (default_actions, action_order) = actions::parse(tx, cx, &load_balancer, owner, input.default_actions)?;
    let tags = tags::parse(&input.tags.unwrap_or_default())?;
    let mut row = Listener {
        arn,
        load_balancer: load_balancer.arn.clone(),
        protocol,
        port,
        default_actions,
        action_order,
        certificates: vec![],
        ssl_policy: None,
        attributes: BTreeMap::new(),
        tags,
        created_at: cx.now,
    };
    let given = listener_tls::Given { certificates: input.certificates, ssl_policy: input.ssl_policy };
    listener_tls::apply(tx, &cx.scope, &mut row, given)?;
    if let Some(existing) = on_port(tx, &cx.scope, &load_balancer.arn, port) {
        let same = existing.protocol == row.protocol
            && authenticate::is_same(
                &cx.settings.vault,
                (&existing.arn, &existing.default_actions),
                (&row.arn, &row.default_actions),
            )
            && existing.action_order == row.action_order
            && existing.certificates.first() == row.certificates.first()
            && existing.ssl_policy == row.ssl_policy;
        if same {
            return Ok(CreateListenerOutput { listeners: Some(vec![view::listener(&existing)]) });
        }
        return Err(duplicate(&load_balancer.arn));
    }
    limits::check(&limits::LISTENERS, limits::listeners(tx, &cx.scope, &load_balancer.arn).count() + 1)?;
    let sent = view::listener(&row);
    tx.listeners().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateListenerOutput { listeners: Some(vec![sent]) })
}

pub fn check_protocol(protocol: &str) -> Result<(), AwsError> {
    match protocol {
        "HTTP" | "HTTPS" => Ok(()),
        other => Err(error::unsupported(format_args!("The listener protocol '{other}'"))),
    }
}

pub fn check_port(port: i32) -> Result<u16, AwsError> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    port.ok_or_else(|| error::validation("Port must be from 1 to 65535"))
}

/// The load balancer's listener on a port.
pub fn on_port(state: &Snapshot, scope: &Scope, load_balancer: &str, port: u16) -> Option<Arc<Listener>> {
    let key = (scope.clone(), load_balancer.to_owned());
    state.listeners().by_index(&Listeners::BY_LOAD_BALANCER, &key).find(|listener| listener.port == port)
}

pub fn duplicate(load_balancer: &str) -> AwsError {
    let text = format!("A listener already exists on this port for this load balancer '{load_balancer}'");
    AwsError::new(codes::DUPLICATE_LISTENER, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::{Action, Certificate};

    #[test]
    fn a_listener_is_made_once_per_port() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let input = listener_input(&stack, 80);
        let again = write(&fixture, create_listener, input.clone()).expect("the same").listeners.expect("one");
        assert_eq!(again[0].listener_arn.as_ref(), Some(&stack.listener));
        let shown = again[0].default_actions.as_ref().expect("an action");
        assert_eq!(shown[0].target_group_arn.as_ref(), Some(&stack.target_group));
        assert!(shown[0].forward_config.is_some());
        let other = CreateListenerInput { default_actions: vec![fixed("404")], ..input };
        assert_eq!(
            refusal(write(&fixture, create_listener, other)),
            format!(
                "DuplicateListener: A listener already exists on this port for this load balancer '{}'",
                stack.load_balancer
            )
        );
    }

    #[test]
    fn a_group_has_one_load_balancer() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let other = load_balancer(&fixture, "other");
        let input = CreateListenerInput { load_balancer_arn: other, ..listener_input(&stack, 80) };
        assert_eq!(
            refusal(write(&fixture, create_listener, input)),
            format!(
                "TargetGroupAssociationLimit: The following target groups cannot be associated with more than one load balancer: {}",
                stack.target_group
            )
        );
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let input = || listener_input(&stack, 81);
        let strange =
            Action { target_group_arn: Some(format!("{}0", stack.target_group)), ..forward(&stack.target_group) };
        for (given, expected) in [
            (
                CreateListenerInput { protocol: Some("TLS".to_owned()), ..input() },
                "ValidationError: The listener protocol 'TLS' is not supported by Longshore yet.",
            ),
            (CreateListenerInput { protocol: None, ..input() }, "ValidationError: A protocol must be specified"),
            (CreateListenerInput { port: None, ..input() }, "ValidationError: A port must be specified"),
            (
                CreateListenerInput { certificates: Some(vec![Certificate::default()]), ..input() },
                "ValidationError: Certificates cannot be specified for HTTP listeners",
            ),
            (
                CreateListenerInput { default_actions: vec![], ..input() },
                "ValidationError: You must specify at least one action",
            ),
            (
                CreateListenerInput { default_actions: vec![strange], ..input() },
                "TargetGroupNotFound: One or more target groups not found",
            ),
            (
                CreateListenerInput { default_actions: vec![fixed("200"), fixed("404")], ..input() },
                "TooManyActions: Only one action of type 'forward', 'redirect' or 'fixed-response' can be specified",
            ),
            (
                CreateListenerInput { load_balancer_arn: format!("{}0", stack.load_balancer), ..input() },
                "LoadBalancerNotFound: One or more load balancers not found",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_listener, given)), expected);
        }
    }
}
