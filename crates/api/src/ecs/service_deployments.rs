//! ListServiceDeployments, DescribeServiceDeployments and DescribeServiceRevisions: a service's releases.

use super::{error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::Snapshot;
use longshore_types::arn::{self, Arn};
use longshore_types::ecs::ServiceDeployment as Row;
use longshore_types::id::{ClusterName, ServiceName};
use longshore_types::{Scope, Timestamp};
use std::cmp::Reverse;
use std::sync::Arc;

const DESCRIBED_MAX: usize = 20;

/// Newest first.
pub fn list_service_deployments(
    state: &Snapshot,
    cx: &Cx,
    input: ListServiceDeploymentsInput,
) -> Result<ListServiceDeploymentsOutput, AwsError> {
    let cluster = names::cluster(state, &cx.scope, cluster_of(input.cluster.as_deref(), &input.service))?;
    let name = names::service_name(&input.service, &cx.scope, &cluster.name)?;
    let key = (cx.scope.clone(), cluster.name.clone(), name);
    if state.services().get(&key).is_none() {
        return Err(error::service_not_found());
    }
    let wanted = input.status.unwrap_or_default();
    let created = input.created_at.unwrap_or_default();
    let (before, after) = (created.before.map(|t| Timestamp(t.0)), created.after.map(|t| Timestamp(t.0)));
    let mut rows: Vec<Arc<Row>> = state
        .service_deployments()
        .prefix(&key)
        .filter(|row| {
            (wanted.is_empty() || wanted.iter().any(|status| status == row.status.as_str()))
                && before.is_none_or(|at| row.created_at < at)
                && after.is_none_or(|at| row.created_at > at)
        })
        .collect();
    let order = |row: &Arc<Row>| (Reverse(row.created_at), row.id.clone());
    rows.sort_by_key(order);
    let limit = names::page_size(input.max_results, 20, 100)?;
    // Times count down in the list: their distance from the end of time counts up, as pages must.
    let place = |row: &Arc<Row>| format!("{:019}{}", i64::MAX - row.created_at.0, row.id);
    let page =
        page::page(rows.into_iter(), place, input.next_token.as_deref(), limit).map_err(|_| error::bad_token())?;
    let brief = page.items.iter().map(|row| view::service_deployment_brief(&cx.scope, row)).collect();
    Ok(ListServiceDeploymentsOutput { service_deployments: Some(brief), next_token: page.next_token })
}

/// The cluster that a service's ARN names, where none is given.
pub fn cluster_of<'a>(given: Option<&'a str>, service: &'a str) -> Option<&'a str> {
    given.or_else(|| Arn::parse(service)?.resource.strip_prefix("service/")?.split_once('/').map(|(name, _)| name))
}

pub fn describe_service_deployments(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeServiceDeploymentsInput,
) -> Result<DescribeServiceDeploymentsOutput, AwsError> {
    let arns = input.service_deployment_arns;
    check_number("serviceDeploymentArns", arns.len())?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in &arns {
        match find(state, &cx.scope, given)? {
            Some(row) => {
                let key = (cx.scope.clone(), row.cluster.clone(), row.service.clone());
                let service = state.services().get(&key);
                found.push(view::service_deployment(state, &cx.scope, &row, service.as_deref()));
            }
            None => failures.push(missing(given)),
        }
    }
    Ok(DescribeServiceDeploymentsOutput { service_deployments: Some(found), failures: Some(failures) })
}

pub fn describe_service_revisions(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeServiceRevisionsInput,
) -> Result<DescribeServiceRevisionsOutput, AwsError> {
    let arns = input.service_revision_arns;
    check_number("serviceRevisionArns", arns.len())?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in &arns {
        let (cluster, service, number) = parse(&cx.scope, given, "service-revision/")?;
        let is_own = |number: &u64| arn::service_revision(&cx.scope, &cluster, &service, *number) == *given;
        let number = number.parse().ok().filter(is_own);
        let row =
            number.and_then(|number| state.service_revisions().get(&(cx.scope.clone(), cluster, service, number)));
        match row {
            Some(row) => found.push(view::service_revision(&cx.scope, &row)),
            None => failures.push(missing(given)),
        }
    }
    Ok(DescribeServiceRevisionsOutput { service_revisions: Some(found), failures: Some(failures) })
}

/// The service deployment that an ARN names.
pub fn find(state: &Snapshot, scope: &Scope, given: &str) -> Result<Option<Arc<Row>>, AwsError> {
    let (cluster, service, id) = parse(scope, given, "service-deployment/")?;
    Ok(state.service_deployments().get(&(scope.clone(), cluster, service, id.to_owned())))
}

/// The parts of an ARN of this region and account.
fn parse<'a>(scope: &Scope, given: &'a str, kind: &str) -> Result<(ClusterName, ServiceName, &'a str), AwsError> {
    let arn = Arn::parse(given).filter(|arn| arn.service == "ecs" && names::is_here(given, scope));
    let parts = arn.and_then(|arn| arn.resource.strip_prefix(kind)).and_then(|rest| {
        let mut parts = rest.splitn(3, '/');
        Some((ClusterName::from(parts.next()?), ServiceName::from(parts.next()?), parts.next()?))
    });
    parts.ok_or_else(|| error::invalid(format!("Invalid identifier: '{given}' is no ARN of this kind of resource.")))
}

fn check_number(parameter: &str, given: usize) -> Result<(), AwsError> {
    match given {
        0 => Err(error::invalid(format!("{parameter} cannot be empty."))),
        1..=DESCRIBED_MAX => Ok(()),
        _ => Err(error::invalid(format!("{parameter} can have at most {DESCRIBED_MAX} items."))),
    }
}

fn missing(arn: &str) -> Failure {
    Failure { arn: Some(arn.to_owned()), reason: Some("MISSING".to_owned()), detail: None }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    #[test]
    fn a_release_is_found_by_its_own_arn_alone() {
        let world = World::new();
        world.create_service(|_| {}).expect("a service");
        let (deployment, revision) = world.read(|state, cx| {
            let deployment = state.service_deployments().prefix(&cx.scope).next().expect("a deployment");
            let revision = state.service_revisions().prefix(&cx.scope).next().expect("a revision");
            let (cluster, service) = (&deployment.cluster, &deployment.service);
            (
                arn::service_deployment(&cx.scope, cluster, service, &deployment.id),
                arn::service_revision(&cx.scope, cluster, service, revision.number),
            )
        });
        let is_found = |deployment: &str, revision: &str| {
            let input = DescribeServiceDeploymentsInput { service_deployment_arns: vec![deployment.to_owned()] };
            let deployments = world.read(|state, cx| describe_service_deployments(state, cx, input));
            let input = DescribeServiceRevisionsInput { service_revision_arns: vec![revision.to_owned()] };
            let revisions = world.read(|state, cx| describe_service_revisions(state, cx, input));
            [
                deployments.is_ok_and(|output| output.service_deployments.is_some_and(|rows| !rows.is_empty())),
                revisions.is_ok_and(|output| output.service_revisions.is_some_and(|rows| !rows.is_empty())),
            ]
        };
        assert_eq!(is_found(&deployment, &revision), [true, true]);
        for (own, other) in [("us-east-1", "eu-west-1"), ("123456789012", "210987654321"), (":ecs:", ":x:")] {
            assert_eq!(is_found(&deployment.replace(own, other), &revision.replace(own, other)), [false, false]);
        }
        let (head, number) = revision.rsplit_once('/').expect("a number");
        assert_eq!(is_found(&deployment, &format!("{head}/0{number}")), [true, false]);
    }
}
