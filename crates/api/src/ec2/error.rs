//! EC2's error codes and texts, and the two rules every operation has: dry runs, and no parameter ignored.

use super::network::NoAddress;
use longshore_aws_model::AwsError;
use std::fmt::Display;

/// Ends an operation: the answer, or the refusal that a dry run asks for. A refused transaction is undone, so a dry run
/// may go through the whole operation.
pub fn finish<T>(dry_run: Option<bool>, output: T) -> Result<T, AwsError> {
    match dry_run {
        Some(true) => {
            Err(AwsError::new("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
                .with_status(412))
        }
        _ => Ok(output),
    }
}

/// Refuses a parameter that has a value but no effect here.
pub fn refuse<T>(name: &str, value: &Option<T>) -> Result<(), AwsError> {
    match value {
        Some(_) => Err(unsupported(name)),
        None => Ok(()),
    }
}

/// Refuses a switch that is on and has no effect here; off is what we do anyway.
pub fn refuse_true(name: &str, value: Option<bool>) -> Result<(), AwsError> {
    match value {
        Some(true) => Err(unsupported(name)),
        _ => Ok(()),
    }
}

/// Refuses by name every field of an input that has a value.
macro_rules! refuse_all {
    ($input:expr; $($field:ident = $name:literal),+ $(,)?) => {
        $($crate::ec2::error::refuse($name, &$input.$field)?;)+
    };
}
pub(super) use refuse_all;

pub fn unsupported(name: &str) -> AwsError {
    AwsError::new("UnsupportedOperation", format!("The parameter {name} is not supported by Longshore."))
}

pub fn missing_parameter(name: &str) -> AwsError {
    AwsError::new("MissingParameter", format!("The request must contain the parameter {name}"))
}

pub fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterValue", message)
}

/// `Value (x) for parameter cidrBlock is invalid. This is not a valid CIDR block.`
pub fn invalid_value(value: impl Display, parameter: &str, why: &str) -> AwsError {
    invalid_parameter(format!("Value ({value}) for parameter {parameter} is invalid. {why}"))
}

pub fn invalid_combination(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterCombination", message)
}

pub fn invalid_filter(name: &str) -> AwsError {
    invalid_parameter(format!("The filter '{name}' is invalid"))
}

pub fn invalid_next_token(token: &str) -> AwsError {
    AwsError::new("InvalidNextToken", format!("The token '{token}' is invalid"))
}

/// A kind of resource, with the words that its "not found" errors are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vpc,
    Subnet,
    SecurityGroup,
    SecurityGroupRule,
    NetworkInterface,
    RouteTable,
    InternetGateway,
    NatGateway,
    Allocation,
    Association,
    NetworkAcl,
    PrefixList,
    DhcpOptions,
    Instance,
    KeyPair,
    Image,
    Volume,
    Snapshot,
}

impl Kind {
    /// What an id begins with, and the code for one that begins with something else: AWS's words, cases and all, from
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>. Some kinds have no such code.
    fn form(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Kind::Vpc => ("vpc-", "InvalidVpcID.Malformed"),
            Kind::Subnet => ("subnet-", "InvalidSubnetID.Malformed"),
            Kind::SecurityGroup => ("sg-", "InvalidGroupId.Malformed"),
            Kind::SecurityGroupRule => ("sgr-", "InvalidSecurityGroupRuleId.Malformed"),
            Kind::NetworkInterface => ("eni-", "InvalidNetworkInterfaceId.Malformed"),
            Kind::RouteTable => ("rtb-", "InvalidRouteTableId.Malformed"),
            Kind::InternetGateway => ("igw-", "InvalidInternetGatewayId.Malformed"),
            Kind::NatGateway => ("nat-", "NatGatewayMalformed"),
            Kind::NetworkAcl => ("acl-", "InvalidNetworkAclId.Malformed"),
            Kind::PrefixList => ("pl-", "InvalidPrefixListId.Malformed"),
            Kind::DhcpOptions => ("dopt-", "InvalidDhcpOptionsId.Malformed"),
            Kind::Instance => ("i-", "InvalidInstanceID.Malformed"),
            Kind::Image => ("ami-", "InvalidAMIID.Malformed"),
            Kind::Volume => ("vol-", "InvalidVolumeID.Malformed"),
            Kind::Snapshot => ("snap-", "InvalidSnapshotID.Malformed"),
            Kind::Allocation | Kind::Association | Kind::KeyPair => return None,
        })
    }

    /// The refusal of an id that cannot be one of this kind.
    fn malformed(self, id: &str) -> Option<AwsError> {
        let (prefix, code) = self.form().filter(|(prefix, _)| !id.starts_with(prefix))?;
        Some(AwsError::new(code, format!("Invalid id: \"{id}\" (expecting \"{prefix}...\")")))
    }

    /// `InvalidVpcID.NotFound`: `The vpc ID 'vpc-1' does not exist`; `InvalidVpcID.Malformed` for what is no such id.
    pub fn not_found(self, ids: &[&str]) -> AwsError {
        if let Some(malformed) = ids.iter().find_map(|id| self.malformed(id)) {
            return malformed;
        }
        let (code, noun) = match self {
            Kind::Vpc => ("InvalidVpcID.NotFound", "vpc ID"),
            Kind::Subnet => ("InvalidSubnetID.NotFound", "subnet ID"),
            Kind::SecurityGroup => ("InvalidGroup.NotFound", "security group"),
            Kind::SecurityGroupRule => ("InvalidSecurityGroupRuleId.NotFound", "security group rule ID"),
            Kind::NetworkInterface => ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
            Kind::RouteTable => ("InvalidRouteTableID.NotFound", "routeTable ID"),
            Kind::InternetGateway => ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
            Kind::NatGateway => {
                let message = match ids {
                    [id] => format!("NAT gateway {id} was not found"),
                    ids => format!("NAT gateways {} were not found", ids.join(", ")),
                };
                return AwsError::new("NatGatewayNotFound", message);
            }
            Kind::Allocation => ("InvalidAllocationID.NotFound", "allocation ID"),
            Kind::Association => ("InvalidAssociationID.NotFound", "association ID"),
            Kind::NetworkAcl => ("InvalidNetworkAclID.NotFound", "networkAcl ID"),
            Kind::PrefixList => ("InvalidPrefixListID.NotFound", "prefix list ID"),
            Kind::DhcpOptions => ("InvalidDhcpOptionID.NotFound", "dhcpOption ID"),
            Kind::Instance => ("InvalidInstanceID.NotFound", "instance ID"),
            Kind::KeyPair => ("InvalidKeyPair.NotFound", "key pair"),
            Kind::Image => ("InvalidAMIID.NotFound", "image id"),
            Kind::Volume => ("InvalidVolume.NotFound", "volume"),
            Kind::Snapshot => ("InvalidSnapshot.NotFound", "snapshot"),
        };
        let list = ids.join(", ");
        let list = if self == Kind::Image { format!("[{list}]") } else { list };
        let stop = if matches!(self, Kind::Volume | Kind::Snapshot) { "." } else { "" };
        let message = match ids {
            [_] => format!("The {noun} '{list}' does not exist{stop}"),
            _ => format!("The {noun}s '{list}' do not exist{stop}"),
        };
        AwsError::new(code, message)
    }
}

