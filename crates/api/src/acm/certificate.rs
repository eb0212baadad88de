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

/// Checks that a certificate, its issuers' and its key can be served, and reads the certificate.
pub fn read(body: &[u8], chain: Option<&[u8]>, key: &[u8]) -> Result<Facts, AwsError> {
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
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unreadable("private key"))?;
    CertifiedKey::from_der(all, key, &rustls::crypto::ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => error::validation("The certificate body does not match the private key."),
        _ => error::validation("The private key is not supported."),
    })?;
    facts(&leaf)
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
        key_algorithm: key_algorithm(parsed.public_key()),
        signature_algorithm: signature_algorithm(&parsed),
        names,
    })
}

fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> &'static str {
    use x509_parser::public_key::PublicKey;
    match key.parsed() {
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
        _ => "RSA_2048",
    }
}

fn signature_algorithm(parsed: &X509Certificate<'_>) -> &'static str {
    match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        _ => "SHA256WITHRSA",
    }
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
        let facts = read(body.as_bytes(), None, key.as_bytes()).expect("read");
        assert_eq!(facts.names, names);
        assert_eq!((facts.key_algorithm, facts.signature_algorithm), ("EC_prime256v1", "SHA256WITHECDSA"));
        assert_eq!(facts.not_after.0 - now.0, VALID_FOR.as_millis() as i64);
        assert_eq!(facts.subject, "CN=web.example.com");
        let (_, other) = make(&names, "EC_prime256v1", now).expect("made");
        let refused = |body: &str, key: &str| read(body.as_bytes(), None, key.as_bytes()).expect_err("refused").message;
        assert_eq!(refused(&body, &other), "The certificate body does not match the private key.");
        assert!(refused("x", &key).starts_with("Unable to parse certificate."));
        assert!(refused(&body, "x").starts_with("Unable to parse private key."));
        assert!(refused(&format!("{body}{body}"), &key).contains("more than one certificate"));
    }
}
