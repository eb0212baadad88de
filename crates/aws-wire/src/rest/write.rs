//! A [`ShapeWriter`] that puts each member of an answer where the schema says.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::{
    Kind, Member, OperationSchema, Place, Protocol, Schema, ShapeWriter, Timestamp, TimestampFormat,
};

use crate::json::JsonWriter;
use crate::number::write_float;
use crate::query::XmlWriter;
use crate::time;

/// What a REST answer is made of.
pub(crate) struct RestWriter {
    body: Body,
    text: Text,
    target: Target,
    /// Structures, lists and maps that have begun inside a member.
    depth: usize,
    payload: Option<&'static Member>,
    given: bool,
}

enum Body {
    Json(JsonWriter),
    Xml(XmlWriter),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Body,
    Text,
}

/// The parts of a finished answer.
pub(crate) struct Parts {
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Vec<u8>,
}

/// Values outside of the body's structure: headers, the status, a body of bytes.
#[derive(Default)]
struct Text {
    member: Option<&'static Member>,
    /// Elements of a list so far: their number, and as they are written.
    list: Option<(usize, String)>,
    /// Of a prefix and an entry's key.
    name: String,
    headers: Vec<(String, String)>,
    status: Option<u16>,
    raw: Vec<u8>,
}

/// True for what an answer has beside the body's structure: labels and parameters are of requests, and mean nothing here.
fn outside(place: Place) -> bool {
    matches!(place, Place::Header | Place::JsonHeader | Place::Prefix | Place::Status | Place::Payload)
}

impl RestWriter {
    pub(crate) fn new(operation: &OperationSchema, protocol: Protocol) -> Self {
        let members = operation.output.members();
        let payload = members.iter().find(|m| m.place == Place::Payload);
        let in_body = members.iter().any(|m| !outside(m.place));
        let mut body = match protocol {
            Protocol::RestXml => Body::Xml(XmlWriter::with_capacity(512)),
            _ => Body::Json(JsonWriter::with_capacity(512)),
        };
        if payload.is_none() && in_body {
            match &mut body {
                Body::Json(w) => w.begin_structure(operation.output),
                Body::Xml(w) => w.root(operation.output.name, operation.output, operation.service.xml_namespace),
            }
        } else if payload.is_none()
            && operation.has_output
            && let Body::Json(w) = &mut body
        {
            w.begin_structure(operation.output);
        }
        Self { body, text: Text::default(), target: Target::Body, depth: 0, payload, given: false }
    }

    pub(crate) fn finish(self, operation: &OperationSchema) -> Parts {
        let Text { headers, status, raw, .. } = self.text;
        let raw_type = |kind| match kind {
            Kind::Blob => Some("application/octet-stream"),
            Kind::String => Some("text/plain"),
            _ => None,
        };
        let (content_type, body) = match self.payload {
            Some(_) if !self.given => (None, Vec::new()),
            Some(payload) if raw_type(payload.schema.kind).is_some() => (raw_type(payload.schema.kind), raw),
            payload => match self.body {
                Body::Json(mut w) => {
                    if payload.is_none() && operation.has_output {
                        w.end_structure();
                    }
                    (Some("application/json"), w.finish().into_bytes())
                }
                Body::Xml(mut w) => {
                    w.end_structure();
                    (Some("application/xml"), w.finish().into_bytes())
                }
            },
        };
        let content_type = content_type.filter(|_| !body.is_empty());
        Parts { status, headers, content_type, body }
    }

    fn sink(&mut self) -> &mut dyn ShapeWriter {
        match (self.target, &mut self.body) {
            (Target::Text, _) => &mut self.text,
            (Target::Body, Body::Json(w)) => w,
            (Target::Body, Body::Xml(w)) => w,
        }
    }
}

impl ShapeWriter for RestWriter {
    fn begin_structure(&mut self, schema: &'static Schema) {
        self.depth += 1;
        self.sink().begin_structure(schema);
    }
    fn member(&mut self, member: &'static Member) {
        if self.depth > 0 {
            return self.sink().member(member);
        }
        self.target = match member.place {
            place if outside(place) && place != Place::Payload => Target::Text,
            Place::Payload => {
                self.given = true;
                match (member.schema.kind, &mut self.body) {
                    (Kind::Blob | Kind::String, _) => Target::Text,
                    (_, Body::Xml(w)) => {
                        let name = if member.wire == member.name { member.schema.name } else { member.wire };
                        w.element_named(name);
                        Target::Body
                    }
                    _ => Target::Body,
                }
            }
            _ => Target::Body,
        };
        match self.target {
            Target::Text => self.text.member(member),
            Target::Body if member.place == Place::Payload => {}
            Target::Body => self.sink().member(member),
        }
    }
    fn end_structure(&mut self) {
        self.depth -= 1;
        self.sink().end_structure();
    }
    fn begin_list(&mut self, schema: &'static Schema, len: usize) {
        self.depth += 1;
        self.sink().begin_list(schema, len);
    }
    fn element(&mut self) {
        self.sink().element();
    }
    fn end_list(&mut self) {
        self.depth -= 1;
        self.sink().end_list();
    }
    fn begin_map(&mut self, schema: &'static Schema, len: usize) {
        self.depth += 1;
        self.sink().begin_map(schema, len);
    }
    fn entry(&mut self, key: &str) {
        self.sink().entry(key);
    }
    fn end_map(&mut self) {
        self.depth -= 1;
        self.sink().end_map();
    }
    fn string(&mut self, schema: &'static Schema, value: &str) {
        self.sink().string(schema, value);
    }
    fn integer(&mut self, schema: &'static Schema, value: i64) {
        self.sink().integer(schema, value);
    }
    fn float(&mut self, schema: &'static Schema, value: f64) {
        self.sink().float(schema, value);
    }
    fn boolean(&mut self, schema: &'static Schema, value: bool) {
        self.sink().boolean(schema, value);
    }
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) {
        self.sink().timestamp(schema, value);
    }
    fn blob(&mut self, schema: &'static Schema, value: &[u8]) {
        self.sink().blob(schema, value);
    }
    fn document(&mut self, schema: &'static Schema, value: &str) {
        self.sink().document(schema, value);
    }
}

