//! Security policies by AWS's names: which protocol versions and cipher suites a listener accepts.
//!
//! A policy is what a listener may agree on at most. The TLS engine has TLS 1.2 with forward-secret AEAD
//! suites and TLS 1.3, so that is what of each policy is in force: clients that know only TLS 1.0, TLS 1.1, CBC
//! or RSA key exchange are turned away even where the policy would have them. The policies that exist for the
//! sake of such clients are refused, as are those that promise a certified or post-quantum module.

use rustls::crypto::ring::cipher_suite as suite;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// What a listener without a policy has, as AWS's API has it.
pub(crate) const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

/// What is in force of a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Strongest preference first, as the policies list them.
    pub suites: &'static [SupportedCipherSuite],
}

/// Why a policy is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// AWS has no such policy.
    #[error("there is no such policy")]
    Unknown,
    /// For clients of TLS 1.0 or 1.1.
    #[error("it is for clients that know only TLS 1.0 or TLS 1.1, which are not served")]
    Legacy,
    /// A promise about the cryptographic module.
    #[error("it asks for a FIPS-validated cryptographic module")]
    Fips,
    /// Post-quantum key exchange.
    #[error("it asks for post-quantum key exchange")]
    PostQuantum,
}

static TLS13_ONLY: Policy = Policy { versions: &[&version::TLS13], suites: TLS13_SUITES };
static TLS13_AND_12: Policy = Policy { versions: &[&version::TLS13, &version::TLS12], suites: ALL_SUITES };
static TLS12_ONLY: Policy = Policy { versions: &[&version::TLS12], suites: TLS12_SUITES };

static TLS13_SUITES: &[SupportedCipherSuite] =
    &[suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_CHACHA20_POLY1305_SHA256];
static TLS12_SUITES: &[SupportedCipherSuite] = &[
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];
static ALL_SUITES: &[SupportedCipherSuite] = &[
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// The policies that are served.
static SERVED: [(&str, &Policy); 12] = [
    ("ELBSecurityPolicy-2016-08", &TLS12_ONLY),
    ("ELBSecurityPolicy-FS-1-2-2019-08", &TLS12_ONLY),
    ("ELBSecurityPolicy-FS-1-2-Res-2019-08", &TLS12_ONLY),
    ("ELBSecurityPolicy-FS-1-2-Res-2020-10", &TLS12_ONLY),
    ("ELBSecurityPolicy-FS-2018-06", &TLS12_ONLY),
    ("ELBSecurityPolicy-TLS-1-2-2017-01", &TLS12_ONLY),
    ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", &TLS12_ONLY),
    ("ELBSecurityPolicy-TLS13-1-2-2021-06", &TLS13_AND_12),
    ("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", &TLS13_AND_12),
    ("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", &TLS13_AND_12),
    ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", &TLS13_AND_12),
    ("ELBSecurityPolicy-TLS13-1-3-2021-06", &TLS13_ONLY),
];

/// Looks a policy up by name.
pub(crate) fn find(name: &str) -> Result<&'static Policy, PolicyError> {
    if let Some((_, policy)) = SERVED.iter().find(|(served, _)| *served == name) {
        return Ok(policy);
    }
    match name {
        "ELBSecurityPolicy-TLS13-1-1-2021-06"
        | "ELBSecurityPolicy-TLS13-1-0-2021-06"
        | "ELBSecurityPolicy-TLS-1-0-2015-04"
        | "ELBSecurityPolicy-TLS-1-1-2017-01"
        | "ELBSecurityPolicy-FS-1-1-2019-08"
        | "ELBSecurityPolicy-2015-05" => Err(PolicyError::Legacy),
        name if !name.starts_with("ELBSecurityPolicy-TLS13-") => Err(PolicyError::Unknown),
        name if name.contains("-PQ-") => Err(PolicyError::PostQuantum),
        name if name.contains("-FIPS-") => Err(PolicyError::Fips),
        _ => Err(PolicyError::Unknown),
    }
}

/// What is in force of a policy, in the words of AWS's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its name.
    pub name: &'static str,
    /// `TLSv1.3`, `TLSv1.2`.
    pub protocols: Vec<&'static str>,
    /// Strongest preference first.
    pub ciphers: Vec<&'static str>,
}

/// All policies that are served, by name. For whoever shows them to users.
pub fn served() -> impl Iterator<Item = InForce> {
    SERVED.iter().map(|(name, policy)| InForce {
        name,
        protocols: policy.versions.iter().map(|version| version_name(version.version)).collect(),
        ciphers: policy.suites.iter().map(|suite| suite_name(suite.suite())).collect(),
    })
}

/// Why a policy by this name is not served; `None` when it is. For whoever takes names from users.
pub fn refusal(name: &str) -> Option<PolicyError> {
    find(name).err()
}

/// A version by the name that AWS's headers, logs and policies have for it.
pub(crate) fn version_name(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "-",
    }
}

/// A suite by the name that AWS's headers and logs have for it (OpenSSL's).
pub(crate) fn suite_name(suite: rustls::CipherSuite) -> &'static str {
    use rustls::CipherSuite as Suite;
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        _ => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_served_or_refused_for_a_reason() {
        assert_eq!(find(DEFAULT).unwrap().versions, &[&version::TLS12]);
        assert_eq!(find("ELBSecurityPolicy-TLS13-1-3-2021-06").unwrap().versions, &[&version::TLS13]);
        for (name, reason) in [
            ("ELBSecurityPolicy-TLS-1-0-2015-04", PolicyError::Legacy),
            ("ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04", PolicyError::Fips),
            ("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", PolicyError::PostQuantum),
            ("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09", PolicyError::PostQuantum),
            ("ELBSecurityPolicy-2099-01", PolicyError::Unknown),
            ("anything", PolicyError::Unknown),
        ] {
            assert_eq!(refusal(name), Some(reason), "{name}");
        }
    }
}
