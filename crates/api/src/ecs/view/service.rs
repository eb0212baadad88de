//! Services, their deployments and revisions.

use super::{list, some_if, tags, time};
use crate::ecs::deployment::counts;
use crate::iam::service_linked_role;
use longshore_aws_model::ecs as wire;
use longshore_planner::breaker;
use longshore_store::Snapshot;
use longshore_store::tables::Tasks;
use longshore_types::ecs::*;
use longshore_types::{Scope, arn};

pub fn network(n: &AwsVpcConfiguration) -> wire::NetworkConfiguration {
    wire::NetworkConfiguration {
        awsvpc_configuration: Some(wire::AwsVpcConfiguration {
            subnets: list(n.subnets.iter().map(ToString::to_string).collect()),
            security_groups: list(n.security_groups.iter().map(ToString::to_string).collect()),
            assign_public_ip: Some(if n.assign_public_ip { "ENABLED" } else { "DISABLED" }.to_owned()),
        }),
    }
}

fn load_balancer(lb: &ServiceLoadBalancer) -> wire::LoadBalancer {
    wire::LoadBalancer {
        target_group_arn: Some(lb.target_group.clone()),
        container_name: Some(lb.container.clone()),
        container_port: Some(i32::from(lb.port)),
        ..Default::default()
    }
}

pub fn capacity(strategy: &[StrategyItem]) -> Vec<wire::CapacityProviderStrategyItem> {
    let item = |item: &StrategyItem| wire::CapacityProviderStrategyItem {
        capacity_provider: Some(item.provider.to_string()),
        weight: Some(item.weight as i32),
        base: Some(item.base as i32),
    };
    strategy.iter().map(item).collect()
}

/// A launch type is shown where no strategy is.
fn launch_type(template: &Template) -> Option<String> {
    template.capacity.is_empty().then(|| "FARGATE".to_owned())
}

fn configuration(minimum: u32, maximum: u32, breaker: &CircuitBreaker) -> wire::DeploymentConfiguration {
    let chosen = breaker.threshold != Threshold::default();
    wire::DeploymentConfiguration {
        deployment_circuit_breaker: Some(wire::DeploymentCircuitBreaker {
            enable: Some(breaker.enable),
            rollback: Some(breaker.rollback),
            reset_on_healthy_task: Some(breaker.reset_on_healthy_task),
            threshold_configuration: chosen.then(|| wire::ThresholdConfiguration {
                r#type: Some(breaker.threshold.kind.to_string()),
                value: Some(breaker.threshold.value as i32),
            }),
        }),
        maximum_percent: Some(maximum as i32),
        minimum_healthy_percent: Some(minimum as i32),
        strategy: Some("ROLLING".to_owned()),
        bake_time_in_minutes: Some(0),
        ..Default::default()
    }
}

