//! CreateRule, DescribeRules, ModifyRule, DeleteRule, SetRulePriorities.

use super::{actions, conditions, error, find, tags, view};
use crate::Cx;
use crate::ecs::unsupported::IsSet;
use crate::page;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::elbv2::Rule as Row;
use std::collections::BTreeMap;

const RULES_MAX: usize = 100;

fn priority(given: i32) -> Result<u32, AwsError> {
    match given {
        1..=50_000 => Ok(given.unsigned_abs()),
        _ => Err(error::validation(format!("Priority '{given}' must be between 1 and 50000"))),
    }
}

fn in_use(priority: u32) -> AwsError {
    AwsError::new("PriorityInUse", format!("Priority '{priority}' is currently in use"))
}

pub fn create_rule(tx: &mut Tx, cx: &Cx, input: CreateRuleInput) -> Result<CreateRuleOutput, AwsError> {
    if input.transforms.is_set() {
        return Err(error::unsupported("Transforms"));
    }
    let listener = find::listener(tx, &cx.scope, &input.listener_arn)?;
    let priority = priority(input.priority)?;
    let others = find::rules(tx, &cx.scope, &listener.arn);
    if others.iter().any(|rule| rule.priority == priority) {
        return Err(in_use(priority));
    }
    if others.len() >= RULES_MAX {
        return Err(AwsError::new("TooManyRules", "The maximum number of rules on load balancer has been reached"));
    }
    let id = cx.ids().hex(16);
    let row = Row {
        arn: format!("{}/{id}", listener.arn.replacen(":listener/", ":listener-rule/", 1)),
        listener: listener.arn.clone(),
        priority,
        conditions: conditions::parse(input.conditions)?,
        actions: actions::parse(tx, &cx.scope, &listener.load_balancer, input.actions)?,
        tags: tags::parse(input.tags)?,
    };
    let sent = view::rule(&row);
    tx.rules().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateRuleOutput { rules: Some(vec![sent]) })
}

pub fn describe_rules(state: &Snapshot, cx: &Cx, input: DescribeRulesInput) -> Result<DescribeRulesOutput, AwsError> {
    let arns = input.rule_arns.unwrap_or_default();
    let rows: Vec<Rule> = match &input.listener_arn {
        Some(arn) if arns.is_empty() => {
            let listener = find::listener(state, &cx.scope, arn)?;
            let rules = find::rules(state, &cx.scope, arn);
            rules.iter().map(|rule| view::rule(rule)).chain([view::default_rule(&listener)]).collect()
        }
        None if !arns.is_empty() => arns.iter().map(|arn| one(state, cx, arn)).collect::<Result<_, _>>()?,
        _ => return Err(error::validation("You must specify either listener rule ARNs or a listener ARN")),
    };
    // In order of priority, which the keys of pages must follow.
    let keyed = rows.into_iter().enumerate();
    let page = page::page(keyed, |(n, _)| format!("{n:06}"), input.marker.as_deref(), find::limit(input.page_size))
        .map_err(|_| error::bad_marker())?;
    let rules = page.items.into_iter().map(|(_, rule)| rule).collect();
    Ok(DescribeRulesOutput { rules: Some(rules), next_marker: page.next_token })
}

/// A rule, or a listener's default one.
fn one(state: &Snapshot, cx: &Cx, arn: &str) -> Result<Rule, AwsError> {
    if let Ok(rule) = find::rule(state, &cx.scope, arn) {
        return Ok(view::rule(&rule));
    }
    let listener = state.listeners().prefix(&cx.scope).find(|listener| view::default_rule_arn(&listener.arn) == arn);
    listener.map(|listener| view::default_rule(&listener)).ok_or_else(error::no_rule)
}

pub fn modify_rule(tx: &mut Tx, cx: &Cx, input: ModifyRuleInput) -> Result<ModifyRuleOutput, AwsError> {
    if input.transforms.is_set() || input.reset_transforms == Some(true) {
        return Err(error::unsupported("Transforms"));
    }
    refuse_default(tx, cx, &input.rule_arn, "modified")?;
    let mut row = (*find::rule(tx, &cx.scope, &input.rule_arn)?).clone();
    let listener = find::listener(tx, &cx.scope, &row.listener)?;
    if let Some(given) = input.conditions {
        row.conditions = conditions::parse(given)?;
    }
    if let Some(given) = input.actions {
        row.actions = actions::parse(tx, &cx.scope, &listener.load_balancer, given)?;
    }
    let sent = view::rule(&row);
    tx.rules().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyRuleOutput { rules: Some(vec![sent]) })
}

fn refuse_default(state: &Snapshot, cx: &Cx, arn: &str, what: &str) -> Result<(), AwsError> {
    let is_default = state.listeners().prefix(&cx.scope).any(|listener| view::default_rule_arn(&listener.arn) == arn);
    match is_default {
        true => Err(AwsError::new("OperationNotPermitted", format!("Default rule '{arn}' cannot be {what}"))),
        false => Ok(()),
    }
}

pub fn delete_rule(tx: &mut Tx, cx: &Cx, input: DeleteRuleInput) -> Result<DeleteRuleOutput, AwsError> {
    refuse_default(tx, cx, &input.rule_arn, "deleted")?;
    find::rule(tx, &cx.scope, &input.rule_arn)?;
    tx.rules().remove(&(cx.scope.clone(), input.rule_arn));
    Ok(DeleteRuleOutput::default())
}

/// All or none; priorities may be exchanged.
pub fn set_rule_priorities(tx: &mut Tx, cx: &Cx, input: SetRulePrioritiesInput) -> Result<SetRulePrioritiesOutput, AwsError> {
    let mut wanted = BTreeMap::new();
    for pair in input.rule_priorities {
        let arn = pair.rule_arn.unwrap_or_default();
        refuse_default(tx, cx, &arn, "given a priority")?;
        find::rule(tx, &cx.scope, &arn)?;
        wanted.insert(arn, priority(pair.priority.unwrap_or(0))?);
    }
    for (arn, priority) in &wanted {
        let listener = find::rule(tx, &cx.scope, arn)?.listener.clone();
        let clash = |rule: &Row| rule.arn != *arn && wanted.get(&rule.arn).copied().unwrap_or(rule.priority) == *priority;
        if find::rules(tx, &cx.scope, &listener).iter().any(|rule| clash(rule)) {
            return Err(in_use(*priority));
        }
    }
    let mut rules = Vec::new();
    for (arn, priority) in wanted {
        rules.extend(tx.rules().update(&(cx.scope.clone(), arn), |row| {
            row.priority = priority;
            view::rule(row)
        }));
    }
    Ok(SetRulePrioritiesOutput { rules: Some(rules) })
}
