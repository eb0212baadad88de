//! From an output or an error to a response: the envelopes of each protocol.

use std::borrow::Cow;

use longshore_aws_model::{
    AwsError, ErrorMember, Operation, OperationSchema, Protocol, ServiceSchema, Shape, ShapeWriter,
};

use crate::cbor::CborWriter;
use crate::json::{JsonWriter, write_string};
use crate::query::XmlWriter;
use crate::rest::RestWriter;

/// An HTTP response without its transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `content-type` and the request id, names in lower case.
    pub headers: [(&'static str, Cow<'static, str>); 2],
    /// Headers that only some answers have.
    pub more: Vec<(Cow<'static, str>, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    fn new(status: u16, protocol: Protocol, request_id: &str, body: Vec<u8>) -> Self {
        let content_type = match protocol {
            Protocol::Json10 => "application/x-amz-json-1.0",
            Protocol::Json11 => "application/x-amz-json-1.1",
            Protocol::Query => "text/xml",
            Protocol::Ec2 => "text/xml;charset=UTF-8",
            Protocol::RestJson => "application/json",
            Protocol::RestXml => "application/xml",
            Protocol::Cbor => "application/cbor",
        };
        let headers =
            [("content-type", Cow::Borrowed(content_type)), ("x-amzn-requestid", Cow::Owned(request_id.to_owned()))];
        let more = match protocol {
            Protocol::Cbor => vec![(Cow::Borrowed("smithy-protocol"), "rpc-v2-cbor".to_owned())],
            _ => Vec::new(),
        };
        Self { status, headers, more, body }
    }

    /// Tells the code that the query protocol has for an error.
    pub(crate) fn add_query_error(&mut self, operation: &OperationSchema, error: &AwsError) {
        let code = operation.error(&error.code).map_or(error.code.as_ref(), |e| e.code);
        let fault = if self.status < 500 { "Sender" } else { "Receiver" };
        self.more.push((Cow::Borrowed("x-amzn-query-error"), format!("{code};{fault}")));
    }

    /// Value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let usual = self.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_ref());
        usual.or_else(|| self.more.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()))
    }
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A structure as AWS JSON has it, without white space.
pub fn to_json(shape: &impl Shape) -> String {
    let mut w = JsonWriter::with_capacity(512);
    shape.write(&mut w);
    w.finish()
}

/// The response to a call that succeeded.
pub fn encode_output<O: Operation>(protocol: Protocol, output: &O::Output, request_id: &str) -> Response {
    write_output(O::SCHEMA, protocol, request_id, &|w| output.write_members(w))
}

/// The response to a call that succeeded, from whatever writes its members: [`encode_output`] without types.
pub fn write_output(
    operation: &OperationSchema,
    protocol: Protocol,
    request_id: &str,
    write: &dyn Fn(&mut dyn ShapeWriter),
) -> Response {
    let body = match protocol {
        Protocol::Query => query_output(operation, request_id, write).into_bytes(),
        Protocol::Ec2 => ec2_output(operation, request_id, write).into_bytes(),
        Protocol::RestJson | Protocol::RestXml => return rest_output(operation, protocol, request_id, write),
        // An operation without an output has an empty body, as AWS's.
        _ if !operation.has_output => Vec::new(),
        Protocol::Cbor => {
            let mut w = CborWriter::with_capacity(512);
            w.begin_structure(operation.output);
            write(&mut w);
            w.end_structure();
            w.finish()
        }
        Protocol::Json10 | Protocol::Json11 => {
            let mut w = JsonWriter::with_capacity(512);
            w.begin_structure(operation.output);
            write(&mut w);
            w.end_structure();
            w.finish().into_bytes()
        }
    };
    Response::new(200, protocol, request_id, body)
}

fn rest_output(
    operation: &OperationSchema,
    protocol: Protocol,
    request_id: &str,
    write: &dyn Fn(&mut dyn ShapeWriter),
) -> Response {
    let mut w = RestWriter::new(operation, protocol);
    write(&mut w);
    let parts = w.finish(operation);
    let mut response = Response::new(parts.status.unwrap_or(operation.http.status), protocol, request_id, parts.body);
    if let Some(content_type) = parts.content_type {
        response.headers[0].1 = Cow::Borrowed(content_type);
    }
    for (name, value) in parts.headers {
        // A member may be the content type itself.
        match response.headers.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(&name)) {
            Some(usual) => usual.1 = Cow::Owned(value),
            None => response.more.push((Cow::Owned(name), value)),
        }
    }
    response
}

