//! CreateNetworkAcl, DeleteNetworkAcl, ReplaceNetworkAclAssociation.

use super::error::{self, Kind};
use super::{tags, view, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2 as stored;
use longshore_types::id::NetworkAclId;
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::NetworkAcl>, AwsError> {
    let key = (cx.scope.clone(), NetworkAclId::from(id));
    state.network_acls().get(&key).ok_or_else(|| Kind::NetworkAcl.not_found(&[id]))
}

/// A new ACL denies everything.
pub fn create_network_acl(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateNetworkAclInput,
) -> Result<CreateNetworkAclOutput, AwsError> {
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "network-acl")?;
    let token = input.client_token.filter(|token| !token.is_empty());
    let state: &Snapshot = tx;
    let made = token
        .as_ref()
        .and_then(|token| state.network_acls().prefix(&cx.scope).find(|acl| acl.client_token.as_ref() == Some(token)));
    let acl = match made {
        Some(acl) if acl.vpc == vpc.id => stored::NetworkAcl::clone(&acl),
        Some(_) => return Err(error::idempotent_mismatch()),
        None => stored::NetworkAcl {
            id: NetworkAclId(cx.ids().ec2("acl")),
            vpc: vpc.id.clone(),
            is_default: false,
            entries: Vec::new(),
            associations: Vec::new(),
            client_token: token.clone(),
            tags,
        },
    };
    tx.network_acls().put((cx.scope.clone(), acl.id.clone()), acl.clone());
    let network_acl = Some(view::network_acl(&cx.scope, &acl));
    error::finish(input.dry_run, CreateNetworkAclOutput { network_acl, client_token: token })
}

pub fn delete_network_acl(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteNetworkAclInput,
) -> Result<DeleteNetworkAclOutput, AwsError> {
    let acl = find(tx, cx, &input.network_acl_id)?;
    if acl.is_default {
        return Err(error::invalid_parameter(format!("cannot delete default network ACL {}", acl.id)));
    }
    if !acl.associations.is_empty() {
        return Err(error::has_dependencies("networkAcl", acl.id.as_str()));
    }
    tx.network_acls().remove(&(cx.scope.clone(), acl.id.clone()));
    error::finish(input.dry_run, DeleteNetworkAclOutput {})
}

/// Moves a subnet to another ACL: it has exactly one.
pub fn replace_network_acl_association(
    tx: &mut Tx,
    cx: &Cx,
    input: ReplaceNetworkAclAssociationInput,
) -> Result<ReplaceNetworkAclAssociationOutput, AwsError> {
    let state: &Snapshot = tx;
    let old = find_association(state, cx, &input.association_id);
    let (old, association) = old.ok_or_else(|| Kind::Association.not_found(&[&input.association_id]))?;
    let acl = find(tx, cx, &input.network_acl_id)?;
    if acl.vpc != old.vpc {
        let message = format!("Network ACL {} and subnet {} belong to different networks", acl.id, association.subnet);
        return Err(error::invalid_parameter(message));
    }
    let key = |acl: &NetworkAclId| (cx.scope.clone(), acl.clone());
    tx.network_acls().update(&key(&old.id), |old| old.associations.retain(|one| one.id != association.id));
    let new = stored::NetworkAclAssociation { id: cx.ids().ec2("aclassoc"), subnet: association.subnet.clone() };
    let new_association_id = Some(new.id.clone());
    tx.network_acls().update(&key(&acl.id), |acl| acl.associations.push(new));
    error::finish(input.dry_run, ReplaceNetworkAclAssociationOutput { new_association_id })
}

/// The ACL that has this association.
pub fn find_association(
    state: &Snapshot,
    cx: &Cx,
    id: &str,
) -> Option<(Arc<stored::NetworkAcl>, stored::NetworkAclAssociation)> {
    state.network_acls().prefix(&cx.scope).find_map(|acl| {
        let association = acl.associations.iter().find(|one| one.id == id)?.clone();
        Some((acl, association))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::describe_network_acls::describe_network_acls;
    use crate::ec2::testing::{default_subnet, default_vpc, filter, read, refusal, write};
    use crate::testing::Fixture;

    fn acl_of(fixture: &Fixture, subnet: &str) -> (String, String) {
        let input = DescribeNetworkAclsInput { filters: filter("association.subnet-id", subnet), ..Default::default() };
        let acls = read(fixture, describe_network_acls, input).expect("a list").network_acls.expect("a list");
        let acl = acls.into_iter().next().expect("each subnet has one");
        let association = acl.associations.into_iter().flatten().find(|one| one.subnet_id.as_deref() == Some(subnet));
        let association = association.and_then(|one| one.network_acl_association_id);
        (acl.network_acl_id.expect("an id"), association.expect("an id"))
    }

    #[test]
    fn a_subnet_moves_between_acls() {
        let fixture = Fixture::new();
        let (subnet, vpc_id) = (default_subnet(&fixture), default_vpc(&fixture));
        let input = CreateNetworkAclInput { vpc_id, ..Default::default() };
        let made = write(&fixture, create_network_acl, input).expect("an ACL").network_acl.expect("an ACL");
        assert_eq!((made.is_default, made.entries.map(|entries| entries.len())), (Some(false), Some(2)));
        let id = made.network_acl_id.expect("an id");
        let (default, association) = acl_of(&fixture, &subnet);
        let replace = ReplaceNetworkAclAssociationInput {
            dry_run: None,
            association_id: association.clone(),
            network_acl_id: id.clone(),
        };
        let output = write(&fixture, replace_network_acl_association, replace.clone()).expect("it is replaced");
        assert_eq!(acl_of(&fixture, &subnet), (id.clone(), output.new_association_id.expect("an id")));
        assert_eq!(
            refusal(write(&fixture, replace_network_acl_association, replace)),
            format!("InvalidAssociationID.NotFound: The association ID '{association}' does not exist")
        );
        let delete = |id: &str| DeleteNetworkAclInput { dry_run: None, network_acl_id: id.to_owned() };
        assert_eq!(
            refusal(write(&fixture, delete_network_acl, delete(&id))),
            format!("DependencyViolation: The networkAcl '{id}' has dependencies and cannot be deleted.")
        );
        assert_eq!(
            refusal(write(&fixture, delete_network_acl, delete(&default))),
            format!("InvalidParameterValue: cannot delete default network ACL {default}")
        );
        let replace = ReplaceNetworkAclAssociationInput {
            dry_run: None,
            association_id: acl_of(&fixture, &subnet).1,
            network_acl_id: default,
        };
        write(&fixture, replace_network_acl_association, replace).expect("it is replaced");
        write(&fixture, delete_network_acl, delete(&id)).expect("nothing has it");
    }
}
