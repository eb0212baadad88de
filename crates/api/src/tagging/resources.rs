//! The registry of what has tags: a new table is one line. How each service changes them is in [`super::services`].

use crate::{ec2, secretsmanager, ssm};
use longshore_store::Snapshot;
use longshore_types::{Scope, Tags, arn};
use std::collections::BTreeMap;

/// Shows the ARN and tags of each row of a table.
type List = fn(&Snapshot, &Scope, &mut dyn FnMut(String, &Tags));

/// Every table whose rows have tags. IAM's roles and users are not here: AWS's tagging API does not know them either.
const TABLES: &[List] = &[
    |state, scope, see| state.clusters().prefix(scope).for_each(|r| see(arn::cluster(scope, &r.name), &r.tags)),
    |state, scope, see| {
        state.services().prefix(scope).for_each(|r| see(arn::service(scope, &r.cluster, &r.name), &r.tags));
    },
    |state, scope, see| state.tasks().prefix(scope).for_each(|r| see(arn::task(scope, &r.cluster, &r.id), &r.tags)),
    |state, scope, see| {
        let rows = state.task_definitions().prefix(scope);
        rows.for_each(|r| see(arn::task_definition(scope, &r.family, r.revision), &r.tags));
    },
    |state, scope, see| ec2::tagging::each(state, scope, &mut |kind, id, tags| see(arn::ec2(scope, kind, id), tags)),
    |state, scope, see| state.load_balancers().prefix(scope).for_each(|r| see(r.arn.clone(), &r.tags)),
    |state, scope, see| state.target_groups().prefix(scope).for_each(|r| see(r.arn.clone(), &r.tags)),
    |state, scope, see| state.listeners().prefix(scope).for_each(|r| see(r.arn.clone(), &r.tags)),
    |state, scope, see| state.rules().prefix(scope).for_each(|r| see(r.arn.clone(), &r.tags)),
    |state, scope, see| {
        state.repositories().prefix(scope).for_each(|r| see(arn::ecr_repository(scope, &r.name), &r.tags));
    },
    |state, scope, see| state.log_groups().prefix(scope).for_each(|r| see(arn::log_group(scope, &r.name), &r.tags)),
    |state, scope, see| state.certificates().prefix(scope).for_each(|r| see(r.arn.clone(), &r.tags)),
    |state, scope, see| state.parameters().prefix(scope).for_each(|r| see(ssm::names::arn(scope, &r.name), &r.tags)),
    |state, scope, see| {
        state.secrets().prefix(scope).for_each(|r| see(secretsmanager::names::arn(scope, &r), &r.tags));
    },
    |state, scope, see| {
        let rows = state.policies().prefix(&scope.account).filter(|_| has_iam(scope));
        rows.for_each(|r| see(arn::iam(&scope.account, "policy", &r.path, &r.name), &r.tags));
    },
    |state, scope, see| {
        let rows = state.instance_profiles().prefix(&scope.account).filter(|_| has_iam(scope));
        rows.for_each(|r| see(arn::iam(&scope.account, "instance-profile", &r.path, &r.name), &r.tags));
    },
];

/// What belongs to no region is asked for in this one.
fn has_iam(scope: &Scope) -> bool {
    scope.region.as_str() == "us-east-1"
}

/// ARN and tags of all that has tags, by ARN.
pub fn tagged(state: &Snapshot, scope: &Scope) -> BTreeMap<String, Tags> {
    let mut found = BTreeMap::new();
    for list in TABLES {
        list(state, scope, &mut |arn, tags| {
            if !tags.is_empty() {
                found.insert(arn, tags.clone());
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn what_has_tags_is_found_with_them_by_its_arn() {
        let fixture = Fixture::new();
        let tags: Tags = [("team".to_owned(), "blue".to_owned())].into_iter().collect();
        let vpc = fixture.read(|state, cx| state.vpcs().prefix(&cx.scope).next().expect("the default VPC").id.clone());
        let of_vpc = tags.clone();
        fixture.write(move |tx, cx| tx.vpcs().update(&(cx.scope.clone(), vpc), |row| row.tags = of_vpc));
        let found = fixture.read(|state, cx| tagged(state, &cx.scope));
        let (arn, shown) = found.iter().next().expect("the VPC");
        assert!(found.len() == 1 && arn.starts_with("arn:aws:ec2:us-east-1:123456789012:vpc/vpc-"), "{found:?}");
        assert_eq!(*shown, tags);
    }
}
