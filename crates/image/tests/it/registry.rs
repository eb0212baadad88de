//! A registry in this process: enough of the distribution API for pull and push, and the ways in which real ones fail.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use longshore_image::{Digest, Endpoint};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::TestImage;

#[derive(Default)]
pub struct State {
    /// (repository, tag or digest) to media type and bytes.
    pub manifests: HashMap<(String, String), (String, Vec<u8>)>,
    pub blobs: HashMap<String, Vec<u8>>,
    /// Every request's method and path.
    pub requests: Vec<String>,
    /// The registry that the last request was for.
    pub host: String,
    /// Statuses to answer with before serving properly, by a part of the path.
    pub failures: Vec<(String, StatusCode, String)>,
    /// Break the connection after so many bytes of a blob, so often.
    pub cut_blobs: (usize, usize),
    /// Serve these bytes in place of a blob's.
    pub swapped: HashMap<String, Vec<u8>>,
    /// `user:password` wanted by HTTP Basic.
    pub basic: Option<String>,
    /// As `basic`, but traded for a bearer token.
    pub bearer: Option<String>,
    /// Answer for this part of a path, such as `/manifests/`, with a body that does not end.
    pub endless: Option<&'static str>,
    /// Milliseconds before each blob's first byte.
    pub blob_delay: u64,
    uploads: u64,
}

#[derive(Clone)]
pub struct Registry {
    pub state: Arc<Mutex<State>>,
    pub address: String,
    _task: Arc<AbortOnDrop>,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Registry {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, host) = (state.clone(), address.clone());
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (shared, host) = (shared.clone(), host.clone());
                tokio::spawn(async move {
                    let service =
                        hyper::service::service_fn(move |request| answer(shared.clone(), host.clone(), request));
                    let io = hyper_util::rt::TokioIo::new(socket);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { state, address, _task: Arc::new(AbortOnDrop(task)) }
    }

    pub fn add(&self, repository: &str, tag: &str, image: &TestImage) {
        let mut state = self.state.lock().expect("state");
        for name in [tag.to_owned(), image.digest().to_string()] {
            state.manifests.insert((repository.to_owned(), name), (image.media_type.clone(), image.manifest.clone()));
        }
        for blob in &image.blobs {
            state.blobs.insert(Digest::of(blob).to_string(), blob.clone());
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::plain_http(&format!("http://{}", self.address)).expect("valid")
    }

    /// How many requests had `part` in their method and path.
    pub fn count(&self, part: &str) -> usize {
        self.state.lock().expect("state").requests.iter().filter(|r| r.contains(part)).count()
    }
}

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

fn reply(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into()).map_err(|e: Infallible| match e {}).boxed()).expect("valid")
}

fn fail(status: StatusCode, code: &str) -> Answer {
    reply(status, &[], json!({ "errors": [{ "code": code, "message": format!("{code} of the test") }] }).to_string())
}

