//! Whether a signature is right, and the words in which AWS says that it is not.

use super::canonical::SignedRequest;
use super::credential::Credential;
use crate::time;
use hmac::{Hmac, Mac};
use longshore_aws_model::{AwsError, Protocol, Timestamp, TimestampFormat};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How far a client's clock may be off.
pub const MAX_SKEW: Duration = Duration::from_secs(300);
/// A presigned URL is good for a week at most.
const EXPIRES_MAX: u32 = 7 * 24 * 3600;
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// What one service of one region signs with on one day: derived from a secret access key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Four HMACs: worth keeping, since a client signs with the same key all day.
    pub fn derive(secret_access_key: &str, date: &str, region: &str, service: &str) -> Self {
        let key = hmac(format!("AWS4{secret_access_key}").as_bytes(), date.as_bytes());
        let key = hmac(&key, region.as_bytes());
        let key = hmac(&key, service.as_bytes());
        Self(hmac(&key, b"aws4_request"))
    }

    fn sign(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(text.as_bytes());
        mac
    }
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// The `Authorization` header for a request of ours, all of whose headers are signed: `host` and `x-amz-date` (see
/// [`timestamp`]) are among them.
pub fn authorization(
    request: &SignedRequest<'_>,
    access_key: &str,
    secret_access_key: &str,
    region: &str,
    service: &str,
) -> String {
    let mut signed_headers: Vec<String> = request.headers.iter().map(|(name, _)| (*name).to_owned()).collect();
    signed_headers.sort_unstable();
    let timestamp = request.header("x-amz-date").unwrap_or_default().to_owned();
    let date = timestamp.get(..8).unwrap_or_default().to_owned();
    let key = SigningKey::derive(secret_access_key, &date, region, service);
    let credential = Credential {
        access_key: access_key.to_owned(),
        date,
        region: region.to_owned(),
        service: service.to_owned(),
        signed_headers,
        signature: String::new(),
        timestamp: Some(timestamp),
        session_token: None,
        is_presigned: false,
        expires: None,
        content_sha256: None,
    };
    let text = string_to_sign(request, &credential, Mode::Normalized).expect("it has a time, and claims no hash");
    let signature: String = key.sign(&text).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let Credential { date, signed_headers, .. } = credential;
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{date}/{region}/{service}/aws4_request, SignedHeaders={}, Signature={signature}",
        signed_headers.join(";")
    )
}

