//! CreateCluster: idempotent by name; an inactive cluster of that name is revived.

use super::unsupported::refuse;
use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{ClusterSetting, CreateClusterInput, CreateClusterOutput};
use longshore_store::Tx;
use longshore_types::ecs::{Cluster, ClusterStatus};
use std::collections::BTreeMap;

pub fn create_cluster(tx: &mut Tx, cx: &Cx, input: CreateClusterInput) -> Result<CreateClusterOutput, AwsError> {
    refuse!(input; configuration, default_capacity_provider_strategy, service_connect_defaults);
    let name = names::cluster_name(input.cluster_name.as_deref())?;
    let providers = input.capacity_providers.unwrap_or_default();
    if let Some(unknown) = providers.iter().find(|provider| *provider != "FARGATE") {
        return Err(error::invalid(format!(
            "The specified capacity provider '{unknown}' was not found. Longshore has FARGATE."
        )));
    }
    let key = (cx.scope.clone(), name.clone());
    let existing = tx.clusters().get(&key).filter(|cluster| cluster.status == ClusterStatus::Active);
    if existing.is_none() {
        let cluster = Cluster {
            name,
            status: ClusterStatus::Active,
            settings: settings(input.settings.unwrap_or_default())?,
            capacity_providers: providers,
            created_at: cx.now,
            tags: names::tags(input.tags)?,
        };
        tx.clusters().put(key.clone(), cluster);
    }
    let cluster = tx.clusters().get(&key).ok_or_else(error::cluster_not_found)?;
    Ok(CreateClusterOutput { cluster: Some(view::cluster(tx, &cx.scope, &cluster, view::ClusterFields::all())) })
}

/// `containerInsights` is the only setting there is.
pub fn settings(given: Vec<ClusterSetting>) -> Result<BTreeMap<String, String>, AwsError> {
    let mut settings = BTreeMap::from([("containerInsights".to_owned(), "disabled".to_owned())]);
    for setting in given {
        let (name, value) = (setting.name.unwrap_or_default(), setting.value.unwrap_or_default());
        if name != "containerInsights" {
            return Err(error::invalid(format!("Invalid setting name '{name}'.")));
        }
        if !matches!(value.as_str(), "enabled" | "enhanced" | "disabled") {
            return Err(error::invalid(format!("Invalid value '{value}' for setting containerInsights.")));
        }
        settings.insert(name, value);
    }
    Ok(settings)
}
