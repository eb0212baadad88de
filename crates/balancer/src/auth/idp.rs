//! The way to identity providers: HTTPS calls with verified certificates, on the control task's runtime, which has
//! timers. Workers wait for the outcome.
//!
//! An endpoint's name is looked up as the host does. Addresses inside the load balancer's VPC are reached through it,
//! from the load balancer's own addresses; all others from the host's network.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio_rustls::TlsConnector;

use super::jwt::KeySet;
use super::reason::Reason;
use super::session::Session;
use super::text::Endpoint;
use crate::egress::Egress;
use crate::rule::cidr::Cidr;

/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the outcome of a refresh serves requests that bring the former session.
const REFRESH_KEPT_SECONDS: u64 = 30;
/// Where distributions keep the certificates that the host trusts.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// See the module.
#[derive(Debug)]
pub(crate) struct Idp {
    runtime: Handle,
    trusted: Option<PathBuf>,
    /// Made from the file of trusted certificates as it was then.
    tls: Mutex<Option<(Option<SystemTime>, Arc<ClientConfig>)>>,
    /// By load balancer ARN.
    ways: Mutex<HashMap<String, Arc<Way>>>,
    refreshes: Mutex<Refreshes>,
    /// By load balancer, since an address may be another machine in another VPC, and URL. Few: one for each endpoint
    /// that a configuration has named.
    key_sets: Mutex<HashMap<(String, String), Arc<KeySet>>>,
}

/// The outcome of one refresh, shared by requests that need it at a time: a refresh token may be good only once.
type Refreshed = OnceCell<Result<Session, Reason>>;
/// By a digest of action and refresh token: since when, in seconds, and what came of it.
type Refreshes = HashMap<Vec<u8>, (u64, Arc<Refreshed>)>;

/// Through a VPC.
#[derive(Debug)]
pub(crate) struct Way {
    pub egress: Arc<Egress>,
    pub blocks: Vec<Cidr>,
}

/// What to ask of an endpoint.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub balancer: &'a str,
    pub endpoint: &'a Endpoint,
    pub authorization: Option<String>,
    /// Of a POST.
    pub form: Option<String>,
    pub answer_bytes_max: usize,
    /// How many may ask at a time; others wait, as a part of the time that a call has.
    pub slots: &'a Semaphore,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("cannot look up its name: {0}")]
    Name(#[source] io::Error),
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("cannot read the certificates to trust: {0}")]
    Trust(String),
    #[error("the answer broke off, or is too long: {0}")]
    Answer(Box<dyn std::error::Error + Send + Sync>),
}

impl Idp {
    /// Calls are made on the runtime at hand. `trusted` is a file of certificates in PEM; `None` is what the host
    /// trusts.
    pub(crate) fn new(trusted: Option<PathBuf>) -> Idp {
        Idp {
            runtime: Handle::current(),
            trusted,
            tls: Mutex::default(),
            ways: Mutex::default(),
            refreshes: Mutex::default(),
            key_sets: Mutex::default(),
        }
    }

    /// The ways through VPCs from now on, by load balancer.
    pub(crate) fn set_ways(&self, ways: HashMap<String, Arc<Way>>) {
        *self.ways.lock().unwrap_or_else(PoisonError::into_inner) = ways;
    }

