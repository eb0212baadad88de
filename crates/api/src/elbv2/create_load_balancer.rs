//! CreateLoadBalancer.

use super::error::refuse;
use super::{error, limits, names, placement, tags, view};
use crate::Cx;
use crate::ec2::internet_gateways;
use crate::iam::service_linked_role;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateLoadBalancerInput, CreateLoadBalancerOutput, codes};
use longshore_store::tables::LoadBalancers;
use longshore_store::{Snapshot, Tx};
use longshore_types::Region;
use longshore_types::elbv2::{LoadBalancer, LoadBalancerState};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub fn create_load_balancer(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateLoadBalancerInput,
) -> Result<CreateLoadBalancerOutput, AwsError> {
    refuse!(input; customer_owned_ipv4_pool, enable_prefix_for_ipv6_source_nat, ipam_pools);
    if let Some(other) = input.r#type.as_deref().filter(|kind| *kind != "application") {
        return Err(error::unsupported(format_args!("The load balancer type '{other}'")));
    }
    if let Some(other) = input.ip_address_type.as_deref().filter(|kind| *kind != "ipv4") {
        return Err(error::unsupported(format_args!("The IP address type '{other}'")));
    }
    names::check_name("load balancer", &input.name)?;
    if input.name.starts_with("internal-") {
        return Err(error::validation(format!(
            "The load balancer name '{}' cannot begin with 'internal-'",
            input.name
        )));
    }
    let internet_facing = match input.scheme.as_deref() {
        None | Some("internet-facing") => true,
        Some("internal") => false,
        Some(other) => {
            return Err(AwsError::new(codes::INVALID_SCHEME, format!("The scheme '{other}' is not valid")));
        }
    };
    let subnets = placement::subnets(tx, &cx.scope, input.subnets, input.subnet_mappings)?;
    let vpc = subnets[0].vpc.clone();
    let security_groups = placement::security_groups(tx, &cx.scope, &vpc, input.security_groups.unwrap_or_default())?;
    let tags = tags::parse(&input.tags.unwrap_or_default())?;
    let by_name = (cx.scope.clone(), input.name.clone());
    if let Some(existing) = tx.load_balancers().find(&LoadBalancers::BY_NAME, &by_name) {
        let given: BTreeSet<_> = subnets.iter().map(|subnet| &subnet.id).collect();
        let same = existing.internet_facing == internet_facing
            && existing.nodes.iter().map(|node| &node.subnet).collect::<BTreeSet<_>>() == given
            && existing.security_groups.iter().collect::<BTreeSet<_>>() == security_groups.iter().collect();
        if !same {
            let text =
                format!("A load balancer with the same name '{}' exists, but with different settings", input.name);
            return Err(AwsError::new(codes::DUPLICATE_LOAD_BALANCER_NAME, text));
        }
        return Ok(CreateLoadBalancerOutput { load_balancers: Some(vec![view::load_balancer(&existing)]) });
    }
    limits::check(&limits::LOAD_BALANCERS, tx.load_balancers().prefix(&cx.scope).count() + 1)?;
    if internet_facing && !internet_gateways::is_attached(tx, cx, &vpc) {
        return Err(AwsError::new(codes::INVALID_SUBNET, format!("VPC {vpc} has no internet gateway")));
    }
    let host_address = match internet_facing {
        true => Some(free_host_address(tx, cx)?),
        false => None,
    };
    let id = cx.ids().hex(16);
    let mut row = LoadBalancer {
        arn: names::load_balancer_arn(&cx.scope, &input.name, &id),
        dns_name: dns_name(cx, &input.name, internet_facing),
        name: input.name,
        hosted_zone_id: hosted_zone(&cx.scope.region).to_owned(),
        internet_facing,
        vpc,
        security_groups,
        nodes: vec![],
        host_address,
        state: LoadBalancerState::Provisioning,
        attributes: BTreeMap::new(),
        created_at: cx.now,
        tags,
    };
    placement::place(tx, cx, &mut row, &subnets)?;
    service_linked_role::ensure(tx, cx, &service_linked_role::ELASTIC_LOAD_BALANCING);
    let sent = view::load_balancer(&row);
    tx.load_balancers().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateLoadBalancerOutput { load_balancers: Some(vec![sent]) })
}

