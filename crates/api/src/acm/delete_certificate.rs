//! DeleteCertificate: of those that no listener uses.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::acm::{DeleteCertificateInput, DeleteCertificateOutput};
use longshore_store::Tx;

pub fn delete_certificate(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteCertificateInput,
) -> Result<DeleteCertificateOutput, AwsError> {
    let row = names::existing(tx, &cx.scope, &input.certificate_arn)?;
    if !names::users(tx, &cx.scope, &row.arn).is_empty() {
        return Err(error::in_use(&row.arn));
    }
    tx.certificates().remove(&(cx.scope.clone(), row.arn.clone()));
    Ok(DeleteCertificateOutput::default())
}
