//! AWS's protocols: what is read is written in another protocol and read again.

use longshore_aws_model::*;
use longshore_aws_wire::{Parts, decode, encode_output, identify, is_aws};

use crate::input::{FIELD, Input};

/// An operation that answers with its input, so that inputs can be written.
struct Echo<O>(std::marker::PhantomData<O>);

impl<O: Operation> Operation for Echo<O> {
    const SCHEMA: &'static OperationSchema = &OperationSchema {
        name: O::SCHEMA.name,
        service: O::SCHEMA.service,
        input: O::SCHEMA.input,
        output: O::SCHEMA.input,
        has_output: true,
        result_wrapper: O::SCHEMA.result_wrapper,
        http: Http { method: "POST", path: "/", status: 200 },
        errors: &[],
    };
    type Input = O::Input;
    type Output = O::Input;
}

fn write<O: Operation>(protocol: Protocol, input: &O::Input) -> Vec<u8> {
    encode_output::<Echo<O>>(protocol, input, "id").body
}

fn json<O: Operation>(payload: &[u8]) {
    let Ok(input) = decode::<O>(Protocol::Json11, payload) else { return };
    let is_json =
        payload.iter().all(u8::is_ascii_whitespace) || serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok();
    assert!(is_json, "{}: what serde_json refuses is taken", O::SCHEMA.name);
    let written = write::<O>(Protocol::Json11, &input);
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&written).is_ok(), "what is written is JSON");
    let again = decode::<O>(Protocol::Json11, &written).unwrap_or_else(|error| panic!("{}: {error}", O::SCHEMA.name));
    assert!(again == input, "{}: {input:?} became {again:?}", O::SCHEMA.name);
    well_formed(&write::<O>(Protocol::Query, &input));
}

fn form<O: Operation>(protocol: Protocol, payload: &[u8]) {
    let Ok(input) = decode::<O>(protocol, payload) else { return };
    let written = write::<O>(Protocol::Json11, &input);
    // The protocols validate in words of their own, and blank texts differently; what both take means the same.
    if let Ok(again) = decode::<O>(Protocol::Json11, &written) {
        assert!(again == input, "{}: {input:?} became {again:?}", O::SCHEMA.name);
    }
    well_formed(&write::<O>(protocol, &input));
}

/// Tags are balanced and nothing that XML forbids is in between.
pub(crate) fn well_formed(xml: &[u8]) {
    let text = std::str::from_utf8(xml).expect("XML is text");
    let mut open = Vec::new();
    let mut pieces = text.split('<');
    assert!(pieces.next().is_some_and(|before| before.trim().is_empty()));
    for piece in pieces {
        let (tag, content) = piece.split_once('>').expect("a tag ends");
        assert!(!content.contains('>') || !content.contains("]]>"));
        for reference in content.split('&').skip(1) {
            let name = reference.split_once(';').expect("a reference ends").0;
            assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name) || name.starts_with('#'), "&{name};");
        }
        assert!(content.chars().all(|c| c >= ' ' || "\t\n\r".contains(c)), "a control character in {content:?}");
        match tag.strip_prefix('/') {
            _ if tag.starts_with('?') || tag.ends_with('/') => {}
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => open.push(tag.split(' ').next().unwrap_or(tag)),
        }
    }
    assert!(open.is_empty());
}

macro_rules! any {
    ($number:expr; $($operation:path),* $(,)?) => {{
        let all: &[fn(&[u8])] = &[$(json::<$operation>),*];
        all[$number % all.len()]
    }};
}

macro_rules! any_form {
    ($number:expr; $($protocol:ident $operation:path),* $(,)?) => {{
        let all: &[fn(&[u8])] = &[$(|payload| form::<$operation>(Protocol::$protocol, payload)),*];
        all[$number % all.len()]
    }};
}

/// Number of an operation and its JSON.
///
/// Holds: what we take `serde_json` takes, too; written and read again it is the same; as XML it is well-formed.
pub fn wire_json(data: &[u8]) {
    let mut input = Input::new(data);
    let number = usize::from(input.byte());
    any!(number;
        ecs::RegisterTaskDefinition, ecs::RunTask, ecs::CreateService, ecs::UpdateService, ecs::CreateCluster,
        ecs::DescribeTasks, ecs::ListTasks, ecs::PutAttributes, ecs::TagResource, ecs::SubmitTaskStateChange,
        logs::PutLogEvents, logs::FilterLogEvents, logs::GetLogEvents, logs::PutRetentionPolicy,
        ecr::PutImage, ecr::BatchGetImage, ecr::UploadLayerPart, ecr::PutLifecyclePolicy, ecr::CreateRepository,
        ssm::PutParameter, ssm::GetParametersByPath, acm::ImportCertificate, acm::RequestCertificate,
        secretsmanager::CreateSecret, secretsmanager::ListSecrets, elbv2::CreateRule, ec2::AuthorizeSecurityGroupIngress,
        iam::SimulateCustomPolicy, sts::AssumeRole,
    )(input.rest());
}

