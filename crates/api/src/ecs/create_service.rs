//! CreateService: a service with its first deployment; the scheduler starts the tasks.

use super::run_task::check_platform_version;
use super::unsupported::refuse;
use super::{capacity, deployment, error, execute_command, names, network, view};
use crate::Cx;
use crate::iam::service_linked_role;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{self as wire, CreateServiceInput, CreateServiceOutput};
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::ecs::*;
use longshore_types::id::{ServiceName, is_ecs_name};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Service Connect that is off, as consoles and generators write it: it asks for nothing.
pub fn connects_nothing(given: &wire::ServiceConnectConfiguration) -> bool {
    given.enabled == Some(false)
}

/// Of a cluster: <https://docs.aws.amazon.com/general/latest/gr/ecs-service.html>.
const SERVICES_MAX: usize = 5000;
/// Characters of an idempotency token.
const CLIENT_TOKEN_MAX: usize = 36;

pub fn create_service(tx: &mut Tx, cx: &Cx, mut input: CreateServiceInput) -> Result<CreateServiceOutput, AwsError> {
    input.service_connect_configuration.take_if(|given| connects_nothing(given));
    refuse!(input; service_registries, role, placement_constraints, placement_strategy,
        service_connect_configuration, volume_configurations, vpc_lattice_configurations, gateway_connectors, monitoring);
    check_choice("schedulingStrategy", input.scheduling_strategy.as_deref(), "REPLICA")?;
    check_controller(input.deployment_controller.as_ref())?;
    let request_digest = digest(&input);
    let cluster = names::cluster(tx, &cx.scope, input.cluster.as_deref())?;
    if !is_ecs_name(&input.service_name) {
        return Err(error::invalid(
            "Service names must contain only letters, numbers, hyphens and underscores, and at most 255 of them.",
        ));
    }
    let client_token = names::client_token(input.client_token.as_deref(), CLIENT_TOKEN_MAX)?.map(str::to_owned);
    let name = ServiceName::from(input.service_name.as_str());
    let key = (cx.scope.clone(), cluster.name.clone(), name.clone());
    match tx.services().get(&key).map(|existing| (existing.status, existing)) {
        None | Some((ServiceStatus::Inactive, _)) => {}
        Some((ServiceStatus::Draining, _)) => {
            return Err(error::invalid("Unable to Start a service that is still Draining."));
        }
        Some((ServiceStatus::Active, existing)) => {
            let again = client_token.is_some()
                && existing.client_token == client_token
                && existing.request_digest == request_digest;
            return match again {
                true => Ok(CreateServiceOutput { service: Some(view::service(tx, &cx.scope, &existing, true)) }),
                false => Err(error::invalid("Creation of service was not idempotent.")),
            };
        }
    }
    let others = (cx.scope.clone(), cluster.name.clone());
    let active = |service: &std::sync::Arc<Service>| service.status != ServiceStatus::Inactive;
    if tx.snapshot().services().prefix(&others).filter(active).count() >= SERVICES_MAX {
        return Err(error::invalid(format!("The maximum number of services per cluster is {SERVICES_MAX}.")));
    }
    let given = input.task_definition.ok_or_else(|| error::invalid("TaskDefinition can not be blank."))?;
    let definition = names::runnable(tx, &cx.scope, &given)?;
    let executes = input.enable_execute_command.unwrap_or(false);
    execute_command::check_service_role(executes, &definition, "created")?;
    check_platform_version(input.platform_version.as_deref())?;
    let template = Template {
        task_definition: (definition.family.clone(), definition.revision),
        capacity: capacity::choose(
            &cluster,
            input.launch_type.as_deref(),
            input.capacity_provider_strategy,
            &definition,
        )?,
        network: network::resolve(tx, &cx.scope, input.network_configuration)?,
        load_balancers: load_balancers(tx, &cx.scope, input.load_balancers.unwrap_or_default(), &definition)?,
        platform_version: input.platform_version.unwrap_or_else(|| "LATEST".to_owned()),
    };
    let health_check_grace_seconds =
        grace(input.health_check_grace_period_seconds, &template, &definition)?.unwrap_or(0);
    let desired_count =
        desired(input.desired_count)?.ok_or_else(|| error::invalid("DesiredCount can not be blank."))?;
    let mut service = Service {
        name,
        cluster: cluster.name.clone(),
        status: ServiceStatus::Active,
        desired_count,
        template,
        minimum_healthy_percent: 100,
        maximum_percent: 200,
        circuit_breaker: CircuitBreaker::default(),
        health_check_grace_seconds,
        zone_rebalancing: false,
        enable_ecs_managed_tags: input.enable_ecs_managed_tags.unwrap_or(false),
        enable_execute_command: executes,
        propagate_tags: propagate_tags(input.propagate_tags.as_deref())?.unwrap_or(PropagateTags::None),
        deployments: vec![],
        last_completed: None,
        service_deployment: None,
        events: vec![],
        created_at: cx.now,
        inactive_since: None,
        created_by: cx.caller.arn.clone(),
        tags: names::tags(input.tags)?,
        launch_backoff: LaunchBackoff::default(),
        client_token,
        request_digest,
    };
    configure(&mut service, input.deployment_configuration)?;
    // As on AWS: on where it can be.
    service.zone_rebalancing = rebalancing(input.availability_zone_rebalancing.as_deref(), service.maximum_percent)?
        .unwrap_or(service.maximum_percent > 100);
    service_linked_role::ensure(tx, cx, &service_linked_role::ECS);
    deployment::begin(tx, cx, &mut service);
    let sent = view::service(tx, &cx.scope, &service, true);
    tx.services().put(key, service);
    Ok(CreateServiceOutput { service: Some(sent) })
}

