//! HTTP/1.1 as it is spoken with targets: what of it needs no socket.
//!
//! A request and its response live in the task of the client's connection, so nothing is handed over between tasks and
//! a connection that waits in the pool has no buffers. That is why this is not the engine that serves clients.

pub(super) mod decode;
pub(super) mod encode;
pub(super) mod response;

/// A response to `method` that comes in these parts and then ends: its status, its body, whether it is whole, and whether only
/// the end of the connection says so. `None` where it is refused. For the fuzz targets.
pub(crate) fn read_response(parts: &[&[u8]], method: &http::Method) -> Option<(u16, Vec<u8>, bool, bool)> {
    let mut parts = parts.iter();
    let mut held = Vec::new();
    let mut head = loop {
        held.extend_from_slice(parts.next()?);
        if let Some(head) = response::parse(&held, method).ok()? {
            break head;
        }
    };
    let (mut body, mut rest) = (Vec::new(), head.rest);
    let is_until_close = head.body == decode::Decoder::UntilClose;
    loop {
        while let Some(frame) = head.body.decode(&mut rest).ok()? {
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        }
        match parts.next() {
            Some(part) => rest = [&rest[..], part].concat().into(),
            None => return Some((head.response.status().as_u16(), body, head.body.end(), is_until_close)),
        }
    }
}
