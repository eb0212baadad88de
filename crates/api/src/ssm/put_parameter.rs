//! PutParameter: a new parameter, or with `Overwrite` a new version of one.

use super::{error, names, parameters, tags};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::{PutParameterInput, PutParameterOutput, codes};
use longshore_store::Tx;
use longshore_types::arn::Arn;
use longshore_types::ssm::*;
use regex::Regex;
use std::collections::BTreeSet;

const VERSIONS_MAX: usize = 100;
const DEFAULT_KEY: &str = "alias/aws/ssm";

pub fn put_parameter(tx: &mut Tx, cx: &Cx, input: PutParameterInput) -> Result<PutParameterOutput, AwsError> {
    let name = input.name;
    names::check(&cx.scope, &name)?;
    if input.policies.is_some() {
        return Err(error::unsupported("Policies"));
    }
    let overwrite = input.overwrite.unwrap_or(false);
    let tags = tags::parse(input.tags.unwrap_or_default())?;
    if overwrite && !tags.is_empty() {
        return Err(error::validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
        ));
    }
    let key = (cx.scope.clone(), name.clone());
    let existing = tx.parameters().get(&key);
    if existing.is_some() && !overwrite {
        return Err(error::already_exists());
    }
    let old =
        existing.as_ref().and_then(|row| tx.parameter_versions().get(&(cx.scope.clone(), name.clone(), row.latest)));
    let old = old.as_deref();

    let kind = kind(input.r#type.as_deref(), old)?;
    check_value(&input.value)?;
    let tier = tier(input.tier.as_deref(), old, input.value.len())?;
    let data_type = data_type(input.data_type)?;
    let key_id = key_id(cx, input.key_id, kind, old)?;
    // An empty pattern takes the former one away.
    let allowed_pattern = match input.allowed_pattern {
        Some(pattern) => Some(pattern).filter(|pattern| !pattern.is_empty()),
        None => old.and_then(|old| old.allowed_pattern.clone()),
    };
    if let Some(pattern) = &allowed_pattern {
        check_pattern(pattern, &input.value)?;
    }
    let latest = existing.as_ref().map_or(1, |row| row.latest + 1);
    let value = match kind {
        ParameterKind::SecureString => parameters::seal(cx, &name, latest, &input.value),
        _ => ParameterValue::Plain(input.value),
    };
    make_room(tx, cx, &name)?;
    let version = ParameterVersion {
        version: latest,
        kind,
        tier,
        value,
        key_id,
        description: input.description.or_else(|| old.and_then(|o| o.description.clone())),
        allowed_pattern,
        data_type,
        modified_at: cx.now,
        modified_by: cx.caller.arn.clone(),
        labels: BTreeSet::new(),
    };
    let tags = existing.map_or(tags, |row| row.tags.clone());
    tx.parameter_versions().put((cx.scope.clone(), name.clone(), latest), version);
    tx.parameters().put(key, Parameter { name, latest, tags });
    Ok(PutParameterOutput { version: Some(latest as i64), tier: Some(tier.as_str().to_owned()) })
}

fn kind(given: Option<&str>, old: Option<&ParameterVersion>) -> Result<ParameterKind, AwsError> {
    let given = given.and_then(ParameterKind::parse);
    match (given, old.map(|version| version.kind)) {
        (None, None) => Err(error::validation("A parameter type is required when you create a parameter.")),
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
    }
}

