//! DeleteParameter and DeleteParameters: with all versions.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{
    DeleteParameterInput, DeleteParameterOutput, DeleteParametersInput, DeleteParametersOutput,
};
use longshore_store::{Snapshot, Tx};

pub fn delete_parameter(tx: &mut Tx, cx: &Cx, input: DeleteParameterInput) -> Result<DeleteParameterOutput, AwsError> {
    if !delete(tx, cx, &input.name) {
        return Err(error::not_found(&input.name));
    }
    Ok(DeleteParameterOutput::default())
}

pub fn delete_parameters(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteParametersInput,
) -> Result<DeleteParametersOutput, AwsError> {
    let (deleted, invalid) = input.names.into_iter().partition(|name| delete(tx, cx, name));
    Ok(DeleteParametersOutput { deleted_parameters: Some(deleted), invalid_parameters: Some(invalid) })
}

/// Whether there was one of exactly this name.
fn delete(tx: &mut Tx, cx: &Cx, name: &str) -> bool {
    let key = (cx.scope.clone(), name.to_owned());
    let versions: Vec<_> = {
        let state: &Snapshot = tx;
        state.parameter_versions().prefix(&key).keys().collect()
    };
    for version in versions {
        tx.parameter_versions().remove(&version);
    }
    tx.parameters().remove(&key).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;

    #[test]
    fn a_parameter_goes_with_its_versions_and_its_numbers_begin_again() {
        let fixture = Fixture::new();
        for name in ["/a", "/b"] {
            fixture.try_write(|tx, cx| put_parameter(tx, cx, put(name, "1"))).expect("stored");
        }
        let input = DeleteParametersInput { names: vec!["/a".to_owned(), "/c".to_owned()] };
        let output = fixture.try_write(|tx, cx| delete_parameters(tx, cx, input)).expect("deleted");
        assert_eq!(output.deleted_parameters, Some(vec!["/a".to_owned()]));
        assert_eq!(output.invalid_parameters, Some(vec!["/c".to_owned()]));
        assert_eq!(fixture.read(|state, _| (state.parameters().len(), state.parameter_versions().len())), (1, 1));
        let again = || DeleteParameterInput { name: "/a".to_owned() };
        assert_eq!(
            refusal(fixture.try_write(move |tx, cx| delete_parameter(tx, cx, again()))),
            "ParameterNotFound: Parameter /a not found."
        );
        let put = fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/a", "2"))).expect("stored");
        assert_eq!(put.version, Some(1));
    }
}
