//! What holds policies: users, groups and roles, alike but for their names.

use super::error;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{Group, Role, User};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A user, group or role.
pub trait Holder: Sized {
    /// `user`
    const KIND: &'static str;
    /// Managed policies it may have, IAM's quota.
    const ATTACHED_MAX: usize;
    /// Word of the quota: `PoliciesPerRole`.
    const QUOTA: &'static str;
    /// Characters of all its inline policies, white space left out.
    const INLINE_MAX: usize;

    fn attached(&self) -> &BTreeSet<String>;
    fn attached_mut(&mut self) -> &mut BTreeSet<String>;
    fn inline(&self) -> &BTreeMap<String, String>;
    fn inline_mut(&mut self) -> &mut BTreeMap<String, String>;
    /// Names are told apart with regard to case when they are looked up.
    fn get(state: &Snapshot, cx: &Cx, name: &str) -> Option<Arc<Self>>;
    fn change<R>(tx: &mut Tx, cx: &Cx, name: &str, change: impl FnOnce(&mut Self) -> R) -> Option<R>;

    fn find(state: &Snapshot, cx: &Cx, name: &str) -> Result<Arc<Self>, AwsError> {
        Self::get(state, cx, name).ok_or_else(|| error::no_such(Self::KIND, name))
    }

    fn update<R>(tx: &mut Tx, cx: &Cx, name: &str, change: impl FnOnce(&mut Self) -> R) -> Result<R, AwsError> {
        Self::change(tx, cx, name, change).ok_or_else(|| error::no_such(Self::KIND, name))
    }

    /// An error if it has policies still.
    fn check_empty(&self) -> Result<(), AwsError> {
        if !self.attached().is_empty() {
            return Err(error::delete_conflict("Cannot delete entity, must detach all policies first."));
        }
        if !self.inline().is_empty() {
            return Err(error::delete_conflict("Cannot delete entity, must delete policies first."));
        }
        Ok(())
    }
}

macro_rules! holder {
    ($holder:ty, $table:ident, $kind:literal, $quota:literal, $attached:literal, $inline:literal) => {
        impl Holder for $holder {
            const KIND: &'static str = $kind;
            const ATTACHED_MAX: usize = $attached;
            const QUOTA: &'static str = $quota;
            const INLINE_MAX: usize = $inline;

            fn attached(&self) -> &BTreeSet<String> {
                &self.attached_policies
            }
            fn attached_mut(&mut self) -> &mut BTreeSet<String> {
                &mut self.attached_policies
            }
            fn inline(&self) -> &BTreeMap<String, String> {
                &self.inline_policies
            }
            fn inline_mut(&mut self) -> &mut BTreeMap<String, String> {
                &mut self.inline_policies
            }
            fn get(state: &Snapshot, cx: &Cx, name: &str) -> Option<Arc<Self>> {
                state.$table().get(&(cx.scope.account.clone(), name.to_owned()))
            }
            fn change<R>(tx: &mut Tx, cx: &Cx, name: &str, change: impl FnOnce(&mut Self) -> R) -> Option<R> {
                tx.$table().update(&(cx.scope.account.clone(), name.to_owned()), change)
            }
        }
    };
}

holder!(Role, roles, "role", "PoliciesPerRole", 20, 10_240);
holder!(User, users, "user", "PoliciesPerUser", 20, 2_048);
holder!(Group, groups, "group", "PoliciesPerGroup", 10, 5_120);
