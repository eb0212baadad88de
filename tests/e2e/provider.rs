//! An OpenID Connect provider in the test's process: pages, tokens and keys over HTTPS.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const CLIENT: &str = "web";
pub const SECRET: &str = "se/cret";
pub const SUBJECT: &str = "user-1";
const KEY_ID: &str = "key-1";

/// A certificate for a name, signed by itself, and its key: both in PEM.
pub fn certificate(name: &str) -> anyhow::Result<(String, String)> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// What the test changes about the provider, and what the provider remembers.
#[derive(Default)]
pub struct Script {
    /// Laid over the claims of ID tokens.
    pub id_token: Value,
    /// The status of the token endpoint, when it does not do its work.
    pub token_status: Option<u16>,
    /// The code for which the token endpoint leaves callers without an answer.
    pub silent_code: Option<String>,
    /// How long access tokens are good.
    pub expires_in: u64,
    pub logins: u32,
    pub refreshes: u32,
    issued: u32,
    codes: HashSet<String>,
    refresh_tokens: HashSet<String>,
}

impl Script {
    /// Something new.
    fn issue(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{}", self.issued)
    }
}

pub struct Provider {
    pub issuer: String,
    pub address: SocketAddr,
    pub certificate: String,
    key: RsaKeyPair,
    script: Mutex<Script>,
}

impl Provider {
    /// Serves from a port of its own until the process ends.
    pub fn start() -> anyhow::Result<Arc<Self>> {
        let (certificate, key) = certificate("localhost")?;
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
                PrivateKeyDer::from_pem_slice(key.as_bytes())?,
            )?;
        let tls = Arc::new(tls);
        // Made for tests alone. RSA keys cannot be generated here.
        let key = PrivatePkcs8KeyDer::from_pem_slice(include_bytes!("../../crates/balancer/tests/it/rsa.pem"))?;
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok().context("a key")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let issuer = format!("https://localhost:{}", address.port());
        let script = Mutex::new(Script { expires_in: 3600, ..Script::default() });
        let provider = Arc::new(Self { issuer, address, certificate, key, script });
        let shared = Arc::clone(&provider);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (provider, tls) = (Arc::clone(&shared), Arc::clone(&tls));
                std::thread::spawn(move || provider.serve(stream, tls));
            }
        });
        Ok(provider)
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream, tls: Arc<ServerConfig>) -> Option<()> {
        let mut stream = StreamOwned::new(ServerConnection::new(tls).ok()?, stream);
        let (head, body) = read_request(&mut stream)?;
        let path = head.split(' ').nth(1)?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if path == "/token" && param(&body, "code").is_some_and(|code| self.script().silent_code == Some(code)) {
            // Until the caller has had enough.
            let _ = stream.read(&mut [0]);
            return None;
        }
        let (status, location, answer) = match path {
            "/authorize" => (302, self.authorize(query)?, Value::Null),
            "/token" => {
                let (status, answer) = self.token(&head, &body)?;
                (status, String::new(), answer)
            }
            "/me" => (200, String::new(), json!({"sub": SUBJECT, "email": "a@example.com"})),
            "/keys" => (200, String::new(), self.keys()),
            _ => (404, String::new(), Value::Null),
        };
        let answer = answer.to_string();
        let fields = format!("Location: {location}\r\nContent-Length: {}\r\nConnection: close", answer.len());
        stream.write_all(format!("HTTP/1.1 {status} X\r\n{fields}\r\n\r\n{answer}").as_bytes()).ok()?;
        stream.conn.send_close_notify();
        stream.flush().ok()
    }

    /// The user types the password, and the browser is sent back.
    fn authorize(&self, query: &str) -> Option<String> {
        let back = unescaped(&param(query, "redirect_uri")?);
        if param(query, "client_id")? != CLIENT || param(query, "response_type")? != "code" {
            return None;
        }
        let mut script = self.script();
        let code = script.issue("code");
        script.codes.insert(code.clone());
        Some(format!("{back}?code={code}&state={}", param(query, "state")?))
    }

    fn token(&self, head: &str, form: &str) -> Option<(u16, Value)> {
        let mut script = self.script();
        if let Some(status) = script.token_status {
            return Some((status, json!({})));
        }
        // base64 of `web:se%2Fcret`
        if !head.contains("Basic d2ViOnNlJTJGY3JldA==") {
            return Some((401, json!({"error": "invalid_client"})));
        }
        let is_good = match param(form, "grant_type")?.as_str() {
            "refresh_token" => {
                script.refreshes += 1;
                script.refresh_tokens.remove(&param(form, "refresh_token")?)
            }
            _ => {
                script.logins += 1;
                script.codes.remove(&param(form, "code")?)
            }
        };
        if !is_good {
            return Some((400, json!({"error": "invalid_grant"})));
        }
        let now = now_s();
        let mut claims = json!({"iss": self.issuer, "aud": CLIENT, "sub": SUBJECT, "iat": now, "exp": now + 300});
        for (name, value) in script.id_token.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let (access, refresh) = (script.issue("access"), script.issue("refresh"));
        script.refresh_tokens.insert(refresh.clone());
        let id_token = self.sign(&claims);
        Some((
            200,
            json!({
                "access_token": access, "token_type": "Bearer", "expires_in": script.expires_in, "refresh_token": refresh,
                "id_token": id_token,
            }),
        ))
    }

    fn keys(&self) -> Value {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.key.public_key());
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e}]})
    }

    /// A token of this provider.
    pub fn sign(&self, claims: &Value) -> String {
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
            .expect("the kernel has randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Seconds since the Unix epoch.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn read_request(stream: &mut impl Read) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
}

/// A parameter of a query or form, as it stands there.
pub fn param(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

fn unescaped(text: &str) -> String {
    text.replace("%3A", ":").replace("%2F", "/")
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// GET over a TLS connection of its own; `headers` are lines, each with its end.
pub fn get(address: SocketAddr, trusted: &str, host: &str, target: &str, headers: &str) -> anyhow::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.split(':').next().unwrap_or_default().to_owned();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(name)?)?;
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = StreamOwned::new(connection, stream);
    // HTTP/1.0, so that a body ends where the connection does.
    stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {ended:?}"))?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("a status")?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Ok(Answer { status, headers: headers.collect(), body: body.to_owned() })
}
