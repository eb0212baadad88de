//! Forgetting the connections of an address, so that its next owner does not inherit what they were allowed.

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

/// Deletes every tracked connection that `address` is an end of, in either direction. Reads the whole
/// table of the namespace: about a millisecond per thousand connections.
pub fn forget_address(socket: &mut Socket, address: Ipv4Addr) -> Result<(), NetlinkError> {
    let deletions = socket.query(&Message::new(GET, 0, &HEADER), true, |reply| deletion(reply, address))?;
    for deletions in deletions.chunks(DELETES_PER_REQUEST) {
        missing_is_fine(socket.request(deletions))?;
    }
    Ok(())
}

fn deletion(reply: Reply<'_>, wanted: Ipv4Addr) -> Option<Message> {
    let attributes = reply.attributes(HEADER.len());
    let original = attributes.get(TUPLE_ORIGINAL)?;
    if !has_end(original, wanted) && !has_end(attributes.get(TUPLE_REPLY)?, wanted) {
        return None;
    }
    let mut message = Message::new(DELETE, 0, &HEADER);
    // Nested, with the parts exactly as the kernel sent them.
    message.nest(TUPLE_ORIGINAL, |tuple| {
        tuple.raw(original);
    });
    Some(message)
}

fn has_end(tuple: &[u8], wanted: Ipv4Addr) -> bool {
    let Some(ip) = Attributes(tuple).get(TUPLE_IP) else { return false };
    [IP_SOURCE, IP_DESTINATION].into_iter().any(|end| Attributes(ip).get(end).and_then(address) == Some(wanted))
}
