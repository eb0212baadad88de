//! UpdateService: changes intent; a changed task definition, network or load balancer starts a deployment.

use super::create_service::{begin_deployment, configure, desired, load_balancers, propagate_tags};
use super::run_task::{capacity, check_platform_version};
use super::unsupported::refuse;
use super::{error, names, network, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{UpdateServiceInput, UpdateServiceOutput};
use longshore_store::Tx;
use longshore_types::ecs::ServiceStatus;

pub fn update_service(tx: &mut Tx, cx: &Cx, input: UpdateServiceInput) -> Result<UpdateServiceOutput, AwsError> {
    refuse!(input; service_registries, placement_constraints, placement_strategy, enable_execute_command,
        service_connect_configuration, volume_configurations, vpc_lattice_configurations, gateway_connectors, monitoring,
        deployment_controller);
    if input.availability_zone_rebalancing.as_deref() == Some("ENABLED") {
        return Err(error::unsupported("availabilityZoneRebalancing ENABLED"));
    }
    let cluster = names::cluster(tx, &cx.scope, input.cluster.as_deref())?;
    let key = (cx.scope.clone(), cluster.name.clone(), names::service_name(&input.service));
    let stored = tx.services().get(&key).ok_or_else(error::service_not_found)?;
    if stored.status != ServiceStatus::Active {
        return Err(error::service_not_active());
    }
    let mut service = (*stored).clone();
    if let Some(count) = desired(input.desired_count)? {
        service.desired_count = count;
    }
    let mut deploy = input.force_new_deployment == Some(true);
    let (family, revision) = &service.task_definition;
    let given = input.task_definition.unwrap_or_else(|| format!("{family}:{revision}"));
    let definition = match names::task_definition(tx, &cx.scope, &given)? {
        // A service may go on with a definition that was deregistered, but not change to one.
        Some(same) if (&same.family, same.revision) == (family, *revision) => same,
        _ => names::runnable(tx, &cx.scope, &given)?,
    };
    let chosen = (definition.family.clone(), definition.revision);
    deploy |= chosen != service.task_definition;
    service.task_definition = chosen;
    if input.capacity_provider_strategy.is_some() {
        capacity(None, input.capacity_provider_strategy, &definition)?;
    }
    check_platform_version(input.platform_version.as_deref())?;
    if let Some(version) = input.platform_version {
        service.platform_version = version;
    }
    if input.network_configuration.is_some() {
        let network = network::resolve(tx, &cx.scope, input.network_configuration)?;
        deploy |= network != service.network;
        service.network = network;
    }
    if let Some(given) = input.load_balancers {
        let load_balancers = load_balancers(tx, &cx.scope, given, &definition)?;
        deploy |= load_balancers != service.load_balancers;
        service.load_balancers = load_balancers;
    } else if let Some(lb) = service.load_balancers.iter().find(|lb| {
        !definition
            .containers
            .iter()
            .any(|c| c.name == lb.container && c.ports.iter().any(|p| p.container_port == lb.port))
    }) {
        return Err(error::invalid(format!(
            "The container {} did not have a container port {} defined.",
            lb.container, lb.port
        )));
    }
    if let Some(seconds) = input.health_check_grace_period_seconds {
        service.health_check_grace_seconds = u32::try_from(seconds)
            .map_err(|_| error::invalid("healthCheckGracePeriodSeconds must not be negative."))?;
    }
    if let Some(managed) = input.enable_ecs_managed_tags {
        service.enable_ecs_managed_tags = managed;
    }
    if let Some(propagate) = propagate_tags(input.propagate_tags.as_deref())? {
        service.propagate_tags = propagate;
    }
    configure(&mut service, input.deployment_configuration)?;
    if deploy {
        begin_deployment(&mut service, cx);
    }
    let sent = view::service(tx, &cx.scope, &service, true);
    tx.services().put(key, service);
    Ok(UpdateServiceOutput { service: Some(sent) })
}
