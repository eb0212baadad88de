//! Rates that AWS documents, by service and group of actions.
//!
//! ECS, EC2 and Elastic Load Balancing document buckets ("Request throttling for the Amazon ECS API", "… EC2 API", "… ELB
//! API"). Other services document requests a second (their pages of service quotas): a bucket then holds one second's worth.
//! IAM documents none, and is not throttled. EC2's lower rate for lists without filters and pages is not told apart.

use super::bucket::Rate;

const fn rate(burst: u32, per_second: u32) -> Rate {
    Rate { burst, per_second }
}

/// Requests a second, without a burst beyond it.
const fn steady(per_second: u32) -> Rate {
    rate(per_second, per_second)
}

/// The bucket that an action takes its token from, by its name within the service; `None` for what is not throttled.
pub fn of(service: &str, action: &'static str) -> Option<(&'static str, Rate)> {
    match service {
        "ecs" => Some(ecs(action)),
        "ec2" => Some((action, if reads(action) { rate(100, 20) } else { rate(50, 5) })),
        // Its other groups document rates of their own; those were not at hand, and these actions are few.
        "elbv2" if reads(action) => Some(("read", rate(40, 10))),
        "sts" => Some(("all", steady(600))),
        "ecr" => ecr(action),
        "logs" => logs(action),
        "ssm" => ssm(action),
        "secretsmanager" => Some(secrets(action)),
        _ => None,
    }
}

fn reads(action: &str) -> bool {
    ["Describe", "Get", "List", "Search"].iter().any(|verb| action.starts_with(verb))
}

fn ecs(action: &str) -> (&'static str, Rate) {
    match action {
        "CreateCluster"
        | "DeleteCluster"
        | "UpdateCluster"
        | "UpdateClusterSettings"
        | "PutClusterCapacityProviders" => ("cluster modify", rate(20, 1)),
        "DescribeClusters" | "ListClusters" => ("cluster read", rate(50, 20)),
        "RegisterTaskDefinition" | "DeregisterTaskDefinition" => ("task definition modify", rate(20, 1)),
        "DeleteTaskDefinitions" => ("task definition delete", rate(5, 1)),
        "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies" => {
            ("task definition read", rate(50, 20))
        }
        "CreateCapacityProvider" | "UpdateCapacityProvider" | "DeleteCapacityProvider" => {
            ("capacity provider modify", rate(10, 1))
        }
        "DescribeCapacityProviders" => ("capacity provider read", rate(50, 20)),
        "TagResource" | "UntagResource" => ("tag modify", rate(20, 10)),
        "ListTagsForResource" => ("tag read", rate(50, 20)),
        "PutAccountSetting" | "PutAccountSettingDefault" | "DeleteAccountSetting" => ("setting modify", rate(10, 1)),
        "ListAccountSettings" => ("setting read", rate(50, 20)),
        "CreateService" | "UpdateService" | "DeleteService" | "StopServiceDeployment" => {
            ("service modify", rate(50, 5))
        }
        "DescribeServices" | "ListServices" | "ListServicesByNamespace" => ("service read", rate(100, 20)),
        "DescribeServiceDeployments" | "ListServiceDeployments" | "DescribeServiceRevisions" => {
            ("deployment read", rate(50, 20))
        }
        "GetTaskProtection" | "UpdateTaskProtection" => ("task protection", rate(200, 80)),
        "SubmitTaskStateChange" | "SubmitContainerStateChange" | "SubmitAttachmentStateChanges" => {
            ("agent modify", rate(200, 120))
        }
        _ if reads(action) => ("cluster resource read", rate(100, 20)),
        // RunTask, StartTask, StopTask, ExecuteCommand, attributes.
        _ => ("cluster resource modify", rate(100, 40)),
    }
}

fn ecr(action: &'static str) -> Option<(&'static str, Rate)> {
    let per_second = match action {
        "GetAuthorizationToken" | "UploadLayerPart" => 500,
        "BatchCheckLayerAvailability" => 1_000,
        "BatchGetImage" => 2_000,
        "GetDownloadUrlForLayer" => 3_000,
        "InitiateLayerUpload" | "CompleteLayerUpload" => 100,
        "PutImage" => 10,
        _ => return None,
    };
    Some((action, steady(per_second)))
}

fn logs(action: &'static str) -> Option<(&'static str, Rate)> {
    let per_second = match action {
        "CreateLogGroup" | "DeleteLogGroup" | "DescribeLogGroups" => 10,
        "CreateLogStream" => 50,
        "DeleteLogStream" => 15,
        "DescribeLogStreams" | "GetLogEvents" | "FilterLogEvents" => 25,
        "PutLogEvents" => 5_000,
        _ => return None,
    };
    Some((action, steady(per_second)))
}

/// The Parameter Store's default throughput.
fn ssm(action: &str) -> Option<(&'static str, Rate)> {
    match action {
        "GetParameter" | "GetParameters" | "GetParametersByPath" => Some(("get parameters", steady(40))),
        "PutParameter" => Some(("put parameter", steady(3))),
        _ => None,
    }
}

fn secrets(action: &'static str) -> (&'static str, Rate) {
    match action {
        "DescribeSecret" | "GetSecretValue" => ("secret read", steady(10_000)),
        "BatchGetSecretValue" | "ListSecrets" => (action, steady(100)),
        "PutResourcePolicy" | "DeleteResourcePolicy" | "GetResourcePolicy" | "ValidateResourcePolicy" => {
            ("resource policy", steady(50))
        }
        "PutSecretValue" | "UpdateSecret" | "UpdateSecretVersionStage" | "RestoreSecret" => {
            ("secret modify", steady(50))
        }
        "TagResource" | "UntagResource" => ("tag", steady(50)),
        other => (other, steady(50)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_aws_model::SERVICES;

    #[test]
    fn one_bucket_has_one_rate_and_no_bucket_is_empty() {
        let mut rates = std::collections::BTreeMap::new();
        for service in SERVICES {
            for operation in service.operations {
                let Some((group, rate)) = of(service.name, operation.name) else {
                    continue;
                };
                assert!(rate.burst > 0 && rate.per_second > 0);
                let known = rates.insert((service.name, group), rate);
                assert!(known.is_none_or(|known| known == rate), "{} {group}", service.name);
            }
        }
        assert_eq!(rates[&("ecs", "cluster resource modify")], rate(100, 40));
        assert_eq!(rates[&("ec2", "DescribeVpcs")], rate(100, 20));
    }
}
