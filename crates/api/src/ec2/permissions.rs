//! What each operation of EC2 needs (Service Authorization Reference, "Amazon EC2").

use super::{
    addresses, interface_attributes, network_acls, route_tables, security_groups, subnets, vpc_cidr_blocks, vpcs,
};
use crate::identity::Resources::{Any, Each};
use crate::identity::{Ask, Permission, Resources, on};
use longshore_policy::Values;
use longshore_types::id::VpcId;

/// What exists and is named by the input.
const IDS: Resources = Each(ids);

macro_rules! new {
    ($kind:literal) => {
        Each(|ask| new_and_ids(ask, $kind))
    };
}

macro_rules! tags_of_new {
    ($kind:literal) => {
        Each(|ask| tagged_new(ask, $kind))
    };
}

/// A line for each description.
macro_rules! table {
    (describe: [$($describe:literal),* $(,)?], $($line:expr),* $(,)?) => {
        &[
            $(on($describe, concat!("ec2:", $describe), Any),)*
            $($line,)*
        ]
    };
}

pub const PERMISSIONS: &[Permission] = table![
    describe: [
        "DescribeAccountAttributes", "DescribeAddresses", "DescribeAddressesAttribute", "DescribeAvailabilityZones",
        "DescribeDhcpOptions", "DescribeEgressOnlyInternetGateways", "DescribeFlowLogs", "DescribeImages",
        "DescribeInstanceTypes", "DescribeInstances", "DescribeInternetGateways", "DescribeManagedPrefixLists",
        "DescribeNatGateways", "DescribeNetworkAcls", "DescribeNetworkInterfaceAttribute", "DescribeNetworkInterfaces",
        "DescribePrefixLists", "DescribeRegions", "DescribeRouteTables", "DescribeSecurityGroupReferences",
        "DescribeSecurityGroupRules", "DescribeSecurityGroups", "DescribeStaleSecurityGroups", "DescribeSubnets",
        "DescribeTags", "DescribeVpcAttribute", "DescribeVpcEndpoints", "DescribeVpcEndpointServices",
        "DescribeVpcPeeringConnections", "DescribeVpcs", "DescribeSecurityGroupVpcAssociations",
        "DescribeVpcEncryptionControls", "DescribeVpcBlockPublicAccessOptions", "DescribeVpcClassicLink",
        "DescribeVpcClassicLinkDnsSupport", "DescribeVpcEndpointConnections", "DescribeInstanceStatus", "DescribeKeyPairs",
        "DescribeLaunchTemplates", "DescribeVolumes", "DescribeVolumeStatus", "DescribeSnapshots",
        "DescribeIamInstanceProfileAssociations",
    ],
    on("CreateVpc", "ec2:CreateVpc", new!("vpc")),
    on("CreateVpc", "ec2:CreateTags", tags_of_new!("vpc")),
    on("CreateDefaultVpc", "ec2:CreateDefaultVpc", new!("vpc")),
    on("CreateDefaultSubnet", "ec2:CreateDefaultSubnet", new!("subnet")),
    on("DeleteVpc", "ec2:DeleteVpc", IDS),
    on("ModifyVpcAttribute", "ec2:ModifyVpcAttribute", IDS),
    on("ModifyVpcTenancy", "ec2:ModifyVpcTenancy", IDS),
    on("AssociateVpcCidrBlock", "ec2:AssociateVpcCidrBlock", IDS),
    on("DisassociateVpcCidrBlock", "ec2:DisassociateVpcCidrBlock", IDS),
    on("CreateSubnet", "ec2:CreateSubnet", new!("subnet")),
    on("CreateSubnet", "ec2:CreateTags", tags_of_new!("subnet")),
    on("DeleteSubnet", "ec2:DeleteSubnet", IDS),
    on("ModifySubnetAttribute", "ec2:ModifySubnetAttribute", IDS),
    on("CreateSecurityGroup", "ec2:CreateSecurityGroup", new!("security-group")),
    on("CreateSecurityGroup", "ec2:CreateTags", tags_of_new!("security-group")),
    on("DeleteSecurityGroup", "ec2:DeleteSecurityGroup", Each(group)),
    on("AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupIngress", Each(group)),
    on("AuthorizeSecurityGroupIngress", "ec2:CreateTags", tags_of_new!("security-group-rule")),
    on("AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupEgress", Each(group)),
    on("AuthorizeSecurityGroupEgress", "ec2:CreateTags", tags_of_new!("security-group-rule")),
    on("RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", Each(group)),
    on("RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress", Each(group)),
    on("ModifySecurityGroupRules", "ec2:ModifySecurityGroupRules", Each(group)),
    on("UpdateSecurityGroupRuleDescriptionsIngress", "ec2:UpdateSecurityGroupRuleDescriptionsIngress", Each(group)),
    on("UpdateSecurityGroupRuleDescriptionsEgress", "ec2:UpdateSecurityGroupRuleDescriptionsEgress", Each(group)),
    on("CreateNetworkInterface", "ec2:CreateNetworkInterface", new!("network-interface")),
    on("CreateNetworkInterface", "ec2:CreateTags", tags_of_new!("network-interface")),
    on("DeleteNetworkInterface", "ec2:DeleteNetworkInterface", IDS),
    on("ModifyNetworkInterfaceAttribute", "ec2:ModifyNetworkInterfaceAttribute", IDS),
    on("ResetNetworkInterfaceAttribute", "ec2:ResetNetworkInterfaceAttribute", IDS),
    on("AssignPrivateIpAddresses", "ec2:AssignPrivateIpAddresses", IDS),
    on("UnassignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses", IDS),
    on("CreateRouteTable", "ec2:CreateRouteTable", new!("route-table")),
    on("CreateRouteTable", "ec2:CreateTags", tags_of_new!("route-table")),
    on("DeleteRouteTable", "ec2:DeleteRouteTable", IDS),
    on("CreateRoute", "ec2:CreateRoute", Each(route_table)),
    on("ReplaceRoute", "ec2:ReplaceRoute", Each(route_table)),
    on("DeleteRoute", "ec2:DeleteRoute", Each(route_table)),
    on("AssociateRouteTable", "ec2:AssociateRouteTable", IDS),
    on("DisassociateRouteTable", "ec2:DisassociateRouteTable", IDS),
    on("ReplaceRouteTableAssociation", "ec2:ReplaceRouteTableAssociation", IDS),
    on("CreateInternetGateway", "ec2:CreateInternetGateway", new!("internet-gateway")),
    on("CreateInternetGateway", "ec2:CreateTags", tags_of_new!("internet-gateway")),
    on("DeleteInternetGateway", "ec2:DeleteInternetGateway", IDS),
    on("AttachInternetGateway", "ec2:AttachInternetGateway", IDS),
    on("DetachInternetGateway", "ec2:DetachInternetGateway", IDS),
    on("CreateEgressOnlyInternetGateway", "ec2:CreateEgressOnlyInternetGateway", new!("egress-only-internet-gateway")),
    on("DeleteEgressOnlyInternetGateway", "ec2:DeleteEgressOnlyInternetGateway", IDS),
    on("CreateNatGateway", "ec2:CreateNatGateway", new!("natgateway")),
    on("CreateNatGateway", "ec2:CreateTags", tags_of_new!("natgateway")),
    on("DeleteNatGateway", "ec2:DeleteNatGateway", IDS),
    on("AllocateAddress", "ec2:AllocateAddress", new!("elastic-ip")),
    on("AllocateAddress", "ec2:CreateTags", tags_of_new!("elastic-ip")),
    on("ReleaseAddress", "ec2:ReleaseAddress", IDS),
    on("AssociateAddress", "ec2:AssociateAddress", IDS),
    on("DisassociateAddress", "ec2:DisassociateAddress", IDS),
    on("CreateNetworkAcl", "ec2:CreateNetworkAcl", new!("network-acl")),
    on("CreateNetworkAcl", "ec2:CreateTags", tags_of_new!("network-acl")),
    on("DeleteNetworkAcl", "ec2:DeleteNetworkAcl", IDS),
    on("CreateNetworkAclEntry", "ec2:CreateNetworkAclEntry", IDS),
    on("ReplaceNetworkAclEntry", "ec2:ReplaceNetworkAclEntry", IDS),
    on("DeleteNetworkAclEntry", "ec2:DeleteNetworkAclEntry", IDS),
    on("ReplaceNetworkAclAssociation", "ec2:ReplaceNetworkAclAssociation", IDS),
    on("CreateVpcEndpoint", "ec2:CreateVpcEndpoint", new!("vpc-endpoint")),
    on("CreateVpcEndpoint", "ec2:CreateTags", tags_of_new!("vpc-endpoint")),
    on("ModifyVpcEndpoint", "ec2:ModifyVpcEndpoint", IDS),
    on("DeleteVpcEndpoints", "ec2:DeleteVpcEndpoints", IDS),
    on("CreateDhcpOptions", "ec2:CreateDhcpOptions", new!("dhcp-options")),
    on("CreateDhcpOptions", "ec2:CreateTags", tags_of_new!("dhcp-options")),
    on("DeleteDhcpOptions", "ec2:DeleteDhcpOptions", IDS),
    on("AssociateDhcpOptions", "ec2:AssociateDhcpOptions", IDS),
    on("CreateManagedPrefixList", "ec2:CreateManagedPrefixList", new!("prefix-list")),
    on("CreateManagedPrefixList", "ec2:CreateTags", tags_of_new!("prefix-list")),
    on("DeleteManagedPrefixList", "ec2:DeleteManagedPrefixList", IDS),
    on("ModifyManagedPrefixList", "ec2:ModifyManagedPrefixList", IDS),
    on("GetManagedPrefixListEntries", "ec2:GetManagedPrefixListEntries", IDS),
    on("GetManagedPrefixListAssociations", "ec2:GetManagedPrefixListAssociations", IDS),
    on("GetSecurityGroupsForVpc", "ec2:GetSecurityGroupsForVpc", IDS),
    on("GetSubnetCidrReservations", "ec2:GetSubnetCidrReservations", Any),
    on("CreateTags", "ec2:CreateTags", IDS),
    on("DeleteTags", "ec2:DeleteTags", IDS),
];

