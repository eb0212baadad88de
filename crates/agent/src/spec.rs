//! From intent and images to what a supervisor runs. Pure.

use longshore_image::{Image, Writable};
use longshore_runtime::spec as rt;
use longshore_types::ecs::{ContainerDefinition, DependencyCondition};
use longshore_types::link::Welcome;
use longshore_types::node::{ContainerIntent, TaskIntent};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `/usr/local/sbin` and so on: what Docker gives an image that sets no `PATH`.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A container with what was made for it.
pub struct Ready<'a> {
    pub intent: &'a ContainerIntent,
    pub image: &'a Image,
    pub writable: &'a Writable,
}

/// An image that cannot be run as the task definition says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("container {container}: neither the image nor the task definition has a command")]
pub struct NoCommand {
    pub container: String,
}

pub fn task(
    intent: &TaskIntent,
    containers: &[Ready<'_>],
    cgroup: &str,
    directory: &Path,
    external: Option<&PathBuf>,
) -> Result<rt::TaskSpec, NoCommand> {
    let network = &intent.network;
    let resolver = network.vpc_cidr.nth(2).map_or_else(String::new, |address| format!("nameserver {address}\n"));
    let domain = network.private_dns_name.split_once('.').map_or("", |(_, domain)| domain);
    Ok(rt::TaskSpec {
        task_id: intent.id.to_string(),
        cgroup: format!("{cgroup}/{}", intent.id),
        limits: rt::TaskLimits {
            // 1024 CPU units are one CPU.
            cpu_millis: Some((u64::from(intent.cpu_units) * 1000 / 1024) as u32),
            memory_bytes: Some(u64::from(intent.memory_mib) << 20),
            pids: None,
        },
        network: rt::Network::Task,
        hostname: network.private_dns_name.clone(),
        hosts: Some(format!("127.0.0.1 localhost\n{} {}\n", network.address, network.private_dns_name)),
        resolv_conf: Some(format!("search {domain}\n{resolver}")),
        runtime: external.map_or(rt::RuntimeChoice::Builtin, |path| rt::RuntimeChoice::External(path.clone())),
        containers: containers.iter().map(|c| container(intent, c, directory)).collect::<Result<_, _>>()?,
    })
}

fn container(task: &TaskIntent, ready: &Ready<'_>, directory: &Path) -> Result<rt::ContainerSpec, NoCommand> {
    let definition = &ready.intent.definition;
    let image = &ready.image.config;
    let args = arguments(definition, ready.image);
    if args.is_empty() {
        return Err(NoCommand { container: definition.name.clone() });
    }
    let mib = |mib: u32| u64::from(mib) << 20;
    Ok(rt::ContainerSpec {
        name: definition.name.clone(),
        id: runtime_id(ready.intent),
        essential: definition.essential,
        layers: ready.image.layers.clone(),
        upper: ready.writable.upper.clone(),
        work: ready.writable.work.clone(),
        args,
        env: environment(task, ready),
        cwd: definition.working_directory.clone().unwrap_or_else(|| image.working_dir.clone()),
        user: definition.user.clone().unwrap_or_else(|| image.user.clone()),
        cpu_shares: Some(u64::from(definition.cpu_units)),
        memory_bytes: definition.memory_mib.map(mib),
        memory_reservation_bytes: definition.memory_reservation_mib.map(mib),
        depends_on: definition
            .depends_on
            .iter()
            .map(|(name, condition)| rt::Dependency { name: name.clone(), condition: dependency(*condition) })
            .collect(),
        start_timeout_ms: definition.start_timeout_seconds.map(|s| u64::from(s) * 1000),
        stop_timeout_ms: u64::from(definition.stop_timeout_seconds.unwrap_or(30)) * 1000,
        stop_signal: image.stop_signal.clone().unwrap_or_else(|| "SIGTERM".to_owned()),
        health_check: definition.health_check.as_ref().map(|h| rt::HealthCheck {
            command: h.command.clone(),
            interval_ms: u64::from(h.interval_seconds) * 1000,
            timeout_ms: u64::from(h.timeout_seconds) * 1000,
            retries: h.retries,
            start_period_ms: u64::from(h.start_period_seconds) * 1000,
        }),
        restart: None,
        readonly_rootfs: definition.readonly_root,
        capabilities_add: definition.capabilities_add.clone(),
        capabilities_drop: definition.capabilities_drop.clone(),
        ulimits: definition
            .ulimits
            .iter()
            .map(|u| rt::Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard })
            .collect(),
        tmpfs: definition
            .tmpfs
            .iter()
            .map(|(path, size, options)| rt::Tmpfs {
                path: path.clone(),
                size_bytes: mib(*size),
                options: options.clone(),
            })
            .collect(),
        shm_bytes: definition.shared_memory_mib.map(mib),
        init: definition.init_process,
        mounts: definition
            .mounts
            .iter()
            .map(|m| rt::BindMount {
                source: volume(directory, &m.volume),
                destination: m.path.clone(),
                readonly: m.read_only,
            })
            .collect(),
        log: definition.log.as_ref().map_or_else(rt::LogSpec::default, |log| rt::LogSpec {
            mode: if log.blocking { rt::LogMode::Blocking } else { rt::LogMode::NonBlocking },
            max_buffer_bytes: log.max_buffer_bytes,
        }),
        sysctls: definition.sysctls.iter().cloned().collect(),
        no_new_privileges: false,
        terminal: definition.pseudo_terminal,
    })
}

