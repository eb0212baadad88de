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
    Ok(GetCertificateOutput { certificate: Some(row.body.clone()), certificate_chain: row.chain.clone() })
}
