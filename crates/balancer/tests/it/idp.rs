//! An OpenID Connect provider in the test's process, and a browser that logs in at it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_balancer::auth::Keys;
use longshore_balancer::config::*;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::backend::{self, Backend};
use crate::client::{Connection, Message, read_message};
use crate::secure::{self, BOTH, Dial, acceptor, dial};

pub const CLIENT: &str = "web";
pub const SECRET: &str = "se/cret";
pub const SUBJECT: &str = "user-1";

/// A provider; what it answers can be changed while it runs.
pub struct Provider {
    pub certificate: Certificate,
    pub origin: String,
    pub answers: Arc<Answers>,
    _backend: Backend,
}

#[derive(Default)]
pub struct Answers {
    /// Instead of the right answer of the token endpoint, and of the one that tells who the user is.
    pub token: Mutex<Option<(u16, String)>>,
    pub user: Mutex<Option<(u16, String)>>,
    /// What is changed about an ID token's claims.
    pub id_token: Mutex<BTreeMap<String, Value>>,
    pub expires_in: Mutex<Option<u64>>,
    /// The one refresh token that is good now; each is good once.
    pub refresh_token: Mutex<Option<String>>,
    pub key_set: Mutex<String>,
    pub logins: AtomicUsize,
    pub refreshes: AtomicUsize,
    pub key_fetches: AtomicUsize,
    /// Where calls came from.
    pub peers: Mutex<Vec<IpAddr>>,
}

pub async fn provider(folder: &Path) -> Provider {
    let certificate = secure::certificate(folder, "provider", &["localhost"]);
    let acceptor = acceptor(&certificate, "http/1.1");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let answers = Arc::new(Answers::default());
    let (shared, issuer) = (answers.clone(), origin.clone());
    let backend = backend::custom(listener, Arc::default(), move |stream, _| {
        let (acceptor, answers, issuer) = (acceptor.clone(), shared.clone(), issuer.clone());
        async move {
            answers.peers.lock().unwrap().push(stream.peer_addr().unwrap().ip());
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut buffer = Vec::new();
            while let Some(request) = read_message(&mut stream, &mut buffer, false).await {
                let (status, body) = answers.answer(&issuer, &request);
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
                let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
                let _ = stream.flush().await;
            }
        }
    });
    Provider { certificate, origin, answers, _backend: backend }
}

impl Answers {
    fn answer(&self, issuer: &str, request: &Message) -> (u16, String) {
        let path = request.start.split(' ').nth(1).unwrap();
        match path {
            "/token" => self.token.lock().unwrap().clone().unwrap_or_else(|| self.tokens(issuer, request)),
            "/me" => self.user.lock().unwrap().clone().unwrap_or_else(|| {
                assert_eq!(request.header("authorization"), Some("Bearer access-1"));
                (200, json!({ "sub": SUBJECT, "email": "a@example.com" }).to_string())
            }),
            "/keys" => {
                self.key_fetches.fetch_add(1, Ordering::SeqCst);
                (200, self.key_set.lock().unwrap().clone())
            }
            other => panic!("nobody asks for {other}"),
        }
    }

