//! GetParametersByPath: one level of a hierarchy, or all below.

use super::filter::{self, Filters};
use super::names::Selector;
use super::{error, parameters, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{GetParametersByPathInput, GetParametersByPathOutput};
use longshore_store::Snapshot;

pub fn get_parameters_by_path(
    state: &Snapshot,
    cx: &Cx,
    input: GetParametersByPathInput,
) -> Result<GetParametersByPathOutput, AwsError> {
    // AWS's public parameters: none are here, but asking is no mistake.
    if !filter::is_below(&input.path, "/aws/service", true) && input.path != "/aws/service" {
        filter::check_path(&input.path)?;
    }
    let filters = Filters::parse(input.parameter_filters.unwrap_or_default(), filter::BY_PATH)?;
    let recursive = input.recursive.unwrap_or(false);
    let limit = input.max_results.map_or(10, |n| n.clamp(1, 10) as usize);
    // A label picks its version of each parameter, wherever it is; the newest otherwise.
    let labels = filters.labels();
    let rows = parameters::newest(state, &cx.scope)
        .filter(|(parameter, _)| filter::is_below(&parameter.name, &input.path, recursive))
        .filter_map(|(parameter, newest)| match &labels {
            None => Some((parameter, newest)),
            Some(labels) => {
                let mut versions = parameters::versions(state, &cx.scope, &parameter.name);
                let labelled = versions.find(|v| v.labels.iter().any(|label| labels.contains(label)))?;
                Some((parameter, labelled))
            }
        })
        .filter(|(parameter, version)| filters.allow(parameter, version));
    let page = page::page(rows, |(parameter, _)| parameter.name.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let decrypted = input.with_decryption.unwrap_or(false);
    let shown = page.items.iter().map(|(p, version)| view::parameter(cx, p, version, Selector::Latest, decrypted));
    Ok(GetParametersByPathOutput { parameters: Some(shown.collect::<Result<_, _>>()?), next_token: page.next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;
    use longshore_aws_model::ssm::ParameterStringFilter;

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        for name in ["/app/a", "/app/db/host", "/app/db/port", "/apple", "flat"] {
            fixture.try_write(|tx, cx| put_parameter(tx, cx, put(name, "v"))).expect("stored");
        }
        fixture
    }

    fn names(fixture: &Fixture, input: GetParametersByPathInput) -> Vec<String> {
        let output = fixture.read(|state, cx| get_parameters_by_path(state, cx, input)).expect("a page");
        output.parameters.into_iter().flatten().filter_map(|p| p.name).collect()
    }

    fn at(path: &str, recursive: bool) -> GetParametersByPathInput {
        GetParametersByPathInput { path: path.to_owned(), recursive: Some(recursive), ..Default::default() }
    }

    #[test]
    fn a_path_is_a_level_or_all_below() {
        let fixture = fixture();
        assert_eq!(names(&fixture, at("/app", false)), ["/app/a"]);
        assert_eq!(names(&fixture, at("/app/", true)), ["/app/a", "/app/db/host", "/app/db/port"]);
        assert_eq!(names(&fixture, at("/", false)), ["/apple", "flat"]);
        assert_eq!(names(&fixture, at("/none", true)), Vec::<String>::new());
        for public in ["/aws/service", "/aws/service/", "/aws/service/ecs/optimized-ami"] {
            assert_eq!(names(&fixture, at(public, true)), Vec::<String>::new());
        }
    }

    #[test]
    fn pages_have_at_most_ten_and_filters_are_few() {
        let fixture = fixture();
        let one = GetParametersByPathInput { max_results: Some(1), ..at("/app", true) };
        assert_eq!(names(&fixture, one), ["/app/a"]);
        let filter =
            ParameterStringFilter { key: Some("Name".to_owned()), option: None, values: Some(vec!["x".to_owned()]) };
        let input = GetParametersByPathInput { parameter_filters: Some(vec![filter]), ..at("/app", true) };
        assert_eq!(
            refusal(fixture.read(|state, cx| get_parameters_by_path(state, cx, input))),
            "InvalidFilterKey: The following filter key is not valid: Name. Valid filter keys include: [Type, KeyId, Label]."
        );
        assert!(
            refusal(fixture.read(|state, cx| get_parameters_by_path(state, cx, at("app", true))))
                .starts_with("ValidationException: The parameter doesn't meet the parameter name requirements.")
        );
        assert!(
            refusal(fixture.read(|state, cx| get_parameters_by_path(state, cx, at("/aws/mine", true))))
                .starts_with("ValidationException: ")
        );
    }
}
