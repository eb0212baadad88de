//! The HTTP side: from a request to an operation, from its outcome to a response.
//!
//! Order of decisions, the same for every request: read the target, authorize it, see that the repository exists, act.
//! Nothing about a repository, not even that a name is bad, is told to who may not ask.

mod access;
mod blob;
mod failure;
mod listing;
mod manifest;
mod reply;
mod target;
mod upload;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;

pub use access::basic_credentials;

use crate::body::{Body, BoxError, Incoming};
use crate::catalogue::{Action, Direction};
use crate::digest::Digest;
use crate::name::{Reference, RepositoryId, RepositoryName};
use crate::registry::Registry;
use failure::{Code, Failure};
use reply::Reply;
use target::{Query, Target};

/// What every handler gets.
struct Cx<'a> {
    registry: &'a Registry,
    repository: RepositoryId,
    headers: &'a HeaderMap,
    query: Query<'a>,
    /// `HEAD`: the response's body is not sent.
    head: bool,
}

impl Registry {
    /// Answers one request below `/v2/`. Bodies are streamed both ways; dropping the future ends the work on it
    /// without harm.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let body = body.map_err(Into::into).boxed_unsync();
        let reply = self.answer(&parts, body).await.unwrap_or_else(|failure| {
            if failure.status().is_server_error() && !failure.cause().is_empty() {
                tracing::error!(method = %parts.method, path = parts.uri.path(), cause = failure.cause(), "request failed");
            }
            failure.reply()
        });
        reply.into_response()
    }

    async fn answer(&self, parts: &http::request::Parts, body: Incoming) -> Result<Reply, Failure> {
        let target = Target::parse(&parts.method, parts.uri.path());
        let action = target.as_ref().map_or(Action::Ping, Target::action);
        let grant = access::authorize(self, parts, action, target.as_ref().ok().and_then(Target::repository))?;
        tracing::debug!(method = %parts.method, path = parts.uri.path(), caller = grant.caller, ?action, "registry request");
        let target = target?;
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let Some(name) = target.repository() else {
            return match target {
                Target::Catalog => listing::repositories(self, &grant.scope, &query),
                _ => Ok(Reply::new(StatusCode::OK).json(b"{}".as_slice())),
            };
        };
        let repository = RepositoryId { scope: grant.scope, name: name.clone() };
        if !self.inner.catalogue.repository_exists(&repository)
            && !self.provide_repository(parts, &repository, action.direction(), target.wanted()).await?
        {
            return Err(Failure::repository_unknown(&repository));
        }
        let head = parts.method == http::Method::HEAD;
        let cx = Cx { registry: self, repository, headers: &parts.headers, query, head };
        match target {
            Target::Ping | Target::Catalog => unreachable!("they name no repository"),
            Target::ReadBlob { digest, .. } => blob::read(&cx, &digest).await,
            Target::BeginUpload { .. } => upload::begin(&cx, parts, body).await,
            Target::AppendUpload { id, .. } => upload::append(&cx, id, body).await,
            Target::FinishUpload { id, .. } => upload::finish(&cx, parts, id, body).await,
            Target::UploadStatus { id, .. } => upload::status(&cx, id).await,
            Target::CancelUpload { id, .. } => upload::cancel(&cx, id).await,
            Target::ReadManifest { reference, .. } => manifest::read(&cx, parts, &reference).await,
            Target::PutManifest { reference, .. } => manifest::put(&cx, reference, body).await,
            Target::DeleteManifest { reference, .. } => manifest::delete(&cx, &reference).await,
            Target::ListTags { .. } => listing::tags(&cx),
            Target::ListReferrers { digest, .. } => listing::referrers(&cx, &digest).await,
        }
    }

    /// Brings about a repository that does not exist, if it comes about by being asked for and the caller may do that. True
    /// if it is there now.
    async fn provide_repository(
        &self,
        parts: &http::request::Parts,
        repository: &RepositoryId,
        direction: Direction,
        wanted: Option<&Reference>,
    ) -> Result<bool, Failure> {
        let catalogue = &self.inner.catalogue;
        // Listing what is not there makes nothing.
        let asks = direction == Direction::Push || wanted.is_some();
        if !asks || !catalogue.provides(repository, direction) {
            return Ok(false);
        }
        if direction == Direction::Pull {
            access::authorize(self, parts, Action::ImportImage, Some(&repository.name))?;
        }
        access::authorize(self, parts, Action::CreateRepository, Some(&repository.name))?;
        Ok(catalogue.provide_repository(repository, direction, wanted).await)
    }

    /// Serves a blob to a caller who is authorized already, as `GetDownloadUrlForLayer`'s URLs need it. Obeys `Range`
    /// and the conditional headers.
    pub async fn serve_blob(
        &self,
        repository: &RepositoryId,
        digest: &Digest,
        headers: &HeaderMap,
        head: bool,
    ) -> Response<Body> {
        if !self.inner.catalogue.repository_exists(repository) {
            return Failure::repository_unknown(repository).reply().into_response();
        }
        let cx = Cx { registry: self, repository: repository.clone(), headers, query: Query::parse(""), head };
        blob::read(&cx, digest).await.unwrap_or_else(Failure::reply).into_response()
    }
}

impl Cx<'_> {
    fn name(&self) -> &RepositoryName {
        &self.repository.name
    }

    /// A header's text; `None` too if it is not text.
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether `If-None-Match` names this entity.
    fn has_current(&self, etag: &str) -> bool {
        let matches = |list: &str| list.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag);
        self.header(http::header::IF_NONE_MATCH).is_some_and(matches)
    }

    fn digest_parameter(&self) -> Result<Option<Digest>, Failure> {
        let parse =
            |text: &str| Digest::parse(text).map_err(|error| Failure::new(Code::DigestInvalid, error.to_string()));
        self.query.first("digest").map(parse).transpose()
    }
}
