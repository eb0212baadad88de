//! A [`ShapeWriter`] of XML answers.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::schema::{MapSchema, Namespace};
use longshore_aws_model::{Kind, Member, Place, Schema, ShapeWriter, Timestamp, TimestampFormat};

use crate::number::write_float;
use crate::time;

/// Writes into a string it owns. What surrounds the shape is written by [`XmlWriter::open`] and [`XmlWriter::leaf`].
pub(crate) struct XmlWriter {
    out: String,
    /// Element the next value stands in; none for the outermost structure, whose members follow bare.
    next: Option<&'static str>,
    frames: Vec<Frame>,
    /// The next value is this attribute.
    attribute: Option<&'static str>,
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
    /// Schema of the map, for its namespace; entries of a flattened one have it.
    schema: &'static Schema,
    /// Where the start tag ends, for attributes.
    tag_end: usize,
}

impl XmlWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), next: None, frames: Vec::new(), attribute: None }
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

    /// Opens an element in the namespace of its schema, if that has one.
    fn open_in(&mut self, element: &str, schema: &Schema) {
        self.open(element);
        if let Some(Namespace { prefix, uri }) = schema.xmlns {
            self.out.pop();
            let colon = if prefix.is_empty() { "" } else { ":" };
            // Namespaces are the model's: nothing to escape.
            let _ = write!(self.out, " xmlns{colon}{prefix}=\"{uri}\">");
        }
    }

    /// Begins a document: its element has the schema's namespace, else the service's.
    pub(crate) fn root(&mut self, element: &'static str, schema: &'static Schema, namespace: &str) {
        self.next = Some(element);
        self.begin_structure(schema);
        if schema.xmlns.is_none() && !namespace.is_empty() {
            self.attribute("xmlns", namespace);
        }
    }

    /// The next value stands in an element of this name.
    pub(crate) fn element_named(&mut self, element: &'static str) {
        self.next = Some(element);
    }

    /// Puts an attribute into the start tag of the structure that has begun.
    fn attribute(&mut self, name: &str, value: &str) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let mut text = format!(" {name}=\"");
        escape(&mut text, value);
        text.push('"');
        self.out.insert_str(frame.tag_end, &text);
        frame.tag_end += text.len();
    }

    pub(crate) fn close(&mut self, element: &str) {
        self.out.push_str("</");
        self.out.push_str(element);
        self.out.push('>');
    }

    fn value(&mut self, schema: &Schema, write: impl FnOnce(&mut String)) {
        if let Some(name) = self.attribute.take() {
            let mut text = String::new();
            write(&mut text);
            return self.attribute(name, &text);
        }
        let element = self.next.take().unwrap_or("member");
        self.open_in(element, schema);
        write(&mut self.out);
        self.close(element);
    }

    fn begin(
        &mut self,
        schema: &'static Schema,
        element: Option<&'static str>,
        child: &'static str,
        map: Option<(MapSchema, &'static str)>,
    ) {
        if let Some(element) = element {
            self.open_in(element, schema);
        }
        let tag_end = self.out.len().saturating_sub(1);
        self.frames.push(Frame { element, child, map, in_entry: false, schema, tag_end });
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
    fn begin_structure(&mut self, schema: &'static Schema) {
        let element = self.next.take();
        self.begin(schema, element, "", None);
    }
    fn member(&mut self, member: &'static Member) {
        match member.place {
            Place::Attribute => self.attribute = Some(member.wire),
            _ => self.next = Some(member.wire),
        }
    }
    fn end_structure(&mut self) {
        self.end();
    }
    fn begin_list(&mut self, schema: &'static Schema, _: usize) {
        let element = self.next.take();
        match schema.kind {
            Kind::List(l) if l.flattened => {
                self.begin(schema, None, l.element_name.or(element).unwrap_or("member"), None);
            }
            Kind::List(l) => self.begin(schema, element, l.element_name.unwrap_or("member"), None),
            _ => self.begin(schema, element, "member", None),
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
            Kind::Map(m) if m.flattened => self.begin(schema, None, "", Some((m, element.unwrap_or("entry")))),
            Kind::Map(m) => self.begin(schema, element, "", Some((m, "entry"))),
            _ => self.begin(schema, element, "", None),
        }
    }
    fn entry(&mut self, key: &str) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let Some((map, entry)) = frame.map else {
            return;
        };
        let schema = frame.schema;
        if std::mem::replace(&mut frame.in_entry, true) {
            self.close(entry);
        }
        match map.flattened {
            true => self.open_in(entry, schema),
            false => self.open(entry),
        }
        self.open_in(map.key_name, map.key);
        escape(&mut self.out, key);
        self.close(map.key_name);
        self.next = Some(map.value_name);
    }
    fn end_map(&mut self) {
        self.end();
    }
    fn string(&mut self, schema: &'static Schema, value: &str) {
        self.value(schema, |out| escape(out, value));
    }
    fn integer(&mut self, schema: &'static Schema, value: i64) {
        self.value(schema, |out| {
            // Writing to a String does not fail.
            let _ = write!(out, "{value}");
        });
    }
    fn float(&mut self, schema: &'static Schema, value: f64) {
        self.value(schema, |out| write_float(out, schema, value));
    }
    fn boolean(&mut self, schema: &'static Schema, value: bool) {
        self.value(schema, |out| out.push_str(if value { "true" } else { "false" }));
    }
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) {
        let format = match schema.kind {
            Kind::Timestamp(Some(format)) => format,
            _ => TimestampFormat::Iso8601,
        };
        self.value(schema, |out| time::write(out, value, format));
    }
    fn blob(&mut self, schema: &'static Schema, value: &[u8]) {
        self.value(schema, |out| BASE64_STANDARD.encode_string(value, out));
    }
    fn document(&mut self, schema: &'static Schema, value: &str) {
        self.value(schema, |out| escape(out, value));
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
