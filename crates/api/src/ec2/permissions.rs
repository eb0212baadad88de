//! What each operation of EC2 needs (Service Authorization Reference, "Amazon EC2").

use crate::identity::Resources::{Any, Each};
use crate::identity::{Ask, Permission, Resources, on};
use longshore_policy::Values;
use longshore_types::id::{EniId, SecurityGroupId, SubnetId};

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
    on("DisassociateVpcCidrBlock", "ec2:DisassociateVpcCidrBlock", Any),
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
    on("DisassociateRouteTable", "ec2:DisassociateRouteTable", Any),
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
    on("DisassociateAddress", "ec2:DisassociateAddress", Any),
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
    let (prefix, _) = id.rsplit_once('-')?;
    let kind = match prefix {
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
    };
    Some(ask.arn("ec2", &format!("{kind}/{id}")))
}

fn ids(ask: &Ask<'_>) -> Vec<String> {
    let is_tag = |path: &str| path.starts_with("Tag");
    let mut arns: Vec<String> =
        ask.fields.iter().filter(|(path, _)| !is_tag(path)).filter_map(|(_, value)| arn(ask, value)).collect();
    arns.sort();
    arns.dedup();
    // A request that names nothing of ours is asked for as a whole; its handler says what it lacks.
    if arns.is_empty() { vec!["*".to_owned()] } else { arns }
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
        let name = ask.get("GroupName")?;
        let group = ask.state.security_groups().prefix(&ask.cx.scope).find(|group| group.name == name)?;
        Some(group.id.to_string())
    };
    let id = ask.get("GroupId").map(str::to_owned).or_else(by_name);
    vec![id.and_then(|id| arn(ask, &id)).unwrap_or_else(|| ask.arn("ec2", "security-group/*"))]
}

/// `ec2:Vpc` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str, resource: &str, action: &str) -> Option<Values<'a>> {
    let scope = &ask.cx.scope;
    match name {
        "region" => Some(Values::one(scope.region.as_str())),
        "createaction" if action == "ec2:CreateTags" => {
            // Of a request that creates and tags, its own name; CreateTags by itself has none.
            let operation = ask.get("TagSpecifications.ResourceType")?;
            Some(Values::one(match operation {
                "security-group-rule" => "AuthorizeSecurityGroupIngress".to_owned(),
                "natgateway" => "CreateNatGateway".to_owned(),
                "elastic-ip" => "AllocateAddress".to_owned(),
                kind => format!("Create{}", camel(kind)),
            }))
        }
        "vpc" => {
            let id = resource.rsplit('/').next().unwrap_or_default();
            let vpc = match id.split('-').next().unwrap_or_default() {
                "subnet" => ask.state.subnets().get(&(scope.clone(), SubnetId::from(id)))?.vpc.clone(),
                "sg" => ask.state.security_groups().get(&(scope.clone(), SecurityGroupId::from(id)))?.vpc.clone(),
                "eni" => ask.state.network_interfaces().get(&(scope.clone(), EniId::from(id)))?.vpc.clone(),
                _ => ask.get("VpcId").map(Into::into)?,
            };
            Some(Values::one(ask.arn("ec2", &format!("vpc/{vpc}"))))
        }
        "subnet" => ask.get("SubnetId").map(|id| Values::one(ask.arn("ec2", &format!("subnet/{id}")))),
        _ => None,
    }
}

/// `network-interface` → `NetworkInterface`
fn camel(kind: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    kind.split('-').filter(|part| !part.is_empty()).map(word).collect()
}
