//! SetIpAddressType: `ipv4` is what every load balancer has.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{SetIpAddressTypeInput, SetIpAddressTypeOutput};
use longshore_store::Snapshot;

pub fn set_ip_address_type(
    state: &Snapshot,
    cx: &Cx,
    input: SetIpAddressTypeInput,
) -> Result<SetIpAddressTypeOutput, AwsError> {
    names::load_balancer(state, &cx.scope, &input.load_balancer_arn)?;
    if input.ip_address_type != "ipv4" {
        return Err(error::unsupported(format_args!("The IP address type '{}'", input.ip_address_type)));
    }
    Ok(SetIpAddressTypeOutput { ip_address_type: Some(input.ip_address_type) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn ipv4_is_set_and_dualstack_refused() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        let set = |kind: &str, arn: &str| {
            let input = SetIpAddressTypeInput { load_balancer_arn: arn.to_owned(), ip_address_type: kind.to_owned() };
            read(&fixture, set_ip_address_type, input)
        };
        assert_eq!(set("ipv4", &arn).expect("set").ip_address_type.as_deref(), Some("ipv4"));
        assert_eq!(
            refusal(set("dualstack", &arn)),
            "ValidationError: The IP address type 'dualstack' is not supported by Longshore yet."
        );
        assert!(refusal(set("ipv4", &format!("{arn}0"))).starts_with("LoadBalancerNotFound: "));
    }
}
