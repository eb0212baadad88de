//! The registry behind HTTP: any requests in any order.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use longshore_registry::memory::MemoryCatalogue;
use longshore_registry::{Digest, KeptFree, Limits, Registry, RepositoryId, RepositoryName, Scope};

use crate::input::{FIELD, Input};

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PATCH,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

/// Up to eight requests: method by number, target, a header's name and value, the body. In a target, `@D` stands for the
/// digest of the body, `@P` for that of the one before, `@L` for where the last answer pointed.
///
/// Holds: no request is the registry's own fault; content that comes back has the digest it was asked by; tags and
/// repositories stay within the account's.
pub fn registry(data: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(run(data)));
}

async fn run(data: &[u8]) {
    let directory = crate::scratch();
    let scope = Scope::new("123456789012", "eu-west-1").expect("a scope");
    let catalogue = Arc::new(MemoryCatalogue::new());
    catalogue.add_token("token", &scope, true);
    for (name, is_frozen) in [("app", false), ("team/app", false), ("frozen", true)] {
        let name = RepositoryName::parse(name).expect("a name");
        catalogue.add_repository(RepositoryId { scope: scope.clone(), name }, is_frozen);
    }
    let limits =
        Limits { kept_free: KeptFree::NOTHING, manifest_bytes_max: 64 << 10, uploads_open_max: 4, ..Limits::default() };
    let registry = Registry::open(directory.path(), catalogue, limits).expect("an empty directory");
    let mut input = Input::new(data);
    let (mut before, mut location) = (String::new(), String::new());
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        let method = METHODS[usize::from(input.byte()) % METHODS.len()].clone();
        let target = input.text(FIELD).into_owned();
        let (name, value) = (input.text(FIELD), input.text(FIELD));
        let body = input.until(FIELD).to_vec();
        let digest = Digest::of(&body).to_string();
        let target = target.replace("@D", &digest).replace("@P", &before).replace("@L", &location);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(&target)
            // `AWS:token`
            .header("authorization", "Basic QVdTOnRva2Vu");
        if !name.is_empty() {
            request = request.header(&*name, &*value);
        }
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else { continue };
        let path = request.uri().path().to_owned();
        let answer = registry.handle(request).await;
        assert!(!answer.status().is_server_error(), "{method} {target}: {}", answer.status());
        if let Some(to) = answer.headers().get("location").and_then(|value| value.to_str().ok()) {
            location = to.trim_start_matches("http://registry").to_owned();
        }
        let is_whole = answer.status() == 200;
        let content = answer.into_body().collect().await.expect("a body can be read").to_bytes();
        if is_whole && method == Method::GET && path.contains("/blobs/sha256")
            || path.contains("/manifests/sha256") && is_whole
        {
            let asked = path.rsplit('/').next().unwrap_or_default().replace("%3A", ":").replace("%3a", ":");
            if method == Method::GET {
                assert_eq!(Digest::of(&content).to_string(), asked, "{target}");
            }
        }
        if is_whole && path.ends_with("/tags/list") {
            assert!(serde_json::from_slice::<serde_json::Value>(&content).is_ok());
        }
        before = digest;
    }
}
