//! From a payload to an operation's input: reading, then validation. Only four lines of it are compiled per operation.

use longshore_aws_model::{AwsError, OnMember, Operation, OperationSchema, Protocol, ReadError, Shape, ShapeReader};

use crate::call::Head;
use crate::cbor::CborReader;
use crate::json::Cursor;
use crate::query::{Dialect, FormReader, sorted};
use crate::rest;
use crate::validate::{self, Presence};

/// Reads and validates the input of `O` from a payload that is all there is: not for REST, whose requests have a head too.
pub fn decode<O: Operation>(protocol: Protocol, payload: &[u8]) -> Result<O::Input, AwsError> {
    decode_with::<O>(protocol, &Head::default(), payload)
}

/// Reads and validates the input of `O`.
pub(crate) fn decode_with<O: Operation>(protocol: Protocol, head: &Head, payload: &[u8]) -> Result<O::Input, AwsError> {
    let mut input = O::Input::default();
    let presence = read(O::SCHEMA, protocol, head, payload, &mut |i, r| input.read_member(i, r))?;
    validate::check(O::SCHEMA, protocol, presence, &|w| input.write_members(w))?;
    Ok(input)
}

fn read(
    operation: &'static OperationSchema,
    protocol: Protocol,
    head: &Head,
    payload: &[u8],
    on: OnMember<'_>,
) -> Result<Presence, AwsError> {
    let mut presence = Presence::default();
    let mut note = |i: usize, r: &mut dyn ShapeReader| {
        presence.set(i);
        on(i, r)
    };
    read_input(operation, protocol, head, payload, &mut note)?;
    Ok(presence)
}

/// Reports each member of an operation's input that is there, unvalidated: [`decode`] without types.
pub fn read_input(
    operation: &'static OperationSchema,
    protocol: Protocol,
    head: &Head,
    payload: &[u8],
    on: OnMember<'_>,
) -> Result<(), AwsError> {
    let done = match protocol {
        Protocol::Json10 | Protocol::Json11 => read_json(operation, payload, on),
        Protocol::Query | Protocol::Ec2 => {
            let dialect = if protocol == Protocol::Ec2 { Dialect::Ec2 } else { Dialect::Query };
            FormReader::new(dialect, &sorted(payload)).structure(operation.input, on)
        }
        Protocol::RestJson | Protocol::RestXml => rest::read(operation, protocol, head, payload, on),
        Protocol::Cbor => read_cbor(operation, payload, on),
    };
    done.map_err(|error| wrong_type(protocol, error))
}

fn read_cbor(operation: &OperationSchema, payload: &[u8], on: OnMember<'_>) -> Result<(), ReadError> {
    // As in JSON, an input without members may be nothing at all.
    if payload.is_empty() {
        return Ok(());
    }
    let mut reader = CborReader::new(payload);
    reader.structure(operation.input, on)?;
    if reader.at_end() { Ok(()) } else { Err(reader.trailing()) }
}

fn read_json(operation: &OperationSchema, payload: &[u8], on: OnMember<'_>) -> Result<(), ReadError> {
    let mut cursor = Cursor::new(payload)?;
    // Some clients send nothing for an input without members.
    if cursor.at_end() {
        return Ok(());
    }
    cursor.structure(operation.input, on)?;
    if cursor.at_end() { Ok(()) } else { Err(cursor.unexpected()) }
}

