//! Which actions on which resources an operation needs: one table a service, `<service>/permissions.rs`.

use super::Fields;
use crate::Cx;
use longshore_aws_model::OperationSchema;
use longshore_store::Snapshot;
use longshore_types::arn::Arn;

/// One action that an operation needs; an operation has a line for each.
#[derive(Clone, Copy)]
pub struct Permission {
    pub operation: &'static str,
    /// `ecs:RunTask`; empty for an operation that everybody may call.
    pub action: &'static str,
    pub resources: Resources,
}

/// The resources an action is asked for, each by itself.
#[derive(Clone, Copy)]
pub enum Resources {
    /// The action is about no resource: `*`.
    Any,
    /// The ARNs in this member of the input.
    Arns(&'static str),
    /// What the function finds; nothing is needed when it finds nothing.
    Each(fn(&Ask<'_>) -> Vec<String>),
}

/// A line of a table.
pub const fn on(operation: &'static str, action: &'static str, resources: Resources) -> Permission {
    Permission { operation, action, resources }
}

/// An operation that needs no permission, or whose handler asks for it.
pub const fn free(operation: &'static str) -> Permission {
    Permission { operation, action: "", resources: Resources::Any }
}

/// A request as the tables look at it.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub state: &'a Snapshot,
    pub cx: &'a Cx,
    pub fields: &'a Fields,
    /// `RunTask`; empty for what no operation asks, such as a registry's client.
    pub operation: &'a str,
}

impl<'a> Ask<'a> {
    pub fn get(&self, path: &str) -> Option<&'a str> {
        self.fields.get(path)
    }

    pub fn all(&self, path: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.all(path)
    }

    /// An ARN of the request's region and account.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let scope = &self.cx.scope;
        format!("arn:aws:{service}:{}:{}:{resource}", scope.region, scope.account)
    }

    /// The text itself if it is an ARN, else `kind/text`.
    pub fn arn_or(&self, service: &str, kind: &str, text: &str) -> String {
        if Arn::parse(text).is_some() { text.to_owned() } else { self.arn(service, &format!("{kind}/{text}")) }
    }
}

/// The lines of an operation, and the prefix of its service's actions for one that has none.
pub fn permissions(operation: &OperationSchema) -> Vec<Permission> {
    let table = match operation.service.name {
        "acm" => crate::acm::permissions::PERMISSIONS,
        "ecs" => crate::ecs::permissions::PERMISSIONS,
        "ec2" => crate::ec2::permissions::PERMISSIONS,
        "elbv2" => crate::elbv2::permissions::PERMISSIONS,
        "ecr" => crate::ecr::permissions::PERMISSIONS,
        "logs" => crate::logs::permissions::PERMISSIONS,
        "iam" => crate::iam::permissions::PERMISSIONS,
        "secretsmanager" => crate::secretsmanager::permissions::PERMISSIONS,
        "resourcegroupstaggingapi" => crate::tagging::permissions::PERMISSIONS,
        "ssm" => crate::ssm::permissions::PERMISSIONS,
        "sts" => crate::sts::permissions::PERMISSIONS,
        _ => &[],
    };
    table.iter().filter(|line| line.operation == operation.name).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_aws_model::SERVICES;

    #[test]
    fn every_served_operation_says_what_it_needs() {
        let routes = crate::routes();
        let mut missing = Vec::new();
        for service in SERVICES {
            for operation in service.operations {
                if routes.names(service).contains(&operation.name) && permissions(operation).is_empty() {
                    missing.push(format!("{}:{}", service.name, operation.name));
                }
            }
        }
        assert!(missing.is_empty(), "add lines to permissions.rs of the service: {missing:?}");
    }

    #[test]
    fn every_line_has_an_action_of_a_service() {
        for service in SERVICES {
            for line in service.operations.iter().flat_map(|operation| permissions(operation)) {
                assert!(line.action.is_empty() || line.action.contains(':'), "{}", line.operation);
            }
        }
    }
}
