//! DescribeCapacityProviders and PutClusterCapacityProviders: FARGATE and FARGATE_SPOT, which every account has.

use super::{create_cluster, error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_aws_model::ecs::*;
use longshore_store::tables::Tasks;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::{self, Arn};
use longshore_types::ecs::{CapacityProvider, ServiceStatus};

const ALL: [CapacityProvider; 2] = [CapacityProvider::Fargate, CapacityProvider::FargateSpot];

pub fn describe_capacity_providers(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeCapacityProvidersInput,
) -> Result<DescribeCapacityProvidersOutput, AwsError> {
    let offered = match input.cluster.as_deref() {
        Some(cluster) => names::cluster(state, &cx.scope, Some(cluster))?.capacity_providers.clone(),
        None => ALL.to_vec(),
    };
    let wanted = input.capacity_providers.filter(|names| !names.is_empty());
    let short = |name: &str| {
        let resource = Arn::parse(name).map_or(name, |arn| arn.resource);
        resource.rsplit('/').next().unwrap_or(resource).to_owned()
    };
    let mut failures = Vec::new();
    let found: Vec<CapacityProvider> = match &wanted {
        None => offered,
        Some(names) => names
            .iter()
            .filter_map(|name| {
                let found = CapacityProvider::parse(&short(name)).filter(|provider| offered.contains(provider));
                if found.is_none() {
                    failures.push(Failure {
                        arn: Some(arn::capacity_provider(&cx.scope, &short(name))),
                        reason: Some("MISSING".to_owned()),
                        detail: None,
                    });
                }
                found
            })
            .collect(),
    };
    let limit = names::page_size(input.max_results, 10, 10)?;
    let page = page::page(found.into_iter(), ToString::to_string, input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let with_tags = input.include.iter().flatten().any(|i| i == "TAGS");
    let view = |provider: &CapacityProvider| wire::CapacityProvider {
        capacity_provider_arn: Some(arn::capacity_provider(&cx.scope, provider.as_str())),
        name: Some(provider.to_string()),
        status: Some("ACTIVE".to_owned()),
        r#type: Some(provider.to_string()),
        tags: with_tags.then(Vec::new),
        ..Default::default()
    };
    Ok(DescribeCapacityProvidersOutput {
        capacity_providers: Some(page.items.iter().map(view).collect()),
        failures: Some(failures),
        next_token: page.next_token,
    })
}

pub fn put_cluster_capacity_providers(
    tx: &mut Tx,
    cx: &Cx,
    input: PutClusterCapacityProvidersInput,
) -> Result<PutClusterCapacityProvidersOutput, AwsError> {
    let cluster = names::cluster(tx, &cx.scope, Some(&input.cluster))?;
    let (providers, default) =
        create_cluster::providers(input.capacity_providers, Some(input.default_capacity_provider_strategy))?;
    let key = (cx.scope.clone(), cluster.name.clone());
    let removed: Vec<_> = cluster.capacity_providers.iter().filter(|provider| !providers.contains(provider)).collect();
    let is_removed = |provider: &CapacityProvider| removed.contains(&provider);
    let state = tx.snapshot();
    let by_service = state.services().prefix(&key).any(|service| {
        service.status != ServiceStatus::Inactive
            && service.template.capacity.iter().any(|item| is_removed(&item.provider))
    });
    let by_task = || {
        let mut tasks = state.tasks().by_index(&Tasks::BY_CLUSTER, &key);
        tasks.any(|task| !task.is_stopped() && task.capacity_provider.as_ref().is_some_and(is_removed))
    };
    if by_service || by_task() {
        return Err(AwsError::new(
            "ResourceInUseException",
            "The specified capacity provider is in use and cannot be removed.",
        ));
    }
    tx.clusters().update(&key, |row| {
        row.capacity_providers = providers;
        row.default_strategy = default;
    });
    let cluster = tx.clusters().get(&key).ok_or_else(error::cluster_not_found)?;
    let cluster = view::cluster(tx, &cx.scope, &cluster, view::ClusterFields::of_a_change());
    Ok(PutClusterCapacityProvidersOutput { cluster: Some(cluster) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use longshore_aws_model::ecs::CapacityProviderStrategyItem;

    fn put(names: &[&str], default: &[(&str, i32, i32)]) -> PutClusterCapacityProvidersInput {
        let item = |(name, weight, base): &(&str, i32, i32)| CapacityProviderStrategyItem {
            capacity_provider: Some((*name).to_owned()),
            weight: Some(*weight),
            base: Some(*base),
        };
        PutClusterCapacityProvidersInput {
            cluster: "web".to_owned(),
            capacity_providers: names.iter().map(|name| (*name).to_owned()).collect(),
            default_capacity_provider_strategy: default.iter().map(item).collect(),
        }
    }

    #[test]
    fn a_default_strategy_splits_tasks_exactly_and_keeps_its_providers() {
        let world = World::new();
        let both = put(&["FARGATE", "FARGATE_SPOT"], &[("FARGATE", 1, 1), ("FARGATE_SPOT", 3, 0)]);
        world.write(|tx, cx| put_cluster_capacity_providers(tx, cx, both)).expect("both are there");
        let tasks = world.run_task(|input| input.count = Some(9)).expect("it runs");
        let spot = tasks.iter().filter(|task| task.capacity_provider_name.as_deref() == Some("FARGATE_SPOT")).count();
        assert_eq!((tasks.len(), spot), (9, 6));
        let error = world.write(|tx, cx| put_cluster_capacity_providers(tx, cx, put(&["FARGATE"], &[])));
        assert_eq!(error.expect_err("in use").code, "ResourceInUseException");
    }

    #[test]
    fn strategies_that_make_no_sense_are_refused() {
        let world = World::new();
        for (names, default) in [
            (vec!["FARGATE"], vec![("FARGATE_SPOT", 1, 0)]),
            (vec!["EC2"], vec![]),
            (vec!["FARGATE", "FARGATE_SPOT"], vec![("FARGATE", 0, 0), ("FARGATE_SPOT", 0, 0)]),
            (vec!["FARGATE", "FARGATE_SPOT"], vec![("FARGATE", 1, 1), ("FARGATE_SPOT", 1, 1)]),
            (vec!["FARGATE"], vec![("FARGATE", 1, 0), ("FARGATE", 1, 0)]),
        ] {
            let input = put(&names, &default);
            let error = world.write(|tx, cx| put_cluster_capacity_providers(tx, cx, input)).expect_err("refused");
            assert_eq!(error.code, "InvalidParameterException", "{names:?} {default:?}");
        }
        let error = world.run_task(|input| {
            input.launch_type = None;
            input.capacity_provider_strategy =
                Some(put(&[], &[("FARGATE_SPOT", 1, 0)]).default_capacity_provider_strategy);
        });
        assert!(error.expect_err("not associated").message.contains("not associated with the cluster"));
    }

    #[test]
    fn the_account_has_two_providers() {
        let world = World::new();
        let input = DescribeCapacityProvidersInput {
            capacity_providers: Some(vec!["FARGATE_SPOT".into(), "mine".into()]),
            ..Default::default()
        };
        let seen = world.read(|state, cx| describe_capacity_providers(state, cx, input)).expect("described");
        assert_eq!(seen.capacity_providers.expect("a list")[0].status.as_deref(), Some("ACTIVE"));
        assert_eq!(seen.failures.expect("a list")[0].reason.as_deref(), Some("MISSING"));
    }
}
