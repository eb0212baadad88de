//! The published protocol tests (`tests/data/protocols`), from a server's side: a request that a client wrote is read as
//! the parameters it was written from; a result or an error is written as the answer that a client reads as such.
//!
//! The cases are for clients. What only a client does is skipped, by name and with its reason, in [`skipped`].

mod compare;
mod model;
mod rest_models;
mod skipped;
mod value;

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use compare::{bodies_differ, headers_differ};
use longshore_aws_model::{AwsError, Kind, OperationSchema, Place, Protocol, ServiceSchema};
use longshore_aws_wire::{Parts, Response, encode_error, identify_among, read_input, write_output};
use model::leak;
use serde_json::{Map, Value};
use skipped::Skips;
use value::{read, same, write_members};

/// Every case of a file of suites, checked; fails with all that went wrong.
fn check_all(data: &[u8], mut skips: Skips, check: impl Fn(&Case) -> Result<(), String>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(data).read_to_string(&mut text).expect("the data unpacks");
    let files: Map<String, Value> = serde_json::from_str(&text).expect("the data parses");
    let (mut passed, mut failed) = (0, Vec::new());
    for (file, suites) in &files {
        for suite in suites.as_array().expect("suites") {
            for case in suite["cases"].as_array().expect("cases") {
                let id = case["id"].as_str().expect("a case has a name");
                if skips.skip(file, id) {
                    continue;
                }
                let operation = case["given"]["name"].as_str().expect("an operation has a name");
                let service = model::service(&suite["metadata"], &suite["shapes"], &[(operation, &case["given"])]);
                match check(&Case { case, service, operation: service.operations[0], shapes: &suite["shapes"] }) {
                    Ok(()) => passed += 1,
                    Err(why) => failed.push(format!("{file} {id}: {why}")),
                }
            }
        }
    }
    println!("{passed} cases passed");
    assert!(failed.is_empty(), "{passed} cases passed, {} failed:\n{}", failed.len(), failed.join("\n"));
    skips.all_used();
}

struct Case<'a> {
    case: &'a Value,
    service: &'static ServiceSchema,
    operation: &'static OperationSchema,
    shapes: &'a Value,
}

impl Case<'_> {
    fn protocol(&self) -> Protocol {
        self.service.protocols[0]
    }

    fn request_id(&self) -> &str {
        let mut headers = self.case["response"]["headers"].as_object().into_iter().flatten();
        let given = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-amzn-requestid"));
        given.and_then(|(_, id)| id.as_str()).unwrap_or("request-id")
    }

    /// A body as bytes: those of CBOR are base64 in the cases.
    fn body(&self, of: &Value) -> Vec<u8> {
        let text = of["body"].as_str().unwrap_or_default();
        match self.protocol() {
            Protocol::Cbor => BASE64_STANDARD.decode(text).expect("base64"),
            _ => text.as_bytes().to_vec(),
        }
    }
}

fn input(case: &Case<'_>) -> Result<(), String> {
    let request = &case.case["serialized"];
    let mut headers: Vec<(String, String)> = request["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.to_lowercase(), value.as_str().expect("a header is a text").to_owned()))
        .collect();
    headers.push(("host".to_owned(), "example.localhost".to_owned()));
    let uri = request["uri"].as_str().unwrap_or("/");
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let body = case.body(request);
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let parts = Parts {
        method: request["method"].as_str().unwrap_or("POST"),
        path,
        query,
        header: &header,
        headers: &|| headers.clone(),
        body: &body,
    };
    let services = Vec::leak(vec![case.service]);
    let identified = identify_among(services, &parts).map_err(|r| format!("{:?} {}", r.protocol, r.error))?;
    if (identified.protocol, identified.operation.name) != (case.protocol(), case.operation.name) {
        return Err(format!("taken for {:?} {}", identified.protocol, identified.operation.name));
    }
    let mut got = Map::new();
    let members = case.operation.input.members();
    read_input(case.operation, identified.protocol, &identified.head, &identified.payload, &mut |i, r| {
        got.insert(members[i].name.to_owned(), read(members[i].schema, r)?);
        Ok(())
    })
    .map_err(|e| e.to_string())?;
    let mut want = case.case["params"].clone();
    for member in members.iter().filter(|m| m.place == Place::Query && matches!(m.schema.kind, Kind::Map(_))) {
        // A server finds every parameter here, also those that the client had from another member.
        let given = want.as_object_mut().and_then(|want| want.remove(member.name));
        let found = got.remove(member.name).unwrap_or_default();
        for (key, value) in given.as_ref().and_then(Value::as_object).into_iter().flatten() {
            if found.get(key) != Some(value) {
                return Err(format!("parameter {key}: {:?} in place of {value}", found.get(key)));
            }
        }
    }
    let got = Value::Object(got);
    match same(&got, &want) {
        true => Ok(()),
        false => Err(format!("read {got}\n    wanted {want}")),
    }
}

fn output(case: &Case<'_>) -> Result<(), String> {
    match case.case.get("error") {
        Some(_) => error(case),
        None => {
            let result = &case.case["result"];
            let write = |w: &mut dyn longshore_aws_model::ShapeWriter| write_members(case.operation.output, result, w);
            compare(case, &write_output(case.operation, case.protocol(), case.request_id(), &write))
        }
    }
}

/// The error a case names, made as a handler makes it: its shape and a text.
fn error(case: &Case<'_>) -> Result<(), String> {
    let names = case.case["given"]["errors"].as_array().ok_or("no errors")?;
    let name = names[0]["shape"].as_str().ok_or("an error without a name")?;
    let message = case.case["errorMessage"].as_str().or_else(|| {
        let error = case.case["error"].as_object()?;
        error.iter().find(|(k, _)| k.eq_ignore_ascii_case("message")).and_then(|(_, v)| v.as_str())
    });
    let error = AwsError::new(leak(name.to_owned()).as_str(), message.unwrap_or_default());
    let head = longshore_aws_wire::Head::default().with_query_mode(case.service.query_compatible);
    let call = longshore_aws_wire::Call {
        operation: case.operation,
        protocol: case.protocol(),
        payload: b"",
        head: &head,
        request_id: case.request_id(),
    };
    let plain = encode_error(case.protocol(), Some(case.service), Some(case.operation), &error, case.request_id());
    let response = call.error(&error);
    assert_eq!(plain.body, response.body);
    compare(case, &response)
}

fn compare(case: &Case<'_>, response: &Response) -> Result<(), String> {
    let expected = &case.case["response"];
    let is_error = case.case.get("error").is_some();
    // Some cases of errors have any status; the model says which it is.
    let modelled = case.operation.errors.first().map(|e| u64::from(e.status));
    let status = Some(u64::from(response.status));
    if status != expected["status_code"].as_u64() && (!is_error || status != modelled) {
        return Err(format!("status {} in place of {}", response.status, expected["status_code"]));
    }
    headers_differ(case, response).map_or(Ok(()), Err)?;
    bodies_differ(case, response).map_or(Ok(()), Err)
}

#[test]
fn requests_are_read_as_the_parameters_they_were_written_from() {
    check_all(include_bytes!("../../data/protocols/input.json.gz"), skipped::INPUT.into(), input);
}

#[test]
fn results_and_errors_are_written_as_clients_read_them() {
    check_all(include_bytes!("../../data/protocols/output.json.gz"), skipped::OUTPUT.into(), output);
}
