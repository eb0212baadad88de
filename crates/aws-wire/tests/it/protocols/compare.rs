//! Our answers against published ones: bodies as trees, since white space and the order of JSON's members mean nothing.

use std::cmp::Ordering;

use longshore_aws_model::{Kind, OperationSchema, Protocol};
use longshore_aws_wire::{Head, Response, read_input};
use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use super::Case;
use super::model::leak;
use super::value::{read, same};

/// How the headers differ, if they do. `content-length` and the like are the transport's.
pub fn headers_differ(case: &Case<'_>, response: &Response) -> Option<String> {
    for (name, want) in case.case["response"]["headers"].as_object().into_iter().flatten() {
        let (name, want) = (name.to_lowercase(), want.as_str().expect("a header is a text"));
        let got = response.header(&name).unwrap_or("(nothing)");
        let same = match name.as_str() {
            "content-type" => media_type(got) == media_type(want),
            // With or without a namespace before, or a URI after it.
            "x-amzn-errortype" => match case.protocol() {
                Protocol::RestJson => error_name(got) == error_name(want),
                // The other JSON protocols have it in the body.
                _ => {
                    let body: Value = serde_json::from_slice(&response.body).expect("we write JSON");
                    body["__type"] == error_name(want)
                }
            },
            // The transport's; and one of requests that slipped into a case.
            "content-length" => response.body.len().to_string() == want,
            "x-amz-target" => true,
            _ => got.replace(", ", ",") == want.replace(", ", ","),
        };
        if !same {
            return Some(format!("header {name}: {got} in place of {want}"));
        }
    }
    None
}

fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default()
}

fn error_name(text: &str) -> &str {
    let text = text.split(':').next().unwrap_or_default();
    text.rsplit('#').next().unwrap_or_default()
}

pub fn bodies_differ(case: &Case<'_>, response: &Response) -> Option<String> {
    // A case without a body leaves it open.
    case.case["response"].get("body")?;
    let want = case.body(&case.case["response"]);
    let raw_payload =
        case.operation.output.members().iter().any(|m| {
            m.place == longshore_aws_model::Place::Payload && matches!(m.schema.kind, Kind::Blob | Kind::String)
        });
    let show =
        |got: &dyn std::fmt::Display, want: &dyn std::fmt::Display| Some(format!("body {got}\n    wanted {want}"));
    let shown = String::from_utf8_lossy(&response.body);
    match case.protocol() {
        _ if response.body == want => None,
        _ if raw_payload => show(&shown, &String::from_utf8_lossy(&want)),
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => {
            let parse = |bytes: &[u8]| match bytes {
                b"" => Ok(Value::Object(Map::new())),
                bytes => serde_json::from_slice::<Value>(bytes),
            };
            let (got, want) = (parse(&response.body).expect("we write JSON"), parse(&want).expect("JSON"));
            let (got, want) = match case.case.get("error") {
                Some(_) => (json_error(got), json_error(want)),
                None => (got, want),
            };
            if same(&got, &want) { None } else { show(&got, &want) }
        }
        Protocol::Cbor => {
            let (got, want) = (cbor(case, &response.body), cbor(case, &want));
            if same(&got, &want) { None } else { show(&got, &want) }
        }
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => {
            let want = String::from_utf8(want).expect("XML is text");
            let namespaces = case.protocol() == Protocol::RestXml && case.case.get("error").is_none();
            let tree = |text: &str| match text {
                "" => String::new(),
                text => show_xml(Document::parse(text).expect("XML").root_element(), namespaces),
            };
            let (got, want) = (tree(&shown), tree(&want));
            if got == want { None } else { show(&got, &want) }
        }
    }
}

