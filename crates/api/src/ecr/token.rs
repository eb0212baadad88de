//! Registry passwords: signed statements that need no row. `account/region/expiry/access key`, and an HMAC over it.
//!
//! What the password allows is what its access key allows when it is used; see `server::catalogue`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use longshore_types::{Scope, Timestamp};
use sha2::Sha256;

const MAC_BYTES: usize = 32;

pub(crate) fn mac(secret: &str, statement: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(statement);
    mac
}

/// In the place of the access key: the node, whose pulls were checked when they were decided.
pub const NODE: &str = "node";

/// What a password was issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    pub scope: Scope,
    /// Whose it is, or [`NODE`].
    pub access_key: String,
}

/// A password that is good for the account's registries until `expires_at`.
pub fn issue(secret: &str, scope: &Scope, access_key: &str, expires_at: Timestamp) -> String {
    let mut token = format!("{}/{}/{}/{access_key}", scope.account, scope.region, expires_at.0).into_bytes();
    let signature = mac(secret, &token).finalize().into_bytes();
    token.extend_from_slice(&signature);
    URL_SAFE_NO_PAD.encode(token)
}

/// What a password was issued for, if we issued it and its time is not over. Compares in constant time.
pub fn verify(secret: &str, token: &str, now: Timestamp) -> Option<Granted> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (statement, signature) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
    mac(secret, statement).verify_slice(signature).ok()?;
    let mut parts = std::str::from_utf8(statement).ok()?.splitn(4, '/');
    let scope = Scope::new(parts.next()?, parts.next()?);
    let is_good = parts.next()?.parse::<i64>().ok()? > now.0;
    // Passwords of earlier versions name nobody.
    let access_key = parts.next().unwrap_or_default().to_owned();
    is_good.then_some(Granted { scope, access_key })
}

/// A layer that a download address is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub scope: Scope,
    pub repository: String,
    pub digest: String,
}

/// No part of a statement can hold this.
const LAYER_MARK: &str = "layer|";

/// The signed part of a download address, good until `expires_at`.
pub fn issue_layer(secret: &str, layer: &Layer, expires_at: Timestamp) -> String {
    let Layer { scope, repository, digest } = layer;
    let mut token =
        format!("{LAYER_MARK}{}|{}|{repository}|{digest}|{}", scope.account, scope.region, expires_at.0).into_bytes();
    let signature = mac(secret, &token).finalize().into_bytes();
    token.extend_from_slice(&signature);
    URL_SAFE_NO_PAD.encode(token)
}

/// The layer that an address is good for, if we issued it and its time is not over.
pub fn verify_layer(secret: &str, token: &str, now: Timestamp) -> Option<Layer> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (statement, signature) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
    mac(secret, statement).verify_slice(signature).ok()?;
    let mut parts = std::str::from_utf8(statement).ok()?.strip_prefix(LAYER_MARK)?.split('|');
    let scope = Scope::new(parts.next()?, parts.next()?);
    let (repository, digest) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    (parts.next()?.parse::<i64>().ok()? > now.0).then_some(Layer { scope, repository, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_passwords_are_good_and_only_in_time() {
        let scope = Scope::new("123456789012", "us-east-1");
        let token = issue("secret", &scope, "AKIA/X", Timestamp(100));
        assert_eq!(verify("secret", &token, Timestamp(99)), Some(Granted { scope, access_key: "AKIA/X".to_owned() }));
        assert_eq!(verify("secret", &token, Timestamp(100)), None);
        assert_eq!(verify("other", &token, Timestamp(99)), None);
        let mut changed = token.clone().into_bytes();
        changed[3] ^= 1;
        assert_eq!(verify("secret", &String::from_utf8_lossy(&changed), Timestamp(99)), None);
        assert_eq!(verify("secret", "", Timestamp(0)), None);
    }
}
