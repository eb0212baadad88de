//! CreateLogGroup.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{CreateLogGroupInput, CreateLogGroupOutput};
use longshore_store::Tx;
use longshore_types::Tags;
use longshore_types::logs::LogGroup;

pub fn create_log_group(tx: &mut Tx, cx: &Cx, input: CreateLogGroupInput) -> Result<CreateLogGroupOutput, AwsError> {
    if input.kms_key_id.is_some() {
        return Err(error::unsupported("kmsKeyId"));
    }
    if let Some(class) = input.log_group_class.filter(|class| class != "STANDARD") {
        return Err(error::unsupported(&format!("logGroupClass {class}")));
    }
    if input.deletion_protection_enabled == Some(true) {
        return Err(error::unsupported("deletionProtectionEnabled"));
    }
    names::check_group(&input.log_group_name)?;
    let row = LogGroup {
        name: input.log_group_name.clone(),
        created_at: cx.now,
        retention_days: None,
        tags: Tags(input.tags.unwrap_or_default()),
    };
    tx.log_groups().insert((cx.scope.clone(), input.log_group_name), row).map_err(|_| error::exists("log group"))?;
    Ok(CreateLogGroupOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_group_is_made_once() {
        let fixture = Fixture::new();
        let input = || CreateLogGroupInput { log_group_name: "/ecs/web".into(), ..Default::default() };
        assert!(fixture.try_write(move |tx, cx| create_log_group(tx, cx, input())).is_ok());
        let again = fixture.try_write(move |tx, cx| {
            create_log_group(tx, cx, CreateLogGroupInput { log_group_name: "/ecs/web".into(), ..Default::default() })
        });
        assert_eq!(again.map_err(|e| e.to_string()), Err("ResourceAlreadyExistsException: The specified log group already exists".into()));
    }
}
