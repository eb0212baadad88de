//! Seals values for the disk: AES-256-GCM under the data directory's key.
//!
//! Each value is bound to where it stands (an ARN and a version), so that nobody who can write the store, and does not have
//! the key, can put one secret's value in another's place. Nonces are random: with 96 bits, two values meet after some
//! 2^32 of them, which no account writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_types::sealed::Sealed;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::sync::Arc;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Holds the key. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<LessSafeKey>);

/// Sealed under another key, for another place, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be decrypted with this data directory's key")]
pub struct CannotOpen;

impl Vault {
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the length is the algorithm's");
        Self(Arc::new(LessSafeKey::new(key)))
    }

    /// `place` says what the value belongs to; the same is needed to open it.
    pub fn seal(&self, place: &str, value: &[u8]) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the kernel has randomness on every machine that runs containers");
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(value);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut bytes[NONCE_LEN..],
            )
            .expect("a request is far shorter than what one key may seal at once");
        bytes.extend_from_slice(tag.as_ref());
        Sealed(STANDARD.encode(bytes))
    }

    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Vec<u8>, CannotOpen> {
        let mut bytes = STANDARD.decode(&sealed.0).map_err(|_| CannotOpen)?;
        let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let value = self.0.open_in_place(nonce, Aad::from(place.as_bytes()), rest).map_err(|_| CannotOpen)?;
        Ok(value.to_vec())
    }
}

/// The key stays out of logs.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_place_open_a_value() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal("a:1", b"hunter2");
        assert_eq!(vault.open("a:1", &sealed).as_deref(), Ok(b"hunter2".as_slice()));
        assert_eq!(vault.open("a:2", &sealed), Err(CannotOpen));
        assert_eq!(Vault::new(&[8; 32]).open("a:1", &sealed), Err(CannotOpen));
        assert!(!format!("{sealed:?}{vault:?}").contains(&sealed.0));
    }

    #[test]
    fn equal_values_look_different_and_damage_is_seen() {
        let vault = Vault::new(&[7; 32]);
        assert_ne!(vault.seal("a", b"x"), vault.seal("a", b"x"));
        assert_eq!(vault.open("a", &vault.seal("a", b"")).as_deref(), Ok(b"".as_slice()));
        for damaged in ["", "AAAA", "%", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(vault.open("a", &Sealed(damaged.to_owned())), Err(CannotOpen));
        }
    }
}
