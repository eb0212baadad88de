//! GetResources: by tags and kinds, or by ARN. What never had tags is not shown; what once had some is forgotten.

use super::{error, resources};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::resourcegroupstaggingapi::*;
use longshore_store::Snapshot;
use longshore_types::Tags;
use longshore_types::arn::Arn;

const RESOURCES_DEFAULT: i32 = 50;

pub fn get_resources(state: &Snapshot, cx: &Cx, input: GetResourcesInput) -> Result<GetResourcesOutput, AwsError> {
    if input.include_compliance_details == Some(true) {
        return Err(error::unsupported("IncludeComplianceDetails"));
    }
    if input.exclude_compliant_resources == Some(true) {
        return Err(error::invalid("ExcludeCompliantResources can be true only when IncludeComplianceDetails is."));
    }
    let token = input.pagination_token.as_deref().filter(|token| !token.is_empty());
    let kinds = input.resource_type_filters.unwrap_or_default();
    let filters = input.tag_filters.unwrap_or_default();
    check(&kinds, &filters, input.resources_per_page, input.tags_per_page)?;
    if input.resource_arn_list.is_some() {
        let pages = token.is_some() || input.resources_per_page.is_some() || input.tags_per_page.is_some();
        for (given, name) in
            [(!kinds.is_empty(), "ResourceTypeFilters"), (!filters.is_empty(), "TagFilters"), (pages, "pagination")]
        {
            if given {
                return Err(error::invalid(format!("ResourceARNList cannot be specified together with {name}.")));
            }
        }
    }
    let wanted = input.resource_arn_list.as_deref();
    let all = resources::tagged(state, &cx.scope).into_iter().filter(|(arn, tags)| {
        wanted.is_none_or(|wanted| wanted.contains(arn))
            && (kinds.is_empty() || kinds.iter().any(|kind| is_of(kind, arn)))
            && filters.iter().all(|filter| matches(filter, tags))
    });
    let limit =
        if wanted.is_some() { usize::MAX } else { input.resources_per_page.unwrap_or(RESOURCES_DEFAULT) as usize };
    let all: Vec<(String, Tags)> = all.collect();
    let mut page = page::page(all.iter(), |(arn, _)| arn.clone(), token, limit).map_err(|_| error::bad_token())?;
    if let Some(tags_max) = input.tags_per_page {
        // A resource's tags are not split; one whose tags would be too many begins the next page.
        let mut tags = 0;
        let fits = |(_, own): &&&(String, Tags)| {
            tags += own.0.len().max(1);
            tags <= tags_max as usize
        };
        let count = page.items.iter().take_while(fits).count();
        page = page::page(all.iter(), |(arn, _)| arn.clone(), token, count).map_err(|_| error::bad_token())?;
    }
    let mapping = |(arn, tags): &(String, Tags)| ResourceTagMapping {
        resource_arn: Some(arn.clone()),
        tags: Some(
            tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect(),
        ),
        ..Default::default()
    };
    Ok(GetResourcesOutput {
        resource_tag_mapping_list: Some(page.items.into_iter().map(mapping).collect()),
        pagination_token: Some(page.next_token.unwrap_or_default()),
    })
}

fn check(
    kinds: &[String],
    filters: &[TagFilter],
    resources_per_page: Option<i32>,
    tags_per_page: Option<i32>,
) -> Result<(), AwsError> {
    if resources_per_page.is_some_and(|count| !(1..=100).contains(&count)) {
        return Err(error::invalid("ResourcesPerPage must be between 1 and 100"));
    }
    if tags_per_page.is_some_and(|count| !(100..=500).contains(&count)) {
        return Err(error::invalid("TagsPerPage must be between 100 and 500"));
    }
    if kinds.len() > 100 {
        return Err(error::invalid("ResourceTypeFilters can have at most 100 items"));
    }
    if filters.iter().any(|filter| filter.key.is_none()) {
        return Err(error::invalid("A TagFilter must have a Key"));
    }
    let is_kind = |kind: &String| !kind.is_empty() && !kind.starts_with(':') && !kind.ends_with(':');
    match kinds.iter().find(|kind| !is_kind(kind)) {
        Some(kind) => Err(error::invalid(format!("Invalid resource type: '{kind}', expected service[:resourceType]"))),
        None => Ok(()),
    }
}

/// Whether an ARN is of a kind: `ecs`, `ecs:service`, `elasticloadbalancing:loadbalancer/app`.
fn is_of(kind: &str, arn: &str) -> bool {
    let Some(arn) = Arn::parse(arn) else { return false };
    let (service, resource) = kind.split_once(':').map_or((kind, None), |(service, rest)| (service, Some(rest)));
    arn.service == service
        && resource
            .is_none_or(|resource| arn.resource.strip_prefix(resource).is_some_and(|rest| rest.starts_with(['/', ':'])))
}