/// What a service answers to a payload that is not of the input's shape.
fn wrong_type(protocol: Protocol, error: ReadError) -> AwsError {
    match (protocol, error) {
        (Protocol::Json10 | Protocol::Json11, ReadError::Syntax(text)) => AwsError::new("SerializationException", text),
        (Protocol::Json10 | Protocol::Json11, ReadError::Type { found, expected, .. }) => {
            let text = match (found.as_str(), expected) {
                ("START_OBJECT", _) => "Start of structure or map found where not expected.".to_owned(),
                ("START_ARRAY", _) => "Start of list found where not expected".to_owned(),
                (_, "list" | "map" | "structure") => "Unexpected field type".to_owned(),
                (_, "Integer") => format!("{found} can not be converted to an Integer"),
                _ => format!("{found} can not be converted to a {expected}"),
            };
            AwsError::new("SerializationException", text)
        }
        (Protocol::Cbor | Protocol::RestJson, ReadError::Syntax(text)) => AwsError::new("SerializationException", text),
        (Protocol::Cbor | Protocol::RestJson, ReadError::Type { at, found, expected }) => {
            AwsError::new("SerializationException", format!("{found} at '{at}' can not be converted to a {expected}"))
        }
        (Protocol::RestXml, ReadError::Syntax(text)) => AwsError::new("MalformedInput", text),
        (Protocol::Ec2, ReadError::Type { at, found, expected }) => {
            let text = format!("Value ({found}) for parameter {at} is invalid. {expected} expected.");
            AwsError::new("InvalidParameterValue", text)
        }
        (_, ReadError::Type { at, found, expected }) => {
            AwsError::new("MalformedInput", format!("Value '{found}' at '{at}' is not of type {expected}"))
        }
        (_, ReadError::Syntax(text)) => AwsError::new("MalformedQueryString", text),
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::{Timestamp, ec2, ecr, ecs, elbv2, iam, logs};

    use super::*;

    #[test]
    fn run_task_as_the_cli_sends_it() {
        let body = br#"{"cluster": "demo", "count": 2, "launchType": "FARGATE", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "assignPublicIp": "ENABLED"}}, "overrides": {"containerOverrides": [{"name": "web", "environment": [{"name": "A", "value": "\u00e4"}]}]}, "taskDefinition": "web:1", "futureMember": {"x": [1, {"y": null}]}}"#;
        let input = decode::<ecs::RunTask>(Protocol::Json11, body).expect("decodes");
        assert_eq!((input.task_definition.as_str(), input.count), ("web:1", Some(2)));
        let vpc = input.network_configuration.and_then(|n| n.awsvpc_configuration).expect("vpc");
        assert_eq!(vpc.subnets.as_deref(), Some(&["subnet-1".to_owned(), "subnet-2".to_owned()][..]));
        let container = &input.overrides.and_then(|o| o.container_overrides).expect("overrides")[0];
        assert_eq!(container.environment.as_ref().expect("environment")[0].value.as_deref(), Some("ä"));
    }

    #[test]
    fn maps_doubles_and_longs_in_json() {
        let body =
            br#"{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1767323045678,"message":"m"}]}"#;
        let input = decode::<logs::PutLogEvents>(Protocol::Json11, body).expect("decodes");
        assert_eq!(input.log_events[0].timestamp, Some(1_767_323_045_678));
        let body = br#"{"logGroupName":"g","tags":{"a":"1","b":"2"}}"#;
        let input = decode::<logs::CreateLogGroup>(Protocol::Json11, body).expect("decodes");
        assert_eq!(input.tags.expect("tags")["b"], "2");
    }

    #[test]
    fn an_empty_body_is_an_input_without_members() {
        assert!(decode::<ecr::GetAuthorizationToken>(Protocol::Json11, b"").is_ok());
        assert!(decode::<ecs::ListClusters>(Protocol::Json11, b" {} ").is_ok());
    }

    #[test]
    fn other_types_are_serialization_exceptions() {
        let check = |body: &str, message: &str| {
            let error = decode::<ecs::RunTask>(Protocol::Json11, body.as_bytes()).expect_err("wrong type");
            assert_eq!((error.code.as_ref(), error.message.as_str()), ("SerializationException", message));
        };
        check(r#"{"taskDefinition":1}"#, "NUMBER_VALUE can not be converted to a String");
        check(r#"{"count":"2"}"#, "STRING_VALUE can not be converted to an Integer");
        check(r#"{"count":2.5}"#, "2.5 can not be converted to an Integer");
        check(r#"{"count":3000000000}"#, "3000000000 can not be converted to an Integer");
        check(r#"{"enableECSManagedTags":"yes"}"#, "STRING_VALUE can not be converted to a Boolean");
        check(r#"{"cluster":{}}"#, "Start of structure or map found where not expected.");
        check(r#"{"overrides":[]}"#, "Start of list found where not expected");
        check(r#"{"tags":"x"}"#, "Unexpected field type");
        check(r#"{"tags":[}"#, "Unexpected character '}' at offset 9");
        check("{} x", "Unexpected character 'x' at offset 3");
        check("{", "Unexpected end of input");
    }

    #[test]
    fn forms_of_the_query_services() {
        let input = decode::<elbv2::CreateListener>(
            Protocol::Query,
            b"Action=CreateListener&Version=2015-12-01&LoadBalancerArn=arn%3Aaws%3Alb&Protocol=HTTP&Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn=tg&DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.Weight=3",
        )
        .expect("decodes");
        assert_eq!((input.load_balancer_arn.as_str(), input.port), ("arn:aws:lb", Some(80)));
        let forward = input.default_actions[0].forward_config.as_ref().expect("forward");
        assert_eq!(forward.target_groups.as_ref().expect("groups")[0].weight, Some(3));
        let document = "%7B%22Version%22%3A%20%222012-10-17%22%7D";
        let body = format!("Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument={document}");
        let input = decode::<iam::CreateRole>(Protocol::Query, body.as_bytes()).expect("decodes");
        assert_eq!(input.assume_role_policy_document, r#"{"Version": "2012-10-17"}"#);
    }

    #[test]
    fn forms_of_ec2_and_their_wrong_types() {
        let input = decode::<ec2::CreateVpc>(
            Protocol::Ec2,
            b"Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0%2F16&DryRun=false&TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=demo",
        )
        .expect("decodes");
        let tags = input.tag_specifications.expect("specifications")[0].tags.clone().expect("tags");
        assert_eq!((tags[0].key.as_deref(), tags[0].value.as_deref()), (Some("Name"), Some("demo")));
        let attribute = decode::<ec2::ModifyVpcAttribute>(Protocol::Ec2, b"VpcId=vpc-1&EnableDnsHostnames.Value=true");
        assert_eq!(attribute.expect("decodes").enable_dns_hostnames.and_then(|a| a.value), Some(true));
        let error = decode::<ec2::DescribeVpcs>(Protocol::Ec2, b"MaxResults=many").expect_err("not a number");
        assert_eq!(
            error.to_string(),
            "InvalidParameterValue: Value (many) for parameter MaxResults is invalid. Integer expected."
        );
    }

    #[test]
    fn timestamps_come_as_numbers_and_as_texts() {
        for body in [r#"{"cluster":"c","services":["s"],"x":0}"#, r#"{"services":["s"]}"#] {
            assert!(decode::<ecs::DescribeServices>(Protocol::Json11, body.as_bytes()).is_ok());
        }
        let read = |text: &str| {
            let mut cursor = Cursor::new(text.as_bytes()).expect("utf-8");
            ShapeReader::timestamp(&mut cursor, &longshore_aws_model::schema::TIMESTAMP)
        };
        assert_eq!(read("1767323045.678"), Ok(Timestamp(1_767_323_045_678)));
        assert_eq!(read("1.767323045678E9"), Ok(Timestamp(1_767_323_045_678)));
        assert_eq!(read("\"2026-01-02T03:04:05.678Z\""), Ok(Timestamp(1_767_323_045_678)));
        assert!(read("\"soon\"").is_err());
    }

    #[test]
    fn mutated_payloads_never_panic() {
        let seeds: [&[u8]; 2] = [
            br#"{"family":"f","containerDefinitions":[{"name":"w","cpu":1,"environment":[{"name":"a","value":"\u00e9"}],"dockerLabels":{"k":"v"}}],"requiresCompatibilities":["FARGATE"]}"#,
            b"Filter.1.Name=a&Filter.1.Value.1=b&VpcId.1=vpc&DryRun=true&MaxResults=7&TagSpecification.1.Tag.1.Key=%C3%A4",
        ];
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        for round in 0..40_000 {
            let mut body = seeds[round % 2].to_vec();
            for _ in 0..=next(6) {
                let at = next(body.len().max(1));
                match next(4) {
                    _ if body.is_empty() => body.push(next(256) as u8),
                    0 => drop(body.remove(at)),
                    1 => body.insert(at, next(256) as u8),
                    2 => body[at] = b"{}[]\",:.=&%1+"[next(13)],
                    _ => body.truncate(at.max(1)),
                }
            }
            let _ = decode::<ecs::RegisterTaskDefinition>(Protocol::Json11, &body);
            let _ = decode::<ec2::DescribeVpcs>(Protocol::Ec2, &body);
            let _ = decode::<ec2::CreateVpc>(Protocol::Ec2, &body);
            let _ = decode::<elbv2::CreateRule>(Protocol::Query, &body);
        }
    }
}
