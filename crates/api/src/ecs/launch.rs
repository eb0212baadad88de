//! Writes a new task: role checks, a subnet, an interface, credentials. Shared by RunTask and the service scheduler.

use super::error;
use crate::Cx;
use crate::ec2::network::{NewInterface, create_interface, free_addresses};
use crate::{iam, sts};
use longshore_aws_model::AwsError;
use longshore_planner::subnet::{Candidate, choose};
use longshore_store::tables::{RoleSessions, Tasks};
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::{self, Arn};
use longshore_types::ec2::{EniOwner, Subnet};
use longshore_types::ecs::*;
use longshore_types::iam::{Role, RoleSession};
use longshore_types::id::*;
use longshore_types::{AccountId, Scope, Tags, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Credentials of a task are good for this long; they are renewed before they end.
pub const CREDENTIALS_LAST: Duration = Duration::from_secs(6 * 3600);
const RENEWED_BEFORE: Duration = Duration::from_secs(3600);

/// One task to start.
pub struct Launch<'a> {
    pub cluster: &'a ClusterName,
    pub definition: &'a TaskDefinition,
    pub network: &'a AwsVpcConfiguration,
    pub group: String,
    pub started_by: Option<String>,
    pub service: Option<ServiceName>,
    pub deployment: Option<DeploymentId>,
    pub capacity_provider: Option<CapacityProvider>,
    pub enable_execute_command: bool,
    pub overrides: TaskOverride,
    pub tags: Tags,
    pub client_token: Option<(String, u64)>,
    /// Container to digest, as the deployment pinned them.
    pub image_digests: &'a BTreeMap<String, String>,
    /// Only in this zone.
    pub zone: Option<&'a ZoneName>,
}

/// Why a task could not be written.
#[derive(Debug, PartialEq)]
pub enum LaunchError {
    /// The definition or a role is at fault: RunTask answers with this error.
    Refused(AwsError),
    /// There is no room: RunTask answers with a failure.
    NoAddress,
}

pub fn launch(tx: &mut Tx, cx: &Cx, wanted: Launch<'_>) -> Result<Task, LaunchError> {
    let definition = wanted.definition;
    let task_role = wanted.overrides.task_role_arn.clone().or_else(|| definition.task_role_arn.clone());
    let execution_role = wanted.overrides.execution_role_arn.clone().or_else(|| definition.execution_role_arn.clone());
    for role in task_role.iter().chain(&execution_role) {
        check_role(tx, cx, role).map_err(LaunchError::Refused)?;
    }

    let id = cx.ids().task();
    let subnet = choose_subnet(tx, cx, &wanted).ok_or(LaunchError::NoAddress)?;
    let attachment = cx.ids().uuid();
    let task_arn = arn::task(&cx.scope, wanted.cluster, &id);
    let interface = NewInterface {
        subnet: subnet.id.clone(),
        security_groups: wanted.network.security_groups.clone(),
        owner: EniOwner::Task { cluster: wanted.cluster.clone(), task: id.clone(), attachment: attachment.clone() },
        description: format!("arn:aws:ecs:{}:{}:attachment/{attachment}", cx.scope.region, cx.scope.account),
        public: wanted.network.assign_public_ip,
        tags: Tags::default(),
    };
    let eni = create_interface(tx, cx, interface).map_err(|_| LaunchError::NoAddress)?;
    let access_key_id = task_role.map(|role| new_session(tx, cx, &role, &id));

    let containers = definition.containers.iter().map(|c| container(cx, c, &wanted)).collect();
    let task = Task {
        containers,
        cluster: wanted.cluster.clone(),
        family: definition.family.clone(),
        revision: definition.revision,
        group: wanted.group,
        started_by: wanted.started_by,
        service: wanted.service,
        deployment: wanted.deployment,
        launch_type: "FARGATE".to_owned(),
        capacity_provider: wanted.capacity_provider,
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        health: HealthStatus::Unknown,
        cpu_units: wanted.overrides.cpu_units.unwrap_or(definition.cpu_units),
        memory_mib: wanted.overrides.memory_mib.unwrap_or(definition.memory_mib),
        ephemeral_gib: wanted
            .overrides
            .ephemeral_gib
            .or(definition.ephemeral_gib)
            .unwrap_or(Task::EPHEMERAL_GIB_DEFAULT),
        overrides: wanted.overrides,
        network: TaskNetwork {
            attachment,
            private_dns_name: eni.private_dns_name(&cx.scope.region),
            eni: eni.id,
            vpc: eni.vpc,
            subnet: eni.subnet,
            address: eni.address,
            mac: eni.mac,
        },
        zone: eni.zone,
        node: NodeId::from("local"),
        times: TaskTimes { created_at: cx.now, ..Default::default() },
        stop_code: None,
        stopped_reason: None,
        version: 1,
        tags: wanted.tags,
        access_key_id,
        client_token: wanted.client_token,
        failed_beside: 0,
        protected_until: None,
        was_healthy: false,
        enable_execute_command: wanted.enable_execute_command,
        id: id.clone(),
    };
    tracing::debug!(task = %task_arn, subnet = %task.network.subnet, address = %task.network.address, "task written");
    tx.tasks().put((cx.scope.clone(), id), task.clone());
    Ok(task)
}

