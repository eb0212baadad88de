//! Forgetting the connections of addresses, so that their next owners do not inherit what was allowed to them.

use std::net::Ipv4Addr;

use super::message::{Attributes, Message, Reply, address};
use super::socket::{NetlinkError, Socket, missing_is_fine};

const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const HEADER: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];
const DELETES_PER_REQUEST: usize = 256;

/// Deletes every tracked connection that has an address `chosen` at one of its ends, in either direction. The kernel
/// walks the machine's whole table for it, about ten milliseconds: to be done for many addresses at a time.
pub fn forget_addresses(socket: &mut Socket, chosen: impl Fn(Ipv4Addr) -> bool) -> Result<(), NetlinkError> {
    let deletions = socket.query(&Message::new(GET, 0, &HEADER), true, |reply| deletion(reply, &chosen))?;
    for deletions in deletions.chunks(DELETES_PER_REQUEST) {
        missing_is_fine(socket.request(deletions))?;
    }
    Ok(())
}

fn deletion(reply: Reply<'_>, chosen: &impl Fn(Ipv4Addr) -> bool) -> Option<Message> {
    let attributes = reply.attributes(HEADER.len());
    let original = attributes.get(TUPLE_ORIGINAL)?;
    if !has_end(original, chosen) && !has_end(attributes.get(TUPLE_REPLY)?, chosen) {
        return None;
    }
    let mut message = Message::new(DELETE, 0, &HEADER);
    // Nested, with the parts exactly as the kernel sent them.
    message.nest(TUPLE_ORIGINAL, |tuple| {
        tuple.raw(original);
    });
    Some(message)
}

fn has_end(tuple: &[u8], chosen: &impl Fn(Ipv4Addr) -> bool) -> bool {
    let Some(ip) = Attributes(tuple).get(TUPLE_IP) else {
        return false;
    };
    [IP_SOURCE, IP_DESTINATION].into_iter().any(|end| Attributes(ip).get(end).and_then(address).is_some_and(chosen))
}
