//! The filters and pages of ECS's lists, as tables.

use super::testing::World;
use super::*;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_types::ecs::DesiredStatus;
use std::fmt::Debug;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn refused<T: Debug>(result: Result<T, AwsError>, code: &str, text: &str) {
    let error = result.expect_err(text);
    assert_eq!((error.code.as_ref(), error.message.as_str()), (code, text));
}

/// The last parts of ARNs.
fn ends(arns: Option<Vec<String>>) -> Vec<String> {
    arns.unwrap_or_default().iter().map(|arn| arn.rsplit('/').next().unwrap_or(arn).to_owned()).collect()
}

#[test]
fn tasks_are_listed_by_every_filter() {
    let world = World::new();
    world.define("other");
    world.create_service(|_| {}).expect("a service");
    let [alone, other, stopped] = [("web", "ci"), ("other", "ci"), ("web", "me")].map(|(family, by)| {
        let (family, by) = (family.to_owned(), by.to_owned());
        let tasks = world.run_task(|input| (input.task_definition, input.started_by) = (family, Some(by)));
        ends(tasks.expect("it runs").into_iter().map(|task| task.task_arn).collect())[0].clone()
    });
    let key = (world.read(|_, cx| cx.scope.clone()), stopped.as_str().into());
    world.fixture.write(move |tx, _| {
        tx.tasks().update(&key, |task| task.desired_status = DesiredStatus::Stopped);
    });
    let served = ends(Some(vec![world.service_task()]))[0].clone();
    let spot = ends(Some(vec![world.spot_task()]))[0].clone();
    type Change = fn(&mut ListTasksInput);
    let cases: [(&str, Change, &[&str]); 14] = [
        ("all", |_| {}, &[&alone, &other, &served, &spot]),
        ("family", |i| i.family = some("web"), &[&alone, &served, &spot]),
        ("part of a family", |i| i.family = some("we"), &[]),
        ("started by", |i| i.started_by = some("ci"), &[&alone, &other]),
        ("nobody", |i| i.started_by = some("nobody"), &[]),
        ("service", |i| i.service_name = some("s"), &[&served]),
        ("its ARN", |i| i.service_name = some("arn:aws:ecs:us-east-1:123456789012:service/web/s"), &[&served]),
        ("service and family", |i| (i.service_name, i.family) = (some("s"), some("other")), &[]),
        ("running", |i| i.desired_status = some("RUNNING"), &[&alone, &other, &served, &spot]),
        ("stopped", |i| i.desired_status = some("STOPPED"), &[&stopped]),
        ("pending", |i| i.desired_status = some("PENDING"), &[]),
        ("launch type", |i| i.launch_type = some("FARGATE"), &[&alone, &other, &served, &spot]),
        ("EC2", |i| i.launch_type = some("EC2"), &[]),
        ("instance", |i| i.container_instance = some("i"), &[]),
    ];
    let list = |change: Change| {
        let mut input = ListTasksInput { cluster: some("web"), ..Default::default() };
        change(&mut input);
        world.read(|state, cx| list_tasks::list_tasks(state, cx, input))
    };
    for (name, change, expected) in cases {
        let mut expected: Vec<String> = expected.iter().map(|id| (*id).to_owned()).collect();
        expected.sort();
        assert_eq!(ends(list(change).expect(name).task_arns), expected, "{name}");
    }
    let only = "When you specify startedBy as the filter, it must be the only filter that you use.";
    let both: [Change; 3] = [
        |i| (i.started_by, i.family) = (some("ci"), some("web")),
        |i| (i.started_by, i.service_name) = (some("ci"), some("s")),
        |i| (i.started_by, i.container_instance) = (some("ci"), some("i")),
    ];
    both.into_iter().for_each(|change| refused(list(change), "InvalidParameterException", only));
    refused(list(|i| i.service_name = some("no")), "ServiceNotFoundException", "Service not found.");
    refused(list(|i| i.cluster = some("no")), "ClusterNotFoundException", "Cluster not found.");
    refused(list(|i| i.next_token = some("%")), "InvalidParameterException", "Invalid token.");
}

