//! A [`ShapeWriter`] of XML answers.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::schema::MapSchema;
use longshore_aws_model::{Kind, Member, Schema, ShapeWriter, Timestamp, TimestampFormat};

use crate::time;

/// Writes into a string it owns. What surrounds the shape is written by [`XmlWriter::open`] and [`XmlWriter::leaf`].
pub(crate) struct XmlWriter {
    out: String,
    /// Element the next value stands in; none for the outermost structure, whose members follow bare.
    next: Option<&'static str>,
    frames: Vec<Frame>,
}

/// An aggregate that has begun.
struct Frame {
    /// Element to close at its end.
    element: Option<&'static str>,
    /// Element of each child of a list.
    child: &'static str,
    /// For maps: names, and the element around an entry.
    map: Option<(MapSchema, &'static str)>,
    /// An entry has begun and not ended.
    in_entry: bool,
}

impl XmlWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), next: None, frames: Vec::new() }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// Appends markup as it is.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Appends an element with text.
    pub(crate) fn leaf(&mut self, element: &str, text: &str) {
        self.open(element);
        escape(&mut self.out, text);
        self.close(element);
    }

    pub(crate) fn open(&mut self, element: &str) {
        self.out.push('<');
        self.out.push_str(element);
        self.out.push('>');
    }

    pub(crate) fn close(&mut self, element: &str) {
        self.out.push_str("</");
        self.out.push_str(element);
        self.out.push('>');
    }

    fn value(&mut self, write: impl FnOnce(&mut String)) {
        let element = self.next.take().unwrap_or("member");
        self.open(element);
        write(&mut self.out);
        self.close(element);
    }

    fn begin(&mut self, element: Option<&'static str>, child: &'static str, map: Option<(MapSchema, &'static str)>) {
        if let Some(element) = element {
            self.open(element);
        }
        self.frames.push(Frame { element, child, map, in_entry: false });
    }

    fn end(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if let (Some((_, entry)), true) = (frame.map, frame.in_entry) {
            self.close(entry);
        }
        if let Some(element) = frame.element {
            self.close(element);
        }
    }
}

impl ShapeWriter for XmlWriter {
    fn begin_structure(&mut self, _: &'static Schema) {
        let element = self.next.take();
        self.begin(element, "", None);
    }
    fn member(&mut self, member: &'static Member) {
        self.next = Some(member.wire);
    }
    fn end_structure(&mut self) {
        self.end();
    }
    fn begin_list(&mut self, schema: &'static Schema, _: usize) {
        let element = self.next.take();
        match schema.kind {
            Kind::List(l) if l.flattened => {
                self.begin(None, l.element_name.or(element).unwrap_or("member"), None);
            }
            Kind::List(l) => self.begin(element, l.element_name.unwrap_or("member"), None),
            _ => self.begin(element, "member", None),
        }
    }
    fn element(&mut self) {
        self.next = self.frames.last().map(|f| f.child);
    }
    fn end_list(&mut self) {
        self.end();
    }
    fn begin_map(&mut self, schema: &'static Schema, _: usize) {
        let element = self.next.take();
        match schema.kind {
            Kind::Map(m) if m.flattened => self.begin(None, "", Some((m, element.unwrap_or("entry")))),
            Kind::Map(m) => self.begin(element, "", Some((m, "entry"))),
            _ => self.begin(element, "", None),
        }
    }
    fn entry(&mut self, key: &str) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let Some((map, entry)) = frame.map else {
            return;
        };
        if std::mem::replace(&mut frame.in_entry, true) {
            self.close(entry);
        }
        self.open(entry);
        self.leaf(map.key_name, key);
        self.next = Some(map.value_name);
    }
    fn end_map(&mut self) {
        self.end();
    }
    fn string(&mut self, _: &'static Schema, value: &str) {
        self.value(|out| escape(out, value));
    }
    fn integer(&mut self, _: &'static Schema, value: i64) {
        self.value(|out| {
            // Writing to a String does not fail.
            let _ = write!(out, "{value}");
        });
    }
    fn float(&mut self, _: &'static Schema, value: f64) {
        self.value(|out| {
            let _ = match value {
                v if v.is_infinite() => write!(out, "{}Infinity", if v < 0.0 { "-" } else { "" }),
                v => write!(out, "{v:?}"),
            };
        });
    }
    fn boolean(&mut self, _: &'static Schema, value: bool) {
        self.value(|out| out.push_str(if value { "true" } else { "false" }));
    }
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) {
        let format = match schema.kind {
            Kind::Timestamp(Some(format)) => format,
            _ => TimestampFormat::Iso8601,
        };
        self.value(|out| time::write(out, value, format));
    }
    fn blob(&mut self, _: &'static Schema, value: &[u8]) {
        self.value(|out| BASE64_STANDARD.encode_string(value, out));
    }
    fn document(&mut self, _: &'static Schema, value: &str) {
        self.value(|out| escape(out, value));
    }
}

/// Appends text with markup escaped. Characters that XML 1.0 cannot hold become U+FFFD, so that no stored text can make
/// an answer unreadable.
fn escape(out: &mut String, text: &str) {
    let mut copied = 0;
    for (i, c) in text.char_indices() {
        let entity = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            // Parsers would make it a line feed.
            '\r' => "&#xD;",
            '\t' | '\n' => continue,
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
            _ => continue,
        };
        out.push_str(&text[copied..i]);
        out.push_str(entity);
        copied = i + c.len_utf8();
    }
    out.push_str(&text[copied..]);
}