/// The ARN of what an id names, by its prefix.
fn arn(ask: &Ask<'_>, id: &str) -> Option<String> {
    Some(ask.arn("ec2", &format!("{}/{id}", kind(id)?)))
}

/// The kind of resource that an id names by its prefix, as ARNs have it.
pub fn kind(id: &str) -> Option<&'static str> {
    Some(match id.rsplit_once('-')?.0 {
        "vpc" => "vpc",
        "subnet" => "subnet",
        "sg" => "security-group",
        "sgr" => "security-group-rule",
        "eni" => "network-interface",
        "rtb" => "route-table",
        "igw" => "internet-gateway",
        "eigw" => "egress-only-internet-gateway",
        "nat" => "natgateway",
        "acl" => "network-acl",
        "eipalloc" => "elastic-ip",
        "vpce" => "vpc-endpoint",
        "dopt" => "dhcp-options",
        "pl" => "prefix-list",
        "i" => "instance",
        "vol" => "volume",
        "pcx" => "vpc-peering-connection",
        _ => return None,
    })
}

fn ids(ask: &Ask<'_>) -> Vec<String> {
    let is_tag = |path: &str| path.starts_with("Tag");
    let mut arns: Vec<String> =
        ask.fields.iter().filter(|(path, _)| !is_tag(path)).filter_map(|(_, value)| arn(ask, value)).collect();
    arns.extend(found(ask).iter().filter_map(|id| arn(ask, id)));
    arns.sort();
    arns.dedup();
    // A request that names nothing of ours is asked for as a whole; its handler says what it lacks.
    if arns.is_empty() { vec!["*".to_owned()] } else { arns }
}