/// `web-1234567890.us-east-1.elb.amazonaws.com`; China's and GovCloud's domains are not served.
fn dns_name(cx: &Cx, name: &str, internet_facing: bool) -> String {
    let prefix = if internet_facing { "" } else { "internal-" };
    let digits = cx.ids().next_u64() % 10_000_000_000;
    format!("{prefix}{}-{digits:010}.{}.elb.amazonaws.com", name.to_ascii_lowercase(), cx.scope.region)
}

/// Route 53's zone of the region's load balancers, for alias records.
fn hosted_zone(region: &Region) -> &'static str {
    match region.as_str() {
        "us-east-2" => "Z3AADJGX6KTTL2",
        "us-west-1" => "Z368ELLRRE2KJ0",
        "us-west-2" => "Z1H1FL5HABSF5",
        "eu-central-1" => "Z215JYRZR1TBD5",
        "eu-west-1" => "Z32O12XQLNTSW2",
        "eu-west-2" => "ZHURV8PSTC4K8",
        "eu-west-3" => "Z3Q77PNBQS71R4",
        "ap-northeast-1" => "Z14GRHDCWA56QT",
        "ap-southeast-1" => "Z1LMS91P8CMLE5",
        "ap-southeast-2" => "Z1GM3OXH4ZPM65",
        _ => "Z35SXDOTRQ7X7K",
    }
}

