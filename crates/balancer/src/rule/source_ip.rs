//! `source-ip`: the TCP peer's address, never what X-Forwarded-For says.

use super::cidr::Cidr;
use super::{ConditionError, RequestView};

#[derive(Debug)]
pub(crate) struct SourceIp(Vec<Cidr>);

impl SourceIp {
    pub(super) fn compile(values: &[String]) -> Result<SourceIp, ConditionError> {
        let parse = |value: &String| Cidr::parse(value).ok_or_else(|| ConditionError::Cidr(value.clone()));
        Ok(SourceIp(values.iter().map(parse).collect::<Result<_, _>>()?))
    }

    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        self.0.iter().any(|block| block.contains(request.peer))
    }
}
