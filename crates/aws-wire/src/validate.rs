//! The models' constraints on inputs, in AWS's words.
//!
//! The validator is a [`ShapeWriter`]: the input writes itself into it. Required members of the input itself are plain
//! fields, which a missing value leaves at its default, so the decoder says which were there (`Presence`).

use longshore_aws_model::{AwsError, Kind, Member, OperationSchema, Protocol, Schema, ShapeWriter, Timestamp};

use crate::pattern;

/// Which members of an input were in the request, by index; the generator allows no more than 128.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Presence(u128);

impl Presence {
    pub(crate) fn set(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }
}

/// Texts beyond this many are counted and not written.
const MAX_TEXTS: usize = 20;

/// Checks an input, which `write` hands to the validator, and gives the error its service would.
pub(crate) fn check(
    operation: &OperationSchema,
    protocol: Protocol,
    presence: Presence,
    write: &dyn Fn(&mut dyn ShapeWriter),
) -> Result<(), AwsError> {
    let mut validator = Validator {
        presence,
        style: Style::of(operation, protocol),
        path: Vec::new(),
        frames: Vec::new(),
        absent: false,
        texts: Vec::new(),
        count: 0,
        code: "",
    };
    validator.frames.push(Frame { members: operation.input.members(), seen: presence.0, number: 0, key: None });
    write(&mut validator);
    validator.end_structure();
    validator.into_result()
}

/// How a service words its validation errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `2 validation errors detected: Value …; Value …`, under this code.
    Coral(&'static str),
    /// `Invalid parameter at '…' failed to satisfy constraint: '…'`, the first only.
    Ecr,
    /// `The request must contain the parameter …`, the first only.
    Ec2,
}

impl Style {
    fn of(operation: &OperationSchema, protocol: Protocol) -> Self {
        // CBOR is a newer spelling of what a service says: its words stay its own.
        let native = operation.service.protocols.first().copied().filter(|_| protocol == Protocol::Cbor);
        match (native.unwrap_or(protocol), operation.service.name) {
            (Protocol::Ec2, _) => Self::Ec2,
            (Protocol::Query, _) => Self::Coral("ValidationError"),
            (_, "ecr") => Self::Ecr,
            (_, "ecs" | "logs") => Self::Coral("InvalidParameterException"),
            _ => Self::Coral("ValidationException"),
        }
    }
}

