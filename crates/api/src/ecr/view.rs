//! Stored repositories and images as the API shows them.

use super::scanning;
use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::ecr as wire;
use longshore_types::ecr::{CreationTemplate, Image, PullThroughRule, Repository};
use longshore_types::{Scope, Tags, arn};

/// `123456789012.dkr.ecr.us-east-1.amazonaws.com`.
pub fn host(scope: &Scope) -> String {
    format!("{}.dkr.ecr.{}.amazonaws.com", scope.account, scope.region)
}

pub fn repository(scope: &Scope, row: &Repository) -> wire::Repository {
    wire::Repository {
        repository_arn: Some(arn::ecr_repository(scope, &row.name)),
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        repository_uri: Some(format!("{}/{}", host(scope), row.name)),
        created_at: Some(WireTime(row.created_at.0)),
        image_tag_mutability: Some(mutability(row.immutable_tags, &row.mutability_exclusions).to_owned()),
        image_tag_mutability_exclusion_filters: exclusion_filters(&row.mutability_exclusions),
        image_scanning_configuration: Some(wire::ImageScanningConfiguration { scan_on_push: Some(row.scan_on_push) }),
        encryption_configuration: Some(wire::EncryptionConfiguration {
            encryption_type: Some("AES256".to_owned()),
            kms_key: None,
        }),
    }
}

pub fn image_detail(scope: &Scope, repository: &Repository, row: &Image) -> wire::ImageDetail {
    wire::ImageDetail {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(row.repository.clone()),
        image_digest: Some(row.digest.clone()),
        image_tags: (!row.image_tags.is_empty()).then(|| row.image_tags.iter().cloned().collect()),
        image_size_in_bytes: Some(row.size_bytes as i64),
        image_pushed_at: Some(WireTime(row.pushed_at.0)),
        image_manifest_media_type: Some(row.manifest_media_type.clone()),
        artifact_media_type: row.artifact_media_type.clone(),
        subject_manifest_digest: row.subject.clone(),
        image_scan_status: scanning::status(repository.scan_on_push),
        last_recorded_pull_time: row.pulled_at.map(|at| WireTime(at.0)),
        image_status: Some("ACTIVE".to_owned()),
        ..Default::default()
    }
}

/// The setting's name.
pub fn mutability(immutable: bool, exclusions: &[String]) -> &'static str {
    match (immutable, exclusions.is_empty()) {
        (false, true) => "MUTABLE",
        (false, false) => "MUTABLE_WITH_EXCLUSION",
        (true, true) => "IMMUTABLE",
        (true, false) => "IMMUTABLE_WITH_EXCLUSION",
    }
}

pub fn exclusion_filters(patterns: &[String]) -> Option<Vec<wire::ImageTagMutabilityExclusionFilter>> {
    let filter = |pattern: &String| wire::ImageTagMutabilityExclusionFilter {
        filter_type: Some("WILDCARD".to_owned()),
        filter: Some(pattern.clone()),
    };
    (!patterns.is_empty()).then(|| patterns.iter().map(filter).collect())
}

pub fn pull_through_rule(scope: &Scope, row: &PullThroughRule) -> wire::PullThroughCacheRule {
    wire::PullThroughCacheRule {
        ecr_repository_prefix: Some(row.prefix.clone()),
        upstream_registry_url: Some(row.upstream_url.clone()),
        created_at: Some(WireTime(row.created_at.0)),
        registry_id: Some(scope.account.to_string()),
        credential_arn: row.credential_arn.clone(),
        custom_role_arn: None,
        upstream_repository_prefix: row.upstream_prefix.clone(),
        upstream_registry: row.upstream_registry.clone(),
        updated_at: Some(WireTime(row.updated_at.0)),
    }
}

pub fn creation_template(row: &CreationTemplate) -> wire::RepositoryCreationTemplate {
    let applied = [(row.for_pull_through, "PULL_THROUGH_CACHE"), (row.for_push, "CREATE_ON_PUSH")];
    wire::RepositoryCreationTemplate {
        prefix: Some(row.prefix.clone()),
        description: row.description.clone(),
        encryption_configuration: Some(wire::EncryptionConfigurationForRepositoryCreationTemplate {
            encryption_type: Some("AES256".to_owned()),
            kms_key: None,
        }),
        resource_tags: Some(tags(&row.tags)),
        image_tag_mutability: Some(mutability(row.immutable_tags, &row.mutability_exclusions).to_owned()),
        image_tag_mutability_exclusion_filters: exclusion_filters(&row.mutability_exclusions),
        repository_policy: row.policy.clone(),
        lifecycle_policy: row.lifecycle_policy.clone(),
        applied_for: Some(applied.iter().filter(|(is, _)| *is).map(|(_, name)| name.to_string()).collect()),
        custom_role_arn: None,
        created_at: Some(WireTime(row.created_at.0)),
        updated_at: Some(WireTime(row.updated_at.0)),
    }
}

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}
