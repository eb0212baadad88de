//! Stored parameters as the API shows them.

use super::names::{self, Selector};
use super::parameters;
use crate::Cx;
use longshore_aws_model::ssm as wire;
use longshore_aws_model::{AwsError, Timestamp};
use longshore_types::Tags;
use longshore_types::ssm::{Parameter, ParameterVersion};

pub fn parameter(
    cx: &Cx,
    parameter: &Parameter,
    version: &ParameterVersion,
    selector: Selector<'_>,
    decrypted: bool,
) -> Result<wire::Parameter, AwsError> {
    Ok(wire::Parameter {
        name: Some(parameter.name.clone()),
        r#type: Some(version.kind.as_str().to_owned()),
        value: Some(parameters::shown(cx, &parameter.name, version, decrypted)?),
        version: Some(version.version as i64),
        selector: selector.text(),
        source_result: None,
        last_modified_date: Some(Timestamp(version.modified_at.0)),
        arn: Some(names::arn(&cx.scope, &parameter.name)),
        data_type: Some(version.data_type.clone()),
    })
}

pub fn metadata(cx: &Cx, parameter: &Parameter, version: &ParameterVersion) -> wire::ParameterMetadata {
    wire::ParameterMetadata {
        name: Some(parameter.name.clone()),
        arn: Some(names::arn(&cx.scope, &parameter.name)),
        r#type: Some(version.kind.as_str().to_owned()),
        key_id: version.key_id.clone(),
        last_modified_date: Some(Timestamp(version.modified_at.0)),
        last_modified_user: Some(version.modified_by.clone()),
        description: version.description.clone(),
        allowed_pattern: version.allowed_pattern.clone(),
        version: Some(version.version as i64),
        tier: Some(version.tier.as_str().to_owned()),
        policies: Some(vec![]),
        data_type: Some(version.data_type.clone()),
    }
}

pub fn history(
    cx: &Cx,
    name: &str,
    version: &ParameterVersion,
    decrypted: bool,
) -> Result<wire::ParameterHistory, AwsError> {
    Ok(wire::ParameterHistory {
        name: Some(name.to_owned()),
        r#type: Some(version.kind.as_str().to_owned()),
        key_id: version.key_id.clone(),
        last_modified_date: Some(Timestamp(version.modified_at.0)),
        last_modified_user: Some(version.modified_by.clone()),
        description: version.description.clone(),
        value: Some(parameters::shown(cx, name, version, decrypted)?),
        allowed_pattern: version.allowed_pattern.clone(),
        version: Some(version.version as i64),
        labels: Some(version.labels.iter().cloned().collect()),
        tier: Some(version.tier.as_str().to_owned()),
        policies: Some(vec![]),
        data_type: Some(version.data_type.clone()),
    })
}

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}
