//! The resolver: questions of tasks, replies of upstream servers, and its own configuration.

use std::sync::OnceLock;

use longshore_dns::fuzzing::{question, read_query, read_reply, relay, udp_limit, write};
use longshore_dns::{Decision, DnsConfig, Names, decide};

use crate::input::{FIELD, Input};

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let config = serde_json::json!({
            "generation": 1,
            "zones": ["svc.local", "elb.amazonaws.com"],
            "hosts": {
                "web.svc.local": {"addresses": ["10.0.1.5", "10.0.1.6"], "ttl_seconds": 10},
                "many.svc.local": {"addresses": (0..200).map(|n| format!("10.0.2.{n}")).collect::<Vec<_>>(), "ttl_seconds": 10},
                "none.svc.local": {"addresses": [], "ttl_seconds": 10}
            },
            "private_domain": "ec2.internal",
            "vpc_blocks": [{"address": "10.0.0.0", "prefix": 16}]
        });
        Names::new(&serde_json::from_value(config).expect("a configuration")).0
    })
}

/// A message from a task, then one from an upstream server.
///
/// Holds: an answer fits the client's limit, can be read again, answers the question, and has its id; a reply is taken
/// only if it repeats the question, and what is relayed fits, too.
pub fn dns(data: &[u8]) {
    let mut input = Input::new(data);
    let length = usize::from(input.number() % 1024);
    let rotation = usize::from(input.byte());
    let query = match read_query(input.bytes(length)) {
        Ok(query) => query,
        Err(Some(refusal)) => {
            assert!(write(&refusal, 512).is_some(), "a refusal fits");
            return;
        }
        Err(None) => return,
    };
    let limit = udp_limit(&query);
    match decide(names(), &query, rotation) {
        Decision::Answer(answer) => {
            let bytes = write(&answer, limit).expect("an answer of ours can be written");
            assert!(bytes.len() <= usize::from(limit));
            assert_eq!(bytes[..2], query.metadata.id.to_be_bytes());
        }
        Decision::Forward => {
            let asked = question(&query);
            assert!(asked.to_vec().is_ok_and(|bytes| bytes.len() <= 512), "a question is small");
            let mut reply = input.rest().to_vec();
            // A forger does not know the id; the fuzzer need not guess it either.
            if let Some(id) = reply.get_mut(..2) {
                id.copy_from_slice(&asked.metadata.id.to_be_bytes());
            }
            if let Some(reply) = read_reply(&reply, &asked) {
                assert_eq!(reply.queries, asked.queries);
                let relayed = relay(&query, reply);
                if let Some(bytes) = write(&relayed, limit) {
                    assert!(bytes.len() <= usize::from(limit));
                }
            }
        }
        Decision::Drop => {}
    }
}

/// A configuration as the data plane is told it, and a name.
///
/// Holds: what is read, written and read again is the same; every name can be looked for.
pub fn dns_config(data: &[u8]) {
    let mut input = Input::new(data);
    let Ok(config) = serde_json::from_slice::<DnsConfig>(input.until(FIELD)) else { return };
    crate::same_again(&config);
    let (names, _) = Names::new(&config);
    if let Ok(query) = read_query(input.rest()) {
        let _ = decide(&names, &query, 1);
    }
}
