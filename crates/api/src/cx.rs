//! What a handler knows besides the state: who asks, where, when, and a source of ids.

use crate::settings::Settings;
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
    ids: RefCell<IdSource>,
}

/// Who signed the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `arn:aws:iam::123456789012:root`, or an assumed role's.
    pub arn: String,
    pub user_id: String,
    pub access_key_id: String,
}

impl Caller {
    pub fn root(scope: &Scope, access_key_id: &str) -> Self {
        Self {
            arn: format!("arn:aws:iam::{}:root", scope.account),
            user_id: scope.account.to_string(),
            access_key_id: access_key_id.to_owned(),
        }
    }
}

impl Cx {
    pub fn new(scope: Scope, now: Timestamp, caller: Caller, settings: Arc<Settings>, seed: u128) -> Self {
        let mut ids = IdSource::new(seed);
        Self { request_id: ids.uuid(), scope, now, caller, settings, ids: RefCell::new(ids) }
    }

    /// New identifiers. Not for secrets: see [`Settings`] for how those are made.
    pub fn ids(&self) -> RefMut<'_, IdSource> {
        self.ids.borrow_mut()
    }
}
