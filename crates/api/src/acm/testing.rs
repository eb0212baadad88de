//! What tests of other services need of Certificate Manager.

use super::request_certificate::request_certificate;
use crate::testing::Fixture;
use longshore_aws_model::acm::RequestCertificateInput;

/// The ARN of a new certificate.
pub fn certificate(fixture: &Fixture, domain: &str) -> String {
    let input = RequestCertificateInput { domain_name: domain.to_owned(), ..Default::default() };
    let made = fixture.try_write(move |tx, cx| request_certificate(tx, cx, input)).expect("issued");
    made.certificate_arn.expect("an ARN")
}
