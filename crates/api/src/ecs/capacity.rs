//! Where tasks run: a launch type, a capacity provider strategy, or the cluster's default strategy.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::CapacityProviderStrategyItem;
use longshore_types::ecs::*;

/// A strategy's items, of which there are at most 20, each provider once.
pub fn strategy(given: &[CapacityProviderStrategyItem]) -> Result<Vec<StrategyItem>, AwsError> {
    let mut items: Vec<StrategyItem> = Vec::new();
    for item in given {
        let provider = provider(item.capacity_provider.as_deref().unwrap_or_default())?;
        if items.iter().any(|other| other.provider == provider) {
            return Err(error::invalid(format!(
                "The specified capacity provider strategy contains the capacity provider {provider} more than once."
            )));
        }
        let number = |n: Option<i32>| n.unwrap_or(0).unsigned_abs();
        items.push(StrategyItem { provider, weight: number(item.weight), base: number(item.base) });
    }
    if items.iter().filter(|item| item.base > 0).count() > 1 {
        return Err(error::invalid("Only one capacity provider in a capacity provider strategy can have a base."));
    }
    if items.len() > 1 && items.iter().all(|item| item.weight == 0) {
        return Err(error::invalid(
            "At least one capacity provider in a capacity provider strategy must have a weight greater than zero.",
        ));
    }
    Ok(items)
}

pub fn provider(name: &str) -> Result<CapacityProvider, AwsError> {
    CapacityProvider::parse(name).ok_or_else(|| {
        error::invalid(format!(
            "The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again. Longshore has FARGATE and FARGATE_SPOT."
        ))
    })
}

/// What a strategy of a task or a service may name.
pub fn associated(cluster: &Cluster, items: Vec<StrategyItem>) -> Result<Vec<StrategyItem>, AwsError> {
    if items.iter().any(|item| !cluster.capacity_providers.contains(&item.provider)) {
        return Err(error::invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.",
        ));
    }
    Ok(items)
}

/// The strategy to follow; empty for launch type FARGATE.
pub fn choose(
    cluster: &Cluster,
    launch_type: Option<&str>,
    given: Option<Vec<CapacityProviderStrategyItem>>,
    definition: &TaskDefinition,
) -> Result<Vec<StrategyItem>, AwsError> {
    let given = given.unwrap_or_default();
    if launch_type.is_some() && !given.is_empty() {
        return Err(error::invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    let chosen = match launch_type {
        Some("FARGATE") => vec![],
        None if !given.is_empty() => associated(cluster, strategy(&given)?)?,
        None if !cluster.default_strategy.is_empty() => cluster.default_strategy.clone(),
        // EC2 is what AWS takes when nothing is said.
        None | Some("EC2") => {
            return Err(error::invalid(
                "No Container Instances were found in your cluster. Longshore runs launch type FARGATE: add --launch-type FARGATE.",
            ));
        }
        Some(other) => return Err(error::unsupported(&format!("launchType {other}"))),
    };
    if definition.cpu_units == 0 || definition.memory_mib == 0 {
        return Err(error::invalid("Task definition does not support launch_type FARGATE."));
    }
    Ok(chosen)
}
