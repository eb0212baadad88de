//! Bytes on disk: frames with a checksum, and the records in them.
//!
//! A frame is `length: u32, crc32 of the payload: u32, payload`, little-endian. A payload starts with the record's kind.
//! Numbers are LEB128; differences are zigzag, so that events a few milliseconds apart take a few bytes besides the text.

use super::event::{Event, EventKey};
use std::ops::Range;

pub(crate) const FRAME_HEADER_LEN: usize = 8;
/// A longer frame is damage: the largest appended batch is a little over the API's 1 MiB, a footer some MiB.
const PAYLOAD_LEN_MAX: usize = 256 << 20;

const KIND_STREAM: u8 = 1;
const KIND_EVENTS: u8 = 2;
const KIND_DELETE: u8 = 3;
const KIND_FLOOR: u8 = 4;
const KIND_FOOTER: u8 = 5;

/// What a frame says.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    /// From here on in this file, this id means this stream.
    Stream {
        id: u64,
        group: String,
        name: String,
    },
    Events(Block),
    /// These streams are gone. Their ids are not used again. With a group, all of it is gone, with its floor.
    Delete {
        group: Option<String>,
        ids: Vec<u64>,
    },
    /// Events of the group before this time are gone, of those in this file so far and in the files before it.
    Floor {
        group: String,
        before_ms: i64,
    },
    /// What a sorted segment holds.
    Footer(Vec<FooterStream>),
}

/// Events of one stream. Their messages stay in the payload they were read from.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) stream: u64,
    pub(crate) events: Vec<BlockEvent>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockEvent {
    pub(crate) timestamp_ms: i64,
    pub(crate) sequence: u64,
    pub(crate) ingestion_ms: i64,
    /// Where in the payload its message is.
    pub(crate) message: Range<usize>,
}

impl BlockEvent {
    pub(crate) fn key(&self) -> EventKey {
        (self.timestamp_ms, self.sequence)
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct FooterStream {
    pub(crate) id: u64,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) last_ingestion_ms: i64,
    pub(crate) sequence_max: u64,
    pub(crate) blocks: Vec<FooterBlock>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct FooterBlock {
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) count: u32,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// Bytes that are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("the file ends inside a record")]
    Truncated,
    #[error("a record's checksum is wrong")]
    Checksum,
    #[error("a record is malformed")]
    Malformed,
}

/// Appends a frame whose payload `write` makes. Returns the frame's length.
fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_LEN]);
    write(out);
    let payload = start + FRAME_HEADER_LEN;
    let len = u32::try_from(out.len() - payload).expect("a frame is far below 4 GiB");
    let crc = crc32fast::hash(&out[payload..]);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..payload].copy_from_slice(&crc.to_le_bytes());
    out.len() - start
}

/// The payload of the frame at the start of `bytes`, checked.
pub(crate) fn payload(bytes: &[u8]) -> Result<&[u8], CodecError> {
    let (header, rest) = bytes.split_first_chunk::<FRAME_HEADER_LEN>().ok_or(CodecError::Truncated)?;
    let [a, b, c, d, e, f, g, h] = *header;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    if len > PAYLOAD_LEN_MAX {
        return Err(CodecError::Malformed);
    }
    let payload = rest.get(..len).ok_or(CodecError::Truncated)?;
    if crc32fast::hash(payload) != u32::from_le_bytes([e, f, g, h]) {
        return Err(CodecError::Checksum);
    }
    Ok(payload)
}

pub(crate) fn write_stream(out: &mut Vec<u8>, id: u64, group: &str, name: &str) {
    frame(out, |out| {
        out.push(KIND_STREAM);
        put(out, id);
        put_text(out, group);
        put_text(out, name);
    });
}

pub(crate) fn write_delete(out: &mut Vec<u8>, group: Option<&str>, ids: &[u64]) {
    frame(out, |out| {
        out.push(KIND_DELETE);
        put(out, group.is_some().into());
        put_text(out, group.unwrap_or_default());
        put(out, ids.len() as u64);
        ids.iter().for_each(|id| put(out, *id));
    });
}

pub(crate) fn write_floor(out: &mut Vec<u8>, group: &str, before_ms: i64) {
    frame(out, |out| {
        out.push(KIND_FLOOR);
        put_text(out, group);
        put_signed(out, before_ms);
    });
}

