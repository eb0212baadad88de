//! CreateRouteTable, DeleteRouteTable, and the associations of route tables with subnets.

use super::error::{self, Kind};
use super::{subnets, tags, view, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::tables::RouteTables;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2 as stored;
use longshore_types::id::RouteTableId;
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::RouteTable>, AwsError> {
    let key = (cx.scope.clone(), RouteTableId::from(id));
    state.route_tables().get(&key).ok_or_else(|| Kind::RouteTable.not_found(&[id]))
}

pub fn create_route_table(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateRouteTableInput,
) -> Result<CreateRouteTableOutput, AwsError> {
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "route-table")?;
    let token = input.client_token.filter(|token| !token.is_empty());
    let state: &Snapshot = tx;
    let made = token.as_ref().and_then(|token| {
        state.route_tables().prefix(&cx.scope).find(|table| table.client_token.as_ref() == Some(token))
    });
    let table = match made {
        Some(table) if table.vpc == vpc.id => stored::RouteTable::clone(&table),
        Some(_) => return Err(error::idempotent_mismatch()),
        None => stored::RouteTable {
            id: RouteTableId(cx.ids().ec2("rtb")),
            vpc: vpc.id.clone(),
            routes: Vec::new(),
            associations: Vec::new(),
            client_token: token.clone(),
            tags,
        },
    };
    tx.route_tables().put((cx.scope.clone(), table.id.clone()), table.clone());
    let route_table = Some(view::route_table(tx, &cx.scope, &table));
    error::finish(input.dry_run, CreateRouteTableOutput { route_table, client_token: token })
}

pub fn delete_route_table(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteRouteTableInput,
) -> Result<DeleteRouteTableOutput, AwsError> {
    let table = find(tx, cx, &input.route_table_id)?;
    // The main table is associated too, with its VPC.
    if !table.associations.is_empty() {
        return Err(error::has_dependencies("routeTable", table.id.as_str()));
    }
    tx.route_tables().remove(&(cx.scope.clone(), table.id.clone()));
    error::finish(input.dry_run, DeleteRouteTableOutput {})
}

pub fn associate_route_table(
    tx: &mut Tx,
    cx: &Cx,
    input: AssociateRouteTableInput,
) -> Result<AssociateRouteTableOutput, AwsError> {
    error::refuse_all!(input; gateway_id = "GatewayId", public_ipv4_pool = "PublicIpv4Pool");
    let table = find(tx, cx, &input.route_table_id)?;
    let id = input.subnet_id.ok_or_else(|| error::missing_parameter("subnetId or gatewayId"))?;
    let subnet = subnets::find(tx, cx, &id)?;
    if subnet.vpc != table.vpc {
        let message = format!("Route table {} and subnet {} belong to different networks", table.id, subnet.id);
        return Err(error::invalid_parameter(message));
    }
    let key = (cx.scope.clone(), subnet.id.clone());
    let association_id = match tx.route_tables().find(&RouteTables::BY_SUBNET, &key) {
        None => add(tx, cx, &table.id, Some(subnet.id.clone())),
        // The same association again is no error.
        Some(present) if present.id == table.id => association_of(&present, &subnet.id),
        Some(_) => {
            let message = format!(
                "the specified association for route table {} conflicts with an existing association",
                table.id
            );
            return Err(error::already_associated(message));
        }
    };
    let output = AssociateRouteTableOutput { association_id: Some(association_id), association_state: associated() };
    error::finish(input.dry_run, output)
}

fn association_of(table: &stored::RouteTable, subnet: &longshore_types::id::SubnetId) -> String {
    let association = table.associations.iter().find(|association| association.subnet.as_ref() == Some(subnet));
    association.map(|association| association.id.clone()).unwrap_or_default()
}

pub fn disassociate_route_table(
    tx: &mut Tx,
    cx: &Cx,
    input: DisassociateRouteTableInput,
) -> Result<DisassociateRouteTableOutput, AwsError> {
    let (table, association) = find_association(tx, cx, &input.association_id)?;
    if association.subnet.is_none() {
        let message = format!("cannot disassociate the main route table association {}", association.id);
        return Err(error::invalid_parameter(message));
    }
    remove(tx, cx, &table.id, &association.id);
    error::finish(input.dry_run, DisassociateRouteTableOutput {})
}

/// Moves a subnet to another table, or makes another one its VPC's main table.
pub fn replace_route_table_association(
    tx: &mut Tx,
    cx: &Cx,
    input: ReplaceRouteTableAssociationInput,
) -> Result<ReplaceRouteTableAssociationOutput, AwsError> {
    let (old, association) = find_association(tx, cx, &input.association_id)?;
    let table = find(tx, cx, &input.route_table_id)?;
    if table.vpc != old.vpc {
        let message = format!("Route table {} and network {} belong to different networks", table.id, old.vpc);
        return Err(error::invalid_parameter(message));
    }
    remove(tx, cx, &old.id, &association.id);
    let new_association_id = Some(add(tx, cx, &table.id, association.subnet));
    let output = ReplaceRouteTableAssociationOutput { new_association_id, association_state: associated() };
    error::finish(input.dry_run, output)
}

