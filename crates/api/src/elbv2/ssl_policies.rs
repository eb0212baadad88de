//! Security policies, as far as they are served, and DescribeSSLPolicies.
//!
//! What is shown of a policy is what is in force of it: TLS 1.2 with forward-secret AEAD suites, and TLS 1.3.

use super::error;
use super::list::Paging;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{Cipher, DescribeSSLPoliciesInput, DescribeSSLPoliciesOutput, SslPolicy, codes};
use longshore_store::Snapshot;

/// Of a listener that names none.
pub const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

const TLS13: &[&str] = &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const TLS12: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

/// Names of the policies that are served, with whether they have TLS 1.3 and TLS 1.2.
pub const SERVED: &[(&str, bool, bool)] = &[
    ("ELBSecurityPolicy-2016-08", false, true),
    ("ELBSecurityPolicy-FS-1-2-2019-08", false, true),
    ("ELBSecurityPolicy-FS-1-2-Res-2019-08", false, true),
    ("ELBSecurityPolicy-FS-1-2-Res-2020-10", false, true),
    ("ELBSecurityPolicy-FS-2018-06", false, true),
    ("ELBSecurityPolicy-TLS-1-2-2017-01", false, true),
    ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", false, true),
    ("ELBSecurityPolicy-TLS13-1-2-2021-06", true, true),
    ("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", true, true),
    ("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", true, true),
    ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", true, true),
    ("ELBSecurityPolicy-TLS13-1-3-2021-06", true, false),
];

/// Whether a policy is served; of AWS's others, the error says that they are not.
pub fn check(name: &str) -> Result<(), AwsError> {
    if SERVED.iter().any(|(served, ..)| *served == name) {
        return Ok(());
    }
    // Those for clients of TLS 1.0 and 1.1, and those that promise a certified or post-quantum module.
    const OTHERS: &[&str] = &["TLS-1-0-2015-04", "TLS-1-1-2017-01", "FS-1-1-2019-08", "2015-05"];
    let rest = name.strip_prefix("ELBSecurityPolicy-").unwrap_or_default();
    match OTHERS.contains(&rest) || rest.starts_with("TLS13-") {
        true => Err(error::unsupported(format_args!("The SSL policy '{name}'"))),
        false => Err(not_found(name)),
    }
}

fn not_found(name: &str) -> AwsError {
    AwsError::new(codes::SSL_POLICY_NOT_FOUND, format!("SSL policy '{name}' not found"))
}

pub fn describe_ssl_policies(
    _: &Snapshot,
    _: &Cx,
    input: DescribeSSLPoliciesInput,
) -> Result<DescribeSSLPoliciesOutput, AwsError> {
    let names = input.names.unwrap_or_default();
    if let Some(unknown) = names.iter().find(|name| !SERVED.iter().any(|(served, ..)| served == name)) {
        return Err(not_found(unknown));
    }
    let is_other = input.load_balancer_type.as_deref().is_some_and(|kind| kind != "application");
    let chosen = SERVED.iter().filter(|(name, ..)| !is_other && (names.is_empty() || names.iter().any(|n| n == name)));
    let paging = Paging { marker: input.marker.as_deref(), page_size: input.page_size };
    let (items, next_marker) = paging.page(chosen, |(name, ..)| name.to_string())?;
    let policies = items.into_iter().map(|(name, tls13, tls12)| view(name, *tls13, *tls12)).collect();
    Ok(DescribeSSLPoliciesOutput { ssl_policies: Some(policies), next_marker })
}

/// A policy as it is shown.
pub fn view(name: &str, tls13: bool, tls12: bool) -> SslPolicy {
    let both = [(tls13, "TLSv1.3", TLS13), (tls12, "TLSv1.2", TLS12)];
    let served = || both.iter().filter(|(is_served, ..)| *is_served);
    let ciphers = served().flat_map(|(_, _, ciphers)| ciphers.iter()).zip(1..);
    SslPolicy {
        name: Some(name.to_owned()),
        ssl_protocols: Some(served().map(|(_, protocol, _)| (*protocol).to_owned()).collect()),
        ciphers: Some(
            ciphers
                .map(|(name, priority)| Cipher { name: Some((*name).to_owned()), priority: Some(priority) })
                .collect(),
        ),
        supported_load_balancer_types: Some(vec!["application".to_owned()]),
    }
}
