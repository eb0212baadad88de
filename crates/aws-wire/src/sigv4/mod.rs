//! AWS Signature Version 4: what a signed request says of itself ([`Credential`]), and whether its signature is right
//! ([`check`]).
//!
//! Pure: the caller brings the secret's derived [`SigningKey`] and the time. Nothing here knows which keys exist.

mod canonical;
mod credential;
mod verify;

pub use canonical::SignedRequest;
pub use credential::{Credential, parse_header};
pub use verify::{BadSignature, MAX_SKEW, Mode, SigningKey, authorization, check, string_to_sign, timestamp};
