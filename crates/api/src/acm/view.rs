//! Stored certificates as the API shows them.

use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::acm as wire;
use longshore_types::Timestamp;
use longshore_types::acm::{Certificate, Origin};

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

pub fn detail(row: &Certificate, users: Vec<String>, now: Timestamp) -> wire::CertificateDetail {
    let is_imported = row.origin == Origin::Imported;
    let validation = |name: &String| wire::DomainValidation {
        domain_name: Some(name.clone()),
        validation_domain: Some(name.clone()),
        validation_status: text("SUCCESS"),
        validation_method: text("DNS"),
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
        imported_at: time(row.created_at).filter(|_| is_imported),
        status: text(status(row, now)),
        not_before: time(row.not_before),
        not_after: time(row.not_after),
        key_algorithm: text(&row.key_algorithm),
        signature_algorithm: text(&row.signature_algorithm),
        in_use_by: Some(users),
        r#type: text(kind(row)),
        renewal_eligibility: text("INELIGIBLE"),
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
        imported_at: time(row.created_at).filter(|_| is_imported),
        ..Default::default()
    }
}
