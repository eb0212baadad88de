//! How each service changes the tags of its resources: by its own operations, so that its own rules hold.

use super::error;
use crate::{Cx, acm, ec2, ecr, ecs, elbv2, iam, logs, secretsmanager, ssm};
use longshore_aws_model as model;
use longshore_aws_model::AwsError;
use longshore_store::Tx;
use longshore_types::arn::{self, Arn};
use longshore_types::iam::InstanceProfile;
use std::collections::BTreeMap;

/// What to do to a resource's tags.
#[derive(Clone)]
pub enum Change {
    Tag(BTreeMap<String, String>),
    Untag(Vec<String>),
}
use Change::{Tag, Untag};

type Apply = fn(&mut Tx, &Cx, &str, Change) -> Result<(), AwsError>;

pub struct Service {
    /// In ARNs.
    name: &'static str,
    /// What else than the tagging API's own permission a change takes.
    tag_action: &'static str,
    untag_action: &'static str,
    pub apply: Apply,
}

impl Service {
    pub fn of(arn: &Arn<'_>) -> Option<&'static Self> {
        SERVICES.iter().find(|service| service.name == arn.service)
    }

    /// For IAM it depends on the kind of the resource.
    pub fn action(&self, arn: &Arn<'_>, change: &Change) -> &'static str {
        let is_profile = arn.service == "iam" && arn.resource.starts_with("instance-profile/");
        match change {
            Tag(_) if is_profile => "iam:TagInstanceProfile",
            Untag(_) if is_profile => "iam:UntagInstanceProfile",
            Tag(_) => self.tag_action,
            Untag(_) => self.untag_action,
        }
    }
}

const fn service(name: &'static str, tag_action: &'static str, untag_action: &'static str, apply: Apply) -> Service {
    Service { name, tag_action, untag_action, apply }
}

const SERVICES: &[Service] = &[
    service("acm", "acm:AddTagsToCertificate", "acm:RemoveTagsFromCertificate", acm),
    service("ec2", "ec2:CreateTags", "ec2:DeleteTags", ec2),
    service("ecr", "ecr:TagResource", "ecr:UntagResource", ecr),
    service("ecs", "ecs:TagResource", "ecs:UntagResource", ecs),
    service("elasticloadbalancing", "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags", elbv2),
    service("iam", "iam:TagPolicy", "iam:UntagPolicy", iam),
    service("logs", "logs:TagResource", "logs:UntagResource", logs),
    service("secretsmanager", "secretsmanager:TagResource", "secretsmanager:UntagResource", secretsmanager),
    service("ssm", "ssm:AddTagsToResource", "ssm:RemoveTagsFromResource", ssm),
];

/// A map as a service's list of tags.
fn list<T>(tags: BTreeMap<String, String>, tag: impl Fn(Option<String>, Option<String>) -> T) -> Vec<T> {
    tags.into_iter().map(|(key, value)| tag(Some(key), Some(value))).collect()
}

fn acm(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::acm::{AddTagsToCertificateInput, RemoveTagsFromCertificateInput, Tag as T};
    let certificate_arn = arn.to_owned();
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            acm::tags::add_tags_to_certificate(tx, cx, AddTagsToCertificateInput { certificate_arn, tags }).map(drop)
        }
        Untag(keys) => {
            let tags = keys.into_iter().map(|key| T { key: Some(key), value: None }).collect();
            let input = RemoveTagsFromCertificateInput { certificate_arn, tags };
            acm::tags::remove_tags_from_certificate(tx, cx, input).map(drop)
        }
    }
}

