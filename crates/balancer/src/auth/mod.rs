//! Guards: actions that let requests in before another action decides what becomes of them.
//!
//! - `oidc` sends browsers to a provider's log-in page and keeps their sessions in sealed cookies (`session`,
//!   `login`); `jwt` verifies tokens that programs bring.
//! - `idp` is the way to providers, `keys` what seals and signs, `reason` why somebody was not let in.
//!
//! A listener without guards never comes here: its route says so by one flag.

#[doc(hidden)]
pub mod fuzzing;
mod idp;
mod jwt;
mod keys;
mod login;
mod oidc;
mod reason;
mod session;
mod text;

use std::path::Path;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

pub(crate) use idp::{Idp, Way};
pub use keys::{Keys, KeysError};
pub(crate) use reason::{Metric, Reason};

use crate::config::{self, OnUnauthenticated};
use crate::counters::LoadBalancerCounts;
use crate::proxy::body::Body;
use crate::proxy::respond;
use jwt::Jwt;
use login::Login;
use oidc::CALLBACK;
pub(crate) use oidc::Oidc;
use session::{Presented, Session};

/// What a request wanted has to fit into the provider's URL.
const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Nobody but the balancer says who a user is.
const OURS: &str = "x-amzn-oidc-";

/// What the access log calls a log-in.
pub(crate) const AUTHENTICATE: &str = "authenticate";

/// A compiled guard.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    Oidc(Arc<Oidc>),
    Jwt(Arc<Jwt>),
}

/// What guards of a load balancer are made with.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub idp: Arc<Idp>,
    /// `None` when they cannot be read.
    pub keys: Option<Arc<Keys>>,
}

/// What a guard says of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passed(Box<Pass>),
    /// Stopped; the reason is for the log, where it is a failure.
    Stopped(Response<Body>, Option<Reason>),
}

/// What goes with a request that was let in.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// For the target.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For the client.
    cookies: Vec<HeaderValue>,
}

impl Pass {
    pub(crate) fn tell_target(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    pub(crate) fn tell_client(self, headers: &mut HeaderMap) {
        for cookie in self.cookies {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

impl Guard {
    /// `None` for an action that is no guard, or one whose endpoints are no HTTPS URLs.
    pub(crate) fn compile(
        action: &config::Action,
        balancer: &str,
        means: &Means,
        counts: &Arc<LoadBalancerCounts>,
    ) -> Option<Guard> {
        match action {
            config::Action::AuthenticateOidc(settings) => {
                let secret = read_secret(&settings.client_secret_file);
                let (idp, counts) = (means.idp.clone(), counts.clone());
                Oidc::new(settings, balancer, means.keys.clone(), secret, idp, counts).map(Arc::new).map(Guard::Oidc)
            }
            config::Action::JwtValidation(settings) => {
                Jwt::new(settings, balancer, means.idp.clone()).map(Arc::new).map(Guard::Jwt)
            }
            _ => None,
        }
    }

    /// What the access log calls it.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Guard::Oidc(_) => AUTHENTICATE,
            Guard::Jwt(_) => "jwt-validation",
        }
    }

    /// Whether a request may pass.
    pub(crate) async fn admit<B>(&self, request: &Request<B>, counts: &LoadBalancerCounts, now_s: u64) -> Verdict {
        match self {
            Guard::Oidc(oidc) => {
                admit(oidc, request, counts, now_s).await.unwrap_or_else(|reason| refused(reason, counts))
            }
            Guard::Jwt(jwt) => match jwt.check(request.headers(), now_s).await {
                Ok(()) => {
                    counts.jwt_successes.add(1);
                    Verdict::Passed(Box::default())
                }
                Err(reason) => refused(reason, counts),
            },
        }
    }
}

fn read_secret(path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(secret) => Some(secret),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a client secret cannot be read");
            None
        }
    }
}

fn refused(reason: Reason, counts: &LoadBalancerCounts) -> Verdict {
    match reason.metric() {
        Metric::Failure => counts.auth_failures.add(1),
        Metric::Error => counts.auth_errors.add(1),
        Metric::ClaimsTooLarge => counts.auth_claims_too_large.add(1),
        Metric::Jwt => counts.jwt_failures.add(1),
    }
    Verdict::Stopped(respond::error(reason.status(), false), Some(reason))
}

