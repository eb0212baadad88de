//! DescribeClusters: those named, or `default`; a name that is not there is a failure, not an error.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DescribeClustersInput, DescribeClustersOutput, Failure};
use longshore_store::Snapshot;
use longshore_types::arn;

pub fn describe_clusters(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeClustersInput,
) -> Result<DescribeClustersOutput, AwsError> {
    let wanted = input.clusters.filter(|list| !list.is_empty()).unwrap_or_else(|| vec!["default".to_owned()]);
    if wanted.len() > 100 {
        return Err(error::invalid("Clusters can have at most 100 items."));
    }
    let include = input.include.unwrap_or_default();
    let has = |word: &str| include.iter().any(|i| i == word);
    let fields = view::ClusterFields {
        tags: has("TAGS"),
        settings: has("SETTINGS"),
        statistics: has("STATISTICS"),
        configuration: has("CONFIGURATIONS"),
    };
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for given in &wanted {
        let name = names::cluster_name(Some(given))?;
        let row = state.clusters().get(&(cx.scope.clone(), name.clone())).filter(|_| names::is_here(given, &cx.scope));
        match row {
            Some(cluster) => clusters.push(view::cluster(state, &cx.scope, &cluster, fields)),
            None => failures.push(Failure {
                arn: Some(arn::cluster(&cx.scope, &name)),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    Ok(DescribeClustersOutput { clusters: Some(clusters), failures: Some(failures) })
}
