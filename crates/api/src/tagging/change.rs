//! TagResources and UntagResources: each resource by itself, in a transaction of its own; what fails is told and the others
//! are changed.

use super::error;
use super::services::{Change, Service};
use crate::identity::{self, Ask, Fields};
use crate::routes::{Backend, write};
use crate::{Cx, Principal};
use longshore_aws_model::AwsError;
use longshore_aws_model::resourcegroupstaggingapi::*;
use longshore_types::arn::Arn;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub async fn tag_resources(backend: Backend, cx: Cx, input: TagResourcesInput) -> Result<TagResourcesOutput, AwsError> {
    let fields = Fields::of(&input);
    let failed = change(&backend, cx, &fields, input.resource_arn_list, Change::Tag(input.tags)).await?;
    Ok(TagResourcesOutput { failed_resources_map: Some(failed) })
}

pub async fn untag_resources(
    backend: Backend,
    cx: Cx,
    input: UntagResourcesInput,
) -> Result<UntagResourcesOutput, AwsError> {
    let fields = Fields::of(&input);
    let failed = change(&backend, cx, &fields, input.resource_arn_list, Change::Untag(input.tag_keys)).await?;
    Ok(UntagResourcesOutput { failed_resources_map: Some(failed) })
}

async fn change(
    backend: &Backend,
    cx: Cx,
    fields: &Fields,
    arns: Vec<String>,
    change: Change,
) -> Result<BTreeMap<String, FailureInfo>, AwsError> {
    // Each transaction has it in turn.
    let cx = Arc::new(Mutex::new(cx));
    if let Some(bad) = arns.iter().find(|arn| Arn::parse(arn).is_none()) {
        return Err(error::invalid(format!("{bad} is not a valid AmazonResourceName (ARN)")));
    }
    let mut failed = BTreeMap::new();
    for arn in arns {
        if let Err(error) = change_one(backend, &cx, fields, &arn, change.clone()).await {
            let status = if error.code.starts_with("AccessDenied") { 403 } else { 400 };
            let info = FailureInfo {
                status_code: Some(status),
                error_code: Some(error.code.to_string()),
                error_message: Some(error.message),
            };
            failed.insert(arn, info);
        }
    }
    Ok(failed)
}

async fn change_one(
    backend: &Backend,
    cx: &Arc<Mutex<Cx>>,
    fields: &Fields,
    arn: &str,
    change: Change,
) -> Result<(), AwsError> {
    let parsed = Arn::parse(arn).ok_or_else(|| error::invalid("The ARN is not valid."))?;
    let unknown = || error::invalid(format!("Resources of '{}' cannot be tagged by this API", parsed.service));
    let service = Service::of(&parsed).ok_or_else(unknown)?;
    check_allowed(backend, &lock(cx), fields, &change, service.action(&parsed, &change), arn, &parsed)?;
    let (arn, cx, apply) = (arn.to_owned(), Arc::clone(cx), service.apply);
    write(&backend.store, move |tx| apply(tx, &lock(&cx), &arn, change)).await
}

/// A panic in another transaction leaves the context as it was.
fn lock(cx: &Mutex<Cx>) -> MutexGuard<'_, Cx> {
    cx.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the resource is the caller's, and the caller may do with its own service what it does here.
fn check_allowed(
    backend: &Backend,
    cx: &Cx,
    fields: &Fields,
    change: &Change,
    action: &str,
    arn: &str,
    parsed: &Arn<'_>,
) -> Result<(), AwsError> {
    let region = if parsed.service == "iam" { "" } else { cx.scope.region.as_str() };
    if parsed.region != region || parsed.account != cx.scope.account.as_str() {
        return Err(error::invalid("The resource is not in this account and region."));
    }
    let Some(enforced) = &cx.enforced else { return Ok(()) };
    if matches!(cx.caller.principal, Principal::Root | Principal::Service) {
        return Ok(());
    }
    let state = backend.store.snapshot();
    let operation = match change {
        Change::Tag(_) => "TagResources",
        Change::Untag(_) => "UntagResources",
    };
    let ask = Ask { state: &state, cx, operation, fields };
    identity::authorize(&ask, enforced, "resourcegroupstaggingapi", action, arn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};
    use crate::tagging::resources::tagged;

    #[test]
    fn every_resource_is_changed_by_itself_and_failures_are_told() {
        let bench = Bench::app(&[]);
        let vpc =
            bench.read(|state, cx| state.vpcs().prefix(&cx.scope).next().expect("the default VPC").id.to_string());
        let arn = |rest: &str| format!("arn:aws:{}", rest.replace('@', "us-east-1:123456789012"));
        let (group, vpc) = (arn("logs:@:log-group:app"), arn(&format!("ec2:@:vpc/{vpc}")));
        let others = ["logs:@:log-group:none", "s3:::bucket", "logs:eu-west-1:123456789012:log-group:app"].map(arn);
        let mut resource_arn_list = vec![group.clone(), vpc.clone()];
        resource_arn_list.extend(others.clone());
        let tags = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        let input = TagResourcesInput { resource_arn_list, tags: tags.clone() };
        let failed = bench.call(tag_resources, input).expect("done").failed_resources_map.expect("a map");
        assert_eq!(failed.keys().collect::<Vec<_>>(), {
            let mut others: Vec<&String> = others.iter().collect();
            others.sort();
            others
        });
        assert_eq!(failed[&others[0]].error_code.as_deref(), Some("ResourceNotFoundException"));
        let found = || bench.read(|state, cx| tagged(state, &cx.scope));
        assert_eq!(found().keys().collect::<Vec<_>>(), [&vpc, &group]);
        assert_eq!(found()[&group].0, tags);

        let input = UntagResourcesInput { resource_arn_list: vec![vpc.clone()], tag_keys: vec!["team".to_owned()] };
        let failed = bench.call(untag_resources, input).expect("done").failed_resources_map;
        assert_eq!(failed, Some(BTreeMap::new()));
        assert_eq!(found().keys().collect::<Vec<_>>(), [&group]);
        let input = TagResourcesInput { resource_arn_list: vec!["app".to_owned()], tags };
        assert_eq!(
            refusal(bench.call(tag_resources, input)),
            "InvalidParameterException: app is not a valid AmazonResourceName (ARN)"
        );
    }
}
