//! DescribeRepositories: those named, or all.

use super::{error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{DescribeRepositoriesInput, DescribeRepositoriesOutput};
use longshore_store::Snapshot;

pub fn describe_repositories(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeRepositoriesInput,
) -> Result<DescribeRepositoriesOutput, AwsError> {
    let registry = input.registry_id.as_deref();
    names::check_registry(&cx.scope, registry)?;
    if let Some(wanted) = input.repository_names.filter(|list| !list.is_empty()) {
        let found = wanted
            .iter()
            .map(|name| names::repository(state, &cx.scope, registry, name))
            .collect::<Result<Vec<_>, _>>()?;
        let repositories = found.iter().map(|row| view::repository(&cx.scope, row)).collect();
        return Ok(DescribeRepositoriesOutput { repositories: Some(repositories), next_token: None });
    }
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let page =
        page::page(state.repositories().prefix(&cx.scope), |row| row.name.clone(), input.next_token.as_deref(), limit)
            .map_err(|_| error::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint."))?;
    let repositories = page.items.iter().map(|row| view::repository(&cx.scope, row)).collect();
    Ok(DescribeRepositoriesOutput { repositories: Some(repositories), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::{repository, web};
    use crate::logs::testing::{Bench, refusal};

    fn names(bench: &Bench, input: DescribeRepositoriesInput) -> (Vec<String>, Option<String>) {
        let output = bench.read(|state, cx| describe_repositories(state, cx, input)).expect("a list");
        let names = output.repositories.into_iter().flatten().filter_map(|row| row.repository_name).collect();
        (names, output.next_token)
    }

    #[test]
    fn repositories_are_named_or_paged() {
        let (bench, _) = web();
        repository(&bench, "api");
        repository(&bench, "team/db");
        let named = DescribeRepositoriesInput { repository_names: Some(vec!["web".to_owned()]), ..Default::default() };
        assert_eq!(names(&bench, named).0, ["web"]);
        let (first, next_token) =
            names(&bench, DescribeRepositoriesInput { max_results: Some(2), ..Default::default() });
        assert_eq!(first, ["api", "team/db"]);
        assert_eq!(
            names(&bench, DescribeRepositoriesInput { next_token, ..Default::default() }),
            (vec!["web".to_owned()], None)
        );
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let (bench, _) = web();
        let refused = |input| refusal(bench.read(|state, cx| describe_repositories(state, cx, input)));
        let named = DescribeRepositoriesInput { repository_names: Some(vec!["z".to_owned()]), ..Default::default() };
        assert_eq!(
            refused(named),
            "RepositoryNotFoundException: The repository with name 'z' does not exist in the registry with id '123456789012'"
        );
        let elsewhere =
            DescribeRepositoriesInput { registry_id: Some("210987654321".to_owned()), ..Default::default() };
        assert!(refused(elsewhere).starts_with("InvalidParameterException: "));
    }
}
