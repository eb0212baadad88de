//! Finding subnets, and what comes and goes with one: its place in its VPC's network ACLs and route tables.

use super::error::Kind;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::tables::{NetworkAcls, RouteTables};
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::ec2::{NetworkAcl, NetworkAclAssociation, RouteTable, Subnet};
use longshore_types::id::{SubnetId, VpcId};
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<Subnet>, AwsError> {
    let key = (cx.scope.clone(), SubnetId::from(id));
    state.subnets().get(&key).ok_or_else(|| Kind::Subnet.not_found(&[id]))
}

/// Stores a new subnet and gives it its VPC's default network ACL.
pub fn add(tx: &mut Tx, cx: &Cx, subnet: Subnet) {
    let default = default_acl(tx, &cx.scope, &subnet.vpc);
    let association = NetworkAclAssociation { id: cx.ids().ec2("aclassoc"), subnet: subnet.id.clone() };
    if let Some(acl) = default {
        tx.network_acls().update(&(cx.scope.clone(), acl.id.clone()), |acl| acl.associations.push(association));
    }
    tx.subnets().put((cx.scope.clone(), subnet.id.clone()), subnet);
}

/// Removes a subnet, and its associations with it.
pub fn remove(tx: &mut Tx, scope: &Scope, id: &SubnetId) -> Option<Arc<Subnet>> {
    let key = (scope.clone(), id.clone());
    let removed = tx.subnets().remove(&key)?;
    if let Some(acl) = tx.network_acls().find(&NetworkAcls::BY_SUBNET, &key) {
        let acl = (scope.clone(), acl.id.clone());
        tx.network_acls().update(&acl, |acl| acl.associations.retain(|one| one.subnet != *id));
    }
    if let Some(table) = tx.route_tables().find(&RouteTables::BY_SUBNET, &key) {
        let table = (scope.clone(), table.id.clone());
        tx.route_tables().update(&table, |table| table.associations.retain(|one| one.subnet.as_ref() != Some(id)));
    }
    Some(removed)
}

/// The ACL that a VPC's subnets begin with.
pub fn default_acl(state: &Snapshot, scope: &Scope, vpc: &VpcId) -> Option<Arc<NetworkAcl>> {
    state.network_acls().by_index(&NetworkAcls::BY_VPC, &(scope.clone(), vpc.clone())).find(|acl| acl.is_default)
}

/// The table of a VPC's subnets that have no other.
pub fn main_route_table(state: &Snapshot, scope: &Scope, vpc: &VpcId) -> Option<Arc<RouteTable>> {
    state.route_tables().by_index(&RouteTables::BY_VPC, &(scope.clone(), vpc.clone())).find(|table| table.is_main())
}

/// The table that decides for a subnet.
pub fn route_table(state: &Snapshot, scope: &Scope, subnet: &Subnet) -> Option<Arc<RouteTable>> {
    let own = state.route_tables().find(&RouteTables::BY_SUBNET, &(scope.clone(), subnet.id.clone()));
    own.or_else(|| main_route_table(state, scope, &subnet.vpc))
}
