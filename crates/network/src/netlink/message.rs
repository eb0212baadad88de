//! Building and reading netlink messages. Reading never trusts a length.

const HEADER_LEN: usize = 16;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = !(3 << 14);

/// One request: header, fixed part, attributes. The socket fills in the sequence number.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of type `kind` (`RTM_*`, `NFT_MSG_*`) with `flags` beside `NLM_F_REQUEST`, and the
    /// fixed part that its family begins with.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        pad(&mut bytes);
        Message { bytes }
    }

    /// Appends an attribute.
    pub fn attr(&mut self, kind: u16, payload: &[u8]) -> &mut Message {
        let length = u16::try_from(payload.len() + 4).expect("callers chunk long lists below 64 KiB");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(payload);
        pad(&mut self.bytes);
        self
    }

    /// Appends a number in the machine's byte order.
    pub fn attr_u32(&mut self, kind: u16, value: u32) -> &mut Message {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Appends a NUL-terminated text.
    pub fn attr_str(&mut self, kind: u16, text: &str) -> &mut Message {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    /// Appends an attribute whose payload is what `inner` appends.
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Message)) -> &mut Message {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        inner(self);
        let length = u16::try_from(self.bytes.len() - start).expect("callers chunk long lists below 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Appends bytes that are no attribute: the fixed part inside a nested message.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Message {
        self.bytes.extend(bytes);
        pad(&mut self.bytes);
        self
    }

    /// The message as sent, with its length, sequence number and additional flags set.
    pub(super) fn finish(&self, sequence: u32, flags: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(&self.bytes);
        let length = u32::try_from(self.bytes.len()).expect("a message is far below 4 GiB");
        let flags = flags | u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        out[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
        out[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// One received message.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    pub kind: u16,
    pub sequence: u32,
    /// Everything after the header.
    pub payload: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The attributes after a fixed part of `fixed` bytes.
    pub fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.payload.get(fixed..).unwrap_or_default())
    }
}

/// Splits a datagram into messages; stops at the first malformed one.
pub fn replies(datagram: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = u32_at(rest, 0)? as usize;
        let kind = u16_at(rest, 4)?;
        let sequence = u32_at(rest, 8)?;
        let payload = rest.get(HEADER_LEN..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Reply { kind, sequence, payload })
    })
}

/// Attributes of a message or of a nested attribute, as (type without flags, payload).
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The payload of the first attribute of that type.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        let mut attributes = self;
        attributes.find_map(|(found, payload)| (found == kind).then_some(payload))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE_MASK;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    }
}

/// The native-endian 16-bit number at `offset`.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

/// The native-endian 32-bit number at `offset`.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// The native-endian 64-bit number at `offset`.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

/// Four bytes as an address.
pub fn address(bytes: &[u8]) -> Option<std::net::Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes).ok()?.into())
}

/// A NUL-terminated text.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let mut message = Message::new(16, 0x400, &[1, 2, 3, 4]);
        message.attr_str(3, "eth0").nest(18, |nested| {
            nested.attr_u32(1, 7);
        });
        let mut bytes = vec![];
        message.finish(9, 4, &mut bytes);
        let reply = replies(&bytes).next().unwrap();
        assert_eq!((reply.kind, reply.sequence), (16, 9));
        let attributes = reply.attributes(4);
        assert_eq!(text(attributes.get(3).unwrap()), "eth0");
        assert_eq!(Attributes(attributes.get(18).unwrap()).get(1), Some(&7u32.to_ne_bytes()[..]));
        assert_eq!(u16_at(&bytes, 6), Some(0x405));
    }

    #[test]
    fn cut_and_lying_lengths_end_the_iteration() {
        let mut bytes = vec![];
        Message::new(16, 0, &[0; 16]).attr(1, &[0; 40]).finish(1, 0, &mut bytes);
        for cut in 0..bytes.len() {
            for reply in replies(&bytes[..cut]) {
                reply.attributes(16).count();
            }
        }
        for lie in [0u32, 1, 15, 17, u32::MAX] {
            bytes[..4].copy_from_slice(&lie.to_ne_bytes());
            for reply in replies(&bytes) {
                reply.attributes(16).count();
            }
        }
        assert_eq!(Attributes(&[0, 0, 1, 0, 9, 9]).count(), 0);
    }
}
