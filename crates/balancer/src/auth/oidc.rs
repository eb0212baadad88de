//! `authenticate-oidc`: the authorization code flow of OpenID Connect.
//!
//! ```text
//!  request ─► session cookie? ──yes──► claims to the target, refreshed when the access token has ended
//!                  │ no
//!                  ▼ 302 with state, nonce cookie
//!   the provider's log-in page ─► 302 /oauth2/idpresponse?code&state ─► token endpoint ─► userinfo endpoint
//!                                                                            │
//!                                          302 to where it began, session cookies
//! ```
//!
//! The ID token comes straight from the token endpoint, whose certificate was verified; its claims are checked, and
//! its signature need not be (OpenID Connect Core 3.1.3.7).

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::idp::{Ask, AskError, Idp};
use super::keys::Keys;
use super::reason::Reason;
use super::session::Session;
use super::text::{Endpoint, encode, form, push_param};
use crate::config::{AuthenticateOidc, OnUnauthenticated};
use crate::counters::LoadBalancerCounts;

/// Where providers send browsers back to.
pub(super) const CALLBACK: &str = "/oauth2/idpresponse";
/// Claims and access token together.
const USER_BYTES_MAX: usize = 11 * 1024;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Calls of the provider under way at a time. Anybody can begin a log-in and come back with a code that is none: a
/// provider that is slow then must not cost the balancer all of its file descriptors.
const CALLS_MAX: usize = 64;
/// How far a provider's clock may be from ours.
const LEEWAY_SECONDS: u64 = 60;
/// How long what a target is told is good.
const CLAIMS_SECONDS: u64 = 120;

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-amzn-oidc-accesstoken");
const IDENTITY: HeaderName = HeaderName::from_static("x-amzn-oidc-identity");
const DATA: HeaderName = HeaderName::from_static("x-amzn-oidc-data");

/// A compiled action.
#[derive(Debug)]
pub(crate) struct Oidc {
    /// The same for the same provider and client of a load balancer, in every process.
    pub(super) tag: String,
    pub(super) settings: AuthenticateOidc,
    /// The load balancer's ARN.
    pub(super) balancer: String,
    token: Endpoint,
    user_info: Endpoint,
    pub(super) idp: Arc<Idp>,
    counts: Arc<LoadBalancerCounts>,
    slots: Semaphore,
    /// `None` when a file is missing: nobody is let in.
    pub(super) secrets: Option<Secrets>,
}

#[derive(Debug)]
pub(super) struct Secrets {
    pub keys: Arc<Keys>,
    /// For the token endpoint.
    authorization: Sensitive,
}

/// Stays out of logs.
struct Sensitive(String);

impl std::fmt::Debug for Sensitive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sensitive")
    }
}

/// What a token endpoint hands out.
#[derive(Debug)]
pub(super) struct Tokens {
    access_token: String,
    id_token: Option<String>,
    refresh_token: Option<String>,
    expires_in_s: Option<u64>,
}

impl Oidc {
    /// `None` when an endpoint is no HTTPS URL.
    pub(super) fn new(
        settings: &AuthenticateOidc,
        balancer: &str,
        keys: Option<Arc<Keys>>,
        client_secret: Option<String>,
        idp: Arc<Idp>,
        counts: Arc<LoadBalancerCounts>,
    ) -> Option<Oidc> {
        Endpoint::parse(&settings.authorization_endpoint)?;
        let identity = [balancer, &settings.issuer, &settings.authorization_endpoint, &settings.client_id].join("\n");
        let tag = ring::digest::digest(&ring::digest::SHA256, identity.as_bytes());
        let authorization = |secret: String| {
            // RFC 6749, 2.3.1: both are encoded as in a form.
            let mut pair = String::new();
            encode(&mut pair, &settings.client_id);
            pair.push(':');
            encode(&mut pair, &secret);
            Sensitive(format!("Basic {}", STANDARD.encode(pair)))
        };
        Some(Oidc {
            tag: URL_SAFE_NO_PAD.encode(&tag.as_ref()[..12]),
            settings: settings.clone(),
            balancer: balancer.to_owned(),
            token: Endpoint::parse(&settings.token_endpoint)?,
            user_info: Endpoint::parse(&settings.user_info_endpoint)?,
            idp,
            counts,
            slots: Semaphore::new(CALLS_MAX),
            secrets: keys
                .zip(client_secret)
                .map(|(keys, secret)| Secrets { keys, authorization: authorization(secret) }),
        })
    }

    pub(super) fn secrets(&self) -> Result<&Secrets, Reason> {
        self.secrets.as_ref().ok_or(Reason::Unready)
    }