/// The ids of what the input names in another way: an elastic address by itself, and others by an association. Handlers find
/// their rows with the same functions.
fn found(ask: &Ask<'_>) -> Vec<String> {
    let (state, cx) = (ask.state, ask.cx);
    let of_address = |row: &longshore_types::ec2::ElasticAddress| {
        let interface = row.association.as_ref().map(|association| association.eni.to_string());
        [Some(row.allocation.to_string()), interface].into_iter().flatten().collect::<Vec<_>>()
    };
    let mut ids = Vec::new();
    if let Some(Ok(row)) = ask.get("PublicIp").map(|public| addresses::by_public_address(state, cx, public)) {
        ids.extend(match ask.operation {
            // Taking an address away concerns the interface that has it.
            "DisassociateAddress" => of_address(&row),
            _ => vec![row.allocation.to_string()],
        });
    }
    let Some(association) = ask.get("AssociationId") else { return ids };
    match association.rsplit_once('-').unwrap_or_default().0 {
        "eipassoc" => {
            ids.extend(addresses::by_association(state, cx, association).iter().flat_map(|row| of_address(row)))
        }
        "rtbassoc" => {
            let found = route_tables::find_association(state, cx, association);
            ids.extend(found.map(|(table, _)| table.id.to_string()));
        }
        "aclassoc" => {
            let found = network_acls::find_association(state, cx, association);
            ids.extend(found.map(|(acl, _)| acl.id.to_string()));
        }
        "vpc-cidr-assoc" => {
            let found = vpc_cidr_blocks::by_association(state, cx, association);
            ids.extend(found.map(|vpc| vpc.id.to_string()));
        }
        _ => {}
    }
    ids
}

