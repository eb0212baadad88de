//! RunTask: up to ten tasks, written in one transaction; the node starts them as soon as it is durable.

use super::launch::{Launch, LaunchError, launch};
use super::register_task_definition::{check_shares, environment, ephemeral_gib, parse_cpu, parse_memory};
use super::unsupported::refuse;
use super::{capacity, environment_files, error, execute_command, names, network, secrets, view};
use crate::Cx;
use longshore_aws_model::ecs::{self as wire, Failure, RunTaskInput, RunTaskOutput};
use longshore_aws_model::{AwsError, ErrorMember};
use longshore_aws_wire::to_json;
use longshore_planner::{capacity as shares, fargate};
use longshore_store::Tx;
use longshore_store::tables::Tasks;
use longshore_types::ecs::*;
use longshore_types::{Tags, arn};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Characters of an idempotency token.
const CLIENT_TOKEN_MAX: usize = 64;
const STARTED_BY_MAX: usize = 128;
/// Characters of the JSON of all overrides of a call.
const OVERRIDES_MAX: usize = 8192;
const CLIENT_TOKEN_LASTS: Duration = Duration::from_secs(24 * 3600);

pub fn run_task(tx: &mut Tx, cx: &Cx, input: RunTaskInput) -> Result<RunTaskOutput, AwsError> {
    refuse!(input; placement_constraints, placement_strategy, volume_configurations, reference_id);
    let client_token = names::client_token(input.client_token.as_deref(), CLIENT_TOKEN_MAX)?.map(str::to_owned);
    let digest = digest(&input);
    let cluster = names::cluster(tx, &cx.scope, input.cluster.as_deref())?;
    if let Some(token) = &client_token
        && let Some(output) = already_run(tx, cx, &cluster, token, digest)?
    {
        return Ok(output);
    }
    let count = input.count.unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(error::invalid("Count must be between 1 and 10."));
    }
    check_names(input.started_by.as_deref(), input.group.as_deref())?;
    let definition = names::runnable(tx, &cx.scope, &input.task_definition)?;
    let strategy =
        capacity::choose(&cluster, input.launch_type.as_deref(), input.capacity_provider_strategy, &definition)?;
    check_platform_version(input.platform_version.as_deref())?;
    let network = network::resolve(tx, &cx.scope, input.network_configuration)?;
    let overrides = overrides(input.overrides.unwrap_or_default(), &definition)?;
    let executes = input.enable_execute_command.unwrap_or(false);
    execute_command::check_task_role(executes, &definition, &overrides)?;
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

    let (mut tasks, mut failures) = (Vec::new(), 0);
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
            enable_execute_command: executes,
            overrides: overrides.clone(),
            tags: tags.clone(),
            client_token: client_token.clone().map(|token| (token, digest)),
            image_digests: &BTreeMap::new(),
            zone: None,
        };
        match launch(tx, cx, wanted) {
            Ok(task) => tasks.push(task),
            Err(LaunchError::Refused(error)) => return Err(error),
            Err(LaunchError::NoAddress) => failures += 1,
        }
    }
    if failures > 0 && client_token.is_some() {
        for task in &tasks {
            tx.tasks().update(&(cx.scope.clone(), task.id.clone()), |task| task.failed_beside = failures);
        }
    }
    Ok(output(cx, &cluster, tasks.iter(), failures))
}

/// What services write themselves is theirs alone: tasks are found by it. (The documentation names the characters that
/// startedBy may have, but AWS takes others, and its own services and common tools send spaces.)
fn check_names(started_by: Option<&str>, group: Option<&str>) -> Result<(), AwsError> {
    if started_by.is_some_and(|by| by.chars().count() > STARTED_BY_MAX) {
        return Err(error::invalid(format!("startedBy can have up to {STARTED_BY_MAX} characters.")));
    }
    if group.is_some_and(|group| group.starts_with("service:")) {
        return Err(error::invalid("Groups that begin with service: are for the tasks of services."));
    }
    Ok(())
}

