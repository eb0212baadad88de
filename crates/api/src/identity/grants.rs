//! The policies that concern a caller.

use super::{Authority, cached};
use crate::iam::managed;
use crate::{Caller, Principal};
use longshore_policy::{Grants, Named, Policy};
use longshore_store::Snapshot;
use longshore_types::AccountId;
use longshore_types::arn::Arn;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Authority {
    /// A caller's policies, compiled when they are first asked for and when a role, user, group or policy has changed.
    pub fn grants(&self, state: &Snapshot, account: &AccountId, caller: &Caller) -> Arc<Grants> {
        let changed = [
            state.roles().changed_at(),
            state.users().changed_at(),
            state.groups().changed_at(),
            state.policies().changed_at(),
        ];
        let revision = changed.into_iter().max().unwrap_or(0);
        let make = || (revision, Arc::new(of_caller(state, account, caller)));
        cached(&self.grants, caller.access_key_id.clone(), |(at, _)| *at == revision, make).1
    }
}

fn of_caller(state: &Snapshot, account: &AccountId, caller: &Caller) -> Grants {
    let mut grants = match &caller.principal {
        Principal::Root | Principal::Service => Grants::default(),
        Principal::User(name) => of_identity(state, account, Identity::User(name)),
        Principal::Role(name) if is_of_its_role(state, account, caller) => {
            of_identity(state, account, Identity::Role(name))
        }
        Principal::Role(_) => Grants::default(),
        Principal::Federated(Some(user)) => of_identity(state, account, Identity::User(user)),
        // The account's own permissions, as far as the session's policies go.
        Principal::Federated(None) => Grants { identity: vec![named("root", EVERYTHING)], ..Default::default() },
    };
    let policies = caller.session.as_ref().and_then(|session| session.policies.as_ref());
    grants.session = policies.map(|texts| texts.iter().map(|text| compile(text)).collect());
    // Without session policies, a federated user may do nothing.
    if matches!(caller.principal, Principal::Federated(_)) && grants.session.is_none() {
        grants.session = Some(Vec::new());
    }
    grants
}

/// Whether a session's role is the one it was begun with: a role that was deleted and made again under its name is another, with
/// its own sessions. True for whoever is no session of a role.
pub fn is_of_its_role(state: &Snapshot, account: &AccountId, caller: &Caller) -> bool {
    let (Principal::Role(name), Some(session)) = (&caller.principal, &caller.session) else { return true };
    state.roles().get(&(account.clone(), name.clone())).is_some_and(|role| role.id == session.role_id)
}

const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

/// A user or a role, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    User(&'a str),
    Group(&'a str),
    Role(&'a str),
}

/// Policies and boundary of an identity; none for one that is gone.
pub fn of_identity(state: &Snapshot, account: &AccountId, identity: Identity<'_>) -> Grants {
    let (documents, boundary) = identity_documents(state, account, identity);
    Grants {
        identity: documents.iter().map(|(name, text)| named(name, text)).collect(),
        boundary: boundary.map(|text| compile(&text)),
        session: None,
    }
}

/// Name and text of each policy of an identity (its groups' included), and the text of its boundary.
pub fn identity_documents(
    state: &Snapshot,
    account: &AccountId,
    identity: Identity<'_>,
) -> (Vec<(String, String)>, Option<String>) {
    let mut documents = Vec::new();
    let mut add = |attached: &BTreeSet<String>, inline: &BTreeMap<String, String>| {
        for arn in attached {
            if let Some(text) = managed_document(state, account, arn) {
                documents.push((arn.clone(), text.into_owned()));
            }
        }
        documents.extend(inline.iter().map(|(name, text)| (name.clone(), text.clone())));
    };
    let mut boundary = None;
    match identity {
        Identity::Role(name) => {
            if let Some(role) = state.roles().get(&(account.clone(), name.to_owned())) {
                add(&role.attached_policies, &role.inline_policies);
                boundary.clone_from(&role.permissions_boundary);
            }
        }
        Identity::Group(name) => {
            if let Some(group) = state.groups().get(&(account.clone(), name.to_owned())) {
                add(&group.attached_policies, &group.inline_policies);
            }
        }
        Identity::User(name) => {
            if let Some(user) = state.users().get(&(account.clone(), name.to_owned())) {
                add(&user.attached_policies, &user.inline_policies);
                for group in user.groups.iter().filter_map(|name| state.groups().get(&(account.clone(), name.clone())))
                {
                    add(&group.attached_policies, &group.inline_policies);
                }
                boundary.clone_from(&user.permissions_boundary);
            }
        }
    }
    // A boundary that is gone lets nothing through.
    let boundary = boundary.map(|arn| managed_document(state, account, &arn).map_or_else(String::new, Cow::into_owned));
    (documents, boundary)
}

/// The text in force of a managed policy: AWS's or the account's.
pub fn managed_document(state: &Snapshot, account: &AccountId, arn: &str) -> Option<Cow<'static, str>> {
    if let Some(policy) = managed::find(arn) {
        return Some(Cow::Borrowed(policy.document));
    }
    let parsed = Arn::parse(arn).filter(|arn| arn.service == "iam" && arn.account == account.as_str())?;
    let name = parsed.resource.strip_prefix("policy/")?.rsplit('/').next()?;
    let policy = state.policies().get(&(account.clone(), name.to_owned()))?;
    policy.versions.get(&policy.default_version).map(|version| Cow::Owned(version.document.clone()))
}

fn named(name: &str, text: &str) -> Named<Policy> {
    Named { name: name.to_owned(), policy: compile(text) }
}

/// A text that is no policy allows nothing; none gets here, since all are read before they are stored.
fn compile(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::acting_as;
    use crate::testing::Fixture;
    use longshore_types::iam::Role;
    use std::net::Ipv4Addr;

    fn role(id: &str) -> Role {
        Role {
            name: "web".to_owned(),
            path: "/".to_owned(),
            id: id.to_owned(),
            trust_policy: String::new(),
            description: None,
            max_session_seconds: 3600,
            created_at: Default::default(),
            tags: Default::default(),
            attached_policies: Default::default(),
            inline_policies: [("all".to_owned(), EVERYTHING.to_owned())].into(),
            permissions_boundary: None,
            linked_service: None,
            last_used: None,
        }
    }

    #[test]
    fn a_session_ends_with_its_role_and_no_other_of_that_name_revives_it() {
        let fixture = Fixture::new();
        let own = role("AROAOLD");
        let caller =
            fixture.read(|state, _| acting_as(state, fixture.cx(), &own, "s", Ipv4Addr::LOCALHOST)).caller.clone();
        let policies = |fixture: &Fixture| {
            fixture.read(|state, cx| {
                let is_its = is_of_its_role(state, &cx.scope.account, &caller);
                (of_caller(state, &cx.scope.account, &caller).identity.len(), is_its)
            })
        };
        let put =
            |row: Role| fixture.write(move |tx, cx| tx.roles().put((cx.scope.account.clone(), "web".into()), row));
        assert_eq!(policies(&fixture), (0, false));
        put(own.clone());
        assert_eq!(policies(&fixture), (1, true));
        put(role("AROANEW"));
        assert_eq!(policies(&fixture), (0, false));
    }
}