fn query_output(operation: &OperationSchema, request_id: &str, write: &dyn Fn(&mut dyn ShapeWriter)) -> String {
    let mut w = XmlWriter::with_capacity(1024);
    let name = operation.name;
    w.raw(&format!("<{name}Response xmlns=\"{}\">", operation.service.xml_namespace));
    if let Some(wrapper) = operation.result_wrapper {
        w.open(wrapper);
        write(&mut w);
        w.close(wrapper);
    } else if operation.has_output {
        write(&mut w);
    }
    w.open("ResponseMetadata");
    w.leaf("RequestId", request_id);
    w.raw(&format!("</ResponseMetadata></{name}Response>"));
    w.finish()
}

fn ec2_output(operation: &OperationSchema, request_id: &str, write: &dyn Fn(&mut dyn ShapeWriter)) -> String {
    let mut w = XmlWriter::with_capacity(1024);
    let name = operation.name;
    w.raw(XML);
    w.raw(&format!("<{name}Response xmlns=\"{}/\">", operation.service.xml_namespace.trim_end_matches('/')));
    w.leaf("requestId", request_id);
    if operation.has_output {
        write(&mut w);
    } else {
        // What the model leaves out and EC2 sends.
        w.leaf("return", "true");
    }
    w.raw(&format!("</{name}Response>"));
    w.finish()
}

/// The response to a call that failed. Status and wire code are the operation's modelled ones where it has them.
pub fn encode_error(
    protocol: Protocol,
    service: Option<&ServiceSchema>,
    operation: Option<&OperationSchema>,
    error: &AwsError,
    request_id: &str,
) -> Response {
    let status = error.status(operation);
    let modelled = operation.and_then(|o| o.error(&error.code));
    let code = modelled.map_or(error.code.as_ref(), |e| e.code);
    // Protocols newer than query know an error by its shape; models of JSON services that never had another give no code,
    // or the one they send.
    let by_shape =
        !matches!(protocol, Protocol::Json10 | Protocol::Json11) || service.is_some_and(|s| s.query_compatible);
    let name = modelled.map_or(error.code.as_ref(), |e| if by_shape { e.name } else { e.code });
    let body = match protocol {
        Protocol::Ec2 => {
            let mut w = XmlWriter::with_capacity(256);
            w.raw(XML);
            w.raw("<Response><Errors><Error>");
            w.leaf("Code", code);
            w.leaf("Message", &error.message);
            w.raw("</Error></Errors>");
            w.leaf("RequestID", request_id);
            w.raw("</Response>");
            w.finish().into_bytes()
        }
        Protocol::Query | Protocol::RestXml => {
            let namespace = match (service, protocol) {
                (Some(s), _) => s.xml_namespace,
                (None, Protocol::Query) => "http://webservices.amazon.com/AWSFault/2005-15-09",
                (None, _) => "",
            };
            let mut w = XmlWriter::with_capacity(256);
            match namespace {
                "" => w.raw("<ErrorResponse><Error>"),
                uri => w.raw(&format!("<ErrorResponse xmlns=\"{uri}\"><Error>")),
            }
            w.leaf("Type", if status < 500 { "Sender" } else { "Receiver" });
            w.leaf("Code", code);
            w.leaf("Message", &error.message);
            w.raw("</Error>");
            w.leaf("RequestId", request_id);
            w.raw("</ErrorResponse>");
            w.finish().into_bytes()
        }
        Protocol::Cbor => {
            let namespace = service.map_or("longshore", |s| s.name);
            let mut w = CborWriter::with_capacity(256);
            w.error(&format!("com.amazonaws.{namespace}#{name}"), error);
            w.finish()
        }
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => {
            let mut body = String::from("{");
            if protocol != Protocol::RestJson {
                body.push_str("\"__type\":");
                write_string(&mut body, name);
                body.push(',');
            }
            body.push_str("\"message\":");
            write_string(&mut body, &error.message);
            for (name, member) in &error.members {
                body.push(',');
                write_string(&mut body, name);
                body.push(':');
                write_error_member(&mut body, member);
            }
            body.push('}');
            body.into_bytes()
        }
    };
    let mut response = Response::new(status, protocol, request_id, body);
    if protocol == Protocol::RestJson {
        response.more.push((Cow::Borrowed("x-amzn-errortype"), name.to_owned()));
    }
    response
}

