//! `logConfiguration` of a container: the options of the `awslogs` driver, checked when the task definition is registered.
//!
//! Sources: "Send Amazon ECS logs to CloudWatch" (ECS Developer Guide), and Docker's pages on the driver and on delivery
//! modes, whose words are used for combinations that Docker refuses.

use super::error;
use super::unsupported::refuse;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_store::Snapshot;
use longshore_types::ecs::{AwsLogs, ContainerDefinition};
use longshore_types::{Region, Scope};
use regex::RegexBuilder;
use std::collections::BTreeMap;

const OPTIONS: [&str; 8] = [
    "awslogs-create-group",
    "awslogs-datetime-format",
    "awslogs-group",
    "awslogs-multiline-pattern",
    "awslogs-region",
    "awslogs-stream-prefix",
    "max-buffer-size",
    "mode",
];
/// Bytes of a compiled expression: a node has one for each container.
const REGEX_SIZE_MAX: usize = 1 << 20;
const BUFFER_BYTES_DEFAULT: u64 = 10 << 20;
/// The buffer is the supervisor's, which the task's memory limit does not count.
const BUFFER_BYTES_MAX: u64 = 64 << 20;

pub fn parse(container: &str, given: wire::LogConfiguration) -> Result<AwsLogs, AwsError> {
    refuse!(given; secret_options);
    let driver = given.log_driver.unwrap_or_default();
    if driver != "awslogs" {
        return Err(error::unsupported(&format!("logConfiguration.logDriver {driver} (container '{container}')")));
    }
    let options = given.options.unwrap_or_default();
    if let Some(other) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        return Err(error::client(format!("Log driver awslogs disallows options: {other}")));
    }
    let required = |key: &str| {
        let value = options.get(key).filter(|value| !value.is_empty()).cloned();
        value.ok_or_else(|| error::client(format!("Log driver awslogs requires options: {key}")))
    };
    let (blocking, max_buffer_bytes) = delivery(&options)?;
    Ok(AwsLogs {
        group: required("awslogs-group")?,
        region: Region::from(required("awslogs-region")?.as_str()),
        stream_prefix: required("awslogs-stream-prefix")?,
        create_group: create_group(&options)?,
        blocking,
        max_buffer_bytes,
        multiline: multiline(&options)?,
        options,
    })
}

/// Whether the log blocks, and the size of its buffer. Without `mode` the account's setting decides when a task is started.
fn delivery(options: &BTreeMap<String, String>) -> Result<(bool, u64), AwsError> {
    let blocking = match options.get("mode").map(String::as_str) {
        None | Some("non-blocking") => false,
        Some("blocking") => true,
        Some(mode) => return Err(error::client(format!("logger: logging mode not supported: {mode}"))),
    };
    let Some(size) = options.get("max-buffer-size") else { return Ok((blocking, BUFFER_BYTES_DEFAULT)) };
    if blocking {
        return Err(error::client("logger: max-buffer-size option is only supported with 'mode=non-blocking'"));
    }
    let bytes = parse_size(size)
        .ok_or_else(|| error::client(format!("error parsing option max-buffer-size: invalid size: '{size}'")))?;
    if bytes > BUFFER_BYTES_MAX {
        return Err(error::client(format!("max-buffer-size '{size}' is more than Longshore keeps, 64m")));
    }
    Ok((false, bytes))
}

fn create_group(options: &BTreeMap<String, String>) -> Result<bool, AwsError> {
    match options.get("awslogs-create-group").map(String::as_str) {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(other) => {
            Err(error::client(format!("must specify valid value for log opt 'awslogs-create-group': {other}")))
        }
    }
}

