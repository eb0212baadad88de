//! The policies of resources, where they have one.

use longshore_policy::Policy;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::arn::Arn;

/// The policy of what an ARN names.
pub fn find(state: &Snapshot, scope: &Scope, arn: &str) -> Option<Policy> {
    let text = text(state, scope, arn)?;
    Policy::parse(&text).ok()
}

fn text(state: &Snapshot, scope: &Scope, arn: &str) -> Option<String> {
    let parsed = Arn::parse(arn)?;
    match parsed.service {
        "ecr" => {
            let name = parsed.resource.strip_prefix("repository/")?;
            state.repositories().get(&(scope.clone(), name.to_owned()))?.policy.clone()
        }
        "secretsmanager" => {
            // A hyphen and six characters end the ARN.
            let (name, _) = parsed.resource.strip_prefix("secret:")?.rsplit_once('-')?;
            state.secrets().get(&(scope.clone(), name.to_owned()))?.resource_policy.clone()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_repositorys_policy_is_found_by_its_arn() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let row = longshore_types::ecr::Repository {
                name: "team/web".to_owned(),
                created_at: cx.now,
                immutable_tags: false,
                mutability_exclusions: Vec::new(),
                scan_on_push: false,
                lifecycle: None,
                lifecycle_preview: None,
                policy: Some(r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"ecr:*"}}"#.to_owned()),
                tags: Default::default(),
            };
            tx.repositories().put((cx.scope.clone(), row.name.clone()), row);
        });
        fixture.read(|state, cx| {
            let find = |name: &str| find(state, &cx.scope, &format!("arn:aws:ecr:us-east-1:123456789012:{name}"));
            assert!(find("repository/team/web").is_some());
            assert!(find("repository/none").is_none());
        });
    }
}
