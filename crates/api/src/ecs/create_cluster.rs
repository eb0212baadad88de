//! CreateCluster: idempotent by name; an inactive cluster of that name is revived.

use super::unsupported::refuse;
use super::{account_settings, capacity, cluster_configuration, error, names, view};
use crate::Cx;
use crate::iam::service_linked_role;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{CapacityProviderStrategyItem, ClusterSetting, CreateClusterInput, CreateClusterOutput};
use longshore_store::Tx;
use longshore_types::ecs::{CapacityProvider, Cluster, ClusterStatus, StrategyItem};
use std::collections::BTreeMap;

pub fn create_cluster(tx: &mut Tx, cx: &Cx, input: CreateClusterInput) -> Result<CreateClusterOutput, AwsError> {
    refuse!(input; service_connect_defaults);
    let name = names::new_cluster_name(input.cluster_name.as_deref())?;
    let (capacity_providers, default_strategy) =
        providers(input.capacity_providers.unwrap_or_default(), input.default_capacity_provider_strategy)?;
    let session_logging = cluster_configuration::read(input.configuration.unwrap_or_default())?;
    let key = (cx.scope.clone(), name.clone());
    let existing = tx.clusters().get(&key).filter(|cluster| cluster.status == ClusterStatus::Active);
    if existing.is_none() {
        let insights = account_settings::of_caller(tx, cx, "containerInsights");
        let settings = settings(input.settings.unwrap_or_default(), &insights)?;
        let cluster = Cluster {
            name,
            status: ClusterStatus::Active,
            settings,
            capacity_providers,
            default_strategy,
            session_logging,
            created_at: cx.now,
            inactive_since: None,
            tags: names::tags(input.tags)?,
        };
        service_linked_role::ensure(tx, cx, &service_linked_role::ECS);
        tx.clusters().put(key.clone(), cluster);
    }
    let cluster = tx.clusters().get(&key).ok_or_else(error::cluster_not_found)?;
    Ok(CreateClusterOutput {
        cluster: Some(view::cluster(tx, &cx.scope, &cluster, view::ClusterFields::of_a_change())),
    })
}

/// A cluster's providers and its default strategy, which names no others.
pub fn providers(
    names: Vec<String>,
    default: Option<Vec<CapacityProviderStrategyItem>>,
) -> Result<(Vec<CapacityProvider>, Vec<StrategyItem>), AwsError> {
    let providers: Vec<_> = names.iter().map(|name| capacity::provider(name)).collect::<Result<_, _>>()?;
    let default = capacity::strategy(&default.unwrap_or_default())?;
    if let Some(item) = default.iter().find(|item| !providers.contains(&item.provider)) {
        return Err(error::invalid(format!(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster: {}.",
            item.provider
        )));
    }
    Ok((providers, default))
}

/// `containerInsights` is the only setting there is; `insights` is its value where none is given. It is kept and shown and does
/// nothing else: there are no metrics yet. It is not refused, because most infrastructure code sets it.
pub fn settings(given: Vec<ClusterSetting>, insights: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let mut settings = BTreeMap::from([("containerInsights".to_owned(), insights.to_owned())]);
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