enum Segment {
    Member(&'static Member),
    /// From 1.
    Element(usize),
    Key(String),
}

/// A structure, list or map that has begun.
struct Frame {
    members: &'static [Member],
    seen: u128,
    /// Elements so far.
    number: usize,
    /// Constraints of a map's keys.
    key: Option<&'static Schema>,
}

/// A constraint that does not hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    Null,
    Shortest(i64),
    Longest(i64),
    Least(i64),
    Most(i64),
    Pattern(&'static str),
    Values(&'static [&'static str]),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Member must not be null"),
            Self::Shortest(n) => write!(f, "Member must have length greater than or equal to {n}"),
            Self::Longest(n) => write!(f, "Member must have length less than or equal to {n}"),
            Self::Least(n) => write!(f, "Member must have value greater than or equal to {n}"),
            Self::Most(n) => write!(f, "Member must have value less than or equal to {n}"),
            Self::Pattern(p) => write!(f, "Member must satisfy regular expression pattern: {p}"),
            Self::Values(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

struct Validator {
    presence: Presence,
    style: Style,
    path: Vec<Segment>,
    frames: Vec<Frame>,
    /// Inside a required member of the input that is not there: its default value says nothing.
    absent: bool,
    texts: Vec<String>,
    count: usize,
    /// Code of the first violation, where it depends on the violation.
    code: &'static str,
}

impl Validator {
    /// Shows the path as the service writes it: `containerDefinitions.1.member.name`.
    fn at(&self) -> String {
        let mut out = String::new();
        for segment in &self.path {
            if !out.is_empty() {
                out.push('.');
            }
            match (segment, self.style) {
                (Segment::Member(m), Style::Ec2) => out.push_str(m.query),
                (Segment::Member(m), _) => {
                    let mut c = m.name.chars();
                    out.extend(c.next().map(|f| f.to_ascii_lowercase()));
                    out.push_str(c.as_str());
                }
                (Segment::Element(i), Style::Ec2) => out.push_str(&i.to_string()),
                (Segment::Element(i), _) => out.push_str(&format!("{i}.member")),
                (Segment::Key(k), _) => out.push_str(&format!("{k}.member")),
            }
        }
        out
    }

    /// Without a value for a secret.
    fn violation(&mut self, value: Option<&str>, broken: Broken) {
        self.count += 1;
        if self.texts.len() >= MAX_TEXTS {
            return;
        }
        let at = self.at();
        let constraint = broken.to_string();
        let (code, text) = match self.style {
            Style::Coral(code) => {
                let shown = match value {
                    _ if broken == Broken::Null => " null".to_owned(),
                    Some(value) => format!(" '{value}'"),
                    None => String::new(),
                };
                (code, format!("Value{shown} at '{at}' failed to satisfy constraint: {constraint}"))
            }
            Style::Ecr => {
                let constraint = match broken {
                    Broken::Pattern(p) => format!("must satisfy regular expression '{p}'"),
                    _ => constraint,
                };
                (
                    "InvalidParameterException",
                    format!("Invalid parameter at '{at}' failed to satisfy constraint: '{constraint}'"),
                )
            }
            Style::Ec2 => match (broken, value.unwrap_or_default()) {
                (Broken::Null, _) => ("MissingParameter", format!("The request must contain the parameter {at}")),
                (Broken::Least(n), value) => (
                    "InvalidParameterValue",
                    format!(
                        "Value ( {value} ) for parameter {at} is invalid. Expecting a value greater than or equal to {n}."
                    ),
                ),
                (Broken::Most(n), value) => (
                    "InvalidParameterValue",
                    format!(
                        "Value ( {value} ) for parameter {at} is invalid. Expecting a value smaller than or equal to {n}."
                    ),
                ),
                (_, value) => {
                    ("InvalidParameterValue", format!("Value ({value}) for parameter {at} is invalid. {constraint}"))
                }
            },
        };
        if self.texts.is_empty() {
            self.code = code;
        }
        self.texts.push(text);
    }

    fn into_result(mut self) -> Result<(), AwsError> {
        if self.count == 0 {
            return Ok(());
        }
        let message = match self.style {
            Style::Coral(_) => {
                let s = if self.count == 1 { "" } else { "s" };
                format!("{} validation error{s} detected: {}", self.count, self.texts.join("; "))
            }
            _ => self.texts.swap_remove(0),
        };
        Err(AwsError::new(self.code, message))
    }

    fn length(&mut self, schema: &Schema, length: usize, shown: &dyn Fn() -> String) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let shown = || (!schema.sensitive).then(shown);
        if let Some(min) = schema.min.filter(|min| length < *min) {
            self.violation(shown().as_deref(), Broken::Shortest(min));
        }
        if let Some(max) = schema.max.filter(|max| length > *max) {
            self.violation(shown().as_deref(), Broken::Longest(max));
        }
    }

    fn text(&mut self, schema: &'static Schema, value: &str) {
        if self.absent {
            return;
        }
        if schema.min.is_some() || schema.max.is_some() {
            self.length(schema, value.chars().count(), &|| value.to_owned());
        }
        let shown = (!schema.sensitive).then_some(value);
        if let Some(p) = schema.pattern.filter(|p| !pattern::matches(p, value)) {
            self.violation(shown, Broken::Pattern(p));
        }
        if !schema.values.is_empty() && !schema.values.contains(&value) {
            self.violation(shown, Broken::Values(schema.values));
        }
    }

    /// After a value: leaves its member or element.
    fn leave(&mut self) {
        self.path.pop();
    }

    fn begin(&mut self, members: &'static [Member], key: Option<&'static Schema>) {
        self.frames.push(Frame { members, seen: 0, number: 0, key });
    }

    fn end(&mut self) {
        self.frames.pop();
        self.leave();
    }
}

/// How an aggregate of the wrong size is shown; its elements could be of any length.
fn sized(brackets: &str, len: usize, what: &str) -> String {
    let (open, close) = brackets.split_at(1);
    if len == 0 { brackets.to_owned() } else { format!("{open}{len} {what}{close}") }
}

impl ShapeWriter for Validator {
    fn begin_structure(&mut self, schema: &'static Schema) {
        self.begin(schema.members(), None);
    }

