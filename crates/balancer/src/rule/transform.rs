//! Transforms: what a rule changes about requests before they are forwarded.

use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use regex::bytes::Regex;

use super::ConditionError;
use super::glob::Case;
use super::regexes::compile;
use crate::config::{self, Rewrite};

/// A rule's transforms.
#[derive(Debug, Default)]
pub(crate) struct Transforms {
    host: Option<Replacement>,
    url: Option<Replacement>,
}

#[derive(Debug)]
struct Replacement {
    find: Regex,
    /// Groups in the form the engine takes, `${1}`.
    replace: Vec<u8>,
}

impl Transforms {
    /// `None` where there are none. Of several of a kind the last one counts.
    pub(crate) fn compile(transforms: &[config::Transform]) -> Result<Option<Transforms>, ConditionError> {
        let mut compiled = Transforms::default();
        for transform in transforms {
            match transform {
                config::Transform::HostHeaderRewrite(rewrite) => {
                    compiled.host = Some(Replacement::compile(rewrite, Case::Insensitive)?);
                }
                config::Transform::UrlRewrite(rewrite) => {
                    compiled.url = Some(Replacement::compile(rewrite, Case::Sensitive)?);
                }
            }
        }
        Ok((!transforms.is_empty()).then_some(compiled))
    }

    /// Changes a request in origin form that has a Host header; `None` when the outcome is nothing HTTP can carry.
    pub(crate) fn apply<B>(&self, request: &mut Request<B>) -> Option<()> {
        if let Some(replacement) = &self.host
            && let Some(host) = request.headers().get(HOST)
        {
            let host = HeaderValue::from_bytes(&replacement.apply(host.as_bytes())).ok()?;
            request.headers_mut().insert(HOST, host);
        }
        if let Some(replacement) = &self.url {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let replaced = replacement.apply(target.as_bytes());
            if replaced.first() != Some(&b'/') {
                return None;
            }
            *request.uri_mut() = Uri::try_from(replaced).ok()?;
        }
        Some(())
    }
}

impl Replacement {
    fn compile(rewrite: &Rewrite, case: Case) -> Result<Replacement, ConditionError> {
        let mut replace = Vec::with_capacity(rewrite.replace.len());
        let mut bytes = rewrite.replace.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match (byte, bytes.peek()) {
                (b'$', Some(digit @ b'0'..=b'9')) => {
                    replace.extend_from_slice(&[b'$', b'{', *digit, b'}']);
                    bytes.next();
                }
                (b'$', _) => replace.extend_from_slice(b"$$"),
                (byte, _) => replace.push(byte),
            }
        }
        Ok(Replacement { find: compile(&rewrite.regex, case)?, replace })
    }

    fn apply(&self, text: &[u8]) -> Vec<u8> {
        self.find.replace(text, &self.replace[..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, regex: &str, replace: &str, target: &str) -> Option<(String, String)> {
        let transform = serde_json::json!({"type": kind, "regex": regex, "replace": replace});
        let transforms = Transforms::compile(&[serde_json::from_value(transform).unwrap()]).unwrap().unwrap();
        let mut request = Request::builder().uri(target).header("host", "Api.example.com").body(()).unwrap();
        transforms.apply(&mut request)?;
        Some((request.uri().to_string(), request.headers()[HOST].to_str().unwrap().to_owned()))
    }

    fn pair(target: &str, host: &str) -> Option<(String, String)> {
        Some((target.to_owned(), host.to_owned()))
    }

    #[test]
    fn hosts_and_urls_are_rewritten_with_groups() {
        let host = "Api.example.com";
        assert_eq!(
            check("url-rewrite", "^/api/(v[0-9])/(.*)$", "/$2?version=$1", "/api/v1/x"),
            pair("/x?version=v1", host)
        );
        assert_eq!(check("url-rewrite", "^/none", "/other", "/api/v1/x?q"), pair("/api/v1/x?q", host));
        assert_eq!(check("url-rewrite", "x", "$y$$", "/x/x"), pair("/$y$$/x", host));
        assert_eq!(check("host-header-rewrite", r"^api\.(.*)$", "internal.$1", "/"), pair("/", "internal.example.com"));
    }

    #[test]
    fn what_http_cannot_carry_is_refused() {
        assert_eq!(check("url-rewrite", "^/", "", "/x"), None);
        assert_eq!(check("url-rewrite", "x", "a b", "/x"), None);
        assert_eq!(check("host-header-rewrite", "a", "\n", "/x"), None);
    }
}
