//! What each operation of ECS needs (Service Authorization Reference, "Amazon Elastic Container Service").

use super::register_task_definition::{parse_cpu, parse_memory};
use super::{names, service_deployments};
use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, on};
use longshore_policy::Values;
use longshore_types::Scope;
use longshore_types::arn::{self, Arn};
use longshore_types::ecs::TaskDefinition;
use longshore_types::id::ClusterName;
use std::borrow::Cow;
use std::collections::BTreeSet;

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
    on("RunTask", "iam:PassRole", Each(roles_of_run)),
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

/// The cluster that a request is about, as it is given. ListServiceDeployments finds it in the service's ARN; where another
/// operation is given such an ARN and no cluster, it refuses the ARN of any cluster but the default one.
fn given_cluster<'a>(ask: &Ask<'a>) -> Option<&'a str> {
    let given = ask.get("cluster");
    ask.get("service").map_or(given, |service| service_deployments::cluster_of(given, service))
}

/// The cluster that a name or ARN gives; `None` for one that the handler refuses.
fn named_cluster(ask: &Ask<'_>, given: Option<&str>) -> Option<ClusterName> {
    let name = names::cluster_name(given).ok()?;
    given.is_none_or(|given| names::is_here(given, &ask.cx.scope)).then_some(name)
}

/// A cluster's ARN. What the handler refuses stays as it was written, here and below: it has no effect, whatever policies say.
fn cluster_arn(ask: &Ask<'_>, given: Option<&str>) -> String {
    match named_cluster(ask, given) {
        Some(name) => arn::cluster(&ask.cx.scope, &name),
        None => ask.arn_or("ecs", "cluster", given.unwrap_or_default()),
    }
}

fn cluster(ask: &Ask<'_>) -> Vec<String> {
    vec![cluster_arn(ask, given_cluster(ask))]
}

fn new_cluster(ask: &Ask<'_>) -> Vec<String> {
    let given = ask.get("clusterName").unwrap_or("default");
    vec![ask.arn("ecs", &format!("cluster/{given}"))]
}

fn clusters(ask: &Ask<'_>) -> Vec<String> {
    let named: Vec<String> = ask.all("clusters").map(|name| cluster_arn(ask, Some(name))).collect();
    if named.is_empty() { vec![cluster_arn(ask, None)] } else { named }
}

/// The ARNs of what a member names in the request's cluster, of which `find` makes them as the handler does.
fn of_cluster<'a>(
    ask: &Ask<'a>,
    kind: &str,
    path: &'a str,
    find: fn(&str, &Scope, &ClusterName) -> Option<String>,
) -> Vec<String> {
    let cluster = named_cluster(ask, given_cluster(ask));
    let arn = |given: &str| {
        let found = cluster.as_ref().and_then(|cluster| find(given, &ask.cx.scope, cluster));
        found.unwrap_or_else(|| ask.arn_or("ecs", kind, given))
    };
    ask.all(path).map(arn).collect()
}

fn services_at<'a>(ask: &Ask<'a>, path: &'a str) -> Vec<String> {
    of_cluster(ask, "service", path, |given, scope, cluster| {
        Some(arn::service(scope, cluster, &names::service_name(given, scope, cluster).ok()?))
    })
}

fn tasks_at<'a>(ask: &Ask<'a>, path: &'a str) -> Vec<String> {
    of_cluster(ask, "task", path, |given, scope, cluster| {
        Some(arn::task(scope, cluster, &names::task_id(given, scope, cluster).ok()?))
    })
}

fn service(ask: &Ask<'_>) -> Vec<String> {
    let named = services_at(ask, "service");
    if named.is_empty() { services_at(ask, "serviceName") } else { named }
}

fn services(ask: &Ask<'_>) -> Vec<String> {
    services_at(ask, "services")
}

fn tasks(ask: &Ask<'_>) -> Vec<String> {
    let mut tasks = tasks_at(ask, "task");
    tasks.extend(tasks_at(ask, "tasks"));
    tasks
}

