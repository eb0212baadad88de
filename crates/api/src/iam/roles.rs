//! Finding and changing roles, and pages of lists.

use super::error;
use super::holder::Holder;
use crate::Cx;
use crate::page::{Page, page};
use longshore_aws_model::AwsError;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::Role;
use std::sync::Arc;

pub fn find(state: &Snapshot, cx: &Cx, name: &str) -> Result<Arc<Role>, AwsError> {
    Role::find(state, cx, name)
}

pub fn update<R>(tx: &mut Tx, cx: &Cx, name: &str, change: impl FnOnce(&mut Role) -> R) -> Result<R, AwsError> {
    Role::update(tx, cx, name, change)
}

/// A page of a list, as every List operation of IAM has it: 100 items unless asked for fewer or more.
pub fn list<T>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<Page<T>, AwsError> {
    let limit = max_items.and_then(|max| usize::try_from(max).ok()).unwrap_or(100);
    page(items, key, marker, limit).map_err(|_| error::invalid_marker(marker.unwrap_or_default()))
}
