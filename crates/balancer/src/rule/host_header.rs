//! `host-header`: the host without its port, case-insensitive.

use super::RequestView;
use super::glob::{Case, Glob};

#[derive(Debug)]
pub(crate) struct HostHeader(Vec<Glob>);

impl HostHeader {
    pub(super) fn compile(values: &[String]) -> HostHeader {
        HostHeader(values.iter().map(|value| Glob::compile(value, Case::Insensitive, false)).collect())
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        !request.host.is_empty() && self.0.iter().any(|glob| glob.matches(request.host.as_bytes()))
    }
}
