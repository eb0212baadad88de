//! ListServices: ARNs of the services that are ACTIVE.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{ListServicesInput, ListServicesOutput};
use longshore_store::Snapshot;
use longshore_types::arn;
use longshore_types::ecs::ServiceStatus;

pub fn list_services(state: &Snapshot, cx: &Cx, input: ListServicesInput) -> Result<ListServicesOutput, AwsError> {
    let cluster = names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    let rows = state.services().prefix(&(cx.scope.clone(), cluster.name.clone())).filter(|service| {
        service.status == ServiceStatus::Active
            && input.launch_type.as_deref().is_none_or(|by| by == "FARGATE" && service.template.capacity.is_empty())
            && input.scheduling_strategy.as_deref().is_none_or(|strategy| strategy == "REPLICA")
            && input.resource_management_type.as_deref().is_none_or(|by| by == "CUSTOMER")
    });
    let limit = names::page_size(input.max_results, 10, 100)?;
    let page = page::page(rows, |service| service.name.to_string(), input.next_token.as_deref(), limit)
        .map_err(|_| error::bad_token())?;
    let arns = page.items.iter().map(|service| arn::service(&cx.scope, &cluster.name, &service.name)).collect();
    Ok(ListServicesOutput { service_arns: Some(arns), next_token: page.next_token })
}
