//! The models of services that speak REST, none of which is served yet: every operation of them takes part here. Sample
//! values go out as an answer and come back as a request, through the same readers and writers that the published cases hold.

use std::collections::BTreeMap;

use longshore_aws_model::{Http, Kind, OperationSchema, Place, Schema, ServiceSchema};
use longshore_aws_wire::{Parts, identify_among, percent_encode, read_input, write_output};
use serde_json::{Map, Value, json};

use super::model::{self, leak};
use super::value::{read, same, write_members};

fn load(name: &str) -> Value {
    let path = format!("{}/../../models/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(&path).expect(&path)).expect("a model is JSON")
}

fn service(model: &Value) -> &'static ServiceSchema {
    let operations: Vec<(&str, &Value)> =
        model["operations"].as_object().expect("operations").iter().map(|(n, o)| (n.as_str(), o)).collect();
    model::service(&model["metadata"], &model["shapes"], &operations)
}

/// A value with every member down to a depth.
fn sample(schema: &Schema, depth: usize) -> Value {
    match schema.kind {
        Kind::Structure(_) if depth == 0 => json!({}),
        Kind::Structure(members) => {
            let members = members.iter().map(|m| (m.name.to_owned(), sample(m.schema, depth - 1)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Kind::List(l) => {
            json!([sample(l.element, depth.saturating_sub(1)), sample(l.element, depth.saturating_sub(1))])
        }
        Kind::Map(m) => {
            json!({"a key": sample(m.value, depth.saturating_sub(1)), "<ä>": sample(m.value, depth.saturating_sub(1))})
        }
        Kind::String | Kind::Blob => json!("a/b \"c\", & <ä>"),
        Kind::Integer => json!(-7),
        Kind::Long => json!(1_i64 << 40),
        Kind::Float | Kind::Double => json!(2.5),
        Kind::Boolean => json!(true),
        Kind::Timestamp(_) => json!(1_767_323_045.0),
        Kind::Document => json!({"any": ["thing", null]}),
    }
}

/// An operation that answers what this one takes: members of path and query string aside, which answers have not.
fn echo(operation: &'static OperationSchema) -> &'static OperationSchema {
    leak(OperationSchema {
        output: operation.input,
        has_output: true,
        http: Http { method: "POST", path: "/", status: 200 },
        ..*operation
    })
}

#[test]
fn every_operation_of_every_rest_model_reads_what_it_writes() {
    let mut counted = BTreeMap::new();
    for name in ["appmesh", "ebs", "efs", "eks", "route53", "xray"] {
        let service = service(&load(name));
        let services = Vec::leak(vec![service]);
        let protocol = service.protocols[0];
        for operation in service.operations.iter().copied() {
            let given = sample(operation.input, 6);
            let beside = |m: &&longshore_aws_model::Member| matches!(m.place, Place::Label | Place::Query);
            let (mut path, mut query) = (operation.http.path.to_owned(), Vec::new());
            if let Some((template, literal)) = operation.http.path.split_once('?') {
                path = template.to_owned();
                query.push(literal.to_owned());
            }
            let mut in_answer = given.clone();
            for member in operation.input.members().iter().filter(beside) {
                let value = in_answer.as_object_mut().and_then(|o| o.remove(member.name)).expect("it is sampled");
                for value in value.as_array().map_or_else(|| vec![value.clone()], Clone::clone) {
                    let text = match &value {
                        Value::String(text) => text.clone(),
                        _ if matches!(member.schema.kind, Kind::Timestamp(_)) => "2026-01-02T03:04:05Z".to_owned(),
                        other => other.to_string(),
                    };
                    let encoded = percent_encode(&text);
                    match member.place {
                        Place::Label => path = path.replace(&format!("{{{}}}", member.wire), &encoded),
                        _ => query.push(format!("{}={encoded}", percent_encode(member.wire))),
                    }
                }
            }
            let response =
                write_output(echo(operation), protocol, "id", &|w| write_members(operation.input, &in_answer, w));
            let mut headers: Vec<(String, String)> =
                response.more.iter().map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
            headers.push(("host".to_owned(), "example.localhost".to_owned()));
            let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            let query = query.join("&");
            let parts = Parts {
                method: operation.http.method,
                path: &path,
                query: &query,
                header: &header,
                headers: &|| headers.clone(),
                body: &response.body,
            };
            let identified =
                identify_among(services, &parts).unwrap_or_else(|r| panic!("{}: {}", operation.name, r.error));
            assert_eq!(identified.operation.name, operation.name, "{path}");
            let (mut got, members) = (Map::new(), operation.input.members());
            read_input(operation, protocol, &identified.head, &identified.payload, &mut |i, r| {
                got.insert(members[i].name.to_owned(), read(members[i].schema, r)?);
                Ok(())
            })
            .unwrap_or_else(|e| panic!("{name} {}: {e}", operation.name));
            let got = Value::Object(got);
            assert!(same(&got, &given), "{name} {}:\n{got}\n{given}", operation.name);
            *counted.entry(name).or_insert(0) += 1;
        }
    }
    let want = [("appmesh", 38), ("ebs", 6), ("efs", 31), ("eks", 70), ("route53", 74), ("xray", 38)];
    assert_eq!(counted, BTreeMap::from(want));
}