/// Distinguishes requests that come with the same idempotency token.
fn digest(input: &CreateServiceInput) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{input:?}").hash(&mut hasher);
    hasher.finish()
}

/// Only the rolling update of ECS itself.
pub fn check_controller(given: Option<&wire::DeploymentController>) -> Result<(), AwsError> {
    check_choice("deploymentController", given.and_then(|c| c.r#type.as_deref()), "ECS")
}

/// `healthCheckGracePeriodSeconds`, which needs some health check to wait for.
pub fn grace(given: Option<i32>, template: &Template, definition: &TaskDefinition) -> Result<Option<u32>, AwsError> {
    let Some(seconds) = given else { return Ok(None) };
    let seconds =
        u32::try_from(seconds).map_err(|_| error::invalid("healthCheckGracePeriodSeconds must not be negative."))?;
    if seconds > 0
        && template.load_balancers.is_empty()
        && definition.containers.iter().all(|c| c.health_check.is_none())
    {
        return Err(error::invalid(
            "Health check grace period is only valid for services configured to use load balancers or container health checks.",
        ));
    }
    Ok(Some(seconds))
}

/// `availabilityZoneRebalancing`, which starts a task before it stops one.
pub fn rebalancing(given: Option<&str>, maximum_percent: u32) -> Result<Option<bool>, AwsError> {
    match given {
        None => Ok(None),
        Some("DISABLED") => Ok(Some(false)),
        Some("ENABLED") if maximum_percent > 100 => Ok(Some(true)),
        Some("ENABLED") => {
            Err(error::invalid("Availability Zone rebalancing requires a maximumPercent greater than 100."))
        }
        Some(other) => Err(error::invalid(format!("Invalid availabilityZoneRebalancing '{other}'."))),
    }
}

fn check_choice(parameter: &str, given: Option<&str>, only: &str) -> Result<(), AwsError> {
    match given {
        Some(other) if other != only => Err(error::unsupported(&format!("{parameter} {other}"))),
        _ => Ok(()),
    }
}

pub fn desired(given: Option<i32>) -> Result<Option<u32>, AwsError> {
    match given {
        Some(n) if !(0..=5000).contains(&n) => {
            Err(error::invalid("Invalid desiredCount: a service has 0 to 5000 tasks."))
        }
        n => Ok(n.map(i32::unsigned_abs)),
    }
}

pub fn propagate_tags(given: Option<&str>) -> Result<Option<PropagateTags>, AwsError> {
    given
        .map(|text| {
            PropagateTags::parse(text).ok_or_else(|| error::invalid(format!("Invalid propagateTags '{text}'.")))
        })
        .transpose()
}

/// Bounds and circuit breaker of a rolling deployment.
pub fn configure(service: &mut Service, given: Option<wire::DeploymentConfiguration>) -> Result<(), AwsError> {
    let Some(given) = given else { return Ok(()) };
    check_choice("deploymentConfiguration.strategy", given.strategy.as_deref(), "ROLLING")?;
    refuse!(given; bake_time_in_minutes, lifecycle_hooks, linear_configuration, canary_configuration, early_success_criteria);
    if given.alarms.as_ref().is_some_and(|alarms| {
        alarms.enable == Some(true) || !alarms.alarm_names.iter().flatten().collect::<Vec<_>>().is_empty()
    }) {
        return Err(error::unsupported("deploymentConfiguration.alarms"));
    }
    if let Some(breaker) = given.deployment_circuit_breaker {
        service.circuit_breaker = CircuitBreaker {
            enable: breaker.enable == Some(true),
            rollback: breaker.rollback == Some(true),
            reset_on_healthy_task: breaker.reset_on_healthy_task.unwrap_or(true),
            threshold: breaker.threshold_configuration.map(threshold).transpose()?.unwrap_or_default(),
        };
    }
    let percent = |name: &str, value: Option<i32>, old: u32| match value {
        None => Ok(old),
        Some(n) if n >= 0 => Ok(n.unsigned_abs()),
        Some(n) => Err(error::invalid(format!("Invalid {name}: {n}"))),
    };
    service.minimum_healthy_percent =
        percent("minimumHealthyPercent", given.minimum_healthy_percent, service.minimum_healthy_percent)?;
    service.maximum_percent = percent("maximumPercent", given.maximum_percent, service.maximum_percent)?;
    if service.maximum_percent == 0 {
        return Err(error::invalid("maximumPercent must be greater than 0."));
    }
    if service.minimum_healthy_percent > service.maximum_percent
        || (service.minimum_healthy_percent == 100 && service.maximum_percent == 100)
    {
        return Err(error::invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments, and minimumHealthyPercent must not be greater than maximumPercent.",
        ));
    }
    Ok(())
}

fn threshold(given: wire::ThresholdConfiguration) -> Result<Threshold, AwsError> {
    let kind = given.r#type.as_deref().and_then(ThresholdKind::parse);
    let kind = kind.ok_or_else(|| error::invalid("Invalid thresholdConfiguration type."))?;
    let value = given.value.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let value = value.ok_or_else(|| error::invalid("thresholdConfiguration value must be greater than 0."))?;
    Ok(Threshold { kind, value })
}

/// Target groups of type `ip` that some load balancer forwards to, and containers with that port.
pub fn load_balancers(
    state: &Snapshot,
    scope: &Scope,
    given: Vec<wire::LoadBalancer>,
    definition: &TaskDefinition,
) -> Result<Vec<ServiceLoadBalancer>, AwsError> {
    if given.len() > 5 {
        return Err(error::invalid("load balancers can have at most 5 items."));
    }
    given.into_iter().map(|lb| load_balancer(state, scope, lb, definition)).collect()
}

fn load_balancer(
    state: &Snapshot,
    scope: &Scope,
    lb: wire::LoadBalancer,
    definition: &TaskDefinition,
) -> Result<ServiceLoadBalancer, AwsError> {
    refuse!(lb; load_balancer_name, advanced_configuration);
    let arn = lb.target_group_arn.ok_or_else(|| error::invalid("targetGroupArn can not be blank."))?;
    if state.target_groups().get(&(scope.clone(), arn.clone())).is_none() {
        return Err(error::invalid(format!("The specified target group does not exist. (targetGroupArn {arn})")));
    }
    let forwards = |actions: &[longshore_types::elbv2::Action]| {
        actions.iter().any(|a| a.target_groups().any(|group| group == arn))
    };
    let used = state.listeners().prefix(scope).any(|listener| forwards(&listener.default_actions))
        || state.rules().prefix(scope).any(|rule| forwards(&rule.actions));
    if !used {
        return Err(error::invalid(format!(
            "The target group with targetGroupArn {arn} does not have an associated load balancer."
        )));
    }
    let name = lb.container_name.ok_or_else(|| error::invalid("containerName can not be blank."))?;
    let Some(container) = definition.containers.iter().find(|c| c.name == name) else {
        return Err(error::invalid(format!("The container {name} does not exist in the task definition.")));
    };
    let port = u16::try_from(lb.container_port.unwrap_or(0)).unwrap_or(0);
    if !container.ports.iter().any(|p| p.container_port == port) {
        return Err(error::invalid(format!("The container {name} did not have a container port {port} defined.")));
    }
    Ok(ServiceLoadBalancer { target_group: arn, container: name, port })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_service_begins_with_a_deployment_and_a_revision() {
        let world = World::new();
        let service = world.create_service(|_| {}).expect("created");
        let deployments = service.deployments.expect("a list");
        assert_eq!((deployments.len(), deployments[0].status.as_deref()), (1, Some("PRIMARY")));
        assert_eq!(deployments[0].rollout_state.as_deref(), Some("IN_PROGRESS"));
        assert_eq!(service.current_service_revisions.map(|r| r.len()), Some(1));
        assert_eq!(service.availability_zone_rebalancing.as_deref(), Some("ENABLED"));
    }

    #[test]
    fn the_same_request_with_its_token_is_answered_with_the_service_there_is() {
        let world = World::new();
        let token = |input: &mut CreateServiceInput| input.client_token = Some("t".into());
        let first = world.create_service(token).expect("created");
        let again = world.create_service(token).expect("the same");
        assert_eq!(first.created_at, again.created_at);
        for other in [None, Some("other".to_owned())] {
            let error = world.create_service(|input| input.client_token = other).expect_err("there is one");
            assert_eq!(error.message, "Creation of service was not idempotent.");
        }
        let different = world.create_service(|input| {
            token(input);
            input.desired_count = Some(5);
        });
        assert!(different.is_err());
    }

    #[test]
    fn service_connect_that_is_off_asks_for_nothing() {
        let world = World::new();
        let connect = |enabled| {
            let given = wire::ServiceConnectConfiguration { enabled: Some(enabled), ..Default::default() };
            world.create_service(|input| input.service_connect_configuration = Some(given))
        };
        let error = connect(true).expect_err("refused");
        assert_eq!(error.message, "serviceConnectConfiguration is not supported by Longshore yet.");
        assert!(connect(false).is_ok());
    }

    #[test]
    fn what_is_not_obeyed_is_refused_by_name() {
        type Change = fn(&mut CreateServiceInput);
        let world = World::new();
        let cases: [(Change, &str); 7] = [
            (|i| i.scheduling_strategy = Some("DAEMON".into()), "schedulingStrategy DAEMON"),
            (
                |i| i.deployment_controller = Some(wire::DeploymentController { r#type: Some("CODE_DEPLOY".into()) }),
                "deploymentController CODE_DEPLOY",
            ),
            (|i| configuration(i).strategy = Some("BLUE_GREEN".into()), "deploymentConfiguration.strategy BLUE_GREEN"),
            (|i| configuration(i).strategy = Some("CANARY".into()), "deploymentConfiguration.strategy CANARY"),
            (
                |i| {
                    configuration(i).alarms = Some(wire::DeploymentAlarms {
                        alarm_names: Some(vec!["a".into()]),
                        enable: Some(true),
                        rollback: Some(false),
                    });
                },
                "deploymentConfiguration.alarms",
            ),
            (|i| i.launch_type = Some("EXTERNAL".into()), "launchType EXTERNAL"),
            (|i| configuration(i).bake_time_in_minutes = Some(5), "bakeTimeInMinutes"),
        ];
        for (change, name) in cases {
            let error = world.create_service(change).expect_err("refused");
            assert_eq!(error.message, format!("{name} is not supported by Longshore yet."));
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        type Change = fn(&mut CreateServiceInput);
        let world = World::new();
        let cases: [Change; 6] = [
            |i| i.desired_count = Some(5001),
            |i| i.health_check_grace_period_seconds = Some(10),
            |i| configuration(i).maximum_percent = Some(0),
            |i| {
                configuration(i).maximum_percent = Some(100);
                configuration(i).minimum_healthy_percent = Some(100);
            },
            |i| {
                configuration(i).maximum_percent = Some(100);
                configuration(i).minimum_healthy_percent = Some(0);
                i.availability_zone_rebalancing = Some("ENABLED".into());
            },
            |i| {
                configuration(i).deployment_circuit_breaker = Some(wire::DeploymentCircuitBreaker {
                    enable: Some(true),
                    rollback: Some(true),
                    reset_on_healthy_task: None,
                    threshold_configuration: Some(wire::ThresholdConfiguration {
                        r#type: Some("COUNT".into()),
                        value: Some(0),
                    }),
                });
            },
        ];
        for (n, change) in cases.into_iter().enumerate() {
            let error = world.create_service(change).expect_err("refused");
            assert_eq!(error.code, "InvalidParameterException", "case {n}");
        }
    }

    fn configuration(input: &mut CreateServiceInput) -> &mut wire::DeploymentConfiguration {
        input.deployment_configuration.get_or_insert_default()
    }
}
