//! AWS's REST protocols, which no service of ours speaks yet: a service made for this, with every kind of value in every place.

use std::fmt::Debug;

use longshore_aws_model::schema::{BLOB, BOOLEAN, DOCUMENT, DOUBLE, INTEGER, LONG, Namespace, STRING, TIMESTAMP};
use longshore_aws_model::{
    Http, Kind, Member, OperationSchema, Place, Protocol, ReadError, Schema, ServiceSchema, ShapeReader, ShapeWriter,
    Timestamp, TimestampFormat,
};
use longshore_aws_wire::{Parts, encode_error, identify_among, read_input, write_output};

use crate::input::{FIELD, Input};
use crate::wire::well_formed;

static ISO: Schema = Schema::new("Iso", Kind::Timestamp(Some(TimestampFormat::Iso8601)));
static STRINGS: Schema = Schema::list("Strings", &STRING);
static NUMBERS: Schema = Schema::list("Numbers", &LONG).elements(Some("n"), false);
static FLAT: Schema = Schema::list("Flat", &STRING).elements(Some("item"), true);
static MAP: Schema = Schema::map("Map", &STRING, &NODE);
static FLAT_MAP: Schema = Schema::map("FlatMap", &STRING, &STRING).entries("K", "V").elements(None, true);
static META: Schema = Schema::map("Meta", &STRING, &STRING);
static XSI: Namespace = Namespace { prefix: "xsi", uri: "http://www.w3.org/2001/XMLSchema-instance" };
static NODE: Schema = Schema::structure("Node", NODE_MEMBERS).xmlns(&XSI);
static NODE_MEMBERS: &[Member] = &[
    Member::new("Kind", &STRING).wire("xsi:kind").at(Place::Attribute),
    Member::new("Text", &STRING),
    Member::new("Next", &NODE),
    Member::new("Map", &MAP),
    Member::new("Bytes", &BLOB),
];
static INPUT: Schema = Schema::structure(
    "Input",
    &[
        Member::new("Name", &STRING).at(Place::Label),
        Member::new("Rest", &STRING).at(Place::Label),
        Member::new("Limit", &INTEGER).wire("limit").at(Place::Query),
        Member::new("Names", &STRINGS).wire("name").at(Place::Query),
        Member::new("Since", &TIMESTAMP).wire("since").at(Place::Query),
        Member::new("All", &META).at(Place::Query),
        Member::new("When", &ISO).wire("x-when").at(Place::Header),
        Member::new("Tags", &STRINGS).wire("x-tags").at(Place::Header),
        Member::new("Counts", &NUMBERS).wire("x-counts").at(Place::Header),
        Member::new("Secret", &BLOB).wire("x-secret").at(Place::Header),
        Member::new("Json", &STRING).wire("x-json").at(Place::JsonHeader),
        Member::new("Meta", &META).wire("x-meta-").at(Place::Prefix),
        Member::new("Attribute", &STRING).wire("attribute").at(Place::Attribute),
        Member::new("Text", &STRING).wire("text"),
        Member::new("Number", &LONG),
        Member::new("Ratio", &DOUBLE),
        Member::new("Yes", &BOOLEAN),
        Member::new("At", &TIMESTAMP),
        Member::new("Bytes", &BLOB),
        Member::new("Strings", &STRINGS),
        Member::new("Numbers", &NUMBERS),
        Member::new("Flat", &FLAT),
        Member::new("Map", &MAP),
        Member::new("FlatMap", &FLAT_MAP),
        Member::new("Node", &NODE),
        Member::new("Document", &DOCUMENT),
    ],
);
static RAW: Schema = Schema::structure(
    "Raw",
    &[Member::new("Tags", &STRINGS).wire("x-tags").at(Place::Header), Member::new("Body", &BLOB).at(Place::Payload)],
);
static TEXT: Schema = Schema::structure("Text", &[Member::new("Body", &STRING).at(Place::Payload)]);
static SHAPE: Schema = Schema::structure("Shape", &[Member::new("Node", &NODE).at(Place::Payload)]);

const fn service(
    name: &'static str,
    protocols: &'static [Protocol],
    operations: &'static [&'static OperationSchema],
) -> ServiceSchema {
    ServiceSchema {
        name,
        id: name,
        signing_name: name,
        endpoint_prefix: name,
        api_version: "",
        protocols,
        target_prefix: "",
        xml_namespace: "https://example.com/",
        operations,
        unserved: &[],
        query_compatible: false,
    }
}

const fn operation(
    name: &'static str,
    service: &'static ServiceSchema,
    input: &'static Schema,
    method: &'static str,
    path: &'static str,
) -> OperationSchema {
    let http = Http { method, path, status: 200 };
    OperationSchema { name, service, input, output: input, has_output: true, result_wrapper: None, http, errors: &[] }
}

