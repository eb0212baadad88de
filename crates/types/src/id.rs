//! Identifiers as types, so that a subnet never stands where a VPC is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl $name {
            pub fn new(text: impl Into<String>) -> Self { Self(text.into()) }
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl From<&str> for $name { fn from(text: &str) -> Self { Self(text.to_owned()) } }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
        impl std::borrow::Borrow<str> for $name { fn borrow(&self) -> &str { &self.0 } }
    )*};
}

ids! {
    /// Twelve decimal digits.
    AccountId;
    /// `us-east-1`; IAM's rows use `aws-global`.
    Region;
    /// 1 to 255 of `[A-Za-z0-9_-]`.
    ClusterName;
    /// 1 to 255 of `[A-Za-z0-9_-]`, unique in its cluster.
    ServiceName;
    /// 1 to 255 of `[A-Za-z0-9_-]`.
    Family;
    /// 32 lowercase hexadecimal digits.
    TaskId;
    /// `ecs-svc/` and 19 digits.
    DeploymentId;
    /// `vpc-` and 17 hexadecimal digits.
    VpcId;
    /// `subnet-` and 17 hexadecimal digits.
    SubnetId;
    /// `sg-` and 17 hexadecimal digits.
    SecurityGroupId;
    /// `sgr-` and 17 hexadecimal digits.
    SecurityGroupRuleId;
    /// `eni-` and 17 hexadecimal digits.
    EniId;
    /// `rtb-` and 17 hexadecimal digits.
    RouteTableId;
    /// `igw-` and 17 hexadecimal digits.
    InternetGatewayId;
    /// `nat-` and 17 hexadecimal digits.
    NatGatewayId;
    /// `eipalloc-` and 17 hexadecimal digits.
    AllocationId;
    /// `acl-` and 17 hexadecimal digits.
    NetworkAclId;
    /// `pl-` and 17 hexadecimal digits.
    PrefixListId;
    /// `dopt-` and 17 hexadecimal digits.
    DhcpOptionsId;
    /// `us-east-1a`.
    ZoneName;
    /// A node that runs tasks; `local` on one machine.
    NodeId;
}

/// Where a resource lives: state is kept per account and region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    pub account: AccountId,
    pub region: Region,
}

impl Scope {
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: AccountId(account.into()), region: Region(region.into()) }
    }

    /// The scope of IAM's resources of the same account.
    pub fn global(&self) -> Scope {
        Scope { account: self.account.clone(), region: Region::from("aws-global") }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// A name as ECS allows for clusters, services and families: 1 to 255 of `[A-Za-z0-9_-]`.
pub fn is_ecs_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
