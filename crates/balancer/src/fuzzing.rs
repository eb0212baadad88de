//! What the fuzz targets reach of this crate and nobody else needs.

use std::net::Ipv4Addr;

use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};

pub use crate::auth::fuzzing as auth;

use crate::action::redirect::{Components, Origin, Redirect};
use crate::config::{Config, DesyncMode};
use crate::rule::glob::{Case, Glob};
use crate::rule::transform::Transforms;
use crate::rule::{Condition, RequestView};

pub use crate::proxy::h1::Requests;

/// See `proxy::h1::read_requests`.
pub fn requests(parts: &[&[u8]], mode: DesyncMode) -> Requests {
    crate::proxy::h1::read_requests(parts, mode)
}

/// See `proxy::h1::read_response`.
pub fn response(parts: &[&[u8]], method: &http::Method) -> Option<(u16, Vec<u8>, bool, bool)> {
    crate::proxy::h1::read_response(parts, method)
}

/// Whether a pattern of a rule matches a text.
pub fn glob(pattern: &str, text: &[u8], ignore_case: bool, escapes: bool) -> bool {
    let case = if ignore_case { Case::Insensitive } else { Case::Sensitive };
    Glob::compile(pattern, case, escapes).matches(text)
}

/// Compiles every condition and transform of a configuration, asks each of a request, and has the transforms and redirects
/// applied to it. Returns how many conditions hold and the targets and locations that came out.
pub fn rules(config: &Config, head: &Parts) -> (usize, Vec<String>) {
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("");
    let view = RequestView {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query(),
        host,
        headers: &head.headers,
        peer: Ipv4Addr::LOCALHOST.into(),
    };
    let (mut holding, mut written) = (0, Vec::new());
    let rules = config.load_balancers.iter().flat_map(|lb| &lb.listeners).flat_map(|listener| &listener.rules);
    for rule in rules {
        let conditions = rule.conditions.iter().filter_map(|condition| Condition::compile(condition).ok());
        holding += conditions.filter(|condition| condition.holds(&view)).count();
        if let Ok(Some(transforms)) = Transforms::compile(&rule.transforms) {
            let mut request = Request::from_parts(head.clone(), ());
            if transforms.apply(&mut request).is_some() {
                written.push(request.uri().to_string());
            }
        }
    }
    (holding, written)
}

/// The Location of a redirect whose components are all this template, for such a request.
pub fn redirect(template: &str, host: &str, path: &str, query: Option<&str>) -> Option<HeaderValue> {
    let text = Some(template);
    let components = Components { protocol: None, host: text, port: None, path: text, query: text };
    let origin = Origin { protocol: "http", host, port: 80, path, query };
    Redirect::compile(StatusCode::FOUND, components).location(&origin)
}