/// ECS's words for a role that is not there, or not for it.
pub fn cannot_assume(role_arn: &str) -> String {
    format!(
        "ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )
}

/// The role exists and ECS tasks may assume it.
fn check_role(tx: &Tx, cx: &Cx, role_arn: &str) -> Result<(), AwsError> {
    let cannot = || error::client(cannot_assume(role_arn));
    let role = role(tx, &cx.scope.account, role_arn).ok_or_else(cannot)?;
    if iam::trust::trusts_service(&role, "ecs-tasks.amazonaws.com", &cx.scope) { Ok(()) } else { Err(cannot()) }
}

/// The role of an ARN or a bare name. An ARN has to be the role's own, account and path included: iam:PassRole was asked for the ARN
/// that was given, and another path would be leave to pass another role.
pub fn role(state: &Snapshot, account: &AccountId, given: &str) -> Option<Arc<Role>> {
    let role = state.roles().get(&(account.clone(), role_name(given)?.to_owned()))?;
    let is_same = Arn::parse(given).is_none() || arn::role(account, &role.path, &role.name) == given;
    is_same.then_some(role)
}

/// The last part of `role/path/Name`, or a bare name, if it can be one: see CreateRole.
pub fn role_name(role_arn: &str) -> Option<&str> {
    let name = match Arn::parse(role_arn) {
        Some(arn) if arn.service == "iam" => arn.resource.strip_prefix("role/")?.rsplit('/').next()?,
        Some(_) => return None,
        None => role_arn,
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    ((1..=64).contains(&name.len()) && name.bytes().all(is_allowed)).then_some(name)
}

/// New credentials of a task's role; returns the access key.
pub fn new_session(tx: &mut Tx, cx: &Cx, given: &str, task: &TaskId) -> String {
    let account = &cx.scope.account;
    let row = role(tx, account, given);
    let role_arn = row.as_ref().map_or_else(|| given.to_owned(), |r| arn::role(account, &r.path, &r.name));
    let session = RoleSession {
        role_arn,
        // A role that is gone by now has no id, and its session may nothing.
        role_id: row.map(|r| r.id.clone()).unwrap_or_default(),
        session_name: task.to_string(),
        task: Some(task.clone()),
        ..sts::session::new(cx, CREDENTIALS_LAST)
    };
    let key = session.access_key_id.clone();
    // AssumeRole forgets, too, but an account may never call it.
    sts::session::forget_ended(tx, cx.now);
    tx.role_sessions().put(key.clone(), session);
    key
}

fn choose_subnet(tx: &Tx, cx: &Cx, wanted: &Launch<'_>) -> Option<Arc<Subnet>> {
    let state: &longshore_store::Snapshot = tx;
    let mut per_zone: BTreeMap<ZoneName, usize> = BTreeMap::new();
    // Standalone tasks are spread by free addresses alone: counting a group would cost a walk over the cluster.
    if let Some(service) = &wanted.service {
        let key = (cx.scope.clone(), wanted.cluster.clone(), service.clone());
        for task in state.tasks().by_index(&Tasks::BY_SERVICE, &key).filter(|task| task.is_live()) {
            *per_zone.entry(task.zone.clone()).or_default() += 1;
        }
    }
    let subnets: Vec<_> =
        wanted.network.subnets.iter().filter_map(|id| state.subnets().get(&(cx.scope.clone(), id.clone()))).collect();
    let candidates: Vec<_> = subnets
        .iter()
        .filter(|subnet| wanted.zone.is_none_or(|zone| subnet.zone == *zone))
        .map(|subnet| Candidate {
            subnet: Arc::clone(subnet),
            zone: subnet.zone.as_str(),
            tasks_in_zone: per_zone.get(&subnet.zone).copied().unwrap_or(0),
            free_addresses: free_addresses(state, &cx.scope, &subnet.id),
        })
        .collect();
    choose(&candidates)
}

fn container(cx: &Cx, c: &ContainerDefinition, wanted: &Launch<'_>) -> TaskContainer {
    let over = wanted.overrides.containers.iter().find(|o| o.name == c.name);
    TaskContainer {
        id: cx.ids().uuid(),
        name: c.name.clone(),
        image: c.image.clone(),
        image_digest: wanted.image_digests.get(&c.name).cloned(),
        runtime_id: None,
        status: ContainerStatus::Pending,
        exit_code: None,
        reason: None,
        health: HealthStatus::Unknown,
        essential: c.essential,
        has_health_check: c.health_check.is_some(),
        cpu_units: over.and_then(|o| o.cpu_units).unwrap_or(c.cpu_units),
        memory_mib: over.and_then(|o| o.memory_mib).or(c.memory_mib),
        memory_reservation_mib: over.and_then(|o| o.memory_reservation_mib).or(c.memory_reservation_mib),
    }
}

/// The tasks of a node whose credentials end within the hour, and the roles these are of.
pub fn due_sessions(state: &Snapshot, node: &NodeId, now: Timestamp) -> Vec<((Scope, TaskId), String)> {
    let tasks = state.tasks().by_index(&Tasks::BY_NODE, node).entries();
    tasks
        .filter_map(|(key, task)| {
            let session = state.role_sessions().get(task.access_key_id.as_ref()?)?;
            let is_due = session.expires_at.since(now) < RENEWED_BEFORE;
            is_due.then(|| (key, session.role_arn.clone()))
        })
        .collect()
}

/// Gives a task new credentials. Those it has stay good until they end, for containers may still hold them; those that have
/// ended are forgotten.
pub fn renew_session(tx: &mut Tx, cx: &Cx, key: &(Scope, TaskId), role: &str) {
    let snapshot = tx.snapshot();
    for old in snapshot.role_sessions().by_index(&RoleSessions::BY_TASK, &key.1) {
        if old.expires_at <= cx.now {
            tx.role_sessions().remove(&old.access_key_id);
        }
    }
    let access_key = new_session(tx, cx, role, &key.1);
    tx.tasks().update(key, |task| task.access_key_id = Some(access_key));
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    #[test]
    fn a_role_is_its_own_arn_and_no_other_that_ends_in_its_name() {
        let world = World::new();
        let own = world.role();
        let run = |role: &str, is_execution: bool| {
            let role = Some(role.to_owned());
            let (task_role_arn, execution_role_arn) = if is_execution { (None, role) } else { (role, None) };
            let overrides =
                longshore_aws_model::ecs::TaskOverride { task_role_arn, execution_role_arn, ..Default::default() };
            world.run_task(|input| input.overrides = Some(overrides))
        };
        for is_execution in [false, true] {
            for other in [
                "arn:aws:iam::123456789012:role/dev/app",
                "arn:aws:iam::210987654321:role/app",
                "arn:aws:iam:us-east-1:123456789012:role/app",
                "arn:aws:iam::123456789012:role//app",
            ] {
                let refused = run(other, is_execution).expect_err("it is no ARN of the role");
                assert_eq!((refused.code.as_ref(), refused.message), ("ClientException", cannot_assume(other)));
            }
            for same in [own.as_str(), "app"] {
                run(same, is_execution).expect("it is the role");
            }
        }
    }

    #[test]
    fn credentials_are_renewed_before_they_end_and_old_ones_live_until_they_end() {
        let mut world = World::new();
        let task_role_arn = Some(world.role());
        world
            .run_task(|input| {
                input.overrides = Some(longshore_aws_model::ecs::TaskOverride { task_role_arn, ..Default::default() })
            })
            .expect("it runs");
        let begin = world.fixture.now;
        let at = |world: &mut World, minutes: u64| world.fixture.now = begin + Duration::from_secs(60 * minutes);
        let key_now = |world: &World| {
            let key = world.read(|state, _| state.tasks().all().next().and_then(|task| task.access_key_id.clone()));
            key.expect("the task has credentials")
        };
        let works = |world: &World, key: &str| world.read(|state, cx| sts::session::find(state, key, cx.now).is_some());
        let pass = |world: &World| {
            let due = world.read(|state, cx| due_sessions(state, &"local".into(), cx.now));
            let number = due.len();
            world.fixture.write(move |tx, cx| due.iter().for_each(|(key, role)| renew_session(tx, cx, key, role)));
            number
        };
        let first = key_now(&world);
        at(&mut world, 300);
        assert_eq!(pass(&world), 0, "an hour is left");
        at(&mut world, 301);
        assert_eq!((pass(&world), pass(&world)), (1, 0), "once");
        let second = key_now(&world);
        assert!(first != second && works(&world, &first) && works(&world, &second));
        let ends = world.read(|state, _| state.role_sessions().get(&second).expect("a row").expires_at);
        assert_eq!(ends, world.fixture.now + CREDENTIALS_LAST);
        at(&mut world, 360);
        assert!(!works(&world, &first) && works(&world, &second), "the first have ended");
        at(&mut world, 602);
        assert_eq!(pass(&world), 1);
        let third = key_now(&world);
        assert!(works(&world, &second) && works(&world, &third));
        let rows = world.read(|state, _| state.role_sessions().all().count());
        assert_eq!(rows, 2, "what has ended is forgotten, however long the task runs");
    }
}
