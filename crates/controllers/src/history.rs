//! A service's history: releases that ended ninety days ago go, and the revisions that nothing names any more.

use crate::service::ServiceKey;
use longshore_store::tables::{ServiceDeployments, ServiceRevisions};
use longshore_store::{Snapshot, Table, Tx};
use longshore_types::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html>
const STAYS: Duration = Duration::from_secs(90 * 86_400);

/// Removes what is known of a service's past: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-revision.html>
/// says it goes with the service.
pub fn forget(tx: &mut Tx, service: &ServiceKey) {
    let releases: Vec<ReleaseKey> = tx.service_deployments().prefix(service).keys().collect();
    releases.iter().for_each(|key| drop(tx.service_deployments().remove(key)));
    let revisions: Vec<RevisionKey> = tx.service_revisions().prefix(service).keys().collect();
    revisions.iter().for_each(|key| drop(tx.service_revisions().remove(key)));
}

type ReleaseKey = <ServiceDeployments as Table>::Key;
type RevisionKey = <ServiceRevisions as Table>::Key;

#[derive(Debug, Default)]
pub struct Expired {
    releases: Vec<ReleaseKey>,
    revisions: Vec<RevisionKey>,
}

impl Expired {
    pub fn of(state: &Snapshot, now: Timestamp) -> Self {
        let before = now - STAYS;
        let releases: Vec<ReleaseKey> = state
            .service_deployments()
            .all()
            .entries()
            .filter(|(_, release)| release.finished_at.is_some_and(|at| at <= before))
            .map(|(key, _)| key)
            .collect();
        // Most of the time there is nothing, and then nobody has to ask who names which revision.
        let old = |(_, revision): &(RevisionKey, std::sync::Arc<longshore_types::ecs::ServiceRevision>)| {
            revision.created_at <= before
        };
        if !state.service_revisions().all().entries().any(|entry| old(&entry)) {
            return Self { releases, revisions: vec![] };
        }
        let mut named: BTreeSet<u64> = BTreeSet::new();
        for (key, release) in state.service_deployments().all().entries() {
            if !releases.contains(&key) {
                named.insert(release.target.revision);
                named.extend(release.sources.iter().map(|source| source.revision));
            }
        }
        for service in state.services().all() {
            let deployments = service.deployments.iter().chain(service.last_completed.as_deref());
            named.extend(deployments.map(|deployment| deployment.revision));
        }
        let revisions = state.service_revisions().all().entries();
        let revisions = revisions.filter(|entry| old(entry) && !named.contains(&entry.1.number)).map(|(key, _)| key);
        Self { revisions: revisions.collect(), releases }
    }

    pub fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.revisions.is_empty()
    }

    pub fn remove(&self, tx: &mut Tx) {
        for key in &self.releases {
            tx.service_deployments().remove(key);
        }
        for key in &self.revisions {
            tx.service_revisions().remove(key);
        }
    }
}