    fn member(&mut self, member: &'static Member) {
        let outermost = self.frames.len() == 1;
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let index = frame.members.iter().position(|m| std::ptr::eq(m, member)).unwrap_or(127);
        if outermost {
            self.absent = member.required && !self.presence.has(index);
        } else if index < 128 {
            frame.seen |= 1 << index;
        }
        self.path.push(Segment::Member(member));
    }

    fn end_structure(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let outermost = self.frames.is_empty();
        if outermost {
            self.absent = false;
        }
        if !self.absent {
            for (i, member) in frame.members.iter().enumerate().take(128) {
                if member.required && frame.seen >> i & 1 == 0 {
                    self.path.push(Segment::Member(member));
                    self.violation(None, Broken::Null);
                    self.path.pop();
                }
            }
        }
        if !outermost {
            self.leave();
        }
    }

    fn begin_list(&mut self, schema: &'static Schema, len: usize) {
        if !self.absent {
            self.length(schema, len, &|| sized("[]", len, "elements"));
        }
        self.begin(&[], None);
    }

    fn element(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.number += 1;
            self.path.push(Segment::Element(frame.number));
        }
    }

    fn end_list(&mut self) {
        self.end();
    }

    fn begin_map(&mut self, schema: &'static Schema, len: usize) {
        if !self.absent {
            self.length(schema, len, &|| sized("{}", len, "entries"));
        }
        let key = match schema.kind {
            Kind::Map(m) => Some(m.key),
            _ => None,
        };
        self.begin(&[], key);
    }

    fn entry(&mut self, key: &str) {
        if let Some(schema) = self.frames.last().and_then(|f| f.key) {
            self.text(schema, key);
        }
        self.path.push(Segment::Key(key.to_owned()));
    }

    fn end_map(&mut self) {
        self.end();
    }

    fn string(&mut self, schema: &'static Schema, value: &str) {
        self.text(schema, value);
        self.leave();
    }

    fn integer(&mut self, schema: &'static Schema, value: i64) {
        if !self.absent {
            if let Some(min) = schema.min.filter(|min| value < *min) {
                self.violation(Some(&value.to_string()), Broken::Least(min));
            }
            if let Some(max) = schema.max.filter(|max| value > *max) {
                self.violation(Some(&value.to_string()), Broken::Most(max));
            }
        }
        self.leave();
    }

    fn float(&mut self, schema: &'static Schema, value: f64) {
        if !self.absent {
            if let Some(min) = schema.min.filter(|min| value < *min as f64) {
                self.violation(Some(&value.to_string()), Broken::Least(min));
            }
            if let Some(max) = schema.max.filter(|max| value > *max as f64) {
                self.violation(Some(&value.to_string()), Broken::Most(max));
            }
        }
        self.leave();
    }

    fn boolean(&mut self, _: &'static Schema, _: bool) {
        self.leave();
    }

    fn timestamp(&mut self, _: &'static Schema, _: Timestamp) {
        self.leave();
    }

    fn blob(&mut self, schema: &'static Schema, value: &[u8]) {
        if !self.absent {
            self.length(schema, value.len(), &|| sized("[]", value.len(), "bytes"));
        }
        self.leave();
    }

