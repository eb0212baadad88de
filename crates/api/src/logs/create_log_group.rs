//! CreateLogGroup.

use super::{error, leftovers, names, tags};
use crate::Cx;
use crate::routes::{Backend, write};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{CreateLogGroupInput, CreateLogGroupOutput};
use longshore_types::logs::LogGroup;

pub async fn create_log_group(
    backend: Backend,
    cx: Cx,
    input: CreateLogGroupInput,
) -> Result<CreateLogGroupOutput, AwsError> {
    if input.kms_key_id.is_some() {
        return Err(error::unsupported("kmsKeyId"));
    }
    if let Some(class) = input.log_group_class.filter(|class| class != "STANDARD") {
        return Err(error::unsupported(&format!("logGroupClass {class}")));
    }
    let name = input.log_group_name;
    names::check_group(&name)?;
    let tags = tags::parse(input.tags.unwrap_or_default())?;
    let deletion_protection = input.deletion_protection_enabled == Some(true);
    leftovers::of_group(&backend, &cx.scope, &name).await?;
    write(&backend.store, move |tx| {
        let row = LogGroup { name: name.clone(), created_at: cx.now, retention_days: None, deletion_protection, tags };
        tx.log_groups().insert((cx.scope.clone(), name), row).map_err(|_| error::exists("log group"))
    })
    .await?;
    Ok(CreateLogGroupOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};

    fn input(name: &str) -> CreateLogGroupInput {
        CreateLogGroupInput { log_group_name: name.to_owned(), ..Default::default() }
    }

    #[test]
    fn a_group_is_made_once() {
        let bench = Bench::new();
        bench.call(create_log_group, input("/ecs/web")).expect("it is new");
        assert_eq!(
            refusal(bench.call(create_log_group, input("/ecs/web"))),
            "ResourceAlreadyExistsException: The specified log group already exists"
        );
    }

    #[test]
    fn what_is_not_obeyed_is_refused_by_name() {
        let bench = Bench::new();
        let refused = |input| refusal(bench.call(create_log_group, input));
        let kms_key_id = Some("key".to_owned());
        assert_eq!(
            refused(CreateLogGroupInput { kms_key_id, ..input("a") }),
            "InvalidParameterException: kmsKeyId is not supported by Longshore yet."
        );
        let log_group_class = Some("INFREQUENT_ACCESS".to_owned());
        assert_eq!(
            refused(CreateLogGroupInput { log_group_class, ..input("a") }),
            "InvalidParameterException: logGroupClass INFREQUENT_ACCESS is not supported by Longshore yet."
        );
        let tags = Some((0..51).map(|n| (n.to_string(), String::new())).collect());
        assert!(refused(CreateLogGroupInput { tags, ..input("a") }).starts_with("TooManyTagsException: "));
        assert_eq!(refused(input("a b")), "InvalidParameterException: Invalid log group name: a b");
        for reserved in ["aws/web", "AWS/web"] {
            assert_eq!(
                refused(input(reserved)),
                "InvalidParameterException: Log groups starting with AWS/ are reserved for AWS."
            );
        }
        for free in ["/aws/web", "aws", "awsome/web"] {
            bench.call(create_log_group, input(free)).expect("made");
        }
    }

    #[test]
    fn events_of_an_earlier_group_of_the_name_are_not_its_own() {
        let bench = Bench::app(&["a"]);
        bench.say("a", &[(0, "old")]);
        // As after a crash between the two steps of DeleteLogGroup.
        bench.write(|tx, cx| {
            tx.log_groups().remove(&(cx.scope.clone(), "app".to_owned()));
            tx.log_streams().remove(&(cx.scope.clone(), "app".to_owned(), "a".to_owned()));
        });
        bench.call(create_log_group, input("app")).expect("made");
        assert!(bench.backend.logs.streams(&names::key(&bench.cx().scope, "app")).is_empty());
    }
}
