//! Stored resources as the API shows them: the only bridge from one to the other.

use super::cluster_configuration;
use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::ecs as wire;
use longshore_store::Snapshot;
use longshore_store::tables::Tasks;
use longshore_types::ecs::*;
use longshore_types::{Scope, Tags, Timestamp, arn};

mod service;
pub use service::{capacity, service, service_deployment, service_deployment_brief, service_revision};

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

fn time(at: Timestamp) -> WireTime {
    WireTime(at.0)
}

fn pair(name: &str, value: &str) -> wire::KeyValuePair {
    wire::KeyValuePair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

fn list<T>(items: Vec<T>) -> Option<Vec<T>> {
    Some(items)
}

fn some_if<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// What DescribeClusters' `include` asks for.
#[derive(Clone, Copy)]
pub struct ClusterFields {
    pub tags: bool,
    pub settings: bool,
    pub statistics: bool,
    pub configuration: bool,
}

impl ClusterFields {
    /// What calls that change a cluster answer with.
    pub fn of_a_change() -> Self {
        Self { tags: true, settings: true, statistics: false, configuration: true }
    }
}

pub fn cluster(state: &Snapshot, scope: &Scope, cluster: &Cluster, fields: ClusterFields) -> wire::Cluster {
    let key = (scope.clone(), cluster.name.clone());
    let (mut running, mut pending) = (0, 0);
    for task in state.tasks().by_index(&Tasks::BY_CLUSTER, &key) {
        match task.last_status {
            TaskStatus::Running => running += 1,
            status if status < TaskStatus::Running => pending += 1,
            _ => {}
        }
    }
    let services = state.services().prefix(&key).filter(|s| s.status == ServiceStatus::Active).count() as i32;
    let statistics = || {
        let count = |name: &str, n: i32| pair(name, &n.to_string());
        vec![
            count("runningEC2TasksCount", 0),
            count("runningFargateTasksCount", running),
            count("pendingEC2TasksCount", 0),
            count("pendingFargateTasksCount", pending),
            count("activeEC2ServiceCount", 0),
            count("activeFargateServiceCount", services),
        ]
    };
    let settings = cluster
        .settings
        .iter()
        .map(|(name, value)| wire::ClusterSetting { name: Some(name.clone()), value: Some(value.clone()) });
    wire::Cluster {
        cluster_arn: Some(arn::cluster(scope, &cluster.name)),
        cluster_name: Some(cluster.name.to_string()),
        status: Some(cluster.status.to_string()),
        registered_container_instances_count: Some(0),
        running_tasks_count: Some(running),
        pending_tasks_count: Some(pending),
        active_services_count: Some(services),
        statistics: list(if fields.statistics { statistics() } else { vec![] }),
        tags: list(if fields.tags { tags(&cluster.tags) } else { vec![] }),
        settings: list(if fields.settings { settings.collect() } else { vec![] }),
        configuration: cluster
            .session_logging
            .as_ref()
            .filter(|_| fields.configuration)
            .map(cluster_configuration::view),
        capacity_providers: list(cluster.capacity_providers.iter().map(ToString::to_string).collect()),
        default_capacity_provider_strategy: list(capacity(&cluster.default_strategy)),
        ..Default::default()
    }
}

pub fn task_definition(scope: &Scope, d: &TaskDefinition) -> wire::TaskDefinition {
    let platform =
        (d.cpu_architecture.is_some() || d.operating_system_family.is_some()).then(|| wire::RuntimePlatform {
            cpu_architecture: d.cpu_architecture.clone(),
            operating_system_family: d.operating_system_family.clone(),
        });
    let volume = |name: &String| wire::Volume {
        name: Some(name.clone()),
        host: Some(wire::HostVolumeProperties::default()),
        ..Default::default()
    };
    wire::TaskDefinition {
        task_definition_arn: Some(arn::task_definition(scope, &d.family, d.revision)),
        container_definitions: list(d.containers.iter().map(container_definition).collect()),
        family: Some(d.family.to_string()),
        task_role_arn: d.task_role_arn.clone(),
        execution_role_arn: d.execution_role_arn.clone(),
        network_mode: Some(d.network_mode.clone()),
        revision: Some(d.revision as i32),
        volumes: list(d.volumes.iter().map(volume).collect()),
        status: Some(d.status.to_string()),
        placement_constraints: list(vec![]),
        compatibilities: list(vec!["EC2".to_owned(), "FARGATE".to_owned()]),
        runtime_platform: platform,
        requires_compatibilities: some_if(d.requires_compatibilities.clone()),
        cpu: (d.cpu_units > 0).then(|| d.cpu_units.to_string()),
        memory: (d.memory_mib > 0).then(|| d.memory_mib.to_string()),
        registered_at: Some(time(d.registered_at)),
        registered_by: Some(d.registered_by.clone()),
        deregistered_at: d.deregistered_at.map(time),
        delete_requested_at: d.delete_requested_at.map(time),
        pid_mode: d.shared_pids.then(|| "task".to_owned()),
        ephemeral_storage: d.ephemeral_gib.map(ephemeral_storage),
        ..Default::default()
    }
}

fn container_definition(c: &ContainerDefinition) -> wire::ContainerDefinition {
    let port = |p: &PortMapping| {
        let single = p.last_port.is_none().then_some(i32::from(p.container_port));
        wire::PortMapping {
            container_port: single,
            host_port: single,
            protocol: Some(p.protocol.clone()),
            name: p.name.clone(),
            app_protocol: p.app_protocol.clone(),
            container_port_range: p.last_port.map(|last| format!("{}-{last}", p.container_port)),
        }
    };
    let capabilities =
        (!c.capabilities_add.is_empty() || !c.capabilities_drop.is_empty()).then(|| wire::KernelCapabilities {
            add: some_if(c.capabilities_add.clone()),
            drop: some_if(c.capabilities_drop.clone()),
        });
    let tmpfs: Vec<_> = c
        .tmpfs
        .iter()
        .map(|(path, size, options)| wire::Tmpfs {
            container_path: Some(path.clone()),
            size: Some(*size as i32),
            mount_options: some_if(options.clone()),
        })
        .collect();
    let linux = wire::LinuxParameters {
        capabilities,
        init_process_enabled: c.init_process.then_some(true),
        tmpfs: some_if(tmpfs),
        ..Default::default()
    };
    wire::ContainerDefinition {
        name: Some(c.name.clone()),
        image: Some(c.image.clone()),
        cpu: Some(c.cpu_units as i32),
        memory: c.memory_mib.map(|mib| mib as i32),
        memory_reservation: c.memory_reservation_mib.map(|mib| mib as i32),
        port_mappings: list(c.ports.iter().map(port).collect()),
        essential: Some(c.essential),
        entry_point: c.entry_point.clone(),
        command: c.command.clone(),
        secrets: some_if(
            c.secrets
                .iter()
                .map(|secret| wire::Secret {
                    name: Some(secret.name.clone()),
                    value_from: Some(secret.value_from.clone()),
                })
                .collect(),
        ),
        repository_credentials: c
            .repository_credentials
            .as_ref()
            .map(|id| wire::RepositoryCredentials { credentials_parameter: Some(id.clone()) }),
        environment_files: some_if(environment_files(&c.environment_files)),
        environment: list(c.environment.iter().map(|(name, value)| pair(name, value)).collect()),
        mount_points: list(
            c.mounts
                .iter()
                .map(|m| wire::MountPoint {
                    source_volume: Some(m.volume.clone()),
                    container_path: Some(m.path.clone()),
                    read_only: m.read_only.then_some(true),
                })
                .collect(),
        ),
        volumes_from: list(
            c.volumes_from
                .iter()
                .map(|v| wire::VolumeFrom {
                    source_container: Some(v.container.clone()),
                    read_only: v.read_only.then_some(true),
                })
                .collect(),
        ),
        restart_policy: c.restart_policy.as_ref().map(|policy| wire::ContainerRestartPolicy {
            enabled: Some(policy.enabled),
            ignored_exit_codes: some_if(policy.ignored_exit_codes.clone()),
            restart_attempt_period: Some(policy.attempt_period_seconds as i32),
        }),
        version_consistency: c.version_consistency.clone(),
        linux_parameters: (linux != wire::LinuxParameters::default()).then_some(linux),
        depends_on: some_if(
            c.depends_on
                .iter()
                .map(|(name, condition)| wire::ContainerDependency {
                    container_name: Some(name.clone()),
                    condition: Some(condition.to_string()),
                })
                .collect(),
        ),
        start_timeout: c.start_timeout_seconds.map(|s| s as i32),
        stop_timeout: c.stop_timeout_seconds.map(|s| s as i32),
        user: c.user.clone(),
        working_directory: c.working_directory.clone(),
        readonly_root_filesystem: c.readonly_root.then_some(true),
        interactive: c.interactive.then_some(true),
        pseudo_terminal: c.pseudo_terminal.then_some(true),
        docker_labels: (!c.docker_labels.is_empty()).then(|| c.docker_labels.clone()),
        ulimits: some_if(
            c.ulimits
                .iter()
                .map(|u| wire::Ulimit {
                    name: Some(u.name.clone()),
                    soft_limit: Some(i32::try_from(u.soft).unwrap_or(-1)),
                    hard_limit: Some(i32::try_from(u.hard).unwrap_or(-1)),
                })
                .collect(),
        ),
        log_configuration: c.log.as_ref().map(|log| wire::LogConfiguration {
            log_driver: Some("awslogs".to_owned()),
            options: Some(log.options.clone()),
            ..Default::default()
        }),
        health_check: c.health_check.as_ref().map(|h| wire::HealthCheck {
            command: Some(h.command.clone()),
            interval: Some(h.interval_seconds as i32),
            timeout: Some(h.timeout_seconds as i32),
            retries: Some(h.retries as i32),
            start_period: (h.start_period_seconds > 0).then_some(h.start_period_seconds as i32),
        }),
        system_controls: list(
            c.sysctls
                .iter()
                .map(|(name, value)| wire::SystemControl { namespace: Some(name.clone()), value: Some(value.clone()) })
                .collect(),
        ),
        ..Default::default()
    }
}

pub fn task(scope: &Scope, t: &Task, with_tags: bool) -> wire::Task {
    let task_arn = arn::task(scope, &t.cluster, &t.id);
    let address = t.network.address.to_string();
    let attachment = wire::Attachment {
        id: Some(t.network.attachment.clone()),
        r#type: Some("ElasticNetworkInterface".to_owned()),
        status: Some(attachment_status(t.last_status).to_owned()),
        details: list(vec![
            pair("subnetId", t.network.subnet.as_str()),
            pair("networkInterfaceId", t.network.eni.as_str()),
            pair("macAddress", &t.network.mac),
            pair("privateDnsName", &t.network.private_dns_name),
            pair("privateIPv4Address", &address),
        ]),
    };
    wire::Task {
        attachments: list(vec![attachment]),
        attributes: list(vec![wire::Attribute {
            name: Some("ecs.cpu-architecture".to_owned()),
            value: Some(if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }.to_owned()),
            ..Default::default()
        }]),
        availability_zone: Some(t.zone.to_string()),
        capacity_provider_name: t.capacity_provider.map(|provider| provider.to_string()),
        cluster_arn: Some(arn::cluster(scope, &t.cluster)),
        connectivity: t.times.connectivity_at.map(|_| "CONNECTED".to_owned()),
        connectivity_at: t.times.connectivity_at.map(time),
        containers: list(t.containers.iter().map(|c| container(scope, t, c, &task_arn, &address)).collect()),
        cpu: Some(t.cpu_units.to_string()),
        created_at: Some(time(t.times.created_at)),
        desired_status: Some(t.desired_status.as_str().to_owned()),
        enable_execute_command: Some(t.enable_execute_command),
        execution_stopped_at: t.times.execution_stopped_at.map(time),
        group: Some(t.group.clone()),
        health_status: Some(health(t).as_str().to_owned()),
        last_status: Some(t.last_status.as_str().to_owned()),
        launch_type: Some(t.launch_type.clone()),
        memory: Some(t.memory_mib.to_string()),
        overrides: Some(task_override(&t.overrides, t)),
        platform_version: Some("1.4.0".to_owned()),
        platform_family: Some("Linux".to_owned()),
        pull_started_at: t.times.pull_started_at.map(time),
        pull_stopped_at: t.times.pull_stopped_at.map(time),
        started_at: t.times.started_at.map(time),
        started_by: t.started_by.clone(),
        stop_code: t.stop_code.map(|code| code.to_string()),
        stopped_at: t.times.stopped_at.map(time),
        stopped_reason: t.stopped_reason.clone(),
        stopping_at: t.times.stopping_at.map(time),
        tags: list(if with_tags { tags(&t.tags) } else { vec![] }),
        task_definition_arn: Some(arn::task_definition(scope, &t.family, t.revision)),
        task_arn: Some(task_arn),
        version: Some(t.version as i64),
        ephemeral_storage: Some(ephemeral_storage(t.ephemeral_gib)),
        fargate_ephemeral_storage: Some(wire::TaskEphemeralStorage {
            size_in_gib: Some(t.ephemeral_gib as i32),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// As ECS tells it: UNKNOWN while any essential container is, and one without a check always is. (Services go by those
/// with a check alone.)
fn health(t: &Task) -> HealthStatus {
    let unknown = t.containers.iter().any(|c| c.essential && c.health == HealthStatus::Unknown);
    if unknown && t.health == HealthStatus::Healthy { HealthStatus::Unknown } else { t.health }
}

fn ephemeral_storage(gib: u32) -> wire::EphemeralStorage {
    wire::EphemeralStorage { size_in_gib: Some(gib as i32) }
}

fn attachment_status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Provisioning => "PRECREATED",
        TaskStatus::Pending => "ATTACHING",
        TaskStatus::Deprovisioning => "DETACHING",
        TaskStatus::Stopped => "DELETED",
        _ => "ATTACHED",
    }
}

fn container(scope: &Scope, t: &Task, c: &TaskContainer, task_arn: &str, address: &str) -> wire::Container {
    let interface = wire::NetworkInterface {
        attachment_id: Some(t.network.attachment.clone()),
        private_ipv4_address: Some(address.to_owned()),
        ..Default::default()
    };
    wire::Container {
        container_arn: Some(arn::container(scope, &t.cluster, &t.id, &c.id)),
        task_arn: Some(task_arn.to_owned()),
        name: Some(c.name.clone()),
        image: Some(c.image.clone()),
        image_digest: c.image_digest.clone(),
        runtime_id: c.runtime_id.clone(),
        last_status: Some(c.status.as_str().to_owned()),
        exit_code: c.exit_code,
        reason: c.reason.clone(),
        network_bindings: list(vec![]),
        network_interfaces: list(vec![interface]),
        // Nothing runs that would take commands: clients wait for RUNNING before they send one.
        managed_agents: t.enable_execute_command.then(|| {
            vec![wire::ManagedAgent {
                name: Some("ExecuteCommandAgent".to_owned()),
                last_status: Some("STOPPED".to_owned()),
                reason: Some("Longshore does not run commands in tasks yet.".to_owned()),
                ..Default::default()
            }]
        }),
        health_status: Some(c.health.as_str().to_owned()),
        cpu: Some(c.cpu_units.to_string()),
        memory: c.memory_mib.map(|mib| mib.to_string()),
        memory_reservation: c.memory_reservation_mib.map(|mib| mib.to_string()),
        ..Default::default()
    }
}

fn environment_files(arns: &[String]) -> Vec<wire::EnvironmentFile> {
    arns.iter().map(|arn| wire::EnvironmentFile { r#type: Some("s3".to_owned()), value: Some(arn.clone()) }).collect()
}

fn task_override(o: &TaskOverride, t: &Task) -> wire::TaskOverride {
    let of = |name: &str| {
        let c = o.containers.iter().find(|c| c.name == name).cloned().unwrap_or_default();
        wire::ContainerOverride {
            name: Some(name.to_owned()),
            command: c.command,
            environment_files: c.environment_files.as_deref().map(environment_files),
            environment: some_if(c.environment.iter().map(|(name, value)| pair(name, value)).collect()),
            cpu: c.cpu_units.map(|n| n as i32),
            memory: c.memory_mib.map(|n| n as i32),
            memory_reservation: c.memory_reservation_mib.map(|n| n as i32),
            ..Default::default()
        }
    };
    wire::TaskOverride {
        container_overrides: list(t.containers.iter().map(|c| of(&c.name)).collect()),
        cpu: o.cpu_units.map(|n| n.to_string()),
        memory: o.memory_mib.map(|n| n.to_string()),
        inference_accelerator_overrides: list(vec![]),
        execution_role_arn: o.execution_role_arn.clone(),
        task_role_arn: o.task_role_arn.clone(),
        ephemeral_storage: o.ephemeral_gib.map(ephemeral_storage),
    }
}
