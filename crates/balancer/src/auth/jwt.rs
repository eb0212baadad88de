//! `jwt-validation`: a request brings a token that a provider has signed (RS256), in `Authorization: Bearer`.
//!
//! The provider's keys are fetched when they are first needed, again after some minutes, and at once, yet not often,
//! when a token names a key that is not among them. While the provider cannot be reached the former ones serve.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

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
}

/// A provider's keys as they were fetched last.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    fetched: Mutex<Option<Fetched>>,
}

#[derive(Clone, Debug)]
struct Fetched {
    at_s: u64,
    /// When it was tried last, in vain or not.
    tried_s: u64,
    keys: Arc<Vec<Key>>,
}

#[derive(Debug)]
struct Key {
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
        Some(Jwt { settings: settings.clone(), balancer: balancer.to_owned(), endpoint, idp })
    }

    /// Whether a request may pass.
    pub(super) async fn check(self: &Arc<Self>, headers: &HeaderMap, now_s: u64) -> Result<(), Reason> {
        let value = headers.get(AUTHORIZATION).ok_or(Reason::JwtMissing)?;
        let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Reason::JwtMalformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Reason::JwtMalformed);
        }
        let token = Token::parse(token.trim()).ok_or(Reason::JwtMalformed)?;
        let set = self.idp.key_set(&self.settings.jwks_endpoint);
        let mut keys = self.keys(&set, now_s, KEPT_SECONDS).await?;
        if !keys.iter().any(|key| key.may_be(&token)) {
            keys = self.keys(&set, now_s, UNKNOWN_KEY_SECONDS).await?;
        }
        if !keys.iter().any(|key| key.may_be(&token) && key.verifies(&token)) {
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
    async fn keys(self: &Arc<Self>, set: &Arc<KeySet>, now_s: u64, age_max_s: u64) -> Result<Arc<Vec<Key>>, Reason> {
        let (jwt, set) = (self.clone(), set.clone());
        {
            let known = set.fetched.lock().await;
            if let Some(known) = known.as_ref().filter(|known| now_s.saturating_sub(known.tried_s) < age_max_s) {
                return Ok(known.keys.clone());
            }
        }
        let idp = self.idp.clone();
        idp.run(async move {
            // One fetch at a time; whoever waited for it takes what it brought.
            let mut known = set.fetched.lock().await;
            if let Some(known) = known.as_ref().filter(|known| now_s.saturating_sub(known.tried_s) < age_max_s) {
                return Ok(known.keys.clone());
            }
            match (jwt.fetch().await, known.as_mut()) {
                (Ok(keys), _) => {
                    let keys = Arc::new(keys);
                    *known = Some(Fetched { at_s: now_s, tried_s: now_s, keys: keys.clone() });
                    Ok(keys)
                }
                (Err(_), Some(former)) if now_s.saturating_sub(former.at_s) < STALE_SECONDS => {
                    former.tried_s = now_s;
                    Ok(former.keys.clone())
                }
                (Err(reason), _) => Err(reason),
            }
        })
        .await
    }

    async fn fetch(&self) -> Result<Vec<Key>, Reason> {
        let ask = Ask {
            balancer: &self.balancer,
            endpoint: &self.endpoint,
            authorization: None,
            form: None,
            answer_bytes_max: KEY_SET_BYTES_MAX,
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
fn read_keys(body: &[u8]) -> Option<Vec<Key>> {
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
