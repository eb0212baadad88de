//! What each operation of ECS needs (Service Authorization Reference, "Amazon Elastic Container Service").

use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, on};
use longshore_policy::Values;
use longshore_types::arn::Arn;
use std::borrow::Cow;

pub const PERMISSIONS: &[Permission] = &[
    on("CreateCapacityProvider", "ecs:CreateCapacityProvider", Any),
    on("CreateCluster", "ecs:CreateCluster", Any),
    on("CreateCluster", "ecs:TagResource", Each(|ask| if_tagged(ask, new_cluster))),
    on("CreateService", "ecs:CreateService", Each(service)),
    on("CreateService", "ecs:TagResource", Each(|ask| if_tagged(ask, service))),
    on("CreateService", "iam:PassRole", Each(passed_roles)),
    on("CreateTaskSet", "ecs:CreateTaskSet", Each(service)),
    on("DeleteAccountSetting", "ecs:DeleteAccountSetting", Any),
    on("DeleteAttributes", "ecs:DeleteAttributes", Any),
    on("DeleteCapacityProvider", "ecs:DeleteCapacityProvider", Each(capacity_provider)),
    on("DeleteCluster", "ecs:DeleteCluster", Each(cluster)),
    on("DeleteService", "ecs:DeleteService", Each(service)),
    on("DeleteTaskDefinitions", "ecs:DeleteTaskDefinitions", Each(task_definitions)),
    on("DeleteTaskSet", "ecs:DeleteTaskSet", Each(service)),
    on("DeregisterContainerInstance", "ecs:DeregisterContainerInstance", Each(cluster)),
    on("DeregisterTaskDefinition", "ecs:DeregisterTaskDefinition", Any),
    on("DescribeCapacityProviders", "ecs:DescribeCapacityProviders", Any),
    on("DescribeClusters", "ecs:DescribeClusters", Each(clusters)),
    on("DescribeContainerInstances", "ecs:DescribeContainerInstances", Each(cluster)),
    on("DescribeServiceDeployments", "ecs:DescribeServiceDeployments", Arns("serviceDeploymentArns")),
    on("DescribeServiceRevisions", "ecs:DescribeServiceRevisions", Arns("serviceRevisionArns")),
    on("DescribeServices", "ecs:DescribeServices", Each(services)),
    on("DescribeTaskDefinition", "ecs:DescribeTaskDefinition", Any),
    on("DescribeTaskSets", "ecs:DescribeTaskSets", Each(service)),
    on("DescribeTasks", "ecs:DescribeTasks", Each(tasks)),
    on("DiscoverPollEndpoint", "ecs:DiscoverPollEndpoint", Any),
    on("ExecuteCommand", "ecs:ExecuteCommand", Each(cluster)),
    on("ExecuteCommand", "ecs:ExecuteCommand", Each(tasks)),
    on("GetTaskProtection", "ecs:GetTaskProtection", Each(tasks)),
    on("ListAccountSettings", "ecs:ListAccountSettings", Any),
    on("ListAttributes", "ecs:ListAttributes", Each(cluster)),
    on("ListClusters", "ecs:ListClusters", Any),
    on("ListContainerInstances", "ecs:ListContainerInstances", Each(cluster)),
    on("ListServiceDeployments", "ecs:ListServiceDeployments", Each(service)),
    on("ListServices", "ecs:ListServices", Any),
    on("ListServicesByNamespace", "ecs:ListServicesByNamespace", Any),
    on("ListTagsForResource", "ecs:ListTagsForResource", Arns("resourceArn")),
    on("ListTaskDefinitionFamilies", "ecs:ListTaskDefinitionFamilies", Any),
    on("ListTaskDefinitions", "ecs:ListTaskDefinitions", Any),
    on("ListTasks", "ecs:ListTasks", Any),
    on("PutAccountSetting", "ecs:PutAccountSetting", Any),
    on("PutAccountSettingDefault", "ecs:PutAccountSettingDefault", Any),
    on("PutAttributes", "ecs:PutAttributes", Each(cluster)),
    on("PutClusterCapacityProviders", "ecs:PutClusterCapacityProviders", Each(cluster)),
    on("RegisterContainerInstance", "ecs:RegisterContainerInstance", Each(cluster)),
    on("RegisterTaskDefinition", "ecs:RegisterTaskDefinition", Each(new_revision)),
    on("RegisterTaskDefinition", "ecs:TagResource", Each(|ask| if_tagged(ask, new_revision))),
    on("RegisterTaskDefinition", "iam:PassRole", Each(passed_roles)),
    on("RunTask", "ecs:RunTask", Each(task_definition)),
    on("RunTask", "ecs:TagResource", Each(|ask| if_tagged(ask, new_task))),
    on("RunTask", "iam:PassRole", Each(passed_roles)),
    on("StartTask", "ecs:StartTask", Each(task_definition)),
    on("StartTask", "iam:PassRole", Each(passed_roles)),
    on("StopServiceDeployment", "ecs:StopServiceDeployment", Arns("serviceDeploymentArn")),
    on("StopTask", "ecs:StopTask", Each(tasks)),
    on("SubmitAttachmentStateChanges", "ecs:SubmitAttachmentStateChanges", Each(cluster)),
    on("SubmitContainerStateChange", "ecs:SubmitContainerStateChange", Each(cluster)),
    on("SubmitTaskStateChange", "ecs:SubmitTaskStateChange", Each(cluster)),
    on("TagResource", "ecs:TagResource", Arns("resourceArn")),
    on("UntagResource", "ecs:UntagResource", Arns("resourceArn")),
    on("UpdateCapacityProvider", "ecs:UpdateCapacityProvider", Each(capacity_provider)),
    on("UpdateCluster", "ecs:UpdateCluster", Each(cluster)),
    on("UpdateClusterSettings", "ecs:UpdateClusterSettings", Each(cluster)),
    on("UpdateContainerAgent", "ecs:UpdateContainerAgent", Each(cluster)),
    on("UpdateContainerInstancesState", "ecs:UpdateContainerInstancesState", Each(cluster)),
    on("UpdateService", "ecs:UpdateService", Each(service)),
    on("UpdateService", "iam:PassRole", Each(passed_roles)),
    on("UpdateServicePrimaryTaskSet", "ecs:UpdateServicePrimaryTaskSet", Each(service)),
    on("UpdateTaskProtection", "ecs:UpdateTaskProtection", Each(tasks)),
    on("UpdateTaskSet", "ecs:UpdateTaskSet", Each(service)),
];

