//! CreateLogStream.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{CreateLogStreamInput, CreateLogStreamOutput};
use longshore_store::Tx;
use longshore_types::logs::LogStream;

pub fn create_log_stream(tx: &mut Tx, cx: &Cx, input: CreateLogStreamInput) -> Result<CreateLogStreamOutput, AwsError> {
    names::group(tx, &cx.scope, &input.log_group_name)?;
    names::check_stream(&input.log_stream_name)?;
    let (group, name) = (input.log_group_name, input.log_stream_name);
    let row = LogStream { group: group.clone(), name: name.clone(), created_at: cx.now };
    tx.log_streams().insert((cx.scope.clone(), group, name), row).map_err(|_| error::exists("log stream"))?;
    Ok(CreateLogStreamOutput::default())
}
