//! The tags of what an ARN names, for `aws:ResourceTag`.

use longshore_store::Snapshot;
use longshore_types::arn::Arn;
use longshore_types::{Scope, Tags};

/// `None` for what is not there, and for what has no tags.
pub fn find(state: &Snapshot, scope: &Scope, arn: &str) -> Option<Tags> {
    let parsed = Arn::parse(arn)?;
    match parsed.service {
        "acm" => state.certificates().get(&(scope.clone(), arn.to_owned())).map(|row| row.tags.clone()),
        "ecs" => crate::ecs::tags::find(state, scope, arn),
        "ec2" => {
            let (_, id) = parsed.resource.split_once('/')?;
            crate::ec2::tagging::find(state, scope, id)
        }
        "elasticloadbalancing" => crate::elbv2::tags::tags_of(state, scope, arn).ok(),
        "ecr" => {
            let name = parsed.resource.strip_prefix("repository/")?;
            state.repositories().get(&(scope.clone(), name.to_owned())).map(|row| row.tags.clone())
        }
        "logs" => {
            let name = parsed.resource.strip_prefix("log-group:")?.split(':').next()?;
            state.log_groups().get(&(scope.clone(), name.to_owned())).map(|row| row.tags.clone())
        }
        "secretsmanager" => {
            crate::secretsmanager::names::by_whole_arn(state, scope, &parsed).map(|row| row.tags.clone())
        }
        "ssm" => {
            let (name, _) = crate::ssm::names::find(state, scope, arn)?;
            state.parameters().get(&(scope.clone(), name)).map(|row| row.tags.clone())
        }
        "iam" => {
            let (kind, path) = parsed.resource.split_once('/')?;
            let key = (scope.account.clone(), path.rsplit('/').next()?.to_owned());
            match kind {
                "role" => state.roles().get(&key).map(|row| row.tags.clone()),
                "user" => state.users().get(&key).map(|row| row.tags.clone()),
                "policy" => state.policies().get(&key).map(|row| row.tags.clone()),
                "instance-profile" => state.instance_profiles().get(&key).map(|row| row.tags.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}
