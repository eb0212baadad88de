//! Attributes of listeners, ModifyListenerAttributes and DescribeListenerAttributes: names of the headers that tell
//! targets about TLS, and headers set on responses (user guide, "HTTP header modification").
//!
//! Headers about client certificates keep their names: mutual TLS is refused, so nothing would obey another.

use super::attributes::{Attribute, Attributes, is_bool};
use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::elbv2::Listener as Row;

pub const SERVER_ENABLED: &str = "routing.http.response.server.enabled";
pub const TLS_VERSION_NAME: &str = "routing.http.request.x_amzn_tls_version.header_name";
pub const TLS_CIPHER_SUITE_NAME: &str = "routing.http.request.x_amzn_tls_cipher_suite.header_name";

/// Longest header name and header value.
const NAME_BYTES_MAX: usize = 40;
const VALUE_BYTES_MAX: usize = 1024;

/// Of HTTPS listeners; of HTTP listeners from the eighth on.
static ALL: [Attribute; 19] = [
    Attribute("routing.http.request.x_amzn_mtls_clientcert.header_name", "X-Amzn-Mtls-Clientcert", None),
    Attribute("routing.http.request.x_amzn_mtls_clientcert_issuer.header_name", "X-Amzn-Mtls-Clientcert-Issuer", None),
    Attribute("routing.http.request.x_amzn_mtls_clientcert_leaf.header_name", "X-Amzn-Mtls-Clientcert-Leaf", None),
    Attribute(
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
        "X-Amzn-Mtls-Clientcert-Serial-Number",
        None,
    ),
    Attribute(
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
        "X-Amzn-Mtls-Clientcert-Subject",
        None,
    ),
    Attribute(
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
        "X-Amzn-Mtls-Clientcert-Validity",
        None,
    ),
    Attribute(TLS_CIPHER_SUITE_NAME, "X-Amzn-Tls-Cipher-Suite", Some(is_header_name)),
    Attribute(TLS_VERSION_NAME, "X-Amzn-Tls-Version", Some(is_header_name)),
    Attribute(
        "routing.http.response.access_control_allow_credentials.header_value",
        "",
        Some(|v| is_one_of(v, &["", "true"])),
    ),
    Attribute("routing.http.response.access_control_allow_headers.header_value", "", Some(is_list_of_names)),
    Attribute("routing.http.response.access_control_allow_methods.header_value", "", Some(is_list_of_methods)),
    Attribute("routing.http.response.access_control_allow_origin.header_value", "", Some(is_origin)),
    Attribute("routing.http.response.access_control_expose_headers.header_value", "", Some(is_list_of_names)),
    Attribute("routing.http.response.access_control_max_age.header_value", "", Some(|v| v.is_empty() || is_seconds(v))),
    Attribute("routing.http.response.content_security_policy.header_value", "", Some(is_text)),
    Attribute(SERVER_ENABLED, "true", Some(is_bool)),
    Attribute("routing.http.response.strict_transport_security.header_value", "", Some(is_transport_security)),
    Attribute(
        "routing.http.response.x_content_type_options.header_value",
        "",
        Some(|v| is_one_of(v, &["", "nosniff"])),
    ),
    Attribute("routing.http.response.x_frame_options.header_value", "", Some(is_frame_options)),
];
const REQUEST_ATTRIBUTES: usize = 8;

pub static OF_HTTPS_LISTENERS: Attributes = Attributes { noun: "Listener", list: &ALL };
pub static OF_HTTP_LISTENERS: Attributes = Attributes { noun: "Listener", list: ALL.split_at(REQUEST_ATTRIBUTES).1 };

/// Headers of requests whose meaning is not a listener's to change: framing, hops, and what is set anyway.
const RESERVED: [&str; 16] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-port",
];

fn is_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn is_header_name(value: &str) -> bool {
    is_name(value) && !RESERVED.iter().chain(&["x-forwarded-proto"]).any(|name| name.eq_ignore_ascii_case(value))
}

fn is_text(value: &str) -> bool {
    value.len() <= VALUE_BYTES_MAX && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && value.trim() == value
}

fn is_one_of(value: &str, values: &[&str]) -> bool {
    values.contains(&value)
}

fn is_seconds(value: &str) -> bool {
    (1..=10).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}

/// `*`, or items between commas.
fn is_list(value: &str, is_item: impl Fn(&str) -> bool) -> bool {
    is_text(value) && (matches!(value, "" | "*") || value.split(',').all(|item| is_item(item.trim())))
}

fn is_list_of_names(value: &str) -> bool {
    is_list(value, is_name)
}