/// Writes a block of events as they arrive: numbered from `sequence`. Returns the frame's length.
pub(crate) fn write_appended(
    out: &mut Vec<u8>,
    stream: u64,
    events: &[Event],
    sequence: u64,
    ingestion_ms: i64,
) -> usize {
    let numbered = events.iter().zip(sequence..);
    let fields =
        numbered.map(|(event, sequence)| (event.timestamp_ms, sequence, ingestion_ms, event.message.as_bytes()));
    write_events(out, stream, events.len(), fields)
}

/// Writes a block of timestamp, sequence, ingestion time and message. Returns the frame's length.
pub(crate) fn write_events<'a>(
    out: &mut Vec<u8>,
    stream: u64,
    count: usize,
    events: impl Iterator<Item = (i64, u64, i64, &'a [u8])>,
) -> usize {
    frame(out, |out| {
        out.push(KIND_EVENTS);
        put(out, stream);
        put(out, count as u64);
        let (mut time, mut number, mut ingestion) = (0i64, 0u64, 0i64);
        for (timestamp_ms, sequence, ingestion_ms, message) in events {
            put_signed(out, timestamp_ms.wrapping_sub(time));
            put_signed(out, sequence.wrapping_sub(number).cast_signed());
            put_signed(out, ingestion_ms.wrapping_sub(ingestion));
            put(out, message.len() as u64);
            out.extend_from_slice(message);
            (time, number, ingestion) = (timestamp_ms, sequence, ingestion_ms);
        }
    })
}

pub(crate) fn write_footer(out: &mut Vec<u8>, streams: &[FooterStream]) -> usize {
    frame(out, |out| {
        out.push(KIND_FOOTER);
        put(out, streams.len() as u64);
        for stream in streams {
            put(out, stream.id);
            put_text(out, &stream.group);
            put_text(out, &stream.name);
            put_signed(out, stream.last_ingestion_ms);
            put(out, stream.sequence_max);
            put(out, stream.blocks.len() as u64);
            for block in &stream.blocks {
                put(out, block.offset.into());
                put(out, block.len.into());
                put(out, block.count.into());
                put_signed(out, block.min_ms);
                put_signed(out, block.max_ms);
            }
        }
    })
}

/// Reads a payload whose checksum was right. It may still be any bytes.
pub(crate) fn read_record(payload: &[u8]) -> Result<Record, CodecError> {
    let mut input = Input { payload, at: 0 };
    let record = match input.byte()? {
        KIND_STREAM => Record::Stream { id: input.number()?, group: input.text()?, name: input.text()? },
        KIND_EVENTS => Record::Events(read_block(&mut input)?),
        KIND_DELETE => {
            let is_group = input.number()? != 0;
            let group = Some(input.text()?).filter(|_| is_group);
            let count = input.count()?;
            Record::Delete { group, ids: (0..count).map(|_| input.number()).collect::<Result<_, _>>()? }
        }
        KIND_FLOOR => Record::Floor { group: input.text()?, before_ms: input.signed()? },
        KIND_FOOTER => {
            let count = input.count()?;
            Record::Footer((0..count).map(|_| read_footer_stream(&mut input)).collect::<Result<_, _>>()?)
        }
        _ => return Err(CodecError::Malformed),
    };
    if input.at == payload.len() { Ok(record) } else { Err(CodecError::Malformed) }
}

fn read_block(input: &mut Input<'_>) -> Result<Block, CodecError> {
    let stream = input.number()?;
    let count = input.count()?;
    let mut events = Vec::with_capacity(count);
    let (mut timestamp_ms, mut sequence, mut ingestion_ms) = (0i64, 0u64, 0i64);
    for _ in 0..count {
        timestamp_ms = timestamp_ms.wrapping_add(input.signed()?);
        sequence = sequence.wrapping_add(input.signed()?.cast_unsigned());
        ingestion_ms = ingestion_ms.wrapping_add(input.signed()?);
        let message = input.bytes()?;
        events.push(BlockEvent { timestamp_ms, sequence, ingestion_ms, message });
    }
    Ok(Block { stream, events })
}

