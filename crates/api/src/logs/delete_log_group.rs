//! DeleteLogGroup: rows first, events after; events without a row are never seen, and go when the name is used again or the server starts.

use super::{error, names};
use crate::Cx;
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{DeleteLogGroupInput, DeleteLogGroupOutput};

pub async fn delete_log_group(
    backend: Backend,
    cx: Cx,
    input: DeleteLogGroupInput,
) -> Result<DeleteLogGroupOutput, AwsError> {
    let key = names::key(&cx.scope, &input.log_group_name);
    let name = input.log_group_name;
    write(&backend.store, move |tx| {
        if names::group(tx, &cx.scope, &name)?.deletion_protection {
            return Err(error::protected(&name));
        }
        tx.log_groups().remove(&(cx.scope.clone(), name.clone()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    #[test]
    fn its_streams_and_events_go_with_it() {
        let bench = Bench::app(&["a", "b"]);
        bench.say("a", &[(0, "hello")]);
        let delete = || bench.call(delete_log_group, DeleteLogGroupInput { log_group_name: "app".to_owned() });
        delete().expect("deleted");
        assert!(bench.read(|state, _| state.log_streams().is_empty()));
        assert!(bench.backend.logs.streams(&names::key(&bench.cx().scope, "app")).is_empty());
        assert_eq!(refusal(delete()), "ResourceNotFoundException: The specified log group does not exist.");
    }
}
