//! GetParameter and GetParameters: by name or ARN, perhaps with a version or a label.

use super::{parameters, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{GetParameterInput, GetParameterOutput, GetParametersInput, GetParametersOutput};
use longshore_store::Snapshot;

pub fn get_parameter(state: &Snapshot, cx: &Cx, input: GetParameterInput) -> Result<GetParameterOutput, AwsError> {
    let found = parameters::find(state, &cx.scope, &input.name)?;
    let decrypted = input.with_decryption.unwrap_or(false);
    let parameter = view::parameter(cx, &found.parameter, &found.version, found.selector, decrypted)?;
    Ok(GetParameterOutput { parameter: Some(parameter) })
}

/// Names of nothing are listed, not an error.
pub fn get_parameters(state: &Snapshot, cx: &Cx, input: GetParametersInput) -> Result<GetParametersOutput, AwsError> {
    let decrypted = input.with_decryption.unwrap_or(false);
    let (mut there, mut invalid) = (Vec::new(), Vec::new());
    let mut names = input.names;
    names.sort();
    names.dedup();
    for name in names {
        match parameters::find(state, &cx.scope, &name) {
            Ok(found) => there.push(view::parameter(cx, &found.parameter, &found.version, found.selector, decrypted)?),
            Err(_) => invalid.push(name),
        }
    }
    Ok(GetParametersOutput { parameters: Some(there), invalid_parameters: Some(invalid) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;

    fn get(fixture: &Fixture, name: &str) -> Result<GetParameterOutput, AwsError> {
        let input = GetParameterInput { name: name.to_owned(), with_decryption: None };
        fixture.read(|state, cx| get_parameter(state, cx, input))
    }

    #[test]
    fn names_arns_and_versions_lead_to_the_same_parameter() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/app/url", "u"))).expect("stored");
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("flat", "f"))).expect("stored");
        for (name, arn, selector) in [
            ("/app/url", "arn:aws:ssm:us-east-1:123456789012:parameter/app/url", None),
            ("flat", "arn:aws:ssm:us-east-1:123456789012:parameter/flat", None),
            ("/app/url:1", "arn:aws:ssm:us-east-1:123456789012:parameter/app/url:1", Some(":1")),
        ] {
            let by_name = get(&fixture, name).expect("there").parameter.expect("it is sent");
            assert_eq!(get(&fixture, arn).expect("there").parameter.as_ref(), Some(&by_name));
            assert_eq!(by_name.selector.as_deref(), selector);
            assert_eq!(by_name.arn.as_deref(), Some(arn.trim_end_matches(":1")));
        }
    }

    #[test]
    fn what_is_not_there_is_said_exactly() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/a", "1"))).expect("stored");
        for (name, expected) in [
            ("/b", "ParameterNotFound: Parameter /b not found."),
            (
                "/a:2",
                "ParameterVersionNotFound: Systems Manager could not find version 2 of /a. Verify the version and try again.",
            ),
            (
                "/a:prod",
                "ParameterVersionNotFound: Systems Manager could not find label prod of /a. Verify the label and try again.",
            ),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/a",
                "ParameterNotFound: Parameter arn:aws:ssm:eu-west-1:123456789012:parameter/a not found.",
            ),
        ] {
            assert_eq!(refusal(get(&fixture, name)), expected);
        }
    }

    #[test]
    fn several_at_once_list_the_invalid_ones() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/a", "1"))).expect("stored");
        let names = ["/z", "/a", "/a:9", "/a"].map(str::to_owned).to_vec();
        let input = GetParametersInput { names, with_decryption: None };
        let output = fixture.read(|state, cx| get_parameters(state, cx, input)).expect("a list");
        assert_eq!(output.parameters.map(|list| list.len()), Some(1));
        assert_eq!(output.invalid_parameters, Some(vec!["/a:9".to_owned(), "/z".to_owned()]));
    }
}
