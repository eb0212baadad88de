//! Signatures of others are found right: those of botocore 1.44 (`tests/data/sigv4.json`, made by its signers for this
//! test), and those of AWS's own test suite (`tests/data/aws-signing-test-suite-v4.json`).

use longshore_aws_model::Timestamp;
use longshore_aws_wire::sigv4::{Credential, Mode, SignedRequest, SigningKey, check};
use serde_json::Value;
use std::collections::BTreeMap;

/// A request as its signer left it.
struct Case {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    secret: String,
    service: String,
    mode: Mode,
    /// Seconds since 1970.
    time: i64,
}

impl Case {
    fn verdict(&self) -> Result<(), String> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let request = SignedRequest { method: &self.method, path, query, headers: &headers, body: &self.body };
        let credential = Credential::find(&|name| request.header(name), query)
            .map_err(|e| e.to_string())?
            .ok_or("it is unsigned")?;
        let key = SigningKey::derive(&self.secret, &credential.date, &credential.region, &credential.service);
        check(&request, &credential, &key, &self.service, self.mode, Timestamp(self.time * 1000))
            .map_err(|error| format!("{error:?}"))
    }
}

/// Every case is right, and wrong as soon as one byte of it is another.
fn check_all(cases: &mut [Case]) {
    let mut failed = Vec::new();
    for case in cases {
        if let Err(error) = case.verdict() {
            failed.push(format!("{}: {error}", case.name));
        }
        let separator = if case.target.contains('?') { '&' } else { '?' };
        case.target.push_str(&format!("{separator}more=1"));
        assert!(case.verdict().is_err(), "{}: a parameter more is believed", case.name);
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn signatures_of_botocore_are_right() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/sigv4.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut cases: Vec<Case> = cases
        .iter()
        .map(|case| Case {
            name: text(&case["name"]),
            method: text(&case["method"]),
            target: text(&case["target"]),
            headers: (case["headers"].as_array().expect("a list").iter())
                .map(|pair| (text(&pair[0]).to_lowercase(), text(&pair[1])))
                .collect(),
            body: text(&case["body"]).into_bytes(),
            secret: text(&case["secret"]),
            service: text(&case["service"]),
            mode: if case["service"] == "s3" { Mode::AsSent } else { Mode::Normalized },
            time: case["time"].as_i64().expect("seconds"),
        })
        .collect();
    assert!(cases.len() >= 8);
    check_all(&mut cases);
}

#[test]
fn signatures_of_the_published_suite_are_right() {
    let suite: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("../data/aws-signing-test-suite-v4.json")).expect("JSON");
    let mut cases = Vec::new();
    for (name, case) in &suite {
        for kind in ["header", "query"] {
            cases.push(published(name, case, kind));
        }
    }
    assert!(cases.len() >= 70, "{} cases", cases.len());
    check_all(&mut cases);
}

fn published(name: &str, case: &Value, kind: &str) -> Case {
    let context = &case["context"];
    let request = case[kind].as_str().expect("a signed request");
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let line = lines.next().expect("a request line");
    let (method, rest) = line.split_once(' ').expect("a method");
    let (target, _) = rest.rsplit_once(' ').expect("a version");
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':').filter(|_| !line.starts_with(' ')) {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            // A folded line belongs to the header before it.
            None => headers.last_mut().expect("a header before").1.push_str(line),
        }
    }
    // The session token of these is added after signing, as some services want it.
    let late_token = context["omit_session_token"] == true;
    let parameters = |query: &str| {
        query.split('&').filter(|p| !p.starts_with("X-Amz-Security-Token=")).collect::<Vec<_>>().join("&")
    };
    let target = match target.split_once('?') {
        Some((path, query)) if late_token => format!("{path}?{}", parameters(query)),
        _ => target.to_owned(),
    };
    Case {
        name: format!("{name} ({kind})"),
        method: method.to_owned(),
        target,
        headers,
        body: body.as_bytes().to_vec(),
        secret: context["credentials"]["secret_access_key"].as_str().expect("a secret").to_owned(),
        service: context["service"].as_str().expect("a service").to_owned(),
        mode: if context["normalize"] == true { Mode::Normalized } else { Mode::AsSent },
        time: 1_440_938_160,
    }
}
