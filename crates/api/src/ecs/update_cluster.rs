//! UpdateCluster and UpdateClusterSettings: settings of an ACTIVE cluster.

use super::unsupported::refuse;
use super::{cluster_configuration, create_cluster, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::Tx;
use longshore_types::ecs::SessionLogging;

pub fn update_cluster(tx: &mut Tx, cx: &Cx, input: UpdateClusterInput) -> Result<UpdateClusterOutput, AwsError> {
    refuse!(input; service_connect_defaults);
    let logging = input.configuration.map(cluster_configuration::read).transpose()?;
    let cluster = Some(change(tx, cx, &input.cluster, input.settings, logging)?);
    Ok(UpdateClusterOutput { cluster })
}

pub fn update_cluster_settings(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateClusterSettingsInput,
) -> Result<UpdateClusterSettingsOutput, AwsError> {
    let cluster = Some(change(tx, cx, &input.cluster, Some(input.settings), None)?);
    Ok(UpdateClusterSettingsOutput { cluster })
}

/// Of `logging`, the inner `None` is that of a configuration which says nothing.
fn change(
    tx: &mut Tx,
    cx: &Cx,
    given: &str,
    settings: Option<Vec<ClusterSetting>>,
    logging: Option<Option<SessionLogging>>,
) -> Result<Cluster, AwsError> {
    let cluster = names::cluster(tx, &cx.scope, Some(given))?;
    let key = (cx.scope.clone(), cluster.name.clone());
    let mut cluster = (*cluster).clone();
    if let Some(settings) = settings {
        let now = cluster.settings.get("containerInsights").cloned().unwrap_or_default();
        cluster.settings = create_cluster::settings(settings, &now)?;
    }
    if let Some(logging) = logging {
        cluster.session_logging = logging;
    }
    tx.clusters().put(key, cluster.clone());
    Ok(view::cluster(tx, &cx.scope, &cluster, view::ClusterFields::of_a_change()))
}
