//! DeleteCluster: only an empty cluster; it stays visible as INACTIVE.

use super::{names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DeleteClusterInput, DeleteClusterOutput};
use longshore_store::Tx;
use longshore_store::tables::Tasks;
use longshore_types::ecs::{ClusterStatus, ServiceStatus};

pub fn delete_cluster(tx: &mut Tx, cx: &Cx, input: DeleteClusterInput) -> Result<DeleteClusterOutput, AwsError> {
    let cluster = names::cluster(tx, &cx.scope, Some(&input.cluster))?;
    let key = (cx.scope.clone(), cluster.name.clone());
    if tx.services().prefix(&key).any(|service| service.status != ServiceStatus::Inactive) {
        let text = "The Cluster cannot be deleted while Services are active.";
        return Err(AwsError::new("ClusterContainsServicesException", text));
    }
    if tx.tasks().by_index(&Tasks::BY_CLUSTER, &key).any(|task| !task.is_stopped()) {
        let text = "The Cluster cannot be deleted while Tasks are active.";
        return Err(AwsError::new("ClusterContainsTasksException", text));
    }
    let mut cluster = (*cluster).clone();
    cluster.status = ClusterStatus::Inactive;
    cluster.inactive_since = Some(cx.now);
    tx.clusters().put(key, cluster.clone());
    let cluster = view::cluster(tx, &cx.scope, &cluster, view::ClusterFields::of_a_change());
    Ok(DeleteClusterOutput { cluster: Some(cluster) })
}
