//! Stored repositories and images as the API shows them.

use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::ecr as wire;
use longshore_types::ecr::{Image, Repository};
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
        image_tag_mutability: Some(if row.immutable_tags { "IMMUTABLE" } else { "MUTABLE" }.to_owned()),
        image_scanning_configuration: Some(wire::ImageScanningConfiguration { scan_on_push: Some(false) }),
        encryption_configuration: Some(wire::EncryptionConfiguration {
            encryption_type: Some("AES256".to_owned()),
            kms_key: None,
        }),
        ..Default::default()
    }
}

pub fn image_detail(scope: &Scope, row: &Image) -> wire::ImageDetail {
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
        image_status: Some("ACTIVE".to_owned()),
        ..Default::default()
    }
}

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}