fn write_error_member(body: &mut String, member: &ErrorMember) {
    match member {
        ErrorMember::Text(text) => write_string(body, text),
        ErrorMember::Number(number) => body.push_str(&number.to_string()),
        ErrorMember::Texts(texts) => {
            body.push('[');
            for (i, text) in texts.iter().enumerate() {
                if i > 0 {
                    body.push(',');
                }
                write_string(body, text);
            }
            body.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::{Timestamp, ec2, ecr, ecs, elbv2, iam, logs};

    use super::*;

    fn body<O: Operation>(protocol: Protocol, output: &O::Output) -> String {
        String::from_utf8(encode_output::<O>(protocol, output, "id-1").body).expect("text")
    }

    #[test]
    fn json_has_what_is_there_and_empty_lists() {
        let task = ecs::Task {
            task_arn: Some("arn\n\"x\"".to_owned()),
            created_at: Some(Timestamp(1_767_323_045_678)),
            containers: Some(vec![]),
            tags: Some(vec![ecs::Tag { key: Some("k".to_owned()), value: None }, ecs::Tag::default()]),
            version: Some(3),
            ..Default::default()
        };
        let output = ecs::DescribeTasksOutput { tasks: Some(vec![task]), failures: Some(vec![]) };
        assert_eq!(
            body::<ecs::DescribeTasks>(Protocol::Json11, &output),
            r#"{"tasks":[{"containers":[],"createdAt":1767323045.678,"tags":[{"key":"k"},{}],"taskArn":"arn\n\"x\"","version":3}],"failures":[]}"#
        );
        assert_eq!(body::<logs::CreateLogGroup>(Protocol::Json11, &Default::default()), "");
        let response = encode_output::<ecs::TagResource>(Protocol::Json11, &Default::default(), "id-1");
        assert_eq!(response.body, b"{}");
        assert_eq!(response.header("content-type"), Some("application/x-amz-json-1.1"));
        assert_eq!(response.header("x-amzn-requestid"), Some("id-1"));
    }

    #[test]
    fn query_wraps_results() {
        let output = elbv2::DescribeLoadBalancersOutput {
            load_balancers: Some(vec![elbv2::LoadBalancer {
                dns_name: Some("a&b".to_owned()),
                created_time: Some(Timestamp(1_767_323_045_000)),
                security_groups: Some(vec!["sg-1".to_owned()]),
                ..Default::default()
            }]),
            next_marker: None,
        };
        assert_eq!(
            body::<elbv2::DescribeLoadBalancers>(Protocol::Query, &output),
            "<DescribeLoadBalancersResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><DescribeLoadBalancersResult><LoadBalancers><member><DNSName>a&amp;b</DNSName><CreatedTime>2026-01-02T03:04:05Z</CreatedTime><SecurityGroups><member>sg-1</member></SecurityGroups></member></LoadBalancers></DescribeLoadBalancersResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DescribeLoadBalancersResponse>"
        );
        assert_eq!(
            body::<iam::DeleteRole>(Protocol::Query, &Default::default()),
            "<DeleteRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DeleteRoleResponse>"
        );
    }

    #[test]
    fn ec2_has_items_and_a_return_value() {
        let vpc = ec2::Vpc {
            vpc_id: Some("vpc-1".to_owned()),
            is_default: Some(false),
            tags: Some(vec![]),
            ..Default::default()
        };
        let output = ec2::DescribeVpcsOutput { vpcs: Some(vec![vpc]), next_token: None };
        let text = body::<ec2::DescribeVpcs>(Protocol::Ec2, &output);
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeVpcsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>id-1</requestId><vpcSet><item>"), "{text}");
        assert!(
            text.contains("<isDefault>false</isDefault>")
                && text.contains("<vpcId>vpc-1</vpcId>")
                && text.contains("<tagSet></tagSet>"),
            "{text}"
        );
        assert!(
            body::<ec2::DeleteVpc>(Protocol::Ec2, &Default::default())
                .ends_with("<return>true</return></DeleteVpcResponse>")
        );
    }

    #[test]
    fn errors_take_status_and_code_of_the_model() {
        let check = |protocol, op: &'static OperationSchema, error: AwsError, status: u16, body: &str| {
            let response = encode_error(protocol, Some(op.service), Some(op), &error, "id-1");
            assert_eq!((response.status, String::from_utf8_lossy(&response.body).as_ref()), (status, body));
        };
        let missing = AwsError::new(iam::codes::NO_SUCH_ENTITY, "no <role>");
        let xml = "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no &lt;role&gt;</Message></Error><RequestId>id-1</RequestId></ErrorResponse>";
        check(Protocol::Query, iam::GetRole::SCHEMA, missing, 404, xml);
        // The shape's name serves as well as the code.
        check(Protocol::Query, iam::GetRole::SCHEMA, AwsError::new("NoSuchEntityException", "no <role>"), 404, xml);
        check(
            Protocol::Json11,
            ecs::RunTask::SCHEMA,
            AwsError::new("ClusterNotFoundException", "Cluster not found."),
            400,
            r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#,
        );
        check(
            Protocol::Json11,
            ecr::PutImage::SCHEMA,
            AwsError::fault("ServerException", "x"),
            500,
            r#"{"__type":"ServerException","message":"x"}"#,
        );
        let conflict = AwsError::new("ConflictException", "used")
            .with("resourceIds", ErrorMember::Texts(vec!["a\"".to_owned(), "b".to_owned()]))
            .with("n", ErrorMember::Number(-1))
            .with("t", ErrorMember::Text("x".to_owned()));
        let body = r#"{"__type":"ConflictException","message":"used","resourceIds":["a\"","b"],"n":-1,"t":"x"}"#;
        check(Protocol::Json11, ecs::RunTask::SCHEMA, conflict.clone(), 400, body);
        let cbor =
            encode_error(Protocol::Cbor, Some(&ecs::SERVICE), Some(ecs::RunTask::SCHEMA), &conflict, "id-1").body;
        let members = b"\x6bresourceIds\x82\x62a\"\x61b\x61n\x20\x61t\x61x";
        assert_eq!(cbor[0], 0xa5, "a map of five");
        assert!(cbor.ends_with(members), "{cbor:?}");
        check(
            Protocol::Ec2,
            ec2::DeleteVpc::SCHEMA,
            AwsError::new("InvalidVpcID.NotFound", "gone"),
            400,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>gone</Message></Error></Errors><RequestID>id-1</RequestID></Response>",
        );
    }

    #[test]
    fn codes_of_the_query_protocol_are_told_to_who_asks_for_them() {
        let head = crate::Head::default().with_query_mode(true);
        let answer = |operation: &'static OperationSchema, error: AwsError| {
            let call = crate::Call { operation, protocol: Protocol::Cbor, payload: b"", head: &head, request_id: "id" };
            let response = call.error(&error);
            let name = b"NoSuchEntityException";
            (
                response.header("x-amzn-query-error").map(str::to_owned),
                response.body.windows(name.len()).any(|w| w == name),
            )
        };
        let missing = AwsError::new(iam::codes::NO_SUCH_ENTITY, "gone");
        assert_eq!(answer(iam::GetRole::SCHEMA, missing), (Some("NoSuchEntity;Sender".to_owned()), true));
        // ECS never had a query protocol.
        assert_eq!(answer(ecs::RunTask::SCHEMA, AwsError::new("ClientException", "no")), (None, false));
    }

    #[test]
    fn no_text_breaks_the_xml() {
        let output = ec2::CreateSecurityGroupOutput {
            group_id: Some("a\0b\u{1}\u{ffff}\r\n\"<>&".to_owned()),
            ..Default::default()
        };
        let text = body::<ec2::CreateSecurityGroup>(Protocol::Ec2, &output);
        assert!(text.contains("<groupId>a\u{fffd}b\u{fffd}\u{fffd}&#xD;\n&quot;&lt;&gt;&amp;</groupId>"), "{text}");
    }
}
