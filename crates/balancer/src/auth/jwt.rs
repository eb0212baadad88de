//! `jwt-validation`: a request brings a token that a provider has signed (RS256), in `Authorization: Bearer`.
//!
//! The provider's keys are fetched when they are first needed, again after some minutes, and at once, yet not often,
//! when a token names a key that is not among them. While the provider cannot be reached the former ones serve.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::idp::{Ask, AskError, Idp};
use super::oidc::seconds;
use super::reason::Reason;
use super::text::Endpoint;
use crate::config::{ClaimFormat, JwtValidation, RequiredClaim};

/// Keys are fetched again after so long…
const KEPT_SECONDS: u64 = 300;
/// …or, when a token's is not among them, after so long.
const UNKNOWN_KEY_SECONDS: u64 = 10;
/// Without a provider, keys serve for so long.
const STALE_SECONDS: u64 = 3600;
/// Without keys, nobody asks again for so long after it was in vain.
const FAILED_SECONDS: u64 = 2;
/// The user guide's limits.
const KEY_SET_BYTES_MAX: usize = 150 * 1024;
const KEYS_MAX: usize = 10;

/// A compiled action.
#[derive(Debug)]
pub(crate) struct Jwt {
    settings: JwtValidation,
    balancer: String,
    endpoint: Endpoint,
    idp: Arc<Idp>,
    pub(super) keys: Arc<KeySet>,
}

/// A provider's keys as they were fetched last. Reading them waits for nobody: a request whose key is known is not
/// held up by one whose key is not.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    known: Mutex<Known>,
    /// Held by the one who asks the provider.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// And when they were fetched.
    keys: Option<(u64, Arc<Vec<Key>>)>,
    /// When it was tried last, and why it was in vain.
    tried: Option<(u64, Option<Reason>)>,
}

impl KeySet {
    /// What is known, when it was tried so short a time ago that nobody has to ask.
    fn known(&self, now_s: u64, age_max_s: u64) -> Option<Result<Arc<Vec<Key>>, Reason>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (tried_s, failure) = known.tried?;
        let ago_s = now_s.saturating_sub(tried_s);
        match (&known.keys, failure) {
            (Some((at_s, keys)), _) if now_s.saturating_sub(*at_s) < STALE_SECONDS => {
                (ago_s < age_max_s).then(|| Ok(keys.clone()))
            }
            (_, Some(reason)) => (ago_s < FAILED_SECONDS).then_some(Err(reason)),
            _ => None,
        }
    }

    pub(super) fn learn(&self, at_s: u64, outcome: Result<Vec<Key>, Reason>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.tried = Some((at_s, outcome.as_ref().err().copied()));
        if let Ok(keys) = outcome {
            known.keys = Some((at_s, Arc::new(keys)));
        }
    }
}

