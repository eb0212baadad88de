//! Systems Manager: the Parameter Store. Values of SecureStrings are sealed by [`crate::vault`].

mod delete_parameters;
mod describe_parameters;
mod error;
mod filter;
mod get_parameter;
mod get_parameter_history;
mod get_parameters_by_path;
mod labels;
pub(crate) mod names;
pub mod parameters;
pub mod permissions;
mod put_parameter;
pub(crate) mod tags;
#[cfg(test)]
mod testing;
mod view;

pub use get_parameter::get_parameters;
#[cfg(test)]
pub(crate) use put_parameter::put_parameter;

use crate::Routes;
use longshore_aws_model::ssm::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<PutParameter>(self::put_parameter::put_parameter)
        .read::<GetParameter>(get_parameter::get_parameter)
        .read::<GetParameters>(get_parameter::get_parameters)
        .read::<GetParametersByPath>(get_parameters_by_path::get_parameters_by_path)
        .read::<GetParameterHistory>(get_parameter_history::get_parameter_history)
        .read::<DescribeParameters>(describe_parameters::describe_parameters)
        .write::<DeleteParameter>(delete_parameters::delete_parameter)
        .write::<DeleteParameters>(delete_parameters::delete_parameters)
        .write::<LabelParameterVersion>(labels::label_parameter_version)
        .write::<UnlabelParameterVersion>(labels::unlabel_parameter_version)
        .write::<AddTagsToResource>(tags::add_tags_to_resource)
        .write::<RemoveTagsFromResource>(tags::remove_tags_from_resource)
        .read::<ListTagsForResource>(tags::list_tags_for_resource)
}
