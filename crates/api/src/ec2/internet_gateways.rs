//! CreateInternetGateway, DeleteInternetGateway, AttachInternetGateway, DetachInternetGateway.

use super::error::{self, Kind};
use super::{tags, view, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::tables::{InternetGateways, NetworkInterfaces};
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2 as stored;
use longshore_types::id::InternetGatewayId;
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::InternetGateway>, AwsError> {
    let key = (cx.scope.clone(), InternetGatewayId::from(id));
    state.internet_gateways().get(&key).ok_or_else(|| Kind::InternetGateway.not_found(&[id]))
}

pub fn create_internet_gateway(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateInternetGatewayInput,
) -> Result<CreateInternetGatewayOutput, AwsError> {
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "internet-gateway")?;
    let gateway = stored::InternetGateway { id: InternetGatewayId(cx.ids().ec2("igw")), vpc: None, tags };
    tx.internet_gateways().put((cx.scope.clone(), gateway.id.clone()), gateway.clone());
    let sent = view::internet_gateway(&cx.scope, &gateway);
    error::finish(input.dry_run, CreateInternetGatewayOutput { internet_gateway: Some(sent) })
}

pub fn delete_internet_gateway(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteInternetGatewayInput,
) -> Result<DeleteInternetGatewayOutput, AwsError> {
    let gateway = find(tx, cx, &input.internet_gateway_id)?;
    if gateway.vpc.is_some() {
        return Err(error::has_dependencies("internetGateway", gateway.id.as_str()));
    }
    tx.internet_gateways().remove(&(cx.scope.clone(), gateway.id.clone()));
    error::finish(input.dry_run, DeleteInternetGatewayOutput {})
}

pub fn attach_internet_gateway(
    tx: &mut Tx,
    cx: &Cx,
    input: AttachInternetGatewayInput,
) -> Result<AttachInternetGatewayOutput, AwsError> {
    let gateway = find(tx, cx, &input.internet_gateway_id)?;
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    if let Some(other) = &gateway.vpc {
        let message = format!("resource {} is already attached to network {other}", gateway.id);
        return Err(error::already_associated(message));
    }
    if is_attached(tx, cx, &vpc.id) {
        let message = format!("Network {} already has an internet gateway attached", vpc.id);
        return Err(error::invalid_parameter(message));
    }
    let key = (cx.scope.clone(), gateway.id.clone());
    tx.internet_gateways().update(&key, |gateway| gateway.vpc = Some(vpc.id.clone()));
    error::finish(input.dry_run, AttachInternetGatewayOutput {})
}

/// Whether a VPC has an internet gateway.
pub fn is_attached(state: &Snapshot, cx: &Cx, vpc: &longshore_types::id::VpcId) -> bool {
    state.internet_gateways().find(&InternetGateways::BY_VPC, &(cx.scope.clone(), vpc.clone())).is_some()
}

/// Routes to the gateway stay and lead nowhere.
pub fn detach_internet_gateway(
    tx: &mut Tx,
    cx: &Cx,
    input: DetachInternetGatewayInput,
) -> Result<DetachInternetGatewayOutput, AwsError> {
    let gateway = find(tx, cx, &input.internet_gateway_id)?;
    let vpc = vpcs::find(tx, cx, &input.vpc_id)?;
    if gateway.vpc.as_ref() != Some(&vpc.id) {
        let message = format!("resource {} is not attached to network {}", gateway.id, vpc.id);
        return Err(AwsError::new("Gateway.NotAttached", message));
    }
    let key = (cx.scope.clone(), vpc.id.clone());
    let state: &Snapshot = tx;
    let mut interfaces = state.network_interfaces().by_index(&NetworkInterfaces::BY_VPC, &key);
    if interfaces.any(|interface| interface.public_address.is_some()) {
        let message = format!(
            "Network {} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.",
            vpc.id
        );
        return Err(AwsError::new("DependencyViolation", message));
    }
    tx.internet_gateways().update(&(cx.scope.clone(), gateway.id.clone()), |gateway| gateway.vpc = None);
    error::finish(input.dry_run, DetachInternetGatewayOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{default_vpc, refusal, write};
    use crate::testing::Fixture;
    use longshore_types::Tags;

    fn gateway(fixture: &Fixture) -> String {
        let output = write(fixture, create_internet_gateway, CreateInternetGatewayInput::default()).expect("a gateway");
        output.internet_gateway.and_then(|gateway| gateway.internet_gateway_id).expect("an id")
    }

    fn attach(gateway: &str, vpc: &str) -> AttachInternetGatewayInput {
        AttachInternetGatewayInput { dry_run: None, internet_gateway_id: gateway.to_owned(), vpc_id: vpc.to_owned() }
    }

    fn detach(gateway: &str, vpc: &str) -> DetachInternetGatewayInput {
        DetachInternetGatewayInput { dry_run: None, internet_gateway_id: gateway.to_owned(), vpc_id: vpc.to_owned() }
    }

    #[test]
    fn a_gateway_is_attached_once_and_deleted_when_it_is_not() {
        let fixture = Fixture::new();
        let (id, default) = (gateway(&fixture), default_vpc(&fixture));
        let vpc = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let vpc = write(&fixture, create_vpc, vpc).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id).expect("an id");
        assert_eq!(
            refusal(write(&fixture, attach_internet_gateway, attach(&id, &default))),
            format!("InvalidParameterValue: Network {default} already has an internet gateway attached")
        );
        write(&fixture, attach_internet_gateway, attach(&id, &vpc)).expect("it is free");
        assert_eq!(
            refusal(write(&fixture, attach_internet_gateway, attach(&id, &vpc))),
            format!("Resource.AlreadyAssociated: resource {id} is already attached to network {vpc}")
        );
        let delete = DeleteInternetGatewayInput { dry_run: None, internet_gateway_id: id.clone() };
        assert_eq!(
            refusal(write(&fixture, delete_internet_gateway, delete.clone())),
            format!("DependencyViolation: The internetGateway '{id}' has dependencies and cannot be deleted.")
        );
        assert_eq!(
            refusal(write(&fixture, detach_internet_gateway, detach(&id, &default))),
            format!("Gateway.NotAttached: resource {id} is not attached to network {default}")
        );
        write(&fixture, detach_internet_gateway, detach(&id, &vpc)).expect("nothing uses it");
        write(&fixture, delete_internet_gateway, delete).expect("it is free");
    }

    #[test]
    fn a_gateway_that_public_addresses_need_stays() {
        let fixture = Fixture::new();
        let vpc = default_vpc(&fixture);
        let subnet = crate::ec2::testing::default_subnet(&fixture);
        fixture.write(move |tx, cx| {
            let new = crate::ec2::network::NewInterface {
                subnet: subnet.as_str().into(),
                security_groups: Vec::new(),
                owner: stored::EniOwner::User,
                description: String::new(),
                public: true,
                tags: Tags::default(),
            };
            crate::ec2::network::create_interface(tx, cx, new).expect("room")
        });
        let gateway = fixture.read(|state, _| state.internet_gateways().all().next().expect("a gateway").id.clone());
        let refused = refusal(write(&fixture, detach_internet_gateway, detach(gateway.as_str(), &vpc)));
        assert!(refused.contains("has some mapped public address(es)"), "{refused}");
    }
}