async fn answer(state: Arc<Mutex<State>>, host: String, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let authority = request.uri().authority().map(|a| a.to_string());
    let addressed = authority
        .or(request.headers().get("host").and_then(|v| v.to_str().ok()).map(str::to_owned))
        .unwrap_or_default();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let query = request.uri().query().unwrap_or_default().replace("%3A", ":");
    let range = request.headers().get("range").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let authorization =
        request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let body = if method == Method::PUT || method == Method::POST || method == Method::PATCH {
        request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default()
    } else {
        Bytes::new()
    };
    let delay = {
        let state = state.lock().expect("state");
        if path.contains("/blobs/") && method == Method::GET { state.blob_delay } else { 0 }
    };
    tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
    let mut state = state.lock().expect("state");
    state.requests.push(format!("{method} {path}{}", range.as_deref().map(|r| format!(" {r}")).unwrap_or_default()));
    state.host = addressed;
    if let Some(at) = state.failures.iter().position(|(part, ..)| path.contains(part.as_str())) {
        let (_, status, text) = state.failures.remove(at);
        return Ok(reply(status, &[], text));
    }
    if state.endless.is_some_and(|part| path.contains(part)) {
        let piece = Bytes::from(vec![b' '; 64 << 10]);
        let parts = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
        return Ok(Response::new(BodyExt::boxed(StreamBody::new(parts))));
    }
    let encoded = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    if path == "/token" {
        let wanted = state.bearer.as_deref().map(encoded);
        return Ok(match wanted {
            Some(wanted) if wanted == authorization => reply(StatusCode::OK, &[], r#"{"token":"let-me-in"}"#),
            _ => reply(StatusCode::UNAUTHORIZED, &[], "incorrect username or password"),
        });
    }
    if let Some(pair) = &state.basic
        && authorization != encoded(pair)
    {
        return Ok(reply(StatusCode::UNAUTHORIZED, &[("www-authenticate", "Basic realm=\"test\"")], ""));
    }
    if state.bearer.is_some() && authorization != "Bearer let-me-in" {
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
        return Ok(reply(StatusCode::UNAUTHORIZED, &[("www-authenticate", &challenge)], ""));
    }
    Ok(route(&mut state, &method, &path, &query, range, body))
}

fn route(state: &mut State, method: &Method, path: &str, query: &str, range: Option<String>, body: Bytes) -> Answer {
    let Some(rest) = path.strip_prefix("/v2/") else { return fail(StatusCode::NOT_FOUND, "UNSUPPORTED") };
    if rest.is_empty() {
        return reply(StatusCode::OK, &[], "{}");
    }
    if let Some((repository, name)) = rest.split_once("/manifests/") {
        let key = (repository.to_owned(), name.to_owned());
        if method == Method::PUT {
            let digest = Digest::of(&body).to_string();
            let stored = ("application/vnd.oci.image.manifest.v1+json".to_owned(), body.to_vec());
            state.manifests.insert((repository.to_owned(), digest.clone()), stored.clone());
            state.manifests.insert(key, stored);
            return reply(StatusCode::CREATED, &[("location", &format!("/v2/{repository}/manifests/{digest}"))], "");
        }
        return match state.manifests.get(&key) {
            Some((kind, bytes)) => reply(StatusCode::OK, &[("content-type", kind)], bytes.clone()),
            None => fail(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
        };
    }
    if let Some((repository, _)) = rest.split_once("/blobs/uploads/") {
        if method == Method::POST {
            state.uploads += 1;
            let location = format!("/v2/{repository}/blobs/uploads/{}", state.uploads);
            return reply(StatusCode::ACCEPTED, &[("location", &location)], "");
        }
        let digest = query.split('&').find_map(|p| p.strip_prefix("digest=")).unwrap_or_default().to_owned();
        if digest != Digest::of(&body).to_string() {
            return fail(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        state.blobs.insert(digest.clone(), body.to_vec());
        return reply(StatusCode::CREATED, &[("location", &format!("/v2/{repository}/blobs/{digest}"))], "");
    }
    let Some((_, digest)) = rest.split_once("/blobs/") else { return fail(StatusCode::NOT_FOUND, "NAME_UNKNOWN") };
    let Some(blob) = state.swapped.get(digest).or(state.blobs.get(digest)).cloned() else {
        return fail(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
    };
    if method == Method::HEAD {
        return reply(StatusCode::OK, &[("content-length", &blob.len().to_string())], "");
    }
    let start: usize = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let status = if start > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let content = blob[start..].to_vec();
    let (after, times) = state.cut_blobs;
    if times > 0 && content.len() > after {
        state.cut_blobs.1 -= 1;
        let first = Bytes::from(content[..after].to_vec());
        // The server throws away what it did not flush yet when the body fails.
        let parts = stream::iter([Ok(Frame::data(first))]).chain(stream::once(async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Err(std::io::Error::other("the test cuts the connection"))
        }));
        return Response::builder()
            .status(status)
            .header("content-length", content.len())
            .body(BodyExt::boxed(StreamBody::new(Box::pin(parts))))
            .expect("valid");
    }
    reply(status, &[], content)
}
