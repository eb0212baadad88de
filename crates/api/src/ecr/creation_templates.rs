//! Repository creation templates: what a repository is like that a push or a pull through the cache brings about.

use super::{error, lifecycle_policy, mutability, names, repository_policy, tags, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ecr::{CreationTemplate, LifecyclePolicy, Repository, longest_prefix};
use longshore_types::{Scope, Tags, Timestamp};
use std::sync::Arc;

/// Why a repository is made that nobody created by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Push,
    PullThrough,
}

/// Makes the repository `name` if a template (or, for a pull, a rule of the cache) says so; true if it is there then.
pub fn provide_repository(tx: &mut Tx, scope: &Scope, name: &str, purpose: Purpose, now: Timestamp) -> bool {
    let key = (scope.clone(), name.to_owned());
    if tx.repositories().get(&key).is_some() {
        return true;
    }
    if !names::is_repository_name(name) {
        return false;
    }
    let template = template_for(&tx.snapshot(), scope, name, purpose);
    if template.is_none() && purpose == Purpose::Push {
        return false;
    }
    let row = match template {
        Some(template) => Repository {
            immutable_tags: template.immutable_tags,
            mutability_exclusions: template.mutability_exclusions.clone(),
            lifecycle: template.lifecycle_policy.clone().map(|text| LifecyclePolicy { text, last_evaluated_at: None }),
            policy: template.policy.clone(),
            tags: template.tags.clone(),
            ..plain(name, now)
        },
        None => plain(name, now),
    };
    tx.repositories().put(key, row);
    true
}

/// The template that a repository of this name would be made from: the one with the longest prefix.
pub fn template_for(state: &Snapshot, scope: &Scope, name: &str, purpose: Purpose) -> Option<Arc<CreationTemplate>> {
    let applies = |template: &CreationTemplate| match purpose {
        Purpose::Push => template.for_push,
        Purpose::PullThrough => template.for_pull_through,
    };
    let templates: Vec<_> = state.creation_templates().prefix(scope).filter(|row| applies(row)).collect();
    let prefix = longest_prefix(templates.iter().map(|row| row.prefix.as_str()), name);
    templates.iter().find(|row| Some(row.prefix.as_str()) == prefix).cloned()
}

fn plain(name: &str, now: Timestamp) -> Repository {
    Repository {
        name: name.to_owned(),
        created_at: now,
        immutable_tags: false,
        mutability_exclusions: vec![],
        scan_on_push: false,
        lifecycle: None,
        lifecycle_preview: None,
        policy: None,
        tags: Tags::default(),
    }
}

/// What creating and updating have in common. `None` leaves a setting as it is.
struct Settings {
    description: Option<String>,
    mutability: Option<(bool, Vec<String>)>,
    tags: Option<Tags>,
    policy: Option<String>,
    lifecycle_policy: Option<String>,
    applied_for: Option<(bool, bool)>,
}

impl Settings {
    fn read(input: CreateRepositoryCreationTemplateInput) -> Result<Self, AwsError> {
        let CreateRepositoryCreationTemplateInput {
            prefix: _,
            description,
            encryption_configuration,
            resource_tags,
            image_tag_mutability,
            image_tag_mutability_exclusion_filters,
            repository_policy,
            lifecycle_policy,
            applied_for,
            custom_role_arn,
        } = input;
        if let Some(kind) = encryption_configuration.and_then(|c| c.encryption_type).filter(|kind| kind != "AES256") {
            return Err(error::unsupported(&format!("encryptionConfiguration.encryptionType {kind}")));
        }
        if custom_role_arn.is_some() {
            return Err(error::unsupported("customRoleArn"));
        }
        let filters = image_tag_mutability_exclusion_filters.unwrap_or_default();
        let mutability = match image_tag_mutability {
            None if filters.is_empty() => None,
            mutability => Some(mutability::read(mutability.as_deref(), filters)?),
        };
        if let Some(text) = repository_policy.as_deref().filter(|text| !text.is_empty()) {
            repository_policy::check(text)?;
        }
        if let Some(text) = lifecycle_policy.as_deref().filter(|text| !text.is_empty()) {
            lifecycle_policy::parse(text)?;
        }
        let applied_for = match applied_for {
            list if list.is_empty() => None,
            list if list.iter().any(|purpose| purpose == "REPLICATION") => {
                return Err(error::unsupported("appliedFor REPLICATION"));
            }
            list => Some((
                list.iter().any(|purpose| purpose == "PULL_THROUGH_CACHE"),
                list.iter().any(|purpose| purpose == "CREATE_ON_PUSH"),
            )),
        };
        let tags = resource_tags.map(|list| tags::parse(Some(list))).transpose()?;
        Ok(Self { description, mutability, tags, policy: repository_policy, lifecycle_policy, applied_for })
    }

