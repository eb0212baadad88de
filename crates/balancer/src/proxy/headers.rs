//! Headers on their way through: hop-by-hop ones end here, X-Forwarded ones are added.

use std::borrow::Cow;

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::host;
use crate::compile::Route;
use crate::config::XffMode;
use crate::worker::client::Client;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

const HTTP: HeaderValue = HeaderValue::from_static("http");
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("upgrade");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// More addresses in X-Forwarded-For are answered 463.
const FORWARDED_FOR_MAX: usize = 30;

/// Makes a client's headers those a target gets.
pub(super) fn to_target(headers: &mut HeaderMap, client: &Client, route: &Route) -> Result<(), StatusCode> {
    let attributes = &route.load_balancer.attributes;
    let wants_websocket = headers
        .get(UPGRADE)
        .is_some_and(|upgrade| upgrade.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
    remove_hop_by_hop(headers);
    // The engine answers 100 Continue itself as soon as the body is wanted.
    headers.remove(EXPECT);
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
    forwarded_for(headers, client, attributes.xff_mode, attributes.xff_client_port)?;
    headers.insert(FORWARDED_PROTO, HTTP);
    headers.insert(FORWARDED_PORT, route.port_value.clone());
    let trace_id = client.worker.trace_ids.header(headers.get(TRACE_ID), client.worker.unix_seconds());
    headers.insert(TRACE_ID, trace_id);
    Ok(())
}

/// Makes a target's headers those the client gets.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Few messages have a Connection header, and fewer have several.
    let repeated = match headers.get_all(CONNECTION).iter().count() {
        0 => Vec::new(),
        1 => headers.remove(CONNECTION).into_iter().collect(),
        _ => {
            let all = headers.get_all(CONNECTION).iter().cloned().collect();
            headers.remove(CONNECTION);
            all
        }
    };
    for connection in &repeated {
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
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.remove(TE);
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

fn forwarded_for(
    headers: &mut HeaderMap,
    client: &Client,
    mode: XffMode,
    with_port: bool,
) -> Result<(), StatusCode> {
    match mode {
        XffMode::Preserve => Ok(()),
        XffMode::Remove => {
            headers.remove(FORWARDED_FOR);
            Ok(())
        }
        XffMode::Append => {
            let peer = if with_port {
                HeaderValue::try_from(client.peer.to_string()).expect("an address is printable ASCII")
            } else {
                client.peer_value.clone()
            };
            match joined(headers) {
                None => {
                    headers.insert(FORWARDED_FOR, peer);
                }
                Some(former) => {
                    if former.split(|byte| *byte == b',').count() > FORWARDED_FOR_MAX {
                        return Err(StatusCode::from_u16(463).expect("three digits"));
                    }
                    let mut all = former.into_owned();
                    all.extend_from_slice(b", ");
                    all.extend_from_slice(peer.as_bytes());
                    let all = HeaderValue::from_maybe_shared(bytes::Bytes::from(all));
                    headers.insert(FORWARDED_FOR, all.map_err(|_| StatusCode::BAD_REQUEST)?);
                }
            }
            Ok(())
        }
    }
}

/// All X-Forwarded-For headers as one list.
fn joined(headers: &HeaderMap) -> Option<Cow<'_, [u8]>> {
    let mut values = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let first = values.next()?;
    Some(values.fold(Cow::Borrowed(first), |all, value| Cow::Owned([&all, value].join(&b", "[..]))))
}
