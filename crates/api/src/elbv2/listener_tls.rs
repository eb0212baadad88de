//! Certificates and security policies of HTTPS listeners.

use super::error;
use super::{limits, ssl_policies};
use crate::acm;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{Certificate, codes};
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::elbv2::Listener;

/// What a listener is told about TLS, before it is stored.
#[derive(Debug, Default)]
pub struct Given {
    pub certificates: Option<Vec<Certificate>>,
    pub ssl_policy: Option<String>,
}

/// Brings a listener's certificates and policy in line with its protocol and with what is given. The default
/// certificate is the first; the others stay.
pub fn apply(state: &Snapshot, scope: &Scope, row: &mut Listener, given: Given) -> Result<(), AwsError> {
    let certificates = given.certificates.filter(|list| !list.is_empty());
    let policy = given.ssl_policy.filter(|name| !name.is_empty());
    if row.protocol != "HTTPS" {
        if certificates.is_some() {
            return Err(error::validation("Certificates cannot be specified for HTTP listeners"));
        }
        if policy.is_some() {
            return Err(error::validation("An SSL policy cannot be specified for HTTP listeners"));
        }
        row.certificates.clear();
        row.ssl_policy = None;
        return Ok(());
    }
    if let Some(list) = certificates {
        let [only] = arns(state, scope, list)?.try_into().map_err(|_| {
            AwsError::new(codes::TOO_MANY_CERTIFICATES, "Only one certificate can be specified for a listener")
        })?;
        row.certificates.retain(|arn| *arn != only);
        if !row.certificates.is_empty() {
            row.certificates.remove(0);
        }
        row.certificates.insert(0, only);
    }
    if row.certificates.is_empty() {
        return Err(error::validation("A certificate must be specified for HTTPS listeners"));
    }
    if let Some(name) = policy {
        ssl_policies::check(&name)?;
        row.ssl_policy = Some(name);
    }
    row.ssl_policy.get_or_insert_with(|| ssl_policies::DEFAULT.to_owned());
    Ok(())
}

/// Adds certificates that are chosen by the name a client asks for.
pub fn add(state: &Snapshot, scope: &Scope, row: &mut Listener, list: Vec<Certificate>) -> Result<(), AwsError> {
    if row.protocol != "HTTPS" {
        return Err(error::validation("Certificates can only be added to HTTPS listeners"));
    }
    for arn in arns(state, scope, list)? {
        if !row.certificates.contains(&arn) {
            row.certificates.push(arn);
        }
    }
    // The default ones do not count.
    let others = limits::listeners(state, scope, &row.load_balancer).filter(|listener| listener.arn != row.arn);
    let others = others.map(|listener| listener.certificates.len().saturating_sub(1)).sum::<usize>();
    limits::check(&limits::CERTIFICATES, others + row.certificates.len() - 1)
}

/// Removes certificates; the default one only goes with another in its place.
pub fn remove(row: &mut Listener, list: Vec<Certificate>) -> Result<(), AwsError> {
    for certificate in list {
        let arn = certificate.certificate_arn.unwrap_or_default();
        if row.certificates.first() == Some(&arn) {
            return Err(error::not_permitted("Default certificate cannot be removed from the listener"));
        }
        row.certificates.retain(|known| *known != arn);
    }
    Ok(())
}

fn arns(state: &Snapshot, scope: &Scope, list: Vec<Certificate>) -> Result<Vec<String>, AwsError> {
    list.into_iter()
        .map(|certificate| {
            if certificate.is_default.is_some() {
                return Err(error::validation("IsDefault cannot be specified"));
            }
            let arn = certificate.certificate_arn.unwrap_or_default();
            match acm::find(state, scope, &arn) {
                Some(_) => Ok(arn),
                None => Err(AwsError::new(codes::CERTIFICATE_NOT_FOUND, format!("Certificate '{arn}' not found"))),
            }
        })
        .collect()
}
