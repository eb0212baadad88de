//! A cluster `web` with a task definition, for tests of ECS's handlers.

use super::capacity_providers::put_cluster_capacity_providers;
use super::create_cluster::create_cluster;
use super::create_service::create_service;
use super::launch::{Launch, launch};
use super::register_task_definition::register_task_definition;
use super::run_task::run_task;
use crate::Cx;
use crate::iam::create_role::create_role;
use crate::testing::Fixture;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_aws_model::iam::CreateRoleInput;
use longshore_store::{Snapshot, Tx};
use longshore_types::ecs::TaskOverride;
use longshore_types::id::{Family, ServiceName, SubnetId};
use std::collections::BTreeMap;

pub struct World {
    pub fixture: Fixture,
    pub subnets: Vec<SubnetId>,
}

impl World {
    pub fn new() -> Self {
        let fixture = Fixture::new();
        let subnets = fixture.read(|state, _| state.subnets().all().map(|subnet| subnet.id.clone()).collect());
        let world = Self { fixture, subnets };
        let cluster = CreateClusterInput { cluster_name: Some("web".into()), ..Default::default() };
        world.write(|tx, cx| create_cluster(tx, cx, cluster)).expect("a cluster");
        world.define("web");
        world
    }

    /// A role that tasks may have: its ARN.
    pub fn role(&self) -> String {
        let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
        let role = CreateRoleInput {
            role_name: "app".to_owned(),
            assume_role_policy_document: trust.to_owned(),
            ..Default::default()
        };
        self.write(|tx, cx| create_role(tx, cx, role)).expect("a role");
        "arn:aws:iam::123456789012:role/app".to_owned()
    }

    /// A new revision of a family.
    pub fn define(&self, family: &str) {
        let container = ContainerDefinition {
            name: Some("app".into()),
            image: Some("app:1".into()),
            port_mappings: Some(vec![PortMapping { container_port: Some(80), ..Default::default() }]),
            ..Default::default()
        };
        let input = RegisterTaskDefinitionInput {
            family: family.into(),
            container_definitions: vec![container],
            network_mode: Some("awsvpc".into()),
            requires_compatibilities: Some(vec!["FARGATE".into()]),
            cpu: Some("256".into()),
            memory: Some("512".into()),
            ..Default::default()
        };
        self.write(|tx, cx| register_task_definition(tx, cx, input)).expect("a task definition");
    }

    /// Runs a handler as a request runs it: undone when it fails.
    pub fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx, &Cx) -> Result<T, AwsError> + Send + 'static,
    ) -> Result<T, AwsError> {
        self.fixture.try_write(f)
    }

    pub fn read<T>(&self, f: impl FnOnce(&Snapshot, &Cx) -> T) -> T {
        self.fixture.read(f)
    }

    pub fn network(&self) -> NetworkConfiguration {
        NetworkConfiguration {
            awsvpc_configuration: Some(AwsVpcConfiguration {
                subnets: Some(self.subnets.iter().map(ToString::to_string).collect()),
                ..Default::default()
            }),
        }
    }

    pub fn run_task(&self, change: impl FnOnce(&mut RunTaskInput)) -> Result<Vec<Task>, AwsError> {
        let default = self.read(|state, _| state.clusters().all().any(|c| !c.default_strategy.is_empty()));
        let mut input = RunTaskInput {
            cluster: Some("web".into()),
            task_definition: "web".into(),
            launch_type: (!default).then(|| "FARGATE".into()),
            network_configuration: Some(self.network()),
            ..Default::default()
        };
        change(&mut input);
        self.write(|tx, cx| run_task(tx, cx, input)).map(|output| output.tasks.unwrap_or_default())
    }

    /// A task on FARGATE_SPOT: its ARN.
    pub fn spot_task(&self) -> String {
        let item =
            CapacityProviderStrategyItem { capacity_provider: Some("FARGATE_SPOT".into()), ..Default::default() };
        let input = PutClusterCapacityProvidersInput {
            cluster: "web".into(),
            capacity_providers: vec!["FARGATE_SPOT".into()],
            default_capacity_provider_strategy: vec![item],
        };
        self.write(|tx, cx| put_cluster_capacity_providers(tx, cx, input)).expect("a strategy");
        self.run_task(|_| {}).expect("it runs")[0].task_arn.clone().expect("an ARN")
    }

    pub fn create_service(&self, change: impl FnOnce(&mut CreateServiceInput)) -> Result<Service, AwsError> {
        let mut input = CreateServiceInput {
            cluster: Some("web".into()),
            service_name: "s".into(),
            task_definition: Some("web".into()),
            desired_count: Some(2),
            launch_type: Some("FARGATE".into()),
            network_configuration: Some(self.network()),
            ..Default::default()
        };
        change(&mut input);
        self.write(|tx, cx| create_service(tx, cx, input)).map(|output| output.service.expect("a service"))
    }

    /// A task as the scheduler of service `s` starts them: its ARN.
    pub fn service_task(&self) -> String {
        self.fixture.write(|tx, cx| {
            let definition = tx.task_definitions().get(&(cx.scope.clone(), Family::from("web"), 1)).expect("defined");
            let subnets = tx.snapshot().subnets().all().map(|subnet| subnet.id.clone()).collect();
            let network =
                longshore_types::ecs::AwsVpcConfiguration { subnets, security_groups: vec![], assign_public_ip: false };
            let wanted = Launch {
                cluster: &"web".into(),
                definition: &definition,
                network: &network,
                group: "service:s".into(),
                started_by: None,
                service: Some(ServiceName::from("s")),
                deployment: None,
                capacity_provider: None,
                enable_execute_command: false,
                overrides: TaskOverride::default(),
                tags: Default::default(),
                client_token: None,
                image_digests: &BTreeMap::new(),
                zone: None,
            };
            let task = launch(tx, cx, wanted).expect("there is room");
            longshore_types::arn::task(&cx.scope, &task.cluster, &task.id)
        })
    }
}
