//! ListCertificates, by their ARNs.

use super::{error, names, view};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::acm::{ListCertificatesInput, ListCertificatesOutput};
use longshore_store::Snapshot;

const PAGE_MAX: usize = 1000;

pub fn list_certificates(
    state: &Snapshot,
    cx: &Cx,
    input: ListCertificatesInput,
) -> Result<ListCertificatesOutput, AwsError> {
    for (is_given, name) in [
        (input.certificate_key_pair_origins.is_some(), "CertificateKeyPairOrigins"),
        (input.sort_by.is_some(), "SortBy"),
        (input.sort_order.is_some(), "SortOrder"),
    ] {
        if is_given {
            return Err(error::unsupported(name));
        }
    }
    let includes = input.includes.unwrap_or_default();
    for (is_given, name) in [
        (includes.extended_key_usage.is_some_and(|list| !list.is_empty()), "Includes.extendedKeyUsage"),
        (includes.key_usage.is_some_and(|list| !list.is_empty()), "Includes.keyUsage"),
        (includes.export_option.is_some(), "Includes.exportOption"),
        (includes.managed_by.is_some(), "Includes.managedBy"),
    ] {
        if is_given {
            return Err(error::unsupported(name));
        }
    }
    let statuses = input.certificate_statuses.unwrap_or_default();
    // Without a filter, AWS lists RSA certificates of 1024 and 2048 bits only; here all are listed.
    let key_types = includes.key_types.unwrap_or_default();
    let rows = state.certificates().prefix(&cx.scope).filter(|row| {
        (statuses.is_empty() || statuses.iter().any(|status| status == view::status(row, cx.now)))
            && (key_types.is_empty() || key_types.contains(&row.key_algorithm))
    });
    let limit = input.max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let page = page::page(rows, |row| row.arn.clone(), input.next_token.as_deref(), limit)
        .map_err(|_| error::validation("The NextToken value is invalid."))?;
    let summaries = page.items.iter().map(|row| {
        let is_used = !names::users(state, &cx.scope, &row.arn).is_empty();
        view::summary(row, is_used, cx.now)
    });
    Ok(ListCertificatesOutput { certificate_summary_list: Some(summaries.collect()), next_token: page.next_token })
}
