//! `host-header`: the host without its port, case-insensitive.

use super::gate::Beginning;
use super::glob::{Case, Glob};
use super::regexes::Regexes;
use super::{ConditionError, RequestView};

#[derive(Debug)]
pub(crate) struct HostHeader {
    globs: Vec<Glob>,
    regexes: Regexes,
}

impl HostHeader {
    pub(super) fn compile(values: &[String], regex_values: &[String]) -> Result<HostHeader, ConditionError> {
        let globs = values.iter().map(|value| Glob::compile(value, Case::Insensitive, false)).collect();
        Ok(HostHeader { globs, regexes: Regexes::compile(regex_values, Case::Insensitive)? })
    }

    /// What every host that holds begins with.
    pub(super) fn beginning(&self) -> Beginning {
        match self.regexes.is_empty() {
            true => Beginning::any_of(self.globs.iter().map(Glob::beginning)),
            false => Beginning::ANY,
        }
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        let host = request.host.as_bytes();
        !host.is_empty() && (self.globs.iter().any(|glob| glob.matches(host)) || self.regexes.find_in(host))
    }
}
