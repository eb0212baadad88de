//! CreateServiceLinkedRole, DeleteServiceLinkedRole and GetServiceLinkedRoleDeletionStatus: roles that are AWS services' own.

use super::{error, roles, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn;
use longshore_types::iam::Role as Row;
use std::collections::BTreeSet;

/// Service, role, its managed policy, what AWS says it is for.
const SERVICES: [(&str, &str, &str, &str); 3] = [
    (
        "ecs.amazonaws.com",
        "AWSServiceRoleForECS",
        "AmazonECSServiceRolePolicy",
        "Role to enable Amazon ECS to manage your cluster.",
    ),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
        "Allows ELB to call AWS services on your behalf.",
    ),
    (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
        "Allows Application Auto Scaling to scale ECS services.",
    ),
];

/// The name of a service's role.
pub fn name(service: &str) -> Option<&'static str> {
    SERVICES.iter().find(|(own, ..)| *own == service).map(|(_, name, ..)| *name)
}

pub fn create_service_linked_role(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateServiceLinkedRoleInput,
) -> Result<CreateServiceLinkedRoleOutput, AwsError> {
    let service = input.aws_service_name;
    let known = SERVICES.iter().find(|(own, ..)| *own == service);
    let Some((_, role_name, policy, purpose)) = known else {
        let message = format!("Service-linked roles of {service} are not supported by Longshore.");
        return Err(error::invalid_input(message));
    };
    if input.custom_suffix.is_some() {
        return Err(error::invalid_input("Custom suffix is not allowed for ".to_owned() + &service));
    }
    let account = cx.scope.account.clone();
    let key = (account.clone(), (*role_name).to_owned());
    if tx.roles().contains(&key) {
        return Err(error::invalid_input(format!(
            "Service role name {role_name} has been taken in this account, please try a different suffix."
        )));
    }
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [service]}}],
    });
    let role = Row {
        name: (*role_name).to_owned(),
        path: format!("/aws-service-role/{service}/"),
        id: format!("AROA{}", cx.ids().alphanumeric(17)),
        trust_policy: trust.to_string(),
        description: Some(input.description.unwrap_or_else(|| (*purpose).to_owned())),
        max_session_seconds: 3600,
        created_at: cx.now,
        tags: Default::default(),
        attached_policies: BTreeSet::from([format!("arn:aws:iam::aws:policy/aws-service-role/{policy}")]),
        inline_policies: Default::default(),
        permissions_boundary: None,
        linked_service: Some(service),
        last_used: None,
    };
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
    let own = |account: &longshore_types::AccountId| *account == cx.scope.account;
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
    use crate::iam::delete_role::delete_role;
    use crate::testing::Fixture;

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
}
