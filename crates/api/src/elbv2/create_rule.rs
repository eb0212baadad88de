//! CreateRule.

use super::authenticate::Owner;
use super::{actions, conditions, error, limits, names, tags, transforms, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateRuleInput, CreateRuleOutput};
use longshore_store::Tx;
use longshore_types::elbv2::Rule;

pub fn create_rule(tx: &mut Tx, cx: &Cx, input: CreateRuleInput) -> Result<CreateRuleOutput, AwsError> {
    let listener = names::listener(tx, &cx.scope, &input.listener_arn)?;
    let load_balancer = names::load_balancer(tx, &cx.scope, &listener.load_balancer)?;
    let priority = check_priority(input.priority)?;
    let conditions = conditions::parse(input.conditions)?;
    let arn = names::rule_arn(&listener.arn, &cx.ids().hex(16));
    let owner = Owner { arn: &arn, protocol: &listener.protocol, former: &[] };
    let (actions, action_order) = actions::parse(tx, cx, &load_balancer, owner, input.actions)?;
    let transforms = transforms::parse(input.transforms.unwrap_or_default())?;
    let tags = tags::parse(&input.tags.unwrap_or_default())?;
    if names::rules_of(tx, &cx.scope, &listener.arn).iter().any(|rule| rule.priority == priority) {
        return Err(error::priority_in_use(priority));
    }
    limits::check(&limits::RULES, limits::rules(tx, &cx.scope, &load_balancer.arn) + 1)?;
    let row =
        Rule { arn, listener: listener.arn.clone(), priority, conditions, actions, action_order, transforms, tags };
    let sent = view::rule(&row);
    tx.rules().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateRuleOutput { rules: Some(vec![sent]) })
}

pub fn check_priority(priority: i32) -> Result<u32, AwsError> {
    let priority = u32::try_from(priority).ok().filter(|priority| (1..=50_000).contains(priority));
    priority.ok_or_else(|| error::validation("The priority of a rule must be from 1 to 50000"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::Action;

    #[test]
    fn a_rule_is_made_and_shown_as_it_was_given() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let made = write(&fixture, create_rule, rule_input(&stack, 10, "/a/*")).expect("made").rules.expect("one");
        assert_eq!((made[0].priority.as_deref(), made[0].is_default), (Some("10"), Some(false)));
        let condition = &made[0].conditions.as_ref().expect("one")[0];
        assert_eq!(condition.values, Some(vec!["/a/*".to_owned()]));
        assert_eq!(condition.path_pattern_config.as_ref().and_then(|config| config.values.clone()), condition.values);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        path_rule(&fixture, &stack, 1, "/a");
        let input = || rule_input(&stack, 2, "/b");
        for (given, expected) in [
            (rule_input(&stack, 1, "/b"), "PriorityInUse: Priority '1' is currently in use"),
            (rule_input(&stack, 0, "/b"), "ValidationError: The priority of a rule must be from 1 to 50000"),
            (CreateRuleInput { conditions: vec![], ..input() }, "ValidationError: A condition must be specified"),
            (CreateRuleInput { actions: vec![], ..input() }, "ValidationError: You must specify at least one action"),
            (
                CreateRuleInput { listener_arn: format!("{}0", stack.listener), ..input() },
                "ListenerNotFound: One or more listeners not found",
            ),
            (
                CreateRuleInput { transforms: Some(vec![Default::default()]), ..input() },
                "ValidationError: Transform type '' must be one of '[host-header-rewrite, url-rewrite]'",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_rule, given)), expected);
        }
    }

    #[test]
    fn an_order_is_shown_where_one_was_given() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let shown = |priority: i32, order: Option<i32>| {
            let input = rule_input(&stack, priority, "/a/*");
            let actions = input.actions.iter().map(|action| Action { order, ..action.clone() }).collect();
            let made = write(&fixture, create_rule, CreateRuleInput { actions, ..input }).expect("made");
            made.rules.expect("one")[0].actions.as_ref().expect("one")[0].order
        };
        assert_eq!((shown(1, None), shown(2, Some(1)), shown(3, Some(100))), (None, Some(1), Some(100)));
    }
}
