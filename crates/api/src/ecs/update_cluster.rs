//! UpdateCluster and UpdateClusterSettings: settings of an ACTIVE cluster.

use super::unsupported::refuse;
use super::{create_cluster, error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::Tx;

pub fn update_cluster(tx: &mut Tx, cx: &Cx, input: UpdateClusterInput) -> Result<UpdateClusterOutput, AwsError> {
    refuse!(input; configuration, service_connect_defaults);
    let cluster = Some(change(tx, cx, &input.cluster, input.settings)?);
    Ok(UpdateClusterOutput { cluster })
}

pub fn update_cluster_settings(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateClusterSettingsInput,
) -> Result<UpdateClusterSettingsOutput, AwsError> {
    let cluster = Some(change(tx, cx, &input.cluster, Some(input.settings))?);
    Ok(UpdateClusterSettingsOutput { cluster })
}

fn change(tx: &mut Tx, cx: &Cx, given: &str, settings: Option<Vec<ClusterSetting>>) -> Result<Cluster, AwsError> {
    let cluster = names::cluster(tx, &cx.scope, Some(given))?;
    let key = (cx.scope.clone(), cluster.name.clone());
    if let Some(settings) = settings {
        let now = cluster.settings.get("containerInsights").cloned().unwrap_or_default();
        let settings = create_cluster::settings(settings, &now)?;
        tx.clusters().update(&key, |row| row.settings = settings);
    }
    let cluster = tx.clusters().get(&key).ok_or_else(error::cluster_not_found)?;
    Ok(view::cluster(tx, &cx.scope, &cluster, view::ClusterFields::of_a_change()))
}
