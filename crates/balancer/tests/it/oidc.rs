//! `authenticate-oidc`: log-ins as a browser sees them, and everything that may go wrong on the way.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use longshore_balancer::Options;
use longshore_balancer::auth::Keys;
use longshore_balancer::config::*;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{self, Backend, echo};
use crate::idp::{Browser, Provider, SUBJECT, keys_file, param, provider};
use crate::logs::{fields, lines};
use crate::rig::{Rig, group};
use crate::secure::{certificate, secure};

/// A balancer whose default action is behind a log-in.
struct Guarded {
    rig: Rig,
    provider: Provider,
    certificate: Certificate,
    folder: TempDir,
    _backend: Backend,
}

impl Guarded {
    async fn start(change: impl FnOnce(&mut AuthenticateOidc)) -> Guarded {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(folder.path()).await;
        let backend = echo("a").await;
        let mut rig = Rig::forwarding(vec![group("g", &[&backend])]).await;
        let certificate = certificate(folder.path(), "c", &["a.example"]);
        let options = Options {
            workers: 2,
            trusted_certificates: Some(provider.trusted(folder.path())),
            log_interval: Duration::from_millis(300),
            ..Options::default()
        };
        rig.restart(&options).await;
        secure(&mut rig, vec![certificate.clone()], "ELBSecurityPolicy-TLS13-1-2-2021-06").await;
        let mut guarded = Guarded { rig, provider, certificate, folder, _backend: backend };
        let mut action = guarded.provider.action(guarded.folder.path());
        change(&mut action);
        let keys = keys_file(guarded.folder.path());
        guarded
            .rig
            .change(|config| {
                config.auth_keys_file = Some(keys);
                let actions = &mut config.load_balancers[0].listeners[0].default_actions;
                actions.insert(0, Action::AuthenticateOidc(Box::new(action)));
            })
            .await;
        guarded.rig.healthy().await;
        guarded
    }

    async fn change(&mut self, change: impl FnOnce(&mut AuthenticateOidc)) {
        self.rig
            .change(|config| match &mut config.load_balancers[0].listeners[0].default_actions[0] {
                Action::AuthenticateOidc(action) => change(action),
                other => panic!("{other:?}"),
            })
            .await;
    }

    fn browser(&self) -> Browser {
        Browser::new(self.rig.address, &self.certificate)
    }

    fn keys(&self) -> Keys {
        Keys::load(self.rig.config.auth_keys_file.as_ref().unwrap()).unwrap()
    }

    fn options(&self) -> Options {
        let trusted: PathBuf = self.folder.path().join("trusted.pem");
        Options { workers: 2, trusted_certificates: Some(trusted), ..Options::default() }
    }
}

/// Takes a token apart and verifies it.
fn verified(token: &str, keys: &Keys) -> (Value, Value) {
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(keys.public_key_pem().as_bytes()).unwrap();
    let point = &spki.as_ref()[spki.as_ref().len() - 65..];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice(&URL_SAFE.decode(part).unwrap()).unwrap();
    (json(header), json(payload))
}