fn ec2(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::ec2::{CreateTagsInput, DeleteTagsInput, Tag as T};
    let id = Arn::parse(arn).and_then(|arn| arn.resource.split_once('/'));
    // Policies are asked for the whole ARN, and the id alone is acted on.
    let id = id
        .filter(|(kind, id)| ec2::permissions::kind(id) == Some(kind))
        .map(|(_, id)| id)
        .ok_or_else(|| not_valid(arn))?;
    let resources = vec![id.to_owned()];
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            ec2::tagging::create_tags(tx, cx, CreateTagsInput { dry_run: None, resources, tags }).map(drop)
        }
        Untag(keys) => {
            let tags = Some(keys.into_iter().map(|key| T { key: Some(key), value: None }).collect());
            ec2::tagging::delete_tags(tx, cx, DeleteTagsInput { dry_run: None, resources, tags }).map(drop)
        }
    }
}

fn not_valid(arn: &str) -> AwsError {
    error::invalid(format!("{arn} is not a valid AmazonResourceName (ARN)"))
}

fn ecr(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::ecr::{Tag as T, TagResourceInput, UntagResourceInput};
    let resource_arn = arn.to_owned();
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            ecr::tags::tag_resource(tx, cx, TagResourceInput { resource_arn, tags }).map(drop)
        }
        Untag(tag_keys) => ecr::tags::untag_resource(tx, cx, UntagResourceInput { resource_arn, tag_keys }).map(drop),
    }
}

fn ecs(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::ecs::{Tag as T, TagResourceInput, UntagResourceInput};
    let resource_arn = arn.to_owned();
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            ecs::tags::tag_resource(tx, cx, TagResourceInput { resource_arn, tags }).map(drop)
        }
        Untag(tag_keys) => ecs::tags::untag_resource(tx, cx, UntagResourceInput { resource_arn, tag_keys }).map(drop),
    }
}

fn elbv2(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::elbv2::{AddTagsInput, RemoveTagsInput, Tag as T};
    let resource_arns = vec![arn.to_owned()];
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            elbv2::tags::add_tags(tx, cx, AddTagsInput { resource_arns, tags }).map(drop)
        }
        Untag(tag_keys) => elbv2::tags::remove_tags(tx, cx, RemoveTagsInput { resource_arns, tag_keys }).map(drop),
    }
}

/// Policies and instance profiles, as AWS's tagging API: roles and users have their own operations only.
fn iam(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::iam::{Tag as T, TagInstanceProfileInput, TagPolicyInput, UntagInstanceProfileInput, UntagPolicyInput};
    let (kind, path) = Arn::parse(arn).and_then(|arn| arn.resource.split_once('/')).unwrap_or_default();
    let (policy_arn, instance_profile_name) = (arn.to_owned(), path.rsplit('/').next().unwrap_or(path).to_owned());
    if kind == "instance-profile" {
        let account = &cx.scope.account;
        let row = tx.instance_profiles().get(&(account.clone(), instance_profile_name.clone()));
        let is_own = |row: &InstanceProfile| arn::iam(account, "instance-profile", &row.path, &row.name) == arn;
        if !row.is_some_and(|row| is_own(&row)) {
            return Err(not_valid(arn));
        }
    }
    match (kind, change) {
        ("policy", Tag(tags)) => {
            let tags = list(tags, |key, value| T { key, value });
            iam::tagging::tag_policy(tx, cx, TagPolicyInput { policy_arn, tags }).map(drop)
        }
        ("policy", Untag(tag_keys)) => {
            iam::tagging::untag_policy(tx, cx, UntagPolicyInput { policy_arn, tag_keys }).map(drop)
        }
        ("instance-profile", Tag(tags)) => {
            let tags = list(tags, |key, value| T { key, value });
            let input = TagInstanceProfileInput { instance_profile_name, tags };
            iam::tagging::tag_instance_profile(tx, cx, input).map(drop)
        }
        ("instance-profile", Untag(tag_keys)) => {
            let input = UntagInstanceProfileInput { instance_profile_name, tag_keys };
            iam::tagging::untag_instance_profile(tx, cx, input).map(drop)
        }
        _ => Err(not_valid(arn)),
    }
}

