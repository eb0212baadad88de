//! Why a request was not let in: AWS's words for the access log, the status, and the metric that counts it.

use http::StatusCode;

/// Reasons of `authenticate-oidc`, then those of `jwt-validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    InvalidNonce,
    MissingNonce,
    InvalidCookie,
    InvalidGrant,
    InvalidIdToken,
    InvalidState,
    MissingState,
    InvalidTokenResponse,
    InvalidUserinfoResponse,
    /// The provider answered the log-in with an error instead of a code.
    LoginFailed,
    /// The user said no to the provider, or the provider to the user.
    LoginDenied,
    MissingCode,
    MissingHost,
    TokenRequestFailed,
    TokenRequestTimeout,
    UserinfoRequestFailed,
    UserinfoRequestTimeout,
    UserinfoTooLarge,
    /// Keys or the client's secret cannot be read.
    Unready,
    JwtMissing,
    JwtMalformed,
    JwtSignature,
    JwtClaimMissing,
    JwtClaimFormat,
    JwtClaimValue,
    JwksRequestFailed,
    JwksRequestTimeout,
    JwksInvalid,
}

/// Which metric counts a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// `ELBAuthFailure`.
    Failure,
    /// `ELBAuthError`.
    Error,
    /// `ELBAuthUserClaimsSizeExceeded`.
    ClaimsTooLarge,
    /// `JwtValidationFailureCount`.
    Jwt,
}

impl Reason {
    /// The access log's `error_reason`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::InvalidNonce => "AuthInvalidAWSALBAuthNonce",
            Reason::MissingNonce => "AuthMissingAWSALBAuthNonce",
            Reason::InvalidCookie => "AuthInvalidCookie",
            Reason::InvalidGrant => "AuthInvalidGrantError",
            Reason::InvalidIdToken => "AuthInvalidIdToken",
            Reason::InvalidState => "AuthInvalidStateParam",
            Reason::MissingState => "AuthMissingStateParam",
            Reason::InvalidTokenResponse => "AuthInvalidTokenResponse",
            Reason::InvalidUserinfoResponse => "AuthInvalidUserinfoResponse",
            Reason::LoginFailed | Reason::LoginDenied | Reason::MissingCode => "AuthMissingCodeParam",
            Reason::MissingHost => "AuthMissingHostHeader",
            Reason::TokenRequestFailed => "AuthTokenEpRequestFailed",
            Reason::TokenRequestTimeout => "AuthTokenEpRequestTimeout",
            Reason::UserinfoRequestFailed => "AuthUserinfoEpRequestFailed",
            Reason::UserinfoRequestTimeout => "AuthUserinfoEpRequestTimeout",
            Reason::UserinfoTooLarge => "AuthUserinfoResponseSizeExceeded",
            Reason::Unready => "AuthUnhandledException",
            Reason::JwtMissing => "JWTHeaderNotPresent",
            Reason::JwtMalformed => "JWTRequestFormatInvalid",
            Reason::JwtSignature => "JWTSignatureValidationError",
            Reason::JwtClaimMissing => "JWTClaimNotPresent",
            Reason::JwtClaimFormat => "JWTClaimFormatInvalid",
            Reason::JwtClaimValue => "JWTClaimValueInvalid",
            Reason::JwksRequestFailed => "JWKSRequestFailed",
            Reason::JwksRequestTimeout => "JWKSRequestTimeout",
            Reason::JwksInvalid => "JWKSResponseInvalid",
        }
    }

    /// What the client is answered: 561 when the provider answered with an error, 500 when it cannot be reached.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Reason::LoginFailed | Reason::TokenRequestFailed | Reason::UserinfoRequestFailed => {
                StatusCode::from_u16(561).expect("three digits")
            }
            Reason::TokenRequestTimeout
            | Reason::UserinfoRequestTimeout
            | Reason::UserinfoTooLarge
            | Reason::Unready
            | Reason::JwksRequestFailed
            | Reason::JwksRequestTimeout
            | Reason::JwksInvalid => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    pub(crate) fn metric(self) -> Metric {
        match self {
            Reason::UserinfoTooLarge => Metric::ClaimsTooLarge,
            Reason::MissingHost
            | Reason::TokenRequestFailed
            | Reason::TokenRequestTimeout
            | Reason::UserinfoRequestFailed
            | Reason::UserinfoRequestTimeout
            | Reason::Unready => Metric::Error,
            _ if self.as_str().starts_with("JW") => Metric::Jwt,
            _ => Metric::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_statuses_and_metrics_of_the_user_guide() {
        for (reason, status, metric) in [
            (Reason::InvalidCookie, 401, Metric::Failure),
            (Reason::LoginDenied, 401, Metric::Failure),
            (Reason::LoginFailed, 561, Metric::Failure),
            (Reason::TokenRequestFailed, 561, Metric::Error),
            (Reason::TokenRequestTimeout, 500, Metric::Error),
            (Reason::UserinfoTooLarge, 500, Metric::ClaimsTooLarge),
            (Reason::JwtMissing, 401, Metric::Jwt),
            (Reason::JwksRequestTimeout, 500, Metric::Jwt),
        ] {
            assert_eq!((reason.status().as_u16(), reason.metric()), (status, metric), "{reason:?}");
        }
    }
}
