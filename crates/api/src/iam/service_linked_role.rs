//! CreateServiceLinkedRole, DeleteServiceLinkedRole and GetServiceLinkedRoleDeletionStatus: roles that are AWS services' own.

use super::{error, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::Role as Row;
use longshore_types::{AccountId, arn};
use std::collections::BTreeSet;

/// A service, and the role that is its own.
#[derive(Debug)]
pub struct Linked {
    service: &'static str,
    role: &'static str,
    policy: &'static str,
    /// What AWS says the role is for.
    purpose: &'static str,
}

pub const ECS: Linked = Linked {
    service: "ecs.amazonaws.com",
    role: "AWSServiceRoleForECS",
    policy: "AmazonECSServiceRolePolicy",
    purpose: "Role to enable Amazon ECS to manage your cluster.",
};

pub const ELASTIC_LOAD_BALANCING: Linked = Linked {
    service: "elasticloadbalancing.amazonaws.com",
    role: "AWSServiceRoleForElasticLoadBalancing",
    policy: "AWSElasticLoadBalancingServiceRolePolicy",
    purpose: "Allows ELB to call AWS services on your behalf.",
};

const APPLICATION_AUTO_SCALING: Linked = Linked {
    service: "ecs.application-autoscaling.amazonaws.com",
    role: "AWSServiceRoleForApplicationAutoScaling_ECSService",
    policy: "AWSApplicationAutoscalingECSServicePolicy",
    purpose: "Allows Application Auto Scaling to scale ECS services.",
};

impl Linked {
    /// Of the role in an account, whether or not it is there yet.
    pub fn arn(&self, account: &AccountId) -> String {
        arn::role(account, &path(self.service), self.role)
    }
}

/// The path of the roles of a service.
pub fn path(service: &str) -> String {
    format!("/aws-service-role/{service}/")
}

fn linked(service: &str) -> Option<&'static Linked> {
    [&ECS, &ELASTIC_LOAD_BALANCING, &APPLICATION_AUTO_SCALING].into_iter().find(|linked| linked.service == service)
}

/// The name of a service's role.
pub fn name(service: &str) -> Option<&'static str> {
    linked(service).map(|linked| linked.role)
}

/// Makes a service's role where there is none, as the service does with the first thing that needs it:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html>.
pub fn ensure(tx: &mut Tx, cx: &Cx, linked: &Linked) {
    let key = (cx.scope.account.clone(), linked.role.to_owned());
    if !tx.roles().contains(&key) {
        tx.roles().put(key, role(cx, linked, None));
    }
}

fn role(cx: &Cx, linked: &Linked, description: Option<String>) -> Row {
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [linked.service]}}],
    });
    Row {
        name: linked.role.to_owned(),
        path: path(linked.service),
        id: format!("AROA{}", cx.ids().alphanumeric(17)),
        trust_policy: trust.to_string(),
        description: Some(description.unwrap_or_else(|| linked.purpose.to_owned())),
        max_session_seconds: 3600,
        created_at: cx.now,
        tags: Default::default(),
        attached_policies: BTreeSet::from([format!("arn:aws:iam::aws:policy/aws-service-role/{}", linked.policy)]),
        inline_policies: Default::default(),
        permissions_boundary: None,
        linked_service: Some(linked.service.to_owned()),
        last_used: None,
    }
}

pub fn create_service_linked_role(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateServiceLinkedRoleInput,
) -> Result<CreateServiceLinkedRoleOutput, AwsError> {
    let service = input.aws_service_name;
    let Some(linked) = linked(&service) else {
        let message = format!("Service-linked roles of {service} are not supported by Longshore.");
        return Err(error::invalid_input(message));
    };
    if input.custom_suffix.is_some() {
        return Err(error::invalid_input("Custom suffix is not allowed for ".to_owned() + &service));
    }
    let account = cx.scope.account.clone();
    let key = (account.clone(), linked.role.to_owned());
    if tx.roles().contains(&key) {
        return Err(error::invalid_input(format!(
            "Service role name {} has been taken in this account, please try a different suffix.",
            linked.role
        )));
    }
    let role = role(cx, linked, input.description);
    let sent = Role { role_last_used: None, ..view::role(&account, &role) };
    tx.roles().put(key, role);
    Ok(CreateServiceLinkedRoleOutput { role: Some(sent) })
}

/// Refused later, by its status, while the service has something that needs the role.
pub fn delete_service_linked_role(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteServiceLinkedRoleInput,
) -> Result<DeleteServiceLinkedRoleOutput, AwsError> {
    let role = roles::find(tx, cx, &input.role_name)?;
    let Some(service) = role.linked_service.clone() else {
        return Err(error::invalid_input(format!("{} is not a service-linked role.", role.name)));
    };
    let id = format!("task/aws-service-role/{service}/{}/{}", role.name, cx.ids().uuid());
    if !is_used(tx, cx, &service) {
        tx.roles().remove(&(cx.scope.account.clone(), role.name.clone()));
    }
    Ok(DeleteServiceLinkedRoleOutput { deletion_task_id: Some(id) })
}

