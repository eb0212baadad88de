//! Finding security groups, as requests name them.

use super::error::{self, Kind};
use super::vpcs;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_store::tables::SecurityGroups;
use longshore_types::ec2::{SecurityGroup, Vpc};
use longshore_types::id::SecurityGroupId;
use std::sync::Arc;

pub fn by_id(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<SecurityGroup>, AwsError> {
    let key = (cx.scope.clone(), SecurityGroupId::from(id));
    state.security_groups().get(&key).ok_or_else(|| Kind::SecurityGroup.not_found(&[id]))
}

/// The group of this name in a VPC.
pub fn in_vpc(state: &Snapshot, cx: &Cx, vpc: &Vpc, name: &str) -> Option<Arc<SecurityGroup>> {
    let key = (cx.scope.clone(), vpc.id.clone());
    state.security_groups().by_index(&SecurityGroups::BY_VPC, &key).find(|group| group.name == name)
}

/// The group that a request names by `GroupId`, or by `GroupName` in the default VPC.
pub fn named(state: &Snapshot, cx: &Cx, id: Option<&str>, name: Option<&str>) -> Result<Arc<SecurityGroup>, AwsError> {
    match (id, name) {
        (Some(id), _) => by_id(state, cx, id),
        (None, Some(name)) => {
            let vpc = vpcs::default(state, cx)?;
            in_vpc(state, cx, &vpc, name).ok_or_else(|| error::group_name_not_found(name, vpc.id.as_str()))
        }
        (None, None) => Err(error::missing_parameter("groupName or groupId")),
    }
}