/// The expression of lines that begin an event.
fn multiline(options: &BTreeMap<String, String>) -> Result<Option<String>, AwsError> {
    let (option, pattern) = match (options.get("awslogs-datetime-format"), options.get("awslogs-multiline-pattern")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(error::client(
                "you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time",
            ));
        }
        (Some(format), None) => ("awslogs-datetime-format", datetime_pattern(format)?),
        (None, Some(pattern)) => ("awslogs-multiline-pattern", pattern.clone()),
    };
    if pattern.is_empty() {
        return Ok(None);
    }
    match RegexBuilder::new(&pattern).size_limit(REGEX_SIZE_MAX).build() {
        Ok(_) => Ok(Some(pattern)),
        Err(_) => Err(error::client(format!("awslogs could not parse {option} '{}'", options[option]))),
    }
}

/// The expression for what a `strftime` format writes. What is beside its codes is an expression already, so that brackets
/// are written `\[%Y-%m-%d\]`, as for Docker.
fn datetime_pattern(format: &str) -> Result<String, AwsError> {
    let mut pattern = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            pattern.push(character);
            continue;
        }
        let code = characters.next();
        pattern.push_str(match code {
            Some('a') => "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
            Some('A') => "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day",
            Some('w') => "[0-6]",
            Some('d') => "(?:0[1-9]|[12][0-9]|3[01])",
            Some('b') => "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
            Some('B') => "(?:January|February|March|April|May|June|July|August|September|October|November|December)",
            Some('m') => "(?:0[1-9]|1[0-2])",
            Some('Y') => "[0-9]{4}",
            Some('y') => "[0-9]{2}",
            Some('H') => "(?:[01][0-9]|2[0-3])",
            Some('I') => "(?:0[0-9]|1[0-2])",
            Some('p') => "[AP]M",
            Some('M' | 'S') => "[0-5][0-9]",
            // With its point: `%S%L` is how seconds with milliseconds are written.
            Some('L') => r"\.[0-9]{3}",
            Some('f') => "[0-9]{6}",
            Some('z') => "[+-][0-9]{4}",
            Some('Z') => "[A-Z]{1,4}T",
            Some('j') => "(?:[0-2][0-9]{2}|3[0-5][0-9]|36[0-6])",
            Some('%') => "%",
            code => {
                let code = code.map(String::from).unwrap_or_default();
                return Err(error::client(format!("awslogs-datetime-format has no code %{code}: '{format}'")));
            }
        });
    }
    Ok(pattern)
}

/// Bytes from `4m`, `512k`, `1024`.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok().filter(|n| *n > 0).and_then(|n| n.checked_mul(factor))
}

