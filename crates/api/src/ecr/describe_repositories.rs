//! DescribeRepositories: those named, or all.

use super::{error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{DescribeRepositoriesInput, DescribeRepositoriesOutput};
use longshore_store::Snapshot;

pub fn describe_repositories(state: &Snapshot, cx: &Cx, input: DescribeRepositoriesInput) -> Result<DescribeRepositoriesOutput, AwsError> {
    let registry = input.registry_id.as_deref();
    names::check_registry(&cx.scope, registry)?;
    if let Some(wanted) = input.repository_names.filter(|list| !list.is_empty()) {
        let found = wanted.iter().map(|name| names::repository(state, &cx.scope, registry, name)).collect::<Result<Vec<_>, _>>()?;
        let repositories = found.iter().map(|row| view::repository(&cx.scope, row)).collect();
        return Ok(DescribeRepositoriesOutput { repositories: Some(repositories), next_token: None });
    }
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let page = page::page(state.repositories().prefix(&cx.scope), |row| row.name.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint."))?;
    let repositories = page.items.iter().map(|row| view::repository(&cx.scope, row)).collect();
    Ok(DescribeRepositoriesOutput { repositories: Some(repositories), next_token: page.next_token })
}
