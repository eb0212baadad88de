//! A token of a list names its next page for one question only: asked with other parameters, it is refused, as AWS does.
//!
//! Handlers know nothing of this. Between the wire and a handler, the token gets a seal in front: what the operation was asked, and
//! by whose account, in 16 hexadecimal digits. (Tokens are given to command lines, where a dash would begin an option.) A token
//! without the right seal reaches the handler as it came, and as no handler makes tokens of that form, the handler refuses it
//! in its service's words.

use crate::Cx;
use longshore_aws_model::{
    AwsError, Member, OnElement, OnEntry, OnMember, Operation, ReadError, Schema, Shape, ShapeReader, ShapeWriter,
    Timestamp,
};

/// Length of a seal.
const SEAL: usize = 16;

/// Names of the member that holds a token, in inputs and outputs.
const TOKENS: &[&str] = &["nextToken", "NextToken", "Marker", "NextMarker", "PaginationToken"];

/// Members that may differ from page to page.
const FREE: &[&str] =
    &["maxResults", "MaxResults", "MaxItems", "PageSize", "limit", "ResourcesPerPage", "TagsPerPage", "DryRun"];

/// Where an operation that has pages has its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Index of the input's member.
    input: usize,
    output: usize,
}

impl Tokens {
    /// `None` for an operation without pages.
    pub fn of<O: Operation>() -> Option<Self> {
        let place = |members: &[Member]| members.iter().position(|member| TOKENS.contains(&member.name));
        Some(Self { input: place(O::Input::SCHEMA.members())?, output: place(O::Output::SCHEMA.members())? })
    }

    /// Takes the seal off the input's token if it is the right one; gives the seal of the answer's token.
    pub fn open<O: Operation>(self, cx: &Cx, input: &mut O::Input) -> String {
        let mut question = Question::new::<O>(cx, self.input);
        input.write_members(&mut question);
        let seal = format!("{:016x}", question.hash);
        if let Some(bare) = question.token.as_deref().and_then(|token| token.strip_prefix(seal.as_str())) {
            replace(input, self.input, bare.to_owned());
        }
        seal
    }

    /// Seals the output's token; empty ones say that there is no next page and stay so.
    pub fn close<O: Operation>(self, seal: &str, output: &mut O::Output) {
        debug_assert_eq!(seal.len(), SEAL);
        let mut found = Find { member: &O::Output::SCHEMA.members()[self.output], depth: 0, next: false, token: None };
        output.write_members(&mut found);
        if let Some(token) = found.token.filter(|token| !token.is_empty()) {
            replace(output, self.output, format!("{seal}{token}"));
        }
    }
}

/// Runs a handler with the tokens it knows.
pub fn through<O: Operation>(
    tokens: Option<Tokens>,
    cx: &Cx,
    mut input: O::Input,
    handler: impl FnOnce(O::Input) -> Result<O::Output, AwsError>,
) -> Result<O::Output, AwsError> {
    let Some(tokens) = tokens else { return handler(input) };
    let seal = tokens.open::<O>(cx, &mut input);
    let mut output = handler(input)?;
    tokens.close::<O>(&seal, &mut output);
    Ok(output)
}

fn replace(shape: &mut impl Shape, member: usize, token: String) {
    shape.read_member(member, &mut Text(token)).expect("tokens are strings in every model");
}

/// Hears an input say itself: a hash (FNV-1a) of everything but its token and the size of its pages.
struct Question {
    hash: u64,
    token_member: &'static Member,
    token: Option<String>,
    depth: usize,
    /// What is being said is not part of the question.
    skip: bool,
    /// And is the token.
    is_token: bool,
}

impl Question {
    fn new<O: Operation>(cx: &Cx, token: usize) -> Self {
        let token_member = &O::Input::SCHEMA.members()[token];
        let mut new =
            Self { hash: 0xcbf2_9ce4_8422_2325, token_member, token: None, depth: 0, skip: false, is_token: false };
        let schema = O::SCHEMA;
        for part in [schema.service.name, schema.name, cx.scope.account.as_str(), cx.scope.region.as_str()] {
            new.text(part);
        }
        new
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if !self.skip {
            self.hash =
                bytes.iter().fold(self.hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        }
    }

    /// Its length first, so that no two texts run into each other.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_be_bytes());
        self.bytes(text.as_bytes());
    }
}