/// Number of an operation and its CBOR.
///
/// Holds: written and read again it is the same, in CBOR and in JSON.
pub fn wire_cbor(data: &[u8]) {
    let mut input = Input::new(data);
    let all: &[fn(&[u8])] = &[
        cbor::<ecs::RegisterTaskDefinition>,
        cbor::<ecs::RunTask>,
        cbor::<logs::PutLogEvents>,
        cbor::<ecr::UploadLayerPart>,
        cbor::<ssm::PutParameter>,
        cbor::<ecs::SubmitTaskStateChange>,
        cbor::<elbv2::CreateRule>,
        cbor::<ec2::AuthorizeSecurityGroupIngress>,
    ];
    let number = usize::from(input.byte());
    all[number % all.len()](input.rest());
}

fn cbor<O: Operation>(payload: &[u8]) {
    let Ok(input) = decode::<O>(Protocol::Cbor, payload) else { return };
    if format!("{input:?}").contains("NaN") {
        return;
    }
    for protocol in [Protocol::Cbor, Protocol::Json11] {
        let again = decode::<O>(protocol, &write::<O>(protocol, &input));
        let again = again.unwrap_or_else(|error| panic!("{} in {protocol:?}: {error}", O::SCHEMA.name));
        assert!(again == input, "{} in {protocol:?}: {input:?} became {again:?}", O::SCHEMA.name);
    }
}

/// Number of an operation and its form.
///
/// Holds: what is read is the same after a detour through JSON; as XML it is well-formed.
pub fn wire_form(data: &[u8]) {
    let mut input = Input::new(data);
    let number = usize::from(input.byte());
    any_form!(number;
        Query elbv2::CreateLoadBalancer, Query elbv2::CreateTargetGroup, Query elbv2::CreateListener, Query elbv2::CreateRule,
        Query elbv2::RegisterTargets, Query elbv2::ModifyLoadBalancerAttributes, Query elbv2::DescribeLoadBalancers,
        Query iam::CreateRole, Query iam::PutRolePolicy, Query iam::SimulateCustomPolicy, Query sts::AssumeRole,
        Ec2 ec2::AuthorizeSecurityGroupIngress, Ec2 ec2::CreateVpc, Ec2 ec2::DescribeSubnets, Ec2 ec2::CreateTags,
        Ec2 ec2::CreateNetworkInterface, Ec2 ec2::CreateRoute, Ec2 ec2::DescribeSecurityGroups,
        Ec2 ec2::RevokeSecurityGroupEgress, Ec2 ec2::CreateNetworkAclEntry,
    )(input.rest());
}

/// Method, query string, headers, path and a body.
///
/// Holds: a request is identified or refused with a status from 400 on, and whatever is identified is an operation of ours.
pub fn identified(data: &[u8]) {
    let mut input = Input::new(data);
    let method = ["POST", "GET", "PUT", "DELETE"][usize::from(input.byte() % 4)];
    let (query, target, kind) = (input.text(FIELD), input.text(FIELD), input.text(FIELD));
    let (authorization, host, smithy) = (input.text(FIELD), input.text(FIELD), input.text(FIELD));
    let path = input.text(FIELD);
    let headers = [
        ("x-amz-target", &target),
        ("content-type", &kind),
        ("authorization", &authorization),
        ("host", &host),
        ("smithy-protocol", &smithy),
    ];
    let header =
        |name: &str| headers.iter().find(|(own, text)| *own == name && !text.is_empty()).map(|(_, text)| &***text);
    let all = || headers.iter().map(|(name, text)| ((*name).to_owned(), text.to_string())).collect();
    let parts = Parts { method, path: &path, query: &query, header: &header, headers: &all, body: input.rest() };
    match identify(&parts) {
        Ok(call) => assert!(call.service.operation(call.operation.name).is_some()),
        Err(refused) => {
            let answer = refused.response("id");
            assert!(answer.status >= 400, "{refused:?}");
            let _ = is_aws(&parts);
        }
    }
}
