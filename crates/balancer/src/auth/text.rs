//! Small forms of text: endpoints, query parameters, cookies.

use std::net::Ipv6Addr;

use http::header::COOKIE;
use http::{HeaderMap, Uri};

/// A URL that the balancer calls. HTTPS alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// As the certificate has it; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// The Host header.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Option<Endpoint> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        if uri.scheme_str() != Some("https") {
            return None;
        }
        let host = match authority.host().strip_prefix('[') {
            Some(address) => address.strip_suffix(']').filter(|address| address.parse::<Ipv6Addr>().is_ok())?,
            None => authority.host(),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        // Also there when the path is empty.
        let path = Some(uri.path()).filter(|path| path.starts_with('/')).unwrap_or("/");
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(Endpoint {
            host: host.to_owned(),
            port: match authority.as_str().strip_prefix(authority.host())? {
                "" => 443,
                port => port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
            },
            authority: authority.as_str().to_owned(),
            target: format!("{path}{query}"),
        })
    }
}

/// Appends `name=value`, percent-encoded, after `?` or `&`.
pub(super) fn push_param(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    push_pair(url, name, value);
}

/// `a=b&c=d`, percent-encoded.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        push_pair(&mut form, name, value);
    }
    form
}

fn push_pair(out: &mut String, name: &str, value: &str) {
    encode(out, name);
    out.push('=');
    encode(out, value);
}

/// Percent-encodes all but the unreserved characters.
pub(super) fn encode(out: &mut String, text: &str) {
    use std::fmt::Write;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => write!(out, "%{byte:02X}").expect("a String takes every write"),
        }
    }
}

/// The first parameter of a name, decoded.
pub(super) fn param(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut named = pairs.filter(|(key, _)| *key == name);
    decode(named.next()?.1)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: u8| (byte as char).to_digit(16);
                (digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// All cookies of a request, in order.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lists = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookies(headers).find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_urls() {
        let endpoint = Endpoint::parse("https://idp.example:8443/token?x=1").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("idp.example", 8443));
        assert_eq!((endpoint.authority.as_str(), endpoint.target.as_str()), ("idp.example:8443", "/token?x=1"));
        assert_eq!(Endpoint::parse("https://idp.example").unwrap().target, "/");
        assert_eq!(Endpoint::parse("https://idp.example?x=1").unwrap().target, "/?x=1");
        let address = Endpoint::parse("https://[::1]:8443/").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 8443));
        for bad in
            ["https://a:/", "https://&a=[]b/", "https://[a]/", "https://a:0/", "https://a:99999/", "https://a:80b/"]
        {
            assert_eq!(Endpoint::parse(bad), None, "{bad}");
        }
        for bad in ["http://idp.example/", "idp.example", "https://", "https://a@b/", ""] {
            assert_eq!(Endpoint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_survive_the_way_there_and_back() {
        let mut url = "https://idp.example/login".to_owned();
        push_param(&mut url, "scope", "openid email");
        push_param(&mut url, "state", "a&b=c+d/é");
        assert_eq!(url, "https://idp.example/login?scope=openid%20email&state=a%26b%3Dc%2Bd%2F%C3%A9");
        let query = url.split_once('?').map(|(_, query)| query);
        assert_eq!(param(query, "state").as_deref(), Some("a&b=c+d/é"));
        assert_eq!(param(query, "sta"), None);
        assert_eq!(param(Some("a=%zz"), "a"), None);
        assert_eq!(param(Some("a"), "a").as_deref(), Some(""));
        assert_eq!(form(&[("a", "b c"), ("d", "é")]), "a=b%20c&d=%C3%A9");
    }
}
