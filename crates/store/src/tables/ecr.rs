//! Repositories and images.

use crate::table;
use longshore_types::Scope;
use longshore_types::ecr::{CreationTemplate, Image, PullThroughRule, Repository};

table! {
    pub Repositories: "ecr-repositories", (Scope, String) => Repository {}
}

table! {
    /// Scope, repository, digest.
    pub Images: "ecr-images", (Scope, String, String) => Image {
        /// Scope, repository, tag.
        BY_TAG: "tag", (Scope, String, String) = |(scope, repository, _), image| {
            image.image_tags.iter().map(|tag| (scope.clone(), repository.clone(), tag.clone())).collect()
        },
    }
}

table! {
    /// Scope, prefix.
    pub PullThroughRules: "ecr-pull-through-rules", (Scope, String) => PullThroughRule {}
}

table! {
    /// Scope, prefix.
    pub CreationTemplates: "ecr-creation-templates", (Scope, String) => CreationTemplate {}
}
