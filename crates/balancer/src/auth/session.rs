//! A logged-in user's session. It lives in the browser alone: sealed, in as many cookies as it takes.
//!
//! The first cookie begins with their number, so that what an earlier, longer session left behind does no harm.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys::Keys;
use super::text::cookie;
use crate::proxy::stickiness::http_date;

/// Browsers keep cookies of 4096 bytes, name and attributes included.
const SHARD_BYTES: usize = 3_800;
/// Claims and access token have 11 KiB at most; the rest is for the refresh token.
const SHARDS_MAX: usize = 12;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Which action let the user in, see [`super::oidc::Oidc::tag`].
    pub guard: String,
    /// Seconds since the Unix epoch.
    pub logged_in_s: u64,
    /// When the access token ends; `None` when the provider did not say.
    pub access_expires_s: Option<u64>,
    pub access_token: String,
    pub refresh_token: Option<String>,
    /// What the provider says of the user. Has a text `sub`.
    pub claims: Map<String, Value>,
}

/// What a request brought.
#[derive(Debug, PartialEq)]
pub(super) enum Presented {
    Nothing,
    /// Cookies that no key of ours made, or not all of them.
    Broken,
    Session(Box<Session>),
}

/// Reads the session that a request brings.
pub(super) fn read(headers: &HeaderMap, name: &str, keys: &Keys, place: &str) -> Presented {
    let shard = |index: usize| cookie(headers, &format!("{name}-{index}"));
    // An application logs a user out by an empty cookie.
    let Some(first) = shard(0).filter(|first| !first.is_empty()) else { return Presented::Nothing };
    let whole = || {
        let (count, first) = first.split_once('.')?;
        let count = count.parse().ok().filter(|count| (1..=SHARDS_MAX).contains(count))?;
        let mut sealed = first.to_owned();
        for index in 1..count {
            sealed.push_str(shard(index)?);
        }
        serde_json::from_slice(&keys.open(place, &sealed)?).ok()
    };
    whole().map_or(Presented::Broken, |session| Presented::Session(Box::new(session)))
}

impl Session {
    /// The cookies that bring the session back until `ends_s`, and those that end what `former` requests brought
    /// beyond them. `None` when it is too long for cookies.
    pub(super) fn write(
        &self,
        former: &HeaderMap,
        name: &str,
        keys: &Keys,
        place: &str,
        ends_s: u64,
    ) -> Option<Vec<HeaderValue>> {
        let sealed = keys.seal(place, serde_json::to_vec(self).expect("texts and numbers serialize"));
        let count = sealed.len().div_ceil(SHARD_BYTES);
        if count > SHARDS_MAX {
            return None;
        }
        let mut written = Vec::with_capacity(count);
        for index in 0..count {
            let end = sealed.len().min((index + 1) * SHARD_BYTES);
            let mut line = format!("{name}-{index}=");
            if index == 0 {
                write!(line, "{count}.").expect("a String takes every write");
            }
            line.push_str(&sealed[index * SHARD_BYTES..end]);
            write!(line, "; Expires={}; {ATTRIBUTES}", http_date(ends_s)).expect("a String takes every write");
            written.push(HeaderValue::try_from(line).ok()?);
        }
        written.extend(end(former, name, count));
        Some(written)
    }