static JSON: ServiceSchema = service("json", &[Protocol::RestJson], &[&JSON_PUT, &JSON_RAW, &JSON_SHAPE, &JSON_TEXT]);
static JSON_PUT: OperationSchema = operation("Put", &JSON, &INPUT, "PUT", "/things/{Name}/{Rest+}/end?kind=a");
static JSON_RAW: OperationSchema = operation("Raw", &JSON, &RAW, "POST", "/raw");
static JSON_SHAPE: OperationSchema = operation("Shape", &JSON, &SHAPE, "POST", "/shape");
static JSON_TEXT: OperationSchema = operation("Text", &JSON, &TEXT, "POST", "/text");
static XML: ServiceSchema = service("xml", &[Protocol::RestXml], &[&XML_PUT, &XML_RAW, &XML_SHAPE, &XML_TEXT]);
static XML_PUT: OperationSchema = operation("Put", &XML, &INPUT, "PUT", "/things/{Name}/{Rest+}/end?kind=a");
static XML_RAW: OperationSchema = operation("Raw", &XML, &RAW, "POST", "/raw");
static XML_SHAPE: OperationSchema = operation("Shape", &XML, &SHAPE, "POST", "/shape");
static XML_TEXT: OperationSchema = operation("Text", &XML, &TEXT, "POST", "/text");
static SERVICES: &[&ServiceSchema] = &[&JSON, &XML];

/// Any value of any schema.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Structure(Vec<(usize, Value)>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Time(i64),
    Bytes(Vec<u8>),
    Document(serde_json::Value),
}

/// Replaces what was there by this name, as a map does.
fn put<K: PartialEq>(entries: &mut Vec<(K, Value)>, key: K, value: Value) {
    match entries.iter_mut().find(|(known, _)| *known == key) {
        Some(entry) => entry.1 = value,
        None => entries.push((key, value)),
    }
}