    fn apply(self, row: &mut CreationTemplate) {
        // An empty text takes a policy away.
        let text = |given: Option<String>, row: &mut Option<String>| {
            if let Some(given) = given {
                *row = Some(given).filter(|text| !text.is_empty());
            }
        };
        text(self.description, &mut row.description);
        text(self.policy, &mut row.policy);
        text(self.lifecycle_policy, &mut row.lifecycle_policy);
        if let Some((immutable, exclusions)) = self.mutability {
            (row.immutable_tags, row.mutability_exclusions) = (immutable, exclusions);
        }
        if let Some(tags) = self.tags {
            row.tags = tags;
        }
        if let Some(applied) = self.applied_for {
            (row.for_pull_through, row.for_push) = applied;
        }
    }
}

pub fn create_repository_creation_template(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateRepositoryCreationTemplateInput,
) -> Result<CreateRepositoryCreationTemplateOutput, AwsError> {
    let prefix = names::prefix(&input.prefix);
    let settings = Settings::read(input)?;
    let mut row = CreationTemplate {
        prefix: prefix.clone(),
        description: None,
        immutable_tags: false,
        mutability_exclusions: vec![],
        policy: None,
        lifecycle_policy: None,
        tags: Tags::default(),
        for_pull_through: false,
        for_push: false,
        created_at: cx.now,
        updated_at: cx.now,
    };
    if settings.applied_for.is_none() {
        return Err(error::invalid_at(
            "appliedFor",
            "it must name at least one of PULL_THROUGH_CACHE and CREATE_ON_PUSH",
        ));
    }
    settings.apply(&mut row);
    let sent = view::creation_template(&row);
    tx.creation_templates().insert((cx.scope.clone(), prefix.clone()), row).map_err(|_| {
        let text = format!(
            "The repository creation template with prefix '{prefix}' already exists in the registry with id '{}'",
            cx.scope.account
        );
        AwsError::new("TemplateAlreadyExistsException", text)
    })?;
    Ok(CreateRepositoryCreationTemplateOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_creation_template: Some(sent),
    })
}

pub fn update_repository_creation_template(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateRepositoryCreationTemplateInput,
) -> Result<UpdateRepositoryCreationTemplateOutput, AwsError> {
    let prefix = names::prefix(&input.prefix);
    let settings = Settings::read(CreateRepositoryCreationTemplateInput {
        prefix: input.prefix,
        description: input.description,
        encryption_configuration: input.encryption_configuration,
        resource_tags: input.resource_tags,
        image_tag_mutability: input.image_tag_mutability,
        image_tag_mutability_exclusion_filters: input.image_tag_mutability_exclusion_filters,
        repository_policy: input.repository_policy,
        lifecycle_policy: input.lifecycle_policy,
        applied_for: input.applied_for.unwrap_or_default(),
        custom_role_arn: input.custom_role_arn,
    })?;
    let updated = tx.creation_templates().update(&(cx.scope.clone(), prefix.clone()), |row| {
        settings.apply(row);
        row.updated_at = cx.now;
        view::creation_template(row)
    });
    Ok(UpdateRepositoryCreationTemplateOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_creation_template: Some(updated.ok_or_else(|| no_template(cx, &prefix))?),
    })
}