fn new_and_ids(ask: &Ask<'_>, kind: &str) -> Vec<String> {
    let mut arns = vec![ask.arn("ec2", &format!("{kind}/*"))];
    arns.extend(ids(ask).into_iter().filter(|arn| arn != "*"));
    arns
}

/// Tagging something at its creation takes the right to tag it.
fn tagged_new(ask: &Ask<'_>, kind: &str) -> Vec<String> {
    match ask.get("TagSpecifications.Tags.Key") {
        Some(_) => vec![ask.arn("ec2", &format!("{kind}/*"))],
        None => Vec::new(),
    }
}

fn route_table(ask: &Ask<'_>) -> Vec<String> {
    ask.all("RouteTableId").filter_map(|id| arn(ask, id)).collect()
}

/// The group whose rules change, by id or by name; groups that rules refer to are not changed.
fn group(ask: &Ask<'_>) -> Vec<String> {
    let by_name = || {
        let group = security_groups::named(ask.state, ask.cx, None, ask.get("GroupName"));
        group.ok().map(|group| group.id.to_string())
    };
    let id = ask.get("GroupId").map(str::to_owned).or_else(by_name);
    vec![id.and_then(|id| arn(ask, &id)).unwrap_or_else(|| ask.arn("ec2", "security-group/*"))]
}

/// `ec2:Vpc` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str, resource: &str, action: &str) -> Option<Values<'a>> {
    match name {
        "region" => Some(Values::one(ask.cx.scope.region.as_str())),
        // Of a request that creates and tags; CreateTags by itself has none.
        "createaction" if action == "ec2:CreateTags" => {
            ask.get("TagSpecifications.Tags.Key").map(|_| Values::one(ask.operation))
        }
        "vpc" => vpc(ask, resource).map(|vpc| Values::one(ask.arn("ec2", &format!("vpc/{vpc}")))),
        "subnet" => {
            let of_interface = interface_attributes::find(ask.state, ask.cx, id(resource)).ok();
            let subnet = of_interface.map(|eni| eni.subnet.to_string());
            let subnet = subnet.or_else(|| ask.get("SubnetId").map(str::to_owned))?;
            Some(Values::one(ask.arn("ec2", &format!("subnet/{subnet}"))))
        }
        _ => None,
    }
}