/// The value is sensitive: it is not repeated in the text of its refusal.
fn check_value(value: &str) -> Result<(), AwsError> {
    if value.is_empty() {
        return Err(error::validation(
            "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    let has_reference = |line: &str| line.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}"));
    if value.lines().any(has_reference) {
        return Err(error::validation(
            r#"Parameter value can't nest another parameter. Do not use "{{}}" in the value."#,
        ));
    }
    Ok(())
}

/// The tier asked for, the one it had, or what the value needs.
fn tier(given: Option<&str>, old: Option<&ParameterVersion>, bytes: usize) -> Result<ParameterTier, AwsError> {
    let old = old.map_or(ParameterTier::Standard, |version| version.tier);
    let tier = match given {
        None => old,
        Some("Advanced") => ParameterTier::Advanced,
        Some("Intelligent-Tiering") if bytes > ParameterTier::Standard.bytes_max() => ParameterTier::Advanced,
        Some("Intelligent-Tiering") => old,
        Some(_) if old == ParameterTier::Advanced => {
            return Err(error::validation(
                "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter. Be aware that standard parameters have a value limit of 4096 characters.",
            ));
        }
        Some(_) => ParameterTier::Standard,
    };
    if bytes <= tier.bytes_max() {
        return Ok(tier);
    }
    Err(error::validation(match tier {
        ParameterTier::Standard => {
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
        }
        ParameterTier::Advanced => "Advanced tier parameters support a maximum parameter value of 8192 characters.",
    }))
}

fn data_type(given: Option<String>) -> Result<String, AwsError> {
    match given {
        None => Ok("text".to_owned()),
        Some(text) if text == "text" || text.is_empty() => Ok("text".to_owned()),
        Some(other) if other == "aws:ec2:image" || other == "aws:ssm:integration" => {
            Err(error::unsupported(&format!("DataType {other}")))
        }
        Some(other) => Err(error::validation(format!(
            "The following data type is not supported: {other} (Data type names are all lowercase.)"
        ))),
    }
}

fn key_id(
    cx: &Cx,
    given: Option<String>,
    kind: ParameterKind,
    old: Option<&ParameterVersion>,
) -> Result<Option<String>, AwsError> {
    match (kind, given) {
        (ParameterKind::SecureString, None) => {
            Ok(old.and_then(|version| version.key_id.clone()).or_else(|| Some(DEFAULT_KEY.to_owned())))
        }
        (ParameterKind::SecureString, Some(key)) => {
            let is_here = |arn: Arn<'_>| {
                arn.service == "kms"
                    && arn.region == cx.scope.region.as_str()
                    && arn.account == cx.scope.account.as_str()
                    && arn.resource == DEFAULT_KEY
            };
            let is_default = key == DEFAULT_KEY || Arn::parse(&key).is_some_and(is_here);
            if is_default { Ok(Some(key)) } else { Err(error::invalid_key(&key)) }
        }
        (_, None) => Ok(None),
        (_, Some(_)) => Err(error::validation("KeyId is required for SecureString type parameter only.")),
    }
}

fn check_pattern(pattern: &str, value: &str) -> Result<(), AwsError> {
    let regex = Regex::new(pattern).map_err(|_| {
        AwsError::new(
            codes::INVALID_ALLOWED_PATTERN_EXCEPTION,
            "The request does not meet the regular expression requirement.",
        )
    })?;
    if regex.is_match(value) {
        return Ok(());
    }
    let text = format!("Parameter value, cannot be validated against allowedPattern: {pattern}");
    Err(AwsError::new(codes::PARAMETER_PATTERN_MISMATCH_EXCEPTION, text))
}