impl ShapeWriter for Question {
    fn begin_structure(&mut self, _: &'static Schema) {
        self.depth += 1;
        self.bytes(b"{");
    }
    fn member(&mut self, member: &'static Member) {
        if self.depth == 0 {
            self.is_token = std::ptr::eq(member, self.token_member);
            self.skip = self.is_token || FREE.contains(&member.name);
        }
        self.text(member.name);
    }
    fn end_structure(&mut self) {
        self.depth -= 1;
        self.bytes(b"}");
    }
    fn begin_list(&mut self, _: &'static Schema, len: usize) {
        self.depth += 1;
        self.bytes(&(len as u64).to_be_bytes());
    }
    fn element(&mut self) {}
    fn end_list(&mut self) {
        self.depth -= 1;
    }
    fn begin_map(&mut self, schema: &'static Schema, len: usize) {
        self.begin_list(schema, len);
    }
    fn entry(&mut self, key: &str) {
        self.text(key);
    }
    fn end_map(&mut self) {
        self.depth -= 1;
    }
    fn string(&mut self, _: &'static Schema, value: &str) {
        if self.is_token && self.depth == 0 {
            self.token = Some(value.to_owned());
        }
        self.text(value);
    }
    fn integer(&mut self, _: &'static Schema, value: i64) {
        self.bytes(&value.to_be_bytes());
    }
    fn float(&mut self, _: &'static Schema, value: f64) {
        self.bytes(&value.to_bits().to_be_bytes());
    }
    fn boolean(&mut self, _: &'static Schema, value: bool) {
        self.bytes(&[u8::from(value)]);
    }
    fn timestamp(&mut self, _: &'static Schema, value: Timestamp) {
        self.bytes(&value.0.to_be_bytes());
    }
    fn blob(&mut self, _: &'static Schema, value: &[u8]) {
        self.bytes(&(value.len() as u64).to_be_bytes());
        self.bytes(value);
    }
    fn document(&mut self, _: &'static Schema, value: &str) {
        self.text(value);
    }
}

/// Hears an output say itself, for its token.
struct Find {
    member: &'static Member,
    depth: usize,
    next: bool,
    token: Option<String>,
}