/// The id at an ARN's end; `*` for what is new.
fn id(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or_default()
}

/// The VPC that a resource is in, or will be.
fn vpc(ask: &Ask<'_>, resource: &str) -> Option<VpcId> {
    let (state, cx, id) = (ask.state, ask.cx, id(resource));
    match id.split('-').next().unwrap_or_default() {
        "subnet" => Some(subnets::find(state, cx, id).ok()?.vpc.clone()),
        "sg" => Some(security_groups::by_id(state, cx, id).ok()?.vpc.clone()),
        "eni" => Some(interface_attributes::find(state, cx, id).ok()?.vpc.clone()),
        "rtb" => Some(route_tables::find(state, cx, id).ok()?.vpc.clone()),
        "acl" => Some(network_acls::find(state, cx, id).ok()?.vpc.clone()),
        _ => ask.get("VpcId").map(Into::into).or_else(|| vpc_of_new(ask, id)),
    }
}

fn vpc_of_new(ask: &Ask<'_>, id: &str) -> Option<VpcId> {
    match (ask.operation, ask.get("SubnetId")) {
        _ if id != "*" => None,
        ("CreateSecurityGroup" | "CreateDefaultSubnet", None) => {
            Some(vpcs::default(ask.state, ask.cx).ok()?.id.clone())
        }
        (_, subnet) => Some(subnets::find(ask.state, ask.cx, subnet?).ok()?.vpc.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_network_interface::create_network_interface;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{default_subnet, default_vpc, write};
    use crate::identity::{Fields, permissions};
    use crate::testing::Fixture;
    use longshore_aws_model::Operation;
    use longshore_aws_model::ec2::*;

    const PREFIX: &str = "arn:aws:ec2:us-east-1:123456789012:";

    /// What an operation's own action is asked for, without the ARNs' beginnings.
    fn resources<O: Operation>(fixture: &Fixture, input: &O::Input) -> Vec<String> {
        fixture.read(|state, cx| {
            let ask = Ask { state, cx, fields: &Fields::of(input), operation: O::SCHEMA.name };
            let arns = match permissions(O::SCHEMA)[0].resources {
                Each(find) => find(&ask),
                _ => vec!["*".to_owned()],
            };
            arns.iter().map(|arn| arn.trim_start_matches(PREFIX).to_owned()).collect()
        })
    }

    /// The value of a key for a resource of a request, without its ARN's beginning.
    fn key<O: Operation>(fixture: &Fixture, input: &O::Input, resource: &str, name: &str) -> Option<String> {
        fixture.read(|state, cx| {
            let ask = Ask { state, cx, fields: &Fields::of(input), operation: O::SCHEMA.name };
            let values = context(&ask, name, &format!("{PREFIX}{resource}"), "ec2:CreateTags")?;
            Some(values.as_slice()[0].trim_start_matches(PREFIX).to_owned())
        })
    }

    fn interface(fixture: &Fixture) -> String {
        let input = CreateNetworkInterfaceInput { subnet_id: default_subnet(fixture), ..Default::default() };
        let output = write(fixture, create_network_interface, input).expect("an interface");
        output.network_interface.and_then(|eni| eni.network_interface_id).expect("an id")
    }

    #[test]
    fn an_elastic_address_is_found_by_itself_and_by_its_association() {
        let fixture = Fixture::new();
        let output = write(&fixture, addresses::allocate_address, AllocateAddressInput::default()).expect("an address");
        let (id, public_ip) = (output.allocation_id.expect("an id"), output.public_ip);
        let eni = interface(&fixture);
        let (address, eni_arn) = (format!("elastic-ip/{id}"), format!("network-interface/{eni}"));
        let input = ReleaseAddressInput { public_ip: public_ip.clone(), ..Default::default() };
        assert_eq!(resources::<ReleaseAddress>(&fixture, &input), std::slice::from_ref(&address));
        let input = AssociateAddressInput {
            public_ip: public_ip.clone(),
            network_interface_id: Some(eni),
            ..Default::default()
        };
        assert_eq!(resources::<AssociateAddress>(&fixture, &input), [address.clone(), eni_arn.clone()]);
        let association_id = write(&fixture, addresses::associate_address, input).expect("free").association_id;
        for input in [
            DisassociateAddressInput { association_id, ..Default::default() },
            DisassociateAddressInput { public_ip, ..Default::default() },
        ] {
            assert_eq!(resources::<DisassociateAddress>(&fixture, &input), [address.clone(), eni_arn.clone()]);
        }
    }

    #[test]
    fn what_an_association_is_of_is_found() {
        let fixture = Fixture::new();
        let (vpc_id, subnet) = (default_vpc(&fixture), default_subnet(&fixture));
        let input = CreateRouteTableInput { vpc_id: vpc_id.clone(), ..Default::default() };
        let table = write(&fixture, route_tables::create_route_table, input).expect("a table");
        let table = table.route_table.and_then(|table| table.route_table_id).expect("an id");
        let input =
            AssociateRouteTableInput { route_table_id: table.clone(), subnet_id: Some(subnet), ..Default::default() };
        let output = write(&fixture, route_tables::associate_route_table, input).expect("associated");
        let association_id = output.association_id.expect("an id");
        let input = DisassociateRouteTableInput { association_id: association_id.clone(), ..Default::default() };
        assert_eq!(resources::<DisassociateRouteTable>(&fixture, &input), [format!("route-table/{table}")]);
        let input = ReplaceRouteTableAssociationInput {
            association_id,
            route_table_id: "rtb-mine".to_owned(),
            ..Default::default()
        };
        let both = [format!("route-table/{table}"), "route-table/rtb-mine".to_owned()];
        assert_eq!(resources::<ReplaceRouteTableAssociation>(&fixture, &input), both);

        let (acl, association_id) = fixture.read(|state, cx| {
            let acl = state.network_acls().prefix(&cx.scope).next().expect("the default one");
            (acl.id.to_string(), acl.associations[0].id.clone())
        });
        let network_acl_id = "acl-mine".to_owned();
        let input = ReplaceNetworkAclAssociationInput { dry_run: None, association_id, network_acl_id };
        let mut both = ["network-acl/acl-mine".to_owned(), format!("network-acl/{acl}")];
        both.sort();
        assert_eq!(resources::<ReplaceNetworkAclAssociation>(&fixture, &input), both);

        let association_id = fixture.read(|state, cx| {
            let vpc = vpcs::default(state, cx).expect("it is made");
            let (id, _) = super::super::view::cidr_associations(&vpc).next().expect("its first network");
            id
        });
        let input = DisassociateVpcCidrBlockInput { association_id };
        assert_eq!(resources::<DisassociateVpcCidrBlock>(&fixture, &input), [format!("vpc/{vpc_id}")]);
    }

    #[test]
    fn a_group_named_without_an_id_is_the_default_vpcs() {
        let fixture = Fixture::new();
        let made = |vpc_id| {
            let (group_name, description) = ("web".to_owned(), "web".to_owned());
            let input = CreateSecurityGroupInput { group_name, description, vpc_id, ..Default::default() };
            write(&fixture, create_security_group, input).expect("a group").group_id.expect("an id")
        };
        // Several, so that one of them has a group whose id comes first.
        for number in 1..=5 {
            let input = CreateVpcInput { cidr_block: Some(format!("10.{number}.0.0/16")), ..Default::default() };
            made(write(&fixture, create_vpc, input).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id));
        }
        let web = made(None);
        let input = DeleteSecurityGroupInput { group_name: Some("web".to_owned()), ..Default::default() };
        assert_eq!(resources::<DeleteSecurityGroup>(&fixture, &input), [format!("security-group/{web}")]);
        let input = DeleteSecurityGroupInput { group_name: Some("default".to_owned()), ..Default::default() };
        let default = fixture.read(|state, cx| {
            let vpc = vpcs::default(state, cx).expect("it is made");
            security_groups::in_vpc(state, cx, &vpc, "default").expect("it has one").id.to_string()
        });
        assert_eq!(resources::<DeleteSecurityGroup>(&fixture, &input), [format!("security-group/{default}")]);
    }

    #[test]
    fn the_create_action_is_the_operation_and_not_what_the_request_says() {
        let fixture = Fixture::new();
        let given = |kind: &str| {
            let tags = Some(vec![Tag { key: Some("a".to_owned()), value: None }]);
            Some(vec![TagSpecification { resource_type: Some(kind.to_owned()), tags }])
        };
        let name = "createaction";
        let input = CreateVpcInput { tag_specifications: given("é"), ..Default::default() };
        assert_eq!(key::<CreateVpc>(&fixture, &input, "vpc/*", name).as_deref(), Some("CreateVpc"));
        let tag_specifications = given("security-group-rule");
        let input = AuthorizeSecurityGroupEgressInput { tag_specifications, ..Default::default() };
        let action = key::<AuthorizeSecurityGroupEgress>(&fixture, &input, "security-group-rule/*", name);
        assert_eq!(action.as_deref(), Some("AuthorizeSecurityGroupEgress"));
        let input = CreateManagedPrefixListInput { tag_specifications: given("prefix-list"), ..Default::default() };
        let action = key::<CreateManagedPrefixList>(&fixture, &input, "prefix-list/*", name);
        assert_eq!(action.as_deref(), Some("CreateManagedPrefixList"));
        assert_eq!(key::<CreateTags>(&fixture, &CreateTagsInput::default(), "vpc/vpc-1", name), None);
    }

    #[test]
    fn the_vpc_and_the_subnet_of_a_resource_are_known() {
        let fixture = Fixture::new();
        let (subnet, eni) = (default_subnet(&fixture), interface(&fixture));
        let vpc = format!("vpc/{}", default_vpc(&fixture));
        let (table, acl) = fixture.read(|state, cx| {
            let table = state.route_tables().prefix(&cx.scope).next().expect("the main one").id.to_string();
            (table, state.network_acls().prefix(&cx.scope).next().expect("the default one").id.to_string())
        });
        let none = CreateTagsInput::default();
        for resource in
            [format!("route-table/{table}"), format!("network-acl/{acl}"), format!("network-interface/{eni}")]
        {
            assert_eq!(key::<CreateTags>(&fixture, &none, &resource, "vpc"), Some(vpc.clone()), "{resource}");
        }
        let own = key::<CreateTags>(&fixture, &none, &format!("network-interface/{eni}"), "subnet");
        assert_eq!(own, Some(format!("subnet/{subnet}")));
        let input = CreateNetworkInterfaceInput { subnet_id: subnet, ..Default::default() };
        let found = key::<CreateNetworkInterface>(&fixture, &input, "network-interface/*", "vpc");
        assert_eq!(found, Some(vpc.clone()));
        let input = CreateSecurityGroupInput::default();
        assert_eq!(key::<CreateSecurityGroup>(&fixture, &input, "security-group/*", "vpc"), Some(vpc));
        assert_eq!(key::<AllocateAddress>(&fixture, &AllocateAddressInput::default(), "elastic-ip/*", "vpc"), None);
    }
}