fn logs(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::logs::{TagResourceInput, UntagResourceInput};
    let resource_arn = arn.to_owned();
    match change {
        Tag(tags) => logs::tags::tag_resource(tx, cx, TagResourceInput { resource_arn, tags }).map(drop),
        Untag(tag_keys) => logs::tags::untag_resource(tx, cx, UntagResourceInput { resource_arn, tag_keys }).map(drop),
    }
}

fn secretsmanager(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::secretsmanager::{Tag as T, TagResourceInput, UntagResourceInput};
    let secret_id = arn.to_owned();
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            secretsmanager::tags::tag_resource(tx, cx, TagResourceInput { secret_id, tags }).map(drop)
        }
        Untag(tag_keys) => {
            secretsmanager::tags::untag_resource(tx, cx, UntagResourceInput { secret_id, tag_keys }).map(drop)
        }
    }
}

fn ssm(tx: &mut Tx, cx: &Cx, arn: &str, change: Change) -> Result<(), AwsError> {
    use model::ssm::{AddTagsToResourceInput, RemoveTagsFromResourceInput, Tag as T};
    // What names no parameter is refused by the operation.
    let resource_id = ssm::names::find(tx, &cx.scope, arn).map_or_else(|| arn.to_owned(), |(name, _)| name);
    let resource_type = "Parameter".to_owned();
    match change {
        Tag(tags) => {
            let tags = list(tags, |key, value| T { key, value });
            let input = AddTagsToResourceInput { resource_type, resource_id, tags };
            ssm::tags::add_tags_to_resource(tx, cx, input).map(drop)
        }
        Untag(tag_keys) => {
            let input = RemoveTagsFromResourceInput { resource_type, resource_id, tag_keys };
            ssm::tags::remove_tags_from_resource(tx, cx, input).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn tags() -> Change {
        Tag(BTreeMap::from([("team".to_owned(), "blue".to_owned())]))
    }

    #[test]
    fn the_kind_in_an_arn_of_ec2_is_that_of_its_id() {
        let fixture = Fixture::new();
        let mut all = Vec::new();
        fixture.read(|state, cx| {
            ec2::tagging::each(state, &cx.scope, &mut |kind, id, _| all.push((kind.to_owned(), id.to_owned())));
        });
        assert!(!all.is_empty());
        for (kind, id) in all {
            let arn = |kind: &str| format!("arn:aws:ec2:us-east-1:123456789012:{kind}/{id}");
            let (own, other) = (arn(&kind), arn("key-pair"));
            fixture.try_write(move |tx, cx| ec2(tx, cx, &own, tags())).expect("its own kind");
            fixture.try_write(move |tx, cx| ec2(tx, cx, &other, tags())).expect_err("another kind");
        }
    }

    #[test]
    fn an_instance_profile_has_its_own_action_and_path() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let profile = InstanceProfile {
                name: "web".to_owned(),
                path: "/prod/".to_owned(),
                id: "AIPAX".to_owned(),
                created_at: cx.now,
                role: None,
                tags: Default::default(),
            };
            tx.instance_profiles().put((cx.scope.account.clone(), profile.name.clone()), profile);
        });
        let arn = |path: &str| format!("arn:aws:iam::123456789012:instance-profile{path}web");
        let (own, other) = (arn("/prod/"), arn("/dev/"));
        let parsed = Arn::parse(&own).expect("an ARN");
        let service = Service::of(&parsed).expect("IAM");
        assert_eq!(service.action(&parsed, &tags()), "iam:TagInstanceProfile");
        assert_eq!(service.action(&parsed, &Untag(vec![])), "iam:UntagInstanceProfile");
        let policy = Arn::parse("arn:aws:iam::123456789012:policy/instance-profile/p").expect("an ARN");
        assert_eq!(service.action(&policy, &tags()), "iam:TagPolicy");
        fixture.try_write(move |tx, cx| iam(tx, cx, &own, tags())).expect("its own path");
        fixture.try_write(move |tx, cx| iam(tx, cx, &other, tags())).expect_err("another path");
    }
}
