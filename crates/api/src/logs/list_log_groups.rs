//! ListLogGroups: by a pattern of names, by class, by tags.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{ListLogGroupsInput, ListLogGroupsOutput, LogGroupSummary, TagFilter};
use longshore_store::Snapshot;
use longshore_types::{Tags, arn};

pub fn list_log_groups(state: &Snapshot, cx: &Cx, input: ListLogGroupsInput) -> Result<ListLogGroupsOutput, AwsError> {
    if input.data_sources.is_some() {
        return Err(error::unsupported("dataSources"));
    }
    if input.field_index_names.is_some() {
        return Err(error::unsupported("fieldIndexNames"));
    }
    let is_here = names::is_searched(&cx.scope, input.include_linked_accounts, input.account_identifiers.as_deref())?;
    let filters = input.log_group_tags.unwrap_or_default();
    let rows = state.log_groups().prefix(&cx.scope).filter(|row| {
        is_here
            && input.log_group_name_pattern.as_deref().is_none_or(|pattern| matches(pattern, &row.name))
            && input.log_group_class.as_deref().is_none_or(|class| class == "STANDARD")
            && filters.iter().all(|filter| has_tag(filter, &row.tags))
    });
    let limit = input.limit.map_or(50, |n| n.clamp(1, 1000) as usize);
    let page =
        page::page(rows, |row| row.name.clone(), input.next_token.as_deref(), limit).map_err(|_| error::bad_token())?;
    let summary = |row: &std::sync::Arc<longshore_types::logs::LogGroup>| LogGroupSummary {
        log_group_name: Some(row.name.clone()),
        log_group_arn: Some(arn::log_group(&cx.scope, &row.name)),
        log_group_class: Some("STANDARD".to_owned()),
    };
    Ok(ListLogGroupsOutput { log_groups: Some(page.items.iter().map(summary).collect()), next_token: page.next_token })
}

/// `^/aws/|web`: one of the parts is in the name, or begins it.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.split('|').any(|part| match part.strip_prefix('^') {
        Some(start) => name.starts_with(start),
        None => name.contains(part),
    })
}

/// The group has the key, with one of the values if there are any; `*` stands for any text at a value's ends, `!` before it
/// for all other values.
fn has_tag(filter: &TagFilter, tags: &Tags) -> bool {
    let Some(value) = filter.key.as_deref().and_then(|key| tags.get(key)) else { return false };
    let wanted = filter.values.as_deref().unwrap_or_default();
    wanted.is_empty()
        || wanted.iter().any(|wanted| match wanted.strip_prefix('!') {
            Some(other) => !is_like(other, value),
            None => is_like(wanted, value),
        })
}

fn is_like(wanted: &str, value: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some("") | None, Some(start)) => value.starts_with(start),
        (Some(end), None) => value.ends_with(end),
        (Some(rest), Some(_)) => value.contains(rest.trim_end_matches('*')),
        (None, None) => value == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::create_log_group::create_log_group;
    use crate::logs::testing::Bench;
    use longshore_aws_model::logs::CreateLogGroupInput;

    #[test]
    fn groups_are_chosen_by_name_and_tags() {
        let bench = Bench::new();
        for (name, team) in [("/ecs/api", "blue"), ("/ecs/web", "red"), ("/lambda/web", "")] {
            let tags = (!team.is_empty()).then(|| [("team".to_owned(), team.to_owned())].into());
            let input = CreateLogGroupInput { log_group_name: name.to_owned(), tags, ..Default::default() };
            bench.call(create_log_group, input).expect("made");
        }
        let list = |input| {
            let output = bench.read(|state, cx| list_log_groups(state, cx, input)).expect("a list");
            output.log_groups.into_iter().flatten().filter_map(|group| group.log_group_name).collect::<Vec<_>>()
        };
        let by_name = |pattern: &str| ListLogGroupsInput {
            log_group_name_pattern: Some(pattern.to_owned()),
            ..Default::default()
        };
        assert_eq!(list(by_name("^/ecs")), ["/ecs/api", "/ecs/web"]);
        assert_eq!(list(by_name("^ecs|/web")), ["/ecs/web", "/lambda/web"]);
        let by_tag = |value: &str| {
            let values = (!value.is_empty()).then(|| vec![value.to_owned()]);
            let filter = TagFilter { key: Some("team".to_owned()), values };
            list(ListLogGroupsInput { log_group_tags: Some(vec![filter]), ..Default::default() })
        };
        assert_eq!(by_tag(""), ["/ecs/api", "/ecs/web"]);
        assert_eq!(by_tag("b*"), ["/ecs/api"]);
        assert_eq!(by_tag("!blue"), ["/ecs/web"]);
        assert_eq!(by_tag("*e*"), ["/ecs/api", "/ecs/web"]);
        assert_eq!(by_tag("*ed"), ["/ecs/web"]);
    }
}
