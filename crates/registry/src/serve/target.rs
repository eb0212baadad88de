//! What a request is aimed at: method, path and query, parsed strictly. Pure.

use std::borrow::Cow;

use http::Method;

use super::failure::{Code, Failure};
use crate::catalogue::Action;
use crate::digest::Digest;
use crate::name::{Reference, RepositoryName};
use crate::uploads::UploadId;

/// An operation and what it is to act on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Ping,
    Catalog,
    ReadBlob { name: RepositoryName, head: bool, digest: Digest },
    BeginUpload { name: RepositoryName },
    AppendUpload { name: RepositoryName, id: UploadId },
    FinishUpload { name: RepositoryName, id: UploadId },
    UploadStatus { name: RepositoryName, id: UploadId },
    CancelUpload { name: RepositoryName, id: UploadId },
    ReadManifest { name: RepositoryName, reference: Reference },
    PutManifest { name: RepositoryName, reference: Reference },
    DeleteManifest { name: RepositoryName, reference: Reference },
    ListTags { name: RepositoryName },
    ListReferrers { name: RepositoryName, digest: Digest },
}

impl Target {
    /// Reads a path from its end, as repository names may hold any of the words used here.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Target, Failure> {
        let path = decode_colons(path)?;
        let rest = path.strip_prefix("/v2").ok_or_else(Failure::no_such_path)?;
        if rest.is_empty() || rest == "/" {
            return match *method {
                Method::GET | Method::HEAD => Ok(Target::Ping),
                _ => Err(Failure::method_not_allowed("GET, HEAD")),
            };
        }
        let rest = rest.strip_prefix('/').ok_or_else(Failure::no_such_path)?;
        if rest == "_catalog" {
            return match *method {
                Method::GET => Ok(Target::Catalog),
                _ => Err(Failure::method_not_allowed("GET")),
            };
        }
        let begins_upload = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"));
        if let Some(name) = begins_upload {
            let name = repository_name(name)?;
            return match *method {
                Method::POST => Ok(Target::BeginUpload { name }),
                _ => Err(Failure::method_not_allowed("POST")),
            };
        }
        let (front, last) = rest.rsplit_once('/').ok_or_else(Failure::no_such_path)?;
        if let Some(name) = front.strip_suffix("/blobs/uploads") {
            let name = repository_name(name)?;
            let id = UploadId::parse(last).ok_or_else(Failure::upload_unknown)?;
            return match *method {
                Method::PATCH => Ok(Target::AppendUpload { name, id }),
                Method::PUT => Ok(Target::FinishUpload { name, id }),
                Method::GET => Ok(Target::UploadStatus { name, id }),
                Method::DELETE => Ok(Target::CancelUpload { name, id }),
                _ => Err(Failure::method_not_allowed("GET, PATCH, PUT, DELETE")),
            };
        }
        let (name, kind) = front.rsplit_once('/').ok_or_else(Failure::no_such_path)?;
        match kind {
            "blobs" => {
                let (name, digest) = (repository_name(name)?, digest(last)?);
                match *method {
                    Method::GET | Method::HEAD => Ok(Target::ReadBlob { name, head: *method == Method::HEAD, digest }),
                    // As in ECR, layers go when no image needs them.
                    _ => Err(Failure::method_not_allowed("GET, HEAD")),
                }
            }
            "manifests" => {
                let name = repository_name(name)?;
                let reference = Reference::parse(last);
                match *method {
                    Method::GET | Method::HEAD => {
                        let reference = reference.ok_or_else(Failure::manifest_unknown)?;
                        Ok(Target::ReadManifest { name, reference })
                    }
                    Method::PUT => {
                        let reference = reference.ok_or_else(|| bad_reference(last))?;
                        Ok(Target::PutManifest { name, reference })
                    }
                    Method::DELETE => {
                        let reference = reference.ok_or_else(Failure::manifest_unknown)?;
                        Ok(Target::DeleteManifest { name, reference })
                    }
                    _ => Err(Failure::method_not_allowed("GET, HEAD, PUT, DELETE")),
                }
            }
            "tags" if last == "list" => match *method {
                Method::GET => Ok(Target::ListTags { name: repository_name(name)? }),
                _ => Err(Failure::method_not_allowed("GET")),
            },
            "referrers" => match *method {
                Method::GET => Ok(Target::ListReferrers { name: repository_name(name)?, digest: digest(last)? }),
                _ => Err(Failure::method_not_allowed("GET")),
            },
            _ => Err(Failure::no_such_path()),
        }
    }

    pub(super) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Target::Ping | Target::Catalog => None,
            Target::ReadBlob { name, .. }
            | Target::BeginUpload { name }
            | Target::AppendUpload { name, .. }
            | Target::FinishUpload { name, .. }
            | Target::UploadStatus { name, .. }
            | Target::CancelUpload { name, .. }
            | Target::ReadManifest { name, .. }
            | Target::PutManifest { name, .. }
            | Target::DeleteManifest { name, .. }
            | Target::ListTags { name }
            | Target::ListReferrers { name, .. } => Some(name),
        }
    }

    /// The image that a pull asks for.
    pub(super) fn wanted(&self) -> Option<&Reference> {
        match self {
            Target::ReadManifest { reference, .. } => Some(reference),
            _ => None,
        }
    }

    /// What the caller must be allowed to do.
    pub(super) fn action(&self) -> Action {
        match self {
            Target::Ping => Action::Ping,
            Target::Catalog => Action::ListRepositories,
            Target::ReadBlob { head: true, .. } => Action::CheckLayer,
            Target::ReadBlob { head: false, .. } => Action::GetLayer,
            Target::BeginUpload { .. } => Action::BeginUpload,
            Target::AppendUpload { .. } | Target::UploadStatus { .. } | Target::CancelUpload { .. } => {
                Action::UploadPart
            }
            Target::FinishUpload { .. } => Action::FinishUpload,
            Target::ReadManifest { .. } => Action::GetImage,
            Target::PutManifest { .. } => Action::PutImage,
            Target::DeleteManifest { .. } => Action::DeleteImage,
            Target::ListTags { .. } => Action::ListImages,
            Target::ListReferrers { .. } => Action::ListReferrers,
        }
    }
}

