//! StopServiceDeployment: the release is rolled back to the revision that last completed.

use super::{error, service_deployments};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{StopServiceDeploymentInput, StopServiceDeploymentOutput};
use longshore_store::Tx;
use longshore_types::ecs::ServiceDeploymentStatus::*;

pub fn stop_service_deployment(
    tx: &mut Tx,
    cx: &Cx,
    input: StopServiceDeploymentInput,
) -> Result<StopServiceDeploymentOutput, AwsError> {
    let arn = input.service_deployment_arn;
    let row = service_deployments::find(tx, &cx.scope, &arn)?.ok_or_else(|| {
        AwsError::new("ServiceDeploymentNotFoundException", "The specified service deployment was not found.")
    })?;
    match input.stop_type.as_deref() {
        None | Some("ROLLBACK") => {}
        Some(other) => return Err(error::unsupported(&format!("stopType {other}"))),
    }
    match row.status {
        Pending | InProgress => {
            let service = (cx.scope.clone(), row.cluster.clone(), row.service.clone());
            if tx.services().get(&service).is_none_or(|service| service.last_completed.is_none()) {
                return Err(AwsError::new(
                    "ConflictException",
                    "The service deployment cannot be rolled back: the service has no revision that was deployed successfully.",
                ));
            }
            let key = (service.0.clone(), service.1.clone(), service.2.clone(), row.id.clone());
            tx.service_deployments().update(&key, |row| {
                row.status = RollbackRequested;
                row.updated_at = cx.now;
            });
        }
        // It goes on with what it does already.
        StopRequested | RollbackRequested | RollbackInProgress => {}
        Successful | Stopped | RollbackSuccessful | RollbackFailed => {
            return Err(AwsError::new(
                "ConflictException",
                format!("The service deployment is {} and cannot be stopped.", row.status),
            ));
        }
    }
    Ok(StopServiceDeploymentOutput { service_deployment_arn: Some(arn) })
}
