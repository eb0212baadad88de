//! Secrets Manager. Values are sealed by [`crate::vault`]; nothing rotates by itself.

mod access;
mod batch_get_secret_value;
mod create_secret;
mod delete_secret;
mod describe_secret;
mod error;
mod filter;
mod get_random_password;
mod get_secret_value;
mod list_secret_version_ids;
mod list_secrets;
pub(crate) mod names;
pub mod permissions;
mod put_secret_value;
mod resource_policy;
pub mod secrets;
mod stages;
pub(crate) mod tags;
#[cfg(test)]
mod testing;
mod update_secret;
mod update_secret_version_stage;
mod versions;

pub use delete_secret::{expired, purge};
pub use get_secret_value::read as get_secret_value;
#[cfg(test)]
pub(crate) use {create_secret::create_secret, put_secret_value::put_secret_value};

use crate::Routes;
use longshore_aws_model::secretsmanager::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<CreateSecret>(create_secret::create_secret)
        .call::<GetSecretValue, _>(self::get_secret_value::get_secret_value)
        .call::<BatchGetSecretValue, _>(batch_get_secret_value::batch_get_secret_value)
        .write::<PutSecretValue>(put_secret_value::put_secret_value)
        .write::<UpdateSecret>(update_secret::update_secret)
        .read::<DescribeSecret>(describe_secret::describe_secret)
        .read::<ListSecrets>(list_secrets::list_secrets)
        .read::<ListSecretVersionIds>(list_secret_version_ids::list_secret_version_ids)
        .write::<UpdateSecretVersionStage>(update_secret_version_stage::update_secret_version_stage)
        .write::<DeleteSecret>(delete_secret::delete_secret)
        .write::<RestoreSecret>(delete_secret::restore_secret)
        .read::<GetRandomPassword>(get_random_password::get_random_password)
        .write::<TagResource>(tags::tag_resource)
        .write::<UntagResource>(tags::untag_resource)
        .write::<PutResourcePolicy>(resource_policy::put_resource_policy)
        .read::<GetResourcePolicy>(resource_policy::get_resource_policy)
        .write::<DeleteResourcePolicy>(resource_policy::delete_resource_policy)
        .read::<ValidateResourcePolicy>(resource_policy::validate_resource_policy)
}
