//! `http-header`: values of one header, case-insensitive; a header that is repeated is searched in order.

use http::HeaderName;

use super::glob::{Case, Glob};
use super::{ConditionError, RequestView};

#[derive(Debug)]
pub(crate) struct HttpHeader {
    name: HeaderName,
    values: Vec<Glob>,
}

impl HttpHeader {
    pub(super) fn compile(name: &str, values: &[String]) -> Result<HttpHeader, ConditionError> {
        Ok(HttpHeader {
            name: HeaderName::from_bytes(name.as_bytes()).map_err(|_| ConditionError::HeaderName(name.to_owned()))?,
            values: values.iter().map(|value| Glob::compile(value, Case::Insensitive, false)).collect(),
        })
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        request
            .headers
            .get_all(&self.name)
            .iter()
            .any(|value| self.values.iter().any(|glob| glob.matches(value.as_bytes())))
    }
}
