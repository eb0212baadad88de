//! SetRulePriorities: of several rules at once, so that two may change places.

use super::create_rule::check_priority;
use super::names::{self, NamedRule};
use super::{error, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{SetRulePrioritiesInput, SetRulePrioritiesOutput};
use longshore_store::Tx;
use std::collections::BTreeSet;

pub fn set_rule_priorities(
    tx: &mut Tx,
    cx: &Cx,
    input: SetRulePrioritiesInput,
) -> Result<SetRulePrioritiesOutput, AwsError> {
    let mut changed = Vec::new();
    for pair in &input.rule_priorities {
        let arn = pair.rule_arn.as_deref().unwrap_or_default();
        let NamedRule::Own(row) = names::rule(tx, &cx.scope, arn)? else {
            return Err(error::not_permitted(format!("Priority of the default rule '{arn}' cannot be set")));
        };
        let mut row = (*row).clone();
        row.priority = check_priority(pair.priority.unwrap_or_default())?;
        tx.rules().put((cx.scope.clone(), row.arn.clone()), row.clone());
        changed.push(row);
    }
    // Checked when all are written: what counts is how they end up.
    let listeners: BTreeSet<&str> = changed.iter().map(|row| row.listener.as_str()).collect();
    for listener in listeners {
        let rules = names::rules_of(tx, &cx.scope, listener);
        if let Some(pair) = rules.windows(2).find(|pair| pair[0].priority == pair[1].priority) {
            return Err(error::priority_in_use(pair[0].priority));
        }
    }
    Ok(SetRulePrioritiesOutput { rules: Some(changed.iter().map(view::rule).collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::RulePriorityPair;

    #[test]
    fn two_rules_change_places_but_do_not_share_one() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let (a, b) = (path_rule(&fixture, &stack, 1, "/a"), path_rule(&fixture, &stack, 2, "/b"));
        let set = |pairs: &[(&String, i32)]| {
            let pair = |(arn, priority): &(&String, i32)| RulePriorityPair {
                rule_arn: Some(arn.to_string()),
                priority: Some(*priority),
            };
            write(
                &fixture,
                set_rule_priorities,
                SetRulePrioritiesInput { rule_priorities: pairs.iter().map(pair).collect() },
            )
        };
        set(&[(&a, 2), (&b, 1)]).expect("set");
        let priority = |arn: &String| {
            fixture.read(|state, cx| state.rules().get(&(cx.scope.clone(), arn.clone())).expect("a rule").priority)
        };
        assert_eq!((priority(&a), priority(&b)), (2, 1));
        assert_eq!(refusal(set(&[(&a, 1)])), "PriorityInUse: Priority '1' is currently in use");
        assert_eq!((priority(&a), priority(&b)), (2, 1), "undone");
        assert!(refusal(set(&[(&names::default_rule_arn(&stack.listener), 5)])).starts_with("OperationNotPermitted: "));
    }
}