pub fn describe_repository_creation_templates(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeRepositoryCreationTemplatesInput,
) -> Result<DescribeRepositoryCreationTemplatesOutput, AwsError> {
    let wanted: Vec<String> = input.prefixes.iter().flatten().map(|prefix| names::prefix(prefix)).collect();
    let rows = state.creation_templates().prefix(&cx.scope);
    let rows = rows.filter(|row| wanted.is_empty() || wanted.contains(&row.prefix));
    let limit = input.max_results.map_or(100, |n| n.clamp(1, 1000) as usize);
    let page = page::page(rows, |row| row.prefix.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_at("nextToken", "it is not a token of this operation"))?;
    Ok(DescribeRepositoryCreationTemplatesOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_creation_templates: Some(page.items.iter().map(|row| view::creation_template(row)).collect()),
        next_token: page.next_token,
    })
}

pub fn delete_repository_creation_template(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteRepositoryCreationTemplateInput,
) -> Result<DeleteRepositoryCreationTemplateOutput, AwsError> {
    let prefix = names::prefix(&input.prefix);
    let row = tx.creation_templates().remove(&(cx.scope.clone(), prefix.clone()));
    let row = row.ok_or_else(|| no_template(cx, &prefix))?;
    Ok(DeleteRepositoryCreationTemplateOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_creation_template: Some(view::creation_template(&row)),
    })
}

fn no_template(cx: &Cx, prefix: &str) -> AwsError {
    let text = format!(
        "The repository creation template with prefix '{prefix}' does not exist in the registry with id '{}'",
        cx.scope.account
    );
    AwsError::new("TemplateNotFoundException", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    #[test]
    fn a_push_below_a_templates_prefix_makes_the_repository() {
        let (bench, _) = web();
        let create = |prefix: &str, applied_for: &[&str]| {
            let input = CreateRepositoryCreationTemplateInput {
                prefix: prefix.to_owned(),
                image_tag_mutability: Some("IMMUTABLE".to_owned()),
                applied_for: applied_for.iter().map(|s| s.to_string()).collect(),
                ..Default::default()
            };
            bench.try_write(|tx, cx| create_repository_creation_template(tx, cx, input))
        };
        let provide = |name: &str, purpose| {
            let name = name.to_owned();
            bench.write(move |tx, cx| provide_repository(tx, &cx.scope, &name, purpose, cx.now))
        };
        create("team/", &["CREATE_ON_PUSH"]).expect("made");
        assert!(refusal(create("team", &["CREATE_ON_PUSH"])).starts_with("TemplateAlreadyExistsException: "));
        assert!(refusal(create("x", &["REPLICATION"])).contains("REPLICATION"));
        assert!(refusal(create("x", &[])).contains("appliedFor"));
        assert!(
            provide("team/api", Purpose::Push)
                && !provide("other/api", Purpose::Push)
                && !provide("team/../x", Purpose::Push)
        );
        let row = bench.read(|state, cx| names::repository(state, &cx.scope, None, "team/api")).expect("made");
        assert!(row.immutable_tags);
        assert!(provide("hub/nginx", Purpose::PullThrough), "the rule that covers it is the caller's to find");
        let input = UpdateRepositoryCreationTemplateInput {
            prefix: "team".to_owned(),
            description: Some("ours".to_owned()),
            ..Default::default()
        };
        let updated = bench.try_write(|tx, cx| update_repository_creation_template(tx, cx, input)).expect("updated");
        let template = updated.repository_creation_template.expect("it is shown");
        assert_eq!(
            (template.description.as_deref(), template.image_tag_mutability.as_deref()),
            (Some("ours"), Some("IMMUTABLE"))
        );
        let input = DeleteRepositoryCreationTemplateInput { prefix: "team".to_owned() };
        bench.try_write(|tx, cx| delete_repository_creation_template(tx, cx, input)).expect("deleted");
        assert!(!provide("team/web", Purpose::Push));
    }
}
