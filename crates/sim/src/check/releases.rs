//! Service deployments, revisions, and what a deployment's tasks are made from.

use crate::world::World;
use longshore_store::tables::{ServiceDeployments, ServiceRevisions, Services};
use longshore_store::{Snapshot, Table};
use longshore_types::Scope;
use longshore_types::ecs::*;

/// One release at a time; what has ended stays as it is.
pub fn release(world: &World, before: &Snapshot, after: &Snapshot, key: &<ServiceDeployments as Table>::Key) {
    let (old, new) = (before.service_deployments().get(key), after.service_deployments().get(key));
    let name = &key.2;
    let Some(new) = new else {
        if !is_deleted(before, after, (key.0.clone(), key.1.clone(), key.2.clone())) {
            world.violated("releases", format!("a service deployment of {name} is forgotten"));
        }
        return;
    };
    if old.as_ref().map(|old| old.status) != Some(new.status) {
        let id = world.name("release", &new.id);
        world.note("control", format!("{id} of {name} is {}", new.status));
    }
    if let Some(old) = old.filter(|old| !old.is_open() && *old != new) {
        world.violated("releases", format!("a service deployment of {name} was {} and changes to {new:?}", old.status));
    }
    let of_service = (key.0.clone(), key.1.clone(), key.2.clone());
    let open = after.service_deployments().prefix(&of_service).filter(|release| release.is_open()).count();
    if open > 1 {
        world.violated("releases", format!("{open} service deployments of {name} go on"));
    }
    if new.is_open()
        && after.services().get(&of_service).is_some_and(|s| s.service_deployment.as_ref() != Some(&new.id))
    {
        world.violated("releases", format!("{name} does not know the service deployment that goes on"));
    }
}

/// Whether a service has been deleted; another of its name may be there.
fn is_deleted(before: &Snapshot, after: &Snapshot, key: <Services as Table>::Key) -> bool {
    let (old, new) = (before.services().get(&key), after.services().get(&key));
    new.is_none_or(|new| {
        new.status == ServiceStatus::Inactive || old.is_some_and(|old| old.created_at != new.created_at)
    })
}

/// A revision is a picture: only the digests of its tags become known, once.
pub fn revision(world: &World, before: &Snapshot, after: &Snapshot, key: &<ServiceRevisions as Table>::Key) {
    let Some(old) = before.service_revisions().get(key) else { return };
    let Some(new) = after.service_revisions().get(key) else {
        if !is_deleted(before, after, (key.0.clone(), key.1.clone(), key.2.clone())) {
            world.violated("revisions", format!("a revision of {} is forgotten", key.2));
        }
        return;
    };
    let mut expected = (*old).clone();
    for (was, is) in expected.images.iter_mut().zip(&new.images) {
        if was.2.is_none() {
            was.2.clone_from(&is.2);
        }
    }
    if expected != *new {
        world.violated("revisions", format!("a revision of {} changes from {old:?} to {new:?}", key.2));
    }
}

/// All tasks of a deployment run the same bytes, wherever the tags go meanwhile.
pub fn pinned(world: &World, state: &Snapshot, scope: &Scope, task: &Task) {
    let (Some(service), Some(deployment)) = (&task.service, &task.deployment) else { return };
    let Some(row) = state.services().get(&(scope.clone(), task.cluster.clone(), service.clone())) else { return };
    let Some(deployment) = row.deployments.iter().find(|d| d.id == *deployment) else { return };
    let (family, revision) = (task.family.clone(), task.revision);
    let Some(definition) = state.task_definitions().get(&(scope.clone(), family, revision)) else { return };
    for container in definition.containers.iter().filter(|c| c.is_pinned_by_deployment()) {
        let runs = task.containers.iter().find(|c| c.name == container.name).and_then(|c| c.image_digest.as_ref());
        let due = deployment.image_digests.get(&container.name);
        if let (Some(runs), Some(due)) = (runs, due)
            && runs != due
        {
            let text = format!("{} of {} runs {runs} and not {due}", container.name, world.task(&task.id));
            world.violated("pinned", text);
        }
    }
}
