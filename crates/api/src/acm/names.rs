//! Certificates by their ARNs.

use super::error;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::acm::Certificate;
use std::sync::Arc;

pub fn arn(scope: &Scope, id: &str) -> String {
    format!("arn:aws:acm:{}:{}:certificate/{id}", scope.region, scope.account)
}

pub fn find(state: &Snapshot, scope: &Scope, arn: &str) -> Option<Arc<Certificate>> {
    state.certificates().get(&(scope.clone(), arn.to_owned()))
}

pub fn existing(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Arc<Certificate>, AwsError> {
    find(state, scope, arn).ok_or_else(|| error::not_found(arn, scope.account.as_ref()))
}

/// ARNs of the load balancers whose listeners use a certificate.
pub fn users(state: &Snapshot, scope: &Scope, arn: &str) -> Vec<String> {
    let listeners = state.listeners().prefix(scope).filter(|row| row.certificates.iter().any(|used| used == arn));
    let mut users: Vec<String> = listeners.map(|row| row.load_balancer.clone()).collect();
    users.sort();
    users.dedup();
    users
}
