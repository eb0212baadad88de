//! ModifyListener: its port, protocol, certificate, security policy and default actions.

use super::authenticate::Owner;
use super::create_listener::{check_mutual_authentication, check_port, check_protocol, duplicate, on_port};
use super::error::refuse;
use super::{actions, authenticate, listener_attributes, listener_tls, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{ModifyListenerInput, ModifyListenerOutput};
use longshore_store::Tx;

pub fn modify_listener(tx: &mut Tx, cx: &Cx, input: ModifyListenerInput) -> Result<ModifyListenerOutput, AwsError> {
    refuse!(input; alpn_policy);
    check_mutual_authentication(input.mutual_authentication.as_ref())?;
    let row = names::listener(tx, &cx.scope, &input.listener_arn)?;
    let load_balancer = names::load_balancer(tx, &cx.scope, &row.load_balancer)?;
    let mut row = (*row).clone();
    if let Some(protocol) = input.protocol {
        check_protocol(&protocol)?;
        row.protocol = protocol;
    }
    if let Some(port) = input.port {
        row.port = check_port(port)?;
        if on_port(tx, &cx.scope, &row.load_balancer, row.port).is_some_and(|other| other.arn != row.arn) {
            return Err(duplicate(&row.load_balancer));
        }
    }
    if let Some(given) = input.default_actions.filter(|actions| !actions.is_empty()) {
        let owner = Owner { arn: &row.arn, protocol: &row.protocol, former: &row.default_actions };
        (row.default_actions, row.action_order) = actions::parse(tx, cx, &load_balancer, owner, given)?;
    }
    let rules = names::rules_of(tx, &cx.scope, &row.arn);
    let of_rules = rules.iter().flat_map(|rule| &rule.actions);
    authenticate::check_protocol(&row.protocol, row.default_actions.iter().chain(of_rules))?;
    let given = listener_tls::Given { certificates: input.certificates, ssl_policy: input.ssl_policy };
    listener_tls::apply(tx, &cx.scope, &mut row, given)?;
    listener_attributes::keep_those_of_protocol(&mut row);
    let sent = view::listener(&row);
    tx.listeners().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyListenerOutput { listeners: Some(vec![sent]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::create_listener::create_listener;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn port_and_actions_change_but_not_to_a_taken_port() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        write(&fixture, create_listener, listener_input(&stack, 81)).expect("made");
        let modify = |input| {
            write(&fixture, modify_listener, ModifyListenerInput { listener_arn: stack.listener.clone(), ..input })
        };
        let input =
            ModifyListenerInput { port: Some(8080), default_actions: Some(vec![fixed("503")]), ..Default::default() };
        let changed = modify(input).expect("changed").listeners.expect("one");
        assert_eq!(changed[0].port, Some(8080));
        assert_eq!(changed[0].default_actions.as_ref().expect("one")[0].r#type.as_deref(), Some("fixed-response"));
        assert!(
            refusal(modify(ModifyListenerInput { port: Some(81), ..Default::default() }))
                .starts_with("DuplicateListener: ")
        );
        modify(ModifyListenerInput { port: Some(8080), ..Default::default() }).expect("its own port is not taken");
    }
}
