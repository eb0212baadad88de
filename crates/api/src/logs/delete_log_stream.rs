//! DeleteLogStream: the row first, its events after.

use super::{error, names};
use crate::routes::{Backend, write};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DeleteLogStreamInput, DeleteLogStreamOutput};

pub async fn delete_log_stream(backend: Backend, cx: Cx, input: DeleteLogStreamInput) -> Result<DeleteLogStreamOutput, AwsError> {
    let key = names::key(&cx.scope, &input.log_group_name);
    let (group, stream) = (input.log_group_name, input.log_stream_name.clone());
    write(&backend.store, move |tx| {
        names::stream(tx, &cx.scope, &group, &stream)?;
        tx.log_streams().remove(&(cx.scope.clone(), group, stream));
        Ok(())
    })
    .await?;
    backend.logs.delete_stream(&key, &input.log_stream_name).await.map_err(error::stored)?;
    Ok(DeleteLogStreamOutput::default())
}
