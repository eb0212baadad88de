//! AWS JSON: a body is one JSON object.

mod cursor;
mod read;
mod write;

pub(crate) use cursor::Cursor;
pub(crate) use write::{JsonWriter, write_string};