fn output<'a>(cx: &Cx, cluster: &Cluster, tasks: impl Iterator<Item = &'a Task>, failures: u32) -> RunTaskOutput {
    let failure = Failure {
        arn: Some(arn::cluster(&cx.scope, &cluster.name)),
        reason: Some("RESOURCE:ENI".to_owned()),
        detail: Some("None of the subnets has a free address.".to_owned()),
    };
    RunTaskOutput {
        tasks: Some(tasks.map(|task| view::task(&cx.scope, task, true)).collect()),
        failures: Some(vec![failure; failures as usize]),
    }
}

/// Distinguishes requests that come with the same idempotency token.
fn digest(input: &RunTaskInput) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{input:?}").hash(&mut hasher);
    hasher.finish()
}

/// What the call that used the token first was answered: its tasks, and how many it could not start. A token belongs to the
/// tasks that it started, for a day or as long as they are known. One that started nothing belongs to nothing: a call that
/// changed nothing may be tried again.
fn already_run(
    tx: &Tx,
    cx: &Cx,
    cluster: &Cluster,
    token: &str,
    digest: u64,
) -> Result<Option<RunTaskOutput>, AwsError> {
    let state: &longshore_store::Snapshot = tx;
    let key = (cx.scope.clone(), cluster.name.clone(), token.to_owned());
    let tasks: Vec<_> = state.tasks().by_index(&Tasks::BY_CLIENT_TOKEN, &key).collect();
    let tasks: Vec<_> =
        tasks.into_iter().filter(|task| cx.now.since(task.times.created_at) < CLIENT_TOKEN_LASTS).collect();
    if tasks.iter().any(|task| task.client_token.as_ref().is_some_and(|(_, other)| *other != digest)) {
        let text = "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use by another request with different parameters.";
        let arns = tasks.iter().map(|task| arn::task(&cx.scope, &task.cluster, &task.id)).collect();
        return Err(AwsError::new("ConflictException", text).with("resourceIds", ErrorMember::Texts(arns)));
    }
    Ok(tasks.first().map(|first| output(cx, cluster, tasks.iter().map(AsRef::as_ref), first.failed_beside)))
}

pub fn check_platform_version(version: Option<&str>) -> Result<(), AwsError> {
    match version {
        None | Some("LATEST" | "1.4.0") => Ok(()),
        Some(other) => {
            Err(error::invalid(format!("The platform version '{other}' is not available; Longshore is like 1.4.0.")))
        }
    }
}

