//! CreateLogStream.

use super::{error, leftovers, names};
use crate::Cx;
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{CreateLogStreamInput, CreateLogStreamOutput};
use longshore_types::logs::LogStream;

pub async fn create_log_stream(
    backend: Backend,
    cx: Cx,
    input: CreateLogStreamInput,
) -> Result<CreateLogStreamOutput, AwsError> {
    let (group, name) = (input.log_group_name, input.log_stream_name);
    backend.store.read(|state| names::group(state, &cx.scope, &group))?;
    names::check_stream(&name)?;
    leftovers::of_stream(&backend, &cx.scope, &group, &name).await?;
    write(&backend.store, move |tx| {
        // Again, in the transaction: the group may be gone by now.
        names::group(tx, &cx.scope, &group)?;
        let row = LogStream { group: group.clone(), name: name.clone(), created_at: cx.now };
        tx.log_streams().insert((cx.scope.clone(), group, name), row).map_err(|_| error::exists("log stream"))
    })
    .await?;
    Ok(CreateLogStreamOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    #[test]
    fn a_stream_needs_its_group_and_is_made_once() {
        let bench = Bench::app(&["a"]);
        let create = |group: &str, stream: &str| {
            let input = CreateLogStreamInput { log_group_name: group.to_owned(), log_stream_name: stream.to_owned() };
            bench.call(create_log_stream, input)
        };
        assert_eq!(
            refusal(create("app", "a")),
            "ResourceAlreadyExistsException: The specified log stream already exists"
        );
        assert_eq!(refusal(create("other", "a")), "ResourceNotFoundException: The specified log group does not exist.");
        assert_eq!(refusal(create("app", "a:b")), "InvalidParameterException: Invalid log stream name: a:b");
    }
}
