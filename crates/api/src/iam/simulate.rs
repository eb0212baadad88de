//! SimulatePrincipalPolicy, SimulateCustomPolicy, and the context keys that policies ask for: what would be decided.

use super::document::{self, Purpose};
use super::{error, roles};
use crate::Cx;
use crate::identity::{Identity, identity_documents};
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::*;
use longshore_policy::{Context, Decision, Effect, Grants, MapContext, Named, Policy, Principal, Request, Source};
use longshore_store::Snapshot;
use longshore_types::arn::Arn;
use std::collections::BTreeSet;

/// What is simulated, of either operation.
struct Simulation {
    /// Name, kind and text.
    policies: Vec<(String, &'static str, Policy)>,
    boundary: Option<Policy>,
    resource_policy: Option<Policy>,
    caller_arn: String,
    account: String,
    actions: Vec<String>,
    resources: Vec<String>,
    context: MapContext,
}

fn parse(text: &str) -> Result<Policy, AwsError> {
    document::check(text, Purpose::Permissions).map_err(|bad| error::invalid_input(bad.message))?;
    Policy::parse(text).map_err(|bad| error::invalid_input(bad.0))
}

/// Policies given in a request are called as AWS calls them: `PolicyInputList.1`.
fn given(list: &[String], name: &str, kind: &'static str) -> Result<Vec<(String, &'static str, Policy)>, AwsError> {
    let one = |(i, text): (usize, &String)| Ok((format!("{name}.{}", i + 1), kind, parse(text)?));
    list.iter().enumerate().map(one).collect()
}

fn context(entries: Option<Vec<ContextEntry>>) -> MapContext {
    let mut context = MapContext::default();
    for entry in entries.into_iter().flatten() {
        let values = entry.context_key_values.unwrap_or_default();
        context.set(entry.context_key_name.unwrap_or_default(), values);
    }
    context
}

/// Boundaries that are given count as one whose statements are all of theirs.
fn boundary(texts: Option<&[String]>) -> Result<Option<Policy>, AwsError> {
    match texts {
        None | Some([]) => Ok(None),
        Some([text]) => parse(text).map(Some),
        Some(_) => Err(error::invalid_input("Only one policy can be given in PermissionsBoundaryPolicyInputList.")),
    }
}

fn resource_policy(text: Option<&str>) -> Result<Option<Policy>, AwsError> {
    let parse = |text| Policy::parse(text).map_err(|bad| error::invalid_input(bad.0));
    text.map(parse).transpose()
}

pub fn simulate_custom_policy(
    _: &Snapshot,
    cx: &Cx,
    input: SimulateCustomPolicyInput,
) -> Result<SimulateCustomPolicyOutput, AwsError> {
    if input.ordered_organization_policy_input_list.is_some() {
        let message = "The parameter OrderedOrganizationPolicyInputList is not supported by Longshore.";
        return Err(error::invalid_input(message));
    }
    check_unsupported(input.resource_owner.as_deref(), input.resource_handling_option.as_deref())?;
    let simulation = Simulation {
        policies: given(&input.policy_input_list, "PolicyInputList", "IAM Policy")?,
        boundary: boundary(input.permissions_boundary_policy_input_list.as_deref())?,
        resource_policy: resource_policy(input.resource_policy.as_deref())?,
        caller_arn: caller(input.resource_policy.as_deref(), input.caller_arn, None)?,
        account: cx.scope.account.to_string(),
        actions: input.action_names,
        resources: input.resource_arns.unwrap_or_default(),
        context: context(input.context_entries),
    };
    let page = simulation.run(input.marker.as_deref(), input.max_items)?;
    Ok(SimulateCustomPolicyOutput {
        evaluation_results: Some(page.items),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

/// What would only matter to other accounts and to EC2's instances.
fn check_unsupported(owner: Option<&str>, handling: Option<&str>) -> Result<(), AwsError> {
    let given = [("ResourceOwner", owner.is_some()), ("ResourceHandlingOption", handling.is_some())];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(error::invalid_input(format!("The parameter {name} is not supported by Longshore."))),
        None => Ok(()),
    }
}

/// A resource's policy needs to know who asks.
fn caller(resource_policy: Option<&str>, arn: Option<String>, source: Option<&str>) -> Result<String, AwsError> {
    match (resource_policy, arn, source) {
        (_, Some(arn), _) => Ok(arn),
        (_, None, Some(source)) if !source.contains(":group/") => Ok(source.to_owned()),
        (Some(_), None, _) => Err(error::invalid_input("CallerArn is required when a ResourcePolicy is given.")),
        (None, None, _) => Ok(String::new()),
    }
}

pub fn simulate_principal_policy(
    state: &Snapshot,
    cx: &Cx,
    input: SimulatePrincipalPolicyInput,
) -> Result<SimulatePrincipalPolicyOutput, AwsError> {
    if input.policy_exclusion_list.is_some() {
        return Err(error::invalid_input("The parameter PolicyExclusionList is not supported by Longshore."));
    }
    check_unsupported(input.resource_owner.as_deref(), input.resource_handling_option.as_deref())?;
    let (own, own_boundary) = of_source(state, cx, &input.policy_source_arn)?;
    let mut policies = own;
    policies.extend(given(input.policy_input_list.as_deref().unwrap_or_default(), "PolicyInputList", "IAM Policy")?);
    let source = Some(input.policy_source_arn.as_str());
    let simulation = Simulation {
        policies,
        boundary: boundary(input.permissions_boundary_policy_input_list.as_deref())?.or(own_boundary),
        resource_policy: resource_policy(input.resource_policy.as_deref())?,
        caller_arn: caller(input.resource_policy.as_deref(), input.caller_arn, source)?,
        account: cx.scope.account.to_string(),
        actions: input.action_names,
        resources: input.resource_arns.unwrap_or_default(),
        context: context(input.context_entries),
    };
    let page = simulation.run(input.marker.as_deref(), input.max_items)?;
    Ok(SimulatePrincipalPolicyOutput {
        evaluation_results: Some(page.items),
        is_truncated: Some(page.next_token.is_some()),
        marker: page.next_token,
    })
}

type Policies = Vec<(String, &'static str, Policy)>;

/// The policies of a user, group or role by its ARN.
fn of_source(state: &Snapshot, cx: &Cx, arn: &str) -> Result<(Policies, Option<Policy>), AwsError> {
    let invalid =
        || error::invalid_input(format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."));
    let parsed = Arn::parse(arn).filter(|arn| arn.service == "iam").ok_or_else(invalid)?;
    let (kind, path) = parsed.resource.split_once('/').ok_or_else(invalid)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let key = (cx.scope.account.clone(), name.to_owned());
    let (identity, is_there) = match kind {
        "user" => (Identity::User(name), state.users().contains(&key)),
        "group" => (Identity::Group(name), state.groups().contains(&key)),
        "role" => (Identity::Role(name), state.roles().contains(&key)),
        _ => return Err(invalid()),
    };
    if !is_there {
        return Err(error::no_such_entity_of(&format!("The {kind} with name {name} cannot be found.")));
    }
    let (documents, boundary) = identity_documents(state, &cx.scope.account, identity);
    let compile = |(name, text): (String, String)| {
        // `arn:aws:iam::aws:policy/ReadOnlyAccess` is called by its name.
        let name = name.rsplit('/').next().unwrap_or(&name).to_owned();
        (name, "IAM Policy", Policy::parse(&text).unwrap_or_default())
    };
    let boundary = boundary.map(|text| Policy::parse(&text).unwrap_or_default());
    Ok((documents.into_iter().map(compile).collect(), boundary))
}

impl Simulation {
    fn run(
        self,
        marker: Option<&str>,
        max_items: Option<i32>,
    ) -> Result<crate::page::Page<EvaluationResult>, AwsError> {
        if let Some(bad) = self.actions.iter().find(|action| !action.contains(':')) {
            return Err(error::invalid_input(format!("Invalid Action Name: {bad}")));
        }
        let all = vec!["*".to_owned()];
        let resources = if self.resources.is_empty() { &all } else { &self.resources };
        let pairs = self.actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)));
        // In the order asked for: pages go by number.
        let numbered = pairs.enumerate().map(|(i, (action, resource))| (format!("{i:06}"), action, resource));
        let page = roles::list(numbered, |(key, ..)| key.clone(), marker, max_items)?;
        let items = page.items.iter().map(|(_, action, resource)| self.evaluate(action, resource)).collect();
        Ok(crate::page::Page { items, next_token: page.next_token })
    }

    fn evaluate(&self, action: &str, resource: &str) -> EvaluationResult {
        let principal = match self.caller_arn.as_str() {
            "" => Principal::Anyone,
            arn => Principal::Aws { arn, role: None, account: &self.account },
        };
        let request = Request { action, resource, principal, context: &self.context };
        let named = |(name, _, policy): &(String, &str, Policy)| Named { name: name.clone(), policy: policy.clone() };
        let grants = Grants {
            identity: self.policies.iter().map(named).collect(),
            boundary: self.boundary.clone(),
            session: None,
        };
        let decision = longshore_policy::decide(&request, &grants, self.resource_policy.as_ref());
        let boundary_detail = self.boundary.as_ref().map(|_| PermissionsBoundaryDecisionDetail {
            allowed_by_permissions_boundary: Some(!matches!(
                decision,
                Decision::ImplicitDeny(Source::Boundary) | Decision::ExplicitDeny(Source::Boundary)
            )),
        });
        EvaluationResult {
            eval_action_name: Some(action.to_owned()),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision: Some(
                match decision {
                    Decision::Allowed => "allowed",
                    Decision::ExplicitDeny(_) => "explicitDeny",
                    Decision::ImplicitDeny(_) => "implicitDeny",
                }
                .to_owned(),
            ),
            matched_statements: Some(self.matched(&request, decision)),
            missing_context_values: Some(self.missing()),
            permissions_boundary_decision_detail: boundary_detail,
            ..Default::default()
        }
    }

    /// The statements that made the decision; none for one that no statement made.
    fn matched(&self, request: &Request<'_>, decision: Decision) -> Vec<Statement> {
        let effect = match decision {
            Decision::Allowed => Effect::Allow,
            Decision::ExplicitDeny(_) => Effect::Deny,
            Decision::ImplicitDeny(_) => return Vec::new(),
        };
        let policies: Vec<&Policy> = self.policies.iter().map(|(_, _, policy)| policy).collect();
        let is_bounded = self.boundary.is_some();
        let of_identity = longshore_policy::matches(request, &policies, is_bounded).into_iter();
        let mut all: Vec<Statement> = of_identity
            .filter(|(_, _, own)| *own == effect)
            .map(|(i, ..)| statement(&self.policies[i].0, self.policies[i].1))
            .collect();
        if let Some(policy) = &self.resource_policy {
            let of_resource = longshore_policy::matches(request, &[policy], is_bounded).into_iter();
            all.extend(
                of_resource
                    .filter(|(_, _, own)| *own == effect)
                    .map(|_| statement("ResourcePolicy", "Resource Policy")),
            );
        }
        all
    }

    /// Keys that the policies ask for and the request did not give.
    fn missing(&self) -> Vec<String> {
        let policies =
            self.policies.iter().map(|(_, _, policy)| policy).chain(&self.boundary).chain(&self.resource_policy);
        let keys: BTreeSet<&str> = policies.flat_map(Policy::keys).collect();
        keys.into_iter().filter(|key| self.context.get(key).is_none()).map(str::to_owned).collect()
    }
}

fn statement(name: &str, kind: &str) -> Statement {
    Statement {
        source_policy_id: Some(name.to_owned()),
        source_policy_type: Some(kind.to_owned()),
        ..Default::default()
    }
}

pub fn get_context_keys_for_custom_policy(
    _: &Snapshot,
    _: &Cx,
    input: GetContextKeysForCustomPolicyInput,
) -> Result<GetContextKeysForCustomPolicyOutput, AwsError> {
    let policies = given(&input.policy_input_list, "PolicyInputList", "IAM Policy")?;
    Ok(GetContextKeysForCustomPolicyOutput { context_key_names: Some(keys(&policies)) })
}

pub fn get_context_keys_for_principal_policy(
    state: &Snapshot,
    cx: &Cx,
    input: GetContextKeysForPrincipalPolicyInput,
) -> Result<GetContextKeysForPrincipalPolicyOutput, AwsError> {
    let (mut policies, _) = of_source(state, cx, &input.policy_source_arn)?;
    policies.extend(given(input.policy_input_list.as_deref().unwrap_or_default(), "PolicyInputList", "IAM Policy")?);
    Ok(GetContextKeysForPrincipalPolicyOutput { context_key_names: Some(keys(&policies)) })
}

fn keys(policies: &Policies) -> Vec<String> {
    let all: BTreeSet<&str> = policies.iter().flat_map(|(_, _, policy)| policy.keys()).collect();
    all.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{read, refusal, write};
    use crate::iam::attached_policies::attach_role_policy;
    use crate::iam::create_role::tests::with_role;
    use crate::testing::Fixture;

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"ecs:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}},
        {"Effect":"Deny","Action":"ecs:DeleteCluster","Resource":"*"}]}"#;

