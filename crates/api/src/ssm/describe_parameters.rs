//! DescribeParameters: everything of parameters but their values.

use super::filter::{self, Filters};
use super::{error, parameters, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{DescribeParametersInput, DescribeParametersOutput, ParameterStringFilter};
use longshore_store::Snapshot;

pub fn describe_parameters(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeParametersInput,
) -> Result<DescribeParametersOutput, AwsError> {
    let old = input.filters.unwrap_or_default();
    let given = input.parameter_filters.unwrap_or_default();
    if !old.is_empty() && !given.is_empty() {
        let text = "You can use either Filters or ParameterFilters in a single request.";
        return Err(error::validation(text));
    }
    // The older kind matches names by their beginning.
    let old = old.into_iter().map(|filter| ParameterStringFilter {
        option: filter.key.as_deref().filter(|key| *key == "Name").map(|_| "BeginsWith".to_owned()),
        key: filter.key,
        values: filter.values,
    });
    let filters = Filters::parse(old.chain(given).collect(), filter::DESCRIBE)?;
    // Other accounts share nothing here.
    let shared = input.shared == Some(true);
    let limit = input.max_results.map_or(50, |n| n.clamp(1, 50) as usize);
    let rows = parameters::newest(state, &cx.scope)
        .filter(|(parameter, version)| !shared && filters.allow(parameter, version));
    let page = page::page(rows, |(parameter, _)| parameter.name.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    Ok(DescribeParametersOutput {
        parameters: Some(page.items.iter().map(|(p, v)| view::metadata(cx, p, v)).collect()),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;
    use longshore_aws_model::ssm::{ParametersFilter, PutParameterInput, Tag};

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        let tag = Tag { key: Some("team".to_owned()), value: Some("blue".to_owned()) };
        for input in [
            PutParameterInput { tags: Some(vec![tag]), ..put("/app/db/host", "v") },
            PutParameterInput { r#type: Some("SecureString".to_owned()), ..put("/app/db/password", "v") },
            put("/app/url", "v"),
            put("flat", "v"),
        ] {
            fixture.try_write(|tx, cx| put_parameter(tx, cx, input)).expect("stored");
        }
        fixture
    }

    fn filter(key: &str, option: Option<&str>, values: &[&str]) -> DescribeParametersInput {
        let filter = ParameterStringFilter {
            key: Some(key.to_owned()),
            option: option.map(str::to_owned),
            values: (!values.is_empty()).then(|| values.iter().map(|v| (*v).to_owned()).collect()),
        };
        DescribeParametersInput { parameter_filters: Some(vec![filter]), ..Default::default() }
    }

    fn names(fixture: &Fixture, input: DescribeParametersInput) -> String {
        let output = fixture.read(|state, cx| describe_parameters(state, cx, input)).expect("a page");
        output.parameters.into_iter().flatten().filter_map(|p| p.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn filters_choose_by_name_path_type_key_and_tag() {
        let fixture = fixture();
        for (input, expected) in [
            (filter("Name", None, &["flat", "app/url"]), "/app/url flat"),
            (filter("Name", Some("BeginsWith"), &["/app/db"]), "/app/db/host /app/db/password"),
            (filter("Name", Some("Contains"), &["ass", "lat"]), "/app/db/password flat"),
            (filter("Path", None, &["/app"]), "/app/url"),
            (filter("Path", Some("Recursive"), &["/app"]), "/app/db/host /app/db/password /app/url"),
            (filter("Type", None, &["SecureString"]), "/app/db/password"),
            (filter("KeyId", None, &["alias/aws/ssm"]), "/app/db/password"),
            (filter("tag:team", None, &["blue"]), "/app/db/host"),
            (filter("tag:team", None, &[]), "/app/db/host"),
            (filter("Tier", None, &["Advanced"]), ""),
            (DescribeParametersInput { shared: Some(true), ..Default::default() }, ""),
        ] {
            assert_eq!(names(&fixture, input.clone()), expected, "{input:?}");
        }
        let old = ParametersFilter { key: Some("Name".to_owned()), values: Some(vec!["/app/db/p".to_owned()]) };
        let input = DescribeParametersInput { filters: Some(vec![old]), ..Default::default() };
        assert_eq!(names(&fixture, input), "/app/db/password");
    }

    #[test]
    fn bad_filters_are_refused_by_name() {
        let fixture = fixture();
        for (input, expected) in [
            (
                filter("Label", None, &["x"]),
                "InvalidFilterKey: The following filter key is not valid: Label. Valid filter keys include: [Path, Name, Type, KeyId, Tier, DataType].",
            ),
            (
                filter("Path", Some("Equals"), &["/x"]),
                "InvalidFilterOption: The following filter option is not valid: Equals. Valid options include: [OneLevel, Recursive].",
            ),
            (
                filter("Type", None, &["Int"]),
                "InvalidFilterOption: The following filter value is not valid: Int. Valid values include: [String, StringList, SecureString].",
            ),
            (
                filter("Name", None, &[]),
                "InvalidFilterValue: The following filter values are missing : null for filter key Name.",
            ),
        ] {
            assert_eq!(refusal(fixture.read(|state, cx| describe_parameters(state, cx, input))), expected);
        }
    }
}
