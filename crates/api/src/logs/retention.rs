//! PutRetentionPolicy and DeleteRetentionPolicy.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::*;
use longshore_store::Tx;

const DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub fn put_retention_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: PutRetentionPolicyInput,
) -> Result<PutRetentionPolicyOutput, AwsError> {
    if !DAYS.contains(&input.retention_in_days) {
        return Err(error::invalid(format!("Invalid retentionInDays {}.", input.retention_in_days)));
    }
    set(tx, cx, input.log_group_name, Some(input.retention_in_days))?;
    Ok(PutRetentionPolicyOutput::default())
}

pub fn delete_retention_policy(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteRetentionPolicyInput,
) -> Result<DeleteRetentionPolicyOutput, AwsError> {
    set(tx, cx, input.log_group_name, None)?;
    Ok(DeleteRetentionPolicyOutput::default())
}

fn set(tx: &mut Tx, cx: &Cx, group: String, days: Option<i32>) -> Result<(), AwsError> {
    tx.log_groups().update(&(cx.scope.clone(), group), |row| row.retention_days = days).ok_or_else(error::no_group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    #[test]
    fn days_are_of_a_list_and_are_taken_back() {
        let bench = Bench::app(&[]);
        let put = |group: &str, days| {
            let input = PutRetentionPolicyInput { log_group_name: group.to_owned(), retention_in_days: days };
            bench.try_write(|tx, cx| put_retention_policy(tx, cx, input))
        };
        let days = || bench.read(|state, _| state.log_groups().all().next().and_then(|row| row.retention_days));
        put("app", 7).expect("set");
        assert_eq!(days(), Some(7));
        assert_eq!(refusal(put("app", 8)), "InvalidParameterException: Invalid retentionInDays 8.");
        assert_eq!(refusal(put("z", 7)), "ResourceNotFoundException: The specified log group does not exist.");
        let input = DeleteRetentionPolicyInput { log_group_name: "app".to_owned() };
        bench.try_write(|tx, cx| delete_retention_policy(tx, cx, input)).expect("taken back");
        assert_eq!(days(), None);
    }
}
