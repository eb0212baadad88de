//! What tests of parameters share.

use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::PutParameterInput;

/// A String parameter.
pub fn put(name: &str, value: &str) -> PutParameterInput {
    PutParameterInput {
        name: name.to_owned(),
        value: value.to_owned(),
        r#type: Some("String".to_owned()),
        ..Default::default()
    }
}

/// `Code: text` of a refusal.
pub fn refusal<O: std::fmt::Debug>(result: Result<O, AwsError>) -> String {
    result.expect_err("it is refused").to_string()
}
