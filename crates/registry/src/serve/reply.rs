//! A response under construction.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::body::{self, Body};

pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(super) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
pub(super) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Reply {
    pub(super) fn new(status: StatusCode) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        // What clients push is never to be taken by a browser for a page of ours.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Reply { status, headers, body: body::full(Bytes::new()) }
    }

    /// A value that is no header value is left out: all ours are, being made of parsed names and numbers.
    pub(super) fn header(mut self, name: HeaderName, value: impl ToString) -> Reply {
        match HeaderValue::try_from(value.to_string()) {
            Ok(value) => drop(self.headers.append(name, value)),
            Err(_) => tracing::error!(%name, "header value is not valid"),
        }
        self
    }

    pub(super) fn json(self, json: impl Into<Bytes>) -> Reply {
        let json = json.into();
        self.header(header::CONTENT_TYPE, "application/json").content(json)
    }

    /// A body at hand, with its length.
    pub(super) fn content(self, content: impl Into<Bytes>) -> Reply {
        let content = content.into();
        let length = content.len();
        self.header(header::CONTENT_LENGTH, length).body(body::full(content))
    }

    pub(super) fn body(mut self, body: Body) -> Reply {
        self.body = body;
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