#[test]
fn pages_have_one_to_so_many_rows() {
    let world = World::new();
    let list: [(&str, usize, &dyn Fn(i32) -> Option<AwsError>); 9] = [
        ("ListTasks", 100, &|n| {
            let input = ListTasksInput { cluster: some("web"), max_results: Some(n), ..Default::default() };
            world.read(|state, cx| list_tasks::list_tasks(state, cx, input)).err()
        }),
        ("ListServices", 100, &|n| {
            let input = ListServicesInput { cluster: some("web"), max_results: Some(n), ..Default::default() };
            world.read(|state, cx| list_services::list_services(state, cx, input)).err()
        }),
        ("ListClusters", 100, &|n| {
            let input = ListClustersInput { max_results: Some(n), ..Default::default() };
            world.read(|state, cx| list_clusters::list_clusters(state, cx, input)).err()
        }),
        ("ListTaskDefinitions", 100, &|n| {
            let input = ListTaskDefinitionsInput { max_results: Some(n), ..Default::default() };
            world.read(|state, cx| list_task_definitions::list_task_definitions(state, cx, input)).err()
        }),
        ("ListTaskDefinitionFamilies", 100, &|n| {
            let input = ListTaskDefinitionFamiliesInput { max_results: Some(n), ..Default::default() };
            world.read(|state, cx| list_task_definitions::list_task_definition_families(state, cx, input)).err()
        }),
        ("ListContainerInstances", 100, &|n| {
            let input =
                ListContainerInstancesInput { cluster: some("web"), max_results: Some(n), ..Default::default() };
            world.read(|state, cx| container_instances::list_container_instances(state, cx, input)).err()
        }),
        ("ListAttributes", 100, &|n| {
            let target_type = "container-instance".to_owned();
            let input =
                ListAttributesInput { cluster: some("web"), target_type, max_results: Some(n), ..Default::default() };
            world.read(|state, cx| container_instances::list_attributes(state, cx, input)).err()
        }),
        ("DescribeCapacityProviders", 10, &|n| {
            let input = DescribeCapacityProvidersInput { max_results: Some(n), ..Default::default() };
            world.read(|state, cx| capacity_providers::describe_capacity_providers(state, cx, input)).err()
        }),
        ("ListAccountSettings", 10, &|n| {
            let input = ListAccountSettingsInput { max_results: Some(n), ..Default::default() };
            world.read(|state, cx| account_settings::list_account_settings(state, cx, input)).err()
        }),
    ];
    for (name, most, list) in list {
        for n in [1, most as i32] {
            assert_eq!(list(n), None, "{name} {n}");
        }
        for n in [-1, 0, most as i32 + 1] {
            // Its model has 0 for a page of the usual size.
            if name == "ListAccountSettings" && n == 0 {
                continue;
            }
            let error = list(n).unwrap_or_else(|| panic!("{name} takes {n}"));
            assert_eq!(error.message, format!("maxResults must be between 1 and {most}."), "{name} {n}");
        }
    }
    let input = ListServicesByNamespaceInput { namespace: "apps".to_owned(), ..Default::default() };
    refused(
        world.read(|state, cx| container_instances::list_services_by_namespace(state, cx, input)),
        "NamespaceNotFoundException",
        "The specified namespace wasn't found.",
    );
}

#[test]
fn services_are_listed_by_every_filter_and_ten_a_page() {
    let world = World::new();
    for n in 0..12 {
        world.create_service(|input| input.service_name = format!("s{n:02}")).expect("a service");
    }
    type Change = fn(&mut ListServicesInput);
    let list = |change: Change, token: Option<String>| {
        let mut input = ListServicesInput { cluster: some("web"), next_token: token, ..Default::default() };
        change(&mut input);
        world.read(|state, cx| list_services::list_services(state, cx, input)).expect("a list")
    };
    let first = list(|_| {}, None);
    assert_eq!(ends(first.service_arns).len(), 10);
    assert_eq!(ends(list(|_| {}, first.next_token).service_arns), ["s10", "s11"]);
    let cases: [(Change, usize); 7] = [
        (|i| i.launch_type = some("FARGATE"), 12),
        (|i| i.launch_type = some("EC2"), 0),
        (|i| i.scheduling_strategy = some("REPLICA"), 12),
        (|i| i.scheduling_strategy = some("DAEMON"), 0),
        (|i| i.resource_management_type = some("CUSTOMER"), 12),
        (|i| i.resource_management_type = some("ECS"), 0),
        (|i| (i.launch_type, i.scheduling_strategy) = (some("FARGATE"), some("DAEMON")), 0),
    ];
    for (n, (change, expected)) in cases.into_iter().enumerate() {
        let mut input = ListServicesInput { cluster: some("web"), max_results: Some(100), ..Default::default() };
        change(&mut input);
        let seen = world.read(|state, cx| list_services::list_services(state, cx, input)).expect("a list");
        assert_eq!(ends(seen.service_arns).len(), expected, "case {n}");
    }
}

