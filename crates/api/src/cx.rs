//! What a handler knows besides the state: who asks, where, when, and a source of ids.

use crate::iam::service_linked_role;
use crate::identity::Enforced;
use crate::settings::Settings;
use longshore_types::iam::RoleSession;
use longshore_types::{IdSource, Scope, Timestamp};
use std::cell::{RefCell, RefMut};
use std::sync::Arc;

/// One request's context. Handlers take time and ids from here only, so that a test or a simulator decides both.
#[derive(Debug)]
pub struct Cx {
    pub scope: Scope,
    pub now: Timestamp,
    pub request_id: String,
    pub caller: Caller,
    pub settings: Arc<Settings>,
    /// What policies are evaluated with. `None` evaluates none: open mode, and the controllers.
    pub enforced: Option<Arc<Enforced>>,
    ids: RefCell<IdSource>,
}

/// Who signed the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// `arn:aws:iam::123456789012:root`, or an assumed role's.
    pub arn: String,
    pub user_id: String,
    pub access_key_id: String,
    pub principal: Principal,
    /// The session whose credentials signed, for temporary ones.
    pub session: Option<Arc<RoleSession>>,
}

/// What kind of identity a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The account itself: no policy narrows it.
    Root,
    /// A user, by name.
    User(String),
    /// A session of a role, by the role's name.
    Role(String),
    /// A federated user of a user, or of the account itself.
    Federated(Option<String>),
    /// A service acting for the account, as controllers do.
    Service,
}

impl Caller {
    pub fn root(scope: &Scope, access_key_id: &str) -> Self {
        Self {
            arn: format!("arn:aws:iam::{}:root", scope.account),
            user_id: scope.account.to_string(),
            access_key_id: access_key_id.to_owned(),
            principal: Principal::Root,
            session: None,
        }
    }

    /// ECS, as it acts for an account by its service-linked role.
    pub fn ecs(scope: &Scope) -> Self {
        Self {
            arn: service_linked_role::ECS.arn(&scope.account),
            principal: Principal::Service,
            ..Self::root(scope, "")
        }
    }
}

impl Cx {
    pub fn new(scope: Scope, now: Timestamp, caller: Caller, settings: Arc<Settings>, seed: u128) -> Self {
        let mut ids = IdSource::new(seed);
        Self { request_id: ids.uuid(), scope, now, caller, settings, enforced: None, ids: RefCell::new(ids) }
    }

    /// New identifiers. Not for secrets: see [`Settings`] for how those are made.
    pub fn ids(&self) -> RefMut<'_, IdSource> {
        self.ids.borrow_mut()
    }
}