/// As on Fargate, where the log driver makes its stream before the container starts: a group that is not there ends the
/// task. The error is the reason that it is stopped for.
pub fn check_groups(state: &Snapshot, scope: &Scope, containers: &[ContainerDefinition]) -> Result<(), String> {
    let is_missing =
        |log: &AwsLogs| !log.create_group && !state.log_groups().contains(&(log.scope(scope), log.group.clone()));
    match containers.iter().filter_map(|container| container.log.as_ref()).any(is_missing) {
        false => Ok(()),
        true => Err(
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn parsed(more: &[(&str, &str)]) -> Result<AwsLogs, String> {
        let always = [("awslogs-group", "g"), ("awslogs-region", "us-east-1"), ("awslogs-stream-prefix", "p")];
        let options = always.iter().chain(more).filter(|(_, value)| *value != "-");
        let options = options.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let log_driver = Some("awslogs".to_owned());
        parse("web", wire::LogConfiguration { log_driver, options: Some(options), ..Default::default() })
            .map_err(|error| error.message)
    }

    #[test]
    fn a_group_that_is_not_there_stops_a_task_unless_the_driver_makes_it() {
        let world = crate::ecs::testing::World::new();
        world.define("web");
        let seen = |create: &str, scope_of_group: Option<&str>| {
            let log = parsed(&[("awslogs-create-group", create)]).expect("fine");
            if let Some(region) = scope_of_group.map(Region::from) {
                world.fixture.write(move |tx, cx| {
                    let scope = Scope { account: cx.scope.account.clone(), region };
                    let row = longshore_types::logs::LogGroup {
                        name: "g".to_owned(),
                        created_at: cx.now,
                        retention_days: None,
                        deletion_protection: false,
                        tags: Default::default(),
                    };
                    tx.log_groups().put((scope, "g".to_owned()), row);
                });
            }
            world.read(|state, cx| {
                let key = (cx.scope.clone(), "web".into(), 1);
                let mut definition = (*state.task_definitions().get(&key).expect("defined")).clone();
                definition.containers[0].log = Some(log);
                check_groups(state, &cx.scope, &definition.containers)
            })
        };
        let told = seen("false", None).expect_err("no group");
        assert!(told.starts_with("ResourceInitializationError: failed to validate logger args"), "{told}");
        assert!(told.contains("ResourceNotFoundException: The specified log group does not exist."), "{told}");
        assert_eq!(seen("true", None), Ok(()));
        assert!(seen("false", Some("eu-west-1")).is_err(), "a group of another region is another group");
        assert_eq!(seen("false", Some("us-east-1")), Ok(()));
    }

    #[test]
    fn options_have_a_meaning_or_are_refused() {
        let log = parsed(&[("mode", "non-blocking"), ("max-buffer-size", "25m"), ("awslogs-create-group", "True")]);
        let log = log.expect("fine");
        assert_eq!(
            (log.blocking, log.max_buffer_bytes, log.create_group, log.multiline),
            (false, 25 << 20, true, None)
        );
        for (more, message) in [
            (&[("awslogs-stream", "s")][..], "Log driver awslogs disallows options: awslogs-stream"),
            (&[("awslogs-group", "")], "Log driver awslogs requires options: awslogs-group"),
            (&[("mode", "maybe")], "logger: logging mode not supported: maybe"),
            (&[("max-buffer-size", "65m")], "max-buffer-size '65m' is more than Longshore keeps, 64m"),
            (&[("max-buffer-size", "much")], "error parsing option max-buffer-size: invalid size: 'much'"),
            (
                &[("mode", "blocking"), ("max-buffer-size", "1m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            (&[("awslogs-create-group", "yes")], "must specify valid value for log opt 'awslogs-create-group': yes"),
            (
                &[("awslogs-datetime-format", "%Y"), ("awslogs-multiline-pattern", "^x")],
                "you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time",
            ),
            (&[("awslogs-multiline-pattern", "(")], "awslogs could not parse awslogs-multiline-pattern '('"),
            (&[("awslogs-datetime-format", "%Q")], "awslogs-datetime-format has no code %Q: '%Q'"),
        ] {
            assert_eq!(parsed(more).expect_err(message), message);
        }
    }

    #[test]
    fn a_datetime_format_finds_the_times_it_writes() {
        for (format, line, matches) in [
            (r"\[%b %d, %Y %H:%M:%S\]", "[May 01, 2017 19:00:01] A message was logged", true),
            (r"\[%b %d, %Y %H:%M:%S\]", "  at Main.java:7", false),
            ("%Y-%m-%dT%H:%M:%S%L%z", "2026-11-21T10:30:07.123+0000 x", true),
            ("%Y-%m-%dT%H:%M:%S%L%z", "2026-13-21T10:30:07.123+0000 x", false),
            ("%a %A %w %j %y %I %p %f %Z %B", "Sat Saturday 6 325 26 10 AM 000123 CET November", true),
            ("%d%%", "21%", true),
        ] {
            let pattern = parsed(&[("awslogs-datetime-format", format)]).expect("fine").multiline.expect("a pattern");
            assert_eq!(Regex::new(&pattern).expect("checked").is_match(line), matches, "{format} on {line}");
        }
        let pattern = parsed(&[("awslogs-multiline-pattern", "^(?i)info")]).expect("fine").multiline;
        assert_eq!(pattern.as_deref(), Some("^(?i)info"));
    }

    #[test]
    fn buffer_sizes_parse() {
        assert_eq!(
            (parse_size("4m"), parse_size("25mb"), parse_size("512")),
            (Some(4 << 20), Some(25 << 20), Some(512))
        );
        assert_eq!((parse_size("0"), parse_size("m"), parse_size("1x")), (None, None, None));
    }
}
