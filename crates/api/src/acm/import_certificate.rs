//! ImportCertificate: a new one, or another in the place of one that was imported before.

use super::{certificate, error, names, tags};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::acm::{ImportCertificateInput, ImportCertificateOutput};
use longshore_store::Tx;
use longshore_types::acm::{Certificate, Origin};

pub fn import_certificate(
    tx: &mut Tx,
    cx: &Cx,
    input: ImportCertificateInput,
) -> Result<ImportCertificateOutput, AwsError> {
    let former = match input.certificate_arn.as_deref() {
        Some(arn) => Some(names::existing(tx, &cx.scope, arn)?),
        None => None,
    };
    let tags = match (&former, input.tags.filter(|tags| !tags.is_empty())) {
        (Some(_), Some(_)) => {
            return Err(error::validation("Tagging is not permitted on re-import."));
        }
        (Some(former), None) => former.tags.clone(),
        (None, given) => tags::parse(given.unwrap_or_default())?,
    };
    if former.as_ref().is_some_and(|former| former.origin != Origin::Imported) {
        return Err(error::validation("Only certificates that were imported can be reimported."));
    }
    let chain = input.certificate_chain.filter(|chain| !chain.is_empty());
    let facts = certificate::read(&input.certificate, chain.as_deref(), &input.private_key, cx.now)?;
    if former.as_ref().is_some_and(|former| former.domain != facts.domain) {
        return Err(error::validation("The domain name of a reimported certificate cannot change."));
    }
    let arn = former.as_ref().map_or_else(|| names::arn(&cx.scope, &cx.ids().uuid()), |former| former.arn.clone());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let row = Certificate {
        arn: arn.clone(),
        private_key: cx.settings.vault.seal(&certificate::key_place(&arn), &input.private_key),
        body: text(input.certificate),
        chain: chain.map(text),
        origin: Origin::Imported,
        domain: facts.domain,
        names: facts.names,
        not_before: facts.not_before,
        not_after: facts.not_after,
        serial: facts.serial,
        subject: facts.subject,
        issuer: facts.issuer,
        key_algorithm: facts.key_algorithm.to_owned(),
        signature_algorithm: facts.signature_algorithm.to_owned(),
        created_at: former.as_ref().map_or(cx.now, |former| former.created_at),
        imported_at: Some(cx.now),
        logs_transparency: true,
        idempotency_token: None,
        tags,
    };
    tx.certificates().put((cx.scope.clone(), arn.clone()), row);
    Ok(ImportCertificateOutput { certificate_arn: Some(arn) })
}
