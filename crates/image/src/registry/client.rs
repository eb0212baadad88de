//! Connections to registries.

use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::Cause;
use crate::digest::Digest;
use crate::manifest::{ACCEPTED, Descriptor};
use crate::reference::ImageRef;

/// How to prove to a registry who is asking.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Auth {
    #[default]
    Anonymous,
    Basic {
        username: String,
        password: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(f, "Basic({username})"),
        }
    }
}

/// Where a registry is reached instead of `https://<its host>`: plain HTTP, on this machine.
///
/// Longshore's own registry has the host names of ECR, which nothing resolves, and tells accounts apart by them. So the
/// endpoint is spoken to as an HTTP proxy is: the request line and the `Host` header name the registry, the connection goes
/// to the endpoint. Every HTTP/1.1 server must understand such requests (RFC 9112, 3.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    authority: String,
}

/// A text that is no endpoint.
#[derive(Debug, Clone, thiserror::Error)]
#[error("invalid registry endpoint `{0}`: expected `http://HOST:PORT`")]
pub struct EndpointError(String);

impl Endpoint {
    /// An endpoint such as `http://127.0.0.1:4566`.
    pub fn plain_http(base_url: &str) -> Result<Self, EndpointError> {
        let authority = base_url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match authority.map(str::parse::<http::uri::Authority>) {
            Some(Ok(authority)) if !authority.as_str().contains('@') => Ok(Self { authority: authority.to_string() }),
            _ => Err(EndpointError(base_url.to_owned())),
        }
    }
}

/// Clients that were made lately: each holds a connection pool and the tokens it was given.
#[derive(Default)]
pub(crate) struct Clients {
    known: Mutex<Vec<Known>>,
}

struct Known {
    host: String,
    auth: Auth,
    endpoint: Option<Endpoint>,
    made: Instant,
    connection: Connection,
}

/// A registry's client for blobs and pushes, and one for manifests: the former would read an answer of any length.
#[derive(Clone)]
struct Connection {
    client: Client,
    manifests: reqwest::Client,
    /// `http` or `https`.
    scheme: &'static str,
}

/// Longer than a pull, shorter than a token.
const CLIENT_LIFETIME: Duration = Duration::from_secs(600);
const CLIENTS_MAX: usize = 16;

impl Clients {
    /// A connection for `image`'s repository.
    pub fn remote(&self, image: &ImageRef, auth: &Auth, endpoint: Option<&Endpoint>) -> Result<Remote, Cause> {
        let host = image.host().to_owned();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|k| k.made.elapsed() < CLIENT_LIFETIME);
        let found = known.iter().find(|k| k.host == host && k.auth == *auth && k.endpoint.as_ref() == endpoint);
        let connection = match found {
            Some(known) => known.connection.clone(),
            None => {
                let connection = connect(&host, endpoint)?;
                if known.len() >= CLIENTS_MAX {
                    known.remove(0);
                }
                let (auth, endpoint) = (auth.clone(), endpoint.cloned());
                known.push(Known { host, auth, endpoint, made: Instant::now(), connection: connection.clone() });
                connection
            }
        };
        let auth = match auth {
            Auth::Anonymous => RegistryAuth::Anonymous,
            Auth::Basic { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
        };
        let address = endpoint.map_or(image.host(), |endpoint| &endpoint.authority).to_owned();
        Ok(Remote { connection, reference: image.inner().clone(), auth, token: Arc::default(), address })
    }

    /// Drops what is known of a host, because its credentials turned out not to work.
    pub fn forget(&self, host: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|k| k.host != host);
    }
}

