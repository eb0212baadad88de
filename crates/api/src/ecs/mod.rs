//! Amazon ECS: clusters, task definitions, tasks and services on Fargate.

pub mod account_settings;
pub mod capacity;
mod capacity_providers;
mod cluster_configuration;
mod container_instances;
mod container_parts;
pub(crate) mod create_cluster;
mod create_service;
mod delete_cluster;
mod delete_service;
mod delete_task_definitions;
pub mod deployment;
mod deregister_task_definition;
mod describe_clusters;
mod describe_services;
mod describe_task_definition;
mod describe_tasks;
pub mod environment_files;
pub(crate) mod error;
mod execute_command;
pub mod execution_role;
pub mod launch;
mod list_clusters;
mod list_services;
mod list_task_definitions;
mod list_tasks;
#[cfg(test)]
mod lists_test;
pub mod log_options;
#[cfg(test)]
mod model_test;
mod names;
mod network;
pub mod permissions;
mod register_task_definition;
pub mod resolve_secrets;
mod run_task;
mod secrets;
mod service_deployments;
pub mod spot;
mod stop_service_deployment;
mod stop_task;
pub(crate) mod tags;
mod task_protection;
#[cfg(test)]
pub mod testing;
pub(crate) mod unsupported;
mod update_cluster;
mod update_service;
mod view;

use crate::Routes;
use longshore_aws_model::ecs::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<CreateCluster>(create_cluster::create_cluster)
        .read::<DescribeClusters>(describe_clusters::describe_clusters)
        .read::<ListClusters>(list_clusters::list_clusters)
        .write::<DeleteCluster>(delete_cluster::delete_cluster)
        .write::<UpdateCluster>(update_cluster::update_cluster)
        .write::<UpdateClusterSettings>(update_cluster::update_cluster_settings)
        .write::<RegisterTaskDefinition>(register_task_definition::register_task_definition)
        .read::<DescribeTaskDefinition>(describe_task_definition::describe_task_definition)
        .read::<ListTaskDefinitions>(list_task_definitions::list_task_definitions)
        .read::<ListTaskDefinitionFamilies>(list_task_definitions::list_task_definition_families)
        .write::<DeregisterTaskDefinition>(deregister_task_definition::deregister_task_definition)
        .write::<DeleteTaskDefinitions>(delete_task_definitions::delete_task_definitions)
        .write::<RunTask>(run_task::run_task)
        .write::<StopTask>(stop_task::stop_task)
        .read::<ExecuteCommand>(execute_command::execute_command)
        .read::<DescribeTasks>(describe_tasks::describe_tasks)
        .read::<ListTasks>(list_tasks::list_tasks)
        .write::<CreateService>(create_service::create_service)
        .write::<UpdateService>(update_service::update_service)
        .write::<DeleteService>(delete_service::delete_service)
        .read::<DescribeServices>(describe_services::describe_services)
        .read::<ListServices>(list_services::list_services)
        .read::<ListServiceDeployments>(service_deployments::list_service_deployments)
        .read::<DescribeServiceDeployments>(service_deployments::describe_service_deployments)
        .read::<DescribeServiceRevisions>(service_deployments::describe_service_revisions)
        .write::<StopServiceDeployment>(stop_service_deployment::stop_service_deployment)
        .read::<DescribeCapacityProviders>(capacity_providers::describe_capacity_providers)
        .write::<PutClusterCapacityProviders>(capacity_providers::put_cluster_capacity_providers)
        .write::<UpdateTaskProtection>(task_protection::update_task_protection)
        .read::<GetTaskProtection>(task_protection::get_task_protection)
        .write::<PutAccountSetting>(account_settings::put_account_setting)
        .write::<PutAccountSettingDefault>(account_settings::put_account_setting_default)
        .write::<DeleteAccountSetting>(account_settings::delete_account_setting)
        .read::<ListAccountSettings>(account_settings::list_account_settings)
        .read::<ListContainerInstances>(container_instances::list_container_instances)
        .read::<DescribeContainerInstances>(container_instances::describe_container_instances)
        .read::<ListAttributes>(container_instances::list_attributes)
        .read::<PutAttributes>(container_instances::put_attributes)
        .read::<DeleteAttributes>(container_instances::delete_attributes)
        .read::<SubmitTaskStateChange>(container_instances::submit_task_state_change)
        .read::<SubmitContainerStateChange>(container_instances::submit_container_state_change)
        .read::<SubmitAttachmentStateChanges>(container_instances::submit_attachment_state_changes)
        .read::<ListServicesByNamespace>(container_instances::list_services_by_namespace)
        .write::<TagResource>(tags::tag_resource)
        .write::<UntagResource>(tags::untag_resource)
        .read::<ListTagsForResource>(tags::list_tags_for_resource)
}
