//! DescribeNetworkInterfaces.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, flag, text};
use super::list::{Listing, check_exist, choice};
use super::view;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::Snapshot;
use longshore_types::id::EniId;

type Eni = NetworkInterface;

const FILTERS: &FilterTable<Eni> = &[
    ("addresses.association.owner-id", |eni| addresses(eni, |a| a.association.as_ref()?.ip_owner_id.clone())),
    ("addresses.association.public-dns-name", |eni| {
        addresses(eni, |a| a.association.as_ref()?.public_dns_name.clone())
    }),
    ("addresses.association.public-ip", |eni| addresses(eni, |a| a.association.as_ref()?.public_ip.clone())),
    ("addresses.primary", |eni| addresses(eni, |a| a.primary.map(|primary| primary.to_string()))),
    ("addresses.private-ip-address", |eni| addresses(eni, |a| a.private_ip_address.clone())),
    ("association.allocation-id", |eni| association(eni, |a| a.allocation_id.clone())),
    ("association.association-id", |eni| association(eni, |a| a.association_id.clone())),
    ("association.ip-owner-id", |eni| association(eni, |a| a.ip_owner_id.clone())),
    ("association.public-dns-name", |eni| association(eni, |a| a.public_dns_name.clone())),
    ("association.public-ip", |eni| association(eni, |a| a.public_ip.clone())),
    ("attachment.attach-time", |eni| {
        attachment(eni, |a| a.attach_time.map(|time| longshore_types::Timestamp(time.0).rfc3339()))
    }),
    ("attachment.attachment-id", |eni| attachment(eni, |a| a.attachment_id.clone())),
    ("attachment.delete-on-termination", |eni| attachment(eni, |a| a.delete_on_termination.map(|on| on.to_string()))),
    ("attachment.device-index", |eni| attachment(eni, |a| a.device_index.map(|index| index.to_string()))),
    ("attachment.instance-id", |eni| attachment(eni, |a| a.instance_id.clone())),
    ("attachment.instance-owner-id", |eni| attachment(eni, |a| a.instance_owner_id.clone())),
    ("attachment.status", |eni| attachment(eni, |a| a.status.clone())),
    ("availability-zone", |eni| text(&eni.availability_zone)),
    ("availability-zone-id", |eni| text(&eni.availability_zone_id)),
    ("description", |eni| text(&eni.description)),
    ("group-id", |eni| groups(eni, |group| group.group_id.clone())),
    ("group-name", |eni| groups(eni, |group| group.group_name.clone())),
    ("interface-type", |eni| text(&eni.interface_type)),
    ("ipv6-addresses.ipv6-address", |_| Vec::new()),
    ("mac-address", |eni| text(&eni.mac_address)),
    ("network-interface-id", |eni| text(&eni.network_interface_id)),
    ("operator.managed", |eni| flag(eni.operator.as_ref().and_then(|operator| operator.managed))),
    ("operator.principal", |eni| eni.operator.iter().filter_map(|operator| operator.principal.clone()).collect()),
    ("owner-id", |eni| text(&eni.owner_id)),
    ("private-dns-name", |eni| text(&eni.private_dns_name)),
    ("private-ip-address", |eni| text(&eni.private_ip_address)),
    ("requester-id", |eni| text(&eni.requester_id)),
    ("requester-managed", |eni| flag(eni.requester_managed)),
    ("source-dest-check", |eni| flag(eni.source_dest_check)),
    ("status", |eni| text(&eni.status)),
    ("subnet-id", |eni| text(&eni.subnet_id)),
    ("vpc-id", |eni| text(&eni.vpc_id)),
];

fn addresses(eni: &Eni, value: fn(&NetworkInterfacePrivateIpAddress) -> Option<String>) -> Vec<String> {
    eni.private_ip_addresses.iter().flatten().filter_map(value).collect()
}

fn association(eni: &Eni, value: fn(&NetworkInterfaceAssociation) -> Option<String>) -> Vec<String> {
    eni.association.iter().filter_map(value).collect()
}

fn attachment(eni: &Eni, value: fn(&NetworkInterfaceAttachment) -> Option<String>) -> Vec<String> {
    eni.attachment.iter().filter_map(value).collect()
}

fn groups(eni: &Eni, value: fn(&GroupIdentifier) -> Option<String>) -> Vec<String> {
    eni.groups.iter().flatten().filter_map(value).collect()
}

