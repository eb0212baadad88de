//! ModifyRule: its conditions, actions and transforms.

use super::authenticate::Owner;
use super::names::{self, NamedRule};
use super::{actions, conditions, error, transforms, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{ModifyRuleInput, ModifyRuleOutput};
use longshore_store::Tx;

pub fn modify_rule(tx: &mut Tx, cx: &Cx, input: ModifyRuleInput) -> Result<ModifyRuleOutput, AwsError> {
    let given_transforms = input.transforms.filter(|transforms| !transforms.is_empty());
    let resets = input.reset_transforms.unwrap_or(false);
    if resets && given_transforms.is_some() {
        return Err(error::validation("You cannot specify both 'Transforms' and 'ResetTransforms'"));
    }
    let NamedRule::Own(row) = names::rule(tx, &cx.scope, &input.rule_arn)? else {
        return Err(error::not_permitted(format!("Default rule '{}' cannot be modified", input.rule_arn)));
    };
    let listener = names::listener(tx, &cx.scope, &row.listener)?;
    let load_balancer = names::load_balancer(tx, &cx.scope, &listener.load_balancer)?;
    let mut row = (*row).clone();
    if let Some(given) = input.conditions.filter(|conditions| !conditions.is_empty()) {
        row.conditions = conditions::parse(given)?;
    }
    if let Some(given) = input.actions.filter(|actions| !actions.is_empty()) {
        let owner = Owner { arn: &row.arn, protocol: &listener.protocol, former: &row.actions };
        (row.actions, row.action_order) = actions::parse(tx, cx, &load_balancer, owner, given)?;
    }
    if resets {
        row.transforms.clear();
    }
    if let Some(given) = given_transforms {
        row.transforms = transforms::parse(given)?;
    }
    let sent = view::rule(&row);
    tx.rules().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyRuleOutput { rules: Some(vec![sent]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn actions_change_and_conditions_stay() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let rule_arn = path_rule(&fixture, &stack, 1, "/a");
        let input = ModifyRuleInput { rule_arn, actions: Some(vec![fixed("410")]), ..Default::default() };
        let changed = write(&fixture, modify_rule, input).expect("changed").rules.expect("one");
        assert_eq!(changed[0].actions.as_ref().expect("one")[0].r#type.as_deref(), Some("fixed-response"));
        assert_eq!(changed[0].conditions.as_ref().expect("one")[0].values, Some(vec!["/a".to_owned()]));
    }

    #[test]
    fn a_default_rule_is_its_listeners() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let rule_arn = names::default_rule_arn(&stack.listener);
        let input = ModifyRuleInput { rule_arn: rule_arn.clone(), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, modify_rule, input)),
            format!("OperationNotPermitted: Default rule '{rule_arn}' cannot be modified")
        );
    }
}
