//! What the tests of EC2's handlers share.

use crate::testing::Fixture;
pub use crate::testing::{read, refusal, write};
use longshore_aws_model::ec2::Filter;

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