    /// Whether files that it needs are missing. It lets nobody in.
    pub(crate) fn is_unready(&self) -> bool {
        self.secrets.is_none()
    }

    pub(super) fn on_unauthenticated(&self) -> OnUnauthenticated {
        self.settings.on_unauthenticated
    }

    /// Where sealed states of this load balancer belong.
    pub(super) fn state_place(&self) -> String {
        format!("state {}", self.balancer)
    }

    /// Where sealed sessions belong: actions that call their cookies by other names do not take each other's.
    pub(super) fn session_place(&self) -> String {
        format!("session {} {}", self.settings.session_cookie_name, self.balancer)
    }

    /// The provider's page for a browser that knows the balancer as `host`.
    pub(super) fn authorization_url(&self, host: &str, state: &str) -> String {
        let settings = &self.settings;
        let mut url = settings.authorization_endpoint.clone();
        push_param(&mut url, "client_id", &settings.client_id);
        push_param(&mut url, "redirect_uri", &callback_url(host));
        push_param(&mut url, "response_type", "code");
        push_param(&mut url, "scope", &settings.scope);
        push_param(&mut url, "state", state);
        for (name, value) in &settings.extra_params {
            push_param(&mut url, name, value);
        }
        url
    }

    /// When a session ends at the latest.
    pub(super) fn ends_s(&self, session: &Session) -> u64 {
        session.logged_in_s.saturating_add(self.settings.session_timeout_seconds)
    }

