//! Smithy RPC v2 CBOR: a body is one CBOR map.

mod read;
mod write;

pub(crate) use read::CborReader;
pub(crate) use write::CborWriter;
