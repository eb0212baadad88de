//! The resolver's decision: what to answer to a message, without asking anyone.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{NS, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::wire::UDP_PAYLOAD;
use crate::zone::{Found, Names};

/// How long a resolver may remember that something is not there: new services should be seen soon.
const NEGATIVE_TTL_SECONDS: u32 = 5;

/// What to do with a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Send this back.
    Answer(Box<Message>),
    /// Somebody else knows.
    Forward,
    /// Say nothing: it is not a question, and answering answers makes loops.
    Drop,
}

/// Decides on a message. `rotation` differs from question to question, so that the addresses of a name
/// come first in turn.
pub fn decide(names: &Names, query: &Message, rotation: usize) -> Decision {
    if query.metadata.message_type != MessageType::Query {
        return Decision::Drop;
    }
    let refuse = |code| Decision::Answer(Box::new(failure(query, code)));
    if query.metadata.op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    let [question] = &query.queries[..] else {
        return refuse(ResponseCode::FormErr);
    };
    if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return refuse(ResponseCode::BADVERS);
    }
    let is_transfer = matches!(question.query_type, RecordType::AXFR | RecordType::IXFR);
    if is_transfer || !matches!(question.query_class, DNSClass::IN | DNSClass::ANY) {
        return refuse(ResponseCode::Refused);
    }

    let name = &question.name;
    let wants = |kind| question.query_type == kind || question.query_type == RecordType::ANY;
    let mut code = ResponseCode::NoError;
    let (zone, answers) = match names.find(name) {
        Found::Elsewhere => return Decision::Forward,
        Found::Addresses { zone, addresses, ttl_seconds } => {
            let first = rotation.checked_rem(addresses.len()).unwrap_or(0);
            let (before, from) = addresses.split_at(first);
            let rotated = from.iter().chain(before).filter(|_| wants(RecordType::A));
            (
                zone,
                rotated.map(|address| Record::from_rdata(name.clone(), ttl_seconds, RData::from(*address))).collect(),
            )
        }
        Found::Generated { zone, address, ttl_seconds } => {
            let record =
                wants(RecordType::A).then(|| Record::from_rdata(name.clone(), ttl_seconds, RData::from(address)));
            (zone, record.into_iter().collect())
        }
        Found::Pointer { zone, target, ttl_seconds } => {
            let record =
                wants(RecordType::PTR).then(|| Record::from_rdata(name.clone(), ttl_seconds, RData::PTR(PTR(target))));
            (zone, record.into_iter().collect())
        }
        Found::Apex { zone } => {
            let soa = wants(RecordType::SOA).then(|| start_of_authority(&zone, names.generation));
            let ns = wants(RecordType::NS)
                .then(|| Record::from_rdata(zone.clone(), NEGATIVE_TTL_SECONDS, RData::NS(NS(below("ns", &zone)))));
            (zone, soa.into_iter().chain(ns).collect::<Vec<_>>())
        }
        Found::Empty { zone } => (zone, vec![]),
        Found::Missing { zone } => {
            code = ResponseCode::NXDomain;
            (zone, vec![])
        }
    };
    let mut answer = response(query, code);
    answer.metadata.authoritative = true;
    if answers.is_empty() {
        answer.add_authority(start_of_authority(&zone, names.generation));
    }
    answer.add_answers(answers);
    Decision::Answer(Box::new(answer))
}

/// A response without records to `query`.
pub fn failure(query: &Message, code: ResponseCode) -> Message {
    response(query, code)
}

/// A response to bytes that could not be read beyond their header.
pub fn unreadable(id: u16, op_code: OpCode) -> Message {
    Message::error_msg(id, op_code, ResponseCode::FormErr)
}

/// The frame of every response: flags, the question as it was asked, EDNS if it was used.
pub fn response(query: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&query.metadata);
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_queries(query.queries.iter().cloned());
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        answer.set_edns(edns);
    }
    answer
}

/// The record by which a resolver knows how long "nothing" holds.
fn start_of_authority(zone: &Name, generation: u64) -> Record {
    let serial = (generation & u64::from(u32::MAX)) as u32;
    let soa = SOA::new(below("ns", zone), below("hostmaster", zone), serial, 3600, 900, 604_800, NEGATIVE_TTL_SECONDS);
    Record::from_rdata(zone.clone(), NEGATIVE_TTL_SECONDS, RData::SOA(soa))
}

