//! `path-pattern`: the path without its query, case-sensitive.

use super::RequestView;
use super::glob::{Case, Glob};

#[derive(Debug)]
pub(crate) struct PathPattern(Vec<Glob>);

impl PathPattern {
    pub(super) fn compile(values: &[String]) -> PathPattern {
        PathPattern(values.iter().map(|value| Glob::compile(value, Case::Sensitive, false)).collect())
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        self.0.iter().any(|glob| glob.matches(request.path.as_bytes()))
    }
}
