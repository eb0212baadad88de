//! A [`ShapeWriter`] of compact JSON.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::{Kind, Member, Schema, ShapeWriter, Timestamp, TimestampFormat};

use crate::number::write_float;
use crate::time;

/// Writes into a string it owns.
#[derive(Default)]
pub(crate) struct JsonWriter {
    out: String,
    /// True after an opening bracket, when the next member needs no comma.
    first: bool,
}

impl JsonWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), first: false }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.first = true;
    }

    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.first = false;
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
    }
}

impl ShapeWriter for JsonWriter {
    fn begin_structure(&mut self, _: &'static Schema) {
        self.open('{');
    }
    fn member(&mut self, member: &'static Member) {
        self.comma();
        // Names in models are identifiers: nothing to escape.
        self.out.push('"');
        self.out.push_str(member.wire);
        self.out.push_str("\":");
    }
    fn end_structure(&mut self) {
        self.close('}');
    }
    fn begin_list(&mut self, _: &'static Schema, _: usize) {
        self.open('[');
    }
    fn element(&mut self) {
        self.comma();
    }
    fn end_list(&mut self) {
        self.close(']');
    }
    fn begin_map(&mut self, _: &'static Schema, _: usize) {
        self.open('{');
    }
    fn entry(&mut self, key: &str) {
        self.comma();
        write_string(&mut self.out, key);
        self.out.push(':');
    }
    fn end_map(&mut self) {
        self.close('}');
    }
    fn string(&mut self, _: &'static Schema, value: &str) {
        write_string(&mut self.out, value);
    }
    fn integer(&mut self, _: &'static Schema, value: i64) {
        self.out.push_str(itoa::Buffer::new().format(value));
    }
    fn float(&mut self, schema: &'static Schema, value: f64) {
        let word = !value.is_finite();
        if word {
            self.out.push('"');
        }
        write_float(&mut self.out, schema, value);
        if word {
            self.out.push('"');
        }
    }
    fn boolean(&mut self, _: &'static Schema, value: bool) {
        self.out.push_str(if value { "true" } else { "false" });
    }
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) {
        match schema.kind {
            Kind::Timestamp(Some(format)) if format != TimestampFormat::Epoch => {
                self.out.push('"');
                time::write(&mut self.out, value, format);
                self.out.push('"');
            }
            _ => time::write(&mut self.out, value, TimestampFormat::Epoch),
        }
    }
    fn blob(&mut self, _: &'static Schema, value: &[u8]) {
        self.out.push('"');
        BASE64_STANDARD.encode_string(value, &mut self.out);
        self.out.push('"');
    }
    fn document(&mut self, _: &'static Schema, value: &str) {
        self.out.push_str(value);
    }
}

/// Appends a quoted, escaped string.
pub(crate) fn write_string(out: &mut String, value: &str) {
    out.push('"');
    // Nearly every string is plain; a whole chunk at a time is looked at without a branch for each byte.
    let plain =
        |chunk: &[u8]| !chunk.iter().fold(false, |special, b| special | (*b < 0x20) | (*b == b'"') | (*b == b'\\'));
    if value.as_bytes().chunks(32).all(plain) {
        out.push_str(value);
        out.push('"');
        return;
    }
    let mut copied = 0;
    for (i, b) in value.bytes().enumerate() {
        let escape = match b {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&value[copied..i]);
        match escape {
            "" => {
                let _ = write!(out, "\\u{b:04x}");
            }
            e => out.push_str(e),
        }
        copied = i + 1;
    }
    out.push_str(&value[copied..]);
    out.push('"');
}
