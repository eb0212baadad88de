//! Responses the load balancer makes itself.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, LOCATION, SERVER};
use http::{HeaderValue, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::body::Body;
use crate::action::fixed_response::FixedResponse;
use crate::action::redirect::{Origin, Redirect};

const SERVER_NAME: HeaderValue = HeaderValue::from_static("awselb/2.0");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

macro_rules! page {
    ($title:literal) => {
        concat!(
            "<html>\r\n<head><title>",
            $title,
            "</title></head>\r\n<body>\r\n<center><h1>",
            $title,
            "</h1></center>\r\n</body>\r\n</html>\r\n"
        )
    };
}

/// Reason phrase and page of a status; AWS's own words where they differ from the standard's.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        301 => ("Moved Permanently", page!("301 Moved Permanently")),
        302 => ("Found", page!("302 Found")),
        400 => ("Bad Request", page!("400 Bad Request")),
        401 => ("Unauthorized", page!("401 Authorization Required")),
        403 => ("Forbidden", page!("403 Forbidden")),
        405 => ("Not Allowed", page!("405 Not Allowed")),
        408 => ("Request Time-out", page!("408 Request Time-out")),
        413 => ("Request Entity Too Large", page!("413 Request Entity Too Large")),
        414 => ("Request-URI Too Large", page!("414 Request-URI Too Large")),
        431 => ("Request Header Fields Too Large", page!("431 Request Header Fields Too Large")),
        463 => ("", page!("463")),
        464 => ("", page!("464")),
        501 => ("Not Implemented", page!("501 Not Implemented")),
        502 => ("Bad Gateway", page!("502 Bad Gateway")),
        503 => ("Service Temporarily Unavailable", page!("503 Service Temporarily Unavailable")),
        504 => ("Gateway Time-out", page!("504 Gateway Time-out")),
        505 => ("HTTP Version Not Supported", page!("505 HTTP Version Not Supported")),
        561 => ("Unauthorized", page!("561 Unauthorized")),
        _ => ("Internal Server Error", page!("500 Internal Server Error")),
    }
}

/// An error page. Errors of framing end the connection, since nobody knows where the next request begins.
pub(crate) fn error(status: StatusCode, closes: bool) -> Response<Body> {
    let (reason, page) = words(status);
    let mut response = Response::new(Body::full(Bytes::from_static(page.as_bytes())));
    *response.status_mut() = status;
    response.extensions_mut().insert(ReasonPhrase::from_static(reason.as_bytes()));
    response.headers_mut().insert(SERVER, SERVER_NAME);
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    if closes {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    response
}

/// A redirect, or 400 when the request brought bytes no location may hold.
pub(super) fn redirect(redirect: &Redirect, origin: &Origin<'_>) -> Response<Body> {
    let Some(location) = redirect.location(origin) else { return error(StatusCode::BAD_REQUEST, false) };
    let mut response = error(redirect.status, false);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A fixed response.
pub(super) fn fixed(fixed: &FixedResponse) -> Response<Body> {
    let mut response = Response::new(Body::full(fixed.body.clone()));
    *response.status_mut() = fixed.status;
    response.headers_mut().insert(SERVER, SERVER_NAME);
    response.headers_mut().insert(CONTENT_TYPE, fixed.content_type.clone());
    response
}

/// Ends the client's connection after this response.
pub(super) fn close_after(response: &mut Response<Body>) {
    response.headers_mut().insert(CONNECTION, CLOSE);
}
