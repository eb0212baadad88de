//! `fixed-response`: a status, a media type and a short text.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// A compiled fixed response.
#[derive(Debug)]
pub(crate) struct FixedResponse {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    pub body: Bytes,
}

impl FixedResponse {
    /// `None` when the status or media type is not one HTTP can carry.
    pub(crate) fn compile(status: u16, content_type: Option<&str>, body: Option<&str>) -> Option<FixedResponse> {
        let content_type = format!("{}; charset=utf-8", content_type.unwrap_or("text/plain"));
        Some(FixedResponse {
            status: StatusCode::from_u16(status).ok()?,
            content_type: HeaderValue::try_from(content_type).ok()?,
            body: Bytes::copy_from_slice(body.unwrap_or("").as_bytes()),
        })
    }
}
