//! DescribeAccountAttributes.

use super::addresses;
use super::error;
use super::list::choice;
use super::view::some;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{
    AccountAttribute, AccountAttributeValue, DescribeAccountAttributesInput, DescribeAccountAttributesOutput,
};
use longshore_store::Snapshot;

pub fn describe_account_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeAccountAttributesInput,
) -> Result<DescribeAccountAttributesOutput, AwsError> {
    let default_vpc = state.vpcs().prefix(&cx.scope).find(|vpc| vpc.is_default);
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default_vpc.map_or_else(|| "none".to_owned(), |vpc| vpc.id.to_string())),
        ("vpc-max-security-groups-per-interface", "16".to_owned()),
        // There are no instances: those operations are not served.
        ("max-instances", "0".to_owned()),
        ("max-elastic-ips", addresses::MAX.to_string()),
        ("vpc-max-elastic-ips", addresses::MAX.to_string()),
    ];
    let names = input.attribute_names.as_deref();
    if let Some(unknown) = names.into_iter().flatten().find(|name| !all.iter().any(|(known, _)| known == name)) {
        return Err(error::invalid_value(unknown, "attributeName", "Unknown attribute."));
    }
    let is_chosen = choice(names);
    let attributes = all.into_iter().filter(|(name, _)| is_chosen(name)).map(|(name, value)| AccountAttribute {
        attribute_name: some(name),
        attribute_values: Some(vec![AccountAttributeValue { attribute_value: Some(value) }]),
    });
    let output = DescribeAccountAttributesOutput { account_attributes: Some(attributes.collect()) };
    error::finish(input.dry_run, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, read, refusal};
    use crate::testing::Fixture;

    #[test]
    fn attributes_are_told_by_name() {
        let fixture = Fixture::new();
        let input =
            |name: &str| DescribeAccountAttributesInput { attribute_names: Some(vec![name.to_owned()]), dry_run: None };
        for (name, expected) in [
            ("default-vpc", default_vpc(&fixture)),
            ("max-elastic-ips", "5".to_owned()),
            ("vpc-max-elastic-ips", "5".to_owned()),
        ] {
            let output = read(&fixture, describe_account_attributes, input(name)).expect("an attribute");
            let attribute = output.account_attributes.expect("a list").remove(0);
            let value = attribute.attribute_values.expect("a list").remove(0).attribute_value;
            assert_eq!(value, Some(expected), "{name}");
        }
        assert_eq!(
            refusal(read(&fixture, describe_account_attributes, input("colour"))),
            "InvalidParameterValue: Value (colour) for parameter attributeName is invalid. Unknown attribute."
        );
    }
}
