//! DescribeCertificate, and GetCertificate: the text without its key.

use super::{names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::acm::*;
use longshore_store::Snapshot;

pub fn describe_certificate(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeCertificateInput,
) -> Result<DescribeCertificateOutput, AwsError> {
    let row = names::existing(state, &cx.scope, &input.certificate_arn)?;
    let users = names::users(state, &cx.scope, &row.arn);
    Ok(DescribeCertificateOutput { certificate: Some(view::detail(&row, users, cx.now)) })
}

pub fn get_certificate(
    state: &Snapshot,
    cx: &Cx,
    input: GetCertificateInput,
) -> Result<GetCertificateOutput, AwsError> {
    let row = names::existing(state, &cx.scope, &input.certificate_arn)?;
    // Where there is no chain, AWS answers the certificate again; of one that signed itself it is the truth.
    let chain = row.chain.as_ref().unwrap_or(&row.body);
    Ok(GetCertificateOutput { certificate: Some(row.body.clone()), certificate_chain: Some(chain.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acm::testing::certificate;
    use crate::testing::Fixture;

    #[test]
    fn a_certificate_without_a_chain_is_its_own() {
        let fixture = Fixture::new();
        let input = GetCertificateInput { certificate_arn: certificate(&fixture, "web.example.com") };
        let output = fixture.read(|state, cx| get_certificate(state, cx, input)).expect("a certificate");
        assert!(output.certificate.as_ref().is_some_and(|text| text.starts_with("-----BEGIN CERTIFICATE-----")));
        assert_eq!(output.certificate_chain, output.certificate);
    }
}