/// The directory of a task's volume.
pub fn volume(directory: &Path, name: &str) -> PathBuf {
    directory.join("volumes").join(name)
}

/// 64 hexadecimal digits: the container's UUID twice.
pub fn runtime_id(intent: &ContainerIntent) -> String {
    let hex: String = intent.id.chars().filter(char::is_ascii_hexdigit).collect();
    format!("{hex}{hex}")
}

fn dependency(condition: DependencyCondition) -> rt::Condition {
    match condition {
        DependencyCondition::Start => rt::Condition::Start,
        DependencyCondition::Complete => rt::Condition::Complete,
        DependencyCondition::Success => rt::Condition::Success,
        DependencyCondition::Healthy => rt::Condition::Healthy,
    }
}

/// As Docker: an entry point in the definition takes the image's command away too.
fn arguments(definition: &ContainerDefinition, image: &Image) -> Vec<String> {
    let (entry, default_command) = match &definition.entry_point {
        Some(entry) => (entry.clone(), vec![]),
        None => (image.config.entrypoint.clone(), image.config.cmd.clone()),
    };
    entry.into_iter().chain(definition.command.clone().unwrap_or(default_command)).collect()
}

fn environment(task: &TaskIntent, ready: &Ready<'_>) -> Vec<String> {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        env.insert(name.to_owned(), value.to_owned());
    };
    set(PATH);
    set(&format!("HOSTNAME={}", task.network.private_dns_name));
    ready.image.config.env.iter().for_each(|pair| set(pair));
    set("AWS_EXECUTION_ENV=AWS_ECS_FARGATE");
    set(&format!("AWS_REGION={}", task.scope.region));
    set(&format!("AWS_DEFAULT_REGION={}", task.scope.region));
    set(&format!("ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/{}", runtime_id(ready.intent)));
    if let Some(credentials) = &task.credentials {
        set(&format!("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/{}", credentials.id));
    }
    for (name, value) in &ready.intent.definition.environment {
        set(&format!("{name}={value}"));
    }
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Whether the built-in registry serves this image, so that it is pulled from there with the node's password.
pub fn registry_reference(image: &str, welcome: &Welcome) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    welcome.registry_suffixes.iter().any(|suffix| host.ends_with(suffix.as_str()))
        || welcome.api_url.strip_prefix("http://") == Some(host)
}