fn is_list_of_methods(value: &str) -> bool {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PUT", "PATCH"];
    is_list(value, |method| METHODS.contains(&method))
}

/// `*`, `null`, or one `scheme://host[:port]`.
fn is_origin(value: &str) -> bool {
    let is_uri = |value: &str| {
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', ',', '?', '#', '@']))
    };
    is_text(value) && (matches!(value, "" | "*" | "null") || is_uri(value))
}

/// `max-age=<seconds>`, then `includeSubDomains` and `preload` at will.
fn is_transport_security(value: &str) -> bool {
    if value.is_empty() {
        return true;
    }
    let mut directives = value.split(';').map(str::trim);
    let max_age = directives.next().and_then(|first| first.strip_prefix("max-age="));
    is_text(value)
        && max_age.is_some_and(is_seconds)
        && directives.all(|directive| matches!(directive, "includeSubDomains" | "preload"))
}

fn is_frame_options(value: &str) -> bool {
    let allowed_from = value.strip_prefix("ALLOW-FROM ");
    is_one_of(value, &["", "DENY", "SAMEORIGIN"])
        || allowed_from.is_some_and(|origin| is_origin(origin.trim_end_matches('/')) && origin.starts_with("http"))
}

/// Headers set on responses: names and values.
pub fn response_headers(row: &Row) -> impl Iterator<Item = (String, String)> {
    row.attributes.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("routing.http.response.")?.strip_suffix(".header_value")?;
        Some((name.replace('_', "-"), value.clone()))
    })
}

fn of(protocol: &str) -> &'static Attributes {
    if protocol == "HTTPS" { &OF_HTTPS_LISTENERS } else { &OF_HTTP_LISTENERS }
}

/// After a change of the protocol.
pub fn keep_those_of_protocol(row: &mut Row) {
    let known = of(&row.protocol);
    row.attributes.retain(|key, _| known.has(key));
}

pub fn modify_listener_attributes(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyListenerAttributesInput,
) -> Result<ModifyListenerAttributesOutput, AwsError> {
    let row = names::listener(tx, &cx.scope, &input.listener_arn)?;
    let mut row = (*row).clone();
    let known = of(&row.protocol);
    let given = input.attributes.iter();
    let given = given.map(|a| (a.key.as_deref().unwrap_or_default(), a.value.as_deref().unwrap_or_default()));
    for (key, _) in given.clone() {
        if key == "tcp.idle_timeout.seconds" {
            return Err(error::invalid_configuration(format!(
                "The listener attribute '{key}' is not supported on listeners of application load balancers"
            )));
        }
        if !known.has(key) && OF_HTTPS_LISTENERS.has(key) {
            return Err(error::invalid_configuration(format!(
                "The listener attribute '{key}' is only supported on HTTPS listeners"
            )));
        }
    }
    known.set(&mut row.attributes, given)?;
    let all = known.all(&row.attributes);
    if let (Some(version), Some(suite)) = (all.get(TLS_VERSION_NAME), all.get(TLS_CIPHER_SUITE_NAME))
        && version.eq_ignore_ascii_case(suite)
    {
        return Err(error::validation(format!("Header name '{version}' is specified for more than one header")));
    }
    let sent = show(&row);
    tx.listeners().put((cx.scope.clone(), input.listener_arn), row);
    Ok(ModifyListenerAttributesOutput { attributes: sent })
}

pub fn describe_listener_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeListenerAttributesInput,
) -> Result<DescribeListenerAttributesOutput, AwsError> {
    let row = names::listener(state, &cx.scope, &input.listener_arn)?;
    Ok(DescribeListenerAttributesOutput { attributes: show(&row) })
}

