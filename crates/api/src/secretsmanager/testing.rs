//! What tests of secrets share.

use super::get_secret_value::read;
use crate::testing::Fixture;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{
    CreateSecretInput, GetSecretValueInput, GetSecretValueOutput, PutSecretValueInput,
};

pub fn create(name: &str, value: &str) -> CreateSecretInput {
    CreateSecretInput { name: name.to_owned(), secret_string: Some(value.to_owned()), ..Default::default() }
}

pub fn put(id: &str, value: &str, token: char) -> PutSecretValueInput {
    PutSecretValueInput {
        secret_id: id.to_owned(),
        secret_string: Some(value.to_owned()),
        client_request_token: Some(token.to_string().repeat(32)),
        ..Default::default()
    }
}

pub fn get(fixture: &Fixture, id: &str) -> Result<GetSecretValueOutput, AwsError> {
    at(fixture, id, None)
}

pub fn at(fixture: &Fixture, id: &str, stage: Option<&str>) -> Result<GetSecretValueOutput, AwsError> {
    let input =
        GetSecretValueInput { secret_id: id.to_owned(), version_stage: stage.map(str::to_owned), ..Default::default() };
    fixture.read(|state, cx| read(state, cx, &input))
}

/// The current value.
pub fn text(fixture: &Fixture, id: &str) -> String {
    get(fixture, id).expect("it is there").secret_string.expect("it is text")
}

/// `Code: text` of a refusal.
pub fn refusal<O: std::fmt::Debug>(result: Result<O, AwsError>) -> String {
    result.expect_err("it is refused").to_string()
}