fn new_task(ask: &Ask<'_>) -> Vec<String> {
    let cluster = named_cluster(ask, given_cluster(ask));
    vec![ask.arn("ecs", &format!("task/{}/*", cluster.as_ref().map_or("", ClusterName::as_str)))]
}

fn capacity_provider(ask: &Ask<'_>) -> Vec<String> {
    let given = ask.get("capacityProvider").or_else(|| ask.get("name")).unwrap_or_default();
    vec![ask.arn_or("ecs", "capacity-provider", given)]
}

/// A task definition's ARN: of the latest ACTIVE revision where none is given, as ECS does it since 2024-03-21.
fn task_definition_arn(ask: &Ask<'_>, given: &str) -> String {
    let scope = &ask.cx.scope;
    match names::family_and_revision(given) {
        Ok((family, Some(revision))) if names::is_here(given, scope) => arn::task_definition(scope, &family, revision),
        _ => match names::task_definition(ask.state, scope, given) {
            Ok(Some(latest)) => arn::task_definition(scope, &latest.family, latest.revision),
            _ => ask.arn_or("ecs", "task-definition", given),
        },
    }
}

fn task_definition(ask: &Ask<'_>) -> Vec<String> {
    ask.all("taskDefinition").map(|given| task_definition_arn(ask, given)).collect()
}

fn task_definitions(ask: &Ask<'_>) -> Vec<String> {
    ask.all("taskDefinitions").map(|given| task_definition_arn(ask, given)).collect()
}

fn new_revision(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn("ecs", &format!("task-definition/{}:*", ask.get("family").unwrap_or_default()))]
}

/// The roles that RunTask gives to tasks: each of the task definition's, unless an override takes its place.
fn roles_of_run(ask: &Ask<'_>) -> Vec<String> {
    let given = ask.get("taskDefinition").unwrap_or_default();
    let definition = names::task_definition(ask.state, &ask.cx.scope, given).ok().flatten();
    let defined = |role: fn(&TaskDefinition) -> Option<&String>| definition.as_deref().and_then(role);
    let of_definition = [
        ("overrides.taskRoleArn", defined(|row| row.task_role_arn.as_ref())),
        ("overrides.executionRoleArn", defined(|row| row.execution_role_arn.as_ref())),
    ];
    let kept = of_definition.into_iter().filter(|(path, _)| ask.get(path).is_none_or(str::is_empty));
    let mut roles: Vec<String> =
        kept.filter_map(|(_, role)| role).map(|role| crate::iam::permissions::role_arn(ask, role)).collect();
    roles.extend(passed_roles(ask));
    roles
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
    // No name is no role: see RegisterTaskDefinition.
    let given = PATHS.into_iter().flat_map(|path| ask.all(path)).filter(|role| !role.is_empty());
    given.map(|role| crate::iam::permissions::role_arn(ask, role)).collect()
}

/// The cluster of a service deployment or revision, which its ARN tells, or the one that the request names.
fn cluster_of<'a>(ask: &Ask<'a>, resource: &str) -> Values<'a> {
    let release = Arn::parse(resource).filter(|arn| arn.resource.starts_with("service-"));
    let of_release = release.and_then(|arn| Some(ClusterName::from(arn.resource.split('/').nth(1)?)));
    Values::one(match of_release {
        Some(name) => arn::cluster(&ask.cx.scope, &name),
        None => cluster_arn(ask, given_cluster(ask)),
    })
}

/// The ARNs of the capacity providers that a request names.
fn capacity_providers<'a>(ask: &Ask<'a>) -> Option<Values<'a>> {
    const PATHS: [&str; 3] = [
        "capacityProviderStrategy.capacityProvider",
        "defaultCapacityProviderStrategy.capacityProvider",
        "capacityProviders",
    ];
    let named: BTreeSet<&str> = PATHS.into_iter().flat_map(|path| ask.all(path)).collect();
    let arns = named.into_iter().map(|name| Cow::Owned(ask.arn_or("ecs", "capacity-provider", name))).collect();
    Some(Values::Many(arns)).filter(|values| !values.as_slice().is_empty())
}

