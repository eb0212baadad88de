//! A registry behind a small server, and a client that sends what it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use longshore_registry::memory::MemoryCatalogue;
use longshore_registry::{Digest, Limits, Registry, RepositoryId, RepositoryName, Scope};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub const PUSHER: &str = "push-token";
pub const PULLER: &str = "pull-token";
pub const STRANGER: &str = "other-account-token";

pub fn scope() -> Scope {
    Scope::new("123456789012", "eu-west-1").unwrap()
}

pub fn other_scope() -> Scope {
    Scope::new("210987654321", "eu-west-1").unwrap()
}

pub fn repository(name: &str) -> RepositoryId {
    RepositoryId { scope: scope(), name: RepositoryName::parse(name).unwrap() }
}

/// What was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Status and code of the first error.
    pub fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Reply {
        assert_eq!(self.error(), (status, code.to_owned()), "{self:?}");
        self
    }
}

/// A running registry with repositories `app`, `team/app`, `frozen` (immutable tags), and `app` of another account.
pub struct Site {
    directory: tempfile::TempDir,
    limits: Limits,
    pub catalogue: Arc<MemoryCatalogue>,
    pub registry: Registry,
    pub address: SocketAddr,
    server: JoinSet<()>,
}

impl Site {
    pub async fn start() -> Site {
        Site::start_with(Limits::default()).await
    }

    pub async fn start_with(limits: Limits) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Arc::new(MemoryCatalogue::new());
        catalogue.add_token(PUSHER, &scope(), true);
        catalogue.add_token(PULLER, &scope(), false);
        catalogue.add_token(STRANGER, &other_scope(), true);
        for name in ["app", "team/app"] {
            catalogue.add_repository(repository(name), false);
        }
        catalogue.add_repository(repository("frozen"), true);
        catalogue.add_repository(RepositoryId { scope: other_scope(), ..repository("app") }, false);
        let registry = Registry::open(directory.path(), catalogue.clone(), limits.clone()).unwrap();
        let (address, server) = serve(registry.clone()).await;
        Site { directory, limits, catalogue, registry, address, server }
    }

    /// Ends the server and all its connections as abruptly as tasks can be ended, and opens the directory again.
    pub async fn restart(self) -> Site {
        let Site { directory, limits, catalogue, registry, mut server, .. } = self;
        server.shutdown().await;
        drop(registry);
        let mut tries = 0;
        let registry = loop {
            // A file operation may still be ending.
            match Registry::open(directory.path(), catalogue.clone(), limits.clone()) {
                Ok(registry) => break registry,
                Err(_) if tries < 200 => tries += 1,
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let (address, server) = serve(registry.clone()).await;
        Site { directory, limits, catalogue, registry, address, server }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sends a request with these headers and nothing besides.
    pub async fn raw(&self, method: Method, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        Client { address: self.address }.send(method, target, headers, body.into()).await.unwrap()
    }

    /// Sends a request as the holder of this token.
    pub async fn call_as(
        &self,
        token: &str,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let authorization = basic(token);
        let host = self.address.to_string();
        let mut all = vec![("host", host.as_str()), ("authorization", authorization.as_str())];
        all.extend_from_slice(headers);
        self.raw(method, target, &all, body).await
    }

    pub async fn call(&self, method: Method, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        self.call_as(PUSHER, method, target, headers, body).await
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.call(Method::GET, target, &[], "").await
    }

    /// Begins an upload; where it goes on.
    pub async fn begin(&self, name: &str) -> String {
        let reply = self.call(Method::POST, &format!("/v2/{name}/blobs/uploads/"), &[], "").await.expect(202);
        reply.header("location").to_owned()
    }

    /// Pushes a blob by `POST` and `PUT`.
    pub async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let location = self.begin(name).await;
        self.call(Method::PUT, &format!("{location}?digest={digest}"), &[], content.to_vec()).await.expect(201);
        digest
    }

    pub async fn put_manifest(&self, name: &str, reference: &str, media_type: &str, content: &[u8]) -> Reply {
        let target = format!("/v2/{name}/manifests/{reference}");
        self.call(Method::PUT, &target, &[("content-type", media_type)], content.to_vec()).await
    }
}

/// Sends requests, each over a connection of its own.
#[derive(Clone, Copy)]
pub struct Client {
    pub address: SocketAddr,
}

pub type SendError = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    async fn send(
        self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, SendError> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    /// Sends a request as the pusher, to a server that may go away.
    pub async fn try_call(
        self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, SendError> {
        let (authorization, host) = (basic(PUSHER), self.address.to_string());
        let mut all = vec![("host", host.as_str()), ("authorization", authorization.as_str())];
        all.extend_from_slice(headers);
        self.send(method.parse()?, target, &all, body.into()).await
    }
}

pub fn basic(token: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("AWS:{token}")))
}

/// A server on a free port of the loopback interface.
pub async fn serve(registry: Registry) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let registry = registry.clone();
            let service = service_fn(move |request| {
                let registry = registry.clone();
                async move { Ok::<_, Infallible>(registry.handle(request).await) }
            });
            connections.spawn(async move {
                // A client that goes away is no failure of the server.
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    (address, server)
}