fn if_tagged(ask: &Ask<'_>, resource: fn(&Ask<'_>) -> Vec<String>) -> Vec<String> {
    if ask.get("tags.key").is_some() { resource(ask) } else { Vec::new() }
}

fn cluster_arn(ask: &Ask<'_>) -> String {
    ask.arn_or("ecs", "cluster", ask.get("cluster").unwrap_or("default"))
}

/// The cluster's name, of its name or ARN.
fn cluster_name<'a>(ask: &Ask<'a>) -> &'a str {
    let given = ask.get("cluster").unwrap_or("default");
    given.rsplit('/').next().unwrap_or(given)
}

fn cluster(ask: &Ask<'_>) -> Vec<String> {
    vec![cluster_arn(ask)]
}

fn new_cluster(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn_or("ecs", "cluster", ask.get("clusterName").unwrap_or("default"))]
}

fn clusters(ask: &Ask<'_>) -> Vec<String> {
    let named: Vec<String> = ask.all("clusters").map(|name| ask.arn_or("ecs", "cluster", name)).collect();
    if named.is_empty() { vec![ask.arn("ecs", "cluster/default")] } else { named }
}

fn of_cluster<'a>(ask: &Ask<'a>, kind: &str, path: &'a str) -> Vec<String> {
    let kind = format!("{kind}/{}", cluster_name(ask));
    ask.all(path).map(|name| ask.arn_or("ecs", &kind, name)).collect()
}

fn service(ask: &Ask<'_>) -> Vec<String> {
    let named = of_cluster(ask, "service", "service");
    if named.is_empty() { of_cluster(ask, "service", "serviceName") } else { named }
}