fn matches(filter: &TagFilter, tags: &Tags) -> bool {
    let Some(value) = filter.key.as_deref().and_then(|key| tags.get(key)) else { return false };
    let values = filter.values.as_deref().unwrap_or_default();
    values.is_empty() || values.iter().any(|wanted| wanted == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::refusal;
    use crate::testing::Fixture;

    #[test]
    fn kinds_are_those_of_arns() {
        let service = "arn:aws:ecs:us-east-1:123456789012:service/web/api";
        assert!(is_of("ecs", service) && is_of("ecs:service", service));
        assert!(!is_of("ecs:serv", service) && !is_of("ecs:task", service) && !is_of("ec", service));
        let group = "arn:aws:logs:us-east-1:123456789012:log-group:app";
        assert!(is_of("logs:log-group", group));
        let balancer = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/0123";
        assert!(is_of("elasticloadbalancing:loadbalancer", balancer));
        assert!(is_of("elasticloadbalancing:loadbalancer/app", balancer));
        assert!(!is_of("elasticloadbalancing:loadbalancer/net", balancer));
    }

    /// The default VPC and its subnets, numbered, and tagged with their kind and number.
    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let vpcs: Vec<_> = tx.snapshot().vpcs().prefix(&cx.scope).map(|row| row.id.clone()).collect();
            let subnets: Vec<_> = tx.snapshot().subnets().prefix(&cx.scope).map(|row| row.id.clone()).collect();
            let tags = |kind: &str, number: usize| {
                Tags([("kind".to_owned(), kind.to_owned()), ("n".to_owned(), number.to_string())].into())
            };
            for (number, id) in vpcs.into_iter().enumerate() {
                tx.vpcs().update(&(cx.scope.clone(), id), |row| row.tags = tags("vpc", number));
            }
            for (number, id) in subnets.into_iter().enumerate() {
                tx.subnets().update(&(cx.scope.clone(), id), |row| row.tags = tags("subnet", number));
            }
        });
        fixture
    }

    fn get(fixture: &Fixture, input: GetResourcesInput) -> (Vec<String>, String) {
        let output = fixture.read(|state, cx| get_resources(state, cx, input)).expect("a page");
        let arns = output.resource_tag_mapping_list.into_iter().flatten().filter_map(|row| row.resource_arn);
        (arns.collect(), output.pagination_token.expect("a token"))
    }

    #[test]
    fn resources_are_chosen_by_kind_tag_and_arn() {
        let fixture = fixture();
        let subnets = fixture.read(|state, cx| state.subnets().prefix(&cx.scope).count());
        let filter = |key: &str, values: &[&str]| TagFilter {
            key: Some(key.to_owned()),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        let count = |kinds: &[&str], filters: Vec<TagFilter>| {
            let resource_type_filters = Some(kinds.iter().map(|kind| (*kind).to_owned()).collect());
            let tag_filters = Some(filters);
            get(&fixture, GetResourcesInput { resource_type_filters, tag_filters, ..Default::default() }).0.len()
        };
        assert_eq!(count(&[], vec![]), subnets + 1);
        assert_eq!(count(&["ec2"], vec![]), subnets + 1);
        assert_eq!(count(&["ec2:vpc", "ecs"], vec![]), 1);
        assert_eq!(count(&[], vec![filter("n", &["0", "1"])]), 3);
        assert_eq!(count(&["ec2:subnet"], vec![filter("n", &["0", "1"]), filter("kind", &["subnet"])]), 2);
        assert_eq!(count(&[], vec![filter("kind", &[]), filter("none", &[])]), 0);
        let (all, _) = get(&fixture, GetResourcesInput::default());
        let resource_arn_list = Some(vec![all[1].clone(), format!("{}0", all[1])]);
        let by_arn = GetResourcesInput { resource_arn_list, ..Default::default() };
        assert_eq!(get(&fixture, by_arn.clone()).0, [all[1].clone()]);
        let both = GetResourcesInput { tag_filters: Some(vec![filter("n", &[])]), ..by_arn };
        assert_eq!(
            refusal(fixture.read(|state, cx| get_resources(state, cx, both))),
            "InvalidParameterException: ResourceARNList cannot be specified together with TagFilters."
        );
    }

    #[test]
    fn pages_follow_each_other() {
        let fixture = fixture();
        let (all, _) = get(&fixture, GetResourcesInput::default());
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let input =
                GetResourcesInput { resources_per_page: Some(2), pagination_token: token, ..Default::default() };
            let (page, next) = get(&fixture, input);
            assert!(page.len() <= 2);
            seen.extend(page);
            if next.is_empty() {
                break;
            }
            token = Some(next);
        }
        assert_eq!(seen, all);
        for input in [
            GetResourcesInput { resources_per_page: Some(0), ..Default::default() },
            GetResourcesInput { tags_per_page: Some(99), ..Default::default() },
            GetResourcesInput { include_compliance_details: Some(true), ..Default::default() },
            GetResourcesInput { resource_type_filters: Some(vec!["ecs:".to_owned()]), ..Default::default() },
        ] {
            let refused = refusal(fixture.read(|state, cx| get_resources(state, cx, input)));
            assert!(refused.starts_with("InvalidParameterException: "));
        }
    }
}