pub fn find_association(
    state: &Snapshot,
    cx: &Cx,
    id: &str,
) -> Result<(Arc<stored::RouteTable>, stored::RouteTableAssociation), AwsError> {
    let table = state.route_tables().find(&RouteTables::BY_ASSOCIATION, &(cx.scope.clone(), id.to_owned()));
    let found = table.and_then(|table| {
        let association = table.associations.iter().find(|association| association.id == id)?.clone();
        Some((table, association))
    });
    found.ok_or_else(|| Kind::Association.not_found(&[id]))
}

fn add(tx: &mut Tx, cx: &Cx, table: &RouteTableId, subnet: Option<longshore_types::id::SubnetId>) -> String {
    let id = cx.ids().ec2("rtbassoc");
    let association = stored::RouteTableAssociation { id: id.clone(), subnet };
    let key = (cx.scope.clone(), table.clone());
    tx.route_tables().update(&key, |table| table.associations.push(association));
    id
}

fn remove(tx: &mut Tx, cx: &Cx, table: &RouteTableId, association: &str) {
    let key = (cx.scope.clone(), table.clone());
    tx.route_tables().update(&key, |table| table.associations.retain(|one| one.id != association));
}

fn associated() -> Option<RouteTableAssociationState> {
    Some(RouteTableAssociationState { state: Some("associated".to_owned()), status_message: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_subnet, default_vpc, refusal, write};
    use crate::testing::Fixture;

    fn table(fixture: &Fixture) -> String {
        let input = CreateRouteTableInput { vpc_id: default_vpc(fixture), ..Default::default() };
        let output = write(fixture, create_route_table, input).expect("a table");
        output.route_table.and_then(|table| table.route_table_id).expect("an id")
    }

    fn associate(fixture: &Fixture, table: &str, subnet: &str) -> Result<String, AwsError> {
        let input = AssociateRouteTableInput {
            subnet_id: Some(subnet.to_owned()),
            route_table_id: table.to_owned(),
            ..Default::default()
        };
        write(fixture, associate_route_table, input).map(|output| output.association_id.expect("an id"))
    }

    fn disassociate(fixture: &Fixture, id: &str) -> Result<DisassociateRouteTableOutput, AwsError> {
        let input = DisassociateRouteTableInput { dry_run: None, association_id: id.to_owned() };
        write(fixture, disassociate_route_table, input)
    }

    fn delete(fixture: &Fixture, id: &str) -> Result<DeleteRouteTableOutput, AwsError> {
        write(fixture, delete_route_table, DeleteRouteTableInput { dry_run: None, route_table_id: id.to_owned() })
    }

    #[test]
    fn a_subnet_has_one_table_and_leaves_it_for_the_main_one() {
        let fixture = Fixture::new();
        let (one, two, subnet) = (table(&fixture), table(&fixture), default_subnet(&fixture));
        let association = associate(&fixture, &one, &subnet).expect("it is free");
        assert_eq!(associate(&fixture, &one, &subnet).expect("again"), association);
        assert_eq!(
            refusal(associate(&fixture, &two, &subnet)),
            format!(
                "Resource.AlreadyAssociated: the specified association for route table {two} conflicts with an existing association"
            )
        );
        assert_eq!(
            refusal(delete(&fixture, &one)),
            format!("DependencyViolation: The routeTable '{one}' has dependencies and cannot be deleted.")
        );
        let replace = ReplaceRouteTableAssociationInput {
            dry_run: None,
            association_id: association.clone(),
            route_table_id: two.clone(),
        };
        let output = write(&fixture, replace_route_table_association, replace).expect("it is replaced");
        let new = output.new_association_id.expect("an id");
        assert_ne!(new, association);
        let gone = format!("InvalidAssociationID.NotFound: The association ID '{association}' does not exist");
        assert_eq!(refusal(disassociate(&fixture, &association)), gone);
        disassociate(&fixture, &new).expect("it is there");
        delete(&fixture, &one).expect("nothing has it");
        delete(&fixture, &two).expect("nothing has it");
    }

    #[test]
    fn another_table_becomes_the_main_one() {
        let fixture = Fixture::new();
        let (vpc, new) = (default_vpc(&fixture), table(&fixture));
        let main = |fixture: &Fixture| {
            let vpc = vpc.as_str().into();
            fixture.read(|state, cx| subnets::main_route_table(state, &cx.scope, &vpc).expect("a table").clone())
        };
        let old = main(&fixture);
        let association = old.associations[0].id.clone();
        assert_eq!(
            refusal(disassociate(&fixture, &association)),
            format!("InvalidParameterValue: cannot disassociate the main route table association {association}")
        );
        assert!(refusal(delete(&fixture, old.id.as_str())).starts_with("DependencyViolation"));
        let replace = ReplaceRouteTableAssociationInput {
            dry_run: None,
            association_id: association,
            route_table_id: new.clone(),
        };
        write(&fixture, replace_route_table_association, replace).expect("it is replaced");
        assert_eq!(main(&fixture).id.as_str(), new);
        delete(&fixture, old.id.as_str()).expect("it is not the main one any more");
    }

    #[test]
    fn the_same_token_makes_one_table() {
        let fixture = Fixture::new();
        let input = CreateRouteTableInput {
            vpc_id: default_vpc(&fixture),
            client_token: Some("t".to_owned()),
            ..Default::default()
        };
        let id = || {
            let output = write(&fixture, create_route_table, input.clone()).expect("a table");
            output.route_table.and_then(|table| table.route_table_id)
        };
        assert_eq!(id(), id());
    }
}
