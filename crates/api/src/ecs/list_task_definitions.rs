//! ListTaskDefinitions and ListTaskDefinitionFamilies.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::Snapshot;
use longshore_types::arn;
use longshore_types::ecs::{TaskDefinition as Row, TaskDefinitionStatus};
use longshore_types::id::Family;
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn list_task_definitions(
    state: &Snapshot,
    cx: &Cx,
    input: ListTaskDefinitionsInput,
) -> Result<ListTaskDefinitionsOutput, AwsError> {
    let status = input.status.as_deref().and_then(TaskDefinitionStatus::parse).unwrap_or(TaskDefinitionStatus::Active);
    let descending = input.sort.as_deref() == Some("DESC");
    let limit = names::page_size(input.max_results, 100, 100)?;
    // `familyPrefix` is a family's full name, for all that it is called.
    let mut rows: Vec<_> = match input.family_prefix.map(Family) {
        Some(family) => state.task_definitions().prefix(&(cx.scope.clone(), family)).collect(),
        None => state.task_definitions().prefix(&cx.scope).collect(),
    };
    rows.retain(|row| row.status == status);
    let place = |row: &Arc<Row>| format!("{}:{:010}", row.family, row.revision);
    rows.sort_by_cached_key(place);
    let token = input.next_token.as_deref();
    let page = match descending {
        false => page::page(rows.into_iter(), place, token, limit),
        true => page::page_down(rows.into_iter().rev(), place, token, limit),
    };
    let page = page.map_err(|_| error::bad_token())?;
    let arns = page.items.iter().map(|row| arn::task_definition(&cx.scope, &row.family, row.revision)).collect();
    Ok(ListTaskDefinitionsOutput { task_definition_arns: Some(arns), next_token: page.next_token })
}

pub fn list_task_definition_families(
    state: &Snapshot,
    cx: &Cx,
    input: ListTaskDefinitionFamiliesInput,
) -> Result<ListTaskDefinitionFamiliesOutput, AwsError> {
    let prefix = input.family_prefix.unwrap_or_default();
    // A family is ACTIVE when one of its revisions is.
    let mut families: BTreeMap<String, bool> = BTreeMap::new();
    for row in state.task_definitions().prefix(&cx.scope).filter(|row| row.family.as_str().starts_with(&prefix)) {
        *families.entry(row.family.to_string()).or_default() |= row.status == TaskDefinitionStatus::Active;
    }
    let wanted = |active: bool| match input.status.as_deref() {
        Some("ACTIVE") => active,
        Some("INACTIVE") => !active,
        _ => true,
    };
    let limit = names::page_size(input.max_results, 100, 100)?;
    let names = families.into_iter().filter(|(_, active)| wanted(*active)).map(|(name, _)| name);
    let page = page::page(names, String::clone, input.next_token.as_deref(), limit).map_err(|_| error::bad_token())?;
    Ok(ListTaskDefinitionFamiliesOutput { families: Some(page.items), next_token: page.next_token })
}
