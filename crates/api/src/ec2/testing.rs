//! What the tests of EC2's handlers share.

use crate::Cx;
use crate::testing::Fixture;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::Filter;
use longshore_store::{Snapshot, Tx};

/// Runs a writing handler as a request: undone when it fails.
pub fn write<I: Send + 'static, O: Send + 'static>(
    fixture: &Fixture,
    handler: fn(&mut Tx, &Cx, I) -> Result<O, AwsError>,
    input: I,
) -> Result<O, AwsError> {
    fixture.try_write(move |tx, cx| handler(tx, cx, input))
}

/// Runs a reading handler.
pub fn read<I, O>(
    fixture: &Fixture,
    handler: fn(&Snapshot, &Cx, I) -> Result<O, AwsError>,
    input: I,
) -> Result<O, AwsError> {
    fixture.read(|state, cx| handler(state, cx, input))
}

/// `Code: text` of a refusal.
pub fn refusal<O: std::fmt::Debug>(result: Result<O, AwsError>) -> String {
    result.expect_err("it is refused").to_string()
}

pub fn filter(name: &str, value: &str) -> Option<Vec<Filter>> {
    Some(vec![Filter { name: Some(name.to_owned()), values: Some(vec![value.to_owned()]) }])
}

/// The default VPC's id.
pub fn default_vpc(fixture: &Fixture) -> String {
    fixture
        .read(|state, cx| state.vpcs().prefix(&cx.scope).find(|vpc| vpc.is_default).expect("it is made").id.to_string())
}

/// The id of one of the default VPC's subnets.
pub fn default_subnet(fixture: &Fixture) -> String {
    fixture.read(|state, cx| state.subnets().prefix(&cx.scope).next().expect("they are made").id.to_string())
}
