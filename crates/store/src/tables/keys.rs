//! How the domain's ids are keys.

use crate::key::{Key, KeyError, encode_str};
use longshore_types::Scope;
use longshore_types::id::*;

macro_rules! text_keys {
    ($($name:ident),* $(,)?) => {$(
        impl Key for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                encode_str(self.as_str(), out);
            }
            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                String::decode(input).map(Self)
            }
        }
    )*};
}

text_keys!(
    AccountId,
    Region,
    ClusterName,
    ServiceName,
    Family,
    TaskId,
    VpcId,
    SubnetId,
    SecurityGroupId,
    EniId,
    RouteTableId,
    InternetGatewayId,
    NatGatewayId,
    AllocationId,
    NetworkAclId,
    PrefixListId,
    DhcpOptionsId,
    NodeId
);

impl Key for Scope {
    fn encode(&self, out: &mut Vec<u8>) {
        self.account.encode(out);
        self.region.encode(out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(Self { account: Key::decode(input)?, region: Key::decode(input)? })
    }
}
