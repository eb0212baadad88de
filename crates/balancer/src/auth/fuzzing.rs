//! What the fuzz targets reach of authentication: guards of one load balancer, with keys of their own.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::runtime::Runtime;

use super::jwt::{Jwt, read_keys};
use super::keys::Keys;
use super::oidc::{Oidc, read_tokens};
use super::reason::Reason;
use super::session::{Presented, Session};
use super::{Idp, Verdict, admit, login, session, session_cookies, text};
use crate::config::{AuthenticateOidc, JwtValidation, OnUnauthenticated};
use crate::proxy::body::Body;

/// What both guards take for the provider.
pub const ISSUER: &str = "https://idp.example";
/// The client that ID tokens have to be for.
pub const CLIENT: &str = "web";
/// What session cookies are called, before `-` and a number.
pub const COOKIE: &str = "s";

/// See the module.
#[derive(Debug)]
pub struct Gate {
    runtime: Runtime,
    oidc: Arc<Oidc>,
    jwt: Arc<Jwt>,
    keys: Arc<Keys>,
}

/// Of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Known(Session);

impl Default for Gate {
    fn default() -> Gate {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _entered = runtime.enter();
        let idp = Arc::new(Idp::new(None));
        let keys = Arc::new(Keys::parse(&Keys::generate()).expect("just made"));
        let login = AuthenticateOidc {
            issuer: ISSUER.into(),
            authorization_endpoint: format!("{ISSUER}/login"),
            token_endpoint: format!("{ISSUER}/token"),
            user_info_endpoint: format!("{ISSUER}/me"),
            client_id: CLIENT.into(),
            client_secret_file: "/nonexistent".into(),
            session_cookie_name: COOKIE.into(),
            scope: "openid".into(),
            session_timeout_seconds: 60,
            extra_params: Vec::new(),
            on_unauthenticated: OnUnauthenticated::Authenticate,
        };
        let secret = Some("secret".to_owned());
        let oidc = Oidc::new(&login, "lb", Some(keys.clone()), secret, idp.clone(), Arc::default());
        let jwks_endpoint = format!("{ISSUER}/keys");
        let validation = JwtValidation { jwks_endpoint, issuer: ISSUER.into(), claims: Vec::new() };
        let jwt = Jwt::new(&validation, "lb", idp).map(Arc::new).expect("an HTTPS URL");
        drop(_entered);
        Gate { oidc: oidc.map(Arc::new).expect("HTTPS URLs"), jwt, keys, runtime }
    }
}

impl Gate {
    /// What the token endpoint and the one for user information answered makes a session, or none.
    pub fn session(&self, tokens: &[u8], user: &[u8], now_s: u64) -> Option<Known> {
        let tokens = read_tokens(&serde_json::from_slice(tokens).ok()?)?;
        let claims = serde_json::from_slice(user).ok()?;
        self.oidc.session(tokens, claims, now_s, now_s).ok().map(Known)
    }

    /// The subject of an ID token that is good.
    pub fn id_token(&self, token: &str, now_s: u64) -> Option<String> {
        self.oidc.check_id_token(token, now_s)
    }

    /// What a browser that sent `former` is told to keep.
    pub fn cookies(&self, session: &Known, former: &HeaderMap) -> Option<Vec<HeaderValue>> {
        session_cookies(&self.oidc, &session.0, former)
    }

    /// The session that a request brings.
    pub fn presented(&self, headers: &HeaderMap) -> Option<Known> {
        match session::read(headers, COOKIE, &self.keys, &self.oidc.session_place()) {
            Presented::Session(session) => Some(Known(*session)),
            Presented::Nothing | Presented::Broken => None,
        }
    }

    /// What a target is told of a user.
    pub fn headers(&self, session: &Known, now_s: u64) -> Option<Vec<(HeaderName, HeaderValue)>> {
        self.oidc.headers(&session.0, now_s)
    }

    /// The key that verifies it, in PEM.
    pub fn public_key(&self) -> String {
        self.keys.public_key_pem()
    }

    /// The answer to a request without a session; `None` when it is let in.
    pub fn turn_away(&self, request: &Request<()>, now_s: u64) -> Option<Response<()>> {
        let counts = Arc::default();
        let verdict = self.runtime.block_on(admit(&self.oidc, request, &counts, now_s));
        let refused = |reason: Reason| super::refused(reason, &counts);
        match verdict.unwrap_or_else(refused) {
            Verdict::Passed(_) => None,
            Verdict::Stopped(response, _) => Some(response.map(|_: Body| ())),
        }
    }

    /// Where a browser that comes back from the provider with its answer goes on, if a log-in was its own.
    pub fn come_back(&self, request: &Request<()>, now_s: u64) -> Option<String> {
        let guards = [self.oidc.clone()];
        let (_, login, code) = super::resume(&guards, request, now_s).ok()?;
        assert!(!code.is_empty());
        Some(login.page())
    }

    /// Whether a request passes `jwt-validation`, when the provider's keys are these.
    pub fn is_let_in(&self, keys: &[u8], headers: &HeaderMap, now_s: u64) -> bool {
        // Forgets those before: they are too old.
        self.jwt.keys.learn(0, Ok(Vec::new()));
        self.jwt.keys.learn(now_s, read_keys(keys).ok_or(Reason::JwksInvalid));
        self.runtime.block_on(self.jwt.check(headers, now_s)).is_ok()
    }
}

/// How long a log-in may take.
pub const LOGIN_SECONDS: u64 = login::LOGIN_SECONDS;

/// See `text::param`.
pub fn param(query: &str, name: &str) -> Option<String> {
    text::param(Some(query), name)
}

/// See `text::push_param`.
pub fn push_param(url: &mut String, name: &str, value: &str) {
    text::push_param(url, name, value);
}

/// Host, port, authority and target of a URL that the balancer would call.
pub fn endpoint(url: &str) -> Option<(String, u16, String, String)> {
    text::Endpoint::parse(url).map(|endpoint| (endpoint.host, endpoint.port, endpoint.authority, endpoint.target))
}

/// What is left of a client's headers.
pub fn strip(headers: &mut HeaderMap) {
    super::strip(headers);
}
