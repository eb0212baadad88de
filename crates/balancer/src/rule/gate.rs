//! What a request must begin with for a rule to hold: of a hundred rules nearly all are turned away by looking at sixteen
//! bytes of the path and sixteen of the host, which lie side by side for all rules of a listener. Conditions and their
//! patterns, which do not, are only looked at for the rest.

use super::{Condition, RequestView};

const LENGTH: usize = size_of::<u128>();

/// The first bytes of a text, zeros after its end.
type Head = u128;

fn head(text: &[u8]) -> Head {
    let mut head = [0; LENGTH];
    let length = text.len().min(LENGTH);
    head[..length].copy_from_slice(&text[..length]);
    Head::from_le_bytes(head)
}

/// Bytes that texts which match have in common at their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    mask: Head,
    bits: Head,
}

impl Beginning {
    /// Of any text.
    pub(crate) const ANY: Beginning = Beginning { mask: 0, bits: 0 };

    /// Of texts that begin with this one, or that are this one.
    pub(super) fn new(text: &[u8], is_whole: bool) -> Beginning {
        // A text that is to end here has zeros after it.
        let length = if is_whole { LENGTH } else { text.len().min(LENGTH) };
        let mask = head(&[0xff; LENGTH][..length]);
        Beginning { mask, bits: head(text) & mask }
    }

    /// Of texts that begin like this or like the other.
    fn or(self, other: Beginning) -> Beginning {
        let different = (self.bits ^ other.bits).to_le_bytes().map(|byte| if byte == 0 { 0xff } else { 0 });
        let mask = self.mask & other.mask & Head::from_le_bytes(different);
        Beginning { mask, bits: self.bits & mask }
    }

    /// Of texts that begin like one of these.
    pub(super) fn any_of(beginnings: impl Iterator<Item = Beginning>) -> Beginning {
        beginnings.reduce(Beginning::or).unwrap_or(Beginning::ANY)
    }

    fn is_of(self, head: Head) -> bool {
        head & self.mask == self.bits
    }
}

/// What a rule's gate looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    path: Head,
    host: Head,
}

impl Glance {
    pub(crate) fn at(request: &RequestView<'_>) -> Glance {
        let host = head(request.host.as_bytes()).to_le_bytes().map(|byte| byte.to_ascii_lowercase());
        Glance { path: head(request.path.as_bytes()), host: Head::from_le_bytes(host) }
    }
}

/// Of a rule. Whoever it turns away does not meet the rule's conditions; whoever passes may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    path: Beginning,
    host: Beginning,
}

impl Gate {
    pub(crate) fn of(conditions: &[Condition]) -> Gate {
        let mut gate = Gate { path: Beginning::ANY, host: Beginning::ANY };
        for condition in conditions {
            match condition {
                Condition::PathPattern(pattern) => gate.path = pattern.beginning(),
                Condition::HostHeader(pattern) => gate.host = pattern.beginning(),
                _ => {}
            }
        }
        gate
    }

    pub(crate) fn passes(&self, glance: &Glance) -> bool {
        self.path.is_of(glance.path) && self.host.is_of(glance.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    fn path(values: &[&str]) -> Value {
        json!([{"field": "path-pattern", "values": values}])
    }

    fn host(values: &[&str]) -> Value {
        json!([{"field": "host-header", "values": values}])
    }

    /// Whether the gate lets a request pass, and whether the conditions hold.
    fn passes(conditions: Value, path: &str, host: &str) -> (bool, bool) {
        let conditions: Vec<config::Condition> = serde_json::from_value(conditions).unwrap();
        let conditions: Vec<_> = conditions.iter().map(|condition| Condition::compile(condition).unwrap()).collect();
        let request = RequestView {
            method: &Method::GET,
            path,
            query: None,
            host,
            headers: &HeaderMap::new(),
            peer: "10.1.2.3".parse().unwrap(),
        };
        let holds = conditions.iter().all(|condition| condition.holds(&request));
        (Gate::of(&conditions).passes(&Glance::at(&request)), holds)
    }

    #[test]
    fn a_gate_turns_away_what_begins_otherwise_and_nobody_else() {
        let long = "/a/path/that/has/more/than/sixteen/bytes";
        let cases = [
            (path(&["/never/1/*"]), "/never/1/x", "", true),
            (path(&["/never/1/*"]), "/never/2/x", "", false),
            (path(&["/never/1/*"]), "/", "", false),
            (path(&["/x"]), "/x", "", true),
            (path(&["/x"]), "/xy", "", false),
            (path(&["/x?"]), "/xy", "", true),
            (path(&[long]), long, "", true),
            (path(&["/aa/*", "/ab/*"]), "/ab/c", "", true),
            (path(&["/aa/*", "/ab/*"]), "/bb/c", "", false),
            (path(&["/a", "/ab"]), "/ab", "", true),
            (path(&["/a", "*"]), "/zzz", "", true),
            (json!([{"field": "path-pattern", "values": ["/a"], "regex_values": ["z$"]}]), "/z", "", true),
            (host(&["API.example.com"]), "/", "api.EXAMPLE.com", true),
            (host(&["api.example.com"]), "/", "api.example.co", false),
            (host(&["*.example.com"]), "/", "b.example.com", true),
        ];
        for (conditions, path, host, expected) in cases {
            assert_eq!(passes(conditions.clone(), path, host), (expected, expected), "{conditions} {path} {host}");
        }
    }

    #[test]
    fn whoever_meets_the_conditions_passes() {
        let words = ["", "a", "ab", "abc", "b", "/a", "/a/b", "/A", "sixteen bytes and more", "sixteen bytes and less"];
        let patterns = ["*", "?", "a*", "a?c", "ab", "/a", "/a*", "sixteen bytes and*", "sixteen bytes and more", "*b"];
        for (one, other) in patterns.iter().flat_map(|one| patterns.iter().map(move |other| (one, other))) {
            for word in words {
                for (conditions, path, host) in [(path(&[one, other]), word, ""), (host(&[one, other]), "", word)] {
                    let (passes, holds) = passes(conditions.clone(), path, host);
                    assert!(passes || !holds, "{conditions} {word}");
                }
            }
        }
    }
}