/// The oldest version goes when there are a hundred, unless it has a label.
fn make_room(tx: &mut Tx, cx: &Cx, name: &str) -> Result<(), AwsError> {
    let all: Vec<_> = parameters::versions(tx, &cx.scope, name).collect();
    if all.len() < VERSIONS_MAX {
        return Ok(());
    }
    let oldest = &all[0];
    if !oldest.labels.is_empty() {
        let text = format!(
            "You attempted to create a new version of {name} by calling the PutParameter API with the overwrite flag. Version {}, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again.",
            oldest.version
        );
        return Err(AwsError::new(codes::PARAMETER_MAX_VERSION_LIMIT_EXCEEDED, text));
    }
    let key: (_, _, u64) = (cx.scope.clone(), name.to_owned(), oldest.version);
    tx.parameter_versions().remove(&key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::get_parameter::get_parameter;
    use crate::ssm::labels::label_parameter_version;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;
    use longshore_aws_model::ssm::{GetParameterInput, LabelParameterVersionInput};

    fn refused(fixture: &Fixture, input: PutParameterInput) -> String {
        refusal(fixture.try_write(|tx, cx| put_parameter(tx, cx, input)))
    }

    fn secure(name: &str, value: &str) -> PutParameterInput {
        PutParameterInput { r#type: Some("SecureString".to_owned()), ..put(name, value) }
    }

    fn over(input: PutParameterInput) -> PutParameterInput {
        PutParameterInput { overwrite: Some(true), r#type: None, ..input }
    }

    fn value(fixture: &Fixture, name: &str, with_decryption: bool) -> String {
        let input = GetParameterInput { name: name.to_owned(), with_decryption: Some(with_decryption) };
        let output = fixture.read(|state, cx| get_parameter(state, cx, input)).expect("it is there");
        output.parameter.and_then(|p| p.value).expect("it has a value")
    }

    #[test]
    fn overwriting_makes_a_version_and_keeps_what_is_not_said_again() {
        let fixture = Fixture::new();
        let first = PutParameterInput { description: Some("d".to_owned()), ..put("/a", "1") };
        let put = |input| fixture.try_write(|tx, cx| put_parameter(tx, cx, input)).expect("stored");
        assert_eq!(put(first), PutParameterOutput { version: Some(1), tier: Some("Standard".to_owned()) });
        assert_eq!(
            refused(&fixture, super::tests::put("/a", "2")),
            "ParameterAlreadyExists: The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
        );
        assert_eq!(put(over(super::tests::put("/a", "2"))).version, Some(2));
        assert_eq!((value(&fixture, "/a", false), value(&fixture, "/a:1", false)), ("2".to_owned(), "1".to_owned()));
        let kept = fixture
            .read(|state, cx| parameters::find(state, &cx.scope, "/a").expect("there").version.description.clone());
        assert_eq!(kept.as_deref(), Some("d"));
    }

    #[test]
    fn a_secure_string_is_sealed_in_the_store_and_opened_on_request() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, secure("/pw", "hunter2"))).expect("stored");
        assert_eq!(value(&fixture, "/pw", true), "hunter2");
        assert!(!value(&fixture, "/pw", false).contains("hunter2"));
        fixture.read(|state, cx| {
            let found = parameters::find(state, &cx.scope, "/pw").expect("there");
            assert!(!format!("{found:?}").contains("hunter2"));
            assert_eq!(found.version.key_id.as_deref(), Some("alias/aws/ssm"));
        });
    }

    #[test]
    fn sizes_and_tiers_are_those_of_aws() {
        let fixture = Fixture::new();
        let with_tier = |name: &str, bytes: usize, tier: &str| PutParameterInput {
            tier: Some(tier.to_owned()),
            ..put(name, &"x".repeat(bytes))
        };
        let put = |input| fixture.try_write(|tx, cx| put_parameter(tx, cx, input)).expect("stored").tier;
        assert!(refused(&fixture, with_tier("/a", 4097, "Standard")).starts_with(
            "ValidationException: Standard tier parameters support a maximum parameter value of 4096 characters."
        ));
        assert_eq!(put(with_tier("/a", 4097, "Intelligent-Tiering")).as_deref(), Some("Advanced"));
        assert_eq!(put(with_tier("/b", 4096, "Intelligent-Tiering")).as_deref(), Some("Standard"));
        assert_eq!(
            refused(&fixture, with_tier("/c", 8193, "Advanced")),
            "ValidationException: Advanced tier parameters support a maximum parameter value of 8192 characters."
        );
        assert!(
            refused(&fixture, over(with_tier("/a", 1, "Standard")))
                .starts_with("ValidationException: This parameter uses the advanced-parameter tier.")
        );
        assert_eq!(put(over(super::tests::put("/a", "x"))).as_deref(), Some("Advanced"));
    }

    #[test]
    fn a_hundred_versions_stay_and_a_label_keeps_the_oldest() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/a", "1"))).expect("stored");
        for n in 2..=101 {
            fixture.try_write(move |tx, cx| put_parameter(tx, cx, over(put("/a", &n.to_string())))).expect("stored");
        }
        let numbers = || {
            fixture
                .read(|state, cx| parameters::versions(state, &cx.scope, "/a").map(|v| v.version).collect::<Vec<_>>())
        };
        assert_eq!(numbers(), (2..=101).collect::<Vec<_>>());
        let label = LabelParameterVersionInput {
            name: "/a".to_owned(),
            parameter_version: Some(2),
            labels: vec!["keep".to_owned()],
        };
        fixture.try_write(|tx, cx| label_parameter_version(tx, cx, label)).expect("labelled");
        assert!(refused(&fixture, over(put("/a", "x"))).starts_with(
            "ParameterMaxVersionLimitExceeded: You attempted to create a new version of /a by calling the PutParameter API with the overwrite flag. Version 2, the oldest version,"
        ));
        assert_eq!(numbers().len(), 100);
    }

    #[test]
    fn refusals_are_named_and_leave_nothing() {
        let fixture = Fixture::new();
        let text = |s: &str| Some(s.to_owned());
        for (input, expected) in [
            (
                PutParameterInput { r#type: None, ..put("/a", "1") },
                "ValidationException: A parameter type is required when you create a parameter.",
            ),
            (
                PutParameterInput { policies: text("[]"), ..put("/a", "1") },
                "ValidationException: Policies is not supported by Longshore yet.",
            ),
            (
                PutParameterInput { data_type: text("aws:ec2:image"), ..put("/a", "1") },
                "ValidationException: DataType aws:ec2:image is not supported by Longshore yet.",
            ),
            (
                PutParameterInput { data_type: text("int"), ..put("/a", "1") },
                "ValidationException: The following data type is not supported: int (Data type names are all lowercase.)",
            ),
            (
                PutParameterInput { key_id: text("alias/mine"), ..secure("/a", "1") },
                "InvalidKeyId: Invalid keyId alias/mine: Longshore has no KMS, and alias/aws/ssm is the only key.",
            ),
            (
                PutParameterInput { key_id: text("alias/aws/ssm"), ..put("/a", "1") },
                "ValidationException: KeyId is required for SecureString type parameter only.",
            ),
            (
                PutParameterInput { allowed_pattern: text("^[0-9]+$"), ..put("/a", "x") },
                "ParameterPatternMismatchException: Parameter value, cannot be validated against allowedPattern: ^[0-9]+$",
            ),
            (
                PutParameterInput { allowed_pattern: text("("), ..put("/a", "x") },
                "InvalidAllowedPatternException: The request does not meet the regular expression requirement.",
            ),
            (
                put("/a", ""),
                "ValidationException: 1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                put("/a", "first\nhost={{ssm:/x}}"),
                r#"ValidationException: Parameter value can't nest another parameter. Do not use "{{}}" in the value."#,
            ),
            (
                secure("/a", "{{}}"),
                r#"ValidationException: Parameter value can't nest another parameter. Do not use "{{}}" in the value."#,
            ),
        ] {
            assert_eq!(refused(&fixture, input), expected);
        }
        assert!(fixture.read(|state, _| state.parameters().is_empty()));
    }

    #[test]
    fn brackets_that_wrap_nothing_are_a_value() {
        let fixture = Fixture::new();
        for (name, given) in [("/a", r#"{"a":{"b":1}}"#), ("/b", "}} {{"), ("/c", "{a}")] {
            fixture.try_write(|tx, cx| put_parameter(tx, cx, put(name, given))).expect("stored");
            assert_eq!(value(&fixture, name, false), given);
        }
    }

    #[test]
    fn another_type_and_no_pattern_any_more_take_effect() {
        let fixture = Fixture::new();
        let first = PutParameterInput { allowed_pattern: Some("^1$".to_owned()), ..put("/a", "1") };
        fixture.try_write(|tx, cx| put_parameter(tx, cx, first)).expect("stored");
        let second =
            PutParameterInput { allowed_pattern: Some(String::new()), overwrite: Some(true), ..secure("/a", "2") };
        fixture.try_write(|tx, cx| put_parameter(tx, cx, second)).expect("stored");
        let version = |n| {
            fixture.read(|state, cx| state.parameter_versions().get(&(cx.scope.clone(), "/a".into(), n)).expect("one"))
        };
        assert_eq!(
            (version(1).kind, version(1).allowed_pattern.clone()),
            (ParameterKind::String, Some("^1$".to_owned()))
        );
        assert_eq!((version(2).kind, version(2).allowed_pattern.clone()), (ParameterKind::SecureString, None));
        assert_eq!(value(&fixture, "/a", true), "2");
    }
}