/// The parts of a JSON error that say which it is: its name stands in a header, in `__type` or in `code`.
fn json_error(mut error: Value) -> Value {
    let object = error.as_object_mut().expect("an error is an object");
    for key in ["__type", "code"] {
        object.remove(key);
    }
    // Ours always has a text, perhaps an empty one.
    if object.get("message").is_some_and(|m| m == "") {
        object.remove("message");
    }
    for key in ["Message"] {
        if let Some(text) = object.remove(key) {
            object.insert("message".to_owned(), text);
        }
    }
    error
}

/// A CBOR body as the output's or the error's value.
fn cbor(case: &Case<'_>, body: &[u8]) -> Value {
    let schema = match case.case.get("error") {
        None => case.operation.output,
        Some(_) => {
            let name = case.case["given"]["errors"][0]["shape"].as_str().expect("an error has a name");
            let shape = &case.shapes[name];
            let mut members = shape["members"].clone();
            for key in ["__type", "message"] {
                members[key] = serde_json::json!({"shape": "(String)"});
            }
            let mut shapes = case.shapes.clone();
            shapes["(String)"] = serde_json::json!({"type": "string"});
            shapes[name]["members"] = members;
            let given = serde_json::json!({"output": {"shape": name}});
            let metadata = serde_json::json!({"protocol": "smithy-rpc-v2-cbor"});
            super::model::service(&metadata, &shapes, &[("Error", &given)]).operations[0].output
        }
    };
    // An operation that takes what this one answers reads it.
    let reader: &'static OperationSchema = leak(OperationSchema {
        input: schema,
        http: longshore_aws_model::Http { method: "POST", path: "/", status: 200 },
        ..*case.operation
    });
    let mut out = Map::new();
    let members = schema.members();
    read_input(reader, Protocol::Cbor, &Head::default(), body, &mut |i, r| {
        out.insert(members[i].name.to_owned(), read(members[i].schema, r)?);
        Ok(())
    })
    .expect("CBOR reads");
    if let Some(Value::String(name)) = out.get_mut("__type") {
        *name = error_name(name).to_owned();
    }
    // Ours always has a text, perhaps an empty one; clients read it under either name.
    out.retain(|key, text| key != "message" || *text != "");
    if let Some(text) = out.remove("Message") {
        out.insert("message".to_owned(), text);
    }
    Value::Object(out)
}

/// A canonical text of an element: names, attributes, namespaces, texts without white space around them.
fn show_xml(node: Node<'_, '_>, namespaces: bool) -> String {
    let mut out = format!("<{}", node.tag_name().name());
    let mut attributes: Vec<String> = node.attributes().map(|a| format!("{}={:?}", a.name(), a.value())).collect();
    if namespaces {
        attributes.extend(node.namespaces().map(|n| format!("xmlns:{}={}", n.name().unwrap_or(""), n.uri())));
        attributes.extend(node.tag_name().namespace().map(|n| format!("in {n}")));
    }
    attributes.sort_unstable();
    for a in attributes {
        out.push_str(&format!(" {a}"));
    }
    out.push('>');
    let mut children = Vec::new();
    for child in node.children() {
        match child {
            // What every answer of ours ends with, and no case has, or has with another id.
            c if matches!(c.tag_name().name(), "ResponseMetadata" | "RequestId" | "RequestID" | "requestId") => {}
            c if c.is_element() => children.push((c.tag_name().name(), show_xml(c, namespaces), is_entry(c))),
            c => out.push_str(c.text().unwrap_or_default().trim()),
        }
    }
    // Members of a structure and entries of a map have no order, elements of a list have.
    children.sort_by(|a, b| a.0.cmp(b.0).then_with(|| if a.2 && b.2 { a.1.cmp(&b.1) } else { Ordering::Equal }));
    children.iter().for_each(|(_, text, _)| out.push_str(text));
    out.push_str("</>");
    out
}

/// Looks like an entry of a map: two elements, of different names.
fn is_entry(node: Node<'_, '_>) -> bool {
    let mut elements = node.children().filter(Node::is_element).map(|c| c.tag_name().name());
    matches!((elements.next(), elements.next(), elements.next()), (Some(key), Some(value), None) if key != value)
}