#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// A token taken apart, not verified yet.
struct Token<'a> {
    signed: &'a str,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl Jwt {
    /// `None` when the endpoint is no HTTPS URL.
    pub(super) fn new(settings: &JwtValidation, balancer: &str, idp: Arc<Idp>) -> Option<Jwt> {
        let endpoint = Endpoint::parse(&settings.jwks_endpoint)?;
        let keys = idp.key_set(balancer, &settings.jwks_endpoint);
        Some(Jwt { settings: settings.clone(), balancer: balancer.to_owned(), endpoint, idp, keys })
    }

    /// Whether a request may pass.
    pub(super) async fn check(self: &Arc<Self>, headers: &HeaderMap, now_s: u64) -> Result<(), Reason> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Reason::JwtMissing)?;
        if values.next().is_some() {
            // The target might believe the one that nobody has looked at.
            return Err(Reason::JwtMalformed);
        }
        let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Reason::JwtMalformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Reason::JwtMalformed);
        }
        let token = Token::parse(token.trim()).ok_or(Reason::JwtMalformed)?;
        let mut keys = self.keys(now_s, KEPT_SECONDS).await?;
        if !keys.iter().any(|key| key.may_be(&token)) {
            keys = self.keys(now_s, UNKNOWN_KEY_SECONDS).await?;
        }
        if !token.is_signed_by(&keys) {
            return Err(Reason::JwtSignature);
        }
        self.check_claims(&token.claims, now_s)
    }

    fn check_claims(&self, claims: &Map<String, Value>, now_s: u64) -> Result<(), Reason> {
        let issuer = claims.get("iss").ok_or(Reason::JwtClaimMissing)?.as_str().ok_or(Reason::JwtClaimFormat)?;
        let time = |value: &Value| value.as_number().and_then(|_| seconds(value)).ok_or(Reason::JwtClaimFormat);
        let expires = time(claims.get("exp").ok_or(Reason::JwtClaimMissing)?)?;
        if issuer != self.settings.issuer || expires <= now_s {
            return Err(Reason::JwtClaimValue);
        }
        for from in ["nbf", "iat"].iter().filter_map(|name| claims.get(*name)) {
            if time(from)? > now_s {
                return Err(Reason::JwtClaimValue);
            }
        }
        self.settings.claims.iter().try_for_each(|required| check_claim(required, claims.get(&required.name)))
    }

    /// The provider's keys, not older than so many seconds.
    async fn keys(self: &Arc<Self>, now_s: u64, age_max_s: u64) -> Result<Arc<Vec<Key>>, Reason> {
        if let Some(known) = self.keys.known(now_s, age_max_s) {
            return known;
        }
        let jwt = self.clone();
        let fetch = async move {
            // One fetch at a time; whoever waited for it takes what it brought, be it nothing.
            let _turn = jwt.keys.fetching.lock().await;
            if let Some(known) = jwt.keys.known(now_s, age_max_s) {
                return known;
            }
            let began = Instant::now();
            let outcome = jwt.fetch().await;
            let now_s = now_s + began.elapsed().as_secs();
            jwt.keys.learn(now_s, outcome);
            // Just tried: never `None`.
            jwt.keys.known(now_s, age_max_s).unwrap_or(Err(Reason::JwksRequestFailed))
        };
        self.idp.run(fetch).await
    }

    async fn fetch(&self) -> Result<Vec<Key>, Reason> {
        let ask = Ask {
            balancer: &self.balancer,
            endpoint: &self.endpoint,
            authorization: None,
            form: None,
            answer_bytes_max: KEY_SET_BYTES_MAX,
            slots: &Semaphore::const_new(1),
        };
        match self.idp.ask(ask).await {
            Ok((status, body)) if status.is_success() => read_keys(&body).ok_or(Reason::JwksInvalid),
            Ok(_) => Err(Reason::JwksRequestFailed),
            Err(AskError::Answer(_)) => Err(Reason::JwksInvalid),
            Err(_) => Err(Reason::JwksRequestTimeout),
        }
    }
}

impl<'a> Token<'a> {
    /// `None` for what is no token signed with RS256.
    fn parse(text: &'a str) -> Option<Token<'a>> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
        let header: Map<String, Value> = serde_json::from_slice(&decode(header)?).ok()?;
        // A critical extension is one that we do not know.
        if header.get("alg")?.as_str()? != "RS256" || header.contains_key("crit") {
            return None;
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let claims = serde_json::from_slice(&decode(payload)?).ok()?;
        Some(Token { signed, key_id, claims, signature: decode(signature)? })
    }

    fn is_signed_by(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| key.may_be(self) && key.verifies(self))
    }
}

impl Key {
    fn may_be(&self, token: &Token<'_>) -> bool {
        token.key_id.is_none() || token.key_id == self.id
    }

    fn verifies(&self, token: &Token<'_>) -> bool {
        let key = RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, token.signed.as_bytes(), &token.signature).is_ok()
    }
}

