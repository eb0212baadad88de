//! RunTask: up to ten tasks, written in one transaction; the node starts them as soon as it is durable.

use super::launch::{Launch, LaunchError, launch};
use super::register_task_definition::{check_shares, environment, ephemeral_gib, parse_cpu, parse_memory};
use super::unsupported::refuse;
use super::{capacity, environment_files, error, names, network, secrets, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{self as wire, Failure, RunTaskInput, RunTaskOutput};
use longshore_planner::{capacity as shares, fargate};
use longshore_store::Tx;
use longshore_store::tables::Tasks;
use longshore_types::ecs::*;
use longshore_types::{Tags, arn};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

pub fn run_task(tx: &mut Tx, cx: &Cx, input: RunTaskInput) -> Result<RunTaskOutput, AwsError> {
    refuse!(input; enable_execute_command, placement_constraints, placement_strategy, volume_configurations, reference_id);
    let digest = digest(&input);
    let cluster = names::cluster(tx, &cx.scope, input.cluster.as_deref())?;
    if let Some(token) = &input.client_token
        && let Some(tasks) = already_run(tx, cx, &cluster, token, digest)?
    {
        return Ok(RunTaskOutput { tasks: Some(tasks), failures: Some(vec![]) });
    }
    let count = input.count.unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(error::invalid("Count must be between 1 and 10."));
    }
    let definition = names::runnable(tx, &cx.scope, &input.task_definition)?;
    let strategy =
        capacity::choose(&cluster, input.launch_type.as_deref(), input.capacity_provider_strategy, &definition)?;
    check_platform_version(input.platform_version.as_deref())?;
    let network = network::resolve(tx, &cx.scope, input.network_configuration)?;
    let overrides = overrides(input.overrides.unwrap_or_default(), &definition)?;
    let managed_tags = input.enable_ecs_managed_tags == Some(true);
    let mut tags = Tags::default();
    match input.propagate_tags.as_deref() {
        None | Some("NONE") => {}
        Some("TASK_DEFINITION") => tags.merge(&definition.tags),
        Some(other) => return Err(error::invalid(format!("propagateTags {other} is not valid for RunTask."))),
    }
    tags.merge(&names::tags(input.tags)?);
    if managed_tags {
        tags.0.insert("aws:ecs:clusterName".to_owned(), cluster.name.to_string());
    }
    let group = input.group.unwrap_or_else(|| format!("family:{}", definition.family));

    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    let mut per_provider: BTreeMap<CapacityProvider, u32> = BTreeMap::new();
    for _ in 0..count {
        let provider = shares::next(&strategy, |provider| per_provider.get(&provider).copied().unwrap_or(0));
        if let Some(provider) = provider {
            *per_provider.entry(provider).or_default() += 1;
        }
        let wanted = Launch {
            cluster: &cluster.name,
            definition: &definition,
            network: &network,
            group: group.clone(),
            started_by: input.started_by.clone(),
            service: None,
            deployment: None,
            capacity_provider: provider,
            overrides: overrides.clone(),
            tags: tags.clone(),
            client_token: input.client_token.clone().map(|token| (token, digest)),
            image_digests: &BTreeMap::new(),
            zone: None,
        };
        match launch(tx, cx, wanted) {
            Ok(task) => tasks.push(view::task(&cx.scope, &task, true)),
            Err(LaunchError::Refused(error)) => return Err(error),
            Err(LaunchError::NoAddress) => failures.push(Failure {
                arn: Some(arn::cluster(&cx.scope, &cluster.name)),
                reason: Some("RESOURCE:ENI".to_owned()),
                detail: Some("None of the subnets has a free address.".to_owned()),
            }),
        }
    }
    Ok(RunTaskOutput { tasks: Some(tasks), failures: Some(failures) })
}

/// Distinguishes requests that come with the same idempotency token.
fn digest(input: &RunTaskInput) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{input:?}").hash(&mut hasher);
    hasher.finish()
}

fn already_run(
    tx: &Tx,
    cx: &Cx,
    cluster: &Cluster,
    token: &str,
    digest: u64,
) -> Result<Option<Vec<wire::Task>>, AwsError> {
    let state: &longshore_store::Snapshot = tx;
    let key = (cx.scope.clone(), cluster.name.clone(), token.to_owned());
    let tasks: Vec<_> = state.tasks().by_index(&Tasks::BY_CLIENT_TOKEN, &key).collect();
    if tasks.iter().any(|task| task.client_token.as_ref().is_some_and(|(_, other)| *other != digest)) {
        let text = "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use by another request with different parameters.";
        return Err(AwsError::new("ConflictException", text));
    }
    Ok((!tasks.is_empty()).then(|| tasks.iter().map(|task| view::task(&cx.scope, task, true)).collect()))
}

pub fn check_platform_version(version: Option<&str>) -> Result<(), AwsError> {
    match version {
        None | Some("LATEST" | "1.4.0") => Ok(()),
        Some(other) => {
            Err(error::invalid(format!("The platform version '{other}' is not available; Longshore is like 1.4.0.")))
        }
    }
}

fn overrides(given: wire::TaskOverride, definition: &TaskDefinition) -> Result<TaskOverride, AwsError> {
    refuse!(given; inference_accelerator_overrides);
    let cpu_units = given.cpu.as_deref().map(parse_cpu).transpose()?;
    let memory_mib = given.memory.as_deref().map(parse_memory).transpose()?;
    let (cpu, memory) = (cpu_units.unwrap_or(definition.cpu_units), memory_mib.unwrap_or(definition.memory_mib));
    if !fargate::is_offered(cpu, memory) {
        return Err(error::client(format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."
        )));
    }
    let mut containers = Vec::new();
    for c in given.container_overrides.unwrap_or_default() {
        refuse!(c; resource_requirements);
        let name = c.name.unwrap_or_default();
        if !definition.containers.iter().any(|d| d.name == name) {
            return Err(error::client(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        let positive = |setting: &str, n: Option<i32>| match n {
            Some(n) if n <= 0 => {
                Err(error::client(format!("Invalid '{setting}' override for container '{name}': {n}")))
            }
            n => Ok(n.map(i32::unsigned_abs)),
        };
        containers.push(ContainerOverride {
            command: c.command,
            environment: environment(c.environment)?,
            environment_files: c.environment_files.map(|f| environment_files::arns(Some(f), &name)).transpose()?,
            cpu_units: positive("cpu", c.cpu)?,
            memory_mib: positive("memory", c.memory)?,
            memory_reservation_mib: positive("memoryReservation", c.memory_reservation)?,
            name,
        });
    }
    let asked = definition.containers.iter().map(|d| {
        let over = containers.iter().find(|c| c.name == d.name);
        let memory = over.and_then(|c| c.memory_mib).or(d.memory_mib);
        let reservation = over.and_then(|c| c.memory_reservation_mib).or(d.memory_reservation_mib);
        (over.and_then(|c| c.cpu_units).unwrap_or(d.cpu_units), memory.or(reservation).unwrap_or(0))
    });
    check_shares(asked, cpu, memory)?;
    let has_files = containers.iter().any(|c| c.environment_files.iter().flatten().next().is_some());
    if has_files && given.execution_role_arn.is_none() && definition.execution_role_arn.is_none() {
        return Err(secrets::needed("environmentFiles"));
    }
    Ok(TaskOverride {
        containers,
        cpu_units,
        memory_mib,
        task_role_arn: given.task_role_arn,
        execution_role_arn: given.execution_role_arn,
        ephemeral_gib: ephemeral_gib(given.ephemeral_storage)?,
    })
}
