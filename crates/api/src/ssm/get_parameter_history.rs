//! GetParameterHistory: a parameter's versions, oldest first.

use super::{error, names, parameters, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{GetParameterHistoryInput, GetParameterHistoryOutput};
use longshore_store::Snapshot;

pub fn get_parameter_history(
    state: &Snapshot,
    cx: &Cx,
    input: GetParameterHistoryInput,
) -> Result<GetParameterHistoryOutput, AwsError> {
    let name = names::whole(state, &cx.scope, &input.name)?;
    let limit = input.max_results.map_or(50, |n| n.clamp(1, 50) as usize);
    let versions = parameters::versions(state, &cx.scope, &name);
    // Padded, so that the order of texts is the order of numbers.
    let page = page::page(versions, |v| format!("{:020}", v.version), input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let decrypted = input.with_decryption.unwrap_or(false);
    let parameters = page.items.iter().map(|version| view::history(cx, &name, version, decrypted));
    Ok(GetParameterHistoryOutput {
        parameters: Some(parameters.collect::<Result<_, _>>()?),
        next_token: page.next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;
    use longshore_aws_model::ssm::PutParameterInput;

    #[test]
    fn versions_come_oldest_first_in_pages() {
        let fixture = Fixture::new();
        for n in 1..=11 {
            let input = PutParameterInput { overwrite: Some(true), ..put("/a", &n.to_string()) };
            fixture.try_write(|tx, cx| put_parameter(tx, cx, input)).expect("stored");
        }
        let get = |next_token| {
            let input = GetParameterHistoryInput {
                name: "/a".to_owned(),
                max_results: Some(6),
                next_token,
                ..Default::default()
            };
            fixture.read(|state, cx| get_parameter_history(state, cx, input)).expect("a page")
        };
        let values = |output: &GetParameterHistoryOutput| {
            output.parameters.iter().flatten().filter_map(|p| p.value.clone()).collect::<Vec<_>>().join(" ")
        };
        let first = get(None);
        assert_eq!(values(&first), "1 2 3 4 5 6");
        let second = get(first.next_token);
        assert_eq!((values(&second).as_str(), second.next_token), ("7 8 9 10 11", None));
        let refused = |name: &str| {
            let input = GetParameterHistoryInput { name: name.to_owned(), ..Default::default() };
            refusal(fixture.read(|state, cx| get_parameter_history(state, cx, input)))
        };
        assert_eq!(refused("/b"), "ParameterNotFound: Parameter /b not found.");
        assert!(refused("/a:1").starts_with("ValidationException: Parameter name: "));
    }
}
