//! `path-pattern`: the path without its query, case-sensitive.

use super::gate::Beginning;
use super::glob::{Case, Glob};
use super::regexes::Regexes;
use super::{ConditionError, RequestView};

#[derive(Debug)]
pub(crate) struct PathPattern {
    globs: Vec<Glob>,
    regexes: Regexes,
}

impl PathPattern {
    pub(super) fn compile(values: &[String], regex_values: &[String]) -> Result<PathPattern, ConditionError> {
        let globs = values.iter().map(|value| Glob::compile(value, Case::Sensitive, false)).collect();
        Ok(PathPattern { globs, regexes: Regexes::compile(regex_values, Case::Sensitive)? })
    }

    /// What every path that holds begins with.
    pub(super) fn beginning(&self) -> Beginning {
        match self.regexes.is_empty() {
            true => Beginning::any_of(self.globs.iter().map(Glob::beginning)),
            false => Beginning::ANY,
        }
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        let path = request.path.as_bytes();
        self.globs.iter().any(|glob| glob.matches(path)) || self.regexes.find_in(path)
    }
}