#[test]
fn task_definitions_are_listed_by_family_status_and_in_both_directions() {
    let world = World::new();
    for _ in 0..2 {
        world.define("web");
    }
    for family in ["web-2", "api"] {
        world.define(family);
    }
    let deregister = |definition: &str| {
        let input = DeregisterTaskDefinitionInput { task_definition: definition.to_owned() };
        let done = world.write(|tx, cx| deregister_task_definition::deregister_task_definition(tx, cx, input));
        done.expect("there is one");
    };
    deregister("api:1");
    deregister("web:2");
    type Change = fn(&mut ListTaskDefinitionsInput);
    let list = |change: Change, token: Option<String>| {
        let mut input = ListTaskDefinitionsInput { next_token: token, ..Default::default() };
        change(&mut input);
        world.read(|state, cx| list_task_definitions::list_task_definitions(state, cx, input)).expect("a list")
    };
    let cases: [(Change, &[&str]); 6] = [
        (|_| {}, &["web-2:1", "web:1", "web:3"]),
        (|i| i.sort = some("DESC"), &["web:3", "web:1", "web-2:1"]),
        (|i| i.family_prefix = some("web"), &["web:1", "web:3"]),
        (|i| i.status = some("INACTIVE"), &["api:1", "web:2"]),
        (|i| (i.status, i.family_prefix) = (some("INACTIVE"), some("web")), &["web:2"]),
        (|i| i.status = some("DELETE_IN_PROGRESS"), &[]),
    ];
    for (n, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(ends(list(change, None).task_definition_arns), expected, "case {n}");
    }
    // A page follows the one before although rows have come and gone.
    let down: Change = |i| (i.sort, i.max_results) = (some("DESC"), Some(1));
    let first = list(down, None);
    assert_eq!(ends(first.task_definition_arns), ["web:3"]);
    world.define("web");
    deregister("web:3");
    assert_eq!(ends(list(down, first.next_token).task_definition_arns), ["web:1"]);

    let families = |prefix: Option<&str>, status: Option<&str>| {
        let input = ListTaskDefinitionFamiliesInput {
            family_prefix: prefix.map(str::to_owned),
            status: status.map(str::to_owned),
            ..Default::default()
        };
        let list = world.read(|state, cx| list_task_definitions::list_task_definition_families(state, cx, input));
        list.expect("a list").families.unwrap_or_default()
    };
    assert_eq!(families(None, None), ["api", "web", "web-2"]);
    assert_eq!(families(None, Some("ALL")), ["api", "web", "web-2"]);
    assert_eq!(families(Some("we"), Some("ACTIVE")), ["web", "web-2"]);
    assert_eq!(families(None, Some("INACTIVE")), ["api"]);
}