/// The RSA keys for signatures of a key set; others are passed over.
pub(super) fn read_keys(body: &[u8]) -> Option<Vec<Key>> {
    let set: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let keys = set.get("keys")?.as_array()?;
    if keys.len() > KEYS_MAX {
        return None;
    }
    let number = |key: &Value, name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(key.get(name)?.as_str()?.trim_end_matches('=')).ok()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec())
    };
    let usable = keys.iter().filter_map(|key| {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let is_for_us = text("kty") == Some("RSA")
            && text("use").is_none_or(|usage| usage == "sig")
            && text("alg").is_none_or(|alg| alg == "RS256");
        let (modulus, exponent) = (number(key, "n")?, number(key, "e")?);
        is_for_us.then(|| Key { id: text("kid").map(str::to_owned), modulus, exponent })
    });
    Some(usable.collect())
}

fn check_claim(required: &RequiredClaim, claim: Option<&Value>) -> Result<(), Reason> {
    let claim = claim.ok_or(Reason::JwtClaimMissing)?;
    let has: Vec<&str> = match required.format {
        ClaimFormat::SingleString => vec![claim.as_str().ok_or(Reason::JwtClaimFormat)?],
        ClaimFormat::SpaceSeparatedValues => claim.as_str().ok_or(Reason::JwtClaimFormat)?.split(' ').collect(),
        ClaimFormat::StringArray => {
            let all = claim.as_array().ok_or(Reason::JwtClaimFormat)?;
            all.iter().map(|value| value.as_str().ok_or(Reason::JwtClaimFormat)).collect::<Result<_, _>>()?
        }
    };
    let is_met = required.values.iter().all(|value| has.contains(&value.as_str()));
    if is_met { Ok(()) } else { Err(Reason::JwtClaimValue) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn claims_have_their_formats_and_values() {
        let claim = |name: &str, format, values: &[&str]| RequiredClaim {
            name: name.into(),
            format,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let settings = JwtValidation {
            jwks_endpoint: "https://idp.example/keys".into(),
            issuer: "https://idp.example".into(),
            claims: vec![
                claim("client_id", ClaimFormat::SingleString, &["web"]),
                claim("scope", ClaimFormat::SpaceSeparatedValues, &["read"]),
                claim("aud", ClaimFormat::StringArray, &["a", "b"]),
            ],
        };
        let jwt = Jwt::new(&settings, "lb", Arc::new(Idp::new(None))).unwrap();
        let good = json!({
            "iss": "https://idp.example", "exp": 1001, "client_id": "web", "scope": "read write", "aud": ["b", "a", "c"],
        });
        let check = |change: Value| {
            let mut claims = good.as_object().unwrap().clone();
            for (name, value) in change.as_object().unwrap() {
                match value {
                    Value::Null => drop(claims.remove(name)),
                    value => drop(claims.insert(name.clone(), value.clone())),
                }
            }
            jwt.check_claims(&claims, 1000)
        };
        assert_eq!(check(json!({})), Ok(()));
        assert_eq!(check(json!({ "nbf": 1000, "iat": 999.5 })), Ok(()));
        for (change, reason) in [
            (json!({ "iss": null }), Reason::JwtClaimMissing),
            (json!({ "iss": 1 }), Reason::JwtClaimFormat),
            (json!({ "iss": "https://evil.example" }), Reason::JwtClaimValue),
            (json!({ "exp": null }), Reason::JwtClaimMissing),
            (json!({ "exp": "1001" }), Reason::JwtClaimFormat),
            (json!({ "exp": 1000 }), Reason::JwtClaimValue),
            (json!({ "nbf": 1001 }), Reason::JwtClaimValue),
            (json!({ "iat": 1001 }), Reason::JwtClaimValue),
            (json!({ "client_id": ["web"] }), Reason::JwtClaimFormat),
            (json!({ "client_id": "web2" }), Reason::JwtClaimValue),
            (json!({ "scope": "reads" }), Reason::JwtClaimValue),
            (json!({ "aud": ["a"] }), Reason::JwtClaimValue),
            (json!({ "aud": "a b" }), Reason::JwtClaimFormat),
            (json!({ "aud": null }), Reason::JwtClaimMissing),
        ] {
            assert_eq!(check(change.clone()), Err(reason), "{change}");
        }
    }

    /// A validation whose provider is at this address, and nobody's certificate is trusted.
    fn jwt(address: std::net::SocketAddr) -> (Arc<Jwt>, tempfile::NamedTempFile) {
        let trusted = tempfile::NamedTempFile::new().unwrap();
        let settings = JwtValidation {
            jwks_endpoint: format!("https://{address}/keys"),
            issuer: "https://idp.example".into(),
            claims: Vec::new(),
        };
        let idp = Arc::new(Idp::new(Some(trusted.path().to_owned())));
        (Arc::new(Jwt::new(&settings, "lb", idp).unwrap()), trusted)
    }

    fn bearer(key_id: &str) -> HeaderMap {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "kid": key_id }).to_string());
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {header}.e30.AAAA").parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn nobody_whose_key_is_known_waits_for_a_slow_provider() {
        // Takes connections, and says nothing.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (jwt, _trusted) = jwt(listener.local_addr().unwrap());
        let key = Key { id: Some("k".into()), modulus: vec![1], exponent: vec![3] };
        jwt.keys.learn(0, Ok(vec![key]));
        let (unknown, known) = (bearer("unknown"), bearer("k"));
        let asks = jwt.check(&unknown, 100);
        tokio::pin!(asks);
        tokio::select! {
            biased;
            outcome = &mut asks => panic!("{outcome:?}"),
            _ = listener.accept() => {}
        }
        tokio::select! {
            biased;
            outcome = jwt.check(&known, 100) => assert_eq!(outcome, Err(Reason::JwtSignature)),
            outcome = &mut asks => panic!("{outcome:?}"),
        }
    }

    #[tokio::test]
    async fn a_provider_that_is_down_is_asked_once_for_all_who_come() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (jwt, _trusted) = jwt(listener.local_addr().unwrap());
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = asked.clone();
        let provider = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                drop(stream);
            }
        });
        let headers = bearer("k");
        for (now_s, times) in [(100, 1), (101, 1), (102, 2)] {
            let outcomes = futures_util::future::join_all((0..20).map(|_| jwt.check(&headers, now_s))).await;
            assert!(outcomes.iter().all(|outcome| *outcome == Err(Reason::JwksRequestTimeout)), "{outcomes:?}");
            assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), times, "at {now_s} s");
        }
        // Keys that were there serve on, and not for ever.
        let key = Key { id: Some("k".into()), modulus: vec![1], exponent: vec![3] };
        jwt.keys.learn(200, Ok(vec![key]));
        assert_eq!(jwt.check(&headers, 200 + STALE_SECONDS - 1).await, Err(Reason::JwtSignature));
        assert_eq!(jwt.check(&headers, 200 + STALE_SECONDS + 2).await, Err(Reason::JwksRequestTimeout));
        provider.abort();
    }

    #[test]
    fn only_rs256_tokens_and_rsa_keys_are_taken() {
        let token = |header: Value| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert!(Token::parse(&token(json!({ "alg": "RS256", "kid": "k" }))).is_some());
        for bad in
            [json!({ "alg": "none" }), json!({ "alg": "HS256" }), json!({ "alg": "RS256", "crit": [] }), json!({})]
        {
            assert!(Token::parse(&token(bad.clone())).is_none(), "{bad}");
        }
        for bad in ["", "a", "a.b", "..", "%.%.%"] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
        let keys = json!({ "keys": [
            { "kty": "RSA", "kid": "a", "n": "AAEB", "e": "AQAB", "use": "sig" },
            { "kty": "EC", "kid": "b", "crv": "P-256" },
            { "kty": "RSA", "kid": "c", "n": "AQ", "e": "AQAB", "use": "enc" },
        ] });
        let keys = read_keys(keys.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].id.as_deref(), &keys[0].modulus[..]), (Some("a"), &[1, 1][..]));
        let many = json!({ "keys": vec![json!({}); KEYS_MAX + 1] });
        assert!(read_keys(many.to_string().as_bytes()).is_none());
        assert!(read_keys(b"[]").is_none());
    }
}
