//! DescribeLogGroups: by prefix, by pattern (a substring), or all.

use super::{error, names};
use crate::routes::Backend;
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DescribeLogGroupsInput, DescribeLogGroupsOutput, LogGroup};
use longshore_types::arn;

pub async fn describe_log_groups(
    backend: Backend,
    cx: Cx,
    input: DescribeLogGroupsInput,
) -> Result<DescribeLogGroupsOutput, AwsError> {
    let filters = [&input.log_group_name_prefix, &input.log_group_name_pattern, &input.log_group_class];
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        return Err(error::invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    if input.log_group_identifiers.is_some() && filters.iter().any(|filter| filter.is_some()) {
        return Err(error::invalid("With logGroupIdentifiers the only other filter can be includeLinkedAccounts."));
    }
    let wanted = input.log_group_identifiers.iter().flatten();
    let wanted = wanted.map(|text| names::identified(&cx.scope, text)).collect::<Result<Vec<_>, _>>()?;
    let is_here = names::is_searched(&cx.scope, input.include_linked_accounts, input.account_identifiers.as_deref())?;
    let matches = |name: &str| {
        is_here
            && input.log_group_name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
            && input.log_group_name_pattern.as_ref().is_none_or(|part| name.contains(part.as_str()))
            && (wanted.is_empty() || wanted.contains(&name))
            && input.log_group_class.as_ref().is_none_or(|class| class == "STANDARD")
    };
    let limit = input.limit.map_or(50, |n| n.clamp(1, 50) as usize);
    let state = backend.store.snapshot();
    let rows = state.log_groups().prefix(&cx.scope).filter(|row| matches(&row.name));
    let page =
        page::page(rows, |row| row.name.clone(), input.next_token.as_deref(), limit).map_err(|_| error::bad_token())?;
    let group = |row: &std::sync::Arc<longshore_types::logs::LogGroup>| {
        let arn = arn::log_group(&cx.scope, &row.name);
        if input.log_group_name_pattern.is_some() {
            // As documented: a search by pattern tells no more.
            return LogGroup {
                log_group_name: Some(row.name.clone()),
                creation_time: Some(row.created_at.0),
                arn: Some(format!("{arn}:*")),
                ..Default::default()
            };
        }
        let streams = state.log_streams().prefix(&(cx.scope.clone(), row.name.clone()));
        let stored_bytes =
            backend.logs.stored_bytes(&names::key(&cx.scope, &row.name), streams.map(|stream| stream.name.clone()));
        LogGroup {
            log_group_name: Some(row.name.clone()),
            creation_time: Some(row.created_at.0),
            retention_in_days: row.retention_days,
            metric_filter_count: Some(0),
            arn: Some(format!("{arn}:*")),
            stored_bytes: Some(stored_bytes as i64),
            log_group_class: Some("STANDARD".to_owned()),
            log_group_arn: Some(arn),
            deletion_protection_enabled: Some(row.deletion_protection),
            ..Default::default()
        }
    };
    Ok(DescribeLogGroupsOutput {
        log_groups: Some(page.items.iter().map(group).collect()),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::create_log_group::create_log_group;
    use crate::logs::testing::{Bench, refusal};
    use longshore_aws_model::logs::CreateLogGroupInput;

    fn names(bench: &Bench, input: DescribeLogGroupsInput) -> Vec<String> {
        let output = bench.call(describe_log_groups, input).expect("a list");
        output.log_groups.into_iter().flatten().filter_map(|group| group.log_group_name).collect()
    }

    #[test]
    fn groups_are_chosen_and_paged_by_name() {
        let bench = Bench::new();
        for name in ["/ecs/api", "/ecs/web", "/lambda/Web"] {
            let input = CreateLogGroupInput { log_group_name: name.to_owned(), ..Default::default() };
            bench.call(create_log_group, input).expect("made");
        }
        let text = |text: &str| Some(text.to_owned());
        let input = DescribeLogGroupsInput { log_group_name_prefix: text("/ecs/"), ..Default::default() };
        assert_eq!(names(&bench, input), ["/ecs/api", "/ecs/web"]);
        let input = DescribeLogGroupsInput { log_group_name_pattern: text("a/W"), ..Default::default() };
        assert_eq!(names(&bench, input), ["/lambda/Web"], "case counts");
        let first = DescribeLogGroupsInput { limit: Some(2), ..Default::default() };
        let first = bench.call(describe_log_groups, first).expect("a page");
        let group = &first.log_groups.as_ref().expect("two")[0];
        assert_eq!(group.arn.as_deref(), Some("arn:aws:logs:us-east-1:123456789012:log-group:/ecs/api:*"));
        assert_eq!(group.log_group_arn.as_deref(), Some("arn:aws:logs:us-east-1:123456789012:log-group:/ecs/api"));
        assert_eq!(group.stored_bytes, Some(0));
        let input = DescribeLogGroupsInput { next_token: first.next_token, ..Default::default() };
        assert_eq!(names(&bench, input), ["/lambda/Web"]);
        let input = DescribeLogGroupsInput {
            log_group_name_prefix: text("a"),
            log_group_name_pattern: text("a"),
            ..Default::default()
        };
        assert!(refusal(bench.call(describe_log_groups, input)).contains("mutually exclusive"));
        let log_group_identifiers = Some(vec!["/ecs/web".to_owned()]);
        let input = DescribeLogGroupsInput { log_group_identifiers, ..Default::default() };
        assert_eq!(names(&bench, input.clone()), ["/ecs/web"]);
        let input = DescribeLogGroupsInput { log_group_class: text("STANDARD"), ..input };
        assert!(refusal(bench.call(describe_log_groups, input)).contains("logGroupIdentifiers"));
        let of = |account: &str| DescribeLogGroupsInput {
            include_linked_accounts: Some(true),
            account_identifiers: Some(vec![account.to_owned()]),
            ..Default::default()
        };
        assert_eq!(names(&bench, of("123456789012")).len(), 3);
        assert_eq!(names(&bench, of("999999999999")).len(), 0);
    }
}