    /// Does something on the control task's runtime, to its end, whether or not the caller still waits.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Reason>> + Send + 'static,
    ) -> Result<T, Reason> {
        // It ends early only with the process, or by a bug of ours.
        self.runtime.spawn(work).await.unwrap_or(Err(Reason::Unready))
    }

    /// The place where the outcome of refreshing a session is found by all who want it.
    pub(super) fn refreshed(&self, session: &Session, now_s: u64) -> Arc<Refreshed> {
        let name = format!("{} {}", session.guard, session.refresh_token.as_deref().unwrap_or_default());
        let key = ring::digest::digest(&ring::digest::SHA256, name.as_bytes()).as_ref().to_vec();
        let mut refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        refreshes.retain(|_, (at_s, _)| now_s.saturating_sub(*at_s) < REFRESH_KEPT_SECONDS);
        refreshes.entry(key).or_insert_with(|| (now_s, Arc::default())).1.clone()
    }

    /// The place where the keys of a provider are found by all who want them.
    pub(super) fn key_set(&self, balancer: &str, url: &str) -> Arc<KeySet> {
        let mut sets = self.key_sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.entry((balancer.to_owned(), url.to_owned())).or_default().clone()
    }

    /// Asks once; redirects are not followed. Runs on the control task's runtime.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<(StatusCode, Bytes), AskError> {
        let url = format!("https://{}{}", ask.endpoint.authority, ask.endpoint.target);
        let answer = match tokio::time::timeout(TIMEOUT, self.exchange(ask)).await {
            Ok(answer) => answer,
            Err(_) => Err(AskError::Timeout),
        };
        match &answer {
            Ok((status, _)) if status.is_success() => {}
            Ok((status, _)) => tracing::warn!(url, %status, "an identity provider refuses"),
            Err(error) => tracing::warn!(url, %error, "an identity provider cannot be asked"),
        }
        answer
    }

    async fn exchange(&self, ask: Ask<'_>) -> Result<(StatusCode, Bytes), AskError> {
        let _slot = ask.slots.acquire().await;
        let tls = self.tls()?;
        let name =
            ServerName::try_from(ask.endpoint.host.clone()).map_err(|error| AskError::Name(io::Error::other(error)))?;
        let stream = self.connect(ask.balancer, ask.endpoint).await?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(AskError::Connect)?;
        let failed = |error: hyper::Error| AskError::Answer(error.into());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let serving = tokio::spawn(connection);
        let mut request = Request::builder()
            .uri(&ask.endpoint.target)
            .header(HOST, &ask.endpoint.authority)
            .header(ACCEPT, "application/json");
        if let Some(value) = ask.authorization {
            let mut value = HeaderValue::try_from(value).map_err(|error| AskError::Answer(error.into()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if ask.form.is_some() {
            request = request.method(Method::POST).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(ask.form.unwrap_or_default()));
        let request = request.body(body).map_err(|error| AskError::Answer(error.into()))?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ask.answer_bytes_max).collect().await;
        serving.abort();
        Ok((status, body.map_err(AskError::Answer)?.to_bytes()))
    }

    async fn connect(&self, balancer: &str, endpoint: &Endpoint) -> Result<TcpStream, AskError> {
        let way = self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(balancer).cloned();
        let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(AskError::Name)?;
        let mut last = io::Error::other("its name has no IPv4 address");
        // As an Application Load Balancer has it.
        for address in found.filter(SocketAddr::is_ipv4) {
            let inside = way.as_ref().filter(|way| way.blocks.iter().any(|block| block.contains(address.ip())));
            let connected = match inside {
                Some(way) => way.egress.connect(address).await,
                None => TcpStream::connect(address).await,
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(AskError::Connect(last))
    }

    /// What to shake hands with. Made anew when the trusted certificates have changed.
    fn tls(&self) -> Result<Arc<ClientConfig>, AskError> {
        let path = match &self.trusted {
            Some(path) => path,
            None => TRUSTED.iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(TRUSTED[0])),
        };
        let changed = std::fs::metadata(path).and_then(|file| file.modified()).ok();
        let mut kept = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((as_of, config)) = &*kept
            && *as_of == changed
        {
            return Ok(config.clone());
        }
        let trust = |error: &dyn std::fmt::Display| AskError::Trust(format!("{}: {error}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| trust(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).flatten());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| trust(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config);
        *kept = Some((changed, config.clone()));
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn calls_wait_for_their_turn() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shared = (open, most.clone());
        let provider = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (open, most) = shared.clone();
                tokio::spawn(async move {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                    drop(stream);
                });
            }
        });
        let trusted = tempfile::NamedTempFile::new().unwrap();
        let idp = Idp::new(Some(trusted.path().to_owned()));
        for (permits, expected) in [(1, 1), (8, 8)] {
            let slots = Semaphore::new(permits);
            most.store(0, Ordering::SeqCst);
            let ask = || {
                let (balancer, endpoint, slots) = ("lb", &endpoint, &slots);
                idp.ask(Ask { balancer, endpoint, authorization: None, form: None, answer_bytes_max: 1, slots })
            };
            let outcomes = futures_util::future::join_all((0..8).map(|_| ask())).await;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(AskError::Connect(_)))), "{outcomes:?}");
            // With more room they go side by side.
            assert!(most.load(Ordering::SeqCst) <= expected && (permits == 1 || most.load(Ordering::SeqCst) > 1));
        }
        provider.abort();
    }
}