    fn tokens(&self, issuer: &str, request: &Message) -> (u16, String) {
        // base64 of `web:se%2Fcret`
        assert_eq!(request.header("authorization"), Some("Basic d2ViOnNlJTJGY3JldA=="));
        let form = request.text();
        let mut refresh_token = self.refresh_token.lock().unwrap();
        if form.starts_with("grant_type=refresh_token") {
            let given = form.split_once("&refresh_token=").unwrap().1;
            if refresh_token.as_deref() != Some(given) {
                return (400, json!({ "error": "invalid_grant" }).to_string());
            }
            let count = self.refreshes.fetch_add(1, Ordering::SeqCst);
            *refresh_token = Some(format!("refresh-{count}"));
        } else {
            self.logins.fetch_add(1, Ordering::SeqCst);
            assert!(form.starts_with("grant_type=authorization_code&code=good&redirect_uri=https%3A%2F%2F"), "{form}");
        }
        let mut claims = json!({ "iss": issuer, "aud": CLIENT, "sub": SUBJECT, "iat": 1, "exp": 9_999_999_999_u64 });
        for (name, value) in &*self.id_token.lock().unwrap() {
            claims[name] = value.clone();
        }
        let id_token = format!("e30.{}.AAAA", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut tokens = json!({ "access_token": "access-1", "token_type": "Bearer", "id_token": id_token });
        if let Some(seconds) = *self.expires_in.lock().unwrap() {
            tokens["expires_in"] = seconds.into();
        }
        if let Some(token) = &*refresh_token {
            tokens["refresh_token"] = token.clone().into();
        }
        (200, tokens.to_string())
    }
}

impl Provider {
    /// An action that has users log in here.
    pub fn action(&self, folder: &Path) -> AuthenticateOidc {
        let client_secret_file = folder.join("client.secret");
        std::fs::write(&client_secret_file, SECRET).unwrap();
        AuthenticateOidc {
            issuer: self.origin.clone(),
            authorization_endpoint: format!("{}/login", self.origin),
            token_endpoint: format!("{}/token", self.origin),
            user_info_endpoint: format!("{}/me", self.origin),
            client_id: CLIENT.into(),
            client_secret_file,
            session_cookie_name: "AWSELBAuthSessionCookie".into(),
            scope: "openid".into(),
            session_timeout_seconds: 3600,
            extra_params: Vec::new(),
            on_unauthenticated: OnUnauthenticated::Authenticate,
        }
    }

    /// The certificates that a balancer has to trust, as a file.
    pub fn trusted(&self, folder: &Path) -> PathBuf {
        let path = folder.join("trusted.pem");
        std::fs::write(&path, &self.certificate.chain_pem).unwrap();
        path
    }
}

/// The balancer's keys, as a file.
pub fn keys_file(folder: &Path) -> PathBuf {
    let path = folder.join("auth.keys");
    std::fs::write(&path, Keys::generate()).unwrap();
    path
}

/// Keeps cookies and follows nothing by itself.
pub struct Browser {
    address: SocketAddr,
    trusted: Certificate,
    /// By which it knows the balancer.
    pub host: String,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(address: SocketAddr, trusted: &Certificate) -> Browser {
        Browser { address, trusted: trusted.clone(), host: "a.example:8443".into(), cookies: BTreeMap::new() }
    }

    pub async fn get(&mut self, target: &str) -> Message {
        self.get_with(target, "").await
    }

    /// `more` are header lines, each with its line end.
    pub async fn get_with(&mut self, target: &str, more: &str) -> Message {
        let answer = self.ask(target, more).await;
        for (_, line) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            match rest.contains("Expires=Thu, 01 Jan 1970") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }

    /// Without keeping what comes back.
    pub async fn ask(&self, target: &str, more: &str) -> Message {
        self.send(&format!("GET {target} HTTP/1.1"), more, "").await
    }

    /// A request line, header lines, and what follows them.
    pub async fn send(&self, start: &str, more: &str, body: &str) -> Message {
        let dialled = Dial { trusted: &self.trusted, name: "a.example", protocols: &["http/1.1"], versions: BOTH };
        let mut connection = Connection::over(dial(self.address, dialled).await.unwrap());
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let request = format!("{start}\r\nHost: {}\r\n{cookies}{more}\r\n{body}", self.host);
        connection.send(request).await;
        connection.read().await.expect("a response")
    }

    /// Asks for a page that needs a log-in; the state with which the provider would send the browser back.
    pub async fn begin(&mut self, target: &str) -> String {
        let answer = self.get(target).await;
        assert_eq!(answer.status(), 302, "{answer:?}");
        param(answer.header("location").unwrap(), "state")
    }

    /// Logs in; the answer of the balancer to the browser that comes back.
    pub async fn log_in(&mut self, target: &str) -> Message {
        let state = self.begin(target).await;
        self.get(&format!("/oauth2/idpresponse?code=good&state={state}")).await
    }
}

/// A parameter of a URL, as it stands there.
pub fn param(url: &str, name: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap();
    pair.to_owned()
}
