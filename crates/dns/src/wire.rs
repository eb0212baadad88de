//! Messages as bytes, within the limits of UDP and TCP. Bytes from the network never panic.

use hickory_proto::op::{Header, Message, MessageType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::answer::unreadable;

/// The UDP size we announce and never exceed: it passes every path without fragments.
pub const UDP_PAYLOAD: u16 = 1232;
/// The UDP size of clients that announce none.
const UDP_PAYLOAD_PLAIN: u16 = 512;
/// The size of a message over TCP.
pub const TCP_PAYLOAD: u16 = u16::MAX;

/// Reads a question. `Err` is what to send instead of an answer, if anything.
pub fn read_query(bytes: &[u8]) -> Result<Message, Option<Box<Message>>> {
    let header = Header::read(&mut BinDecoder::new(bytes)).map_err(|_| None)?;
    if header.metadata.message_type != MessageType::Query {
        return Err(None);
    }
    let wrong = || Some(Box::new(unreadable(header.metadata.id, header.metadata.op_code)));
    // Before the parser sets room aside for as many as are claimed.
    if header.counts.queries > 1 {
        return Err(wrong());
    }
    Message::from_vec(bytes).map_err(|_| wrong())
}

/// The most bytes a UDP client takes.
pub fn udp_limit(query: &Message) -> u16 {
    let announced = query.edns.as_ref().map_or(UDP_PAYLOAD_PLAIN, |edns| edns.max_payload());
    announced.clamp(UDP_PAYLOAD_PLAIN, UDP_PAYLOAD)
}

/// The message in at most `limit` bytes: where it is longer, with as many answers as fit and the mark that there
/// are more. Some, because old resolvers never ask again over TCP. `None` if it cannot be written at all.
pub fn write(message: &Message, limit: u16) -> Option<Vec<u8>> {
    let limit = usize::from(limit);
    let whole = message.to_vec().ok().filter(|bytes| bytes.len() <= limit);
    if whole.is_some() {
        return whole;
    }
    let mut cut = message.clone();
    cut.metadata.truncation = true;
    cut.authorities.clear();
    cut.additionals.clear();
    // Half as many each time finds what fits in a few steps; then one by one up to the last that does.
    let mut fits = 0;
    let mut step = message.answers.len().next_power_of_two();
    while step > 0 {
        let length = (fits + step).min(message.answers.len());
        cut.answers = message.answers[..length].to_vec();
        if cut.to_vec().is_ok_and(|bytes| bytes.len() <= limit) {
            fits = length;
        }
        step /= 2;
    }
    cut.answers.truncate(0);
    cut.answers.extend_from_slice(&message.answers[..fits]);
    cut.to_vec().ok().filter(|bytes| bytes.len() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Edns, OpCode, Query};
    use hickory_proto::rr::{Name, RData, Record, RecordType};
    use std::net::Ipv4Addr;

    fn answer(records: u8) -> Message {
        let name = Name::from_ascii("many.example.").unwrap();
        let mut message = Message::response(1, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::A));
        message.add_answers(
            (0..records).map(|last| Record::from_rdata(name.clone(), 60, RData::from(Ipv4Addr::new(10, 0, 0, last)))),
        );
        message
    }

    #[test]
    fn what_fits_is_whole() {
        let bytes = write(&answer(10), 512).unwrap();
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!((message.answers.len(), message.metadata.truncation), (10, false));
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_record_and_says_so() {
        for records in [31, 50, 100, 255] {
            let mut long = answer(records);
            long.set_edns(Edns::new());
            let bytes = write(&long, 512).unwrap();
            assert!(bytes.len() <= 512 && bytes.len() > 480, "{}", bytes.len());
            let message = Message::from_vec(&bytes).unwrap();
            assert!(message.metadata.truncation && message.edns.is_some());
            assert_eq!(message.answers[..], long.answers[..message.answers.len()]);
        }
        assert_eq!(write(&answer(1), 12), None);
    }

    #[test]
    fn clients_get_what_they_announce_within_reason() {
        let mut query = Message::query();
        assert_eq!(udp_limit(&query), 512);
        for (announced, limit) in [(0, 512), (512, 512), (1000, 1000), (4096, 1232), (65535, 1232)] {
            let mut edns = Edns::new();
            edns.set_max_payload(announced);
            query.set_edns(edns);
            assert_eq!(udp_limit(&query), limit);
        }
    }

    #[test]
    fn no_bytes_panic_and_lies_are_answered_with_format_errors() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let names = crate::zone::tests::names();
        let good = {
            let mut query = Message::new(7, MessageType::Query, OpCode::Query);
            query.add_query(Query::query(Name::from_ascii("web-1.us-east-1.elb.example.").unwrap(), RecordType::A));
            query.set_edns(Edns::new());
            query.to_vec().unwrap()
        };
        for round in 0..200_000 {
            let mut bytes =
                if round % 2 == 0 { good.clone() } else { (0..random() % 64).map(|_| random() as u8).collect() };
            for _ in 0..random() % 4 {
                let position = (random() as usize).checked_rem(bytes.len()).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(position) {
                    *byte = random() as u8;
                }
            }
            bytes.truncate(random() as usize % (bytes.len() + 8));
            if let Ok(query) = read_query(&bytes)
                && let crate::Decision::Answer(answer) = crate::decide(&names, &query, 0)
            {
                assert!(write(&answer, udp_limit(&query)).is_some());
            }
        }
        let mut greedy = good;
        greedy[4..6].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(matches!(read_query(&greedy), Err(Some(_))));
        assert_eq!(read_query(&[]), Err(None));
    }
}
