//! Schemas at run time, from models in botocore's form. They live for ever, as generated ones do.

use longshore_aws_model::schema::{ListSchema, MapSchema, Namespace};
use longshore_aws_model::{
    ErrorSchema, Http, Kind, Member, OperationSchema, Place, Protocol, Schema, ServiceSchema, TimestampFormat,
};
use serde_json::{Map, Value};

/// Name of strings that hold JSON, which cases give unencoded.
pub const JSON_VALUE: &str = "(JSON)";
/// Shapes that contain themselves are unrolled so many times.
const UNROLLED: usize = 5;

pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub fn text(value: &Value) -> &'static str {
    leak(value.as_str().unwrap_or_default().to_owned()).as_str()
}

/// A service of a model's metadata, with these operations.
pub fn service(metadata: &Value, shapes: &Value, operations: &[(&str, &Value)]) -> &'static ServiceSchema {
    let ec2 = metadata["protocol"] == "ec2";
    // Operations name their service: one of its own, whose list of operations nobody reads.
    let alone = leak(ServiceSchema { operations: &[], ..described(metadata) });
    let mut schemas: Vec<&'static OperationSchema> =
        operations.iter().map(|(name, given)| operation(alone, ec2, shapes, name, given)).collect();
    schemas.sort_by_key(|o| o.name);
    leak(ServiceSchema { operations: Vec::leak(schemas), ..described(metadata) })
}

fn described(metadata: &Value) -> ServiceSchema {
    let protocol = match metadata["protocol"].as_str() {
        Some("json") if metadata["jsonVersion"] == "1.0" => Protocol::Json10,
        Some("json") => Protocol::Json11,
        Some("query") => Protocol::Query,
        Some("ec2") => Protocol::Ec2,
        Some("rest-json") => Protocol::RestJson,
        Some("rest-xml") => Protocol::RestXml,
        Some("smithy-rpc-v2-cbor") => Protocol::Cbor,
        other => panic!("protocol {other:?}"),
    };
    ServiceSchema {
        name: "example",
        id: "Example",
        signing_name: "example",
        endpoint_prefix: "example",
        api_version: text(&metadata["apiVersion"]),
        protocols: Vec::leak(vec![protocol]),
        target_prefix: text(&metadata["targetPrefix"]),
        xml_namespace: "",
        operations: &[],
        unserved: &[],
        query_compatible: metadata.get("awsQueryCompatible").is_some(),
    }
}

fn operation(
    service: &'static ServiceSchema,
    ec2: bool,
    shapes: &Value,
    name: &str,
    given: &Value,
) -> &'static OperationSchema {
    let top = |key: &str| match given.get(key) {
        Some(reference) => schema(shapes, ec2, reference, &mut Vec::new()),
        None => leak(Schema::structure("None", &[])),
    };
    let http = &given["http"];
    let errors = given["errors"].as_array().into_iter().flatten().map(|reference| {
        let shape = &shapes[text(&reference["shape"])];
        let status =
            shape["error"]["httpStatusCode"].as_u64().unwrap_or(if shape["fault"] == true { 500 } else { 400 });
        let name = text(&reference["shape"]);
        let code = shape["error"]["code"].as_str().map_or(name, |code| leak(code.to_owned()));
        &*leak(ErrorSchema { name, code, status: status as u16 })
    });
    leak(OperationSchema {
        name: leak(name.to_owned()),
        service,
        input: top("input"),
        output: top("output"),
        has_output: given.get("output").is_some(),
        result_wrapper: Some(&**leak(format!("{name}Result"))),
        http: Http {
            method: http["method"].as_str().map_or("POST", |m| leak(m.to_owned())),
            path: http["requestUri"].as_str().map_or("/", |p| leak(p.to_owned())),
            status: http["responseCode"].as_u64().unwrap_or(200) as u16,
        },
        errors: Vec::leak(errors.collect()),
    })
}

