//! From intent and images to what a supervisor runs. Pure.

use crate::storage::Place;
use longshore_image::{Image, Writable};
use longshore_runtime::spec as rt;
use longshore_types::ecs::{ContainerDefinition, DependencyCondition};
use longshore_types::id::TaskId;
use longshore_types::link::Welcome;
use longshore_types::node::{ContainerIntent, ResolverIntent, TaskIntent};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `/usr/local/sbin` and so on: what Docker gives an image that sets no `PATH`.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The AWS API as tasks reach it: a container's 127.0.0.1 is not the machine's. See [`crate::api_door`].
const API_URL: &str = "http://169.254.170.2:4566";

/// As Fargate's.
const STOP_TIMEOUT_SECONDS_DEFAULT: u32 = 30;

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
    place: &Place,
    external: Option<&PathBuf>,
) -> Result<rt::TaskSpec, NoCommand> {
    let network = &intent.network;
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
        resolv_conf: Some(resolv_conf(&network.resolver)),
        shared_pids: intent.shared_pids,
        // The node's decision.
        user_namespace: None,
        disk: place.disk.clone(),
        owner_pid: None,
        runtime: external.map_or(rt::RuntimeChoice::Builtin, |path| rt::RuntimeChoice::External(path.clone())),
        containers: containers
            .iter()
            .map(|c| container(intent, c, containers, &place.volumes))
            .collect::<Result<_, _>>()?,
    })
}

/// A container that may trace processes. Those that join it are the host's when they first can be seen from inside; only users
/// of the task's own keep them from being reached.
pub fn tracer(task: &rt::TaskSpec) -> Option<&str> {
    let may_trace = |c: &&rt::ContainerSpec| c.capabilities_add.iter().any(|name| name == "SYS_PTRACE");
    task.containers.iter().find(may_trace).map(|container| container.name.as_str())
}

fn resolv_conf(resolver: &ResolverIntent) -> String {
    let search = (!resolver.search.is_empty()).then(|| format!("search {}\n", resolver.search.join(" ")));
    let servers = resolver.name_servers.iter().map(|address| format!("nameserver {address}\n"));
    search.into_iter().chain(servers).collect()
}

fn container(
    task: &TaskIntent,
    ready: &Ready<'_>,
    all: &[Ready<'_>],
    volumes: &Path,
) -> Result<rt::ContainerSpec, NoCommand> {
    let image = &ready.image.config;
    let args = arguments(&ready.intent.definition, ready.image);
    // Without `..`: a field that is stored and not obeyed does not compile.
    let ContainerDefinition {
        name,
        image: _,
        essential,
        cpu_units,
        memory_mib,
        memory_reservation_mib,
        // Declared for others: with `awsvpc` every port of the task's interface is its own.
        ports: _,
        // In `arguments` and `environment`.
        entry_point: _,
        command: _,
        environment: _,
        // Their values are the intent's own `secrets`, asked for when the task starts.
        environment_files: _,
        secrets: _,
        repository_credentials: _,
        working_directory,
        user,
        readonly_root,
        depends_on,
        start_timeout_seconds,
        // In `stop_timeout`.
        stop_timeout_seconds: _,
        health_check,
        log,
        ulimits,
        // In the metadata endpoint.
        docker_labels: _,
        capabilities_drop,
        capabilities_add,
        init_process,
        tmpfs,
        sysctls,
        // In `mounts`.
        mounts: _,
        volumes_from: _,
        restart_policy,
        // By the control plane, which pins.
        version_consistency: _,
        pseudo_terminal,
        interactive,
    } = &ready.intent.definition;
    if args.is_empty() {
        return Err(NoCommand { container: name.clone() });
    }
    let mib = |mib: u32| u64::from(mib) << 20;
    let milliseconds = |seconds: u32| u64::from(seconds) * 1000;
    Ok(rt::ContainerSpec {
        name: name.clone(),
        id: runtime_id(&task.id, ready.intent),
        essential: *essential,
        layers: ready.image.layers.clone(),
        upper: ready.writable.upper.clone(),
        work: ready.writable.work.clone(),
        args,
        env: environment(task, ready),
        cwd: working_directory.clone().unwrap_or_else(|| image.working_dir.clone()),
        user: user.clone().unwrap_or_else(|| image.user.clone()),
        cpu_shares: Some(u64::from(*cpu_units)),
        memory_bytes: memory_mib.map(mib),
        memory_reservation_bytes: memory_reservation_mib.map(mib),
        depends_on: depends_on
            .iter()
            .map(|(name, condition)| rt::Dependency { name: name.clone(), condition: dependency(*condition) })
            .collect(),
        start_timeout_ms: start_timeout_seconds.map(milliseconds),
        stop_timeout_ms: stop_timeout(&ready.intent.definition).as_millis() as u64,
        stop_signal: image.stop_signal.clone().unwrap_or_else(|| "SIGTERM".to_owned()),
        health_check: health_check.as_ref().map(|h| rt::HealthCheck {
            command: h.command.clone(),
            interval_ms: milliseconds(h.interval_seconds),
            timeout_ms: milliseconds(h.timeout_seconds),
            retries: h.retries,
            start_period_ms: milliseconds(h.start_period_seconds),
        }),
        restart: restart_policy.as_ref().filter(|policy| policy.enabled).map(|policy| rt::RestartPolicy {
            ignored_exit_codes: policy.ignored_exit_codes.clone(),
            attempt_period_ms: milliseconds(policy.attempt_period_seconds),
        }),
        readonly_rootfs: *readonly_root,
        capabilities_add: capabilities_add.clone(),
        capabilities_drop: capabilities_drop.clone(),
        ulimits: ulimits.iter().map(|u| rt::Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard }).collect(),
        tmpfs: tmpfs
            .iter()
            .map(|(path, size, options)| rt::Tmpfs {
                path: path.clone(),
                size_bytes: mib(*size),
                options: options.clone(),
            })
            .collect(),
        // Fargate has Docker's default.
        shm_bytes: None,
        init: *init_process,
        mounts: mounts(ready, all, volumes),
        log: log.as_ref().map_or_else(rt::LogSpec::default, |log| rt::LogSpec {
            mode: if log.blocking { rt::LogMode::Blocking } else { rt::LogMode::NonBlocking },
            max_buffer_bytes: log.max_buffer_bytes,
        }),
        sysctls: sysctls.iter().cloned().collect(),
        no_new_privileges: false,
        terminal: *pseudo_terminal,
        stdin_open: *interactive,
    })
}