fn services(ask: &Ask<'_>) -> Vec<String> {
    of_cluster(ask, "service", "services")
}

fn tasks(ask: &Ask<'_>) -> Vec<String> {
    let mut tasks = of_cluster(ask, "task", "task");
    tasks.extend(of_cluster(ask, "task", "tasks"));
    tasks
}

fn new_task(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn("ecs", &format!("task/{}/*", cluster_name(ask)))]
}

fn capacity_provider(ask: &Ask<'_>) -> Vec<String> {
    let given = ask.get("capacityProvider").or_else(|| ask.get("name")).unwrap_or_default();
    vec![ask.arn_or("ecs", "capacity-provider", given)]
}

/// As the request names it: without a revision when it has none, as ECS does it.
fn task_definition(ask: &Ask<'_>) -> Vec<String> {
    ask.all("taskDefinition").map(|name| ask.arn_or("ecs", "task-definition", name)).collect()
}

fn task_definitions(ask: &Ask<'_>) -> Vec<String> {
    ask.all("taskDefinitions").map(|name| ask.arn_or("ecs", "task-definition", name)).collect()
}

fn new_revision(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn("ecs", &format!("task-definition/{}:*", ask.get("family").unwrap_or_default()))]
}

/// Roles that the request itself gives to tasks, the service, or what ECS does for them.
fn passed_roles(ask: &Ask<'_>) -> Vec<String> {
    const PATHS: [&str; 8] = [
        "taskRoleArn",
        "executionRoleArn",
        "overrides.taskRoleArn",
        "overrides.executionRoleArn",
        "role",
        "volumeConfigurations.managedEBSVolume.roleArn",
        "loadBalancers.advancedConfiguration.roleArn",
        "serviceConnectConfiguration.services.tls.roleArn",
    ];
    let given = PATHS.into_iter().flat_map(|path| ask.all(path));
    given.map(|role| crate::iam::permissions::role_arn(ask, role)).collect()
}

/// `ecs:cluster` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str) -> Option<Values<'a>> {
    let many = |path: &'a str| {
        let values: Vec<_> = ask.all(path).map(Cow::Borrowed).collect();
        (!values.is_empty()).then_some(Values::Many(values))
    };
    let one = |path: &str| ask.get(path).map(Values::one);
    match name {
        "cluster" => {
            // A task's ARN names its cluster.
            let of_task = ask.get("task").or_else(|| ask.get("tasks")).and_then(|task| {
                let resource = Arn::parse(task)?.resource.strip_prefix("task/")?.split('/').next()?;
                Some(ask.arn("ecs", &format!("cluster/{resource}")))
            });
            Some(Values::one(of_task.unwrap_or_else(|| cluster_arn(ask))))
        }
        "service" => service(ask).into_iter().next().map(Values::one),
        "task-definition" => task_definition(ask).into_iter().next().map(Values::one),
        "task" => tasks(ask).into_iter().next().map(Values::one),
        "capacity-provider" => many("capacityProviderStrategy.capacityProvider").or_else(|| many("capacityProviders")),
        "enable-execute-command" => one("enableExecuteCommand"),
        "enable-service-connect" => one("serviceConnectConfiguration.enabled"),
        "enable-ebs-volumes" => one("volumeConfigurations.name").map(|_| Values::one("true")),
        "namespace" => one("serviceConnectConfiguration.namespace"),
        "container-name" => one("container"),
        "account-setting" => one("name"),
        "privileged" => one("containerDefinitions.privileged"),
        "task-cpu" => one("cpu"),
        "task-memory" => one("memory"),
        "compute-compatibility" => many("requiresCompatibilities"),
        "subnet" => many("networkConfiguration.awsvpcConfiguration.subnets"),
        "auto-assign-public-ip" => {
            Some(Values::one(match ask.get("networkConfiguration.awsvpcConfiguration.assignPublicIp") {
                Some("ENABLED") => "true",
                _ => "false",
            }))
        }
        _ => None,
    }
}
