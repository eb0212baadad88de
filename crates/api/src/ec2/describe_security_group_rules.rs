//! DescribeSecurityGroupRules.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::{Listing, check_exist, choice};
use super::security_group_rules;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{
    DescribeSecurityGroupRulesInput, DescribeSecurityGroupRulesOutput, SecurityGroupRule, Tag,
};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<SecurityGroupRule> =
    &[("group-id", |rule| text(&rule.group_id)), ("security-group-rule-id", |rule| text(&rule.security_group_rule_id))];

impl Tagged for SecurityGroupRule {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_security_group_rules(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeSecurityGroupRulesInput,
) -> Result<DescribeSecurityGroupRulesOutput, AwsError> {
    let ids = input.security_group_rule_ids.as_deref();
    check_exist(Kind::SecurityGroupRule, ids, |id| security_group_rules::find(state, &cx.scope, id).is_some())?;
    let is_chosen = choice(ids);
    let mut rules = Vec::new();
    for group in state.security_groups().prefix(&cx.scope) {
        let chosen = group.rules.iter().filter(|rule| is_chosen(rule.id.as_str()));
        rules.extend(chosen.map(|rule| security_group_rules::view(&cx.scope, &group, rule)));
    }
    rules.sort_by(|a, b| a.security_group_rule_id.cmp(&b.security_group_rule_id));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (security_group_rules, next_token) =
        listing.page(rules.into_iter(), |rule| &rule.security_group_rule_id, FILTERS)?;
    error::finish(input.dry_run, DescribeSecurityGroupRulesOutput { security_group_rules, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{filter, read, refusal};
    use crate::testing::Fixture;

    #[test]
    fn the_rules_of_a_group_are_told() {
        let fixture = Fixture::new();
        let group =
            fixture.read(|state, _| state.security_groups().all().next().expect("the default group").id.clone());
        let input =
            DescribeSecurityGroupRulesInput { filters: filter("group-id", group.as_str()), ..Default::default() };
        let rules = read(&fixture, describe_security_group_rules, input).expect("a list").security_group_rules;
        let mut rules = rules.expect("rules");
        rules.sort_by_key(|rule| rule.is_egress);
        assert_eq!(
            rules[0].referenced_group_info.as_ref().and_then(|info| info.group_id.as_deref()),
            Some(group.as_str())
        );
        assert_eq!((rules[0].from_port, rules[1].cidr_ipv4.as_deref()), (Some(-1), Some("0.0.0.0/0")));
        let input = DescribeSecurityGroupRulesInput {
            security_group_rule_ids: Some(vec!["sgr-1".to_owned()]),
            ..Default::default()
        };
        assert_eq!(
            refusal(read(&fixture, describe_security_group_rules, input)),
            "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-1' does not exist"
        );
    }
}