fn is_used(state: &Snapshot, cx: &Cx, service: &str) -> bool {
    let own = |account: &AccountId| *account == cx.scope.account;
    match service {
        "ecs.amazonaws.com" => state.clusters().all().keys().any(|(scope, _)| own(&scope.account)),
        "elasticloadbalancing.amazonaws.com" => {
            state.load_balancers().all().keys().any(|(scope, _)| own(&scope.account))
        }
        _ => false,
    }
}

pub fn get_service_linked_role_deletion_status(
    state: &Snapshot,
    cx: &Cx,
    input: GetServiceLinkedRoleDeletionStatusInput,
) -> Result<GetServiceLinkedRoleDeletionStatusOutput, AwsError> {
    let missing = || error::no_such_entity_of(&format!("Deletion task {} not found.", input.deletion_task_id));
    let parts: Vec<&str> = input.deletion_task_id.split('/').collect();
    let ["task", "aws-service-role", service, role_name, _] = parts[..] else { return Err(missing()) };
    if name(service) != Some(role_name) {
        return Err(missing());
    }
    let key = (cx.scope.account.clone(), role_name.to_owned());
    let Some(role) = state.roles().get(&key) else {
        return Ok(GetServiceLinkedRoleDeletionStatusOutput { status: Some("SUCCEEDED".to_owned()), reason: None });
    };
    let role_arn = arn::role(&cx.scope.account, &role.path, &role.name);
    let reason = DeletionTaskFailureReasonType {
        reason: Some(format!("The role {role_arn} is used by resources of {service}. Delete them first.")),
        role_usage_list: None,
    };
    Ok(GetServiceLinkedRoleDeletionStatusOutput { status: Some("FAILED".to_owned()), reason: Some(reason) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::ecs::create_cluster::create_cluster;
    use crate::iam::delete_role::delete_role;
    use crate::iam::get_role::get_role;
    use crate::testing::Fixture;
    use longshore_aws_model::ecs::CreateClusterInput;

    fn input(service: &str) -> CreateServiceLinkedRoleInput {
        CreateServiceLinkedRoleInput { aws_service_name: service.to_owned(), ..Default::default() }
    }

    #[test]
    fn a_services_role_is_made_once_and_deleted_in_its_own_way() {
        let fixture = Fixture::new();
        let made = write(&fixture, create_service_linked_role, input("ecs.amazonaws.com")).expect("a role");
        assert_eq!(
            made.role.expect("a role").arn.as_deref(),
            Some("arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
        );
        assert_eq!(
            refusal(write(&fixture, create_service_linked_role, input("ecs.amazonaws.com"))),
            "InvalidInput: Service role name AWSServiceRoleForECS has been taken in this account, please try a different suffix."
        );
        let name = || "AWSServiceRoleForECS".to_owned();
        assert!(
            refusal(write(&fixture, delete_role, DeleteRoleInput { role_name: name() }))
                .starts_with("UnmodifiableEntity: Cannot perform the operation on the protected role")
        );
        let delete = DeleteServiceLinkedRoleInput { role_name: name() };
        let task = write(&fixture, delete_service_linked_role, delete).expect("begun").deletion_task_id;
        let status = GetServiceLinkedRoleDeletionStatusInput { deletion_task_id: task.expect("a task") };
        let status = read(&fixture, get_service_linked_role_deletion_status, status).expect("a status").status;
        assert_eq!(status.as_deref(), Some("SUCCEEDED"));
        assert_eq!(
            refusal(write(&fixture, create_service_linked_role, input("s3.amazonaws.com"))),
            "InvalidInput: Service-linked roles of s3.amazonaws.com are not supported by Longshore."
        );
    }

    #[test]
    fn a_services_role_comes_with_the_first_thing_that_needs_it_and_stays_while_it_is_needed() {
        let fixture = Fixture::new();
        let named = || GetRoleInput { role_name: ECS.role.to_owned() };
        assert!(refusal(read(&fixture, get_role, named())).starts_with("NoSuchEntity"));
        for name in ["one", "two"] {
            let cluster = CreateClusterInput { cluster_name: Some(name.to_owned()), ..Default::default() };
            write(&fixture, create_cluster, cluster).expect("a cluster");
        }
        let role = read(&fixture, get_role, named()).expect("a role").role.expect("a role");
        assert_eq!(role.path.as_deref(), Some("/aws-service-role/ecs.amazonaws.com/"));
        let delete = DeleteServiceLinkedRoleInput { role_name: ECS.role.to_owned() };
        let task = write(&fixture, delete_service_linked_role, delete).expect("begun").deletion_task_id;
        let status = GetServiceLinkedRoleDeletionStatusInput { deletion_task_id: task.expect("a task") };
        let status = read(&fixture, get_service_linked_role_deletion_status, status).expect("a status").status;
        assert_eq!(status.as_deref(), Some("FAILED"));
    }
}
