//! Amazon ECR: repositories and images. Bytes are the registry's; see [`crate::routes::Manifests`].

mod batch_check_layer_availability;
mod batch_delete_image;
mod batch_get_image;
mod create_repository;
mod delete_repository;
mod describe_images;
mod describe_repositories;
mod error;
mod get_authorization_token;
mod list_images;
mod names;
mod put_image;
mod tags;
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
}