/// To be called before any HTTP client is built: each needs to know who does the cryptography.
pub(crate) fn provide_cryptography() {
    static PROVIDER: Once = Once::new();
    // The process may have installed one already: then that one serves.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// For a whole manifest, a token, or the head of a blob's answer, however steadily the bytes come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"));

fn connect(host: &str, endpoint: Option<&Endpoint>) -> Result<Connection, Cause> {
    provide_cryptography();
    let mut config = ClientConfig {
        // One PUT with the whole blob: every registry takes it, and a blob is one request.
        use_monolithic_push: true,
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        user_agent: USER_AGENT,
        platform_resolver: None,
        ..ClientConfig::default()
    };
    let mut manifests = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .user_agent(USER_AGENT);
    let failed = |e| Cause::of(OciDistributionError::RequestError(e), host);
    let is_plain = endpoint.is_some() || is_loopback(host);
    if is_plain {
        config.protocol = ClientProtocol::Http;
        // No TLS is spoken. This only keeps the client from loading the system's certificates, which costs more than the
        // whole request and fails on machines that have none.
        config.accept_invalid_certificates = true;
        manifests = manifests.danger_accept_invalid_certs(true);
        // Also keeps a proxy of the environment from coming between this machine and itself. Without an endpoint, a proxy
        // that is used for no host is the only way to say that.
        let (proxy, none) = match endpoint {
            Some(endpoint) => (format!("http://{}", endpoint.authority), None),
            None => ("http://127.0.0.1:9".to_owned(), Some("*,0.0.0.0/0,::/0".to_owned())),
        };
        manifests = match endpoint {
            Some(_) => manifests.proxy(reqwest::Proxy::http(&proxy).map_err(failed)?),
            None => manifests.no_proxy(),
        };
        (config.http_proxy, config.no_proxy) = (Some(proxy), none);
    }
    let client = Client::try_from(config).map_err(|e| Cause::of(e, host))?;
    let scheme = if is_plain { "http" } else { "https" };
    Ok(Connection { client, manifests: manifests.build().map_err(failed)?, scheme })
}

/// As with Docker, a registry on the loopback interface needs no TLS.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// One repository of a registry.
#[derive(Clone)]
pub(crate) struct Remote {
    connection: Connection,
    reference: Reference,
    auth: RegistryAuth,
    /// Given for pulls, if the registry gives any.
    token: Arc<Mutex<Option<String>>>,
    /// What is connected to, for messages.
    address: String,
}

impl Remote {
    /// Proves who is asking, where the registry wants to know.
    pub async fn authorize(&self, operation: RegistryOperation) -> Result<(), Cause> {
        let token = self.connection.client.auth(&self.reference, &self.auth, operation);
        let token = in_time(&self.describe("/v2/"), token).await?;
        if operation == RegistryOperation::Pull {
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        }
        Ok(())
    }

    /// The manifest or index of the reference, or of `digest` in the same repository; at most `bytes_max`.
    pub async fn manifest(&self, digest: Option<Digest>, bytes_max: u64) -> Result<Bytes, Cause> {
        let reference = match digest {
            Some(digest) => self.reference.clone_with_digest(digest.to_string()),
            None => self.reference.clone(),
        };
        let name = reference.digest().or(reference.tag()).unwrap_or_default();
        let path = format!("/manifests/{name}");
        let what = self.describe(&path);
        let url = format!(
            "{}://{}/v2/{}{path}",
            self.connection.scheme,
            reference.resolve_registry(),
            reference.repository()
        );
        match self.get_manifest(&url, &what, bytes_max).await {
            // Nobody asked for a token yet, or it has expired.
            Err(Cause::Denied(_)) => {
                self.authorize(RegistryOperation::Pull).await?;
                self.get_manifest(&url, &what, bytes_max).await
            }
            answer => answer,
        }
    }

    async fn get_manifest(&self, url: &str, what: &str, bytes_max: u64) -> Result<Bytes, Cause> {
        let failed = |e| Cause::of(OciDistributionError::RequestError(e), what);
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = self.connection.manifests.get(url).header(http::header::ACCEPT, ACCEPTED.join(", "));
        let request = match (token, &self.auth) {
            (Some(token), _) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
            (None, _) => request,
        };
        let mut answer = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Err(Cause::Rejected(format!("{what}: the answer exceeds {bytes_max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        check_status(answer.status(), url, &body).map_err(|e| Cause::of(e, what))?;
        let promised: Option<Digest> =
            answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()?.parse().ok());
        match promised {
            Some(promised) if promised != Digest::of(&body) => {
                Err(Cause::Mismatch(format!("manifest {promised} has digest {}", Digest::of(&body))))
            }
            _ => Ok(body.into()),
        }
    }

    /// The blob's bytes from `offset` on. The stream ends early, without an error, when the connection is closed early.
    pub async fn blob(
        &self,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Cause> {
        let digest = blob.digest.to_string();
        let what = self.describe(&format!("/blobs/{digest}"));
        self.connection.client.store_auth_if_needed(self.reference.resolve_registry(), &self.auth).await;
        if offset == 0 {
            let whole = self.connection.client.pull_blob_stream(&self.reference, digest.as_str());
            return in_time(&what, whole).await.map(|sized| sized.stream);
        }
        let rest = self.connection.client.pull_blob_stream_partial(&self.reference, digest.as_str(), offset, None);
        match in_time(&what, rest).await? {
            BlobResponse::Partial(sized) => Ok(sized.stream),
            // The registry does not do ranges: what we have already is passed over.
            BlobResponse::Full(sized) => Ok(skip(sized.stream, offset).boxed()),
        }
    }

    /// True if the repository has the blob.
    pub async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Cause> {
        self.connection.client.store_auth_if_needed(self.reference.resolve_registry(), &self.auth).await;
        let answer = self.connection.client.blob_exists(&self.reference, &blob.digest.to_string()).await;
        answer.map_err(|e| Cause::of(e, &self.describe("/blobs/")))
    }

    /// Uploads a blob.
    pub async fn put_blob(
        &self,
        blob: &Descriptor,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), Cause> {
        let content = content.map(|chunk| chunk.map_err(OciDistributionError::IoError));
        let answer = self
            .connection
            .client
            .push_blob_stream(&self.reference, content, &blob.digest.to_string(), Some(blob.size))
            .await;
        answer.map(drop).map_err(|e| Cause::of(e, &self.describe("/blobs/uploads/")))
    }

    /// Names a manifest, whose blobs are there, by the reference's tag or digest.
    pub async fn put_manifest(&self, bytes: Vec<u8>, media_type: &str) -> Result<(), Cause> {
        let kind = media_type.parse().map_err(|_| Cause::Rejected(format!("`{media_type}` is no media type")))?;
        let answer = self.connection.client.push_manifest_raw(&self.reference, bytes, kind).await;
        answer.map(drop).map_err(|e| Cause::of(e, &self.describe("/manifests/")))
    }

    /// A request's address, for messages: the host that is really asked.
    fn describe(&self, path: &str) -> String {
        match path {
            "/v2/" => format!("{}/v2/", self.address),
            _ => format!("{}/v2/{}{path}", self.address, self.reference.repository()),
        }
    }
}

/// The outcome of a request to `what`, which has [`ANSWER_TIMEOUT`] in all: the client reads tokens and errors of any length.
async fn in_time<T>(what: &str, request: impl Future<Output = Result<T, OciDistributionError>>) -> Result<T, Cause> {
    match tokio::time::timeout(ANSWER_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|e| Cause::of(e, what)),
        Err(_) => Err(Cause::Timeout(what.to_owned())),
    }
}

/// What a registry says instead of a manifest.
fn check_status(status: http::StatusCode, url: &str, body: &[u8]) -> Result<(), OciDistributionError> {
    let url = url.to_owned();
    match status {
        http::StatusCode::OK => Ok(()),
        http::StatusCode::UNAUTHORIZED => Err(OciDistributionError::UnauthorizedError { url }),
        status => Err(match serde_json::from_slice(body) {
            Ok(envelope) if status.is_client_error() => OciDistributionError::RegistryError { envelope, url },
            _ => {
                let message = String::from_utf8_lossy(body).into_owned();
                OciDistributionError::ServerError { code: status.as_u16(), url, message }
            }
        }),
    }
}

/// Passes over the first `bytes` bytes.
fn skip(
    stream: BoxStream<'static, std::io::Result<Bytes>>,
    bytes: u64,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send {
    let mut left = bytes;
    stream.map(move |chunk| {
        chunk.map(|mut chunk| {
            let now = left.min(chunk.len() as u64);
            left -= now;
            chunk.split_off(now as usize)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_plain_http_authorities() {
        assert_eq!(Endpoint::plain_http("http://127.0.0.1:4566/").expect("valid").authority, "127.0.0.1:4566");
        for wrong in ["127.0.0.1:4566", "https://x", "http://", "http://a/b", "http://u:p@h"] {
            assert!(Endpoint::plain_http(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_never_show_in_debug_output() {
        let auth = Auth::Basic { username: "AWS".into(), password: "hunter2".into() };
        assert!(!format!("{auth:?}").contains("hunter2"));
    }
}
