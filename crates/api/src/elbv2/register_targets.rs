//! RegisterTargets: addresses, each with a port. A target that was draining is taken back.

use super::{error, limits, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{RegisterTargetsInput, RegisterTargetsOutput, TargetDescription};
use longshore_store::tables::{NetworkInterfaces, Subnets};
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{Cidr, EniOwner, Subnet};
use longshore_types::elbv2::{Target, TargetGroup, TargetHealth};
use longshore_types::id::{TaskId, ZoneName};
use std::net::Ipv4Addr;
use std::sync::Arc;

pub fn register_targets(tx: &mut Tx, cx: &Cx, input: RegisterTargetsInput) -> Result<RegisterTargetsOutput, AwsError> {
    let group = names::target_group(tx, &cx.scope, &input.target_group_arn)?;
    if input.targets.is_empty() {
        return Err(error::validation("At least one target must be specified"));
    }
    for given in &input.targets {
        let (address, port) = parse(given, &group)?;
        let zone = zone(tx, cx, &group, given, address)?;
        let key = (cx.scope.clone(), group.arn.clone(), format!("{address}:{port}"));
        let old = tx.targets().get(&key);
        if old.as_ref().is_some_and(|target| target.draining_since.is_none()) {
            continue;
        }
        let row = Target {
            target_group: group.arn.clone(),
            address,
            port,
            zone,
            draining_since: None,
            task: task(tx, cx, &group, address, port),
            registered_at: cx.now,
            health: TargetHealth::registering(),
        };
        tx.targets().put(key, row);
    }
    limits::check(&limits::TARGETS, tx.targets().prefix(&(cx.scope.clone(), group.arn.clone())).count())?;
    Ok(RegisterTargetsOutput {})
}

/// A target's address, and its port or the group's.
pub fn parse(given: &TargetDescription, group: &TargetGroup) -> Result<(Ipv4Addr, u16), AwsError> {
    error::refuse!(given; quic_server_id);
    let id = given.id.as_deref().unwrap_or_default();
    let address =
        id.parse().map_err(|_| error::validation(format!("The IP address '{id}' is not a valid IPv4 address")))?;
    let port = match given.port {
        None => Some(group.port),
        Some(port) => u16::try_from(port).ok().filter(|port| *port > 0),
    };
    Ok((address, port.ok_or_else(|| error::validation("Port must be from 1 to 65535"))?))
}

/// The task that has the address, if its service registers this port of it here: then the target is its own, however it
/// came here, and leaves before it.
fn task(state: &Snapshot, cx: &Cx, group: &TargetGroup, address: Ipv4Addr, port: u16) -> Option<TaskId> {
    let subnet = subnet(state, cx, group, address)?;
    let interfaces = state.network_interfaces();
    let eni = interfaces.find(&NetworkInterfaces::BY_ADDRESS, &(cx.scope.clone(), subnet.id.clone(), address))?;
    let EniOwner::Task { task, .. } = &eni.owner else { return None };
    let task = state.tasks().get(&(cx.scope.clone(), task.clone()))?;
    let service = state.services().get(&(cx.scope.clone(), task.cluster.clone(), task.service.clone()?))?;
    let deployment = service.deployments.iter().find(|deployment| Some(&deployment.id) == task.deployment.as_ref())?;
    let mut registered = deployment.template.load_balancers.iter();
    let is_its_own = registered.any(|lb| lb.target_group == group.arn && lb.port == port);
    is_its_own.then(|| task.id.clone())
}

/// The subnet of the group's VPC that holds an address.
fn subnet(state: &Snapshot, cx: &Cx, group: &TargetGroup, address: Ipv4Addr) -> Option<Arc<Subnet>> {
    let mut subnets = state.subnets().by_index(&Subnets::BY_VPC, &(cx.scope.clone(), group.vpc.clone()));
    subnets.find(|subnet| subnet.cidr.contains(address))
}

/// The zone of an address in the VPC is its subnet's. An address outside must be private, and in `all` zones.
fn zone(
    state: &Snapshot,
    cx: &Cx,
    group: &TargetGroup,
    given: &TargetDescription,
    address: Ipv4Addr,
) -> Result<Option<ZoneName>, AwsError> {
    let vpc = state.vpcs().get(&(cx.scope.clone(), group.vpc.clone()));
    let stated = given.availability_zone.as_deref();
    if vpc.is_some_and(|vpc| vpc.cidrs().any(|cidr| cidr.contains(address))) {
        return Ok(match stated {
            Some(stated) if stated != "all" => Some(stated.into()),
            _ => subnet(state, cx, group, address).map(|subnet| subnet.zone.clone()),
        });
    }
    if !is_private(address) {
        let text = format!(
            "The IP address '{address}' is not within the VPC's CIDR blocks, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"
        );
        return Err(error::invalid_target(text));
    }
    match stated {
        Some("all") => Ok(Some("all".into())),
        _ => Err(error::validation(format!(
            "You must specify the Availability Zone 'all' for the IP address '{address}', which is outside the VPC"
        ))),
    }
}

fn is_private(address: Ipv4Addr) -> bool {
    let shared = Cidr::new(Ipv4Addr::new(100, 64, 0, 0), 10);
    address.is_private() || shared.is_some_and(|shared| shared.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::testing::World;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::ecs::LoadBalancer;
    use longshore_types::Timestamp;
    use longshore_types::elbv2::TargetState;

    fn target(id: &str, port: Option<i32>, zone: Option<&str>) -> TargetDescription {
        let availability_zone = zone.map(str::to_owned);
        TargetDescription { id: Some(id.to_owned()), port, availability_zone, quic_server_id: None }
    }

    #[test]
    fn a_target_has_the_groups_port_unless_it_has_its_own() {
        let fixture = Fixture::new();
        let arn = target_group(&fixture, "web");
        let targets = vec![
            target("172.31.0.10", None, None),
            target("172.31.0.10", Some(81), None),
            target("10.9.9.9", None, Some("all")),
        ];
        let input = RegisterTargetsInput { target_group_arn: arn.clone(), targets };
        write(&fixture, register_targets, input).expect("registered");
        fixture.read(|state, cx| {
            let key = |id: &str| (cx.scope.clone(), arn.clone(), id.to_owned());
            let first = state.targets().get(&key("172.31.0.10:80")).expect("a target");
            assert_eq!(first.health, TargetHealth::registering());
            assert!(first.zone.is_some(), "the subnet's");
            assert!(state.targets().contains(&key("172.31.0.10:81")));
            assert_eq!(state.targets().get(&key("10.9.9.9:80")).expect("a target").zone, Some("all".into()));
        });
    }

    #[test]
    fn registering_again_keeps_the_health_and_ends_draining() {
        let fixture = Fixture::new();
        let arn = target_group(&fixture, "web");
        register(&fixture, &arn, "172.31.0.10");
        let health = |state: TargetState, draining: bool| {
            let arn = arn.clone();
            fixture.write(move |tx, cx| {
                tx.targets().update(&(cx.scope.clone(), arn, "172.31.0.10:80".to_owned()), |target| {
                    target.health = TargetHealth { state, reason: None, description: None };
                    target.draining_since = draining.then_some(Timestamp(1));
                });
            });
        };
        let seen = || fixture.read(|state, _| state.targets().all().next().expect("a target").health.state);
        health(TargetState::Healthy, false);
        register(&fixture, &arn, "172.31.0.10");
        assert_eq!(seen(), TargetState::Healthy);
        health(TargetState::Draining, true);
        register(&fixture, &arn, "172.31.0.10");
        assert_eq!(seen(), TargetState::Initial);
        fixture.read(|state, _| assert_eq!(state.targets().all().next().expect("a target").draining_since, None));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        let arn = target_group(&fixture, "web");
        let register = |target| {
            let input = RegisterTargetsInput { target_group_arn: arn.clone(), targets: vec![target] };
            write(&fixture, register_targets, input)
        };
        assert_eq!(
            refusal(register(target("i-1", None, None))),
            "ValidationError: The IP address 'i-1' is not a valid IPv4 address"
        );
        assert!(
            refusal(register(target("8.8.8.8", None, Some("all"))))
                .starts_with("InvalidTarget: The IP address '8.8.8.8' is not within")
        );
        assert!(
            refusal(register(target("10.0.0.1", None, None)))
                .starts_with("ValidationError: You must specify the Availability Zone 'all'")
        );
        assert_eq!(
            refusal(register(target("172.31.0.10", Some(0), None))),
            "ValidationError: Port must be from 1 to 65535"
        );
        let input = RegisterTargetsInput { target_group_arn: format!("{arn}0"), targets: vec![] };
        assert_eq!(
            refusal(write(&fixture, register_targets, input)),
            "TargetGroupNotFound: One or more target groups not found"
        );
    }

    #[test]
    fn a_task_of_a_service_that_is_registered_by_hand_is_its_own_target() {
        let world = World::new();
        let group = stack(&world.fixture).target_group;
        let load_balancer = LoadBalancer {
            target_group_arn: Some(group.clone()),
            container_name: Some("app".to_owned()),
            container_port: Some(80),
            ..Default::default()
        };
        world.create_service(|input| input.load_balancers = Some(vec![load_balancer])).expect("created");
        world.service_task();
        let (id, address): (TaskId, String) = world.fixture.write(|tx, cx| {
            let service = tx.snapshot().services().all().next().expect("a service");
            let task = tx.snapshot().tasks().all().next().expect("a task");
            let key = (cx.scope.clone(), task.id.clone());
            tx.tasks().update(&key, |task| task.deployment = Some(service.deployments[0].id.clone()));
            (task.id.clone(), task.network.address.to_string())
        });
        let owner = |port: i32| {
            let targets = vec![target(&address, Some(port), None)];
            let input = RegisterTargetsInput { target_group_arn: group.clone(), targets };
            write(&world.fixture, register_targets, input).expect("registered");
            let key = |cx: &Cx| (cx.scope.clone(), group.clone(), format!("{address}:{port}"));
            world.read(|state, cx| state.targets().get(&key(cx)).expect("a target").task.clone())
        };
        assert_eq!([owner(80), owner(81)], [Some(id), None]);
    }
}
