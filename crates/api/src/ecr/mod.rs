//! Amazon ECR: repositories and images. Bytes are the registry's; see [`crate::routes::Manifests`].

mod batch_check_layer_availability;
mod batch_delete_image;
mod batch_get_image;
mod create_repository;
pub mod creation_templates;
mod delete_repository;
mod describe_images;
mod describe_repositories;
mod error;
mod get_authorization_token;
mod get_download_url_for_layer;
mod layer_upload;
pub mod lifecycle_policy;
mod lifecycle_preview;
mod list_image_referrers;
mod list_images;
mod mutability;
mod names;
pub mod permissions;
pub mod pull_through;
mod put_image;
mod registry_settings;
mod repository_policy;
mod scanning;
pub(crate) mod tags;
#[cfg(test)]
mod testing;
pub mod token;
mod view;

use crate::Routes;
use longshore_aws_model::ecr::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<CreateRepository>(create_repository::create_repository)
        .read::<DescribeRepositories>(describe_repositories::describe_repositories)
        .call::<DeleteRepository, _>(delete_repository::delete_repository)
        .read::<ListImages>(list_images::list_images)
        .read::<DescribeImages>(describe_images::describe_images)
        .call::<BatchGetImage, _>(batch_get_image::batch_get_image)
        .write::<BatchDeleteImage>(batch_delete_image::batch_delete_image)
        .call::<PutImage, _>(put_image::put_image)
        .read::<GetAuthorizationToken>(get_authorization_token::get_authorization_token)
        .call::<BatchCheckLayerAvailability, _>(batch_check_layer_availability::batch_check_layer_availability)
        .write::<TagResource>(tags::tag_resource)
        .write::<UntagResource>(tags::untag_resource)
        .read::<ListTagsForResource>(tags::list_tags_for_resource)
        .write::<PutImageTagMutability>(mutability::put_image_tag_mutability)
        .write::<SetRepositoryPolicy>(repository_policy::set_repository_policy)
        .read::<GetRepositoryPolicy>(repository_policy::get_repository_policy)
        .write::<DeleteRepositoryPolicy>(repository_policy::delete_repository_policy)
        .write::<PutLifecyclePolicy>(lifecycle_policy::put_lifecycle_policy)
        .read::<GetLifecyclePolicy>(lifecycle_policy::get_lifecycle_policy)
        .write::<DeleteLifecyclePolicy>(lifecycle_policy::delete_lifecycle_policy)
        .write::<StartLifecyclePolicyPreview>(lifecycle_preview::start_lifecycle_policy_preview)
        .read::<GetLifecyclePolicyPreview>(lifecycle_preview::get_lifecycle_policy_preview)
        .write::<PutImageScanningConfiguration>(scanning::put_image_scanning_configuration)
        .read::<BatchGetRepositoryScanningConfiguration>(scanning::batch_get_repository_scanning_configuration)
        .read::<StartImageScan>(scanning::start_image_scan)
        .read::<DescribeImageScanFindings>(scanning::describe_image_scan_findings)
        .read::<GetRegistryScanningConfiguration>(registry_settings::get_registry_scanning_configuration)
        .write::<PutRegistryScanningConfiguration>(registry_settings::put_registry_scanning_configuration)
        .read::<GetRegistryPolicy>(registry_settings::get_registry_policy)
        .write::<PutRegistryPolicy>(registry_settings::put_registry_policy)
        .write::<DeleteRegistryPolicy>(registry_settings::delete_registry_policy)
        .read::<GetAccountSetting>(registry_settings::get_account_setting)
        .write::<PutAccountSetting>(registry_settings::put_account_setting)
        .read::<DescribeRegistry>(registry_settings::describe_registry)
        .write::<PutReplicationConfiguration>(registry_settings::put_replication_configuration)
        .read::<DescribeImageReplicationStatus>(registry_settings::describe_image_replication_status)
        .write::<CreatePullThroughCacheRule>(pull_through::create_pull_through_cache_rule)
        .write::<UpdatePullThroughCacheRule>(pull_through::update_pull_through_cache_rule)
        .read::<DescribePullThroughCacheRules>(pull_through::describe_pull_through_cache_rules)
        .write::<DeletePullThroughCacheRule>(pull_through::delete_pull_through_cache_rule)
        .call::<ValidatePullThroughCacheRule, _>(pull_through::validate_pull_through_cache_rule)
        .write::<CreateRepositoryCreationTemplate>(creation_templates::create_repository_creation_template)
        .write::<UpdateRepositoryCreationTemplate>(creation_templates::update_repository_creation_template)
        .read::<DescribeRepositoryCreationTemplates>(creation_templates::describe_repository_creation_templates)
        .write::<DeleteRepositoryCreationTemplate>(creation_templates::delete_repository_creation_template)
        .call::<InitiateLayerUpload, _>(layer_upload::initiate_layer_upload)
        .call::<UploadLayerPart, _>(layer_upload::upload_layer_part)
        .call::<CompleteLayerUpload, _>(layer_upload::complete_layer_upload)
        .call::<GetDownloadUrlForLayer, _>(get_download_url_for_layer::get_download_url_for_layer)
        .call::<ListImageReferrers, _>(list_image_referrers::list_image_referrers)
}
