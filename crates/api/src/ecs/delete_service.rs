//! DeleteService: DRAINING until all its tasks are STOPPING, then INACTIVE.

use super::{deployment, error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DeleteServiceInput, DeleteServiceOutput};
use longshore_store::Tx;
use longshore_types::ecs::ServiceStatus;

pub fn delete_service(tx: &mut Tx, cx: &Cx, input: DeleteServiceInput) -> Result<DeleteServiceOutput, AwsError> {
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let name = names::service_name(&input.service, &cx.scope, &cluster)?;
    let cluster = names::active(tx, &cx.scope, input.cluster.as_deref(), cluster)?;
    let key = (cx.scope.clone(), cluster.name.clone(), name);
    let stored = tx.services().get(&key).filter(|service| service.status != ServiceStatus::Inactive);
    let stored = stored.ok_or_else(error::service_not_found)?;
    if input.force != Some(true) && stored.desired_count > 0 {
        return Err(error::invalid("The service cannot be stopped while it is scaled above 0."));
    }
    let mut service = (*stored).clone();
    service.status = ServiceStatus::Draining;
    service.desired_count = 0;
    deployment::supersede(tx, cx, &service);
    let sent = view::service(tx, &cx.scope, &service, true);
    tx.services().put(key, service);
    Ok(DeleteServiceOutput { service: Some(sent) })
}
