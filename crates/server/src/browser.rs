//! Keeps web pages out of an API that asks nobody who he is.
//!
//! In open mode, whoever can connect is the account. The addresses are loopback, but so is the browser of whoever works at
//! this machine: a page of any site may send it a form (the query services take one), and a name that such a site lets
//! resolve to 127.0.0.1 makes the page "same origin", so that it may read answers and set headers too. Browsers tell where a
//! request comes from (`Origin`, `Sec-Fetch-Site`), and in `Host` under which name they found us: a page of this machine is
//! let in, others are not.

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};
use std::net::IpAddr;

/// Ends of names that nobody can register: who has one of them resolve to us runs this machine or its network.
/// RFC 2606, RFC 6761, RFC 6762, RFC 8375, ICANN's `.internal`; AWS's own are in `/etc/hosts`.
const PRIVATE: [&str; 11] = [
    "localhost",
    "local",
    "internal",
    "test",
    "example",
    "invalid",
    "lan",
    "home.arpa",
    "amazonaws.com",
    "amazonaws.com.cn",
    "api.aws",
];

/// Why a request is none of a client of this machine; `None` lets it in.
pub fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let value = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("not a text"));
    if value(&ORIGIN).is_some_and(|origin| !is_ours(origin)) {
        return Some("A page of another site may not ask Longshore for anything.\n");
    }
    let site = value(&HeaderName::from_static("sec-fetch-site"));
    if site == Some("cross-site") && !headers.contains_key(ORIGIN) {
        return Some("A page of another site may not ask Longshore for anything.\n");
    }
    if value(&HOST).is_some_and(|host| !is_private(name_of(host))) {
        return Some(
            "Without --auth iam, Longshore answers to addresses and to names of private domains only: \
             a public name could be a web site's. Ask 127.0.0.1.\n",
        );
    }
    None
}

/// Whether an origin (`http://localhost:3000`) is a page served by this machine. `null` is anybody's.
fn is_ours(origin: &str) -> bool {
    let Some((_, host)) = origin.split_once("://") else { return false };
    let name = name_of(host);
    let name = name.to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// A host without its port, and an IPv6 address without its brackets.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_private(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_below = |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || PRIVATE.iter().any(|end| is_below(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_in(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        refusal(&headers).is_none()
    }

    #[test]
    fn clients_that_are_no_browsers_are_let_in_under_addresses_and_private_names() {
        for host in [
            "127.0.0.1:4566",
            "[::1]:4566",
            "localhost:4566",
            "longshore",
            "host.docker.internal:4566",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "ecs.us-east-1.amazonaws.com",
            "169.254.170.2:4566",
            "aws.test",
        ] {
            assert!(is_let_in(&[("host", host)]), "{host}");
        }
        assert!(is_let_in(&[]));
    }

    #[test]
    fn a_public_name_may_be_a_site_that_resolves_to_this_machine() {
        for host in ["evil.com:4566", "127.0.0.1.evil.com", "amazonaws.com.evil.com", "evilamazonaws.com", "evil.com."]
        {
            assert!(!is_let_in(&[("host", host)]), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let host = ("host", "127.0.0.1:4566");
        for origin in [
            "https://evil.com",
            "null",
            "http://localhost.evil.com",
            "http://192.168.1.7",
            "http://127.0.0.1.evil.com:80",
        ] {
            assert!(!is_let_in(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!is_let_in(&[host, ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn pages_of_this_machine_and_typed_addresses_are_let_in() {
        let host = ("host", "127.0.0.1:4566");
        for origin in ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:3000", "http://app.localhost"] {
            assert!(is_let_in(&[host, ("origin", origin), ("sec-fetch-site", "cross-site")]), "{origin}");
        }
        assert!(is_let_in(&[host, ("sec-fetch-site", "none")]));
    }
}
