//! DescribeServices: up to ten; one that is not there is a failure, not an error.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DescribeServicesInput, DescribeServicesOutput, Failure};
use longshore_store::Snapshot;
use longshore_types::arn;
use longshore_types::id::ServiceName;

pub fn describe_services(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeServicesInput,
) -> Result<DescribeServicesOutput, AwsError> {
    if input.services.is_empty() {
        return Err(error::invalid("Services cannot be empty."));
    }
    if input.services.len() > 10 {
        return Err(error::invalid("service names can have at most 10 items."));
    }
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let names = input.services.iter().map(|given| names::service_name(given, &cx.scope, &cluster));
    let names = names.collect::<Result<Vec<ServiceName>, AwsError>>()?;
    let cluster = names::active(state, &cx.scope, input.cluster.as_deref(), cluster)?;
    let with_tags = input.include.iter().flatten().any(|i| i == "TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match state.services().get(&(cx.scope.clone(), cluster.name.clone(), name.clone())) {
            Some(service) => services.push(view::service(state, &cx.scope, &service, with_tags)),
            None => failures.push(Failure {
                arn: Some(arn::service(&cx.scope, &cluster.name, &name)),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    Ok(DescribeServicesOutput { services: Some(services), failures: Some(failures) })
}
