//! TLS on both sides: what listeners offer clients, and how targets are spoken to.

mod certificates;
pub mod policy;
pub(crate) mod target;

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ServerSessionMemoryCache;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::config::{Certificate, Config, Protocol};
pub use certificates::CertificateError;
use certificates::Certificates;

/// Sessions of TLS 1.2 clients that a listener remembers beside those it hands tickets to.
const SESSIONS_MAX: usize = 4096;

/// Why a listener's TLS settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate that cannot be used.
    #[error("listener `{listener}`: {source}")]
    Certificate {
        /// Listener ARN.
        listener: String,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// An HTTPS listener without one.
    #[error("listener `{0}` speaks HTTPS and has no certificate")]
    NoCertificate(String),
    /// A policy that is not served.
    #[error("listener `{listener}`: security policy `{policy}`: {source}")]
    Policy {
        /// Listener ARN.
        listener: String,
        /// Its name.
        policy: String,
        /// Why.
        #[source]
        source: policy::PolicyError,
    },
    /// The engine refuses the settings.
    #[error("listener `{listener}`: {reason}")]
    Engine {
        /// Listener ARN.
        listener: String,
        /// Why.
        reason: String,
    },
}

/// What a listener offers; kept while its settings stay, since clients resume sessions with it.
#[derive(Debug)]
pub(crate) struct Offer {
    settings: Settings,
    pub server: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

#[derive(Clone, Debug, PartialEq)]
struct Settings {
    certificates: Vec<Certificate>,
    policy: String,
    http2: bool,
}

/// What one handshake agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// `TLSv1.3`.
    pub version: &'static str,
    pub suite: &'static str,
    /// The name the client asked for.
    pub server_name: Option<Box<str>>,
    /// The certificate it was shown.
    pub certificate_arn: Option<Arc<str>>,
    pub is_http2: bool,
}

/// What all HTTPS listeners offer, by listener ARN.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    pub offers: HashMap<String, Arc<Offer>>,
    /// Why a listener does not offer what its settings say.
    pub problems: HashMap<String, String>,
}

/// Makes the offers of all HTTPS listeners. Those of unchanged settings are taken from `former`.
///
/// A certificate that cannot be used concerns its listener alone, which goes on with what it offered before. One
/// that offered nothing yet leaves out the certificate, unless it is the default one: then there is no offer.
pub(crate) fn offers(config: &Config, former: &HashMap<String, Arc<Offer>>) -> Result<Offers, TlsError> {
    let mut all = Offers::default();
    for load_balancer in &config.load_balancers {
        for listener in load_balancer.listeners.iter().filter(|listener| listener.protocol == Protocol::Https) {
            let arn = &listener.arn;
            let settings = Settings {
                certificates: listener.certificates.clone(),
                policy: listener.ssl_policy.clone().unwrap_or_else(|| policy::DEFAULT.to_owned()),
                http2: load_balancer.attributes.http2,
            };
            let former = former.get(arn);
            let offer = match former.filter(|offer| offer.settings == settings) {
                Some(offer) => Some(offer.clone()),
                None => match Offer::new(arn, settings.clone()) {
                    Ok(offer) => Some(Arc::new(offer)),
                    Err(error @ TlsError::Certificate { .. }) => {
                        all.problems.insert(arn.clone(), error.to_string());
                        former.cloned().or_else(|| Offer::of_usable(arn, settings).map(Arc::new))
                    }
                    Err(error) => return Err(error),
                },
            };
            if let Some(offer) = offer {
                all.offers.insert(arn.clone(), offer);
            }
        }
    }
    Ok(all)
}

impl Offer {
    /// Without the certificates that cannot be used; `None` without the default one.
    fn of_usable(listener: &str, mut settings: Settings) -> Option<Offer> {
        let default = settings.certificates.first()?.clone();
        settings.certificates.retain(|certificate| certificates::load(certificate).is_ok());
        if settings.certificates.first() != Some(&default) {
            return None;
        }
        Offer::new(listener, settings).ok()
    }

    fn new(listener: &str, settings: Settings) -> Result<Offer, TlsError> {
        let listener = || listener.to_owned();
        let policy = policy::find(&settings.policy).map_err(|source| TlsError::Policy {
            listener: listener(),
            policy: settings.policy.clone(),
            source,
        })?;
        let certificates = Certificates::load(&settings.certificates)
            .map_err(|source| TlsError::Certificate { listener: listener(), source })?
            .ok_or_else(|| TlsError::NoCertificate(listener()))?;
        let certificates = Arc::new(certificates);
        let engine = |error: rustls::Error| TlsError::Engine { listener: listener(), reason: error.to_string() };
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = policy.suites.to_vec();
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(policy.versions)
            .map_err(engine)?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        // The policy's order decides, not the client's.
        server.ignore_client_order = true;
        server.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        server.ticketer = rustls::crypto::ring::Ticketer::new().map_err(engine)?;
        server.alpn_protocols = match settings.http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Ok(Offer { settings, server: Arc::new(server), certificates })
    }

    /// What a finished handshake agreed on.
    pub(crate) fn session(&self, stream: &TlsStream<TcpStream>) -> Session {
        let (_, connection) = stream.get_ref();
        let server_name = connection.server_name();
        Session {
            version: connection.protocol_version().map_or("-", policy::version_name),
            suite: connection.negotiated_cipher_suite().map_or("-", |suite| policy::suite_name(suite.suite())),
            // Which of several for the same name is not told by the engine: the first is.
            certificate_arn: self.certificates.arn(server_name, |_| true),
            server_name: server_name.map(Box::from),
            is_http2: connection.alpn_protocol() == Some(b"h2"),
        }
    }
}