#[tokio::test]
async fn a_browser_logs_in_and_stays_so_when_the_balancer_is_started_again() {
    let mut guarded = Guarded::start(|action| action.extra_params = vec![("prompt".into(), "login".into())]).await;
    let mut browser = guarded.browser();
    let sent = browser.get("/shop?item=1&x=%2F").await;
    assert_eq!(sent.status(), 302);
    let location = sent.header("location").unwrap();
    assert!(location.starts_with(&format!("{}/login?client_id=web&", guarded.provider.origin)), "{location}");
    assert_eq!(param(location, "redirect_uri"), "https%3A%2F%2Fa.example%3A8443%2Foauth2%2Fidpresponse");
    assert_eq!((param(location, "response_type"), param(location, "scope")), ("code".into(), "openid".into()));
    assert_eq!(param(location, "prompt"), "login");
    let state = param(location, "state");
    // The browser is at the provider meanwhile.
    guarded.rig.restart(&guarded.options()).await;
    guarded.rig.healthy().await;
    let back = browser.get(&format!("/oauth2/idpresponse?code=good&state={state}")).await;
    assert_eq!((back.status(), back.header("location")), (302, Some("https://a.example:8443/shop?item=1&x=%2F")));
    assert!(browser.cookies.contains_key("AWSELBAuthSessionCookie-0"));
    for _ in 0..2 {
        let page = browser.get("/shop?item=1").await;
        assert_eq!((page.status(), page.name()), (200, "a".to_owned()));
        assert_eq!(page.received("x-amzn-oidc-identity").as_deref(), Some(SUBJECT));
        assert_eq!(page.received("x-amzn-oidc-accesstoken").as_deref(), Some("access-1"));
        let (header, payload) = verified(&page.received("x-amzn-oidc-data").unwrap(), &guarded.keys());
        assert_eq!((&header["signer"], &header["client"]), (&json!("lb"), &json!("web")));
        assert_eq!((&header["kid"], &header["alg"]), (&json!(guarded.keys().key_id()), &json!("ES256")));
        assert_eq!((&payload["sub"], &payload["email"]), (&json!(SUBJECT), &json!("a@example.com")));
        assert_eq!(header["iss"], json!(guarded.provider.origin));
        guarded.rig.restart(&guarded.options()).await;
        guarded.rig.healthy().await;
    }
    assert_eq!(guarded.provider.answers.logins.load(Ordering::SeqCst), 1);
    // Whoever has no cookie has to log in, and another key opens nothing.
    assert_eq!(guarded.browser().get("/shop").await.status(), 302);
    let keys = keys_file(guarded.folder.path());
    guarded.rig.change(|config| config.auth_keys_file = Some(keys)).await;
    let refused = browser.get("/shop").await;
    assert_eq!(refused.status(), 401);
    assert!(!browser.cookies.contains_key("AWSELBAuthSessionCookie-0"), "a broken session is taken from the browser");
    assert_eq!(browser.log_in("/shop").await.status(), 302);
    assert_eq!(browser.get("/shop").await.status(), 200);
}

#[tokio::test]
async fn what_the_unauthenticated_get_is_a_setting_and_claims_cannot_be_forged() {
    let mut guarded = Guarded::start(|action| action.on_unauthenticated = OnUnauthenticated::Deny).await;
    let mut browser = guarded.browser();
    assert_eq!(browser.get("/").await.status(), 401);
    guarded.change(|action| action.on_unauthenticated = OnUnauthenticated::Allow).await;
    let forged = "x-amzn-oidc-identity: root\r\nx-amzn-oidc-data: a.b.c\r\nx_amzn_oidc_accesstoken: t\r\n";
    let page = browser.get_with("/", forged).await;
    assert_eq!(page.status(), 200);
    assert!(!page.text().contains("oidc"), "{}", page.text());
    guarded.change(|action| action.on_unauthenticated = OnUnauthenticated::Authenticate).await;
    browser.log_in("/").await;
    let forged = format!("{forged}Connection: x-amzn-oidc-identity, x-amzn-oidc-data\r\n");
    let page = browser.get_with("/", &forged).await;
    assert_eq!(page.received("x-amzn-oidc-identity").as_deref(), Some(SUBJECT));
    assert_eq!(page.text().matches("x-amzn-oidc-").count(), 3, "{}", page.text());
    verified(&page.received("x-amzn-oidc-data").unwrap(), &guarded.keys());
    // A broken session is nobody's, and nobody is let in there.
    guarded.change(|action| action.on_unauthenticated = OnUnauthenticated::Allow).await;
    browser.cookies.insert("AWSELBAuthSessionCookie-0".into(), "1.AAAA".into());
    let page = browser.get("/").await;
    assert_eq!((page.status(), page.text().contains("oidc")), (200, false));
    let long = "x".repeat(9000);
    guarded.change(|action| action.on_unauthenticated = OnUnauthenticated::Authenticate).await;
    assert_eq!(guarded.browser().get(&format!("/{long}")).await.status(), 414);
}