/// A container's mounts: its own, then those of the containers in `volumesFrom`, where a place is not taken yet.
fn mounts(ready: &Ready<'_>, all: &[Ready<'_>], volumes: &Path) -> Vec<rt::BindMount> {
    let definition = &ready.intent.definition;
    let seeded = |path: &str| declares_volume(ready.image, path);
    let mut mounts: Vec<rt::BindMount> = definition
        .mounts
        .iter()
        .map(|m| rt::BindMount {
            source: volumes.join(&m.volume),
            destination: m.path.clone(),
            readonly: m.read_only,
            volume: true,
            seed: seeded(&m.path),
        })
        .collect();
    let is_source =
        all.iter().any(|other| other.intent.definition.volumes_from.iter().any(|v| v.container == definition.name));
    if definition.readonly_root || is_source {
        // What the image declares as a volume can be written although the root cannot, and can be lent to others.
        for (index, path) in ready.image.config.volumes.iter().enumerate() {
            let source = volumes.join(format!("{}.{index}", definition.name));
            add(
                &mut mounts,
                rt::BindMount { source, destination: path.clone(), readonly: false, volume: true, seed: true },
            );
        }
    }
    for from in &definition.volumes_from {
        let Some(source) = all.iter().find(|c| c.intent.definition.name == from.container) else { continue };
        // Circles were refused when the definition was registered.
        for mount in self::mounts(source, all, volumes) {
            let seed = seeded(&mount.destination);
            add(&mut mounts, rt::BindMount { readonly: mount.readonly || from.read_only, seed, ..mount });
        }
    }
    mounts
}

fn add(mounts: &mut Vec<rt::BindMount>, mount: rt::BindMount) {
    let same = |path: &str| path.trim_end_matches('/') == mount.destination.trim_end_matches('/');
    if !mounts.iter().any(|m| same(&m.destination)) {
        mounts.push(mount);
    }
}

/// Whether the image's content at `path` goes into an empty volume there.
fn declares_volume(image: &Image, path: &str) -> bool {
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    image.config.volumes.iter().any(|declared| plain(declared) == plain(path))
}

/// What a container has between the stop signal and SIGKILL.
pub fn stop_timeout(definition: &ContainerDefinition) -> Duration {
    Duration::from_secs(u64::from(definition.stop_timeout_seconds.unwrap_or(STOP_TIMEOUT_SECONDS_DEFAULT)))
}

/// As on Fargate: the task's id, and a number of the container.
pub fn runtime_id(task: &TaskId, container: &ContainerIntent) -> String {
    let hex: String = container.id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    format!("{task}-{}", u32::from_str_radix(&hex, 16).unwrap_or(0))
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
    // An image that knows better, or a definition, says otherwise.
    set(&format!("AWS_ENDPOINT_URL={API_URL}"));
    ready.image.config.env.iter().for_each(|pair| set(pair));
    set("AWS_EXECUTION_ENV=AWS_ECS_FARGATE");
    set(&format!("AWS_REGION={}", task.scope.region));
    set(&format!("AWS_DEFAULT_REGION={}", task.scope.region));
    let id = runtime_id(&task.id, ready.intent);
    set(&format!("ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/{id}"));
    set(&format!("ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/{id}"));
    set(&format!("ECS_AGENT_URI=http://169.254.170.2/api/{id}"));
    if let Some(credentials) = &task.credentials {
        set(&format!("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/{}", credentials.id));
    }
    let definition = &ready.intent.definition;
    for (name, value) in definition.environment.iter().chain(&ready.intent.secrets.environment) {
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
