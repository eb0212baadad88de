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
        "secretsmanager" => crate::secretsmanager::names::by_whole_arn(state, scope, &parsed)?.resource_policy.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_new_secret_is_not_judged_by_one_whose_name_it_begins_with() {
        use crate::secretsmanager::{create_secret, names};
        let fixture = Fixture::new();
        let input = longshore_aws_model::secretsmanager::CreateSecretInput {
            name: "team".to_owned(),
            secret_string: Some("pw".to_owned()),
            ..Default::default()
        };
        fixture.try_write(|tx, cx| create_secret(tx, cx, input)).expect("made");
        let whole = fixture.write(|tx, cx| {
            let key = (cx.scope.clone(), "team".to_owned());
            tx.secrets().update(&key, |row| {
                row.resource_policy =
                    Some(r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#.to_owned());
                row.tags.0.insert("team".to_owned(), "blue".to_owned());
            });
            names::arn(&cx.scope, &tx.secrets().get(&key).expect("made"))
        });
        fixture.read(|state, cx| {
            let tags = |arn: &str| crate::identity::resource_tags::find(state, &cx.scope, arn);
            assert!(find(state, &cx.scope, &whole).is_some() && tags(&whole).is_some());
            for name in ["team-web", "team-webweb"] {
                let new = format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}");
                assert!(find(state, &cx.scope, &new).is_none() && tags(&new).is_none(), "{name}");
            }
        });
    }

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
