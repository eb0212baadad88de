//! What a certificate says, and how one is made.

use super::error;
use longshore_aws_model::AwsError;
use longshore_types::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::time::Duration;
use x509_parser::prelude::*;

/// Certificates made here are good for 13 months, as AWS's are.
const VALID_FOR: Duration = Duration::from_secs(395 * 86_400);

/// What is shown of a certificate.
#[derive(Debug, PartialEq)]
pub struct Facts {
    pub domain: String,
    pub names: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub serial: String,
    pub subject: String,
    pub issuer: String,
    pub key_algorithm: &'static str,
    pub signature_algorithm: &'static str,
}

/// What a private key is sealed for.
pub fn key_place(arn: &str) -> String {
    format!("acm {arn}")
}

/// Checks that a certificate, its issuers' and its key can be served now, and reads the certificate.
pub fn read(body: &[u8], chain: Option<&[u8]>, key: &[u8], now: Timestamp) -> Result<Facts, AwsError> {
    let leaf = match certificates(body).as_deref() {
        Some([leaf]) => leaf.clone(),
        Some([_, ..]) => {
            return Err(error::validation(
                "The certificate field contains more than one certificate. You can specify only one certificate in this field.",
            ));
        }
        _ => return Err(unreadable("certificate")),
    };
    let mut all = vec![leaf.clone()];
    if let Some(chain) = chain {
        all.extend(certificates(chain).filter(|list| !list.is_empty()).ok_or_else(|| unreadable("certificate chain"))?);
    }
    check_chain(&all)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unreadable("private key"))?;
    CertifiedKey::from_der(all, key, &rustls::crypto::ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => error::validation("The certificate body does not match the private key."),
        _ => error::validation("The private key is not supported."),
    })?;
    let facts = facts(&leaf)?;
    if !(facts.not_before..=facts.not_after).contains(&now) {
        return Err(error::validation(
            "The certificate is not valid now. The current time must be between its Not Before and Not After.",
        ));
    }
    Ok(facts)
}

/// Each certificate has to be signed by the next.
fn check_chain(all: &[CertificateDer<'_>]) -> Result<(), AwsError> {
    let parse = |der| X509Certificate::from_der(der).map_err(|_| unreadable("certificate chain"));
    for pair in all.windows(2) {
        let ((_, signed), (_, signer)) = (parse(&pair[0])?, parse(&pair[1])?);
        let is_signed = match signed.verify_signature(Some(signer.public_key())) {
            // Those of P-521 and of short RSA keys cannot be checked here, but their names can.
            Err(X509Error::SignatureUnsupportedAlgorithm) => true,
            Err(_) => is_short_rsa(signer.public_key()),
            Ok(()) => true,
        };
        if signed.issuer() != signer.subject() || !is_signed {
            return Err(error::validation("Could not validate the certificate with the certificate chain."));
        }
    }
    Ok(())
}

fn is_short_rsa(key: &SubjectPublicKeyInfo<'_>) -> bool {
    key_algorithm(key) == Some("RSA_1024")
}

fn unreadable(noun: &str) -> AwsError {
    error::validation(format!("Unable to parse {noun}. Please make sure the {noun} is in PEM format."))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()
}

fn facts(leaf: &CertificateDer<'_>) -> Result<Facts, AwsError> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| unreadable("certificate"))?;
    let common = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let mut names: Vec<String> = common.map(str::to_owned).into_iter().collect();
    if let Ok(Some(alternatives)) = parsed.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            if let GeneralName::DNSName(name) = name
                && !names.iter().any(|known| known == name)
            {
                names.push((*name).to_owned());
            }
        }
    }
    let time = |at: ASN1Time| Timestamp(at.timestamp() * 1000);
    Ok(Facts {
        domain: names.first().cloned().unwrap_or_default(),
        not_before: time(parsed.validity().not_before),
        not_after: time(parsed.validity().not_after),
        serial: parsed.raw_serial_as_string(),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        key_algorithm: key_algorithm(parsed.public_key()).ok_or_else(unsupported_algorithm)?,
        signature_algorithm: signature_algorithm(&parsed).ok_or_else(unsupported_algorithm)?,
        names,
    })
}

fn unsupported_algorithm() -> AwsError {
    error::validation("The certificate's key or signature algorithm is not supported: it must be RSA (PKCS #1) or EC.")
}

fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static str> {
    use x509_parser::public_key::PublicKey;
    let name = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => match rsa.key_size() {
            0..=1024 => "RSA_1024",
            1025..=2048 => "RSA_2048",
            2049..=3072 => "RSA_3072",
            _ => "RSA_4096",
        },
        Ok(PublicKey::EC(point)) => match point.key_size() {
            0..=256 => "EC_prime256v1",
            257..=384 => "EC_secp384r1",
            _ => "EC_secp521r1",
        },
        _ => return None,
    };
    Some(name)
}

