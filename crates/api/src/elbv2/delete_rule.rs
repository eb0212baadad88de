//! DeleteRule.

use super::error;
use super::names::{self, NamedRule};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DeleteRuleInput, DeleteRuleOutput};
use longshore_store::Tx;

pub fn delete_rule(tx: &mut Tx, cx: &Cx, input: DeleteRuleInput) -> Result<DeleteRuleOutput, AwsError> {
    match names::rule(tx, &cx.scope, &input.rule_arn)? {
        NamedRule::Own(rule) => tx.rules().remove(&(cx.scope.clone(), rule.arn.clone())),
        NamedRule::Default(_) => {
            return Err(error::not_permitted(format!("Default rule '{}' cannot be deleted", input.rule_arn)));
        }
    };
    Ok(DeleteRuleOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn a_rule_goes_and_a_default_one_stays() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let arn = path_rule(&fixture, &stack, 1, "/a");
        let delete = |arn: &str| write(&fixture, delete_rule, DeleteRuleInput { rule_arn: arn.to_owned() });
        delete(&arn).expect("deleted");
        assert_eq!(refusal(delete(&arn)), "RuleNotFound: One or more rules not found");
        let default = names::default_rule_arn(&stack.listener);
        assert_eq!(
            refusal(delete(&default)),
            format!("OperationNotPermitted: Default rule '{default}' cannot be deleted")
        );
    }
}
