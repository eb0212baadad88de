//! `http-request-method`: exact, case-sensitive.

use http::Method;

use super::{ConditionError, RequestView};

#[derive(Debug)]
pub(crate) struct HttpRequestMethod(Vec<Method>);

impl HttpRequestMethod {
    pub(super) fn compile(values: &[String]) -> Result<HttpRequestMethod, ConditionError> {
        let method =
            |value: &String| Method::from_bytes(value.as_bytes()).map_err(|_| ConditionError::Method(value.clone()));
        Ok(HttpRequestMethod(values.iter().map(method).collect::<Result<_, _>>()?))
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        self.0.contains(request.method)
    }
}