/// The colon of a digest is the one character that clients may escape in a path; every other escape is refused, since
/// nothing that we name needs one.
fn decode_colons(path: &str) -> Result<Cow<'_, str>, Failure> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = path.replace("%3A", ":").replace("%3a", ":");
    if decoded.contains('%') { Err(Failure::no_such_path()) } else { Ok(Cow::Owned(decoded)) }
}

fn repository_name(text: &str) -> Result<RepositoryName, Failure> {
    RepositoryName::parse(text).map_err(|error| Failure::new(Code::NameInvalid, error.to_string()))
}

fn digest(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).map_err(|error| Failure::new(Code::DigestInvalid, error.to_string()))
}

fn bad_reference(text: &str) -> Failure {
    match Digest::parse(text) {
        Err(error) if text.contains(':') => Failure::new(Code::DigestInvalid, error.to_string()),
        _ => Failure::new(Code::TagInvalid, "tag does not match the grammar of tags".to_owned()),
    }
}

/// A query string's parameters, in their order; escapes resolved.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// A parameter whose escapes are not UTF-8 is dropped.
    pub(super) fn parse(query: &'a str) -> Query<'a> {
        let pair = |part: &'a str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Some((unescape(key)?, unescape(value)?))
        };
        Query(query.split('&').filter(|part| !part.is_empty()).filter_map(pair).collect())
    }

    pub(super) fn first(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_ref())
    }
}

fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            // A media type such as `image/svg+xml` is often sent unescaped, and no value of ours holds a space.
            byte => byte,
        });
    }
    String::from_utf8(plain).ok().map(Cow::Owned)
}

