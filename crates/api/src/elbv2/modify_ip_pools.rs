//! ModifyIpPools: addresses of load balancers come from subnets and the machine's own pool, never from IPAM.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{ModifyIpPoolsInput, ModifyIpPoolsOutput};
use longshore_store::Snapshot;

pub fn modify_ip_pools(state: &Snapshot, cx: &Cx, input: ModifyIpPoolsInput) -> Result<ModifyIpPoolsOutput, AwsError> {
    names::load_balancer(state, &cx.scope, &input.load_balancer_arn)?;
    // Taking away a pool that no load balancer can have changes nothing.
    error::refuse!(input; ipam_pools);
    Ok(ModifyIpPoolsOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::IpamPools;

    #[test]
    fn pools_are_refused_by_name() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        let pools = |id: Option<&str>| ModifyIpPoolsInput {
            load_balancer_arn: arn.clone(),
            ipam_pools: Some(IpamPools { ipv4_ipam_pool_id: id.map(str::to_owned) }),
            remove_ipam_pools: None,
        };
        assert_eq!(
            refusal(read(&fixture, modify_ip_pools, pools(Some("ipam-pool-0123456789abcdef0")))),
            "ValidationError: IpamPools is not supported by Longshore yet."
        );
        let remove = ModifyIpPoolsInput { remove_ipam_pools: Some(vec!["ipv4".to_owned()]), ..pools(None) };
        read(&fixture, modify_ip_pools, remove).expect("there is none");
    }
}
