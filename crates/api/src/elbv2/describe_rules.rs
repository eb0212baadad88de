//! DescribeRules: of a listener by priority, the default one last, or by ARN.

use super::list::{Paging, given, only_one};
use super::names::{self, NamedRule};
use super::{error, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{DescribeRulesInput, DescribeRulesOutput, Rule};
use longshore_store::Snapshot;

pub fn describe_rules(state: &Snapshot, cx: &Cx, input: DescribeRulesInput) -> Result<DescribeRulesOutput, AwsError> {
    let arns = given(&input.rule_arns);
    only_one(&[("Listener ARN", input.listener_arn.is_some()), ("rule ARNs", arns.is_some())])?;
    let mut rules: Vec<Rule> = match (&input.listener_arn, arns) {
        (Some(arn), _) => {
            let listener = names::listener(state, &cx.scope, arn)?;
            let own = names::rules_of(state, &cx.scope, arn);
            own.iter().map(|rule| view::rule(rule)).chain([view::default_rule(&listener)]).collect()
        }
        (_, Some(arns)) => {
            let find = |arn: &String| {
                names::rule(state, &cx.scope, arn).map(|rule| match rule {
                    NamedRule::Own(rule) => view::rule(&rule),
                    NamedRule::Default(listener) => view::default_rule(&listener),
                })
            };
            arns.iter().map(find).collect::<Result<_, _>>()?
        }
        _ => return Err(error::validation("You must specify either listener rule ARNs or a listener ARN")),
    };
    rules.sort_by_cached_key(order);
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let (rules, next_marker) = paging.page(rules.into_iter(), order)?;
    Ok(DescribeRulesOutput { rules: Some(rules), next_marker })
}

/// Sorts priorities as numbers, and `default` after them; the ARN tells apart rules of several listeners.
fn order(rule: &Rule) -> String {
    let priority = rule.priority.as_deref().unwrap_or_default();
    format!("{priority:0>8} {}", rule.rule_arn.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn rules_come_by_priority_with_the_default_one_last() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        for priority in [100, 9, 50_000] {
            path_rule(&fixture, &stack, priority, "/a");
        }
        let page = |marker| {
            let input = DescribeRulesInput {
                listener_arn: Some(stack.listener.clone()),
                page_size: Some(3),
                marker,
                ..Default::default()
            };
            read(&fixture, describe_rules, input).expect("a page")
        };
        let priorities = |output: &DescribeRulesOutput| -> Vec<String> {
            output.rules.iter().flatten().filter_map(|rule| rule.priority.clone()).collect()
        };
        let first = page(None);
        assert_eq!(priorities(&first), ["9", "100", "50000"]);
        let second = page(first.next_marker);
        assert_eq!((priorities(&second), second.next_marker), (vec!["default".to_owned()], None));
        let default = &second.rules.expect("one")[0];
        assert_eq!(default.is_default, Some(true));
        let input =
            DescribeRulesInput { rule_arns: default.rule_arn.clone().map(|arn| vec![arn]), ..Default::default() };
        assert_eq!(priorities(&read(&fixture, describe_rules, input).expect("a list")), ["default"]);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let unknown = names::rule_arn(&stack.listener, "0123456789abcdef");
        let input = DescribeRulesInput { rule_arns: Some(vec![unknown]), ..Default::default() };
        assert_eq!(refusal(read(&fixture, describe_rules, input)), "RuleNotFound: One or more rules not found");
        assert_eq!(
            refusal(read(&fixture, describe_rules, DescribeRulesInput::default())),
            "ValidationError: You must specify either listener rule ARNs or a listener ARN"
        );
    }
}