pub fn service(state: &Snapshot, scope: &Scope, s: &Service, with_tags: bool) -> wire::Service {
    let key = (scope.clone(), s.cluster.clone(), s.name.clone());
    let tasks: Vec<_> = state.tasks().by_index(&Tasks::BY_SERVICE, &key).collect();
    let count = |of: Option<&Deployment>, is: fn(&Task) -> bool| {
        let counted = tasks.iter().filter(|task| of.is_none_or(|d| task.deployment.as_ref() == Some(&d.id)));
        counted.filter(|task| is(task)).count() as i32
    };
    let running = |task: &Task| task.last_status == TaskStatus::Running;
    let pending = |task: &Task| task.last_status < TaskStatus::Running;
    let deployment = |d: &Deployment| wire::Deployment {
        id: Some(d.id.to_string()),
        status: Some(d.status.to_string()),
        task_definition: Some(arn::task_definition(scope, &d.template.task_definition.0, d.template.task_definition.1)),
        desired_count: Some(match d.status {
            DeploymentStatus::Primary => s.desired_count as i32,
            // What is left of it until its successor takes over.
            _ => count(Some(d), Task::is_live),
        }),
        pending_count: Some(count(Some(d), pending)),
        running_count: Some(count(Some(d), running)),
        failed_tasks: Some(d.failed_tasks as i32),
        created_at: Some(time(d.created_at)),
        updated_at: Some(time(d.updated_at)),
        capacity_provider_strategy: some_if(capacity(&d.template.capacity)),
        launch_type: launch_type(&d.template),
        platform_version: Some("1.4.0".to_owned()),
        platform_family: Some("Linux".to_owned()),
        network_configuration: Some(network(&d.template.network)),
        rollout_state: Some(d.rollout_state.to_string()),
        rollout_state_reason: Some(d.rollout_reason.clone()),
        ..Default::default()
    };
    let revisions = s.deployments.iter().map(|d| {
        let counts = counts(state, scope, s, d.revision, 0);
        wire::ServiceCurrentRevisionSummary {
            arn: Some(arn::service_revision(scope, &s.cluster, &s.name, d.revision)),
            requested_task_count: deployment(d).desired_count,
            running_task_count: Some(counts.running as i32),
            pending_task_count: Some(counts.pending as i32),
        }
    });
    let template = &s.template;
    wire::Service {
        service_arn: Some(arn::service(scope, &s.cluster, &s.name)),
        service_name: Some(s.name.to_string()),
        cluster_arn: Some(arn::cluster(scope, &s.cluster)),
        load_balancers: list(template.load_balancers.iter().map(load_balancer).collect()),
        service_registries: list(vec![]),
        status: Some(s.status.to_string()),
        desired_count: Some(s.desired_count as i32),
        running_count: Some(count(None, running)),
        pending_count: Some(count(None, pending)),
        launch_type: launch_type(template),
        capacity_provider_strategy: some_if(capacity(&template.capacity)),
        platform_version: Some(template.platform_version.clone()),
        platform_family: Some("Linux".to_owned()),
        task_definition: Some(arn::task_definition(scope, &template.task_definition.0, template.task_definition.1)),
        deployment_configuration: Some(configuration(s.minimum_healthy_percent, s.maximum_percent, &s.circuit_breaker)),
        deployments: list(s.deployments.iter().map(deployment).collect()),
        current_service_deployment: s
            .service_deployment
            .as_ref()
            .map(|id| arn::service_deployment(scope, &s.cluster, &s.name, id)),
        current_service_revisions: some_if(revisions.collect()),
        role_arn: (!template.load_balancers.is_empty()).then(|| service_linked_role::ECS.arn(&scope.account)),
        events: list(
            s.events
                .iter()
                .map(|e| wire::ServiceEvent {
                    id: Some(e.id.clone()),
                    created_at: Some(time(e.at)),
                    message: Some(e.message.clone()),
                })
                .collect(),
        ),
        created_at: Some(time(s.created_at)),
        placement_constraints: list(vec![]),
        placement_strategy: list(vec![]),
        network_configuration: Some(network(&template.network)),
        health_check_grace_period_seconds: (!template.load_balancers.is_empty() || s.health_check_grace_seconds > 0)
            .then_some(s.health_check_grace_seconds as i32),
        scheduling_strategy: Some("REPLICA".to_owned()),
        deployment_controller: Some(wire::DeploymentController { r#type: Some("ECS".to_owned()) }),
        tags: with_tags.then(|| tags(&s.tags)),
        created_by: Some(s.created_by.clone()),
        enable_ecs_managed_tags: Some(s.enable_ecs_managed_tags),
        propagate_tags: Some(s.propagate_tags.to_string()),
        enable_execute_command: Some(s.enable_execute_command),
        availability_zone_rebalancing: Some(if s.zone_rebalancing { "ENABLED" } else { "DISABLED" }.to_owned()),
        ..Default::default()
    }
}

fn release_arn(scope: &Scope, d: &ServiceDeployment) -> Option<String> {
    Some(arn::service_deployment(scope, &d.cluster, &d.service, &d.id))
}

pub fn service_deployment_brief(scope: &Scope, d: &ServiceDeployment) -> wire::ServiceDeploymentBrief {
    wire::ServiceDeploymentBrief {
        service_deployment_arn: release_arn(scope, d),
        service_arn: Some(arn::service(scope, &d.cluster, &d.service)),
        cluster_arn: Some(arn::cluster(scope, &d.cluster)),
        started_at: d.started_at.map(time),
        created_at: Some(time(d.created_at)),
        finished_at: d.finished_at.map(time),
        target_service_revision_arn: Some(arn::service_revision(scope, &d.cluster, &d.service, d.target.revision)),
        status: Some(d.status.to_string()),
        status_reason: d.status_reason.clone(),
    }
}

/// While it goes on its tasks are counted now; `service` is the row of its service.
pub fn service_deployment(
    state: &Snapshot,
    scope: &Scope,
    d: &ServiceDeployment,
    service: Option<&Service>,
) -> wire::ServiceDeployment {
    let service = service.filter(|_| d.is_open());
    let summary = |stored: &RevisionCounts, requested: u32| {
        let counts = service.map_or(*stored, |s| counts(state, scope, s, stored.revision, requested));
        wire::ServiceRevisionSummary {
            arn: Some(arn::service_revision(scope, &d.cluster, &d.service, counts.revision)),
            requested_task_count: Some(counts.requested as i32),
            running_task_count: Some(counts.running as i32),
            pending_task_count: Some(counts.pending as i32),
            ..Default::default()
        }
    };
    let primary = service.and_then(|s| s.deployments.first()).filter(|primary| primary.revision == d.target.revision);
    let failures = primary.filter(|_| !d.breaker_triggered).map_or(d.failure_count, |primary| primary.failed_tasks);
    let circuit_breaker = service.map_or(&d.circuit_breaker, |service| &service.circuit_breaker);
    let breaker = match (circuit_breaker.enable, d.breaker_triggered, d.is_open()) {
        (_, true, _) => "TRIGGERED",
        (false, ..) => "DISABLED",
        (_, _, true) => "MONITORING",
        (_, _, false) => "MONITORING_COMPLETE",
    };
    // A share is of as many tasks as are wanted now, or were when it ended.
    let threshold = match service.filter(|_| d.finished_at.is_none()) {
        Some(service) => breaker::threshold(service.desired_count, service.circuit_breaker.threshold),
        None => d.threshold,
    };
    wire::ServiceDeployment {
        service_deployment_arn: release_arn(scope, d),
        service_arn: Some(arn::service(scope, &d.cluster, &d.service)),
        cluster_arn: Some(arn::cluster(scope, &d.cluster)),
        created_at: Some(time(d.created_at)),
        started_at: d.started_at.map(time),
        finished_at: d.finished_at.map(time),
        stopped_at: d.stopped_at.map(time),
        updated_at: Some(time(d.updated_at)),
        source_service_revisions: list(d.sources.iter().map(|source| summary(source, source.requested)).collect()),
        target_service_revision: Some(summary(
            &d.target,
            service.map_or(d.target.requested, |service| service.desired_count),
        )),
        status: Some(d.status.to_string()),
        status_reason: d.status_reason.clone(),
        deployment_configuration: Some(configuration(d.minimum_healthy_percent, d.maximum_percent, &d.circuit_breaker)),
        rollback: d.rollback.as_ref().map(|rollback| wire::Rollback {
            reason: Some(rollback.reason.clone()),
            started_at: Some(time(rollback.started_at)),
            service_revision_arn: Some(arn::service_revision(scope, &d.cluster, &d.service, rollback.revision)),
        }),
        deployment_circuit_breaker: Some(wire::ServiceDeploymentCircuitBreaker {
            status: Some(breaker.to_owned()),
            failure_count: Some(failures as i32),
            threshold: Some(threshold as i32),
        }),
        alarms: Some(wire::ServiceDeploymentAlarms { status: Some("DISABLED".to_owned()), ..Default::default() }),
        ..Default::default()
    }
}

pub fn service_revision(scope: &Scope, r: &ServiceRevision) -> wire::ServiceRevision {
    let template = &r.template;
    let image = |(container, image, digest): &(String, String, Option<String>)| wire::ContainerImage {
        container_name: Some(container.clone()),
        image_digest: digest.clone(),
        image: Some(image.clone()),
    };
    wire::ServiceRevision {
        service_revision_arn: Some(arn::service_revision(scope, &r.cluster, &r.service, r.number)),
        service_arn: Some(arn::service(scope, &r.cluster, &r.service)),
        cluster_arn: Some(arn::cluster(scope, &r.cluster)),
        task_definition: Some(arn::task_definition(scope, &template.task_definition.0, template.task_definition.1)),
        capacity_provider_strategy: some_if(capacity(&template.capacity)),
        launch_type: launch_type(template),
        platform_version: Some("1.4.0".to_owned()),
        platform_family: Some("Linux".to_owned()),
        load_balancers: list(template.load_balancers.iter().map(load_balancer).collect()),
        network_configuration: Some(network(&template.network)),
        container_images: list(r.images.iter().map(image).collect()),
        guard_duty_enabled: Some(false),
        created_at: Some(time(r.created_at)),
        ..Default::default()
    }
}
