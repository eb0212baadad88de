//! LabelParameterVersion and UnlabelParameterVersion: names of versions, each on one version at most.

use super::{names, parameters};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::*;
use longshore_store::Tx;
use longshore_types::ssm::ParameterVersion;
use std::sync::Arc;

const LABELS_MAX: usize = 10;

pub fn label_parameter_version(
    tx: &mut Tx,
    cx: &Cx,
    input: LabelParameterVersionInput,
) -> Result<LabelParameterVersionOutput, AwsError> {
    let (name, chosen) = version(tx, cx, &input.name, input.parameter_version)?;
    let (labels, invalid): (Vec<String>, Vec<String>) = input.labels.into_iter().partition(|l| is_label(l));
    let mut after = chosen.labels.clone();
    after.extend(labels.iter().cloned());
    if after.len() > LABELS_MAX {
        let text =
            "A parameter version can have maximum 10 labels.Move one or more labels to another version and try again.";
        return Err(AwsError::new(codes::PARAMETER_VERSION_LABEL_LIMIT_EXCEEDED, text));
    }
    let others: Vec<_> = parameters::versions(tx, &cx.scope, &name)
        .filter(|v| v.version != chosen.version && v.labels.iter().any(|label| labels.contains(label)))
        .map(|v| v.version)
        .collect();
    for other in others {
        let key = (cx.scope.clone(), name.clone(), other);
        tx.parameter_versions().update(&key, |row| row.labels.retain(|label| !labels.contains(label)));
    }
    tx.parameter_versions().update(&(cx.scope.clone(), name, chosen.version), |row| row.labels = after);
    Ok(LabelParameterVersionOutput { invalid_labels: Some(invalid), parameter_version: Some(chosen.version as i64) })
}

pub fn unlabel_parameter_version(
    tx: &mut Tx,
    cx: &Cx,
    input: UnlabelParameterVersionInput,
) -> Result<UnlabelParameterVersionOutput, AwsError> {
    let (name, chosen) = version(tx, cx, &input.name, Some(input.parameter_version))?;
    let (removed, invalid): (Vec<String>, Vec<String>) =
        input.labels.into_iter().partition(|label| chosen.labels.contains(label));
    let key = (cx.scope.clone(), name, chosen.version);
    tx.parameter_versions().update(&key, |row| row.labels.retain(|label| !removed.contains(label)));
    Ok(UnlabelParameterVersionOutput { removed_labels: Some(removed), invalid_labels: Some(invalid) })
}

/// The version of this number, or the newest.
fn version(tx: &Tx, cx: &Cx, given: &str, number: Option<i64>) -> Result<(String, Arc<ParameterVersion>), AwsError> {
    let name = names::whole(tx, &cx.scope, given)?;
    let text = match number {
        Some(number) => format!("{name}:{}", u64::try_from(number).unwrap_or(0)),
        None => name.clone(),
    };
    Ok((name, parameters::find(tx, &cx.scope, &text)?.version))
}

/// Letters, digits, `.-_`; not a digit first, nor the reserved words.
fn is_label(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        for n in ["1", "2"] {
            let input = PutParameterInput { overwrite: Some(true), ..put("/a", n) };
            fixture.try_write(|tx, cx| put_parameter(tx, cx, input)).expect("stored");
        }
        fixture
    }

    fn label(version: Option<i64>, labels: &[&str]) -> LabelParameterVersionInput {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        LabelParameterVersionInput { name: "/a".to_owned(), parameter_version: version, labels }
    }

    fn at(fixture: &Fixture, selector: &str) -> Result<u64, AwsError> {
        fixture
            .read(|state, cx| parameters::find(state, &cx.scope, &format!("/a:{selector}")).map(|f| f.version.version))
    }

    #[test]
    fn a_label_moves_and_goes() {
        let fixture = fixture();
        let input = label(Some(1), &["prod", "1st", "awsome", "a b"]);
        let output = fixture.try_write(|tx, cx| label_parameter_version(tx, cx, input)).expect("labelled");
        assert_eq!(output.invalid_labels, Some(["1st", "awsome", "a b"].map(str::to_owned).to_vec()));
        assert_eq!(at(&fixture, "prod"), Ok(1));
        let input = label(None, &["prod"]);
        let output = fixture.try_write(|tx, cx| label_parameter_version(tx, cx, input)).expect("labelled");
        assert_eq!((output.parameter_version, at(&fixture, "prod")), (Some(2), Ok(2)));
        let input = UnlabelParameterVersionInput {
            name: "/a".to_owned(),
            parameter_version: 2,
            labels: vec!["prod".to_owned(), "other".to_owned()],
        };
        let output = fixture.try_write(|tx, cx| unlabel_parameter_version(tx, cx, input)).expect("unlabelled");
        assert_eq!(output.removed_labels, Some(vec!["prod".to_owned()]));
        assert_eq!(output.invalid_labels, Some(vec!["other".to_owned()]));
        assert!(at(&fixture, "prod").is_err());
    }

    #[test]
    fn a_version_is_chosen_by_number_and_not_in_the_name() {
        let fixture = fixture();
        for name in ["/a:1", "arn:aws:ssm:us-east-1:123456789012:parameter/a:1"] {
            let input = LabelParameterVersionInput { name: name.to_owned(), ..label(None, &["prod"]) };
            let refused = refusal(fixture.try_write(|tx, cx| label_parameter_version(tx, cx, input)));
            assert!(refused.starts_with("ValidationException: Parameter name: "), "{refused}");
            let (name, labels) = (name.to_owned(), vec!["prod".to_owned()]);
            let input = UnlabelParameterVersionInput { name, parameter_version: 1, labels };
            let refused = refusal(fixture.try_write(|tx, cx| unlabel_parameter_version(tx, cx, input)));
            assert!(refused.starts_with("ValidationException: Parameter name: "), "{refused}");
        }
        assert!(at(&fixture, "prod").is_err());
        let arn = "arn:aws:ssm:us-east-1:123456789012:parameter/a".to_owned();
        let input = LabelParameterVersionInput { name: arn, ..label(Some(1), &["prod"]) };
        fixture.try_write(|tx, cx| label_parameter_version(tx, cx, input)).expect("labelled");
        assert_eq!(at(&fixture, "prod"), Ok(1));
    }

    #[test]
    fn ten_labels_are_the_most_and_versions_must_exist() {
        let fixture = fixture();
        let ten: Vec<String> = (0..10).map(|n| format!("l{n}")).collect();
        let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
        let input = label(Some(1), &ten);
        fixture.try_write(|tx, cx| label_parameter_version(tx, cx, input)).expect("labelled");
        let refused = |input| refusal(fixture.try_write(|tx, cx| label_parameter_version(tx, cx, input)));
        assert!(refused(label(Some(1), &["more"])).starts_with("ParameterVersionLabelLimitExceeded: "));
        assert!(
            refused(label(Some(7), &["x"]))
                .starts_with("ParameterVersionNotFound: Systems Manager could not find version 7 of /a.")
        );
    }
}