fn read_footer_stream(input: &mut Input<'_>) -> Result<FooterStream, CodecError> {
    let (id, group, name) = (input.number()?, input.text()?, input.text()?);
    let (last_ingestion_ms, sequence_max, count) = (input.signed()?, input.number()?, input.count()?);
    let blocks = (0..count).map(|_| {
        Ok(FooterBlock {
            offset: input.small()?,
            len: input.small()?,
            count: input.small()?,
            min_ms: input.signed()?,
            max_ms: input.signed()?,
        })
    });
    let blocks = blocks.collect::<Result<_, _>>()?;
    Ok(FooterStream { id, group, name, last_ingestion_ms, sequence_max, blocks })
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Input<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, CodecError> {
        let byte = *self.payload.get(self.at).ok_or(CodecError::Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, CodecError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(CodecError::Malformed)
    }

    fn signed(&mut self) -> Result<i64, CodecError> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn small(&mut self) -> Result<u32, CodecError> {
        self.number()?.try_into().map_err(|_| CodecError::Malformed)
    }

    /// A number of things that follow; each takes at least a byte, so a larger number is a lie.
    fn count(&mut self) -> Result<usize, CodecError> {
        let count = usize::try_from(self.number()?).map_err(|_| CodecError::Malformed)?;
        if count <= self.payload.len() - self.at { Ok(count) } else { Err(CodecError::Malformed) }
    }

    fn bytes(&mut self) -> Result<Range<usize>, CodecError> {
        let len = self.count()?;
        let range = self.at..self.at + len;
        self.at = range.end;
        Ok(range)
    }

    fn text(&mut self) -> Result<String, CodecError> {
        let range = self.bytes()?;
        String::from_utf8(self.payload[range].to_vec()).map_err(|_| CodecError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let mut out = Vec::new();
        write_stream(&mut out, 7, "group", "stream é");
        write_delete(&mut out, Some("group"), &[1, u64::MAX]);
        write_delete(&mut out, None, &[2]);
        write_floor(&mut out, "group", -5);
        let footer = FooterStream {
            id: 1,
            group: "g".into(),
            name: "n".into(),
            last_ingestion_ms: 9,
            sequence_max: 300,
            blocks: vec![FooterBlock { offset: 8, len: 70_000, count: 3, min_ms: i64::MIN, max_ms: i64::MAX }],
        };
        write_footer(&mut out, std::slice::from_ref(&footer));
        let mut rest = &out[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let payload = payload(rest).unwrap();
            records.push(read_record(payload).unwrap());
            rest = &rest[FRAME_HEADER_LEN + payload.len()..];
        }
        let stream = Record::Stream { id: 7, group: "group".into(), name: "stream é".into() };
        let delete = Record::Delete { group: Some("group".into()), ids: vec![1, u64::MAX] };
        let delete_stream = Record::Delete { group: None, ids: vec![2] };
        let floor = Record::Floor { group: "group".into(), before_ms: -5 };
        assert_eq!(records, [stream, delete, delete_stream, floor, Record::Footer(vec![footer])]);
    }

    #[test]
    fn events_come_back_with_their_numbers() {
        let times = [5i64, 3, i64::MAX, i64::MIN, 1_700_000_000_000];
        let events: Vec<Event> =
            times.map(|timestamp_ms| Event { timestamp_ms, message: format!("at {timestamp_ms}") }).into();
        let mut out = Vec::new();
        let len = write_appended(&mut out, 9, &events, 100, 77);
        assert_eq!(len, out.len());
        let payload = payload(&out).unwrap();
        let Record::Events(block) = read_record(payload).unwrap() else { panic!("not events") };
        assert_eq!(block.stream, 9);
        for ((read, event), sequence) in block.events.iter().zip(&events).zip(100..) {
            assert_eq!((read.timestamp_ms, read.sequence, read.ingestion_ms), (event.timestamp_ms, sequence, 77));
            assert_eq!(&payload[read.message.clone()], event.message.as_bytes());
        }
    }

    #[test]
    fn any_damage_is_an_error() {
        let mut out = Vec::new();
        write_appended(&mut out, 9, &[Event { timestamp_ms: 1, message: "hello".into() }], 1, 2);
        for len in 0..out.len() {
            assert_eq!(payload(&out[..len]), Err(CodecError::Truncated));
        }
        for at in 0..out.len() {
            for bit in 0..8 {
                let mut damaged = out.clone();
                damaged[at] ^= 1 << bit;
                assert!(payload(&damaged).is_err(), "byte {at} bit {bit}");
            }
        }
        // Even with a right checksum, no bytes make the reader panic.
        let mut number = 1u64;
        for _ in 0..20_000 {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let bytes =
                [&[(number >> 60) as u8 % 7][..], &number.to_be_bytes()[..(number >> 32) as usize % 8]].concat();
            let _ = read_record(&bytes);
        }
    }
}