fn overrides(mut given: wire::TaskOverride, definition: &TaskDefinition) -> Result<TaskOverride, AwsError> {
    if to_json(&given).chars().count() > OVERRIDES_MAX {
        return Err(error::invalid(format!("Container Overrides length must be at most {OVERRIDES_MAX}")));
    }
    // As in task definitions, no name is none.
    given.task_role_arn.take_if(|role| role.is_empty());
    given.execution_role_arn.take_if(|role| role.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::network::delete_interface;
    use crate::ecs::testing::World;
    use longshore_types::ec2::EniOwner;

    /// Eleven addresses are free, in one subnet.
    fn small() -> World {
        let mut world = World::new();
        world.subnets.truncate(1);
        let subnet = world.subnets[0].clone();
        world.fixture.write(move |tx, cx| {
            let small = "172.31.0.0/28".parse().expect("a network");
            tx.subnets().update(&(cx.scope.clone(), subnet), |subnet| subnet.cidr = small);
        });
        world
    }

    fn run(world: &World, token: &str, count: i32) -> Result<(Vec<String>, usize), AwsError> {
        let input = RunTaskInput {
            cluster: Some("web".into()),
            task_definition: "web".into(),
            launch_type: Some("FARGATE".into()),
            network_configuration: Some(world.network()),
            client_token: Some(token.into()),
            count: Some(count),
            ..Default::default()
        };
        let output = world.write(|tx, cx| run_task(tx, cx, input))?;
        let mut arns: Vec<_> = output.tasks.expect("tasks").into_iter().filter_map(|task| task.task_arn).collect();
        arns.sort();
        Ok((arns, output.failures.expect("failures").len()))
    }

    #[test]
    fn nobody_takes_the_names_that_services_give() {
        let world = World::new();
        let run = |by: &str, group: &str| {
            let named = |input: &mut RunTaskInput| {
                (input.started_by, input.group) = (Some(by.to_owned()), Some(group.to_owned()));
            };
            world.run_task(named).map_err(|error| (error.code, error.message))
        };
        let longest = "a/b-C_9".repeat(18) + "12";
        assert!(run(&longest, "batch:service:s").is_ok());
        assert!(run("ECS Deploy", "batch").is_ok());
        for (by, group) in [(&*(longest + "3"), "batch"), ("ci", "service:s")] {
            let (code, message) = run(by, group).expect_err("it is not allowed");
            assert_eq!(code, "InvalidParameterException");
            assert!(message.contains(if group == "batch" { "startedBy" } else { "service:" }), "{message}");
        }
    }

    #[test]
    fn overrides_have_8192_characters_of_json_at_most() {
        const AROUND: usize = r#"{"containerOverrides":[{"name":"app","command":[""]}]}"#.len();
        let world = World::new();
        let run = |length: usize| {
            let container = wire::ContainerOverride {
                name: Some("app".to_owned()),
                command: Some(vec!["ä".repeat(length)]),
                ..Default::default()
            };
            let given = wire::TaskOverride { container_overrides: Some(vec![container]), ..Default::default() };
            world.run_task(|input| input.overrides = Some(given)).map_err(|error| error.to_string())
        };
        assert!(run(OVERRIDES_MAX - AROUND).is_ok());
        assert_eq!(
            run(OVERRIDES_MAX - AROUND + 1).expect_err("one more"),
            "InvalidParameterException: Container Overrides length must be at most 8192"
        );
    }

    #[test]
    fn a_token_brings_back_what_its_first_call_was_answered() {
        let mut world = small();
        let (first, failures) = run(&world, "a", 9).expect("it runs");
        assert_eq!((first.len(), failures), (9, 0));
        let partly = run(&world, "b", 5).expect("it runs");
        assert_eq!((partly.0.len(), partly.1), (2, 3));
        assert_eq!(run(&world, "b", 5).expect("the same"), partly);
        assert_eq!(run(&world, "a", 9).expect("the same"), (first.clone(), 0));
        let error = run(&world, "a", 8).expect_err("other parameters");
        assert_eq!(error.code, "ConflictException");
        let [("resourceIds", ErrorMember::Texts(arns))] = &error.members[..] else { panic!("{error:?}") };
        let mut arns = arns.clone();
        arns.sort();
        assert_eq!(arns, first);
        // After a day it is a new token.
        world.fixture.now = world.fixture.now + CLIENT_TOKEN_LASTS;
        assert_eq!(run(&world, "a", 1).expect("a new call").1, 1, "there is no address");
    }

    #[test]
    fn a_token_whose_call_started_nothing_may_be_tried_again() {
        let world = small();
        run(&world, "a", 10).expect("it runs");
        run(&world, "b", 1).expect("it runs");
        assert_eq!(run(&world, "c", 2).expect("an answer"), (vec![], 2));
        assert_eq!(run(&world, "c", 2).expect("an answer"), (vec![], 2));
        world.fixture.write(|tx, cx| {
            let all: Vec<_> = tx.snapshot().network_interfaces().prefix(&cx.scope).collect();
            let one = all.iter().find(|eni| matches!(eni.owner, EniOwner::Task { .. })).expect("a task's");
            delete_interface(tx, &cx.scope, &one.id);
        });
        let now = run(&world, "c", 2).expect("it runs");
        assert_eq!((now.0.len(), now.1), (1, 1));
        assert_eq!(run(&world, "c", 2).expect("the same"), now);
    }

    #[test]
    fn tokens_have_64_visible_characters_at_most() {
        let world = World::new();
        for bad in ["x".repeat(65), "a b".to_owned(), "\u{e9}".to_owned()] {
            assert_eq!(run(&world, &bad, 1).expect_err("refused").code, "InvalidParameterException", "{bad}");
        }
        run(&world, &"~".repeat(64), 1).expect("it runs");
    }
}
