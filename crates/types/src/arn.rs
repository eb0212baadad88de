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

/// In one piece: every list and description is full of these, and a text that grows as it is formatted is moved on its way.
fn arn<const N: usize>(service: &str, scope: &Scope, resource: [&str; N]) -> String {
    let head = ["arn:aws:", service, ":", scope.region.as_str(), ":", scope.account.as_str(), ":"];
    let parts = || head.iter().chain(&resource);
    let mut text = String::with_capacity(parts().map(|part| part.len()).sum());
    parts().for_each(|part| text.push_str(part));
    text
}

pub fn cluster(scope: &Scope, name: &ClusterName) -> String {
    arn("ecs", scope, ["cluster/", name.as_str()])
}

pub fn service(scope: &Scope, cluster: &ClusterName, name: &ServiceName) -> String {
    arn("ecs", scope, ["service/", cluster.as_str(), "/", name.as_str()])
}

pub fn service_deployment(scope: &Scope, cluster: &ClusterName, service: &ServiceName, id: &str) -> String {
    arn("ecs", scope, ["service-deployment/", cluster.as_str(), "/", service.as_str(), "/", id])
}

pub fn service_revision(scope: &Scope, cluster: &ClusterName, service: &ServiceName, number: u64) -> String {
    arn("ecs", scope, ["service-revision/", cluster.as_str(), "/", service.as_str(), "/", &number.to_string()])
}

pub fn capacity_provider(scope: &Scope, name: &str) -> String {
    arn("ecs", scope, ["capacity-provider/", name])
}

pub fn task(scope: &Scope, cluster: &ClusterName, id: &TaskId) -> String {
    arn("ecs", scope, ["task/", cluster.as_str(), "/", id.as_str()])
}

pub fn container(scope: &Scope, cluster: &ClusterName, task: &TaskId, id: &str) -> String {
    arn("ecs", scope, ["container/", cluster.as_str(), "/", task.as_str(), "/", id])
}

pub fn task_definition(scope: &Scope, family: &Family, revision: u32) -> String {
    arn("ecs", scope, ["task-definition/", family.as_str(), ":", &revision.to_string()])
}

pub fn ec2(scope: &Scope, kind: &str, id: &str) -> String {
    arn("ec2", scope, [kind, "/", id])
}

pub fn ecr_repository(scope: &Scope, name: &str) -> String {
    arn("ecr", scope, ["repository/", name])
}

/// Without the trailing `:*` that DescribeLogGroups adds to `arn`.
pub fn log_group(scope: &Scope, name: &str) -> String {
    arn("logs", scope, ["log-group:", name])
}

pub fn role(account: &AccountId, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role{path}{name}")
}

/// A user, group, policy or instance profile: `kind` is `user`, `group`, `policy`, `instance-profile`.
pub fn iam(account: &AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

pub fn elbv2(scope: &Scope, resource: &str) -> String {
    arn("elasticloadbalancing", scope, [resource])
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
