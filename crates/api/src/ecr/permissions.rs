//! What each operation of ECR needs (Service Authorization Reference, "Amazon Elastic Container Registry").

use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, Resources, on};

macro_rules! ecr {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("ecr:", $operation), $resources)
    };
}

const REPOSITORY: Resources = Each(repository);

pub const PERMISSIONS: &[Permission] = &[
    ecr!("BatchCheckLayerAvailability", REPOSITORY),
    ecr!("BatchDeleteImage", REPOSITORY),
    ecr!("BatchGetImage", REPOSITORY),
    ecr!("BatchGetRepositoryScanningConfiguration", REPOSITORY),
    ecr!("CompleteLayerUpload", REPOSITORY),
    ecr!("CreatePullThroughCacheRule", Any),
    ecr!("CreateRepository", REPOSITORY),
    on("CreateRepository", "ecr:TagResource", Each(tagged_repository)),
    ecr!("CreateRepositoryCreationTemplate", Any),
    ecr!("DeleteLifecyclePolicy", REPOSITORY),
    ecr!("DeletePullThroughCacheRule", Any),
    ecr!("DeleteRegistryPolicy", Any),
    ecr!("DeleteRepository", REPOSITORY),
    ecr!("DeleteRepositoryCreationTemplate", Any),
    ecr!("DeleteRepositoryPolicy", REPOSITORY),
    ecr!("DescribeImageReplicationStatus", REPOSITORY),
    ecr!("DescribeImageScanFindings", REPOSITORY),
    ecr!("DescribeImages", REPOSITORY),
    ecr!("DescribePullThroughCacheRules", Any),
    ecr!("DescribeRegistry", Any),
    ecr!("DescribeRepositories", REPOSITORY),
    ecr!("DescribeRepositoryCreationTemplates", Any),
    ecr!("GetAccountSetting", Any),
    ecr!("GetAuthorizationToken", Any),
    ecr!("GetDownloadUrlForLayer", REPOSITORY),
    ecr!("GetLifecyclePolicy", REPOSITORY),
    ecr!("GetLifecyclePolicyPreview", REPOSITORY),
    ecr!("GetRegistryPolicy", Any),
    ecr!("GetRegistryScanningConfiguration", Any),
    ecr!("GetRepositoryPolicy", REPOSITORY),
    ecr!("InitiateLayerUpload", REPOSITORY),
    ecr!("ListImageReferrers", REPOSITORY),
    ecr!("ListImages", REPOSITORY),
    ecr!("ListTagsForResource", Arns("resourceArn")),
    ecr!("PutAccountSetting", Any),
    ecr!("PutImage", REPOSITORY),
    ecr!("PutImageScanningConfiguration", REPOSITORY),
    ecr!("PutImageTagMutability", REPOSITORY),
    ecr!("PutLifecyclePolicy", REPOSITORY),
    ecr!("PutRegistryPolicy", Any),
    ecr!("PutRegistryScanningConfiguration", Any),
    ecr!("PutReplicationConfiguration", Any),
    ecr!("SetRepositoryPolicy", REPOSITORY),
    ecr!("StartImageScan", REPOSITORY),
    ecr!("StartLifecyclePolicyPreview", REPOSITORY),
    ecr!("TagResource", Arns("resourceArn")),
    ecr!("UntagResource", Arns("resourceArn")),
    ecr!("UpdatePullThroughCacheRule", Any),
    ecr!("UpdateRepositoryCreationTemplate", Any),
    ecr!("UploadLayerPart", REPOSITORY),
    ecr!("ValidatePullThroughCacheRule", Any),
];

/// The repositories that are named; all of them when none is.
fn repository(ask: &Ask<'_>) -> Vec<String> {
    let names = ask.all("repositoryName").chain(ask.all("repositoryNames"));
    let named: Vec<_> = names.map(|name| ask.arn("ecr", &format!("repository/{name}"))).collect();
    if named.is_empty() { vec![ask.arn("ecr", "repository/*")] } else { named }
}

fn tagged_repository(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("tags.Key").is_some() { repository(ask) } else { Vec::new() }
}
