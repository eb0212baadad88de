//! What a task's execution role has to be allowed before the task is started, where policies are evaluated: to pull its
//! images from ECR, and to write its logs. Secrets are asked for in [`super::resolve_secrets`], one by one.

use super::resolve_secrets::Acting;
use crate::identity;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::ecs::ContainerDefinition;
use longshore_types::id::TaskId;
use longshore_types::{Scope, arn};

/// Whether a task needs an execution role for its images or logs.
pub fn is_needed(containers: &[ContainerDefinition]) -> bool {
    containers.iter().any(|container| container.log.is_some() || repository(&container.image).is_some())
}

/// The reason that the task is stopped for, if its role may not do what starting it takes.
pub fn check(
    state: &Snapshot,
    acting: Acting<'_>,
    scope: &Scope,
    task: &TaskId,
    containers: &[ContainerDefinition],
) -> Result<(), String> {
    let may = |scope: &Scope, action: &str, resource: &str| {
        identity::allows(state, acting(scope.clone()), action, resource).map_err(|error| told(&error))
    };
    for container in containers {
        let Some((registry, name)) = repository(&container.image) else { continue };
        may(&registry, "ecr:GetAuthorizationToken", "*").map_err(|error| {
            format!(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): {error}"
            )
        })?;
        let repository = arn::ecr_repository(&registry, &name);
        for action in ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] {
            may(&registry, action, &repository).map_err(|error| {
                format!(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {}: pull access denied: {error}",
                    container.image
                )
            })?;
        }
    }
    for container in containers {
        let Some(log) = &container.log else { continue };
        let region = log.scope(scope);
        let stream = log.stream(&container.name, task);
        let of_group = |stream: &str| format!("{}:log-stream:{stream}", arn::log_group(&region, &log.group));
        let group_is_there = state.log_groups().contains(&(region.clone(), log.group.clone()));
        let failed = |what: &str, error: String| {
            format!(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch {what}: {error} : exit status 1"
            )
        };
        if log.create_group && !group_is_there {
            may(&region, "logs:CreateLogGroup", &of_group("")).map_err(|error| failed("log group", error))?;
        }
        for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
            may(&region, action, &of_group(&stream)).map_err(|error| failed("log stream", error))?;
        }
    }
    Ok(())
}

/// Registry and repository of an image of ECR: `<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>`.
fn repository(image: &str) -> Option<(Scope, String)> {
    let (host, rest) = image.split_once('/')?;
    let (account, region) = host.strip_suffix(".amazonaws.com")?.split_once(".dkr.ecr.")?;
    let name = rest.split('@').next()?;
    let name = name.split(':').next()?;
    Some((Scope::new(account, region), name.to_owned()))
}

fn told(error: &AwsError) -> String {
    format!("{}: {}", error.code, error.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::iam::managed;
    use crate::identity::{Authority, RootKey};
    use crate::testing::Fixture;
    use longshore_types::iam::Role;
    use std::sync::Arc;

    #[test]
    fn repositories_are_read_of_images() {
        let read =
            |image: &str| repository(image).map(|(scope, name)| format!("{} {} {name}", scope.account, scope.region));
        let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        assert_eq!(read(&format!("{host}/team/web:1")).as_deref(), Some("123456789012 us-east-1 team/web"));
        assert_eq!(read(&format!("{host}/web@sha256:00")).as_deref(), Some("123456789012 us-east-1 web"));
        assert_eq!(read("public.ecr.aws/nginx/nginx:1"), None);
        assert_eq!(read("busybox"), None);
    }

    #[test]
    fn a_role_without_ecs_own_policy_may_not_pull() {
        let mut fixture = Fixture::new();
        let root = RootKey { access_key_id: "AKIAROOT".to_owned(), secret_access_key: "secret".to_owned() };
        let authority = Some(Arc::new(Authority::new(root)));
        fixture.settings = Arc::new(Settings { authority, ..Settings::clone(&fixture.settings) });
        let policy = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
        assert!(managed::find(policy).is_some());
        let verdict_with = |attached: &[&str], inline: Option<&str>| {
            let attached: Vec<String> = attached.iter().map(|arn| (*arn).to_owned()).collect();
            let inline = inline.map(|text| ("inline".to_owned(), text.to_owned()));
            fixture.write(move |tx, cx| {
                let role = Role {
                    name: "exec".to_owned(),
                    path: "/".to_owned(),
                    id: "AROAX".to_owned(),
                    trust_policy: String::new(),
                    description: None,
                    max_session_seconds: 3600,
                    created_at: cx.now,
                    tags: Default::default(),
                    attached_policies: attached.into_iter().collect(),
                    inline_policies: inline.into_iter().collect(),
                    permissions_boundary: None,
                    linked_service: None,
                    last_used: None,
                };
                tx.roles().put((cx.scope.account.clone(), role.name.clone()), role);
            });
            fixture.read(|state, cx| {
                let scope = Scope::new("123456789012", "us-east-1");
                let role = state.roles().get(&(scope.account.clone(), "exec".to_owned())).expect("the role");
                let acting = |scope: Scope| {
                    let cx = crate::Cx::new(scope, cx.now, cx.caller.clone(), Arc::clone(&cx.settings), 1);
                    identity::acting_as(state, cx, &role, "0123", std::net::Ipv4Addr::new(172, 31, 0, 9))
                };
                let may = |action, resource| identity::allows(state, acting(scope.clone()), action, resource);
                may("ecr:GetAuthorizationToken", "*").map_err(|error| told(&error))
            })
        };
        let verdict = |attached: &[&str]| verdict_with(attached, None);
        assert_eq!(
            verdict(&[]).expect_err("it has no policy"),
            "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/exec/0123 is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"
        );
        assert_eq!(verdict(&[policy]), Ok(()));
        // ECS calls through the task's interface, over TLS.
        let deny = |operator: &str, key: &str, value: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"{operator}":{{"{key}":"{value}"}}}}}}]}}"#
            );
            verdict_with(&[policy], Some(&text)).is_err()
        };
        assert!(deny("IpAddress", "aws:SourceIp", "172.31.0.9"));
        assert!(deny("IpAddress", "aws:VpcSourceIp", "172.31.0.0/16"));
        assert!(!deny("IpAddress", "aws:SourceIp", "127.0.0.0/8"));
        assert!(!deny("Bool", "aws:SecureTransport", "false"));
    }
}