/// The lowest free address of the machine's pool. The first is the network itself, the second the registry's.
fn free_host_address(state: &Snapshot, cx: &Cx) -> Result<Ipv4Addr, AwsError> {
    let pool = cx.settings.load_balancer_pool;
    let is_free = |address: &Ipv4Addr| {
        state.load_balancers().find(&LoadBalancers::BY_HOST_ADDRESS, &u64::from(u32::from(*address))).is_none()
    };
    (2..pool.size()).filter_map(|n| pool.nth(n)).find(is_free).ok_or_else(|| {
        AwsError::new(codes::TOO_MANY_LOAD_BALANCERS, format!("All addresses for load balancers in {pool} are in use"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_types::ec2::EniOwner;
    use longshore_types::id::VpcId;

    fn input(fixture: &Fixture) -> CreateLoadBalancerInput {
        CreateLoadBalancerInput { name: "web".to_owned(), subnets: Some(subnets(fixture)), ..Default::default() }
    }

    #[test]
    fn a_load_balancer_gets_an_interface_in_each_subnet_and_an_address_on_the_host() {
        let fixture = Fixture::new();
        let made = write(&fixture, create_load_balancer, input(&fixture)).expect("made");
        let made = made.load_balancers.and_then(|mut list| list.pop()).expect("one");
        let dns_name = made.dns_name.clone().expect("a name");
        assert!(dns_name.starts_with("web-") && dns_name.ends_with(".us-east-1.elb.amazonaws.com"), "{dns_name}");
        assert_eq!(made.scheme.as_deref(), Some("internet-facing"));
        assert_eq!(made.state.and_then(|state| state.code).as_deref(), Some("provisioning"));
        assert_eq!(made.security_groups.map(|groups| groups.len()), Some(1), "the default group");
        fixture.read(|state, cx| {
            let row = state.load_balancers().all().next().expect("a row");
            assert_eq!(row.host_address, Some(Ipv4Addr::new(127, 64, 0, 2)));
            let interfaces: Vec<_> = state.network_interfaces().prefix(&cx.scope).collect();
            assert_eq!(interfaces.len(), 2);
            for interface in interfaces {
                assert_eq!(interface.owner, EniOwner::LoadBalancer { arn: row.arn.clone() });
                assert_eq!(interface.description, format!("ELB {}", names::path(&row.arn)));
                assert!(row.nodes.iter().any(|node| node.eni == interface.id && node.address == interface.address));
            }
        });
        let again = write(&fixture, create_load_balancer, input(&fixture)).expect("the same");
        assert_eq!(again.load_balancers.expect("one")[0].load_balancer_arn, made.load_balancer_arn);
    }

    #[test]
    fn an_internal_one_has_no_address_on_the_host() {
        let fixture = Fixture::new();
        let given = CreateLoadBalancerInput { scheme: Some("internal".to_owned()), ..input(&fixture) };
        let made = write(&fixture, create_load_balancer, given).expect("made").load_balancers.expect("one");
        assert!(made[0].dns_name.as_deref().is_some_and(|name| name.starts_with("internal-web-")));
        fixture.read(|state, _| assert_eq!(state.load_balancers().all().next().expect("a row").host_address, None));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        write(&fixture, create_load_balancer, input(&fixture)).expect("made");
        let zones = subnets(&fixture);
        let text = |text: &str| Some(text.to_owned());
        for (given, expected) in [
            (
                CreateLoadBalancerInput { scheme: text("internal"), ..input(&fixture) },
                "DuplicateLoadBalancerName: A load balancer with the same name 'web' exists, but with different settings",
            ),
            (
                CreateLoadBalancerInput { subnets: Some(vec![zones[0].clone()]), ..input(&fixture) },
                "ValidationError: At least two subnets in two different Availability Zones must be specified",
            ),
            (
                CreateLoadBalancerInput { subnets: Some(vec!["subnet-1".to_owned()]), ..input(&fixture) },
                "SubnetNotFound: The subnet ID 'subnet-1' does not exist",
            ),
            (
                CreateLoadBalancerInput { security_groups: Some(vec!["sg-1".to_owned()]), ..input(&fixture) },
                "InvalidSecurityGroup: The security group 'sg-1' does not exist",
            ),
            (
                CreateLoadBalancerInput { r#type: text("network"), ..input(&fixture) },
                "ValidationError: The load balancer type 'network' is not supported by Longshore yet.",
            ),
            (
                CreateLoadBalancerInput { customer_owned_ipv4_pool: text("pool"), ..input(&fixture) },
                "ValidationError: CustomerOwnedIpv4Pool is not supported by Longshore yet.",
            ),
            (
                CreateLoadBalancerInput { name: "we_b".to_owned(), ..input(&fixture) },
                "ValidationError: The load balancer name 'we_b' can only contain characters that are alphanumeric characters and hyphens(-)",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_load_balancer, given)), expected);
        }
        let twice = vec![zones[0].clone(), zones[1].clone(), zones[1].clone()];
        let given = CreateLoadBalancerInput { subnets: Some(twice), ..input(&fixture) };
        assert!(
            refusal(write(&fixture, create_load_balancer, given))
                .contains("multiple subnets in the same Availability Zone")
        );
    }

    #[test]
    fn a_group_of_another_vpc_is_refused() {
        let fixture = Fixture::new();
        let stranger = fixture.write(|tx, cx| {
            let group = tx.security_groups().prefix(&cx.scope).next().expect("the default one");
            let mut other = (*group).clone();
            other.id = "sg-2".into();
            other.vpc = VpcId::from("vpc-2");
            tx.security_groups().put((cx.scope.clone(), other.id.clone()), other.clone());
            other.id.to_string()
        });
        let given = CreateLoadBalancerInput { security_groups: Some(vec![stranger]), ..input(&fixture) };
        assert!(
            refusal(write(&fixture, create_load_balancer, given))
                .starts_with("InvalidConfigurationRequest: The security group 'sg-2' does not belong")
        );
    }

    #[test]
    fn the_internet_is_faced_through_a_gateway_only() {
        let fixture = Fixture::new();
        let vpc = fixture.write(|tx, _| {
            let (key, row) = tx.internet_gateways().all().entries().next().expect("the default VPC's");
            tx.internet_gateways().update(&key, |gateway| gateway.vpc = None);
            row.vpc.clone().expect("it was attached")
        });
        let given = input(&fixture);
        let refused = fixture.try_write(move |tx, cx| create_load_balancer(tx, cx, given)).expect_err("no gateway");
        assert_eq!(refused.to_string(), format!("InvalidSubnet: VPC {vpc} has no internet gateway"));
        let internal = CreateLoadBalancerInput { scheme: Some("internal".to_owned()), ..input(&fixture) };
        fixture.try_write(move |tx, cx| create_load_balancer(tx, cx, internal)).expect("it needs none");
    }
}