/// `label` under `zone`; the zone itself where that would be too long a name.
fn below(label: &str, zone: &Name) -> Name {
    zone.prepend_label(label).unwrap_or_else(|_| zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::names;
    use hickory_proto::op::Query;

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn answer(query: &Message, rotation: usize) -> Message {
        match decide(&names(), query, rotation) {
            Decision::Answer(message) => *message,
            other => panic!("{other:?}"),
        }
    }

    fn check(name: &str, kind: RecordType, code: ResponseCode, answers: &[&str]) {
        let message = answer(&query(name, kind), 0);
        let data: Vec<_> = message.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(
            (message.metadata.response_code, data),
            (code, answers.iter().map(|text| (*text).to_owned()).collect()),
            "{name} {kind}"
        );
        assert!(
            message.metadata.authoritative
                && message.metadata.recursion_available
                && message.metadata.recursion_desired
        );
        assert_eq!(message.metadata.id, 7);
        let negative = message.authorities.iter().filter(|record| record.record_type() == RecordType::SOA).count();
        assert_eq!(negative, usize::from(answers.is_empty()), "a negative answer says how long it holds");
    }

    #[test]
    fn names_are_answered_by_type() {
        use ResponseCode::{NXDomain, NoError};
        check("web-1.us-east-1.elb.example.", RecordType::A, NoError, &["10.0.1.4", "10.0.2.4", "10.0.3.4"]);
        check("web-1.us-east-1.elb.example.", RecordType::ANY, NoError, &["10.0.1.4", "10.0.2.4", "10.0.3.4"]);
        check("web-1.us-east-1.elb.example.", RecordType::AAAA, NoError, &[]);
        check("web-9.us-east-1.elb.example.", RecordType::A, NXDomain, &[]);
        check("us-east-1.elb.example.", RecordType::A, NoError, &[]);
        check("empty.elb.example.", RecordType::A, NoError, &[]);
        check("ip-10-0-1-5.ec2.internal.", RecordType::A, NoError, &["10.0.1.5"]);
        check("5.1.0.10.in-addr.arpa.", RecordType::PTR, NoError, &["ip-10-0-1-5.ec2.internal."]);
        check("5.1.0.10.in-addr.arpa.", RecordType::A, NoError, &[]);
        check("elb.example.", RecordType::NS, NoError, &["ns.elb.example."]);
        check("registry.outside.test.", RecordType::AAAA, NoError, &[]);
    }

    #[test]
    fn addresses_take_turns() {
        let query = query("web-1.us-east-1.elb.example.", RecordType::A);
        let first = |rotation| answer(&query, rotation).answers[0].data.to_string();
        assert_eq!([first(0), first(1), first(2), first(3)], ["10.0.1.4", "10.0.2.4", "10.0.3.4", "10.0.1.4"]);
        assert_eq!(answer(&query, usize::MAX).answers.len(), 3);
    }

    #[test]
    fn the_question_comes_back_as_it_was_asked() {
        let query = query("WeB-1.us-east-1.ELB.example.", RecordType::A);
        let answer = answer(&query, 0);
        assert_eq!(answer.queries[0].name.to_ascii(), "WeB-1.us-east-1.ELB.example.");
        assert_eq!(answer.answers[0].name.to_ascii(), "WeB-1.us-east-1.ELB.example.");
        assert!(answer.edns.is_none());
    }

    #[test]
    fn names_of_others_are_forwarded() {
        assert_eq!(decide(&names(), &query("example.com.", RecordType::A), 0), Decision::Forward);
        assert_eq!(decide(&names(), &query("8.8.8.8.in-addr.arpa.", RecordType::PTR), 0), Decision::Forward);
    }

    #[test]
    fn what_is_no_plain_question_is_refused_or_dropped() {
        let code = |message: &Message| answer(message, 0).metadata.response_code;
        let name = "elb.example.";
        assert_eq!(code(&query(name, RecordType::AXFR)), ResponseCode::Refused);
        let mut chaos = query(name, RecordType::TXT);
        chaos.queries[0].query_class = DNSClass::CH;
        assert_eq!(code(&chaos), ResponseCode::Refused);
        let mut update = query(name, RecordType::A);
        update.metadata.op_code = OpCode::Update;
        assert_eq!(code(&update), ResponseCode::NotImp);
        let mut twice = query(name, RecordType::A);
        twice.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        assert_eq!(code(&twice), ResponseCode::FormErr);
        let mut future = query(name, RecordType::A);
        future.set_edns(Edns::new()).edns.as_mut().unwrap().set_version(1);
        assert_eq!(code(&future), ResponseCode::BADVERS);
        let mut response = query(name, RecordType::A);
        response.metadata.message_type = MessageType::Response;
        assert_eq!(decide(&names(), &response, 0), Decision::Drop);
    }
}