impl Text {
    fn put(&mut self, value: &str) {
        let Some(member) = self.member else {
            return;
        };
        if let Some((count, list)) = &mut self.list {
            if *count > 0 {
                list.push_str(", ");
            }
            list.push_str(value);
            *count += 1;
            return;
        }
        match member.place {
            Place::Payload => self.raw = value.as_bytes().to_vec(),
            Place::Status => self.status = value.parse().ok(),
            Place::Prefix => self.headers.push((format!("{}{}", member.wire, self.name), value.to_owned())),
            _ => self.headers.push((member.wire.to_owned(), value.to_owned())),
        }
    }
}

impl ShapeWriter for Text {
    // Neither headers nor the status hold structures.
    fn begin_structure(&mut self, _: &'static Schema) {}
    fn member(&mut self, member: &'static Member) {
        self.member = Some(member);
    }
    fn end_structure(&mut self) {}
    fn begin_list(&mut self, _: &'static Schema, _: usize) {
        self.list = Some((0, String::new()));
    }
    fn element(&mut self) {}
    fn end_list(&mut self) {
        // A list without elements is no header.
        if let Some((_, list)) = self.list.take().filter(|(_, list)| !list.is_empty()) {
            self.put(&list);
        }
    }
    fn begin_map(&mut self, _: &'static Schema, _: usize) {}
    fn entry(&mut self, key: &str) {
        key.clone_into(&mut self.name);
    }
    fn end_map(&mut self) {}
    fn string(&mut self, _: &'static Schema, value: &str) {
        let place = self.member.map(|m| m.place);
        match place {
            Some(Place::JsonHeader) => self.put(&BASE64_STANDARD.encode(value)),
            // Space around an element that is not quoted is the list's.
            _ if self.list.is_some() && (value.contains([',', '"']) || value.trim() != value) => {
                let quoted = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
                self.put(&quoted);
            }
            _ => self.put(value),
        }
    }
    fn integer(&mut self, _: &'static Schema, value: i64) {
        self.put(&value.to_string());
    }
    fn float(&mut self, schema: &'static Schema, value: f64) {
        let mut text = String::new();
        write_float(&mut text, schema, value);
        self.put(&text);
    }
    fn boolean(&mut self, _: &'static Schema, value: bool) {
        self.put(if value { "true" } else { "false" });
    }
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp) {
        let format = match schema.kind {
            Kind::Timestamp(Some(format)) => format,
            _ => TimestampFormat::Rfc822,
        };
        let mut text = String::new();
        time::write(&mut text, value, format);
        self.put(&text);
    }
    fn blob(&mut self, _: &'static Schema, value: &[u8]) {
        match self.member.map(|m| m.place) {
            Some(Place::Payload) => self.raw = value.to_vec(),
            _ => self.put(&BASE64_STANDARD.encode(value)),
        }
    }
    fn document(&mut self, _: &'static Schema, value: &str) {
        self.put(value);
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::ShapeReader;
    use longshore_aws_model::schema::STRING;

    use super::*;
    use crate::rest::text::TextReader;

    static LIST: Schema = Schema::list("List", &STRING);
    static MEMBER: Member = Member::new("Tags", &LIST).wire("x-tags").at(Place::Header);

    #[test]
    fn elements_of_a_header_list_may_be_empty_and_keep_commas_quotes_and_the_space_around_them() {
        let given = ["", "a", "", " b ", " ", "c, d", "e \"f\\\" g", "h\\", "\ti"];
        let mut text = Text::default();
        text.member(&MEMBER);
        text.begin_list(&LIST, given.len());
        for element in given {
            text.element();
            text.string(&STRING, element);
        }
        text.end_list();
        let (name, value) = &text.headers[0];
        assert_eq!(name, "x-tags");
        let mut read = Vec::new();
        let mut reader = TextReader { values: vec![value.as_str()], commas: true, encoded: false };
        let took = reader.list(&LIST, &mut |element| {
            read.push(element.string(&STRING)?);
            Ok(())
        });
        took.expect("a list");
        assert_eq!(read, given, "{value}");
    }
}