pub fn group_name_not_found(name: &str, vpc: &str) -> AwsError {
    AwsError::new("InvalidGroup.NotFound", format!("The security group '{name}' does not exist in default VPC '{vpc}'"))
}

pub fn no_default_vpc() -> AwsError {
    AwsError::new(
        "VPCIdNotSpecified",
        "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
    )
}

pub fn duplicate_group(name: &str, vpc: &str) -> AwsError {
    AwsError::new("InvalidGroup.Duplicate", format!("The security group '{name}' already exists for VPC '{vpc}'"))
}

pub fn group_not_deletable(id: &str, name: &str) -> AwsError {
    let message = format!("the specified group: \"{id}\" name: \"{name}\" cannot be deleted by a user");
    AwsError::new("CannotDelete", message)
}

pub fn dependent_object(id: &str) -> AwsError {
    AwsError::new("DependencyViolation", format!("resource {id} has a dependent object"))
}

/// `The subnet 'subnet-1' has dependencies and cannot be deleted.`
pub fn has_dependencies(noun: &str, id: &str) -> AwsError {
    AwsError::new("DependencyViolation", format!("The {noun} '{id}' has dependencies and cannot be deleted."))
}

pub fn duplicate_permission(rule: &str) -> AwsError {
    AwsError::new("InvalidPermission.Duplicate", format!("the specified rule \"{rule}\" already exists"))
}

pub fn permission_not_found() -> AwsError {
    AwsError::new("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
}

pub fn interface_in_use(id: &str) -> AwsError {
    invalid_parameter(format!("Network interface '{id}' is currently in use."))
}

/// `resource igw-1 is already attached to network vpc-1`, and its like.
pub fn already_associated(message: impl Into<String>) -> AwsError {
    AwsError::new("Resource.AlreadyAssociated", message)
}

pub fn idempotent_mismatch() -> AwsError {
    AwsError::new("IdempotentParameterMismatch", "The client token was used with other parameters before.")
}

pub fn subnet_range(cidr: &str) -> AwsError {
    AwsError::new("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid."))
}

pub fn subnet_conflict(cidr: &str) -> AwsError {
    AwsError::new("InvalidSubnet.Conflict", format!("The CIDR '{cidr}' conflicts with another subnet"))
}

pub fn vpc_range(cidr: &str) -> AwsError {
    AwsError::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid."))
}

/// There are as many public addresses as there may be.
pub fn address_limit() -> AwsError {
    AwsError::new("AddressLimitExceeded", "The maximum number of addresses has been reached.")
}

impl From<NoAddress> for AwsError {
    fn from(error: NoAddress) -> Self {
        match error {
            NoAddress::NoSubnet(subnet) => Kind::Subnet.not_found(&[subnet.as_str()]),
            NoAddress::Full(_) => AwsError::new(
                "InsufficientFreeAddressesInSubnet",
                "The specified subnet does not have enough free addresses to satisfy the request.",
            ),
            NoAddress::PublicPool => address_limit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_that_would_succeed_is_refused() {
        let error = finish(Some(true), ()).expect_err("a dry run");
        assert_eq!((error.code.as_ref(), error.http_status), ("DryRunOperation", Some(412)));
        assert_eq!(finish(Some(false), 1), Ok(1));
        assert_eq!(finish(None, 1), Ok(1));
    }

    #[test]
    fn several_missing_ids_are_told_at_once() {
        let error = Kind::Subnet.not_found(&["subnet-1", "subnet-2"]);
        assert_eq!(error.message, "The subnet IDs 'subnet-1, subnet-2' do not exist");
    }

    #[test]
    fn what_is_no_id_is_told_from_one_that_does_not_exist() {
        let error = Kind::Vpc.not_found(&["vpc-1", "web"]);
        let expected = ("InvalidVpcID.Malformed", "Invalid id: \"web\" (expecting \"vpc-...\")");
        assert_eq!((error.code.as_ref(), error.message.as_ref()), expected);
        assert_eq!(Kind::Allocation.not_found(&["web"]).code, "InvalidAllocationID.NotFound");
    }
}