impl ShapeWriter for Find {
    fn begin_structure(&mut self, _: &'static Schema) {
        self.depth += 1;
    }
    fn member(&mut self, member: &'static Member) {
        self.next = self.depth == 0 && std::ptr::eq(member, self.member);
    }
    fn end_structure(&mut self) {
        self.depth -= 1;
    }
    fn begin_list(&mut self, _: &'static Schema, _: usize) {
        self.depth += 1;
    }
    fn element(&mut self) {}
    fn end_list(&mut self) {
        self.depth -= 1;
    }
    fn begin_map(&mut self, _: &'static Schema, _: usize) {
        self.depth += 1;
    }
    fn entry(&mut self, _: &str) {}
    fn end_map(&mut self) {
        self.depth -= 1;
    }
    fn string(&mut self, _: &'static Schema, value: &str) {
        if self.next {
            self.token = Some(value.to_owned());
        }
    }
    fn integer(&mut self, _: &'static Schema, _: i64) {}
    fn float(&mut self, _: &'static Schema, _: f64) {}
    fn boolean(&mut self, _: &'static Schema, _: bool) {}
    fn timestamp(&mut self, _: &'static Schema, _: Timestamp) {}
    fn blob(&mut self, _: &'static Schema, _: &[u8]) {}
    fn document(&mut self, _: &'static Schema, _: &str) {}
}

/// A text where a value is read.
struct Text(String);

impl Text {
    fn no<T>(&self, expected: &'static str) -> Result<T, ReadError> {
        Err(ReadError::mismatch("STRING_VALUE", expected))
    }
}

impl ShapeReader for Text {
    fn structure(&mut self, _: &'static Schema, _: OnMember<'_>) -> Result<(), ReadError> {
        self.no("structure")
    }
    fn list(&mut self, _: &'static Schema, _: OnElement<'_>) -> Result<(), ReadError> {
        self.no("list")
    }
    fn map(&mut self, _: &'static Schema, _: OnEntry<'_>) -> Result<(), ReadError> {
        self.no("map")
    }
    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        Ok(std::mem::take(&mut self.0))
    }
    fn integer(&mut self, _: &'static Schema) -> Result<i64, ReadError> {
        self.no("Integer")
    }
    fn float(&mut self, _: &'static Schema) -> Result<f64, ReadError> {
        self.no("Float")
    }
    fn boolean(&mut self, _: &'static Schema) -> Result<bool, ReadError> {
        self.no("Boolean")
    }
    fn timestamp(&mut self, _: &'static Schema) -> Result<Timestamp, ReadError> {
        self.no("Timestamp")
    }
    fn blob(&mut self, _: &'static Schema) -> Result<Vec<u8>, ReadError> {
        self.no("Blob")
    }
    fn document(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        self.no("Document")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::Bench;
    use crate::routes::Request;
    use longshore_aws_model::{Protocol, SERVICES};
    use std::collections::BTreeSet;

    struct Api(Bench);

    impl Api {
        /// A call by JSON, whatever the service's own protocol is.
        fn call(&self, service: &str, operation: &str, input: serde_json::Value) -> (u16, serde_json::Value) {
            let schema = SERVICES.iter().find(|s| s.name == service).and_then(|s| s.operation(operation));
            let request = Request {
                operation: schema.expect("it is served"),
                protocol: Protocol::Json11,
                payload: input.to_string().into_bytes(),
                head: Default::default(),
            };
            let answer = crate::routes().run(self.0.backend.clone(), self.0.cx(), request);
            let answer = self.0.wait(answer);
            (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
        }
    }

    #[test]
    fn a_token_is_for_the_filters_of_the_call_that_gave_it() {
        let api = Api(Bench::new());
        for n in 0..12 {
            for (service, operation, input) in [
                ("ecs", "CreateCluster", serde_json::json!({ "clusterName": format!("c{n:02}") })),
                (
                    "ecs",
                    "RegisterTaskDefinition",
                    serde_json::json!({
                        "family": format!("f{n:02}"), "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
                        "containerDefinitions": [{ "name": "a", "image": "a", "memory": 64 }],
                    }),
                ),
                ("iam", "CreateUser", serde_json::json!({ "UserName": format!("u{n:02}"), "Path": "/a/" })),
                ("ecr", "CreateRepository", serde_json::json!({ "repositoryName": format!("r{n:02}") })),
                ("logs", "CreateLogGroup", serde_json::json!({ "logGroupName": format!("/a/{n:02}") })),
                (
                    "ssm",
                    "PutParameter",
                    serde_json::json!({ "Name": format!("/a/{n:02}"), "Value": "v", "Type": "String" }),
                ),
                (
                    "secretsmanager",
                    "CreateSecret",
                    serde_json::json!({ "Name": format!("s{n:02}"), "SecretString": "v" }),
                ),
                (
                    "ec2",
                    "CreateSecurityGroup",
                    serde_json::json!({ "GroupName": format!("g{n:02}"), "GroupDescription": "d" }),
                ),
            ] {
                let (status, answer) = api.call(service, operation, input);
                assert!(status == 200, "{operation}: {answer}");
            }
        }
        // Service, operation, its parameters, those of another question, the size of a page, the token in and out, the error.
        let invalid = "InvalidParameterException";
        let group = r#"{"Filter":[{"Name":"group-name","Value":["g0*"]}]}"#;
        let cases = [
            ("ecs", "ListTaskDefinitions", "{}", r#"{"familyPrefix":"f01"}"#, "maxResults", invalid),
            ("ecs", "ListTaskDefinitions", "{}", r#"{"sort":"DESC"}"#, "maxResults", invalid),
            ("ecs", "ListTaskDefinitionFamilies", "{}", r#"{"familyPrefix":"f0"}"#, "maxResults", invalid),
            ("iam", "ListUsers", "{}", r#"{"PathPrefix":"/a/"}"#, "MaxItems", "ValidationError"),
            ("ecr", "DescribeRepositories", "{}", r#"{"registryId":"123456789012"}"#, "maxResults", invalid),
            ("logs", "DescribeLogGroups", "{}", r#"{"logGroupNamePrefix":"/a"}"#, "limit", invalid),
            ("ssm", "GetParametersByPath", r#"{"Path":"/a"}"#, r#"{"Path":"/"}"#, "MaxResults", "InvalidNextToken"),
            (
                "secretsmanager",
                "ListSecrets",
                "{}",
                r#"{"SortOrder":"asc"}"#,
                "MaxResults",
                "InvalidNextTokenException",
            ),
            (
                "elbv2",
                "DescribeSSLPolicies",
                "{}",
                r#"{"LoadBalancerType":"application"}"#,
                "PageSize",
                "ValidationError",
            ),
            ("ec2", "DescribeSecurityGroups", "{}", group, "MaxResults", "InvalidNextToken"),
        ];
        for (service, operation, ours, other, size, code) in cases {
            let question = |text: &str, token: Option<(&str, &str)>, limit: u32| {
                let mut input: serde_json::Value = serde_json::from_str(text).expect("JSON");
                input[size] = limit.into();
                if let Some((name, token)) = token {
                    input[name] = token.into();
                }
                input
            };
            let (status, first) = api.call(service, operation, question(ours, None, 5));
            assert_eq!(status, 200, "{operation}: {first}");
            let (name, token) = ["nextToken", "NextToken", "Marker", "NextMarker"]
                .into_iter()
                .find_map(|name| Some((name, first[name].as_str()?.to_owned())))
                .unwrap_or_else(|| panic!("{operation} has a second page: {first}"));
            // Two services spell it in another way when it comes back.
            let name = match service {
                "ec2" => "NextToken",
                "elbv2" => "Marker",
                _ => name,
            };
            let (status, second) = api.call(service, operation, question(ours, Some((name, &token)), 6));
            assert_eq!(status, 200, "{operation}, with another size of page: {second}");
            assert_ne!(first, second, "{operation}");
            for (text, token) in [(other, token.as_str()), (ours, &token[1..]), (ours, "abcd")] {
                let (status, refused) = api.call(service, operation, question(text, Some((name, token)), 5));
                assert!(status == 400 && refused["__type"] == code, "{operation} {token}: {refused}");
            }
        }
        // Nor for another operation that asks the same.
        let (_, first) = api.call("ecs", "ListClusters", serde_json::json!({ "maxResults": 5 }));
        let other = serde_json::json!({ "maxResults": 5, "nextToken": first["nextToken"] });
        assert_eq!(api.call("ecs", "ListTaskDefinitions", other).1["__type"], invalid);
    }

    #[test]
    fn every_operation_with_a_token_in_and_out_is_known() {
        // A member that looks like a token and is none of those names would be a list without seals.
        let looks = |name: &str| name.to_lowercase().ends_with("token") || name.to_lowercase().ends_with("marker");
        let mut odd = BTreeSet::new();
        for operation in SERVICES.iter().flat_map(|service| service.operations) {
            let token =
                |members: &[Member]| members.iter().find(|m| looks(m.name) && m.name != "ClientToken").map(|m| m.name);
            if let (Some(input), Some(output)) = (token(operation.input.members()), token(operation.output.members()))
                && !(TOKENS.contains(&input) && TOKENS.contains(&output))
            {
                odd.insert((operation.name, input, output));
            }
        }
        // Places in a stream, which answer no question.
        let known =
            [("GetLogEvents", "nextToken", "nextForwardToken"), ("PutLogEvents", "sequenceToken", "nextSequenceToken")];
        assert_eq!(odd.into_iter().collect::<Vec<_>>(), known);
    }
}
