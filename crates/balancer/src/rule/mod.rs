//! Listener rules: conditions compiled once per configuration, evaluated without allocating.
//!
//! One file per kind of condition. A rule holds when all its conditions hold; a condition holds when any
//! of its values matches. Everything here is a function of the request's parts: no clock, no socket.

pub(crate) mod cidr;
pub(crate) mod gate;
pub(crate) mod glob;
mod host_header;
mod http_header;
mod http_request_method;
mod path_pattern;
mod query_string;
mod regexes;
mod source_ip;
pub(crate) mod transform;

use std::net::IpAddr;

use http::{HeaderMap, Method};

use crate::config;
use host_header::HostHeader;
use http_header::HttpHeader;
use http_request_method::HttpRequestMethod;
use path_pattern::PathPattern;
use query_string::QueryString;
use source_ip::SourceIp;

/// The parts of a request that rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestView<'a> {
    pub method: &'a Method,
    /// Path without query, as sent.
    pub path: &'a str,
    /// Query without the question mark, as sent.
    pub query: Option<&'a str>,
    /// Host without port.
    pub host: &'a str,
    pub headers: &'a HeaderMap,
    /// The TCP peer.
    pub peer: IpAddr,
}

/// Why a condition cannot be compiled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConditionError {
    #[error("`{0}` is not a CIDR block")]
    Cidr(String),
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    #[error("`{0}` is not a method")]
    Method(String),
    #[error("`{0}` is not a regular expression: {1}")]
    Regex(String, String),
}

/// A compiled condition.
#[derive(Debug)]
pub(crate) enum Condition {
    PathPattern(PathPattern),
    HostHeader(HostHeader),
    HttpHeader(HttpHeader),
    HttpRequestMethod(HttpRequestMethod),
    QueryString(QueryString),
    SourceIp(SourceIp),
}

impl Condition {
    pub(crate) fn compile(condition: &config::Condition) -> Result<Condition, ConditionError> {
        Ok(match condition {
            config::Condition::PathPattern { values, regex_values } => {
                Condition::PathPattern(PathPattern::compile(values, regex_values)?)
            }
            config::Condition::HostHeader { values, regex_values } => {
                Condition::HostHeader(HostHeader::compile(values, regex_values)?)
            }
            config::Condition::HttpHeader { name, values, regex_values } => {
                Condition::HttpHeader(HttpHeader::compile(name, values, regex_values)?)
            }
            config::Condition::HttpRequestMethod { values } => {
                Condition::HttpRequestMethod(HttpRequestMethod::compile(values)?)
            }
            config::Condition::QueryString { values } => Condition::QueryString(QueryString::compile(values)),
            config::Condition::SourceIp { values } => Condition::SourceIp(SourceIp::compile(values)?),
        })
    }

