//! CreateSecurityGroup: nothing may enter, everything may leave.

use super::default_vpc::all_egress;
use super::{error, security_groups, tags, vpcs};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{CreateSecurityGroupInput, CreateSecurityGroupOutput};
use longshore_store::Tx;
use longshore_types::arn;
use longshore_types::ec2::SecurityGroup;
use longshore_types::id::SecurityGroupId;

pub fn create_security_group(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateSecurityGroupInput,
) -> Result<CreateSecurityGroupOutput, AwsError> {
    check_name(&input.group_name)?;
    check_text(&input.description, "GroupDescription")?;
    let vpc = match &input.vpc_id {
        Some(id) => vpcs::find(tx, cx, id)?,
        None => vpcs::default(tx, cx)?,
    };
    if security_groups::in_vpc(tx, cx, &vpc, &input.group_name).is_some() {
        return Err(error::duplicate_group(&input.group_name, vpc.id.as_str()));
    }
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "security-group")?;
    let id = SecurityGroupId(cx.ids().ec2("sg"));
    let group = SecurityGroup {
        id,
        name: input.group_name,
        description: input.description,
        vpc: vpc.id.clone(),
        rules: vec![all_egress(&mut cx.ids())],
        tags,
    };
    let output = CreateSecurityGroupOutput {
        group_id: Some(group.id.to_string()),
        tags: tags::view(&group.tags),
        security_group_arn: Some(arn::ec2(&cx.scope, "security-group", group.id.as_str())),
    };
    tx.security_groups().put((cx.scope.clone(), group.id.clone()), group);
    error::finish(input.dry_run, output)
}

fn check_name(name: &str) -> Result<(), AwsError> {
    if name == "default" {
        return Err(error::invalid_parameter("Cannot use reserved security group name: default"));
    }
    if name.starts_with("sg-") {
        return Err(error::invalid_value(name, "GroupName", "Group names may not be in the format sg-*."));
    }
    check_text(name, "GroupName")
}

/// Names and descriptions of groups in a VPC: 1 to 255 of a small set.
fn check_text(text: &str, parameter: &str) -> Result<(), AwsError> {
    if text.is_empty() {
        return Err(error::missing_parameter(parameter));
    }
    if !text.is_ascii() {
        return Err(error::invalid_value(text, parameter, "Character sets beyond ASCII are not supported."));
    }
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b" ._-:/()#,@[]+=&;{}!$*".contains(&b);
    if text.len() > 255 || !text.bytes().all(is_allowed) {
        let why = "Valid values are strings less than 256 characters from the following set: \
                   a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*";
        return Err(error::invalid_value(text, parameter, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, refusal, write};
    use crate::testing::Fixture;

    fn input(name: &str) -> CreateSecurityGroupInput {
        CreateSecurityGroupInput { group_name: name.to_owned(), description: "web".to_owned(), ..Default::default() }
    }

    #[test]
    fn a_group_lets_everything_out_and_nothing_in() {
        let fixture = Fixture::new();
        let output = write(&fixture, create_security_group, input("web")).expect("a group");
        let id = output.group_id.expect("an id");
        let arn = format!("arn:aws:ec2:us-east-1:123456789012:security-group/{id}");
        assert_eq!(output.security_group_arn, Some(arn));
        fixture.read(|state, cx| {
            let group = security_groups::by_id(state, cx, &id).expect("the group");
            assert_eq!(group.rules.iter().map(|rule| rule.egress).collect::<Vec<_>>(), [true]);
        });
    }

    #[test]
    fn names_are_checked() {
        let fixture = Fixture::new();
        write(&fixture, create_security_group, input("web")).expect("a group");
        let vpc = default_vpc(&fixture);
        let twice = format!("InvalidGroup.Duplicate: The security group 'web' already exists for VPC '{vpc}'");
        let elsewhere = CreateSecurityGroupInput { vpc_id: Some("vpc-1".to_owned()), ..input("web") };
        for (given, expected) in [
            (input("web"), twice.as_str()),
            (input("default"), "InvalidParameterValue: Cannot use reserved security group name: default"),
            (
                input("sg-1"),
                "InvalidParameterValue: Value (sg-1) for parameter GroupName is invalid. Group names may not be in the format sg-*.",
            ),
            (
                input("wéb"),
                "InvalidParameterValue: Value (wéb) for parameter GroupName is invalid. Character sets beyond ASCII are not supported.",
            ),
            (elsewhere, "InvalidVpcID.NotFound: The vpc ID 'vpc-1' does not exist"),
        ] {
            assert_eq!(refusal(write(&fixture, create_security_group, given)), expected);
        }
    }
}
