//! ListClusters: ARNs of the ACTIVE clusters.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{ListClustersInput, ListClustersOutput};
use longshore_store::Snapshot;
use longshore_types::arn;
use longshore_types::ecs::ClusterStatus;

pub fn list_clusters(state: &Snapshot, cx: &Cx, input: ListClustersInput) -> Result<ListClustersOutput, AwsError> {
    let active = state.clusters().prefix(&cx.scope).filter(|cluster| cluster.status == ClusterStatus::Active);
    let limit = names::page_size(input.max_results, 100, 100)?;
    let page = page::page(active, |cluster| cluster.name.to_string(), input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let arns = page.items.iter().map(|cluster| arn::cluster(&cx.scope, &cluster.name)).collect();
    Ok(ListClustersOutput { cluster_arns: Some(arns), next_token: page.next_token })
}