    pub(crate) fn holds(&self, request: &RequestView<'_>) -> bool {
        match self {
            Condition::PathPattern(condition) => condition.holds(request),
            Condition::HostHeader(condition) => condition.holds(request),
            Condition::HttpHeader(condition) => condition.holds(request),
            Condition::HttpRequestMethod(condition) => condition.holds(request),
            Condition::QueryString(condition) => condition.holds(request),
            Condition::SourceIp(condition) => condition.holds(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles one condition and says whether it holds for a request line, host and headers.
    fn check(condition: serde_json::Value, line: &str, headers: &[(&str, &str)]) -> bool {
        let condition: config::Condition = serde_json::from_value(condition).unwrap();
        let condition = Condition::compile(&condition).unwrap();
        let (method, target) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let host = map.get("host").map(|host| host.to_str().unwrap().to_owned()).unwrap_or_default();
        condition.holds(&RequestView {
            method: &method,
            path,
            query,
            host: crate::proxy::host::without_port(&host),
            headers: &map,
            peer: "10.1.2.3".parse().unwrap(),
        })
    }

    #[test]
    fn path_patterns_are_case_sensitive_and_ignore_the_query() {
        let pattern = serde_json::json!({"field": "path-pattern", "values": ["/img/*", "/a?c"]});
        assert!(check(pattern.clone(), "GET /img/", &[]));
        assert!(check(pattern.clone(), "GET /img/x/y.png?q=1", &[]));
        assert!(!check(pattern.clone(), "GET /IMG/x", &[]));
        assert!(!check(pattern.clone(), "GET /img", &[]));
        assert!(check(pattern.clone(), "GET /abc", &[]));
        assert!(!check(pattern.clone(), "GET /ac", &[]));
        assert!(!check(pattern, "GET /x?/img/", &[]));
    }

    #[test]
    fn host_patterns_ignore_case_and_port() {
        let pattern = serde_json::json!({"field": "host-header", "values": ["*.Example.com"]});
        assert!(check(pattern.clone(), "GET /", &[("host", "API.example.COM:8080")]));
        assert!(!check(pattern.clone(), "GET /", &[("host", "example.com")]));
        assert!(!check(pattern, "GET /", &[]));
    }

    #[test]
    fn header_values_ignore_case_and_repeated_headers_are_searched() {
        let pattern = serde_json::json!({"field": "http-header", "name": "User-Agent", "values": ["*chrome*"]});
        assert!(check(pattern.clone(), "GET /", &[("user-agent", "x"), ("user-agent", "Mozilla Chrome/1")]));
        assert!(!check(pattern, "GET /", &[("user-agent", "curl")]));
    }

    #[test]
    fn regular_expressions_find_what_they_describe() {
        let path = serde_json::json!({"field": "path-pattern", "regex_values": ["^/api/v[0-9]+/"]});
        assert!(check(path.clone(), "GET /api/v12/x?q=1", &[]));
        assert!(!check(path.clone(), "GET /api/vx/", &[]));
        assert!(!check(path, "GET /API/v1/", &[]));
        let host = serde_json::json!({"field": "host-header", "regex_values": ["^(api|www)\\.example\\.com$"]});
        assert!(check(host.clone(), "GET /", &[("host", "WWW.example.com:81")]));
        assert!(!check(host, "GET /", &[("host", "x.example.com")]));
        let header =
            serde_json::json!({"field": "http-header", "name": "A", "values": ["x"], "regex_values": ["^b+$"]});
        assert!(check(header.clone(), "GET /", &[("a", "BB")]));
        assert!(check(header, "GET /", &[("a", "x")]));
    }

    #[test]
    fn methods_are_exact() {
        let pattern = serde_json::json!({"field": "http-request-method", "values": ["PUT", "CUSTOM"]});
        assert!(check(pattern.clone(), "PUT /", &[]));
        assert!(check(pattern.clone(), "CUSTOM /", &[]));
        assert!(!check(pattern, "GET /", &[]));
    }

    #[test]
    fn query_patterns_take_key_or_any_key_and_escapes() {
        let keyed = serde_json::json!({"field": "query-string", "values": [{"key": "Version", "value": "V1*"}]});
        assert!(check(keyed.clone(), "GET /?a=b&version=v12", &[]));
        assert!(!check(keyed.clone(), "GET /?other=v1", &[]));
        assert!(!check(keyed, "GET /", &[]));
        let any = serde_json::json!({"field": "query-string", "values": [{"value": "*example*"}]});
        assert!(check(any, "GET /?x=an-EXAMPLE", &[]));
        let escaped = serde_json::json!({"field": "query-string", "values": [{"key": "q", "value": "a\\*"}]});
        assert!(check(escaped.clone(), "GET /?q=a*", &[]));
        assert!(!check(escaped, "GET /?q=ab", &[]));
    }

    #[test]
    fn source_is_the_peer_not_what_a_header_says() {
        let pattern = serde_json::json!({"field": "source-ip", "values": ["192.0.2.0/24"]});
        assert!(!check(pattern, "GET /", &[("x-forwarded-for", "192.0.2.7")]));
        let pattern = serde_json::json!({"field": "source-ip", "values": ["192.0.2.0/24", "10.0.0.0/8"]});
        assert!(check(pattern, "GET /", &[]));
    }

    #[test]
    fn what_cannot_be_compiled_is_named() {
        let compile = |value| Condition::compile(&serde_json::from_value(value).unwrap()).unwrap_err();
        assert_eq!(
            compile(serde_json::json!({"field": "source-ip", "values": ["10.0.0.0/33"]})),
            ConditionError::Cidr("10.0.0.0/33".into())
        );
        assert_eq!(
            compile(serde_json::json!({"field": "http-header", "name": "a b", "values": []})),
            ConditionError::HeaderName("a b".into())
        );
    }
}
