//! Names that arrive in URLs: repositories, tags, references, and the registry (account and region) they belong to.
//!
//! Each is parsed once, by hand, into a type that cannot be wrong; paths in the data directory are built of these
//! types only. None of them can hold `..`, a leading dot, a slash at an end, or a byte outside its grammar.

use std::borrow::Borrow;
use std::fmt;

use crate::digest::Digest;

/// Longest repository name. ECR permits 256, but clients count to 255 with the host, and a file name ends there too.
const REPOSITORY_NAME_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("repository name does not match the grammar of repository names")]
    Repository,
    #[error("tag does not match the grammar of tags")]
    Tag,
    #[error("account id is not 12 digits")]
    Account,
    #[error("region is not 1 to 32 lowercase letters, digits and hyphens")]
    Region,
}

/// A repository's name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, repeated with slashes between.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

impl RepositoryName {
    pub fn parse(text: &str) -> Result<RepositoryName, NameError> {
        let good = text.len() <= REPOSITORY_NAME_LENGTH_MAX && text.split('/').all(is_component);
        if good { Ok(RepositoryName(text.to_owned())) } else { Err(NameError::Repository) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one file name: `+` stands for `/` and occurs in no name.
    pub(crate) fn file_name(&self) -> String {
        self.0.replace('/', "+")
    }

    /// The inverse of [`RepositoryName::file_name`].
    pub(crate) fn from_file_name(file_name: &str) -> Option<RepositoryName> {
        if file_name.contains('/') {
            return None;
        }
        RepositoryName::parse(&file_name.replace('+', "/")).ok()
    }
}

/// Runs of letters and digits with single separators (`.`, `_`, `__` or any number of `-`) between.
fn is_component(component: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let mut at = 0;
    loop {
        let run = bytes[at..].iter().take_while(|b| is_alphanumeric(**b)).count();
        if run == 0 {
            return false; // empty, or begins or ends with a separator, or holds a foreign byte
        }
        at += run;
        match &bytes[at..] {
            [] => return true,
            [b'.', ..] => at += 1,
            [b'_', b'_', ..] => at += 2,
            [b'_', ..] => at += 1,
            [b'-', ..] => at += bytes[at..].iter().take_while(|b| **b == b'-').count(),
            _ => return false,
        }
    }
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    pub fn parse(text: &str) -> Result<Tag, NameError> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = text.len() <= TAG_LENGTH_MAX
            && text.bytes().next().is_some_and(is_word)
            && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-');
        if good { Ok(Tag(text.to_owned())) } else { Err(NameError::Tag) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What names a manifest in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

impl Reference {
    /// A colon makes it a digest: no tag holds one.
    pub fn parse(text: &str) -> Option<Reference> {
        if text.contains(':') {
            Digest::parse(text).ok().map(Reference::Digest)
        } else {
            Tag::parse(text).ok().map(Reference::Tag)
        }
    }
}

/// One registry: ECR has one for each account and region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    account: String,
    region: String,
}

impl Scope {
    /// `account`: 12 digits. `region`: for example `eu-west-1`.
    pub fn new(account: &str, region: &str) -> Result<Scope, NameError> {
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NameError::Account);
        }
        let is_region_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.is_empty() || region.len() > 32 || !region.bytes().all(is_region_byte) {
            return Err(NameError::Region);
        }
        Ok(Scope { account: account.to_owned(), region: region.to_owned() })
    }

    /// The registry that a host name such as `123456789012.dkr.ecr.eu-west-1.amazonaws.com` (with or without a port)
    /// names, if it names one.
    pub fn of_host(host: &str) -> Option<Scope> {
        let host = host.rsplit_once(':').map_or(host, |(name, _port)| name).to_ascii_lowercase();
        let (account, rest) = host.split_once('.')?;
        let region = rest.strip_prefix("dkr.ecr.")?.strip_suffix(".amazonaws.com")?;
        Scope::new(account, region).ok()
    }

    pub fn account(&self) -> &str {
        &self.account
    }

    pub fn region(&self) -> &str {
        &self.region
    }
}

/// A repository of a registry. It need not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryId {
    pub scope: Scope,
    pub name: RepositoryName,
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scope.account, self.scope.region, self.name)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => tag.fmt(f),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Tags are in the order of their bytes, so that sorted ones can be searched by text.
impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

macro_rules! plain_text {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
plain_text!(RepositoryName, Tag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        for good in ["a", "a/b", "a.b", "a_b", "a__b", "a-b", "a---b", "0/1/2", "library/nginx-1.27", &"a".repeat(255)]
        {
            assert_eq!(RepositoryName::parse(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            ".",
            "..",
            "a/../b",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "_a",
            "a_",
            "a b",
            "a%2fb",
            "a+b",
            "a\0",
            "é",
            "a/.",
            "a\\b",
            &"a".repeat(256),
        ] {
            assert_eq!(RepositoryName::parse(bad), Err(NameError::Repository), "{bad}");
        }
    }

    #[test]
    fn a_repository_name_survives_its_file_name() {
        let name = RepositoryName::parse("team/app/web__1").unwrap();
        assert_eq!(name.file_name(), "team+app+web__1");
        assert_eq!(RepositoryName::from_file_name(&name.file_name()), Some(name));
        assert_eq!(RepositoryName::from_file_name(".."), None);
    }

    #[test]
    fn tags_follow_the_grammar() {
        for good in ["latest", "_", "1.0-rc_1", &"a".repeat(128)] {
            assert!(Tag::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "a:b", "ü", &"a".repeat(129)] {
            assert_eq!(Tag::parse(bad), Err(NameError::Tag), "{bad}");
        }
    }

    #[test]
    fn references_are_tags_or_digests() {
        let digest = Digest::of(b"x");
        assert_eq!(Reference::parse(&digest.to_string()), Some(Reference::Digest(digest)));
        assert_eq!(Reference::parse("v1"), Some(Reference::Tag(Tag::parse("v1").unwrap())));
        assert_eq!(Reference::parse("sha256:short"), None);
    }

    #[test]
    fn the_ecr_host_names_a_registry() {
        let scope = Scope::new("123456789012", "eu-west-1").unwrap();
        assert_eq!(Scope::of_host("123456789012.dkr.ecr.eu-west-1.amazonaws.com"), Some(scope.clone()));
        assert_eq!(Scope::of_host("123456789012.DKR.ecr.eu-west-1.amazonaws.com:443"), Some(scope));
        for host in [
            "",
            "localhost:4566",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.a/b.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil",
        ] {
            assert_eq!(Scope::of_host(host), None, "{host}");
        }
    }
}
