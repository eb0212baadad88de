//! Headers on their way through: hop-by-hop ones end here, X-Forwarded ones are added.

use std::borrow::Cow;

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::h1::has_token;
use super::host;
use crate::compile::Route;
use crate::config::XffMode;
use crate::worker::call::Call;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("upgrade");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// More addresses in X-Forwarded-For are answered 463.
const FORWARDED_FOR_MAX: usize = 30;

/// Which of the headers that need a hand are there. Found in one pass over the names: most messages have none
/// of them, and asking the map for each would hash a dozen names for nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    connection: bool,
    /// One of those that end at a hop, other than Connection.
    hop_by_hop: bool,
    expect: bool,
    upgrade: bool,
    forwarded_for: bool,
    trace_id: bool,
}

impl Present {
    fn among(headers: &HeaderMap) -> Present {
        let mut present = Present::default();
        for name in headers.keys() {
            match *name {
                CONNECTION => present.connection = true,
                TRANSFER_ENCODING | TE => present.hop_by_hop = true,
                UPGRADE => (present.hop_by_hop, present.upgrade) = (true, true),
                EXPECT => present.expect = true,
                _ => match name.as_str() {
                    "keep-alive" | "proxy-connection" => present.hop_by_hop = true,
                    "x-forwarded-for" => present.forwarded_for = true,
                    "x-amzn-trace-id" => present.trace_id = true,
                    _ => {}
                },
            }
        }
        present
    }
}

/// Makes a client's headers those a target gets.
pub(super) fn to_target(headers: &mut HeaderMap, call: &Call, route: &Route) -> Result<(), StatusCode> {
    let attributes = &route.load_balancer.attributes;
    let present = Present::among(headers);
    let wants_websocket = present.upgrade && wants_websocket(headers);
    remove_hop_by_hop(headers, present);
    if present.expect {
        // 100 Continue is answered here, as soon as the body is wanted.
        headers.remove(EXPECT);
    }
    if wants_websocket {
        headers.insert(CONNECTION, UPGRADE_TOKEN);
        headers.insert(UPGRADE, WEBSOCKET);
    }
    if attributes.drop_invalid_header_fields {
        drop_invalid(headers);
    }
    if !attributes.preserve_host_header && route.port != 80 && route.port != 443 {
        append_port(headers, route.port);
    }
    match attributes.xff_mode {
        XffMode::Append => append_peer(headers, call, attributes.xff_client_port, present.forwarded_for)?,
        XffMode::Remove if present.forwarded_for => drop(headers.remove(FORWARDED_FOR)),
        XffMode::Remove | XffMode::Preserve => {}
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(call.origin.scheme()));
    headers.insert(FORWARDED_PORT, route.port_value.clone());
    let incoming = if present.trace_id { headers.get(TRACE_ID) } else { None };
    let worker = &call.origin.worker;
    let trace_id = worker.trace_ids.header(incoming, worker.unix_seconds());
    headers.insert(TRACE_ID, trace_id);
    if let Some(session) = &call.origin.tls
        && attributes.tls_headers
    {
        headers.insert(route.tls_version_header.clone(), HeaderValue::from_static(session.version));
        headers.insert(route.tls_cipher_suite_header.clone(), HeaderValue::from_static(session.suite));
    }
    Ok(())
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let says_so = headers.get_all(CONNECTION).iter().any(|value| has_token(value.as_bytes(), b"upgrade"));
    says_so
        && headers
            .get(UPGRADE)
            .is_some_and(|upgrade| upgrade.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// Makes a target's headers those the client gets.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers, Present::among(headers));
}

fn remove_hop_by_hop(headers: &mut HeaderMap, present: Present) {
    if present.connection {
        remove_connection(headers);
    }
    if present.hop_by_hop {
        for name in [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
            headers.remove(name);
        }
        if headers.get_all(TE).iter().any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
            headers.remove(TE);
        }
    }
}

/// Removes Connection and the headers it names.
fn remove_connection(headers: &mut HeaderMap) {
    let all: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    headers.remove(CONNECTION);
    for connection in &all {
        for token in connection.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"close") || token.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            // Framing and routing do not hang on a client's word.
            if let Ok(name) = HeaderName::from_bytes(token)
                && name != http::header::CONTENT_LENGTH
                && name != HOST
            {
                headers.remove(name);
            }
        }
    }
}

fn drop_invalid(headers: &mut HeaderMap) {
    let is_valid = |name: &HeaderName| name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let invalid: Vec<HeaderName> = headers.keys().filter(|name| !is_valid(name)).cloned().collect();
    for name in invalid {
        headers.remove(name);
    }
}

fn append_port(headers: &mut HeaderMap, port: u16) {
    if let Some(name) = headers.get(HOST).and_then(|value| value.to_str().ok())
        && !name.is_empty()
        && !host::has_port(name)
        && let Ok(with_port) = HeaderValue::try_from(format!("{name}:{port}"))
    {
        headers.insert(HOST, with_port);
    }
}

fn append_peer(headers: &mut HeaderMap, call: &Call, with_port: bool, is_present: bool) -> Result<(), StatusCode> {
    let peer = if with_port {
        HeaderValue::try_from(call.origin.peer.to_string()).expect("an address is printable ASCII")
    } else {
        call.origin.peer_value.clone()
    };
    let former = if is_present { joined(headers) } else { None };
    let value = match former {
        None => peer,
        Some(former) => {
            if former.split(|byte| *byte == b',').count() > FORWARDED_FOR_MAX {
                return Err(StatusCode::from_u16(463).expect("three digits"));
            }
            let mut all = former.into_owned();
            all.extend_from_slice(b", ");
            all.extend_from_slice(peer.as_bytes());
            HeaderValue::from_maybe_shared(bytes::Bytes::from(all)).map_err(|_| StatusCode::BAD_REQUEST)?
        }
    };
    headers.insert(FORWARDED_FOR, value);
    Ok(())
}

/// All X-Forwarded-For headers as one list.
fn joined(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let mut values = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let first = values.next()?;
    Some(values.fold(Cow::Borrowed(first), |all, value| Cow::Owned([&all, value].join(&b", "[..]))))
}
