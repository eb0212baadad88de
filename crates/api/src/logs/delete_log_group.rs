//! DeleteLogGroup: rows first, events after; events without a row are never seen, and go when the name is used again.

use super::{error, names};
use crate::routes::{Backend, write};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DeleteLogGroupInput, DeleteLogGroupOutput};

pub async fn delete_log_group(backend: Backend, cx: Cx, input: DeleteLogGroupInput) -> Result<DeleteLogGroupOutput, AwsError> {
    let key = names::key(&cx.scope, &input.log_group_name);
    let name = input.log_group_name;
    write(&backend.store, move |tx| {
        tx.log_groups().remove(&(cx.scope.clone(), name.clone())).ok_or_else(error::no_group)?;
        let streams: Vec<_> = tx.snapshot().log_streams().prefix(&(cx.scope.clone(), name)).keys().collect();
        for stream in streams {
            tx.log_streams().remove(&stream);
        }
        Ok(())
    })
    .await?;
    backend.logs.delete_group(&key).await.map_err(error::stored)?;
    Ok(DeleteLogGroupOutput::default())
}
