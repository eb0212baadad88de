//! Signatures: what we sign we believe, and nothing else.

use longshore_aws_model::Timestamp;
use longshore_aws_wire::sigv4::{Mode, SignedRequest, SigningKey, authorization, check, string_to_sign};
use longshore_aws_wire::{Credential, parse_header};

use crate::input::{FIELD, Input};

const NOW: &str = "20240102T030405Z";
const NOW_MS: i64 = 1_704_164_645_000;

/// Path, query, one more header, body, and a byte to change.
///
/// Holds: a signed request is believed; with another body, method or signature it is not; foreign headers and query strings
/// are read without harm, and never believed.
pub fn signature(data: &[u8]) {
    let mut input = Input::new(data);
    let (path, query) = (input.text(FIELD), input.text(FIELD));
    let (header, foreign) = (input.text(FIELD), input.text(FIELD));
    let body = input.rest();
    let key = SigningKey::derive("secret", "20240102", "us-east-1", "ecs");
    let now = Timestamp(NOW_MS);
    let headers = [("host", "localhost"), ("x-amz-date", NOW), ("x-other", &*header)];
    let request = SignedRequest { method: "POST", path: &path, query: &query, headers: &headers, body };
    let signed = authorization(&request, "AKID", "secret", "us-east-1", "ecs");
    let mut credential = parse_header(&signed).expect("our own header is read");
    credential.timestamp = Some(NOW.to_owned());
    let verdict = check(&request, &credential, &key, "ecs", Mode::Normalized, now);
    assert!(verdict.is_ok(), "{verdict:?}");
    let changed = [body, b"x"].concat();
    for other in [
        SignedRequest { body: &changed, ..request },
        SignedRequest { method: "GET", ..request },
        SignedRequest { headers: &[("host", "other"), ("x-amz-date", NOW), ("x-other", &header)], ..request },
    ] {
        assert!(check(&other, &credential, &key, "ecs", Mode::Normalized, now).is_err());
    }
    let find = |name: &str| match name {
        "authorization" => Some(&*foreign).filter(|text| !text.is_empty()),
        "x-amz-date" => Some(NOW),
        _ => None,
    };
    for query in [&query, &foreign] {
        if let Ok(Some(credential)) = Credential::find(&find, query) {
            let request = SignedRequest { query, ..request };
            let _ = string_to_sign(&request, &credential, Mode::AsSent);
            assert!(check(&request, &credential, &key, "ecs", Mode::Normalized, now).is_err());
        }
    }
}
