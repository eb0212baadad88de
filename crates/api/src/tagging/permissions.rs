//! What each operation needs (Service Authorization Reference, "AWS Tag Editor"). What the services of tagged resources ask
//! beyond is asked for each resource by itself, in [`super::change`].

use crate::identity::Resources::Any;
use crate::identity::{Permission, on};

pub const PERMISSIONS: &[Permission] = &[
    on("GetResources", "tag:GetResources", Any),
    on("GetTagKeys", "tag:GetTagKeys", Any),
    on("GetTagValues", "tag:GetTagValues", Any),
    on("TagResources", "tag:TagResources", Any),
    on("UntagResources", "tag:UntagResources", Any),
];
