//! RequestCertificate: made at once and signed by itself, since nobody here validates domains.

use super::{certificate, error, names, tags};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::acm::{RequestCertificateInput, RequestCertificateOutput};
use longshore_store::Tx;
use longshore_types::acm::{Certificate, Origin};

/// Names beside the first.
const ALTERNATIVES_MAX: usize = 9;

pub fn request_certificate(
    tx: &mut Tx,
    cx: &Cx,
    input: RequestCertificateInput,
) -> Result<RequestCertificateOutput, AwsError> {
    if input.certificate_authority_arn.is_some() {
        return Err(error::unsupported("CertificateAuthorityArn"));
    }
    if input.managed_by.is_some() {
        return Err(error::unsupported("ManagedBy"));
    }
    if input.domain_validation_options.is_some_and(|options| !options.is_empty()) {
        return Err(error::unsupported("DomainValidationOptions"));
    }
    let options = input.options.unwrap_or_default();
    if options.export.as_deref() == Some("ENABLED") {
        return Err(error::unsupported("Options.Export"));
    }
    let logs_transparency = options.certificate_transparency_logging_preference.as_deref() != Some("DISABLED");
    let methods = [&options.validation_method, &input.validation_method];
    if let Some(method) = methods.into_iter().flatten().find(|method| *method != "DNS") {
        return Err(error::unsupported(format_args!("The validation method '{method}'")));
    }
    let algorithm = match input.key_algorithm.as_deref() {
        None => "EC_prime256v1",
        Some(known @ ("EC_prime256v1" | "EC_secp384r1")) => known,
        Some(other) => return Err(error::unsupported(format_args!("The key algorithm '{other}'"))),
    };
    let mut all = vec![input.domain_name.to_ascii_lowercase()];
    for name in input.subject_alternative_names.unwrap_or_default() {
        let name = name.to_ascii_lowercase();
        if !all.contains(&name) {
            all.push(name);
        }
    }
    if let Some(bad) = all.iter().find(|name| !is_domain(name)) {
        return Err(error::invalid_parameter(format!("'{bad}' is not a valid domain name")));
    }
    if all.len() > ALTERNATIVES_MAX + 1 {
        return Err(AwsError::new(
            longshore_aws_model::acm::codes::LIMIT_EXCEEDED_EXCEPTION,
            format!("A certificate can have at most {} domain names", ALTERNATIVES_MAX + 1),
        ));
    }
    let token = input.idempotency_token;
    if let Some(token) = &token {
        let same = tx.certificates().prefix(&cx.scope).find(|row| {
            row.idempotency_token.as_ref() == Some(token) && row.names == all && cx.now.0 - row.created_at.0 < 3_600_000
        });
        if let Some(same) = same {
            return Ok(RequestCertificateOutput { certificate_arn: Some(same.arn.clone()) });
        }
    }
    let tags = tags::parse(input.tags.unwrap_or_default())?;
    let (body, key) = certificate::make(&all, algorithm, cx.now)?;
    let facts = certificate::read(body.as_bytes(), None, key.as_bytes(), cx.now)?;
    let arn = names::arn(&cx.scope, &cx.ids().uuid());
    let row = Certificate {
        arn: arn.clone(),
        private_key: cx.settings.vault.seal(&certificate::key_place(&arn), key.as_bytes()),
        body,
        chain: None,
        origin: Origin::Issued,
        domain: facts.domain,
        names: all,
        not_before: facts.not_before,
        not_after: facts.not_after,
        serial: facts.serial,
        subject: facts.subject,
        issuer: facts.issuer,
        key_algorithm: facts.key_algorithm.to_owned(),
        signature_algorithm: facts.signature_algorithm.to_owned(),
        created_at: cx.now,
        imported_at: None,
        logs_transparency,
        idempotency_token: token,
        tags,
    };
    tx.certificates().put((cx.scope.clone(), arn.clone()), row);
    Ok(RequestCertificateOutput { certificate_arn: Some(arn) })
}

/// Labels of letters, digits and hyphens; the first may be an asterisk.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let rest = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253 && rest.contains('.') && rest.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_request_is_issued_at_once_and_repeated_by_its_token() {
        let fixture = Fixture::new();
        let request =
            |input: RequestCertificateInput| fixture.try_write(move |tx, cx| request_certificate(tx, cx, input));
        let input = RequestCertificateInput {
            domain_name: "Web.Example.com".to_owned(),
            subject_alternative_names: Some(vec!["*.example.com".to_owned(), "web.example.com".to_owned()]),
            idempotency_token: Some("once".to_owned()),
            ..Default::default()
        };
        let arn = request(input.clone()).expect("issued").certificate_arn;
        assert_eq!(request(input.clone()).expect("the same").certificate_arn, arn);
        fixture.read(|state, cx| {
            let row = names::existing(state, &cx.scope, arn.as_deref().expect("an ARN")).expect("a row");
            assert_eq!(row.names, ["web.example.com", "*.example.com"]);
            assert!(!row.private_key.0.contains("PRIVATE"), "the key is sealed");
        });
        let refused = |input| request(input).expect_err("refused").message;
        let bad = RequestCertificateInput { domain_name: "a_b".to_owned(), ..Default::default() };
        assert_eq!(refused(bad), "'a_b' is not a valid domain name");
        let rsa = RequestCertificateInput { key_algorithm: Some("RSA_2048".to_owned()), ..input.clone() };
        assert_eq!(refused(rsa), "The key algorithm 'RSA_2048' is not supported by Longshore yet.");
        let mail = RequestCertificateInput { validation_method: Some("EMAIL".to_owned()), ..input };
        assert_eq!(refused(mail), "The validation method 'EMAIL' is not supported by Longshore yet.");
    }
}