    fn document(&mut self, _: &'static Schema, _: &str) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::{Operation, ec2, ecr, ecs, elbv2, iam, logs, secretsmanager};

    use super::*;
    use crate::decode;

    fn check<O: Operation>(protocol: Protocol, body: &str, code: &str, message: &str) {
        let error = decode::<O>(protocol, body.as_bytes()).expect_err("input is invalid");
        assert_eq!((error.code.as_ref(), error.message.as_str()), (code, message));
    }

    #[test]
    fn required_members_must_not_be_null() {
        let one = "1 validation error detected: Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null";
        check::<ecs::RunTask>(Protocol::Json11, "{}", "InvalidParameterException", one);
        check::<ecs::RunTask>(Protocol::Json11, r#"{"taskDefinition":null}"#, "InvalidParameterException", one);
        check::<iam::CreateRole>(
            Protocol::Query,
            "Action=CreateRole",
            "ValidationError",
            "2 validation errors detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null; Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null",
        );
        check::<ec2::DeleteVpc>(Protocol::Ec2, "", "MissingParameter", "The request must contain the parameter VpcId");
    }

    #[test]
    fn nested_members_are_named_by_their_path() {
        check::<ecs::RegisterTaskDefinition>(
            Protocol::Json11,
            r#"{"family":"f","containerDefinitions":[{},{"logConfiguration":{}}]}"#,
            "InvalidParameterException",
            "1 validation error detected: Value null at 'containerDefinitions.2.member.logConfiguration.logDriver' failed to satisfy constraint: Member must not be null",
        );
        check::<elbv2::CreateTargetGroup>(
            Protocol::Query,
            "Name=t&Tags.member.1.Value=x",
            "ValidationError",
            "1 validation error detected: Value null at 'tags.1.member.key' failed to satisfy constraint: Member must not be null",
        );
    }

    #[test]
    fn lengths_ranges_patterns_and_enums() {
        let group = "g".repeat(513);
        check::<logs::CreateLogGroup>(
            Protocol::Json11,
            &format!(r#"{{"logGroupName":"{group}"}}"#),
            "InvalidParameterException",
            &format!(
                "1 validation error detected: Value '{group}' at 'logGroupName' failed to satisfy constraint: Member must have length less than or equal to 512"
            ),
        );
        check::<logs::DescribeLogGroups>(
            Protocol::Json11,
            r#"{"limit":51,"logGroupNamePrefix":"a b"}"#,
            "InvalidParameterException",
            r"2 validation errors detected: Value 'a b' at 'logGroupNamePrefix' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+; Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 50",
        );
        check::<ecs::ListTasks>(
            Protocol::Json11,
            r#"{"desiredStatus":"GONE"}"#,
            "InvalidParameterException",
            "1 validation error detected: Value 'GONE' at 'desiredStatus' failed to satisfy constraint: Member must satisfy enum value set: [RUNNING, PENDING, STOPPED]",
        );
        check::<logs::CreateLogGroup>(
            Protocol::Json11,
            r#"{"logGroupName":"g","tags":{"":"x"}}"#,
            "InvalidParameterException",
            r"2 validation errors detected: Value '' at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'tags' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$",
        );
        check::<logs::PutLogEvents>(
            Protocol::Json11,
            r#"{"logGroupName":"g","logStreamName":"s","logEvents":[]}"#,
            "InvalidParameterException",
            "1 validation error detected: Value '[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1",
        );
    }

    #[test]
    fn ecr_and_ec2_have_words_of_their_own() {
        let pattern = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*";
        check::<ecr::CreateRepository>(
            Protocol::Json11,
            r#"{"repositoryName":"Big"}"#,
            "InvalidParameterException",
            &format!(
                "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '{pattern}''"
            ),
        );
        check::<ec2::DescribeVpcs>(
            Protocol::Ec2,
            "MaxResults=1",
            "InvalidParameterValue",
            "Value ( 1 ) for parameter MaxResults is invalid. Expecting a value greater than or equal to 5.",
        );
        check::<ec2::CreateVpc>(
            Protocol::Ec2,
            "CidrBlock=10.0.0.0/16&InstanceTenancy=mine",
            "InvalidParameterValue",
            "Value (mine) for parameter InstanceTenancy is invalid. Member must satisfy enum value set: [default, dedicated, host]",
        );
    }

    #[test]
    fn secrets_are_not_repeated() {
        let secret = "s".repeat(65_537);
        check::<secretsmanager::CreateSecret>(
            Protocol::Json11,
            &format!(r#"{{"Name":"n","SecretString":"{secret}"}}"#),
            "ValidationException",
            "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536",
        );
    }

    #[test]
    fn many_violations_are_counted_and_few_are_told() {
        let tags = vec![r#"{"key":""}"#; 100].join(",");
        let body = format!(r#"{{"resourceArn":"a","tags":[{tags}]}}"#);
        let error = decode::<ecs::TagResource>(Protocol::Json11, body.as_bytes()).expect_err("input is invalid");
        assert!(
            error.message.starts_with("101 validation errors detected: Value '[100 elements]' at 'tags'"),
            "{error}"
        );
        assert_eq!(error.message.matches("Value '").count(), MAX_TEXTS);
    }
}