fn show(row: &Row) -> Option<Vec<ListenerAttribute>> {
    let all = of(&row.protocol).all(&row.attributes);
    Some(view::attributes(&all, |key, value| ListenerAttribute { key, value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use std::collections::BTreeMap;

    fn modify(fixture: &Fixture, arn: &str, list: &[(&str, &str)]) -> Result<BTreeMap<String, String>, AwsError> {
        let attribute =
            |(key, value): &(&str, &str)| ListenerAttribute { key: Some((*key).into()), value: Some((*value).into()) };
        let attributes = list.iter().map(attribute).collect();
        let input = ModifyListenerAttributesInput { listener_arn: arn.to_owned(), attributes };
        let shown = write(fixture, modify_listener_attributes, input)?.attributes.expect("a list").into_iter();
        Ok(shown.map(|a| (a.key.unwrap_or_default(), a.value.unwrap_or_default())).collect())
    }

    #[test]
    fn headers_of_responses_are_set_and_taken_back() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let hsts = "routing.http.response.strict_transport_security.header_value";
        let set = [(hsts, "max-age=31536000; includeSubDomains"), (SERVER_ENABLED, "false")];
        let shown = modify(&fixture, &stack.listener, &set).expect("set");
        assert_eq!((shown[hsts].as_str(), shown[SERVER_ENABLED].as_str()), (set[0].1, "false"));
        assert_eq!(shown.len(), ALL.len() - REQUEST_ATTRIBUTES);
        let row = fixture.read(|state, _| state.listeners().all().next().expect("one"));
        let headers: Vec<_> = response_headers(&row).collect();
        assert_eq!(headers, [("strict-transport-security".to_owned(), set[0].1.to_owned())]);
        let shown = modify(&fixture, &stack.listener, &[(hsts, "")]).expect("taken back");
        assert_eq!(shown[hsts], "");
    }

    #[test]
    fn what_a_listener_cannot_have_is_refused_by_name() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        for (key, value, expected) in [
            ("tcp.idle_timeout.seconds", "60", "The listener attribute 'tcp.idle_timeout.seconds' is not supported on"),
            (TLS_VERSION_NAME, "X-Tls", "is only supported on HTTPS listeners"),
            ("routing.http.response.colour", "red", "Listener attribute key 'routing.http.response.colour' is not rec"),
            (
                SERVER_ENABLED,
                "no",
                "Listener attribute value for key 'routing.http.response.server.enabled' is invalid",
            ),
        ] {
            let error = refusal(modify(&fixture, &stack.listener, &[(key, value)]));
            assert!(error.contains(expected), "{error}");
        }
        let mut listener = (*fixture.read(|state, _| state.listeners().all().next().expect("one"))).clone();
        listener.protocol = "HTTPS".to_owned();
        let row = listener.clone();
        fixture.write(move |tx, cx| tx.listeners().put((cx.scope.clone(), row.arn.clone()), row));
        let shown = modify(&fixture, &stack.listener, &[(TLS_VERSION_NAME, "X-Tls")]).expect("set");
        assert_eq!((shown[TLS_VERSION_NAME].as_str(), shown.len()), ("X-Tls", ALL.len()));
        let twice = modify(&fixture, &stack.listener, &[(TLS_CIPHER_SUITE_NAME, "x-tls")]);
        assert_eq!(refusal(twice), "ValidationError: Header name 'X-Tls' is specified for more than one header");
        let mtls = modify(&fixture, &stack.listener, &[(ALL[0].0, "X-Cert")]);
        assert!(refusal(mtls).ends_with("is not supported by Longshore yet."));
        listener.attributes = BTreeMap::from([(TLS_VERSION_NAME.to_owned(), "X-Tls".to_owned())]);
        listener.protocol = "HTTP".to_owned();
        keep_those_of_protocol(&mut listener);
        assert!(listener.attributes.is_empty());
    }

    #[test]
    fn values_are_what_the_headers_may_say() {
        let check = |name: &str, value: &str| {
            let key = format!("routing.http.response.{name}.header_value");
            OF_HTTP_LISTENERS.set(&mut BTreeMap::new(), [(key.as_str(), value)].into_iter()).is_ok()
        };
        for (name, good, bad) in [
            ("access_control_allow_credentials", "true", "false"),
            ("access_control_allow_headers", "X-A, x-b", "x a"),
            ("access_control_allow_methods", "GET,POST", "GET,FETCH"),
            ("access_control_allow_methods", "*", "get"),
            ("access_control_allow_origin", "https://a.example:8443", "a.example"),
            ("access_control_expose_headers", "*", "a,,b"),
            ("access_control_max_age", "86400", "-5"),
            ("content_security_policy", "default-src 'self'; img-src *", "a\r\nSet-Cookie: b"),
            ("strict_transport_security", "max-age=1; includeSubDomains; preload", "includeSubDomains"),
            ("x_content_type_options", "nosniff", "sniff"),
            ("x_frame_options", "SAMEORIGIN", "sameorigin"),
            ("x_frame_options", "ALLOW-FROM https://a.example/", "ALLOW-FROM a"),
        ] {
            assert!(check(name, good), "{name}: {good}");
            assert!(!check(name, bad), "{name}: {bad}");
        }
        for bad in ["", "a b", "Transfer-Encoding", "x-forwarded-proto", &"x".repeat(41)] {
            assert!(!is_header_name(bad), "{bad}");
        }
    }
}