/// The schema of a use of a shape: the traits of the use make a schema of their own.
fn schema(shapes: &Value, ec2: bool, reference: &Value, path: &mut Vec<String>) -> &'static Schema {
    let shape_name = text(&reference["shape"]);
    let shape = &shapes[shape_name];
    let either = |key: &str| reference.get(key).or_else(|| shape.get(key));
    let flattened = either("flattened").is_some_and(|f| f == true);
    let inner = |key: &str, path: &mut Vec<String>| schema(shapes, ec2, &shape[key], path);
    let name_of =
        |key: &str, default: &'static str| shape[key]["locationName"].as_str().map_or(default, |n| leak(n.to_owned()));
    path.push(shape_name.to_owned());
    let kind = match shape["type"].as_str().expect("a shape has a type") {
        "structure" if shape["document"] == true => Kind::Document,
        "structure" if path.iter().filter(|p| *p == shape_name).count() > UNROLLED => Kind::Structure(&[]),
        "structure" => Kind::Structure(Vec::leak(members(shapes, ec2, shape, path))),
        "list" => Kind::List(ListSchema {
            element: inner("member", path),
            element_name: shape["member"]["locationName"].as_str().map(|n| &**leak(n.to_owned())),
            flattened,
        }),
        "map" => Kind::Map(MapSchema {
            key: inner("key", path),
            value: inner("value", path),
            key_name: name_of("key", "key"),
            value_name: name_of("value", "value"),
            flattened,
        }),
        "string" | "character" => Kind::String,
        "integer" => Kind::Integer,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "boolean" => Kind::Boolean,
        "blob" => Kind::Blob,
        "timestamp" => Kind::Timestamp(match either("timestampFormat").and_then(Value::as_str) {
            None => None,
            Some("iso8601") => Some(TimestampFormat::Iso8601),
            Some("unixTimestamp") => Some(TimestampFormat::Epoch),
            Some("rfc822") => Some(TimestampFormat::Rfc822),
            other => panic!("timestamp format {other:?}"),
        }),
        other => panic!("type {other}"),
    };
    path.pop();
    // What an element is called when it is the whole document.
    let element = if shape["type"] == "structure" {
        either("locationName").unwrap_or(&reference["shape"])
    } else {
        &reference["shape"]
    };
    let name = if reference["jsonvalue"] == true { JSON_VALUE } else { text(element) };
    let mut schema = Schema::new(name, kind);
    schema.xmlns = either("xmlNamespace").map(|n| {
        let uri = n.as_str().map_or_else(|| text(&n["uri"]), |uri| leak(uri.to_owned()));
        &*leak(Namespace { prefix: text(&n["prefix"]), uri })
    });
    leak(schema)
}

fn members(shapes: &Value, ec2: bool, shape: &Value, path: &mut Vec<String>) -> Vec<Member> {
    let none = Map::new();
    let given = shape["members"].as_object().unwrap_or(&none);
    let member = |(name, reference): (&String, &Value)| {
        // The name of a structure's own element is not that of the member which holds it.
        let mut bare = reference.clone();
        bare.as_object_mut().expect("a reference is an object").remove("locationName");
        let name: &'static str = leak(name.clone());
        let location = reference["locationName"].as_str().map(|l| &**leak(l.to_owned()));
        let wire = location.unwrap_or(name);
        let capitalised = |l: &str| l[..1].to_uppercase() + &l[1..];
        let query = match (reference["queryName"].as_str(), location) {
            _ if !ec2 => wire,
            (Some(query), _) => leak(query.to_owned()),
            (None, Some(location)) => leak(capitalised(location)),
            (None, None) => leak(capitalised(name)),
        };
        let place = match reference["location"].as_str() {
            None if shape["payload"].as_str() == Some(name) => Place::Payload,
            None if reference["xmlAttribute"] == true => Place::Attribute,
            None => Place::Body,
            Some("uri") => Place::Label,
            Some("querystring") => Place::Query,
            Some("header") if reference["jsonvalue"] == true => Place::JsonHeader,
            Some("header") => Place::Header,
            Some("headers") => Place::Prefix,
            Some("statusCode") => Place::Status,
            other => panic!("location {other:?}"),
        };
        Member { name, wire, query, schema: schema(shapes, ec2, &bare, path), required: false, place }
    };
    given.iter().map(member).collect()
}
