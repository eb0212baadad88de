//! TagResource and UntagResource.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::*;
use longshore_store::Tx;
use longshore_types::Tags;

/// Tags of a request.
pub fn parse(given: Vec<Tag>) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given {
        let key = tag.key.unwrap_or_default();
        if key.is_empty() {
            return Err(error::invalid_parameter("A tag key can't be empty."));
        }
        if key.starts_with("aws:") {
            return Err(error::invalid_parameter("Tag keys that begin with aws: are reserved for system use."));
        }
        tags.0.insert(key, tag.value.unwrap_or_default());
    }
    check_count(&tags)?;
    Ok(tags)
}

pub fn sent(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

fn check_count(tags: &Tags) -> Result<(), AwsError> {
    match tags.0.len() > Tags::MAX {
        true => Err(error::invalid_parameter("A secret can have at most 50 tags.")),
        false => Ok(()),
    }
}

pub fn tag_resource(tx: &mut Tx, cx: &Cx, input: TagResourceInput) -> Result<TagResourceOutput, AwsError> {
    let tags = parse(input.tags)?;
    change(tx, cx, &input.secret_id, |row| row.merge(&tags))?;
    Ok(TagResourceOutput::default())
}

pub fn untag_resource(tx: &mut Tx, cx: &Cx, input: UntagResourceInput) -> Result<UntagResourceOutput, AwsError> {
    change(tx, cx, &input.secret_id, |row| row.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    Ok(UntagResourceOutput::default())
}

fn change(tx: &mut Tx, cx: &Cx, id: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let secret = names::usable(tx, &cx.scope, id, cx.now)?;
    let changed = tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| {
        change(&mut row.tags);
        check_count(&row.tags)
    });
    changed.ok_or_else(error::no_secret)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{create, refusal};
    use crate::testing::Fixture;

    #[test]
    fn tags_come_and_go_and_have_limits() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "1"))).expect("made");
        let tag = |key: String| Tag { key: Some(key), value: Some("v".to_owned()) };
        let input = |tags| TagResourceInput { secret_id: "db".to_owned(), tags };
        let two = input(vec![tag("x".to_owned()), tag("y".to_owned())]);
        fixture.try_write(|tx, cx| tag_resource(tx, cx, two)).expect("tagged");
        let one = UntagResourceInput { secret_id: "db".to_owned(), tag_keys: vec!["x".to_owned()] };
        fixture.try_write(|tx, cx| untag_resource(tx, cx, one)).expect("untagged");
        let left = fixture.read(|state, cx| names::find(state, &cx.scope, "db", cx.now).expect("there").tags.clone());
        assert_eq!(sent(&left), [tag("y".to_owned())]);
        let many = input((0..51).map(|n| tag(n.to_string())).collect());
        assert!(refusal(fixture.try_write(|tx, cx| tag_resource(tx, cx, many))).contains("at most 50"));
        let reserved = input(vec![tag("aws:x".to_owned())]);
        assert!(refusal(fixture.try_write(|tx, cx| tag_resource(tx, cx, reserved))).contains("reserved"));
    }
}
