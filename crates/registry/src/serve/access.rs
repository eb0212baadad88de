//! Credentials of a request, and the challenge to one without.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use http::request::Parts;

use super::failure::{Code, Failure};
use crate::catalogue::{AccessRequest, Action, Denied, Grant};
use crate::name::RepositoryName;
use crate::registry::Registry;

/// Longer credentials are none: tokens have a few kilobytes at most.
const AUTHORIZATION_BYTES_MAX: usize = 16 << 10;

/// User and password of a `Basic` authorization header.
pub fn basic_credentials(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

pub(super) fn authorize(
    registry: &Registry,
    parts: &Parts,
    action: Action,
    repository: Option<&RepositoryName>,
) -> Result<Grant, Failure> {
    let host = host(parts);
    let decision = match authorization(parts) {
        Some(authorization) => {
            let request = AccessRequest { host, authorization, action, repository, parts };
            registry.inner.catalogue.authorize(request)
        }
        None => Err(Denied::Unauthenticated),
    };
    decision.map_err(|denied| match denied {
        Denied::Unauthenticated => {
            let realm = host.unwrap_or("ecr.amazonaws.com");
            Failure::new(Code::Unauthorized, "Not Authorized").with_header(
                header::WWW_AUTHENTICATE,
                format!(r#"Basic realm="https://{realm}/",service="ecr.amazonaws.com""#),
            )
        }
        Denied::Forbidden { message } => Failure::new(Code::Denied, message),
    })
}

/// The one authorization header; with two of them it could not be said which one counts.
fn authorization(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && value.len() <= AUTHORIZATION_BYTES_MAX).then_some(value)
}

/// The host the client addressed, if it is written as one: it is echoed in the challenge and names the account.
fn host(parts: &Parts) -> Option<&str> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let header = hosts.next().and_then(|value| value.to_str().ok());
    if hosts.next().is_some() {
        return None;
    }
    // A target with an authority overrules the header (RFC 9112, 3.2.2).
    let host = parts.uri.authority().map(|authority| authority.as_str()).or(header)?;
    let is_host_byte = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(is_host_byte)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_strictly() {
        let encoded = STANDARD.encode("AWS:secret:with:colons");
        let both = Some(("AWS".to_owned(), "secret:with:colons".to_owned()));
        assert_eq!(basic_credentials(&format!("Basic {encoded}")), both);
        assert_eq!(basic_credentials(&format!("basic {encoded}")), both);
        for bad in ["", "Basic", "Basic ", "Basic !!!", &format!("Bearer {encoded}"), &STANDARD.encode("Basic AWS")] {
            assert_eq!(basic_credentials(bad), None, "{bad}");
        }
    }
}