/// Whether the path is put in order before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As all services but S3.
    Normalized,
    /// As S3.
    AsSent,
}

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadSignature {
    /// No signature at all.
    Missing,
    /// The signature lacks a part; the text says which.
    Incomplete(String),
    /// No such access key.
    UnknownKey,
    /// The session token is missing, or another session's.
    BadToken,
    /// The session is over.
    TokenExpired,
    /// The clock is off, or the presigned URL too old; the text says by how much.
    Expired(String),
    /// The signature, or what it must cover, is wrong.
    Mismatch(String),
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

impl BadSignature {
    fn mismatch() -> Self {
        Self::Mismatch(MISMATCH.to_owned())
    }

    /// The error as the protocol's services name it.
    pub fn into_error(self, protocol: Protocol) -> AwsError {
        let json = !matches!(protocol, Protocol::Query | Protocol::Ec2 | Protocol::RestXml);
        let bad_token = "The security token included in the request is invalid.";
        let pick = |json_code, query_code, ec2_code| match protocol {
            _ if json => json_code,
            Protocol::Ec2 => ec2_code,
            _ => query_code,
        };
        let (code, text) = match self {
            Self::Missing => (
                pick("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AuthFailure"),
                match protocol {
                    Protocol::Ec2 => {
                        "AWS was not able to authenticate the request: access credentials are missing".into()
                    }
                    Protocol::Query => "Request is missing Authentication Token".to_owned(),
                    _ => "Missing Authentication Token".to_owned(),
                },
            ),
            Self::Incomplete(text) => {
                (pick("IncompleteSignatureException", "IncompleteSignature", "IncompleteSignature"), text)
            }
            Self::UnknownKey | Self::BadToken if protocol == Protocol::Ec2 => {
                ("AuthFailure", "AWS was not able to validate the provided access credentials".to_owned())
            }
            Self::UnknownKey | Self::BadToken => {
                (pick("UnrecognizedClientException", "InvalidClientTokenId", ""), bad_token.to_owned())
            }
            Self::TokenExpired => (
                pick("ExpiredTokenException", "ExpiredToken", "RequestExpired"),
                "The security token included in the request is expired".to_owned(),
            ),
            Self::Expired(_) if protocol == Protocol::Ec2 => ("RequestExpired", "Request has expired.".to_owned()),
            Self::Expired(text) | Self::Mismatch(text) => {
                (pick("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"), text)
            }
        };
        let status = match (json, code) {
            // REST has a status for it, which JSON and CBOR leave to the code.
            (true, _) if protocol == Protocol::RestJson => 403,
            (true, _) | (_, "IncompleteSignature" | "RequestExpired") => 400,
            (_, "AuthFailure") => 401,
            _ => 403,
        };
        AwsError::new(code, text).with_status(status)
    }
}

/// Checks time, scope, what must be signed, and the signature. `service` is the signing name of the service that was
/// asked, e.g. `elasticloadbalancing`.
pub fn check(
    request: &SignedRequest<'_>,
    credential: &Credential,
    key: &SigningKey,
    service: &str,
    mode: Mode,
    now: Timestamp,
) -> Result<(), BadSignature> {
    check_scope(credential, service)?;
    check_time(request, credential, now)?;
    for must in ["host", "x-amz-target"] {
        let is_there = must == "host" || request.header(must).is_some();
        if is_there && !credential.signed_headers.iter().any(|name| name == must) {
            return Err(BadSignature::Mismatch(match must {
                "host" => "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header.".to_owned(),
                _ => format!("'{must}' must be a 'SignedHeader' in the AWS Authorization header."),
            }));
        }
    }
    let text = string_to_sign(request, credential, mode)?;
    let mut signature = [0; 32];
    let is_right = decode_hex(&credential.signature, &mut signature)
        // In constant time.
        && key.sign(&text).verify_slice(&signature).is_ok();
    if is_right { Ok(()) } else { Err(BadSignature::mismatch()) }
}

/// The text that is signed: the canonical request's hash with its time and scope.
pub fn string_to_sign(
    request: &SignedRequest<'_>,
    credential: &Credential,
    mode: Mode,
) -> Result<String, BadSignature> {
    let payload_hash = payload_hash(request, credential)?;
    let canonical =
        request.canonical(&credential.signed_headers, &payload_hash, credential.is_presigned, mode == Mode::Normalized);
    let Credential { date, region, service, .. } = credential;
    let time = time_text(request, credential)?;
    Ok(format!("AWS4-HMAC-SHA256\n{time}\n{date}/{region}/{service}/aws4_request\n{}", hash(canonical.as_bytes())))
}

/// What the client says the body's hash is has to be true, if it says so.
fn payload_hash(request: &SignedRequest<'_>, credential: &Credential) -> Result<String, BadSignature> {
    let said = request.header("x-amz-content-sha256").or(credential.content_sha256.as_deref());
    if said == Some(UNSIGNED_PAYLOAD) {
        return Ok(UNSIGNED_PAYLOAD.to_owned());
    }
    let body = hash(request.body);
    if said.is_some_and(|said| !said.eq_ignore_ascii_case(&body)) {
        return Err(BadSignature::mismatch());
    }
    Ok(body)
}

fn check_scope(credential: &Credential, service: &str) -> Result<(), BadSignature> {
    if credential.service != service {
        let text = format!("Credential should be scoped to correct service: '{service}'. ");
        return Err(BadSignature::Mismatch(text));
    }
    Ok(())
}

/// The time as the client wrote it, `20150830T123600Z`: of `X-Amz-Date`, else of `Date`.
fn time_text(request: &SignedRequest<'_>, credential: &Credential) -> Result<String, BadSignature> {
    if let Some(text) = &credential.timestamp {
        return Ok(text.clone());
    }
    let missing = || {
        let authorization = request.header("authorization").unwrap_or_default();
        BadSignature::Incomplete(format!(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization={authorization}"
        ))
    };
    let date = request.header("date").and_then(time::parse).ok_or_else(missing)?;
    Ok(basic(date))
}

fn check_time(request: &SignedRequest<'_>, credential: &Credential, now: Timestamp) -> Result<(), BadSignature> {
    let text = time_text(request, credential)?;
    let at = parse_basic(&text).ok_or_else(|| {
        BadSignature::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    if !text.starts_with(&credential.date) {
        let day = text.get(..8).unwrap_or_default();
        return Err(BadSignature::Mismatch(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from '{text}'.",
            credential.date
        )));
    }
    let skew = MAX_SKEW.as_millis() as i64;
    if at.0 > now.0 + skew {
        return Err(BadSignature::Expired(format!(
            "Signature not yet current: {text} is still later than {} ({} + 5 min.)",
            basic(Timestamp(now.0 + skew)),
            basic(now)
        )));
    }
    let lasts = match credential.is_presigned {
        false => skew,
        true => {
            let seconds = credential.expires.filter(|seconds| *seconds <= EXPIRES_MAX).ok_or_else(|| {
                BadSignature::Incomplete("X-Amz-Expires must be a number of seconds of at most a week (604800)".into())
            })?;
            i64::from(seconds) * 1000
        }
    };
    if at.0 + lasts < now.0 {
        let earliest = basic(Timestamp(now.0 - lasts));
        let (now, minutes) = (basic(now), lasts / 60_000);
        return Err(BadSignature::Expired(format!(
            "Signature expired: {text} is now earlier than {earliest} ({now} - {minutes} min.)"
        )));
    }
    Ok(())
}

/// A time as `x-amz-date` has it.
pub fn timestamp(at: Timestamp) -> String {
    basic(at)
}

/// `20150830T123600Z`
fn basic(t: Timestamp) -> String {
    let mut text = String::with_capacity(24);
    time::write(&mut text, Timestamp(t.0.div_euclid(1000) * 1000), TimestampFormat::Iso8601);
    text.retain(|c| c != '-' && c != ':');
    text
}

fn parse_basic(text: &str) -> Option<Timestamp> {
    let b = text.as_bytes();
    let fits = b.len() == 16
        && b[8] == b'T'
        && b[15] == b'Z'
        && b.iter().enumerate().all(|(i, c)| i == 8 || i == 15 || c.is_ascii_digit());
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let iso = || {
        let (date, clock) = ((part(0, 4), part(4, 6), part(6, 8)), (part(9, 11), part(11, 13), part(13, 15)));
        format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2)
    };
    if fits { time::parse(&iso()) } else { None }
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

fn decode_hex(text: &str, into: &mut [u8; 32]) -> bool {
    let digit = |b: u8| char::from(b).to_digit(16);
    text.len() == 64
        && text.as_bytes().chunks_exact(2).zip(into.iter_mut()).all(|(pair, byte)| {
            let value = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| (high * 16 + low) as u8);
            value.map(|value| *byte = value).is_some()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::parse_header;

    const NOW: Timestamp = Timestamp(1_440_938_160_000);
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// A signed GET whose headers a test changes, and what is said of it.
    fn verdict(headers: &[(&str, &str)], signed: &str, service: &str, now: Timestamp, body: &[u8]) -> Option<String> {
        let mut authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature="
        );
        let key = SigningKey::derive(SECRET, "20150830", "us-east-1", "service");
        let find = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let mut credential = parse_header(&authorization).expect("reads");
        credential.timestamp = find("x-amz-date");
        let request = SignedRequest { method: "GET", path: "/", query: "", headers, body: b"" };
        if let Ok(text) = string_to_sign(&request, &credential, Mode::Normalized) {
            let bytes = key.sign(&text).finalize().into_bytes();
            authorization.extend(bytes.iter().map(|b| format!("{b:02x}")));
        }
        let signature = parse_header(&authorization).expect("reads").signature;
        let credential = Credential { signature, ..credential };
        let sent = SignedRequest { body, ..request };
        let error = check(&sent, &credential, &key, service, Mode::Normalized, now).err()?;
        Some(error.into_error(Protocol::Query).to_string())
    }

    const HOST: (&str, &str) = ("host", "example.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", "20150830T123600Z");

    #[test]
    fn a_right_signature_is_believed_for_five_minutes_either_way() {
        let at = |offset: i64| verdict(&[HOST, DATE], "host;x-amz-date", "service", Timestamp(NOW.0 + offset), b"");
        assert_eq!(at(0), None);
        assert_eq!(at(300_000), None);
        assert_eq!(at(-300_000), None);
        assert_eq!(
            at(301_000).as_deref(),
            Some(
                "SignatureDoesNotMatch: Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
            )
        );
        assert_eq!(
            at(-301_000).as_deref(),
            Some(
                "SignatureDoesNotMatch: Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
            )
        );
    }

    #[test]
    fn what_is_not_signed_is_not_believed() {
        let mismatch = Some(format!("SignatureDoesNotMatch: {MISMATCH}"));
        assert_eq!(verdict(&[HOST, DATE], "host;x-amz-date", "service", NOW, b"other"), mismatch);
        let unsigned = ("x-amz-content-sha256", UNSIGNED_PAYLOAD);
        let names = "host;x-amz-content-sha256;x-amz-date";
        assert_eq!(verdict(&[HOST, DATE, unsigned], names, "service", NOW, b"other"), None);
        let wrong = ("x-amz-content-sha256", "00");
        assert_eq!(verdict(&[HOST, DATE, wrong], names, "service", NOW, b""), mismatch);
        assert_eq!(
            verdict(&[HOST, DATE], "x-amz-date", "service", NOW, b"").as_deref(),
            Some(
                "SignatureDoesNotMatch: 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header."
            )
        );
        let target = ("x-amz-target", "A.B");
        assert_eq!(
            verdict(&[HOST, DATE, target], "host;x-amz-date", "service", NOW, b"").as_deref(),
            Some("SignatureDoesNotMatch: 'x-amz-target' must be a 'SignedHeader' in the AWS Authorization header.")
        );
    }

    #[test]
    fn scope_and_date_have_to_fit() {
        assert_eq!(
            verdict(&[HOST, DATE], "host;x-amz-date", "ecs", NOW, b"").as_deref(),
            Some("SignatureDoesNotMatch: Credential should be scoped to correct service: 'ecs'. ")
        );
        let other_day = ("x-amz-date", "20150831T123600Z");
        assert_eq!(
            verdict(&[HOST, other_day], "host;x-amz-date", "service", NOW, b"").as_deref(),
            Some(
                "SignatureDoesNotMatch: Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150830' != '20150831', from '20150831T123600Z'."
            )
        );
        assert_eq!(verdict(&[HOST, ("date", "Sun, 30 Aug 2015 12:36:00 GMT")], "date;host", "service", NOW, b""), None);
        let odd = ("x-amz-date", "2015-08-30T12:36:00Z");
        let said = verdict(&[HOST, odd], "host;x-amz-date", "service", NOW, b"").expect("it is refused");
        assert!(said.starts_with("IncompleteSignature: Date must be in ISO-8601 'basic format'. Got '2015-"), "{said}");
        let none = verdict(&[HOST], "host", "service", NOW, b"").expect("it is refused");
        assert!(none.starts_with("IncompleteSignature: Authorization header requires existence of either"), "{none}");
    }

    #[test]
    fn what_we_sign_we_believe() {
        let time = timestamp(NOW);
        let headers = [HOST, ("x-amz-target", "A.B"), ("x-amz-date", time.as_str())];
        let request = SignedRequest { method: "POST", path: "/", query: "", headers: &headers, body: b"{}" };
        let header = authorization(&request, "AK", SECRET, "us-east-1", "ecs");
        let headers = [&headers[..], &[("authorization", header.as_str())]].concat();
        let request = SignedRequest { headers: &headers, ..request };
        let credential = Credential::find(&|name| request.header(name), "").expect("reads").expect("is signed");
        let key = SigningKey::derive(SECRET, "20150830", "us-east-1", "ecs");
        assert_eq!(check(&request, &credential, &key, "ecs", Mode::Normalized, NOW), Ok(()));
    }

    #[test]
    fn each_protocol_has_its_names() {
        let said = |error: BadSignature| {
            [Protocol::Json11, Protocol::Query, Protocol::Ec2].map(|protocol| {
                let error = error.clone().into_error(protocol);
                format!("{} {}", error.http_status.unwrap_or_default(), error.code)
            })
        };
        assert_eq!(
            said(BadSignature::UnknownKey),
            ["400 UnrecognizedClientException", "403 InvalidClientTokenId", "401 AuthFailure"]
        );
        assert_eq!(
            said(BadSignature::mismatch()),
            ["400 InvalidSignatureException", "403 SignatureDoesNotMatch", "403 SignatureDoesNotMatch"]
        );
        assert_eq!(
            said(BadSignature::TokenExpired),
            ["400 ExpiredTokenException", "403 ExpiredToken", "400 RequestExpired"]
        );
        assert_eq!(
            said(BadSignature::Missing),
            ["400 MissingAuthenticationTokenException", "403 MissingAuthenticationToken", "401 AuthFailure"]
        );
        assert_eq!(
            said(BadSignature::Expired(String::new())),
            ["400 InvalidSignatureException", "403 SignatureDoesNotMatch", "400 RequestExpired"]
        );
    }
}
