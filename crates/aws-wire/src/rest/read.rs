//! A REST request, member by member, from wherever the schema says it is.

use longshore_aws_model::{
    Kind, Member, OnElement, OnEntry, OnMember, OperationSchema, Place, Protocol, ReadError, Schema, ShapeReader,
    Timestamp,
};

use super::text::TextReader;
use super::xml::{self, XmlReader};
use crate::call::Head;
use crate::json::Cursor;

/// Reports each member of the operation's input.
pub(crate) fn read(
    operation: &'static OperationSchema,
    protocol: Protocol,
    head: &Head,
    body: &[u8],
    on: OnMember<'_>,
) -> Result<(), ReadError> {
    let members = operation.input.members();
    for (i, member) in members.iter().enumerate() {
        match member.place {
            Place::Label => {
                if let Some((_, value)) = head.labels.iter().find(|(name, _)| *name == member.wire) {
                    on(i, &mut TextReader::one(value))?;
                }
            }
            Place::Query if matches!(member.schema.kind, Kind::Map(_)) => on(i, &mut Pairs::of(&head.query, ""))?,
            Place::Query => texts(&head.query, member, false, i, on)?,
            Place::Header | Place::JsonHeader => texts(&head.headers, member, true, i, on)?,
            Place::Prefix => on(i, &mut Pairs::of(&head.headers, member.wire))?,
            Place::Payload => payload(protocol, member, body, i, on)?,
            Place::Body | Place::Attribute | Place::Status => {}
        }
    }
    let in_body = |member: &Member| matches!(member.place, Place::Body | Place::Attribute);
    if !members.iter().any(in_body) || body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    match protocol {
        Protocol::RestXml => XmlReader::root(&xml::parse(body)?).structure(operation.input, on),
        _ => {
            let mut cursor = Cursor::new(body)?;
            cursor.structure(operation.input, &mut |i, r| {
                // What has a place of its own is not looked for in the body.
                if in_body(&members[i]) { on(i, r) } else { r.document(members[i].schema).map(drop) }
            })?;
            if cursor.at_end() { Ok(()) } else { Err(cursor.unexpected()) }
        }
    }
}

fn texts(
    pairs: &[(String, String)],
    member: &'static Member,
    header: bool,
    i: usize,
    on: OnMember<'_>,
) -> Result<(), ReadError> {
    let named = |name: &str| if header { name.eq_ignore_ascii_case(member.wire) } else { name == member.wire };
    let values: Vec<&str> = pairs.iter().filter(|(name, _)| named(name)).map(|(_, v)| v.as_str()).collect();
    // An empty header is none.
    if values.is_empty() || header && values.iter().all(|v| v.is_empty()) {
        return Ok(());
    }
    on(i, &mut TextReader { values, commas: header, encoded: member.place == Place::JsonHeader })
}

fn payload(
    protocol: Protocol,
    member: &'static Member,
    body: &[u8],
    i: usize,
    on: OnMember<'_>,
) -> Result<(), ReadError> {
    if body.is_empty() {
        return Ok(());
    }
    match member.schema.kind {
        Kind::String | Kind::Blob => on(i, &mut Raw(body)),
        _ if protocol == Protocol::RestXml => on(i, &mut XmlReader::root(&xml::parse(body)?)),
        _ => {
            let mut cursor = Cursor::new(body)?;
            on(i, &mut cursor)?;
            if cursor.at_end() { Ok(()) } else { Err(cursor.unexpected()) }
        }
    }
}

/// All parameters, or all headers with a prefix, as a map.
struct Pairs<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Pairs<'a> {
    fn of(pairs: &'a [(String, String)], prefix: &str) -> Self {
        let rest = |name: &'a str| {
            let (head, tail) = name.split_at_checked(prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then_some(tail)
        };
        Self(pairs.iter().filter_map(|(name, value)| Some((rest(name)?, value.as_str()))).collect())
    }
}

/// A body as it came.
struct Raw<'a>(&'a [u8]);

/// Readers that stand for one kind of value, and refuse all others.
macro_rules! refuse {
    ($found:literal: $($method:ident $expected:literal $t:ty,)*) => {$(
        fn $method(&mut self, _: &'static Schema) -> Result<$t, ReadError> {
            Err(ReadError::mismatch($found, $expected))
        }
    )*};
}

impl ShapeReader for Pairs<'_> {
    fn structure(&mut self, _: &'static Schema, _: OnMember<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch("parameters", "structure"))
    }
    fn list(&mut self, _: &'static Schema, _: OnElement<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch("parameters", "list"))
    }
    fn map(&mut self, schema: &'static Schema, on: OnEntry<'_>) -> Result<(), ReadError> {
        let lists = matches!(schema.inner().kind, Kind::List(_));
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &self.0 {
            if seen.contains(name) {
                continue;
            }
            seen.push(name);
            let all = || self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| *v).collect();
            let values = if lists { all() } else { vec![*value] };
            on((*name).to_owned(), &mut TextReader { values, commas: false, encoded: false })?;
        }
        Ok(())
    }
    refuse! { "parameters":
        string "String" String, integer "Integer" i64, float "Double" f64, boolean "Boolean" bool,
        timestamp "Timestamp" Timestamp, blob "Blob" Vec<u8>, document "Document" String,
    }
}

impl ShapeReader for Raw<'_> {
    fn structure(&mut self, _: &'static Schema, _: OnMember<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch("bytes", "structure"))
    }
    fn list(&mut self, _: &'static Schema, _: OnElement<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch("bytes", "list"))
    }
    fn map(&mut self, _: &'static Schema, _: OnEntry<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch("bytes", "map"))
    }
    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        String::from_utf8(self.0.to_vec()).map_err(|_| ReadError::mismatch("bytes that are not UTF-8", "String"))
    }
    fn blob(&mut self, _: &'static Schema) -> Result<Vec<u8>, ReadError> {
        Ok(self.0.to_vec())
    }
    refuse! { "bytes":
        integer "Integer" i64, float "Double" f64, boolean "Boolean" bool, timestamp "Timestamp" Timestamp,
        document "Document" String,
    }
}