    fn decisions(results: Option<Vec<EvaluationResult>>) -> Vec<String> {
        results.expect("results").into_iter().filter_map(|result| result.eval_decision).collect()
    }

    fn custom(region: Option<&str>) -> SimulateCustomPolicyInput {
        let entry = |region: &str| ContextEntry {
            context_key_name: Some("aws:RequestedRegion".to_owned()),
            context_key_values: Some(vec![region.to_owned()]),
            context_key_type: Some("string".to_owned()),
        };
        SimulateCustomPolicyInput {
            policy_input_list: vec![POLICY.to_owned()],
            action_names: ["ecs:RunTask", "ecs:DeleteCluster", "ec2:RunInstances"].map(str::to_owned).to_vec(),
            context_entries: region.map(|region| vec![entry(region)]),
            ..Default::default()
        }
    }

    #[test]
    fn given_policies_are_decided_as_in_earnest() {
        let fixture = Fixture::new();
        let output = read(&fixture, simulate_custom_policy, custom(Some("us-east-1"))).expect("results");
        assert_eq!(decisions(output.evaluation_results), ["allowed", "explicitDeny", "implicitDeny"]);
        let unknown = read(&fixture, simulate_custom_policy, custom(None)).expect("results");
        let first = &unknown.evaluation_results.as_ref().expect("results")[0];
        assert_eq!(first.missing_context_values.as_deref(), Some(&["aws:RequestedRegion".to_owned()][..]));
        assert_eq!(decisions(unknown.evaluation_results)[0], "implicitDeny");
        let bounded = SimulateCustomPolicyInput {
            permissions_boundary_policy_input_list: Some(vec![POLICY.replace("ecs:*", "ec2:*")]),
            ..custom(Some("us-east-1"))
        };
        let output = read(&fixture, simulate_custom_policy, bounded).expect("results").evaluation_results;
        let first = &output.as_ref().expect("results")[0];
        let detail = first.permissions_boundary_decision_detail.as_ref().expect("a boundary");
        assert_eq!(detail.allowed_by_permissions_boundary, Some(false));
    }

