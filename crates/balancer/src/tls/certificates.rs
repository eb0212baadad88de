//! The certificates of one listener, chosen by the name a client asks for.
//!
//! An exact name goes before a wildcard, a wildcard (`*.example.com`) covers one label, and of several
//! certificates for a name the first is taken whose key the client can verify. A client that asks for no name,
//! or for one no certificate has, gets the default certificate.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Certificate;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The chain is no PEM text with at least one certificate.
    #[error("certificate `{arn}`: its chain is not readable: {reason}")]
    Chain {
        /// Certificate ARN.
        arn: String,
        /// What is wrong.
        reason: String,
    },
    /// The private key's file.
    #[error("certificate `{arn}`: cannot read its private key {path}: {reason}")]
    Key {
        /// Certificate ARN.
        arn: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Key and certificate do not belong together, or the key is of a kind the engine lacks.
    #[error("certificate `{arn}`: its private key cannot be used: {reason}")]
    Pair {
        /// Certificate ARN.
        arn: String,
        /// What is wrong.
        reason: String,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Lower-case DNS names and wildcards, each with its certificates in the listener's order.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Arc<CertifiedKey>,
    /// ARNs by the leaf's bytes, for the access log.
    arns: HashMap<Vec<u8>, Arc<str>>,
}

impl Certificates {
    /// Reads certificates and keys; the first one is the default.
    pub(super) fn load(certificates: &[Certificate]) -> Result<Option<Certificates>, CertificateError> {
        let mut loaded = Vec::new();
        for certificate in certificates {
            loaded.push((certificate, Arc::new(load(certificate)?)));
        }
        let Some((_, default)) = loaded.first() else { return Ok(None) };
        let default = default.clone();
        let mut by_name: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        let mut arns = HashMap::new();
        for (certificate, key) in &loaded {
            let leaf = &key.cert[0];
            arns.entry(leaf.to_vec()).or_insert_with(|| Arc::from(certificate.arn.as_str()));
            for name in names(leaf) {
                by_name.entry(name).or_default().push(key.clone());
            }
        }
        Ok(Some(Certificates { by_name, default, arns }))
    }

    /// The certificate for a name; `is_usable` says whether the client can verify a key.
    fn choose(&self, name: Option<&str>, is_usable: impl Fn(&CertifiedKey) -> bool) -> Arc<CertifiedKey> {
        let find = |name: &str| {
            let keys = self.by_name.get(name)?;
            keys.iter().find(|key| is_usable(key)).or(keys.first())
        };
        let named = name
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .and_then(|name| find(&name).or_else(|| find(&format!("*.{}", name.split_once('.')?.1))));
        named.unwrap_or(&self.default).clone()
    }

    /// The ARN of the certificate that a client who asked for `name` was shown.
    pub(super) fn arn(&self, name: Option<&str>, is_usable: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<str>> {
        self.arns.get(self.choose(name, is_usable).cert[0].as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name(), |key| key.key.choose_scheme(hello.signature_schemes()).is_some()))
    }
}

pub(super) fn load(certificate: &Certificate) -> Result<CertifiedKey, CertificateError> {
    let arn = || certificate.arn.clone();
    let chain = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| CertificateError::Chain { arn: arn(), reason: error.to_string() })?;
    if chain.is_empty() {
        return Err(CertificateError::Chain { arn: arn(), reason: "it holds no certificate".to_owned() });
    }
    let key = read_key(&certificate.private_key_file).map_err(|reason| CertificateError::Key {
        arn: arn(),
        path: certificate.private_key_file.clone(),
        reason,
    })?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|error| CertificateError::Pair { arn: arn(), reason: error.to_string() })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| error.to_string())
}

/// The DNS names a certificate is for: its alternative names. (A common name alone counts no more.)
fn names(leaf: &CertificateDer<'_>) -> Vec<String> {
    match webpki::EndEntityCert::try_from(leaf) {
        Ok(parsed) => parsed.valid_dns_names().map(str::to_ascii_lowercase).collect(),
        // It still serves as the default.
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(folder: &Path, arn: &str, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let private_key_file = folder.join(format!("{arn}.key"));
        std::fs::write(&private_key_file, made.signing_key.serialize_pem()).unwrap();
        Certificate { arn: arn.to_owned(), chain_pem: made.cert.pem(), private_key_file }
    }

    #[test]
    fn exact_names_go_before_wildcards_and_those_before_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let made = [
            certificate(folder.path(), "default", &["first.example"]),
            certificate(folder.path(), "wild", &["*.shop.example", "shop.example"]),
            certificate(folder.path(), "exact", &["api.Shop.example"]),
        ];
        let certificates = Certificates::load(&made).unwrap().unwrap();
        let check = |name: Option<&str>, arn: &str| {
            assert_eq!(certificates.arn(name, |_| true).as_deref(), Some(arn), "{name:?}");
        };
        check(Some("API.shop.example"), "exact");
        check(Some("api.shop.example."), "exact");
        check(Some("www.shop.example"), "wild");
        check(Some("shop.example"), "wild");
        check(Some("a.b.shop.example"), "default");
        check(Some("other.example"), "default");
        check(None, "default");
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let good = certificate(folder.path(), "good", &["a.example"]);
        let other = certificate(folder.path(), "other", &["a.example"]);
        let error = |certificate: Certificate| Certificates::load(&[certificate]).unwrap_err().to_string();
        assert!(error(Certificate { chain_pem: String::new(), ..good.clone() }).contains("no certificate"));
        let missing = Certificate { private_key_file: "/nonexistent".into(), ..good.clone() };
        assert!(error(missing).contains("/nonexistent"));
        let mixed = Certificate { private_key_file: other.private_key_file, ..good };
        assert!(error(mixed).contains("`good`: its private key cannot be used"));
    }
}
