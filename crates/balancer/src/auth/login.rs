//! What a browser carries from the balancer to the provider and back: the sealed `state`, which belongs to a nonce in
//! a cookie of the same browser.

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::reason::Reason;
use super::text::cookie;

/// Keeps the nonce.
const NONCE_COOKIE: &str = "AWSALBAuthNonce";
/// A user has this long to log in.
pub(super) const LOGIN_SECONDS: u64 = 15 * 60;

/// One log-in on its way.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Login {
    /// Which action asked for it.
    pub guard: String,
    nonce: String,
    /// Host and port by which the browser knows the balancer.
    pub host: String,
    /// Path and query that it wanted.
    pub target: String,
    began_s: u64,
}

impl Login {
    /// Begins one, and says which cookie the browser has to keep. A nonce that the browser has stays, so that several
    /// of its pages may log in at a time.
    pub(super) fn begin(
        headers: &HeaderMap,
        keys: &Keys,
        guard: &str,
        host: &str,
        target: &str,
        now_s: u64,
    ) -> (Login, HeaderValue) {
        let is_nonce = |text: &&str| {
            text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let nonce = cookie(headers, NONCE_COOKIE).filter(is_nonce).map_or_else(|| keys.nonce(), str::to_owned);
        let line = format!("{NONCE_COOKIE}={nonce}; Path=/; Secure; HttpOnly");
        let cookie = HeaderValue::try_from(line).expect("a nonce is printable ASCII");
        let (guard, host, target) = (guard.to_owned(), host.to_owned(), target.to_owned());
        (Login { guard, nonce, host, target, began_s: now_s }, cookie)
    }

    pub(super) fn state(&self, keys: &Keys, place: &str) -> String {
        keys.seal(place, serde_json::to_vec(self).expect("texts and numbers serialize"))
    }

    /// The page that the browser wanted.
    pub(super) fn page(&self) -> String {
        format!("https://{}{}", self.host, self.target)
    }

    /// Reads a state that came back, with the cookies that came with it.
    pub(super) fn resume(
        state: &str,
        headers: &HeaderMap,
        keys: &Keys,
        place: &str,
        now_s: u64,
    ) -> Result<Login, Reason> {
        let opened = keys.open(place, state).ok_or(Reason::InvalidState)?;
        let login: Login = serde_json::from_slice(&opened).map_err(|_| Reason::InvalidState)?;
        let nonce = cookie(headers, NONCE_COOKIE).ok_or(Reason::MissingNonce)?;
        // Of digests, how long it takes to compare them says nothing.
        let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        if digest(nonce).as_ref() != digest(&login.nonce).as_ref() {
            return Err(Reason::InvalidNonce);
        }
        if now_s.saturating_sub(login.began_s) > LOGIN_SECONDS {
            return Err(Reason::InvalidState);
        }
        Ok(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::test_keys;

    fn with_cookie(line: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::COOKIE, HeaderValue::try_from(line.split(';').next().unwrap()).unwrap());
        headers
    }

    #[test]
    fn a_state_is_good_in_its_browser_for_a_quarter_of_an_hour() {
        let keys = test_keys();
        let (login, cookie) = Login::begin(&HeaderMap::new(), &keys, "g", "a.example", "/x?y=1", 1000);
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly"), "{cookie}");
        let headers = with_cookie(cookie);
        let state = login.state(&keys, "lb");
        let resume =
            |state: &str, headers: &HeaderMap, place: &str, now_s| Login::resume(state, headers, &keys, place, now_s);
        assert_eq!(resume(&state, &headers, "lb", 1900), Ok(login));
        assert_eq!(resume(&state, &headers, "lb", 1901), Err(Reason::InvalidState));
        assert_eq!(resume(&state, &headers, "other", 1000), Err(Reason::InvalidState));
        assert_eq!(resume("AAAA", &headers, "lb", 1000), Err(Reason::InvalidState));
        assert_eq!(resume(&state, &HeaderMap::new(), "lb", 1000), Err(Reason::MissingNonce));
        let (_, other) = Login::begin(&HeaderMap::new(), &keys, "g", "a.example", "/", 1000);
        assert_eq!(resume(&state, &with_cookie(other.to_str().unwrap()), "lb", 1000), Err(Reason::InvalidNonce));
    }

    #[test]
    fn two_pages_of_a_browser_log_in_at_a_time() {
        let keys = test_keys();
        let (first, cookie) = Login::begin(&HeaderMap::new(), &keys, "g", "a.example", "/1", 0);
        let headers = with_cookie(cookie.to_str().unwrap());
        let (_, again) = Login::begin(&headers, &keys, "g", "a.example", "/2", 0);
        assert_eq!(again, cookie);
        assert!(Login::resume(&first.state(&keys, "lb"), &headers, &keys, "lb", 0).is_ok());
        let (_, fresh) = Login::begin(&with_cookie("AWSALBAuthNonce=1"), &keys, "g", "a.example", "/", 0);
        assert_ne!(fresh, HeaderValue::from_static("AWSALBAuthNonce=1; Path=/; Secure; HttpOnly"));
    }
}
