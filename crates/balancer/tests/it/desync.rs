//! The reference implementation's cases, sent over the wire. Its tiers are the floor: we may refuse more, never
//! less, and what both let through as ambiguous ends its connection.

use serde::Deserialize;

use crate::client::Connection;
use crate::rig::{Rig, fixed};
use longshore_balancer::config::DesyncMode;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "file and name are shown where a case fails")]
struct Case {
    file: String,
    name: String,
    method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
    tier: String,
    reason: String,
}

impl Case {
    /// The request as bytes; characters beyond ASCII stand for single bytes. The cases leave the host out.
    fn bytes(&self) -> Vec<u8> {
        let version = if self.version.is_empty() { String::new() } else { format!(" {}", self.version) };
        let mut text = format!("{} {}{version}\r\n", self.method, self.uri);
        let names_host = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = (!names_host).then(|| ("Host".to_owned(), "a.example".to_owned()));
        for (name, value) in host.iter().chain(&self.headers) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
    }
}

/// What became of a request: passed and the connection lives, passed and it ends, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    PassedAndClosed,
    Refused,
}

async fn send(rig: &Rig, case: &Case) -> Outcome {
    let mut connection = Connection::open(rig.address).await;
    connection.send(case.bytes()).await;
    match connection.read_to(&case.method).await {
        Some(answer) if answer.status() == 200 => match answer.header("connection") {
            Some("close") => Outcome::PassedAndClosed,
            _ => Outcome::Passed,
        },
        _ => Outcome::Refused,
    }
}

#[tokio::test]
async fn the_reference_cases_are_treated_as_their_tiers_ask_or_stricter() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../data/http-desync-guardian.json")).unwrap();
    assert_eq!(cases.len(), 158);
    let mut rig = Rig::start(vec![], fixed(200, "passed"), vec![], 1).await;
    let mut wrong = Vec::new();
    for mode in [DesyncMode::Defensive, DesyncMode::Strictest, DesyncMode::Monitor] {
        rig.change_attributes(|attributes| attributes.desync_mode = mode).await;
        for case in &cases {
            let outcome = send(&rig, case).await;
            let is_right = match (mode, case.tier.as_str(), outcome) {
                // Monitor mode lets through what can be framed at all.
                (DesyncMode::Monitor, "Compliant" | "Acceptable", outcome) => outcome != Outcome::PassedAndClosed,
                (DesyncMode::Monitor, ..) => true,
                (_, "Compliant", outcome) => outcome == Outcome::Passed || is_beyond_us(case),
                (DesyncMode::Strictest, _, outcome) => outcome == Outcome::Refused,
                (_, "Acceptable", outcome) => outcome != Outcome::PassedAndClosed || is_stricter(case),
                (_, "Ambiguous", outcome) => outcome != Outcome::Passed,
                (_, _, outcome) => outcome == Outcome::Refused,
            };
            if !is_right {
                wrong.push(format!("{mode:?} {outcome:?}: {case:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Compliant, and yet refused: transfer encodings other than chunked are answered 501, as AWS answers them, and
/// what has no target at all cannot be sent over the wire.
fn is_beyond_us(case: &Case) -> bool {
    case.uri.is_empty()
        || case.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("transfer-encoding") && !value.trim().eq_ignore_ascii_case("chunked")
        })
}

fn is_stricter(case: &Case) -> bool {
    case.reason == "NonCompliantHeader"
}
