//! `http-header`: values of one header, case-insensitive; a header that is repeated is searched in order.

use http::HeaderName;

use super::glob::{Case, Glob};
use super::regexes::Regexes;
use super::{ConditionError, RequestView};

#[derive(Debug)]
pub(crate) struct HttpHeader {
    name: HeaderName,
    globs: Vec<Glob>,
    regexes: Regexes,
}

impl HttpHeader {
    pub(super) fn compile(
        name: &str,
        values: &[String],
        regex_values: &[String],
    ) -> Result<HttpHeader, ConditionError> {
        Ok(HttpHeader {
            name: HeaderName::from_bytes(name.as_bytes()).map_err(|_| ConditionError::HeaderName(name.to_owned()))?,
            globs: values.iter().map(|value| Glob::compile(value, Case::Insensitive, false)).collect(),
            regexes: Regexes::compile(regex_values, Case::Insensitive)?,
        })
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        request
            .headers
            .get_all(&self.name)
            .iter()
            .map(http::HeaderValue::as_bytes)
            .any(|value| self.globs.iter().any(|glob| glob.matches(value)) || self.regexes.find_in(value))
    }
}