#[test]
fn what_is_missing_is_a_failure_with_its_arn() {
    let world = World::new();
    world.create_service(|_| {}).expect("a service");
    let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:123456789012:{rest}");
    let told = |failures: Option<Vec<Failure>>| -> Vec<(String, String)> {
        failures
            .unwrap_or_default()
            .into_iter()
            .map(|failure| (failure.reason.unwrap_or_default(), failure.arn.unwrap_or_default()))
            .collect()
    };
    let missing = |arns: &[String]| -> Vec<(String, String)> {
        arns.iter().map(|arn| ("MISSING".to_owned(), arn.clone())).collect()
    };
    let services = vec!["s".to_owned(), "no".to_owned(), arn("service/web/none"), arn("service/old")];
    let input = DescribeServicesInput { cluster: some("web"), services, ..Default::default() };
    let seen = world.read(|state, cx| describe_services::describe_services(state, cx, input)).expect("an answer");
    assert_eq!(seen.services.map(|list| list.len()), Some(1));
    let expected = [arn("service/web/no"), arn("service/web/none"), arn("service/web/old")];
    assert_eq!(told(seen.failures), missing(&expected));

    let id = "0123456789abcdef0123456789abcdef";
    let other = "0123456789abcdef0123456789abcdee";
    let tasks = vec![id.to_owned(), arn(&format!("task/web/{other}"))];
    let input = DescribeTasksInput { cluster: some("web"), tasks, ..Default::default() };
    let seen = world.read(|state, cx| describe_tasks::describe_tasks(state, cx, input)).expect("an answer");
    let expected = [arn(&format!("task/web/{id}")), arn(&format!("task/web/{other}"))];
    assert_eq!(told(seen.failures), missing(&expected));

    let elsewhere = "arn:aws:ecs:eu-west-1:123456789012:cluster/web".to_owned();
    let input = DescribeClustersInput { clusters: Some(vec!["no".to_owned(), elsewhere]), ..Default::default() };
    let seen = world.read(|state, cx| describe_clusters::describe_clusters(state, cx, input)).expect("an answer");
    assert_eq!(told(seen.failures), missing(&[arn("cluster/no"), arn("cluster/web")]));

    let many = |n: usize| vec!["s".to_owned(); n];
    let input = DescribeServicesInput { cluster: some("web"), services: many(11), ..Default::default() };
    let seen = world.read(|state, cx| describe_services::describe_services(state, cx, input));
    refused(seen, "InvalidParameterException", "service names can have at most 10 items.");
    let input = DescribeTasksInput { cluster: some("web"), tasks: many(101), ..Default::default() };
    let seen = world.read(|state, cx| describe_tasks::describe_tasks(state, cx, input));
    refused(seen, "InvalidParameterException", "taskIds can have at most 100 items.");
}

#[test]
fn arns_of_elsewhere_lead_to_nothing_here() {
    let world = World::new();
    world.create_service(|_| {}).expect("a service");
    world.define("web");
    let id = "0123456789abcdef0123456789abcdef";
    let elsewhere = [
        ("us-east-1:123456789012", "default", "cluster web. Your cluster is default"),
        ("eu-west-1:123456789012", "web", "region eu-west-1. Your region is us-east-1"),
        ("us-east-1:210987654321", "web", "account 210987654321. Your account is 123456789012"),
    ];
    for (place, cluster, told) in elsewhere {
        let told = format!("Invalid identifier: Identifier is for {told}");
        let service = format!("arn:aws:ecs:{place}:service/web/s");
        let input = UpdateServiceInput {
            cluster: some(cluster),
            service: service.clone(),
            desired_count: Some(7),
            ..Default::default()
        };
        refused(
            world.write(|tx, cx| update_service::update_service(tx, cx, input)),
            "InvalidParameterException",
            &told,
        );
        let input = DeleteServiceInput { cluster: some(cluster), service: service.clone(), force: Some(true) };
        refused(
            world.write(|tx, cx| delete_service::delete_service(tx, cx, input)),
            "InvalidParameterException",
            &told,
        );
        let input = DescribeServicesInput { cluster: some(cluster), services: vec![service], ..Default::default() };
        let seen = world.read(|state, cx| describe_services::describe_services(state, cx, input));
        refused(seen, "InvalidParameterException", &told);
        let task = format!("arn:aws:ecs:{place}:task/web/{id}");
        let input = DescribeTasksInput { cluster: some(cluster), tasks: vec![task.clone()], ..Default::default() };
        let seen = world.read(|state, cx| describe_tasks::describe_tasks(state, cx, input));
        refused(seen, "InvalidParameterException", &told);
        let input = StopTaskInput { cluster: some(cluster), task, ..Default::default() };
        refused(world.write(|tx, cx| stop_task::stop_task(tx, cx, input)), "InvalidParameterException", &told);
    }
    let definition = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1";
    let ran = world.run_task(|input| input.task_definition = definition.to_owned());
    refused(ran, "ClientException", "TaskDefinition not found.");
    let input = DeregisterTaskDefinitionInput { task_definition: definition.to_owned() };
    let gone = world.write(|tx, cx| deregister_task_definition::deregister_task_definition(tx, cx, input));
    refused(gone, "ClientException", "The specified task definition does not exist.");
    for task in ["x", "arn:aws:ecs:us-east-1:123456789012:task/web/x", ""] {
        let input = DescribeTasksInput { cluster: some("web"), tasks: vec![task.to_owned()], ..Default::default() };
        let seen = world.read(|state, cx| describe_tasks::describe_tasks(state, cx, input));
        refused(seen, "InvalidParameterException", "taskId length should be one of [32,36]");
    }
}
