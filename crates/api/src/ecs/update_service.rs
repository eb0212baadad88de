//! UpdateService: changes intent; a change of what tasks are made from starts a deployment.

use super::create_service::*;
use super::run_task::check_platform_version;
use super::unsupported::refuse;
use super::{capacity, deployment, error, execute_command, names, network, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{UpdateServiceInput, UpdateServiceOutput};
use longshore_store::Tx;
use longshore_types::ecs::ServiceStatus;

pub fn update_service(tx: &mut Tx, cx: &Cx, mut input: UpdateServiceInput) -> Result<UpdateServiceOutput, AwsError> {
    input.service_connect_configuration.take_if(|given| connects_nothing(given));
    refuse!(input; service_registries, placement_constraints, placement_strategy,
        service_connect_configuration, volume_configurations, vpc_lattice_configurations, gateway_connectors, monitoring);
    check_controller(input.deployment_controller.as_ref())?;
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let name = names::service_name(&input.service, &cx.scope, &cluster)?;
    let cluster = names::active(tx, &cx.scope, input.cluster.as_deref(), cluster)?;
    let key = (cx.scope.clone(), cluster.name.clone(), name);
    let stored = tx.services().get(&key).ok_or_else(error::service_not_found)?;
    if stored.status != ServiceStatus::Active {
        return Err(error::service_not_active());
    }
    let mut service = (*stored).clone();
    if let Some(count) = desired(input.desired_count)? {
        service.desired_count = count;
    }
    let forced = input.force_new_deployment == Some(true);
    let (family, revision) = service.template.task_definition.clone();
    let given = input.task_definition.unwrap_or_else(|| format!("{family}:{revision}"));
    let definition = match names::task_definition(tx, &cx.scope, &given)? {
        // A service may go on with a definition that was deregistered, but not change to one.
        Some(same) if (&same.family, same.revision) == (&family, revision) => same,
        _ => names::runnable(tx, &cx.scope, &given)?,
    };
    let template = &mut service.template;
    template.task_definition = (definition.family.clone(), definition.revision);
    if let Some(given) = input.capacity_provider_strategy {
        let chosen = capacity::associated(&cluster, capacity::strategy(&given)?)?;
        if chosen != template.capacity && !forced {
            return Err(error::invalid(
                "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.",
            ));
        }
        template.capacity = chosen;
    }
    check_platform_version(input.platform_version.as_deref())?;
    if let Some(version) = input.platform_version {
        template.platform_version = version;
    }
    if input.network_configuration.is_some() {
        template.network = network::resolve(tx, &cx.scope, input.network_configuration)?;
    }
    if let Some(given) = input.load_balancers {
        template.load_balancers = load_balancers(tx, &cx.scope, given, &definition)?;
    } else if let Some(lb) = template.load_balancers.iter().find(|lb| {
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
    if let Some(seconds) = grace(input.health_check_grace_period_seconds, template, &definition)? {
        service.health_check_grace_seconds = seconds;
    }
    if let Some(executes) = input.enable_execute_command {
        service.enable_execute_command = executes;
    }
    execute_command::check_service_role(service.enable_execute_command, &definition, "updated")?;
    if let Some(managed) = input.enable_ecs_managed_tags {
        service.enable_ecs_managed_tags = managed;
    }
    if let Some(propagate) = propagate_tags(input.propagate_tags.as_deref())? {
        service.propagate_tags = propagate;
    }
    configure(&mut service, input.deployment_configuration)?;
    let asked = input.availability_zone_rebalancing.as_deref();
    if let Some(even) = rebalancing(asked, service.maximum_percent)? {
        service.zone_rebalancing = even;
    }
    if forced || service.template != stored.template {
        deployment::begin(tx, cx, &mut service);
    }
    let sent = view::service(tx, &cx.scope, &service, true);
    tx.services().put(key, service);
    Ok(UpdateServiceOutput { service: Some(sent) })
}