/// Text as a query value.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, path: &str) -> Result<Target, Code> {
        Target::parse(&method, path).map_err(|failure| failure.code())
    }

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    #[test]
    fn repository_names_may_hold_the_words_of_the_protocol() {
        let digest = Digest::of(b"");
        for n in ["blobs", "a/blobs", "blobs/uploads", "a/manifests/b", "tags/list", "v2", "v2/blobs/uploads/x"] {
            assert_eq!(parse(Method::GET, &format!("/v2/{n}/tags/list")), Ok(Target::ListTags { name: name(n) }));
            assert_eq!(
                parse(Method::GET, &format!("/v2/{n}/blobs/{digest}")),
                Ok(Target::ReadBlob { name: name(n), head: false, digest }),
            );
            for slash in ["", "/"] {
                let path = format!("/v2/{n}/blobs/uploads{slash}");
                assert_eq!(parse(Method::POST, &path), Ok(Target::BeginUpload { name: name(n) }));
            }
        }
    }

    #[test]
    fn a_colon_may_be_escaped_and_nothing_else() {
        let digest = Digest::of(b"");
        let escaped = digest.to_string().replace(':', "%3a");
        assert!(parse(Method::GET, &format!("/v2/a/blobs/{escaped}")).is_ok());
        assert!(parse(Method::GET, "/v2/a%2Fb/tags/list").is_err());
        assert!(parse(Method::GET, "/v2/%2e%2e/tags/list").is_err());
        assert!(parse(Method::GET, "/v2/a%253Ab/tags/list").is_err());
    }

    #[test]
    fn each_step_of_an_upload_has_its_own_action() {
        let uploads = "/v2/a/blobs/uploads/";
        let upload = format!("{uploads}{}", "0".repeat(32));
        for (method, path, action) in [
            (Method::POST, uploads, "ecr:InitiateLayerUpload"),
            (Method::PATCH, &upload, "ecr:UploadLayerPart"),
            (Method::GET, &upload, "ecr:UploadLayerPart"),
            (Method::DELETE, &upload, "ecr:UploadLayerPart"),
            (Method::PUT, &upload, "ecr:CompleteLayerUpload"),
        ] {
            assert_eq!(parse(method.clone(), path).unwrap().action().iam_action(), Some(action), "{method}");
        }
    }

    #[test]
    fn bad_targets_are_told_apart() {
        for (method, path, code) in [
            (Method::GET, "/v2/../../etc/passwd/tags/list", Code::NameInvalid),
            (Method::GET, "/v2/A/tags/list", Code::NameInvalid),
            (Method::GET, "/v2//tags/list", Code::NameInvalid),
            (Method::GET, "/v2/a/blobs/sha256:../..", Code::NotFound),
            (Method::GET, "/v2/a/blobs/..", Code::DigestInvalid),
            (Method::GET, "/v2/a/blobs/uploads/..", Code::BlobUploadUnknown),
            (Method::PATCH, "/v2/a/blobs/uploads/0123", Code::BlobUploadUnknown),
            (Method::GET, "/v2/a/manifests/.x", Code::ManifestUnknown),
            (Method::PUT, "/v2/a/manifests/.x", Code::TagInvalid),
            (Method::PUT, "/v2/a/manifests/sha256:x", Code::DigestInvalid),
            (Method::GET, "/v2/a/referrers/x", Code::DigestInvalid),
            (Method::DELETE, "/v2/a/tags/list", Code::Unsupported),
            (Method::POST, "/v2/", Code::Unsupported),
            (Method::GET, "/v2x", Code::NotFound),
            (Method::GET, "/", Code::NotFound),
        ] {
            assert_eq!(parse(method.clone(), path), Err(code), "{method} {path}");
        }
    }

    #[test]
    fn queries_are_unescaped() {
        let query = Query::parse("a=1&digest=sha256%3Aff&a=2&x&bad=%zz&bad=%f&t=image/svg+xml&");
        assert_eq!(query.first("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.first("digest"), Some("sha256:ff"));
        assert_eq!(query.first("x"), Some(""));
        assert_eq!(query.first("bad"), None);
        assert_eq!(query.first("t"), Some("image/svg+xml"));
        assert_eq!(escape("a/b+c d-é"), "a%2Fb%2Bc%20d-%C3%A9");
    }
}
