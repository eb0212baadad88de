//! Rules of the pull-through cache. The server's registry side pulls: see `server::upstream`.

use super::{error, names, view};
use crate::routes::Backend;
use crate::{Cx, page};
use longshore_aws_model::ecr::*;
use longshore_aws_model::{AwsError, Timestamp as WireTime};
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::ecr::{PullThroughRule, longest_prefix};
use std::sync::Arc;

/// The rule that covers a repository's name.
pub fn rule_for(state: &Snapshot, scope: &Scope, repository: &str) -> Option<Arc<PullThroughRule>> {
    let rules: Vec<_> = state.pull_through_rules().prefix(scope).collect();
    let prefix = longest_prefix(rules.iter().map(|rule| rule.prefix.as_str()), repository)?;
    rules.iter().find(|rule| rule.prefix == prefix).cloned()
}

/// What the repository is called upstream.
pub fn upstream_name(rule: &PullThroughRule, repository: &str) -> String {
    let rest = match rule.prefix.as_str() {
        "ROOT" => repository,
        prefix => repository.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or(repository),
    };
    match rule.upstream_prefix.as_deref() {
        None | Some("ROOT") => rest.to_owned(),
        Some(prefix) => format!("{prefix}/{rest}"),
    }
}

/// Upstream registries are asked without credentials.
fn refuse(custom_role: &Option<String>, credential: &Option<String>) -> Result<(), AwsError> {
    match (custom_role, credential) {
        (Some(_), _) => Err(error::unsupported("customRoleArn")),
        (_, Some(_)) => Err(error::unsupported("credentialArn")),
        (None, None) => Ok(()),
    }
}

pub fn create_pull_through_cache_rule(
    tx: &mut Tx,
    cx: &Cx,
    input: CreatePullThroughCacheRuleInput,
) -> Result<CreatePullThroughCacheRuleOutput, AwsError> {
    names::check_registry(&cx.scope, input.registry_id.as_deref())?;
    refuse(&input.custom_role_arn, &input.credential_arn)?;
    let prefix = names::prefix(&input.ecr_repository_prefix);
    let upstream_url = input.upstream_registry_url.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let is_host = |url: &str| {
        let host = url.rsplit_once(':').map_or(url, |(host, port)| if port.parse::<u16>().is_ok() { host } else { "" });
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
    };
    if !is_host(&upstream_url) {
        let text = format!(
            "The specified upstream registry URL '{upstream_url}' isn't supported: it must be a host, with a port if need be."
        );
        return Err(AwsError::new("UnsupportedUpstreamRegistryException", text));
    }
    let upstream_registry = match (input.upstream_registry, known_registry(&upstream_url)) {
        (Some(given), Some(known)) if given != known => {
            return Err(error::invalid_at("upstreamRegistry", format!("'{upstream_url}' is {known}, not {given}")));
        }
        (Some(given), _) => Some(given),
        (None, known) => known.map(str::to_owned),
    };
    let row = PullThroughRule {
        prefix: prefix.clone(),
        upstream_url,
        upstream_prefix: input.upstream_repository_prefix.as_deref().map(names::prefix),
        upstream_registry,
        credential_arn: input.credential_arn,
        created_at: cx.now,
        updated_at: cx.now,
    };
    let sent = row.clone();
    tx.pull_through_rules().insert((cx.scope.clone(), prefix.clone()), row).map_err(|_| {
        let text = format!("A pull through cache rule with the repository prefix '{prefix}' already exists in the registry with id '{}'", cx.scope.account);
        AwsError::new("PullThroughCacheRuleAlreadyExistsException", text)
    })?;
    Ok(CreatePullThroughCacheRuleOutput {
        ecr_repository_prefix: Some(sent.prefix),
        upstream_registry_url: Some(sent.upstream_url),
        created_at: Some(WireTime(sent.created_at.0)),
        registry_id: Some(cx.scope.account.to_string()),
        upstream_registry: sent.upstream_registry,
        credential_arn: sent.credential_arn,
        custom_role_arn: None,
        upstream_repository_prefix: sent.upstream_prefix,
    })
}