    #[test]
    fn a_roles_policies_are_found_by_its_arn() {
        let fixture = with_role();
        let arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
        let attach = AttachRolePolicyInput { role_name: "web".to_owned(), policy_arn: arn.to_owned() };
        write(&fixture, attach_role_policy, attach).expect("attached");
        let input = |name: &str| SimulatePrincipalPolicyInput {
            policy_source_arn: format!("arn:aws:iam::123456789012:role/{name}"),
            action_names: ["ecr:BatchGetImage", "ecr:PutImage"].map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let output = read(&fixture, simulate_principal_policy, input("web")).expect("results");
        let first = &output.evaluation_results.as_ref().expect("results")[0];
        let matched = &first.matched_statements.as_ref().expect("a statement")[0];
        assert_eq!(matched.source_policy_id.as_deref(), Some("AmazonECSTaskExecutionRolePolicy"));
        assert_eq!(decisions(output.evaluation_results), ["allowed", "implicitDeny"]);
        assert_eq!(
            refusal(read(&fixture, simulate_principal_policy, input("none"))),
            "NoSuchEntity: The role with name none cannot be found."
        );
        let keys = GetContextKeysForCustomPolicyInput { policy_input_list: vec![POLICY.to_owned()] };
        let keys = read(&fixture, get_context_keys_for_custom_policy, keys).expect("keys").context_key_names;
        assert_eq!(keys.expect("keys"), ["aws:RequestedRegion"]);
    }
}
