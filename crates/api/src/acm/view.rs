//! Stored certificates as the API shows them.

use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::acm as wire;
use longshore_types::Timestamp;
use longshore_types::acm::{Certificate, Origin};
use longshore_types::arn::Arn;
use sha2::{Digest, Sha256};

/// Certificates end by their own date.
pub fn status(row: &Certificate, now: Timestamp) -> &'static str {
    if row.not_after.0 < now.0 { "EXPIRED" } else { "ISSUED" }
}

fn kind(row: &Certificate) -> &'static str {
    match row.origin {
        Origin::Imported => "IMPORTED",
        Origin::Issued => "AMAZON_ISSUED",
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn time(at: Timestamp) -> Option<WireTime> {
    Some(WireTime(at.0))
}

fn imported_at(row: &Certificate) -> Option<WireTime> {
    let at = row.imported_at.unwrap_or(row.created_at);
    time(at).filter(|_| row.origin == Origin::Imported)
}

/// The record that would prove whose domain it is: the same for each certificate of a domain in an account, and for its
/// wildcard. Nobody looks it up here, but tools make it and wait for the certificate.
fn validation_record(row: &Certificate, name: &str) -> wire::ResourceRecord {
    let domain = name.strip_prefix("*.").unwrap_or(name);
    let account = Arn::parse(&row.arn).map_or("", |arn| arn.account);
    let hex = |part: &str, bytes: usize| {
        let digest = Sha256::digest(format!("acm validation {part}\0{account}\0{domain}"));
        crate::hex(&digest[..bytes])
    };
    wire::ResourceRecord {
        name: Some(format!("_{}.{domain}.", hex("name", 16))),
        r#type: text("CNAME"),
        value: Some(format!("_{}.{}.acm-validations.aws.", hex("value", 16), hex("zone", 5))),
    }
}

pub fn detail(row: &Certificate, users: Vec<String>, now: Timestamp) -> wire::CertificateDetail {
    let is_imported = row.origin == Origin::Imported;
    let validation = |name: &String| wire::DomainValidation {
        domain_name: Some(name.clone()),
        validation_domain: Some(name.clone()),
        validation_status: text("SUCCESS"),
        validation_method: text("DNS"),
        resource_record: Some(validation_record(row, name)),
        ..Default::default()
    };
    wire::CertificateDetail {
        certificate_arn: text(&row.arn),
        domain_name: text(&row.domain),
        subject_alternative_names: Some(row.names.clone()),
        domain_validation_options: (!is_imported).then(|| row.names.iter().map(validation).collect()),
        serial: text(&row.serial),
        subject: text(&row.subject),
        issuer: text(&row.issuer),
        created_at: time(row.created_at),
        issued_at: time(row.created_at).filter(|_| !is_imported),
        imported_at: imported_at(row),
        status: text(status(row, now)),
        not_before: time(row.not_before),
        not_after: time(row.not_after),
        key_algorithm: text(&row.key_algorithm),
        signature_algorithm: text(&row.signature_algorithm),
        in_use_by: Some(users),
        r#type: text(kind(row)),
        renewal_eligibility: text("INELIGIBLE"),
        options: Some(wire::CertificateOptions {
            certificate_transparency_logging_preference: text(if row.logs_transparency {
                "ENABLED"
            } else {
                "DISABLED"
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn summary(row: &Certificate, is_used: bool, now: Timestamp) -> wire::CertificateSummary {
    let is_imported = row.origin == Origin::Imported;
    wire::CertificateSummary {
        certificate_arn: text(&row.arn),
        domain_name: text(&row.domain),
        subject_alternative_name_summaries: Some(row.names.clone()),
        has_additional_subject_alternative_names: Some(false),
        status: text(status(row, now)),
        r#type: text(kind(row)),
        key_algorithm: text(&row.key_algorithm),
        in_use: Some(is_used),
        renewal_eligibility: text("INELIGIBLE"),
        not_before: time(row.not_before),
        not_after: time(row.not_after),
        created_at: time(row.created_at),
        issued_at: time(row.created_at).filter(|_| !is_imported),
        imported_at: imported_at(row),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::acm::describe_certificate::describe_certificate;
    use crate::acm::request_certificate::request_certificate;
    use crate::testing::Fixture;
    use longshore_aws_model::acm::{DescribeCertificateInput, RequestCertificateInput};

    #[test]
    fn each_name_has_the_record_of_its_domain() {
        let fixture = Fixture::new();
        let records = |domain: &str| -> Vec<(String, String)> {
            let input = RequestCertificateInput {
                domain_name: domain.to_owned(),
                subject_alternative_names: Some(vec![format!("*.{domain}"), format!("api.{domain}")]),
                ..Default::default()
            };
            let made = fixture.try_write(move |tx, cx| request_certificate(tx, cx, input)).expect("issued");
            let input = DescribeCertificateInput { certificate_arn: made.certificate_arn.expect("an ARN") };
            let output = fixture.read(|state, cx| describe_certificate(state, cx, input)).expect("a certificate");
            let options = output.certificate.and_then(|one| one.domain_validation_options).expect("options");
            let record = options.into_iter().map(|option| option.resource_record.expect("a record"));
            let cname = record.inspect(|record| assert_eq!(record.r#type.as_deref(), Some("CNAME")));
            cname.map(|record| record.name.zip(record.value).expect("a name and its value")).collect()
        };
        let first = records("example.com");
        assert_eq!(first, records("example.com"), "the same each time");
        let [own, wildcard, api] = &first[..] else { panic!("three names: {first:?}") };
        assert_eq!(own, wildcard);
        assert!(own.0 != api.0 && own.1 != api.1 && api.0.ends_with(".api.example.com."), "{own:?} {api:?}");
        let labels: Vec<&str> = own.1.split('.').collect();
        let [token, zone, "acm-validations", "aws", ""] = labels[..] else { panic!("{labels:?}") };
        assert_eq!((own.0.len(), token.len(), zone.len()), ("_.example.com.".len() + 32, 33, 10));
    }
}