    /// From a code to a session.
    pub(super) async fn log_in(self: &Arc<Self>, code: String, host: &str, now_s: u64) -> Result<Session, Reason> {
        let (oidc, redirect_uri) = (self.clone(), callback_url(host));
        let work = async move {
            let began = Instant::now();
            let grant =
                [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", &redirect_uri)];
            let tokens = oidc.tokens(&grant).await?;
            let id_token = tokens.id_token.as_deref().ok_or(Reason::InvalidTokenResponse)?;
            let subject = oidc.check_id_token(id_token, now_s).ok_or(Reason::InvalidIdToken)?;
            let claims = oidc.claims(&tokens.access_token).await?;
            if claims.get("sub").and_then(Value::as_str) != Some(subject.as_str()) {
                return Err(Reason::InvalidUserinfoResponse);
            }
            oidc.counts.auth_latency_ms.add(began.elapsed().as_millis() as u64);
            oidc.session(tokens, claims, now_s, now_s)
        };
        self.idp.run(work).await
    }

    /// A session whose access token has ended, with a new one. Once at a time for each refresh token.
    pub(super) async fn refresh(self: &Arc<Self>, former: &Session, now_s: u64) -> Result<Session, Reason> {
        let shared = self.idp.refreshed(former, now_s);
        let (oidc, former) = (self.clone(), former.clone());
        self.idp.run(async move { shared.get_or_init(|| oidc.refreshed(former, now_s)).await.clone() }).await
    }

    async fn refreshed(&self, former: Session, now_s: u64) -> Result<Session, Reason> {
        let refresh_token = former.refresh_token.as_deref().ok_or(Reason::InvalidGrant)?;
        let mut tokens = self.tokens(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await?;
        if let Some(id_token) = &tokens.id_token {
            let subject = self.check_id_token(id_token, now_s).ok_or(Reason::InvalidIdToken)?;
            if subject != former.subject() {
                return Err(Reason::InvalidIdToken);
            }
        }
        let claims = self.claims(&tokens.access_token).await?;
        if claims.get("sub").and_then(Value::as_str) != Some(former.subject()) {
            return Err(Reason::InvalidUserinfoResponse);
        }
        tokens.refresh_token = tokens.refresh_token.or_else(|| former.refresh_token.clone());
        let session = self.session(tokens, claims, former.logged_in_s, now_s)?;
        self.counts.auth_refresh_successes.add(1);
        Ok(session)
    }

    async fn tokens(&self, grant: &[(&str, &str)]) -> Result<Tokens, Reason> {
        let secrets = self.secrets()?;
        let ask = Ask {
            balancer: &self.balancer,
            endpoint: &self.token,
            authorization: Some(secrets.authorization.0.clone()),
            form: Some(form(grant)),
            answer_bytes_max: ANSWER_BYTES_MAX,
            slots: &self.slots,
        };
        let (status, body) = match self.idp.ask(ask).await {
            Ok(answer) => answer,
            Err(AskError::Answer(_)) => return Err(Reason::InvalidTokenResponse),
            Err(_) => return Err(Reason::TokenRequestTimeout),
        };
        let answer: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
        if !status.is_success() {
            let error = answer.as_ref().and_then(|answer| answer.get("error")?.as_str());
            return Err(match error {
                Some("invalid_grant") => Reason::InvalidGrant,
                _ => Reason::TokenRequestFailed,
            });
        }
        answer.and_then(|answer| read_tokens(&answer)).ok_or(Reason::InvalidTokenResponse)
    }

    /// Checks what an ID token claims; its subject.
    pub(super) fn check_id_token(&self, token: &str, now_s: u64) -> Option<String> {
        let mut parts = token.split('.');
        let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        let is_for_us = match claims.get("aud")? {
            Value::String(audience) => *audience == self.settings.client_id,
            Value::Array(all) => all.iter().any(|audience| audience.as_str() == Some(&self.settings.client_id)),
            _ => false,
        };
        let is_valid = is_for_us
            && claims.get("iss")?.as_str()? == self.settings.issuer
            && seconds(claims.get("exp")?)?.saturating_add(LEEWAY_SECONDS) > now_s
            && ["iat", "nbf"]
                .iter()
                .filter_map(|name| claims.get(*name))
                .all(|from| seconds(from).is_some_and(|from| from <= now_s.saturating_add(LEEWAY_SECONDS)));
        is_valid.then(|| claims.get("sub")?.as_str().map(str::to_owned)).flatten()
    }

    async fn claims(&self, access_token: &str) -> Result<Map<String, Value>, Reason> {
        let ask = Ask {
            balancer: &self.balancer,
            endpoint: &self.user_info,
            authorization: Some(format!("Bearer {access_token}")),
            form: None,
            answer_bytes_max: ANSWER_BYTES_MAX,
            slots: &self.slots,
        };
        let (status, body) = match self.idp.ask(ask).await {
            Ok(answer) => answer,
            Err(AskError::Answer(_)) => return Err(Reason::InvalidUserinfoResponse),
            Err(_) => return Err(Reason::UserinfoRequestTimeout),
        };
        if !status.is_success() {
            return Err(Reason::UserinfoRequestFailed);
        }
        if body.len() + access_token.len() > USER_BYTES_MAX {
            return Err(Reason::UserinfoTooLarge);
        }
        serde_json::from_slice(&body).map_err(|_| Reason::InvalidUserinfoResponse)
    }

    pub(super) fn session(
        &self,
        tokens: Tokens,
        claims: Map<String, Value>,
        logged_in_s: u64,
        now_s: u64,
    ) -> Result<Session, Reason> {
        let session = Session {
            guard: self.tag.clone(),
            logged_in_s,
            access_expires_s: tokens.expires_in_s.map(|seconds| now_s.saturating_add(seconds)),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            claims,
        };
        // What no header can carry is found out now, not at each request.
        self.headers(&session, now_s).map(|_| session).ok_or(Reason::InvalidUserinfoResponse)
    }

    /// What a target is told of a user.
    pub(super) fn headers(&self, session: &Session, now_s: u64) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let settings = &self.settings;
        let keys = &self.secrets.as_ref()?.keys;
        let expires = now_s + CLAIMS_SECONDS;
        let header = json!({
            "typ": "JWT",
            "kid": keys.key_id(),
            "alg": "ES256",
            "iss": settings.issuer,
            "client": settings.client_id,
            "signer": self.balancer,
            "exp": expires,
        });
        let mut payload = session.claims.clone();
        payload.insert("exp".into(), expires.into());
        payload.insert("iss".into(), settings.issuer.as_str().into());
        let value = |text: &[u8]| {
            // A target reads a header without the space around it, and ` root` is not `root`.
            let is_whole = !text.is_empty() && text.trim_ascii() == text;
            let mut value = HeaderValue::from_bytes(text).ok().filter(|_| is_whole)?;
            value.set_sensitive(true);
            Some(value)
        };
        Some(vec![
            (ACCESS_TOKEN, value(session.access_token.as_bytes())?),
            (IDENTITY, value(session.subject().as_bytes())?),
            (DATA, value(keys.sign(&header, &Value::Object(payload)).as_bytes())?),
        ])
    }
}

fn callback_url(host: &str) -> String {
    format!("https://{host}{CALLBACK}")
}

pub(super) fn read_tokens(answer: &Map<String, Value>) -> Option<Tokens> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let is_bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    Some(Tokens {
        access_token: text("access_token").filter(|_| is_bearer)?,
        id_token: text("id_token"),
        refresh_token: text("refresh_token"),
        expires_in_s: answer.get("expires_in").and_then(seconds),
    })
}

