//! Why a request to a registry failed, sorted by what can be done about it.
//!
//! The texts follow containerd's, because ECS shows containerd's in `stoppedReason` and people search for them.

use std::error::Error as StdError;
use std::io;

use oci_client::errors::{OciDistributionError, OciErrorCode};

/// What a request ran into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The registry does not have it.
    #[error("not found")]
    NotFound,
    /// Credentials are missing, wrong or not sufficient.
    #[error("pull access denied, repository does not exist or may require authorization: {0}")]
    Denied(String),
    /// The registry asks for patience (429).
    #[error("unexpected status code 429 Too Many Requests - Server message: toomanyrequests: {0}")]
    RateLimited(String),
    /// Nothing listens there.
    #[error("failed to do request: dial tcp: connect: connection refused: {0}")]
    Refused(String),
    /// The host's name has no address.
    #[error("failed to do request: dial tcp: lookup: no such host: {0}")]
    NoHost(String),
    /// No answer in time.
    #[error("failed to do request: i/o timeout: {0}")]
    Timeout(String),
    /// The certificate, or TLS itself, was refused.
    #[error("failed to do request: tls: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("failed to do request: {0}")]
    Broken(String),
    /// The registry failed (5xx).
    #[error("unexpected status code {code}: {message}")]
    Unavailable { code: u16, message: String },
    /// The registry refused the request (other 4xx), or does not speak the protocol.
    #[error("{0}")]
    Rejected(String),
    /// The content is not what its digest or size says.
    #[error("content verification failed: {0}")]
    Mismatch(String),
}

impl Cause {
    /// True if the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited(_) | Self::Refused(_) | Self::Timeout(_) | Self::Broken(_) | Self::Unavailable { .. } => {
                true
            }
            Self::NotFound
            | Self::Denied(_)
            | Self::NoHost(_)
            | Self::Tls(_)
            | Self::Rejected(_)
            | Self::Mismatch(_) => false,
        }
    }

    /// Sorts a client error. `what` names the request: a URL's host and path.
    pub(crate) fn of(error: OciDistributionError, what: &str) -> Self {
        use OciDistributionError as E;
        match error {
            E::RequestError(e) if e.is_timeout() => Self::Timeout(what.to_owned()),
            E::RequestError(e) => Self::of_chain(&e, what),
            E::IoError(e) => Self::of_chain(&e, what),
            E::UnauthorizedError { .. } => Self::Denied("authorization failed: no basic auth credentials".to_owned()),
            E::AuthenticationFailure(reason) => Self::Denied(format!("authorization failed: {}", short(&reason))),
            E::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(e) => Self::of_code(&e.code, &e.message),
                None => Self::Rejected(format!("the registry refused {what} without a reason")),
            },
            E::ServerError { code, message, .. } => Self::of_status(code, &message, what),
            E::DigestError(e) => Self::Mismatch(e.to_string()),
            other => Self::Rejected(format!("{what}: {other}")),
        }
    }

    fn of_code(code: &OciErrorCode, message: &str) -> Self {
        use OciErrorCode as C;
        match code {
            C::ManifestUnknown | C::NameUnknown | C::NotFound | C::BlobUnknown => Self::NotFound,
            C::Unauthorized | C::Denied => Self::Denied(format!("server message: {}", short(message))),
            C::Toomanyrequests => Self::RateLimited(short(message)),
            other => Self::Rejected(format!("{other:?}: {}", short(message))),
        }
    }

    fn of_status(code: u16, message: &str, what: &str) -> Self {
        match code {
            404 => Self::NotFound,
            401 | 403 => Self::Denied(format!("unexpected status code {code} from {what}: {}", short(message))),
            408 => Self::Timeout(what.to_owned()),
            429 => Self::RateLimited(short(message)),
            500.. => Self::Unavailable { code, message: format!("{what}: {}", short(message)) },
            _ => Self::Rejected(format!("unexpected status code {code} from {what}: {}", short(message))),
        }
    }

    /// Looks for the cause below wrappers, whose own texts say little ("error sending request").
    pub(crate) fn of_chain(error: &(dyn StdError + 'static), what: &str) -> Self {
        let mut text = error.to_string();
        let mut next = Some(error);
        while let Some(error) = next {
            text = error.to_string();
            let inner = error.downcast_ref::<io::Error>();
            match inner.map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => return Self::Refused(what.to_owned()),
                Some(io::ErrorKind::TimedOut) => return Self::Timeout(what.to_owned()),
                _ => {}
            }
            if error.is::<rustls::Error>() {
                return Self::Tls(format!("{what}: {error}"));
            }
            if text.contains("failed to lookup address") || text.contains("dns error") {
                return Self::NoHost(what.to_owned());
            }
            if text.contains("timed out") {
                return Self::Timeout(what.to_owned());
            }
            // An io::Error that wraps another error shows that one's source, not itself.
            next = match inner.and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        Self::Broken(format!("{what}: {text}"))
    }
}

/// Foreign text, cut to the length of a message.
fn short(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_transient() {
        assert!(Cause::of_status(503, "", "x").is_transient());
        assert!(Cause::of_status(429, "slow down", "x").is_transient());
        assert!(!Cause::of_status(404, "", "x").is_transient());
        assert!(!Cause::of_status(403, "no", "x").is_transient());
        assert!(!Cause::of_code(&OciErrorCode::NameUnknown, "").is_transient());
    }

    #[test]
    fn the_cause_is_found_below_wrappers() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped = io::Error::other(io::Error::other(refused));
        assert_eq!(Cause::of_chain(&wrapped, "h"), Cause::Refused("h".into()));
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer");
        assert_eq!(Cause::of_chain(&reset, "h"), Cause::Broken("h: reset by peer".into()));
    }
}
