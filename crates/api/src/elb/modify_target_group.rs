//! ModifyTargetGroup: its health check.

use super::health_check::{self, Given};
use super::{find, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{ModifyTargetGroupInput, ModifyTargetGroupOutput};
use longshore_store::Tx;

pub fn modify_target_group(tx: &mut Tx, cx: &Cx, input: ModifyTargetGroupInput) -> Result<ModifyTargetGroupOutput, AwsError> {
    let mut row = (*find::target_group(tx, &cx.scope, &input.target_group_arn)?).clone();
    health_check::change(&mut row.health_check, Given {
        enabled: input.health_check_enabled,
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: input.matcher,
    })?;
    let sent = view::target_group(tx, &cx.scope, &row);
    tx.target_groups().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyTargetGroupOutput { target_groups: Some(vec![sent]) })
}
