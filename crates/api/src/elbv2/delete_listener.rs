//! DeleteListener: with its rules.

use super::names;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeleteListenerInput, DeleteListenerOutput};
use longshore_store::Tx;
use longshore_types::Scope;

pub fn delete_listener(tx: &mut Tx, cx: &Cx, input: DeleteListenerInput) -> Result<DeleteListenerOutput, AwsError> {
    names::listener(tx, &cx.scope, &input.listener_arn)?;
    remove(tx, &cx.scope, &input.listener_arn);
    Ok(DeleteListenerOutput {})
}

/// Removes a listener and its rules.
pub fn remove(tx: &mut Tx, scope: &Scope, arn: &str) {
    for rule in names::rules_of(tx, scope, arn) {
        tx.rules().remove(&(scope.clone(), rule.arn.clone()));
    }
    tx.listeners().remove(&(scope.clone(), arn.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn its_rules_go_with_it() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        path_rule(&fixture, &stack, 1, "/a");
        let delete = || write(&fixture, delete_listener, DeleteListenerInput { listener_arn: stack.listener.clone() });
        delete().expect("deleted");
        fixture.read(|state, _| assert!(state.listeners().is_empty() && state.rules().is_empty()));
        assert_eq!(refusal(delete()), "ListenerNotFound: One or more listeners not found");
    }
}
