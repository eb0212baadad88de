//! PutRetentionPolicy and DeleteRetentionPolicy.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::*;
use longshore_store::Tx;

const DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub fn put_retention_policy(tx: &mut Tx, cx: &Cx, input: PutRetentionPolicyInput) -> Result<PutRetentionPolicyOutput, AwsError> {
    if !DAYS.contains(&input.retention_in_days) {
        return Err(error::invalid(format!("Invalid retentionInDays {}.", input.retention_in_days)));
    }
    set(tx, cx, input.log_group_name, Some(input.retention_in_days))?;
    Ok(PutRetentionPolicyOutput::default())
}

pub fn delete_retention_policy(tx: &mut Tx, cx: &Cx, input: DeleteRetentionPolicyInput) -> Result<DeleteRetentionPolicyOutput, AwsError> {
    set(tx, cx, input.log_group_name, None)?;
    Ok(DeleteRetentionPolicyOutput::default())
}

fn set(tx: &mut Tx, cx: &Cx, group: String, days: Option<i32>) -> Result<(), AwsError> {
    tx.log_groups().update(&(cx.scope.clone(), group), |row| row.retention_days = days).ok_or_else(error::no_group)
}
