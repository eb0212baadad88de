//! DeleteLogStream: the row first, its events after; events without a row are never seen.

use super::{error, names};
use crate::Cx;
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DeleteLogStreamInput, DeleteLogStreamOutput};

pub async fn delete_log_stream(
    backend: Backend,
    cx: Cx,
    input: DeleteLogStreamInput,
) -> Result<DeleteLogStreamOutput, AwsError> {
    let key = names::key(&cx.scope, &input.log_group_name);
    let (group, stream) = (input.log_group_name, input.log_stream_name.clone());
    write(&backend.store, move |tx| {
        names::stream(tx, &cx.scope, &group, &stream)?;
        if names::group(tx, &cx.scope, &group)?.deletion_protection {
            return Err(error::protected(&group));
        }
        tx.log_streams().remove(&(cx.scope.clone(), group, stream));
        Ok(())
    })
    .await?;
    backend.logs.delete_stream(&key, &input.log_stream_name).await.map_err(error::stored)?;
    Ok(DeleteLogStreamOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    #[test]
    fn its_events_go_and_those_of_others_stay() {
        let bench = Bench::app(&["a", "b"]);
        bench.say("a", &[(0, "hello")]);
        bench.say("b", &[(0, "hello")]);
        let delete = || {
            let (log_group_name, log_stream_name) = ("app".to_owned(), "a".to_owned());
            bench.call(delete_log_stream, DeleteLogStreamInput { log_group_name, log_stream_name })
        };
        delete().expect("deleted");
        let key = names::key(&bench.cx().scope, "app");
        assert_eq!(bench.backend.logs.stream_stats(&key, "a"), None);
        assert!(bench.backend.logs.stream_stats(&key, "b").is_some());
        assert_eq!(refusal(delete()), "ResourceNotFoundException: The specified log stream does not exist.");
    }
}