/// Which of AWS's kinds of upstream a host is.
fn known_registry(url: &str) -> Option<&'static str> {
    match url {
        "public.ecr.aws" => Some("ecr-public"),
        "registry-1.docker.io" => Some("docker-hub"),
        "quay.io" => Some("quay"),
        "registry.k8s.io" => Some("k8s"),
        "ghcr.io" => Some("github-container-registry"),
        "registry.gitlab.com" => Some("gitlab-container-registry"),
        "cgr.dev" => Some("chainguard"),
        url if url.ends_with(".azurecr.io") => Some("azure-container-registry"),
        url if url.contains(".dkr.ecr.") => Some("ecr"),
        _ => None,
    }
}

pub fn update_pull_through_cache_rule(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdatePullThroughCacheRuleInput,
) -> Result<UpdatePullThroughCacheRuleOutput, AwsError> {
    names::check_registry(&cx.scope, input.registry_id.as_deref())?;
    refuse(&input.custom_role_arn, &input.credential_arn)?;
    let prefix = names::prefix(&input.ecr_repository_prefix);
    let updated = tx.pull_through_rules().update(&(cx.scope.clone(), prefix.clone()), |row| {
        row.updated_at = cx.now;
        row.clone()
    });
    let row = updated.ok_or_else(|| no_rule(&cx.scope, &prefix))?;
    Ok(UpdatePullThroughCacheRuleOutput {
        ecr_repository_prefix: Some(row.prefix),
        registry_id: Some(cx.scope.account.to_string()),
        updated_at: Some(WireTime(row.updated_at.0)),
        credential_arn: row.credential_arn,
        custom_role_arn: None,
        upstream_repository_prefix: row.upstream_prefix,
    })
}

pub fn describe_pull_through_cache_rules(
    state: &Snapshot,
    cx: &Cx,
    input: DescribePullThroughCacheRulesInput,
) -> Result<DescribePullThroughCacheRulesOutput, AwsError> {
    names::check_registry(&cx.scope, input.registry_id.as_deref())?;
    let wanted: Vec<String> =
        input.ecr_repository_prefixes.iter().flatten().map(|prefix| names::prefix(prefix)).collect();
    if let Some(missing) = wanted.iter().find(|prefix| rule(state, &cx.scope, prefix).is_err()) {
        return Err(no_rule(&cx.scope, missing));
    }
    let rows = state.pull_through_rules().prefix(&cx.scope);
    let rows = rows.filter(|row| wanted.is_empty() || wanted.contains(&row.prefix));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let page = page::page(rows, |row| row.prefix.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_at("nextToken", "it is not a token of this operation"))?;
    Ok(DescribePullThroughCacheRulesOutput {
        pull_through_cache_rules: Some(page.items.iter().map(|row| view::pull_through_rule(&cx.scope, row)).collect()),
        next_token: page.next_token,
    })
}

pub fn delete_pull_through_cache_rule(
    tx: &mut Tx,
    cx: &Cx,
    input: DeletePullThroughCacheRuleInput,
) -> Result<DeletePullThroughCacheRuleOutput, AwsError> {
    names::check_registry(&cx.scope, input.registry_id.as_deref())?;
    let prefix = names::prefix(&input.ecr_repository_prefix);
    let row = tx.pull_through_rules().remove(&(cx.scope.clone(), prefix.clone()));
    let row = row.ok_or_else(|| no_rule(&cx.scope, &prefix))?;
    Ok(DeletePullThroughCacheRuleOutput {
        ecr_repository_prefix: Some(row.prefix.clone()),
        upstream_registry_url: Some(row.upstream_url.clone()),
        created_at: Some(WireTime(row.created_at.0)),
        registry_id: Some(cx.scope.account.to_string()),
        credential_arn: row.credential_arn.clone(),
        custom_role_arn: None,
        upstream_repository_prefix: row.upstream_prefix.clone(),
    })
}

