//! Amazon Resource Names: `arn:aws:<service>:<region>:<account>:<resource>`.

use crate::id::*;

/// The parts of an ARN that is known to have six fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    /// Everything after the fifth colon: `task/web/0123…`, `role/Name`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// `None` if the text is not an ARN of the partition `aws`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" || parts.next()? != "aws" {
            return None;
        }
        Some(Self { service: parts.next()?, region: parts.next()?, account: parts.next()?, resource: parts.next()? })
    }
}

fn arn(service: &str, scope: &Scope, resource: std::fmt::Arguments<'_>) -> String {
    format!("arn:aws:{service}:{}:{}:{resource}", scope.region, scope.account)
}

pub fn cluster(scope: &Scope, name: &ClusterName) -> String {
    arn("ecs", scope, format_args!("cluster/{name}"))
}

pub fn service(scope: &Scope, cluster: &ClusterName, name: &ServiceName) -> String {
    arn("ecs", scope, format_args!("service/{cluster}/{name}"))
}

pub fn service_deployment(scope: &Scope, cluster: &ClusterName, service: &ServiceName, id: &str) -> String {
    arn("ecs", scope, format_args!("service-deployment/{cluster}/{service}/{id}"))
}

pub fn service_revision(scope: &Scope, cluster: &ClusterName, service: &ServiceName, number: u64) -> String {
    arn("ecs", scope, format_args!("service-revision/{cluster}/{service}/{number}"))
}

pub fn capacity_provider(scope: &Scope, name: &str) -> String {
    arn("ecs", scope, format_args!("capacity-provider/{name}"))
}

pub fn task(scope: &Scope, cluster: &ClusterName, id: &TaskId) -> String {
    arn("ecs", scope, format_args!("task/{cluster}/{id}"))
}

pub fn container(scope: &Scope, cluster: &ClusterName, task: &TaskId, id: &str) -> String {
    arn("ecs", scope, format_args!("container/{cluster}/{task}/{id}"))
}

pub fn task_definition(scope: &Scope, family: &Family, revision: u32) -> String {
    arn("ecs", scope, format_args!("task-definition/{family}:{revision}"))
}

pub fn ec2(scope: &Scope, kind: &str, id: &str) -> String {
    arn("ec2", scope, format_args!("{kind}/{id}"))
}

pub fn ecr_repository(scope: &Scope, name: &str) -> String {
    arn("ecr", scope, format_args!("repository/{name}"))
}

/// Without the trailing `:*` that DescribeLogGroups adds to `arn`.
pub fn log_group(scope: &Scope, name: &str) -> String {
    arn("logs", scope, format_args!("log-group:{name}"))
}

pub fn role(account: &AccountId, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role{path}{name}")
}

/// A user, group, policy or instance profile: `kind` is `user`, `group`, `policy`, `instance-profile`.
pub fn iam(account: &AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

pub fn elbv2(scope: &Scope, resource: &str) -> String {
    arn("elasticloadbalancing", scope, format_args!("{resource}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_splits_into_its_fields() {
        let scope = Scope::new("123456789012", "us-east-1");
        let text = task(&scope, &"web".into(), &"0123".into());
        let arn = Arn::parse(&text).expect("well formed");
        assert_eq!((arn.service, arn.account, arn.resource), ("ecs", "123456789012", "task/web/0123"));
        assert_eq!(Arn::parse("task/web/0123"), None);
        assert_eq!(Arn::parse("arn:aws:ecs:us-east-1"), None);
    }
}