/// `ecs:cluster` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str, resource: &str) -> Option<Values<'a>> {
    let many = |path: &'a str| {
        let values: Vec<_> = ask.all(path).map(Cow::Borrowed).collect();
        (!values.is_empty()).then_some(Values::Many(values))
    };
    let one = |path: &str| ask.get(path).map(Values::one);
    match name {
        "cluster" => Some(cluster_of(ask, resource)),
        "service" => service(ask).into_iter().next().map(Values::one),
        "task-definition" => task_definition(ask).into_iter().next().map(Values::one),
        "task" => tasks(ask).into_iter().next().map(Values::one),
        "capacity-provider" => capacity_providers(ask),
        "enable-execute-command" => one("enableExecuteCommand"),
        "enable-service-connect" => one("serviceConnectConfiguration.enabled"),
        "enable-ebs-volumes" => one("volumeConfigurations.name").map(|_| Values::one("true")),
        "namespace" => one("serviceConnectConfiguration.namespace"),
        "container-name" => one("container"),
        "account-setting" => one("name"),
        // One container is enough.
        "privileged" => {
            let containers = "containerDefinitions.privileged";
            ask.all(containers).find(|value| *value == "true").or_else(|| ask.get(containers)).map(Values::one)
        }
        // CPU units and MiB, however they are spelt.
        "task-cpu" => Some(Values::one(parse_cpu(ask.get("cpu")?).ok()?.to_string())),
        "task-memory" => Some(Values::one(parse_memory(ask.get("memory")?).ok()?.to_string())),
        "propagate-tags" => one("propagateTags"),
        "enable-ecs-managed-tags" => one("enableECSManagedTags"),
        // Of the permission to tag what an operation creates; TagResource itself creates nothing.
        "createaction" => {
            let tags_new = |line: &Permission| line.operation == ask.operation && line.action == "ecs:TagResource";
            (ask.operation != "TagResource" && PERMISSIONS.iter().any(tags_new)).then(|| Values::one(ask.operation))
        }
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

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use crate::identity::Fields;
    use crate::testing::asked;
    use longshore_aws_model::ecs::*;
    use longshore_aws_model::{Operation, Shape};

    const OWN: &str = "arn:aws:ecs:us-east-1:123456789012";

    /// What an operation is asked for: `action resource` of each.
    fn of<O: Operation>(world: &World, input: &O::Input) -> Vec<String> {
        asked::<O>(&world.fixture, input)
    }

    /// The values of a key of ECS's.
    fn key<I: Shape>(world: &World, input: &I, name: &str) -> Vec<String> {
        key_in(world, "", "", input, name)
    }

    fn key_in<I: Shape>(world: &World, operation: &str, resource: &str, input: &I, name: &str) -> Vec<String> {
        let fields = Fields::of(input);
        world.read(|state, cx| {
            let values = context(&Ask { state, cx, operation, fields: &fields }, name, resource);
            values.map(|values| values.as_slice().iter().map(ToString::to_string).collect()).unwrap_or_default()
        })
    }

    #[test]
    fn every_spelling_of_a_cluster_is_asked_for_as_the_cluster() {
        let world = World::new();
        let web = format!("{OWN}:cluster/web");
        for given in ["web", &web] {
            let input = UpdateClusterInput { cluster: given.to_owned(), ..Default::default() };
            assert_eq!(of::<UpdateCluster>(&world, &input), [format!("ecs:UpdateCluster {web}")]);
            assert_eq!(key(&world, &input, "cluster"), [web.as_str()]);
        }
        let other = UpdateClusterInput { cluster: web.replace(":ecs:", ":x:"), ..Default::default() };
        let refused = world.write(|tx, cx| crate::ecs::update_cluster::update_cluster(tx, cx, other));
        assert!(refused.is_err(), "another service's ARN is none of a cluster");
        let none = DescribeClustersInput::default();
        assert_eq!(of::<DescribeClusters>(&world, &none), [format!("ecs:DescribeClusters {OWN}:cluster/default")]);
    }

    #[test]
    fn services_and_tasks_are_asked_for_in_their_cluster() {
        let world = World::new();
        for service in ["api".to_owned(), format!("{OWN}:service/api"), format!("{OWN}:service/web/api")] {
            let cluster = Some(format!("{OWN}:cluster/web"));
            let input = DeleteServiceInput { cluster, service, ..Default::default() };
            assert_eq!(of::<DeleteService>(&world, &input), [format!("ecs:DeleteService {OWN}:service/web/api")]);
        }
        let id = "0123456789abcdef0123456789abcdef";
        for task in [id.to_owned(), format!("{OWN}:task/{id}"), format!("{OWN}:task/web/{id}")] {
            let input = StopTaskInput { cluster: Some("web".to_owned()), task, ..Default::default() };
            assert_eq!(of::<StopTask>(&world, &input), [format!("ecs:StopTask {OWN}:task/web/{id}")]);
            assert_eq!(key(&world, &input, "cluster"), [format!("{OWN}:cluster/web")]);
            assert_eq!(key(&world, &input, "task"), [format!("{OWN}:task/web/{id}")]);
        }
    }

    #[test]
    fn the_releases_of_a_service_are_of_the_cluster_in_the_arn() {
        let world = World::new();
        let service = format!("{OWN}:service/web/api");
        let input = ListServiceDeploymentsInput { service: service.clone(), ..Default::default() };
        assert_eq!(of::<ListServiceDeployments>(&world, &input), [format!("ecs:ListServiceDeployments {service}")]);
        assert_eq!(key(&world, &input, "cluster"), [format!("{OWN}:cluster/web")]);
        let of = |cluster| format!("{OWN}:service-deployment/{cluster}/api/0123");
        let service_deployment_arns = vec![of("web"), of("other")];
        let input = DescribeServiceDeploymentsInput { service_deployment_arns };
        let cluster = |resource: &str| key_in(&world, "", resource, &input, "cluster");
        assert_eq!(cluster(&of("web")), [format!("{OWN}:cluster/web")], "each by its own");
        assert_eq!(cluster(&of("other")), [format!("{OWN}:cluster/other")]);
    }

    #[test]
    fn no_revision_is_the_latest_active_one() {
        let world = World::new();
        world.define("web");
        let run = |given: &str| {
            let input = RunTaskInput { task_definition: given.to_owned(), ..Default::default() };
            let of_key = key(&world, &input, "task-definition");
            let asked = of::<RunTask>(&world, &input);
            assert_eq!(asked, [format!("ecs:RunTask {}", of_key[0])]);
            asked[0].rsplit('/').next().map(str::to_owned).unwrap_or_default()
        };
        let family = format!("{OWN}:task-definition/web");
        assert_eq!([run("web"), run(&family), run("web:1"), run("none")], ["web:2", "web:2", "web:1", "none"]);
        let input = DeregisterTaskDefinitionInput { task_definition: "web:2".to_owned() };
        world
            .write(|tx, cx| crate::ecs::deregister_task_definition::deregister_task_definition(tx, cx, input))
            .expect("it is deregistered");
        assert_eq!(run("web"), "web:1");
    }

    #[test]
    fn a_run_passes_the_roles_of_its_task_definition_that_nothing_replaces() {
        let world = World::new();
        let role = world.role();
        world.fixture.write(move |tx, cx| {
            tx.task_definitions().update(&(cx.scope.clone(), "web".into(), 1), |row| {
                row.task_role_arn = Some(role);
                row.execution_role_arn = Some("pull".to_owned());
            });
        });
        let run = |task_role: Option<&str>, execution_role: Option<&str>| {
            let overrides = TaskOverride {
                task_role_arn: task_role.map(str::to_owned),
                execution_role_arn: execution_role.map(str::to_owned),
                ..Default::default()
            };
            let input =
                RunTaskInput { task_definition: "web".into(), overrides: Some(overrides), ..Default::default() };
            let mut asked = of::<RunTask>(&world, &input);
            assert_eq!(asked.remove(0), format!("ecs:RunTask {OWN}:task-definition/web:1"));
            asked.iter().map(|line| line.replace("iam:PassRole arn:aws:iam::123456789012:role/", "")).collect()
        };
        let both: Vec<String> = run(None, None);
        assert_eq!(both, ["app", "pull"]);
        assert_eq!(run(Some(""), Some("")), both, "no name is no override");
        assert_eq!(run(Some("other"), None), ["pull", "other"]);
        assert_eq!(run(None, Some("other")), ["app", "other"]);
    }

    #[test]
    fn a_task_definition_is_privileged_by_any_container_and_sized_in_units_and_mib() {
        let world = World::new();
        let container = |privileged| ContainerDefinition { privileged, ..Default::default() };
        let input = |all: &[Option<bool>]| RegisterTaskDefinitionInput {
            container_definitions: all.iter().map(|privileged| container(*privileged)).collect(),
            cpu: Some("4 vCPU".to_owned()),
            memory: Some("30 GB".to_owned()),
            ..Default::default()
        };
        let privileged = |all: &[Option<bool>]| key(&world, &input(all), "privileged");
        assert_eq!(privileged(&[Some(false), None, Some(true)]), ["true"]);
        assert_eq!(privileged(&[Some(false), None]), ["false"]);
        assert!(privileged(&[None]).is_empty());
        assert_eq!(key(&world, &input(&[]), "task-cpu"), ["4096"]);
        assert_eq!(key(&world, &input(&[]), "task-memory"), ["30720"]);
    }

    #[test]
    fn capacity_providers_are_arns_wherever_a_request_names_them() {
        let world = World::new();
        let arn = |name: &str| format!("{OWN}:capacity-provider/{name}");
        let item = |name: &str| CapacityProviderStrategyItem {
            capacity_provider: Some(name.to_owned()),
            ..Default::default()
        };
        let run = RunTaskInput { capacity_provider_strategy: Some(vec![item("FARGATE")]), ..Default::default() };
        assert_eq!(key(&world, &run, "capacity-provider"), [arn("FARGATE")]);
        let cluster = CreateClusterInput {
            capacity_providers: Some(vec!["FARGATE".to_owned()]),
            default_capacity_provider_strategy: Some(vec![item("FARGATE_SPOT")]),
            ..Default::default()
        };
        assert_eq!(key(&world, &cluster, "capacity-provider"), [arn("FARGATE"), arn("FARGATE_SPOT")]);
        assert!(key(&world, &RunTaskInput::default(), "capacity-provider").is_empty());
    }

    #[test]
    fn what_a_run_tags_is_known_and_so_is_what_created_it() {
        let world = World::new();
        let input = RunTaskInput {
            propagate_tags: Some("TASK_DEFINITION".to_owned()),
            enable_ecs_managed_tags: Some(true),
            ..Default::default()
        };
        assert_eq!(key(&world, &input, "propagate-tags"), ["TASK_DEFINITION"]);
        assert_eq!(key(&world, &input, "enable-ecs-managed-tags"), ["true"]);
        assert_eq!(key_in(&world, "RunTask", "", &input, "createaction"), ["RunTask"]);
        assert!(key_in(&world, "TagResource", "", &input, "createaction").is_empty());
        assert!(key_in(&world, "StopTask", "", &input, "createaction").is_empty());
    }
}