impl Tagged for Eni {
    fn tags(&self) -> &[Tag] {
        self.tag_set.as_deref().unwrap_or_default()
    }
}

/// Interfaces of tasks and load balancers are in the list whatever `IncludeManagedResources` says: that hides only what
/// an operator manages, which no interface here is.
pub fn describe_network_interfaces(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeNetworkInterfacesInput,
) -> Result<DescribeNetworkInterfacesOutput, AwsError> {
    let ids = input.network_interface_ids.as_deref();
    check_exist(Kind::NetworkInterface, ids, |id| {
        state.network_interfaces().contains(&(cx.scope.clone(), EniId::from(id)))
    })?;
    let is_chosen = choice(ids);
    let interfaces = state.network_interfaces().prefix(&cx.scope).filter(|eni| is_chosen(eni.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let interfaces = interfaces.map(|eni| view::interface(state, &cx.scope, &eni));
    let (network_interfaces, next_token) = listing.page(interfaces, |eni| &eni.network_interface_id, FILTERS)?;
    error::finish(input.dry_run, DescribeNetworkInterfacesOutput { network_interfaces, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::network::{NewInterface, create_interface, default_security_group};
    use crate::ec2::testing::{default_subnet, default_vpc, filter, read, refusal};
    use crate::testing::Fixture;
    use longshore_types::ec2::EniOwner;

    fn task_interface(fixture: &Fixture) -> longshore_types::ec2::NetworkInterface {
        let (subnet, vpc) = (default_subnet(fixture), default_vpc(fixture));
        fixture.write(move |tx, cx| {
            let group = default_security_group(tx, &cx.scope, &vpc.as_str().into());
            let owner = EniOwner::Task { cluster: "web".into(), task: "1".into(), attachment: "2".to_owned() };
            let new = NewInterface {
                subnet: subnet.as_str().into(),
                security_groups: group.into_iter().collect(),
                owner,
                description: "arn:aws:ecs:us-east-1:123456789012:attachment/2".to_owned(),
                public: true,
                tags: Default::default(),
            };
            create_interface(tx, cx, new).expect("room")
        })
    }

    #[test]
    fn a_tasks_interface_is_in_use_and_has_its_public_address() {
        let fixture = Fixture::new();
        let made = task_interface(&fixture);
        let public = made.public_address.expect("asked for").to_string();
        for (name, value) in [
            ("private-ip-address", made.address.to_string()),
            ("association.public-ip", public.clone()),
            ("addresses.association.public-ip", public.clone()),
            ("description", "arn:aws:ecs:*:attachment/2".to_owned()),
            ("group-name", "default".to_owned()),
            ("status", "in-use".to_owned()),
            ("attachment.status", "attached".to_owned()),
            ("requester-managed", "true".to_owned()),
            ("mac-address", made.mac.clone()),
            ("operator.managed", "false".to_owned()),
        ] {
            let input = DescribeNetworkInterfacesInput { filters: filter(name, &value), ..Default::default() };
            let found = read(&fixture, describe_network_interfaces, input).expect("a list").network_interfaces;
            assert_eq!(found.expect("a list").len(), 1, "{name}");
        }
        let input = DescribeNetworkInterfacesInput { filters: filter("operator.principal", "*"), ..Default::default() };
        let operated = read(&fixture, describe_network_interfaces, input).expect("a list").network_interfaces;
        assert_eq!(operated, Some(Vec::new()));
        let output = read(&fixture, describe_network_interfaces, DescribeNetworkInterfacesInput::default());
        let eni = output.expect("a list").network_interfaces.expect("a list").remove(0);
        let association = eni.association.expect("an association");
        let name = format!("ec2-{}.compute-1.amazonaws.com", public.replace('.', "-"));
        assert_eq!((association.public_ip, association.public_dns_name), (Some(public), Some(name)));
        assert_eq!(eni.attachment.and_then(|attachment| attachment.status).as_deref(), Some("attached"));
    }

    #[test]
    fn unknown_interfaces_are_told() {
        let input = DescribeNetworkInterfacesInput {
            network_interface_ids: Some(vec!["eni-1".to_owned()]),
            ..Default::default()
        };
        assert_eq!(
            refusal(read(&Fixture::new(), describe_network_interfaces, input)),
            "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-1' does not exist"
        );
    }
}