fn signature_algorithm(parsed: &X509Certificate<'_>) -> Option<&'static str> {
    let name = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        _ => return None,
    };
    Some(name)
}

/// A certificate and its key in PEM, signed by itself: who trusts it trusts it alone.
pub fn make(names: &[String], key_algorithm: &str, now: Timestamp) -> Result<(String, String), AwsError> {
    let algorithm = match key_algorithm {
        "EC_secp384r1" => &rcgen::PKCS_ECDSA_P384_SHA384,
        _ => &rcgen::PKCS_ECDSA_P256_SHA256,
    };
    let failed = |error: rcgen::Error| error::invalid_parameter(format!("The certificate cannot be made: {error}"));
    let mut params = rcgen::CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, names.first().map_or("", String::as_str));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // A client's clock may be a little behind.
    let seconds = u64::try_from(now.0 / 1000).unwrap_or_default();
    params.not_before = epoch + Duration::from_secs(seconds.saturating_sub(3600));
    params.not_after = epoch + Duration::from_secs(seconds) + VALID_FOR;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate_for(algorithm).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_read() {
        let names = ["web.example.com".to_owned(), "*.example.com".to_owned()];
        let now = Timestamp(1_700_000_000_000);
        let (body, key) = make(&names, "EC_prime256v1", now).expect("made");
        let facts = read(body.as_bytes(), None, key.as_bytes(), now).expect("read");
        assert_eq!(facts.names, names);
        assert_eq!((facts.key_algorithm, facts.signature_algorithm), ("EC_prime256v1", "SHA256WITHECDSA"));
        assert_eq!(facts.not_after.0 - now.0, VALID_FOR.as_millis() as i64);
        assert_eq!(facts.subject, "CN=web.example.com");
        let (_, other) = make(&names, "EC_prime256v1", now).expect("made");
        let refused = |body: &str, key: &str| read_at(body, None, key, now).expect_err("refused").message;
        assert_eq!(refused(&body, &other), "The certificate body does not match the private key.");
        assert!(refused("x", &key).starts_with("Unable to parse certificate."));
        assert!(refused(&body, "x").starts_with("Unable to parse private key."));
        assert!(refused(&format!("{body}{body}"), &key).contains("more than one certificate"));
    }

    fn read_at(body: &str, chain: Option<&str>, key: &str, now: Timestamp) -> Result<Facts, AwsError> {
        read(body.as_bytes(), chain.map(str::as_bytes), key.as_bytes(), now)
    }

    #[test]
    fn what_is_over_or_not_yet_good_is_refused() {
        let now = Timestamp(1_700_000_000_000);
        let (body, key) = make(&["web.example.com".to_owned()], "EC_prime256v1", now).expect("made");
        for (at, is_good) in [
            (now + Duration::from_secs(60), true),
            (Timestamp(now.0 - 86_400_000), false),
            (now + VALID_FOR + Duration::from_secs(1), false),
        ] {
            assert_eq!(read_at(&body, None, &key, at).is_ok(), is_good, "{at:?}");
        }
    }

    #[test]
    fn a_chain_has_to_lead_from_each_to_its_signer() {
        let issuer = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().expect("a key");
            let pem = params.self_signed(&key).expect("signed").pem();
            (pem, rcgen::Issuer::new(params, key))
        };
        let ((own, signer), (namesake, _), (other, _)) = (issuer("ca"), issuer("ca"), issuer("other"));
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["web.example.com".to_owned()]).expect("a name");
        let leaf = params.signed_by(&key, &signer).expect("signed").pem();
        let now = Timestamp(1_700_000_000_000);
        let read = |chain: &str| read_at(&leaf, Some(chain), &key.serialize_pem(), now).map(|facts| facts.domain);
        assert!(read(&own).is_ok());
        for wrong in [&namesake, &other, &format!("{own}{other}")] {
            let refused = read(wrong).expect_err("refused").message;
            assert_eq!(refused, "Could not validate the certificate with the certificate chain.");
        }
    }

    #[test]
    fn keys_that_are_neither_rsa_nor_ec_are_refused() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let params = rcgen::CertificateParams::new(["web.example.com".to_owned()]).expect("a name");
        let body = params.self_signed(&key).expect("signed").pem();
        let refused = read_at(&body, None, &key.serialize_pem(), Timestamp(1_700_000_000_000));
        assert!(refused.expect_err("refused").message.contains("must be RSA (PKCS #1) or EC"));
    }

    /// `openssl` made it: a certificate signed by a key of P-521, valid for a hundred years.
    #[test]
    fn a_signature_that_cannot_be_checked_is_believed() {
        let chain = certificates(include_bytes!("p521-chain.pem")).expect("certificates");
        check_chain(&chain).expect("a chain");
        let turned = [chain[1].clone(), chain[0].clone()];
        assert!(check_chain(&turned).is_err(), "its names are checked");
    }
}
