//! What nodes should do, made from the state: the whole truth about a task, and the networks it lives in.

use crate::networks;
use longshore_api::ecs::account_settings;
use longshore_planner::routes::reaches_internet;
use longshore_store::Snapshot;
use longshore_store::tables::Tasks;
use longshore_types::ecs::{ContainerDefinition, Task, TaskStatus};
use longshore_types::id::NodeId;
use longshore_types::node::*;
use longshore_types::{Scope, arn};

/// All tasks of a node that are not STOPPED.
pub fn tasks(state: &Snapshot, node: &NodeId) -> Vec<TaskIntent> {
    state
        .tasks()
        .by_index(&Tasks::BY_NODE, node)
        .entries()
        .filter_map(|(key, row)| task_intent(state, &key.0, &row))
        .collect()
}

/// One task; `None` when it is STOPPED, so that its node forgets it.
pub fn task_intent(state: &Snapshot, scope: &Scope, row: &Task) -> Option<TaskIntent> {
    if row.is_stopped() {
        return None;
    }
    let definition = state.task_definitions().get(&(scope.clone(), row.family.clone(), row.revision))?;
    let eni = state.network_interfaces().get(&(scope.clone(), row.network.eni.clone()))?;
    let subnet = state.subnets().get(&(scope.clone(), eni.subnet.clone()))?;
    let vpc = state.vpcs().get(&(scope.clone(), eni.vpc.clone()))?;
    let routes = networks::subnet_routes(state, scope, &subnet);
    let own_registry_only = !reaches_internet(&routes, eni.public_address.is_some());
    let containers = row
        .containers
        .iter()
        .filter_map(|c| {
            let definition = definition.containers.iter().find(|d| d.name == c.name)?;
            Some(ContainerIntent {
                id: c.id.clone(),
                arn: arn::container(scope, &row.cluster, &row.id, &c.id),
                definition: with_defaults(state, scope, with_overrides(definition, row)),
                image_digest: c.image_digest.clone(),
                secrets: Default::default(),
                own_registry_only,
            })
        })
        .collect();
    let run = match row.last_status >= TaskStatus::Stopping {
        true => RunIntent::Stop { reason: row.stopped_reason.clone().unwrap_or_default() },
        false => RunIntent::Run,
    };
    let credentials =
        row.access_key_id.as_ref().and_then(|key| state.role_sessions().get(key)).map(|s| CredentialsIntent {
            // Unguessable, and the same after a restart of anything: part of the task's first token would change with it.
            id: row.network.attachment.clone(),
            role_arn: s.role_arn.clone(),
            access_key_id: s.access_key_id.clone(),
            secret_access_key: s.secret_access_key.clone(),
            session_token: s.session_token.clone(),
            expires_at: s.expires_at,
        });
    Some(TaskIntent {
        id: row.id.clone(),
        arn: arn::task(scope, &row.cluster, &row.id),
        scope: scope.clone(),
        cluster: row.cluster.clone(),
        cluster_arn: arn::cluster(scope, &row.cluster),
        family: row.family.clone(),
        revision: row.revision,
        service: row.service.clone(),
        group: row.group.clone(),
        launch_type: row.launch_type.clone(),
        zone: row.zone.clone(),
        zone_id: subnet.zone_id.clone(),
        run,
        was_running: row.has_run(),
        cpu_units: row.cpu_units,
        memory_mib: row.memory_mib,
        containers,
        volumes: definition.volumes.clone(),
        shared_pids: definition.shared_pids,
        ephemeral_gib: row.overrides.ephemeral_gib.or(definition.ephemeral_gib),
        network: EniIntent {
            id: eni.id.clone(),
            vpc: eni.vpc.clone(),
            subnet: eni.subnet.clone(),
            subnet_cidr: subnet.cidr,
            resolver: networks::resolver(state, scope, &vpc),
            address: eni.address,
            mac: eni.mac.clone(),
            private_dns_name: row.network.private_dns_name.clone(),
            security_groups: eni.security_groups.clone(),
            public_address: eni.public_address,
        },
        credentials,
        created_at: row.times.created_at,
        tags: row.tags.clone(),
    })
}

/// A container of a definition, as the task's overrides change it.
pub fn with_overrides(definition: &ContainerDefinition, row: &Task) -> ContainerDefinition {
    let mut definition = definition.clone();
    if let Some(over) = row.overrides.containers.iter().find(|o| o.name == definition.name) {
        definition.command = over.command.clone().or(definition.command);
        definition.cpu_units = over.cpu_units.unwrap_or(definition.cpu_units);
        definition.memory_mib = over.memory_mib.or(definition.memory_mib);
        definition.memory_reservation_mib = over.memory_reservation_mib.or(definition.memory_reservation_mib);
        definition.environment_files = over.environment_files.clone().unwrap_or(definition.environment_files);
        for (name, value) in &over.environment {
            definition.environment.retain(|(old, _)| old != name);
            definition.environment.push((name.clone(), value.clone()));
        }
    }
    definition
}

/// What the account's settings say where the definition says nothing.
fn with_defaults(state: &Snapshot, scope: &Scope, mut definition: ContainerDefinition) -> ContainerDefinition {
    if let Some(log) = definition.log.as_mut().filter(|log| !log.options.contains_key("mode")) {
        log.blocking = account_settings::of_account(state, scope, "defaultLogDriverMode") == "blocking";
    }
    definition
}