/// Takes away what a client says of itself in the balancer's name. (Some applications take `_` for `-`.)
pub(crate) fn strip(headers: &mut HeaderMap) {
    let is_ours = |name: &HeaderName| {
        let name = name.as_str().as_bytes();
        name.len() >= OURS.len()
            && name.iter().zip(OURS.as_bytes()).all(|(byte, ours)| byte == ours || (*byte == b'_' && *ours == b'-'))
    };
    let named: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

/// The same of a request's trailers, which a target may take for headers. Tokens have been looked at before those came.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers);
    trailers.remove(AUTHORIZATION);
}

/// The host by which a client knows the balancer, with its port.
fn host<B>(request: &Request<B>) -> Result<&str, Reason> {
    let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str()).or_else(header);
    let is_host = |host: &&str| {
        let mut bytes = host.bytes();
        !host.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    };
    host.filter(is_host).ok_or(Reason::MissingHost)
}

async fn admit<B>(
    oidc: &Arc<Oidc>,
    request: &Request<B>,
    counts: &LoadBalancerCounts,
    now_s: u64,
) -> Result<Verdict, Reason> {
    let keys = &oidc.secrets()?.keys;
    let (headers, settings) = (request.headers(), &oidc.settings);
    let mut spoilt = false;
    match session::read(headers, &settings.session_cookie_name, keys, &oidc.session_place()) {
        // Another provider's session is none of this one's.
        Presented::Session(session) if session.guard == oidc.tag && now_s < oidc.ends_s(&session) => {
            if let Some(pass) = pass(oidc, *session, headers, now_s).await {
                return Ok(Verdict::Passed(Box::new(pass)));
            }
        }
        Presented::Broken => spoilt = true,
        _ => {}
    }
    match oidc.on_unauthenticated() {
        OnUnauthenticated::Allow => Ok(Verdict::Passed(Box::default())),
        OnUnauthenticated::Authenticate | OnUnauthenticated::Deny if spoilt => {
            let mut verdict = refused(Reason::InvalidCookie, counts);
            // Or the client would never get rid of them.
            if let Verdict::Stopped(response, _) = &mut verdict {
                for cookie in session::end(headers, &settings.session_cookie_name, 0) {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
            }
            Ok(verdict)
        }
        OnUnauthenticated::Deny => Ok(Verdict::Stopped(respond::error(StatusCode::UNAUTHORIZED, false), None)),
        OnUnauthenticated::Authenticate => {
            // `*` of OPTIONS is nowhere to come back to.
            let target = request.uri().path_and_query().map(|target| target.as_str());
            let target = target.filter(|target| target.starts_with('/')).unwrap_or("/");
            if target.len() > TARGET_BYTES_MAX {
                return Ok(Verdict::Stopped(respond::error(StatusCode::URI_TOO_LONG, false), None));
            }
            let host = host(request)?;
            let (login, cookie) = Login::begin(headers, keys, &oidc.tag, host, target, now_s);
            let url = oidc.authorization_url(host, &login.state(keys, &oidc.state_place()));
            Ok(Verdict::Stopped(redirect(&url, [cookie])?, None))
        }
    }
}

/// What goes with a request of a session. `None` when its access token has ended and the provider gives no new one.
async fn pass(oidc: &Arc<Oidc>, mut session: Session, headers: &HeaderMap, now_s: u64) -> Option<Pass> {
    let mut cookies = Vec::new();
    if session.access_expires_s.is_some_and(|expires| expires <= now_s) && session.refresh_token.is_some() {
        session = oidc.refresh(&session, now_s).await.ok()?;
        cookies = session_cookies(oidc, &session, headers)?;
    }
    Some(Pass { headers: oidc.headers(&session, now_s)?, cookies })
}

fn session_cookies(oidc: &Oidc, session: &Session, former: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let keys = &oidc.secrets.as_ref()?.keys;
    let name = &oidc.settings.session_cookie_name;
    session.write(former, name, keys, &oidc.session_place(), oidc.ends_s(session))
}

fn redirect(url: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Result<Response<Body>, Reason> {
    let location = HeaderValue::try_from(url).map_err(|_| Reason::InvalidState)?;
    let mut response = respond::error(StatusCode::FOUND, false);
    response.headers_mut().insert(LOCATION, location);
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Answers a browser that comes back from a provider of one of the listener's guards. `None`: it is no such request.
pub(crate) async fn callback<B>(
    guards: &[Arc<Oidc>],
    request: &Request<B>,
    counts: &LoadBalancerCounts,
    now_s: u64,
) -> Option<Verdict> {
    if guards.is_empty() || request.uri().path() != CALLBACK {
        return None;
    }
    Some(match come_back(guards, request, now_s).await {
        Ok(response) => {
            counts.auth_successes.add(1);
            Verdict::Stopped(response, None)
        }
        Err(reason) => refused(reason, counts),
    })
}

async fn come_back<B>(guards: &[Arc<Oidc>], request: &Request<B>, now_s: u64) -> Result<Response<Body>, Reason> {
    let (oidc, login, code) = resume(guards, request, now_s)?;
    let session = oidc.log_in(code, &login.host, now_s).await?;
    let cookies = session_cookies(oidc, &session, request.headers()).ok_or(Reason::UserinfoTooLarge)?;
    redirect(&login.page(), cookies)
}

/// The action that began a log-in, the log-in, and the code that the provider gave for it.
fn resume<'a, B>(
    guards: &'a [Arc<Oidc>],
    request: &Request<B>,
    now_s: u64,
) -> Result<(&'a Arc<Oidc>, Login, String), Reason> {
    let query = request.uri().query();
    let state = text::param(query, "state").ok_or(Reason::MissingState)?;
    // All guards of a listener have the same keys.
    let any = guards.iter().find(|oidc| oidc.secrets.is_some()).ok_or(Reason::Unready)?;
    let keys = &any.secrets()?.keys;
    let login = Login::resume(&state, request.headers(), keys, &any.state_place(), now_s)?;
    // It was sent back to the host where it began: to another one it is not sent on, and gives no cookies.
    let origin = |host: &str| host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
    if origin(host(request)?) != origin(&login.host) {
        return Err(Reason::InvalidState);
    }
    let oidc = guards.iter().find(|oidc| oidc.tag == login.guard).ok_or(Reason::InvalidState)?;
    match text::param(query, "error").as_deref() {
        None => {}
        Some("access_denied") => return Err(Reason::LoginDenied),
        Some(_) => return Err(Reason::LoginFailed),
    }
    let code = text::param(query, "code").filter(|code| !code.is_empty()).ok_or(Reason::MissingCode)?;
    Ok((oidc, login, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_do_not_say_who_they_are() {
        let mut headers = HeaderMap::new();
        for name in ["x-amzn-oidc-data", "x_amzn_oidc_identity", "x-amzn_oidc-accesstoken", "x-amzn-oidc-new"] {
            headers.insert(name, HeaderValue::from_static("forged"));
        }
        for name in ["x-amzn-oidc", "x-amzn-trace-id", "authorization"] {
            headers.insert(name, HeaderValue::from_static("kept"));
        }
        strip(&mut headers);
        assert_eq!(headers.len(), 3);
        assert!(headers.values().all(|value| value == "kept"));
        strip_trailers(&mut headers);
        assert!(!headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        let ask = |host: &str| {
            let request = Request::builder().uri("/").header(HOST, host).body(()).unwrap();
            super::host(&request).map(str::to_owned)
        };
        assert_eq!(ask("www.example:8443").as_deref(), Ok("www.example:8443"));
        assert_eq!(ask("[::1]:443").as_deref(), Ok("[::1]:443"));
        for bad in ["", "a/b", "user@host", "a b", "a?b"] {
            assert_eq!(ask(bad), Err(Reason::MissingHost), "{bad}");
        }
        assert_eq!(super::host(&Request::new(())), Err(Reason::MissingHost));
    }
}
