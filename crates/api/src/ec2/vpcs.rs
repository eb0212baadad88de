//! Finding VPCs.

use super::error::{self, Kind};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::ec2::Vpc;
use longshore_types::id::VpcId;
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<Vpc>, AwsError> {
    let key = (cx.scope.clone(), VpcId::from(id));
    state.vpcs().get(&key).ok_or_else(|| Kind::Vpc.not_found(&[id]))
}

/// The default VPC of the request's scope.
pub fn default(state: &Snapshot, cx: &Cx) -> Result<Arc<Vpc>, AwsError> {
    state.vpcs().prefix(&cx.scope).find(|vpc| vpc.is_default).ok_or_else(error::no_default_vpc)
}
