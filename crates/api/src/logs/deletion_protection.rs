//! PutLogGroupDeletionProtection.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{PutLogGroupDeletionProtectionInput, PutLogGroupDeletionProtectionOutput};
use longshore_store::Tx;

pub fn put_log_group_deletion_protection(
    tx: &mut Tx,
    cx: &Cx,
    input: PutLogGroupDeletionProtectionInput,
) -> Result<PutLogGroupDeletionProtectionOutput, AwsError> {
    let name = names::identified(&cx.scope, &input.log_group_identifier)?;
    let key = (cx.scope.clone(), name.to_owned());
    let enabled = input.deletion_protection_enabled;
    tx.log_groups().update(&key, |row| row.deletion_protection = enabled).ok_or_else(error::no_group)?;
    Ok(PutLogGroupDeletionProtectionOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::delete_log_group::delete_log_group;
    use crate::logs::delete_log_stream::delete_log_stream;
    use crate::logs::testing::{Bench, refusal};
    use longshore_aws_model::logs::{DeleteLogGroupInput, DeleteLogStreamInput};

    #[test]
    fn a_protected_group_and_its_streams_stay_until_protection_ends() {
        let bench = Bench::app(&["a"]);
        let protect = |enabled| {
            let input = PutLogGroupDeletionProtectionInput {
                log_group_identifier: "arn:aws:logs:us-east-1:123456789012:log-group:app".to_owned(),
                deletion_protection_enabled: enabled,
            };
            bench.try_write(|tx, cx| put_log_group_deletion_protection(tx, cx, input)).expect("set");
        };
        let delete = || bench.call(delete_log_group, DeleteLogGroupInput { log_group_name: "app".to_owned() });
        protect(true);
        assert!(refusal(delete()).starts_with("ValidationException: Log group app has deletion protection enabled"));
        let (log_group_name, log_stream_name) = ("app".to_owned(), "a".to_owned());
        let stream = DeleteLogStreamInput { log_group_name, log_stream_name };
        assert!(refusal(bench.call(delete_log_stream, stream)).starts_with("ValidationException: "));
        protect(false);
        delete().expect("deleted");
    }
}