/// Asks the upstream registry whether it is there and takes the credentials.
pub async fn validate_pull_through_cache_rule(
    backend: Backend,
    cx: Cx,
    input: ValidatePullThroughCacheRuleInput,
) -> Result<ValidatePullThroughCacheRuleOutput, AwsError> {
    names::check_registry(&cx.scope, input.registry_id.as_deref())?;
    let prefix = names::prefix(&input.ecr_repository_prefix);
    let row = backend.store.read(|state| rule(state, &cx.scope, &prefix))?;
    let failure = backend.manifests.check_upstream(&cx.scope, &row).await.err();
    Ok(ValidatePullThroughCacheRuleOutput {
        ecr_repository_prefix: Some(row.prefix.clone()),
        registry_id: Some(cx.scope.account.to_string()),
        upstream_registry_url: Some(row.upstream_url.clone()),
        credential_arn: row.credential_arn.clone(),
        custom_role_arn: None,
        upstream_repository_prefix: row.upstream_prefix.clone(),
        is_valid: Some(failure.is_none()),
        failure,
    })
}

fn rule(state: &Snapshot, scope: &Scope, prefix: &str) -> Result<Arc<PullThroughRule>, AwsError> {
    state.pull_through_rules().get(&(scope.clone(), prefix.to_owned())).ok_or_else(|| no_rule(scope, prefix))
}

fn no_rule(scope: &Scope, prefix: &str) -> AwsError {
    let text = format!(
        "Pull through cache rule with prefix '{prefix}' does not exist in the registry with id '{}'",
        scope.account
    );
    AwsError::new("PullThroughCacheRuleNotFoundException", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    #[test]
    fn rules_are_found_by_the_longest_prefix() {
        let (bench, _) = web();
        let create = |prefix: &str, url: &str, upstream: Option<&str>| {
            let input = CreatePullThroughCacheRuleInput {
                ecr_repository_prefix: prefix.to_owned(),
                upstream_registry_url: url.to_owned(),
                upstream_repository_prefix: upstream.map(str::to_owned),
                ..Default::default()
            };
            bench.try_write(|tx, cx| create_pull_through_cache_rule(tx, cx, input))
        };
        let made = create("hub", "registry-1.docker.io", None).expect("made");
        assert_eq!(made.upstream_registry.as_deref(), Some("docker-hub"));
        create("hub/own", "127.0.0.1:5000", Some("team/")).expect("made");
        assert!(refusal(create("hub", "quay.io", None)).starts_with("PullThroughCacheRuleAlreadyExistsException: "));
        assert!(refusal(create("bad", "quay.io/x?", None)).starts_with("UnsupportedUpstreamRegistryException: "));
        let upstream = |name: &str| {
            bench
                .read(|state, cx| rule_for(state, &cx.scope, name))
                .map(|rule| (rule.upstream_url.clone(), upstream_name(&rule, name)))
        };
        assert_eq!(
            upstream("hub/library/nginx"),
            Some(("registry-1.docker.io".to_owned(), "library/nginx".to_owned()))
        );
        assert_eq!(upstream("hub/own/api"), Some(("127.0.0.1:5000".to_owned(), "team/api".to_owned())));
        assert_eq!(upstream("hubble/x"), None);
        let describe = |prefix: &str| {
            let input = DescribePullThroughCacheRulesInput {
                ecr_repository_prefixes: Some(vec![prefix.to_owned()]),
                ..Default::default()
            };
            bench.read(|state, cx| describe_pull_through_cache_rules(state, cx, input))
        };
        assert_eq!(describe("hub").expect("a list").pull_through_cache_rules.map(|l| l.len()), Some(1));
        let input = DeletePullThroughCacheRuleInput { ecr_repository_prefix: "hub".to_owned(), ..Default::default() };
        bench.try_write(|tx, cx| delete_pull_through_cache_rule(tx, cx, input)).expect("deleted");
        assert!(refusal(describe("hub")).starts_with("PullThroughCacheRuleNotFoundException: "));
    }
}