/// A number of seconds. Some providers write it as text, some with a fraction.
pub(super) fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;
    use crate::auth::keys::test_keys;

    async fn oidc() -> Oidc {
        let settings = AuthenticateOidc {
            issuer: "https://idp.example".into(),
            authorization_endpoint: "https://idp.example/login?tenant=1".into(),
            token_endpoint: "https://idp.example/token".into(),
            user_info_endpoint: "https://idp.example/me".into(),
            client_id: "the client".into(),
            client_secret_file: "/nonexistent".into(),
            session_cookie_name: "s".into(),
            scope: "openid email".into(),
            session_timeout_seconds: 60,
            extra_params: vec![("prompt".into(), "login".into())],
            on_unauthenticated: OnUnauthenticated::Authenticate,
        };
        let idp = Arc::new(Idp::new(None));
        let keys = Some(Arc::new(test_keys()));
        Oidc::new(&settings, "arn:lb", keys, Some("se:cret".into()), idp, Arc::default()).unwrap()
    }

    fn id_token(claims: Value) -> String {
        format!("e30.{}.AAAA", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[tokio::test]
    async fn the_log_in_page_is_asked_for_everything() {
        assert_eq!(
            oidc().await.authorization_url("www.example:8443", "st"),
            "https://idp.example/login?tenant=1&client_id=the%20client\
             &redirect_uri=https%3A%2F%2Fwww.example%3A8443%2Foauth2%2Fidpresponse\
             &response_type=code&scope=openid%20email&state=st&prompt=login"
        );
        let oidc = oidc().await;
        assert_eq!(oidc.secrets().unwrap().authorization.0, "Basic dGhlJTIwY2xpZW50OnNlJTNBY3JldA==");
        assert!(!format!("{oidc:?}").contains("dGhl"));
    }

    #[tokio::test]
    async fn id_tokens_are_for_us_of_the_issuer_and_of_now() {
        let oidc = oidc().await;
        let good = json!({ "iss": "https://idp.example", "aud": "the client", "exp": 2000, "iat": 1000, "sub": "u" });
        let check = |change: Value| {
            let mut claims = good.as_object().unwrap().clone();
            for (name, value) in change.as_object().unwrap() {
                claims.insert(name.clone(), value.clone());
            }
            oidc.check_id_token(&id_token(Value::Object(claims)), 1500)
        };
        for good in [json!({}), json!({ "aud": ["x", "the client"] }), json!({ "exp": 1441 }), json!({ "nbf": 1560 })] {
            assert_eq!(check(good.clone()).as_deref(), Some("u"), "{good}");
        }
        for bad in [
            json!({ "iss": "https://evil.example" }),
            json!({ "aud": "x" }),
            json!({ "aud": ["x"] }),
            json!({ "aud": null }),
            json!({ "exp": 1440 }),
            json!({ "exp": "soon" }),
            json!({ "iat": 1561 }),
            json!({ "nbf": 1561 }),
            json!({ "sub": 7 }),
        ] {
            assert_eq!(check(bad.clone()), None, "{bad}");
        }
        for bad in ["", "a.b", "a.%%.c", "e30.e30.a.b"] {
            assert_eq!(oidc.check_id_token(bad, 0), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn targets_are_told_who_it_is_in_a_signed_token() {
        let oidc = oidc().await;
        let claims = json!({ "sub": "u", "email": "a@example.com" });
        let session = Session {
            guard: oidc.tag.clone(),
            logged_in_s: 0,
            access_expires_s: None,
            access_token: "at".into(),
            refresh_token: None,
            claims: claims.as_object().unwrap().clone(),
        };
        let headers = oidc.headers(&session, 1000).unwrap();
        assert_eq!((headers[0].1.as_bytes(), headers[1].1.as_bytes()), (&b"at"[..], &b"u"[..]));
        let parts: Vec<&str> = headers[2].1.to_str().unwrap().split('.').collect();
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE.decode(part).unwrap()).unwrap();
        let expected = json!({
            "typ": "JWT", "alg": "ES256", "kid": oidc.secrets().unwrap().keys.key_id(), "signer": "arn:lb",
            "iss": "https://idp.example", "client": "the client", "exp": 1120,
        });
        assert_eq!(json(parts[0]), expected);
        let expected = json!({ "sub": "u", "email": "a@example.com", "exp": 1120, "iss": "https://idp.example" });
        assert_eq!(json(parts[1]), expected);
        for token in ["a\r\nx: y", "", " a", "a\t"] {
            let broken = Session { access_token: token.into(), ..session.clone() };
            assert_eq!(oidc.headers(&broken, 0), None, "{token:?}");
        }
        for subject in ["", " root", "root ", "a\nb"] {
            let mut broken = session.clone();
            broken.claims.insert("sub".into(), subject.into());
            assert_eq!(oidc.headers(&broken, 0), None, "{subject:?}");
        }
    }
}
