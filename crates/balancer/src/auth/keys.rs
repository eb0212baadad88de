//! The keys of authentication: one seals what the balancer gives to browsers, one signs what it tells targets.
//!
//! They come from a file that outlives the balancer, so that sessions do, and all workers have the same.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::{Deserialize, Serialize};

/// What a P-256 point is wrapped in to be a public key of X.509.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const NO_RANDOMNESS: &str = "the kernel has randomness";

/// See the module.
pub struct Keys {
    seal: LessSafeKey,
    signer: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file.
    #[error("cannot read the keys of authentication {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is in it.
    #[error("the keys of authentication are damaged")]
    Damaged,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// 32 bytes in base64.
    cookie_key: String,
    /// P-256 in PKCS #8, in base64.
    signing_key: String,
}

impl Keys {
    /// New keys, as text for a file that nobody else may read.
    pub fn generate() -> String {
        let random = SystemRandom::new();
        let mut cookie_key = [0; 32];
        random.fill(&mut cookie_key).expect(NO_RANDOMNESS);
        let signing_key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect(NO_RANDOMNESS);
        let stored = Stored { cookie_key: STANDARD.encode(cookie_key), signing_key: STANDARD.encode(signing_key) };
        serde_json::to_string(&stored).expect("texts serialize")
    }

    /// Reads what [`Keys::generate`] made.
    pub fn parse(text: &str) -> Result<Keys, KeysError> {
        let stored: Stored = serde_json::from_str(text).map_err(|_| KeysError::Damaged)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| KeysError::Damaged);
        let seal = UnboundKey::new(&AES_256_GCM, &decode(&stored.cookie_key)?).map_err(|_| KeysError::Damaged)?;
        let random = SystemRandom::new();
        let pkcs8 = decode(&stored.signing_key)?;
        let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random);
        let signer = signer.map_err(|_| KeysError::Damaged)?;
        let id = digest::digest(&digest::SHA256, signer.public_key().as_ref());
        let hex: String = id.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let key_id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        Ok(Keys { seal: LessSafeKey::new(seal), signer, key_id, random })
    }

    /// Reads them from their file.
    pub fn load(path: &Path) -> Result<Keys, KeysError> {
        let text = std::fs::read_to_string(path).map_err(|source| KeysError::Read { path: path.to_owned(), source })?;
        Keys::parse(&text)
    }

    /// What tokens call the key that signed them: a UUID made of the public key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key in PEM.
    pub fn public_key_pem(&self) -> String {
        let encoded = STANDARD.encode([&SPKI_HEAD, self.signer.public_key().as_ref()].concat());
        let (first, second) = encoded.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    /// Encrypts and authenticates; opens in the same place only.
    pub(super) fn seal(&self, place: &str, mut value: Vec<u8>) -> String {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).expect(NO_RANDOMNESS);
        self.seal
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut value)
            .expect("a cookie is far shorter than what one key may seal at once");
        value.splice(0..0, nonce);
        URL_SAFE_NO_PAD.encode(value)
    }

    pub(super) fn open(&self, place: &str, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        Some(self.seal.open_in_place(nonce, Aad::from(place.as_bytes()), rest).ok()?.to_vec())
    }

    /// A JSON web token. AWS pads its parts, which the standard forbids; applications expect it.
    pub(super) fn sign(&self, header: &serde_json::Value, payload: &serde_json::Value) -> String {
        let mut token = URL_SAFE.encode(header.to_string());
        token.push('.');
        URL_SAFE.encode_string(payload.to_string(), &mut token);
        let signature = self.signer.sign(&self.random, token.as_bytes()).expect(NO_RANDOMNESS);
        token.push('.');
        URL_SAFE.encode_string(signature, &mut token);
        token
    }

    /// Nobody can guess it.
    pub(super) fn nonce(&self) -> String {
        let mut bytes = [0; 12];
        self.random.fill(&mut bytes).expect(NO_RANDOMNESS);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// They stay out of logs.
impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({})", self.key_id)
    }
}

#[cfg(test)]
pub(super) fn test_keys() -> Keys {
    Keys::parse(&Keys::generate()).unwrap()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_in_its_place_alone() {
        let text = Keys::generate();
        let keys = Keys::parse(&text).unwrap();
        let sealed = keys.seal("lb/a", b"who".to_vec());
        assert_eq!(Keys::parse(&text).unwrap().open("lb/a", &sealed).as_deref(), Some(&b"who"[..]));
        assert_eq!(keys.open("lb/b", &sealed), None);
        assert_eq!(test_keys().open("lb/a", &sealed), None);
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[index] = if damaged[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.open("lb/a", std::str::from_utf8(&damaged).unwrap()), None, "byte {index}");
        }
        for bad in ["", "AAAA", "%%", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(keys.open("lb/a", bad), None);
        }
        assert_ne!(keys.seal("x", b"a".to_vec()), keys.seal("x", b"a".to_vec()));
    }

    #[test]
    fn the_published_key_verifies_what_was_signed() {
        let keys = test_keys();
        let token = keys.sign(&serde_json::json!({ "alg": "ES256" }), &serde_json::json!({ "sub": "u" }));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(keys.public_key_pem().as_bytes()).unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &spki.as_ref()[SPKI_HEAD.len()..]);
        let signature = URL_SAFE.decode(signature).unwrap();
        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
        assert!(key.verify(b"else", &signature).is_err());
        assert_eq!(keys.key_id().len(), 36);
        assert!(!format!("{keys:?}").contains("signing"));
    }

    #[test]
    fn damaged_keys_are_refused() {
        for bad in ["", "{}", r#"{"cookie_key":"AA==","signing_key":"AA=="}"#] {
            assert!(matches!(Keys::parse(bad), Err(KeysError::Damaged)));
        }
        assert!(Keys::load(Path::new("/nonexistent")).unwrap_err().to_string().contains("/nonexistent"));
    }
}