    /// The user's identifier at the provider.
    pub(super) fn subject(&self) -> &str {
        self.claims.get("sub").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Other sites' scripts may use the session where an application lets them.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=None";

/// Ends the session's cookies that a request brought, from the one with number `from`.
pub(super) fn end(headers: &HeaderMap, name: &str, from: usize) -> Vec<HeaderValue> {
    let names = (from..SHARDS_MAX).map(|index| format!("{name}-{index}"));
    let brought = names.filter(|name| cookie(headers, name).is_some());
    brought
        .filter_map(|name| HeaderValue::try_from(format!("{name}=; Expires={}; {ATTRIBUTES}", http_date(0))).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::auth::keys::test_keys;

    fn session(claim_bytes: usize) -> Session {
        let claims = serde_json::json!({ "sub": "u1", "about": "x".repeat(claim_bytes) });
        Session {
            guard: "g".into(),
            logged_in_s: 7,
            access_expires_s: Some(9),
            access_token: "at".into(),
            refresh_token: None,
            claims: claims.as_object().unwrap().clone(),
        }
    }

    /// What a browser sends after it was given the cookies.
    fn request(cookies: &[HeaderValue]) -> HeaderMap {
        let pairs: Vec<&str> = cookies.iter().map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(http::header::COOKIE, HeaderValue::try_from(pairs.join("; ")).unwrap());
        headers
    }

    #[test]
    fn a_session_comes_back_from_one_cookie_or_many() {
        let keys = test_keys();
        for (bytes, count) in [(10, 1), (11_000, 4)] {
            let session = session(bytes);
            let cookies = session.write(&HeaderMap::new(), "s", &keys, "lb", 1_767_225_599).unwrap();
            assert_eq!(cookies.len(), count);
            for (index, cookie) in cookies.iter().enumerate() {
                let cookie = cookie.to_str().unwrap();
                assert!(cookie.starts_with(&format!("s-{index}=")) && cookie.len() <= 4096, "{cookie}");
                let attributes = "; Expires=Wed, 31 Dec 2025 23:59:59 GMT; Path=/; Secure; HttpOnly; SameSite=None";
                assert!(cookie.ends_with(attributes), "{cookie}");
            }
            let (_, shard) = cookies[0].to_str().unwrap().split_once("1.").unwrap_or_default();
            let bytes = URL_SAFE_NO_PAD.decode(shard.split(';').next().unwrap()).unwrap_or_default();
            assert!(!bytes.windows(12).any(|part| part == b"access_token"), "it is sealed");
            let back = request(&cookies);
            assert_eq!(read(&back, "s", &keys, "lb"), Presented::Session(Box::new(session.clone())));
            assert_eq!(read(&back, "other", &keys, "lb"), Presented::Nothing);
            assert_eq!(read(&back, "s", &keys, "another lb"), Presented::Broken);
            assert_eq!(read(&back, "s", &test_keys(), "lb"), Presented::Broken);
            if count > 1 {
                assert_eq!(read(&request(&cookies[..count - 1]), "s", &keys, "lb"), Presented::Broken);
            }
        }
        assert_eq!(session(40_000).write(&HeaderMap::new(), "s", &keys, "lb", 0), None);
    }

    #[test]
    fn what_a_longer_session_left_is_ended_and_does_no_harm() {
        let keys = test_keys();
        let long = session(11_000).write(&HeaderMap::new(), "s", &keys, "lb", 9).unwrap();
        let short = session(10).write(&request(&long), "s", &keys, "lb", 9).unwrap();
        let ended: Vec<&str> = short[1..].iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(ended.len(), 3);
        assert!(ended[0].starts_with("s-1=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "{ended:?}");
        let mixed = [&short[..1], &long[1..]].concat();
        assert!(matches!(read(&request(&mixed), "s", &keys, "lb"), Presented::Session(_)));
        // However many there are and whatever they are called, no more is ended than was ever written.
        let many: Vec<HeaderValue> = ["s-+1=x", "s-01=x", "s-x=x", "s-1=x", "s-1=y", "s-12=x", "s-11=x", "s-9999=x"]
            .map(HeaderValue::from_static)
            .into();
        let ended = end(&request(&many), "s", 0);
        let names: Vec<&str> = ended.iter().map(|line| line.to_str().unwrap().split('=').next().unwrap()).collect();
        assert_eq!(names, ["s-1", "s-11"]);
        for bad in ["s-0=", "s-0=x", "s-0=0.x", "s-0=99.x", "s-0=1.AAAA"] {
            let presented = read(&request(&[HeaderValue::from_static(bad)]), "s", &keys, "lb");
            assert_eq!(presented == Presented::Nothing, bad == "s-0=", "{bad}");
        }
    }
}