fn read(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Value, ReadError> {
    Ok(match schema.kind {
        Kind::Structure(members) => {
            let mut out = Vec::new();
            r.structure(schema, &mut |i, r| {
                put(&mut out, i, read(members[i].schema, r)?);
                Ok(())
            })?;
            out.sort_by_key(|(i, _)| *i);
            Value::Structure(out)
        }
        Kind::List(list) => {
            let mut out = Vec::new();
            r.list(schema, &mut |r| {
                out.push(read(list.element, r)?);
                Ok(())
            })?;
            Value::List(out)
        }
        Kind::Map(map) => {
            let mut out = Vec::new();
            r.map(schema, &mut |key, r| {
                put(&mut out, key, read(map.value, r)?);
                Ok(())
            })?;
            out.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Map(out)
        }
        Kind::String => Value::Text(r.string(schema)?),
        Kind::Integer | Kind::Long => Value::Integer(r.integer(schema)?),
        Kind::Float | Kind::Double => Value::Float(r.float(schema)?),
        Kind::Boolean => Value::Boolean(r.boolean(schema)?),
        Kind::Timestamp(_) => Value::Time(r.timestamp(schema)?.0),
        Kind::Blob => Value::Bytes(r.blob(schema)?),
        Kind::Document => {
            let text = r.document(schema)?;
            Value::Document(
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the document {text}")),
            )
        }
    })
}

fn write(schema: &'static Schema, value: &Value, w: &mut dyn ShapeWriter) {
    match value {
        Value::Structure(values) => {
            w.begin_structure(schema);
            write_members(schema, values, w);
            w.end_structure();
        }
        Value::List(list) => {
            w.begin_list(schema, list.len());
            for value in list {
                w.element();
                write(schema.inner(), value, w);
            }
            w.end_list();
        }
        Value::Map(map) => {
            w.begin_map(schema, map.len());
            for (key, value) in map {
                w.entry(key);
                write(schema.inner(), value, w);
            }
            w.end_map();
        }
        Value::Text(text) => w.string(schema, text),
        Value::Integer(number) => w.integer(schema, *number),
        Value::Float(number) => w.float(schema, *number),
        Value::Boolean(yes) => w.boolean(schema, *yes),
        Value::Time(at) => w.timestamp(schema, Timestamp(*at)),
        Value::Bytes(bytes) => w.blob(schema, bytes),
        Value::Document(document) => w.document(schema, &document.to_string()),
    }
}

fn write_members(schema: &'static Schema, values: &[(usize, Value)], w: &mut dyn ShapeWriter) {
    for (i, value) in values {
        w.member(&schema.members()[*i]);
        write(schema.members()[*i].schema, value, w);
    }
}

type Headers = Vec<(String, String)>;

/// The operation a request is for, and what it carries; `None` if it is refused.
fn receive(
    protocol: Protocol,
    method: &str,
    target: (&str, &str),
    headers: &Headers,
    body: &[u8],
) -> Option<(&'static OperationSchema, Vec<(usize, Value)>)> {
    let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let all = || headers.clone();
    let parts = Parts { method, path: target.0, query: target.1, header: &header, headers: &all, body };
    let refused = |status: u16, text: &[u8]| {
        assert!(status >= 400, "refused with {status}");
        if protocol == Protocol::RestXml {
            well_formed(text);
        }
    };
    let call = match identify_among(SERVICES, &parts) {
        Ok(call) => call,
        Err(error) => {
            refused(error.response("id").status, b"");
            return None;
        }
    };
    let (mut values, members) = (Vec::new(), call.operation.input.members());
    let done = read_input(call.operation, call.protocol, &call.head, &call.payload, &mut |i, r| {
        put(&mut values, i, read(members[i].schema, r)?);
        Ok(())
    });
    if let Err(error) = done {
        let answer = encode_error(call.protocol, Some(call.service), Some(call.operation), &error, "id");
        refused(answer.status, &answer.body);
        return None;
    }
    values.sort_by_key(|(i, _)| *i);
    Some((call.operation, values))
}

/// Protocol and operation by number, path, query string, headers as lines, and a body.
///
/// Holds: what is read, sent as an answer and read again is the same; answers and refusals are well-formed.
pub fn wire_rest(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let service = SERVICES[usize::from(kind & 1)];
    let operation = service.operations[usize::from(kind >> 1) % service.operations.len()];
    let (path, query) = (input.text(FIELD), input.text(FIELD));
    let lines = input.text(FIELD);
    let usual = if operation.name == "Put" { "/things/a/b/c/end" } else { operation.http.path };
    let path = if path.is_empty() { usual } else { &path };
    let query = if operation.name == "Put" { format!("kind=a&{query}") } else { query.into_owned() };
    let own = [("host".to_owned(), format!("{}.localhost", service.name))];
    // As they leave an HTTP parser: visible, without space around them.
    let sent = lines.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| {
        let value: String = value.chars().filter(|c| (' '..='~').contains(c)).collect();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    let headers: Headers = own.iter().cloned().chain(sent.filter(|(name, _)| name.starts_with("x-"))).collect();
    let protocol = service.protocols[0];
    let body = input.rest();
    let Some((asked, values)) = receive(protocol, operation.http.method, (path, &query), &headers, body) else {
        return;
    };
    let members = asked.input.members();
    let is_beside = |i: usize| matches!(members[i].place, Place::Label | Place::Query);
    let answered: Vec<_> = values.iter().filter(|(i, _)| !is_beside(*i)).cloned().collect();
    let answer = write_output(asked, protocol, "id", &|w| write_members(asked.input, &answered, w));
    assert_eq!(answer.status, 200);
    let is_raw = matches!(asked.name, "Raw" | "Text");
    match protocol {
        _ if is_raw || answer.body.is_empty() => {}
        Protocol::RestXml => well_formed(&answer.body),
        _ => drop(serde_json::from_slice::<serde_json::Value>(&answer.body).expect("the answer is JSON")),
    }
    let back = answer.more.iter().filter(|(name, _)| name.starts_with("x-") && *name != "x-amzn-requestid");
    let back = back.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let headers: Headers = own.iter().cloned().chain(back).collect();
    let (_, again) = receive(protocol, operation.http.method, (path, &query), &headers, &answer.body)
        .unwrap_or_else(|| panic!("{values:?} cannot be read again"));
    let (values, again) = (meant(members, values), meant(members, again));
    assert!(values == again || has_nan(&values), "{values:?}\nbecame\n{again:?}");
}

/// Without what a header or a flat list cannot say: that it is there and empty.
fn meant(members: &[Member], values: Vec<(usize, Value)>) -> Vec<(usize, Value)> {
    let says = |(i, value): &(usize, Value)| match value {
        Value::List(list) if members[*i].place == Place::Header => {
            list.iter().any(|v| *v != Value::Text(String::new()))
        }
        Value::Map(map) if members[*i].place == Place::Prefix => !map.is_empty(),
        Value::Text(text) if matches!(members[*i].place, Place::JsonHeader | Place::Header) => !text.is_empty(),
        Value::Bytes(bytes) if matches!(members[*i].place, Place::Header | Place::Payload) => !bytes.is_empty(),
        Value::List(list) => members[*i].name != "Flat" || !list.is_empty(),
        Value::Map(map) => members[*i].name != "FlatMap" || !map.is_empty(),
        _ => true,
    };
    values.into_iter().filter(says).collect()
}

fn has_nan(values: &impl Debug) -> bool {
    format!("{values:?}").contains("NaN")
}
