//! Reading of a signature: the `Authorization` header and presigned query strings. Whether it is right, [`super::check`] says.

use longshore_aws_model::AwsError;

use crate::form::{self, Pair};

/// What a signed request says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Access key id; `--auth open` takes any.
    pub access_key: String,
    /// Day of the scope, `YYYYMMDD`.
    pub date: String,
    /// Region of the scope, e.g. `eu-central-1`.
    pub region: String,
    /// Service of the scope, e.g. `elasticloadbalancing`.
    pub service: String,
    /// Names of the signed headers, lower case.
    pub signed_headers: Vec<String>,
    /// The signature, 64 hexadecimal digits if it is one.
    pub signature: String,
    /// `X-Amz-Date`, `YYYYMMDDThhmmssZ`.
    pub timestamp: Option<String>,
    /// Token of temporary credentials.
    pub session_token: Option<String>,
    /// Whether the signature is in the URL.
    pub is_presigned: bool,
    /// Seconds a presigned URL is valid; none for a signed header.
    pub expires: Option<u32>,
    /// `X-Amz-Content-Sha256` of a presigned URL.
    pub content_sha256: Option<String>,
}

impl Credential {
    /// The account an access key of exactly twelve digits names, by the convention of local AWS servers.
    pub fn account_hint(&self) -> Option<&str> {
        let key = self.access_key.as_str();
        (key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit())).then_some(key)
    }

    /// From the header if it is one of SigV4, else from the query string. `None` for an unsigned request.
    pub fn find<'h>(header: &dyn Fn(&str) -> Option<&'h str>, query: &str) -> Result<Option<Self>, AwsError> {
        Self::find_in(header, &form::pairs(query.as_bytes()))
    }

    pub(crate) fn find_in<'h>(
        header: &dyn Fn(&str) -> Option<&'h str>,
        query: &[Pair],
    ) -> Result<Option<Self>, AwsError> {
        match header("authorization") {
            Some(value) if value.trim_start().starts_with("AWS4-") => {
                let mut credential = parse_header(value)?;
                credential.timestamp = header("x-amz-date").map(str::to_owned);
                credential.session_token = header("x-amz-security-token").map(str::to_owned);
                Ok(Some(credential))
            }
            _ => parse_query(query),
        }
    }
}

/// Parses `AWS4-HMAC-SHA256 Credential=…/date/region/service/aws4_request, SignedHeaders=a;b, Signature=…`.
pub fn parse_header(value: &str) -> Result<Credential, AwsError> {
    let rest = value.trim_start().split_once(' ').map_or("", |(_, rest)| rest);
    let (mut scope, mut headers, mut signature) = (None, None, None);
    for part in rest.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((key, given)) = part.split_once('=') else {
            let text = "not a valid key=value pair (missing equal-sign) in Authorization header";
            return Err(incomplete(format!("'{part}' {text}: '{value}'.")));
        };
        match key.trim() {
            "Credential" => scope = Some(given.trim()),
            "SignedHeaders" => headers = Some(given.trim()),
            "Signature" => signature = Some(given.trim()),
            _ => {}
        }
    }
    let given = [("Credential", scope), ("Signature", signature), ("SignedHeaders", headers)];
    match (scope, headers, signature) {
        (Some(scope), Some(headers), Some(signature)) => from_parts(scope, headers, signature),
        _ => {
            let missing: Vec<String> = given
                .iter()
                .filter(|(_, value)| value.is_none())
                .map(|(name, _)| format!("Authorization header requires '{name}' parameter."))
                .collect();
            Err(incomplete(format!("{} Authorization={value}", missing.join(" "))))
        }
    }
}

/// Parses `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…`. `None` when the query is not presigned.
fn parse_query(query: &[Pair]) -> Result<Option<Credential>, AwsError> {
    if !form::get(query, "X-Amz-Algorithm").is_some_and(|a| a.starts_with("AWS4-")) {
        return Ok(None);
    }
    let get = |key: &str| {
        let missing = || {
            incomplete(format!(
                "AWS query-string parameters must include '{key}'. Re-examine the query-string parameters."
            ))
        };
        form::get(query, key).ok_or_else(missing)
    };
    let mut credential = from_parts(get("X-Amz-Credential")?, get("X-Amz-SignedHeaders")?, get("X-Amz-Signature")?)?;
    credential.timestamp = Some(get("X-Amz-Date")?.to_owned());
    credential.session_token = form::get(query, "X-Amz-Security-Token").map(str::to_owned);
    credential.is_presigned = true;
    credential.content_sha256 = form::get(query, "X-Amz-Content-Sha256").map(str::to_owned);
    credential.expires = form::get(query, "X-Amz-Expires").and_then(|e| e.parse().ok());
    Ok(Some(credential))
}

fn from_parts(scope: &str, headers: &str, signature: &str) -> Result<Credential, AwsError> {
    let mut parts = scope.split('/');
    let parts: [Option<&str>; 6] = std::array::from_fn(|_| parts.next());
    let [Some(access_key), Some(date), Some(region), Some(service), Some("aws4_request"), None] = parts else {
        let text = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term";
        return Err(incomplete(format!("{text}, got '{scope}'")));
    };
    Ok(Credential {
        access_key: access_key.to_owned(),
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        signed_headers: headers.split(';').map(str::to_ascii_lowercase).collect(),
        signature: signature.to_owned(),
        timestamp: None,
        session_token: None,
        is_presigned: false,
        expires: None,
        content_sha256: None,
    })
}

fn incomplete(message: String) -> AwsError {
    AwsError::new("IncompleteSignature", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_of_the_cli_is_read() {
        let c = parse_header("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/ecs/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=0123abc").expect("reads");
        assert_eq!((c.access_key.as_str(), c.date.as_str()), ("AKIDEXAMPLE", "20260102"));
        assert_eq!((c.region.as_str(), c.service.as_str()), ("us-east-1", "ecs"));
        assert_eq!(c.signed_headers, ["content-type", "host", "x-amz-date", "x-amz-target"]);
        assert_eq!(c.signature, "0123abc");
        assert_eq!(c.account_hint(), None);
    }

    #[test]
    fn spaces_are_optional_and_twelve_digits_are_an_account() {
        let c = parse_header(
            "AWS4-HMAC-SHA256 Credential=123456789012/20260102/eu/sts/aws4_request,SignedHeaders=Host,Signature=a",
        )
        .expect("reads");
        assert_eq!(c.account_hint(), Some("123456789012"));
        assert_eq!(c.signed_headers, ["host"]);
    }

    #[test]
    fn presigned_query_is_read() {
        let query = form::pairs(b"Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=ff&X-Amz-Security-Token=tok");
        let c = Credential::find_in(&|_| None, &query).expect("reads").expect("is presigned");
        assert_eq!((c.service.as_str(), c.expires), ("sts", Some(60)));
        assert_eq!(c.session_token.as_deref(), Some("tok"));
        assert_eq!(c.timestamp.as_deref(), Some("20260102T030405Z"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let e = parse_header("AWS4-HMAC-SHA256 Credential=a/b").expect_err("incomplete");
        assert_eq!(e.code, "IncompleteSignature");
        assert!(e.message.starts_with("Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."), "{}", e.message);
        let e = parse_header("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=h, Signature=s").expect_err("short scope");
        assert!(e.message.ends_with("got 'a/b'"), "{}", e.message);
        for odd in ["AWS4-", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ,,=,", "AWS4-HMAC-SHA256 x"] {
            assert!(parse_header(odd).is_err());
        }
        assert_eq!(Credential::find_in(&|_| Some("Basic QTpC"), &[]), Ok(None));
    }
}