#[tokio::test]
async fn trailers_say_nothing_of_a_user() {
    let mut guarded = Guarded::start(|action| action.on_unauthenticated = OnUnauthenticated::Allow).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let shared = heard.clone();
    let backend = backend::raw(move |mut stream| {
        let heard = shared.clone();
        async move {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n")
                || (bytes.starts_with(b"POST") && !bytes.windows(3).any(|w| w == b"0\r\n"))
            {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            if bytes.starts_with(b"POST") {
                *heard.lock().unwrap() = bytes;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let backend = backend.await;
    guarded.rig.change(|config| config.target_groups = vec![group("g", &[&backend])]).await;
    guarded.rig.healthy().await;
    let more = "Transfer-Encoding: chunked\r\nTrailer: x-amzn-oidc-identity, x-sum, x_amzn_oidc_data\r\n";
    let body = "1\r\na\r\n0\r\nx-amzn-oidc-identity: root\r\nx-sum: 7\r\nx_amzn_oidc_data: a.b.c\r\n\r\n";
    assert_eq!(guarded.browser().send("POST / HTTP/1.1", more, body).await.status(), 200);
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert!(heard.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{heard}");
}

#[tokio::test]
async fn a_log_in_ends_where_it_began() {
    let guarded = Guarded::start(|_| {}).await;
    let mut browser = guarded.browser();
    let state = browser.begin("/a").await;
    let back = format!("/oauth2/idpresponse?code=good&state={state}");
    browser.host = "evil.example".into();
    assert_eq!(browser.get(&back).await.status(), 401);
    browser.host = "A.example:8443".into();
    assert_eq!(browser.get(&back).await.header("location"), Some("https://a.example:8443/a"));
    assert_eq!(guarded.provider.answers.logins.load(Ordering::SeqCst), 1);
    // One origin has two names.
    browser.host = "a.example:443".into();
    browser.cookies.remove("AWSELBAuthSessionCookie-0");
    let state = browser.begin("/b").await;
    browser.host = "a.example".into();
    let back = browser.get(&format!("/oauth2/idpresponse?code=good&state={state}")).await;
    assert_eq!(back.header("location"), Some("https://a.example:443/b"));
    // Nobody can be sent to `*`.
    let asked = guarded.browser().send("OPTIONS * HTTP/1.1", "", "").await;
    let state = param(asked.header("location").unwrap(), "state");
    let mut browser = guarded.browser();
    let nonce = asked.header("set-cookie").unwrap().split_once('=').unwrap().1.split(';').next().unwrap();
    browser.cookies.insert("AWSALBAuthNonce".into(), nonce.to_owned());
    let back = browser.get(&format!("/oauth2/idpresponse?code=good&state={state}")).await;
    assert_eq!(back.header("location"), Some("https://a.example:8443/"));
}

#[tokio::test]
async fn sessions_of_another_name_are_not_taken() {
    let mut guarded = Guarded::start(|_| {}).await;
    let mut browser = guarded.browser();
    browser.log_in("/").await;
    let session = browser.cookies["AWSELBAuthSessionCookie-0"].clone();
    guarded.change(|action| action.session_cookie_name = "strict".into()).await;
    assert_eq!(browser.get("/").await.status(), 302);
    browser.cookies.insert("strict-0".into(), session);
    assert_eq!(browser.get("/").await.status(), 401);
}

#[tokio::test]
async fn each_failure_has_its_status_and_its_reason_in_the_log() {
    let mut guarded = Guarded::start(|_| {}).await;
    let logs = tempfile::tempdir().unwrap();
    let to = LogDestination { directory: logs.path().to_owned(), prefix: String::new() };
    guarded.rig.change_attributes(|attributes| attributes.access_logs = Some(to)).await;
    let answers = guarded.provider.answers.clone();
    let mut expected = Vec::new();

    // What comes back from the provider's page.
    let mut browser = guarded.browser();
    let state = browser.begin("/a").await;
    for (query, status, reason) in [
        ("code=good".to_owned(), 401, "AuthMissingStateParam"),
        ("code=good&state=AAAA".to_owned(), 401, "AuthInvalidStateParam"),
        (format!("error=access_denied&state={state}"), 401, "AuthMissingCodeParam"),
        (format!("error=server_error&state={state}"), 561, "AuthMissingCodeParam"),
        (format!("state={state}"), 401, "AuthMissingCodeParam"),
    ] {
        assert_eq!(browser.get(&format!("/oauth2/idpresponse?{query}")).await.status(), status, "{query}");
        expected.push((status, reason));
    }
    let back = format!("/oauth2/idpresponse?code=good&state={state}");
    let mut stranger = guarded.browser();
    assert_eq!(stranger.get(&back).await.status(), 401);
    expected.push((401, "AuthMissingAWSALBAuthNonce"));
    stranger.begin("/a").await;
    assert_eq!(stranger.get(&back).await.status(), 401);
    expected.push((401, "AuthInvalidAWSALBAuthNonce"));

    // What the token endpoint says.
    for (answer, status, reason) in [
        ((503, "{}".to_owned()), 561, "AuthTokenEpRequestFailed"),
        ((401, json!({ "error": "invalid_client" }).to_string()), 561, "AuthTokenEpRequestFailed"),
        ((400, json!({ "error": "invalid_grant" }).to_string()), 401, "AuthInvalidGrantError"),
        ((200, "<html>".to_owned()), 401, "AuthInvalidTokenResponse"),
        ((200, json!({ "access_token": "access-1" }).to_string()), 401, "AuthInvalidTokenResponse"),
        ((200, json!({ "id_token": "a.b.c" }).to_string()), 401, "AuthInvalidTokenResponse"),
        ((200, json!({ "access_token": "access-1", "id_token": "a.b.c" }).to_string()), 401, "AuthInvalidIdToken"),
        ((200, "x".repeat(70_000)), 401, "AuthInvalidTokenResponse"),
    ] {
        *answers.token.lock().unwrap() = Some(answer);
        assert_eq!(browser.get(&back).await.status(), status, "{reason}");
        expected.push((status, reason));
    }
    *answers.token.lock().unwrap() = None;
    for (name, value) in [("aud", json!("another")), ("iss", json!("https://evil.example")), ("exp", json!(1000))] {
        answers.id_token.lock().unwrap().insert(name.into(), value);
        assert_eq!(browser.get(&back).await.status(), 401, "{name}");
        answers.id_token.lock().unwrap().clear();
        expected.push((401, "AuthInvalidIdToken"));
    }

    // What is said of the user.
    for (answer, status, reason) in [
        ((500, "{}".to_owned()), 561, "AuthUserinfoEpRequestFailed"),
        ((200, "[]".to_owned()), 401, "AuthInvalidUserinfoResponse"),
        ((200, json!({ "sub": "another" }).to_string()), 401, "AuthInvalidUserinfoResponse"),
        (
            (200, json!({ "sub": SUBJECT, "about": "x".repeat(11_300) }).to_string()),
            500,
            "AuthUserinfoResponseSizeExceeded",
        ),
    ] {
        *answers.user.lock().unwrap() = Some(answer);
        assert_eq!(browser.get(&back).await.status(), status, "{reason}");
        expected.push((status, reason));
    }
    *answers.user.lock().unwrap() = None;

    // Nobody is there, or somebody who cannot prove who he is.
    let right = guarded.rig.config.clone();
    guarded.change(|action| action.token_endpoint = "https://localhost:1/token".into()).await;
    assert_eq!(browser.get(&back).await.status(), 500);
    expected.push((500, "AuthTokenEpRequestTimeout"));
    let port = guarded.provider.origin.rsplit(':').next().unwrap().to_owned();
    guarded.change(|action| action.token_endpoint = format!("https://127.0.0.1:{port}/token")).await;
    assert_eq!(browser.get(&back).await.status(), 500);
    expected.push((500, "AuthTokenEpRequestTimeout"));
    guarded.rig.change(|config| config.load_balancers = right.load_balancers).await;
    guarded.change(|action| action.client_secret_file = "/nonexistent".into()).await;
    assert_eq!(browser.get("/a").await.status(), 500);
    expected.push((500, "AuthUnhandledException"));
    let secret = guarded.folder.path().join("client.secret");
    guarded.change(|action| action.client_secret_file = secret).await;

    // After all this the same state is as good as it was.
    assert_eq!(browser.get(&back).await.header("location"), Some("https://a.example:8443/a"));
    assert_eq!(browser.get("/a").await.status(), 200);
    browser.cookies.insert("AWSELBAuthSessionCookie-0".into(), "broken".into());
    assert_eq!(browser.get("/a").await.status(), 401);
    expected.push((401, "AuthInvalidCookie"));

    let lines = lines(logs.path(), "", expected.len() + 4).await;
    let mut fields: Vec<Vec<String>> = lines.iter().map(|line| fields(line)).collect();
    // By when they came: lines are written by two workers.
    fields.sort_by(|a, b| a[21].cmp(&b[21]));
    let failed = fields.iter().filter(|line| line[24] != "-");
    let seen: Vec<(u16, &str)> = failed.map(|line| (line[8].parse().unwrap(), line[24].as_str())).collect();
    assert_eq!(seen, expected);
    let actions = |target: &str, status: &str| {
        let line = fields.iter().find(|line| line[12].contains(target) && line[8] == status && line[24] == "-");
        let line = line.unwrap_or_else(|| panic!("{target} {status}: {fields:#?}"));
        (line[22].clone(), line[20].clone())
    };
    assert_eq!(actions("/a ", "302"), ("authenticate".into(), "0".into()));
    assert_eq!(actions("/oauth2/idpresponse", "302"), ("authenticate".into(), "-1".into()));
    assert_eq!(actions("/a ", "200"), ("authenticate,forward".into(), "0".into()));
    guarded.rig.change(|_| {}).await;
    let report = guarded.rig.wait(|report| report.load_balancers[0].auth_successes == 1).await;
    let counters = &report.load_balancers[0];
    let sum = counters.auth_failures + counters.auth_errors + counters.auth_claims_too_large;
    assert_eq!(sum as usize, expected.len(), "{counters:?}");
    assert_eq!((counters.auth_claims_too_large, counters.auth_errors), (1, 6));
}

#[tokio::test]
async fn an_ended_access_token_is_renewed_once_for_all_who_come() {
    let mut guarded = Guarded::start(|_| {}).await;
    let answers = guarded.provider.answers.clone();
    *answers.expires_in.lock().unwrap() = Some(0);
    // Without a refresh token the session goes on to its end.
    let mut browser = guarded.browser();
    browser.log_in("/").await;
    assert_eq!(browser.get("/").await.status(), 200);
    *answers.refresh_token.lock().unwrap() = Some("first".into());
    browser.cookies.remove("AWSELBAuthSessionCookie-0");
    browser.log_in("/").await;
    *answers.user.lock().unwrap() = Some((200, json!({ "sub": SUBJECT, "email": "new@example.com" }).to_string()));
    let former = browser.cookies.clone();
    let pages = futures_util::future::join_all((0..8).map(|_| browser.ask("/", ""))).await;
    for page in &pages {
        assert_eq!(page.status(), 200, "{page:?}");
        let (_, claims) = verified(&page.received("x-amzn-oidc-data").unwrap(), &guarded.keys());
        assert_eq!(claims["email"], "new@example.com");
        assert!(page.header("set-cookie").unwrap().starts_with("AWSELBAuthSessionCookie-0="));
    }
    assert_eq!(answers.refreshes.load(Ordering::SeqCst), 1);
    assert_eq!(browser.get("/").await.status(), 200);
    assert_ne!(browser.cookies, former);
    assert_eq!(browser.get("/").await.status(), 200);
    assert_eq!(answers.refreshes.load(Ordering::SeqCst), 2);
    // The user has logged out at the provider.
    *answers.refresh_token.lock().unwrap() = None;
    assert_eq!(browser.get("/").await.status(), 302);
    guarded.rig.change(|_| {}).await;
    let report = guarded.rig.wait(|report| report.load_balancers[0].auth_refresh_successes == 2).await;
    assert!(report.load_balancers[0].auth_successes >= 2);
}

#[tokio::test]
async fn a_session_ends_by_its_timeout_and_big_claims_take_several_cookies() {
    let mut guarded = Guarded::start(|_| {}).await;
    let big = json!({ "sub": SUBJECT, "about": "x".repeat(10_000) }).to_string();
    *guarded.provider.answers.user.lock().unwrap() = Some((200, big));
    let mut browser = guarded.browser();
    browser.log_in("/").await;
    assert_eq!(browser.cookies.keys().filter(|name| name.starts_with("AWSELBAuthSessionCookie-")).count(), 4);
    let page = browser.get("/").await;
    assert_eq!(page.received("x-amzn-oidc-identity").as_deref(), Some(SUBJECT));
    guarded.change(|action| action.session_timeout_seconds = 1).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while browser.get("/").await.status() != 302 {
        assert!(std::time::Instant::now() < deadline, "the session does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Another application at the same provider has sessions of its own.
    guarded.change(|action| (action.session_timeout_seconds, action.client_id) = (3600, "other".into())).await;
    assert_eq!(browser.get("/").await.status(), 302);
    guarded.change(|action| action.client_id = "web".into()).await;
    assert_eq!(browser.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_provider_inside_the_vpc_is_reached_from_the_load_balancers_addresses() {
    let mut guarded = Guarded::start(|_| {}).await;
    let peers = guarded.provider.answers.clone();
    let own = std::net::Ipv4Addr::new(127, 9, 9, 9);
    for (blocks, expected) in [(vec![], std::net::Ipv4Addr::LOCALHOST), (vec!["127.0.0.0/16".to_owned()], own)] {
        guarded
            .rig
            .change(|config| {
                config.load_balancers[0].source_addresses = vec![own];
                config.load_balancers[0].vpc_blocks = blocks;
            })
            .await;
        guarded.rig.healthy().await;
        let mut browser = guarded.browser();
        browser.log_in("/").await;
        assert_eq!(browser.get("/").await.status(), 200);
        assert_eq!(std::mem::take(&mut *peers.peers.lock().unwrap()), [expected; 2]);
    }
}

#[tokio::test]
async fn guards_need_tls_and_an_action_behind_them() {
    let guarded = Guarded::start(|_| {}).await;
    let refused = async |change: &dyn Fn(&mut Listener)| {
        let mut config = guarded.rig.config.clone();
        config.generation += 1;
        change(&mut config.load_balancers[0].listeners[0]);
        guarded.rig.balancer.apply(config).await.unwrap_err().to_string()
    };
    let plain = refused(&|listener| listener.protocol = Protocol::Http).await;
    assert!(plain.contains("without TLS"), "{plain}");
    let alone = refused(&|listener| listener.default_actions.truncate(1)).await;
    assert!(alone.contains("cannot be used there"), "{alone}");
    let twice = refused(&|listener| listener.default_actions.insert(0, listener.default_actions[0].clone())).await;
    assert!(twice.contains("cannot be used there"), "{twice}");
    let http = refused(&|listener| match &mut listener.default_actions[0] {
        Action::AuthenticateOidc(action) => action.token_endpoint = "http://idp.example/".into(),
        other => panic!("{other:?}"),
    });
    assert!(http.await.contains("cannot be used there"));
    // A balancer without its keys lets nobody in until they are there.
    let keys = guarded.rig.config.auth_keys_file.clone().unwrap();
    let hidden = keys.with_extension("hidden");
    std::fs::rename(&keys, &hidden).unwrap();
    let Guarded { mut rig, certificate, folder, .. } = guarded;
    let options = Options { trusted_certificates: Some(folder.path().join("trusted.pem")), ..Options::default() };
    rig.restart(&options).await;
    let mut browser = Browser::new(rig.address, &certificate);
    assert_eq!(browser.get("/").await.status(), 500);
    std::fs::rename(&hidden, &keys).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while browser.get("/").await.status() != 302 {
        assert!(std::time::Instant::now() < deadline, "the keys are not found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
