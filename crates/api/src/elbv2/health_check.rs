//! Health checks as requests give them: defaults, ranges, and how the fields fit together.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateTargetGroupInput, Matcher, ModifyTargetGroupInput};
use longshore_types::elbv2::HealthCheck;

/// The fields that CreateTargetGroup and ModifyTargetGroup have in common.
#[derive(Default)]
pub struct Given {
    pub protocol: Option<String>,
    pub port: Option<String>,
    pub enabled: Option<bool>,
    pub path: Option<String>,
    pub interval_seconds: Option<i32>,
    pub timeout_seconds: Option<i32>,
    pub healthy_threshold: Option<i32>,
    pub unhealthy_threshold: Option<i32>,
    pub matcher: Option<Matcher>,
}

impl Given {
    pub fn of_create(input: &mut CreateTargetGroupInput) -> Self {
        Self {
            protocol: input.health_check_protocol.take(),
            port: input.health_check_port.take(),
            enabled: input.health_check_enabled.take(),
            path: input.health_check_path.take(),
            interval_seconds: input.health_check_interval_seconds.take(),
            timeout_seconds: input.health_check_timeout_seconds.take(),
            healthy_threshold: input.healthy_threshold_count.take(),
            unhealthy_threshold: input.unhealthy_threshold_count.take(),
            matcher: input.matcher.take(),
        }
    }

    pub fn of_modify(input: &mut ModifyTargetGroupInput) -> Self {
        Self {
            protocol: input.health_check_protocol.take(),
            port: input.health_check_port.take(),
            enabled: input.health_check_enabled.take(),
            path: input.health_check_path.take(),
            interval_seconds: input.health_check_interval_seconds.take(),
            timeout_seconds: input.health_check_timeout_seconds.take(),
            healthy_threshold: input.healthy_threshold_count.take(),
            unhealthy_threshold: input.unhealthy_threshold_count.take(),
            matcher: input.matcher.take(),
        }
    }
}

/// What AWS takes for targets by address when nothing is given, for a group's protocol and its version.
pub fn default(protocol: &str, version: &str) -> HealthCheck {
    let is_grpc = version == "GRPC";
    HealthCheck {
        enabled: true,
        protocol: protocol.to_owned(),
        port: "traffic-port".to_owned(),
        path: if is_grpc { "/AWS.ALB/healthcheck" } else { "/" }.to_owned(),
        interval_seconds: 30,
        timeout_seconds: 5,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: if is_grpc { "12" } else { "200" }.to_owned(),
    }
}

/// HTTP or HTTPS; `noun` names the parameter.
pub fn protocol(noun: &str, given: &str) -> Result<String, AwsError> {
    match given {
        "HTTP" | "HTTPS" => Ok(given.to_owned()),
        other => Err(error::unsupported(format_args!("The {noun} '{other}'"))),
    }
}

/// `old` with what was given to a group of a protocol version; checked as a whole.
pub fn changed(old: &HealthCheck, version: &str, given: Given) -> Result<HealthCheck, AwsError> {
    let check = HealthCheck {
        enabled: given.enabled.unwrap_or(old.enabled),
        protocol: protocol("health check protocol", given.protocol.as_deref().unwrap_or(&old.protocol))?,
        port: given.port.unwrap_or_else(|| old.port.clone()),
        path: given.path.unwrap_or_else(|| old.path.clone()),
        interval_seconds: ranged("interval", given.interval_seconds, old.interval_seconds, 5, 300)?,
        timeout_seconds: ranged("timeout", given.timeout_seconds, old.timeout_seconds, 2, 120)?,
        healthy_threshold: ranged("healthy threshold count", given.healthy_threshold, old.healthy_threshold, 2, 10)?,
        unhealthy_threshold: ranged(
            "unhealthy threshold count",
            given.unhealthy_threshold,
            old.unhealthy_threshold,
            2,
            10,
        )?,
        matcher: matcher(given.matcher, version == "GRPC")?.unwrap_or_else(|| old.matcher.clone()),
    };
    if !check.enabled {
        return Err(error::validation("Health check enabled must be true for target groups with target type 'ip'"));
    }
    if check.port != "traffic-port" && !check.port.parse().is_ok_and(|port: u16| port > 0) {
        return Err(error::validation(format!(
            "Health check port '{}' must be 'traffic-port' or a number from 1 to 65535",
            check.port
        )));
    }
    let is_path =
        check.path.starts_with('/') && check.path.len() <= 1024 && check.path.bytes().all(|b| b.is_ascii_graphic());
    if !is_path {
        return Err(error::validation(format!(
            "Health check path '{}' must begin with a '/' character, and can be at most 1024 characters in length",
            check.path
        )));
    }
    if check.timeout_seconds >= check.interval_seconds {
        let (timeout, interval) = (check.timeout_seconds, check.interval_seconds);
        return Err(error::validation(format!(
            "Health check timeout '{timeout}' must be smaller than the interval '{interval}'"
        )));
    }
    Ok(check)
}

fn ranged(noun: &str, given: Option<i32>, old: u32, least: u32, most: u32) -> Result<u32, AwsError> {
    match given.map(u32::try_from) {
        None => Ok(old),
        Some(Ok(n)) if (least..=most).contains(&n) => Ok(n),
        Some(_) => Err(error::validation(format!("Health check {noun} must be between {least} and {most}"))),
    }
}

/// `200`, `200,202`, `200-299`: codes from 200 to 499; of gRPC, from 0 to 99.
fn matcher(given: Option<Matcher>, is_grpc: bool) -> Result<Option<String>, AwsError> {
    let Some(given) = given else { return Ok(None) };
    let (wanted, other, noun, range) = match is_grpc {
        true => (given.grpc_code, given.http_code, "gRPC", 0..=99),
        false => (given.http_code, given.grpc_code, "HTTP", 200..=499),
    };
    if other.is_some() {
        let (other, group) = if is_grpc { ("HTTP", "GRPC") } else { ("gRPC", "HTTP1 or HTTP2") };
        return Err(error::validation(format!(
            "Health check matcher {other} code cannot be specified for target groups with protocol version {group}"
        )));
    }
    let Some(text) = wanted else { return Ok(None) };
    let is_number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let code = |text: &str| text.parse().ok().filter(|code: &u16| is_number(text) && range.contains(code));
    let holds = |part: &str| match part.split_once('-') {
        Some((first, last)) => code(first).zip(code(last)).is_some_and(|(first, last)| first <= last),
        None => code(part).is_some(),
    };
    if !text.split(',').all(holds) {
        return Err(error::validation(format!(
            "Health check matcher {noun} code '{text}' must be within '{}-{}' inclusive",
            range.start(),
            range.end()
        )));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Given) -> Result<HealthCheck, String> {
        changed(&default("HTTP", "HTTP1"), "HTTP1", given).map_err(|error| error.message)
    }

    fn matching(text: &str) -> Given {
        Given { matcher: Some(Matcher { http_code: Some(text.to_owned()), grpc_code: None }), ..Given::default() }
    }

    #[test]
    fn matchers_have_codes_and_ranges() {
        for good in ["200", "200,202", "200-299", "200-204,301"] {
            assert_eq!(check(matching(good)).map(|check| check.matcher).as_deref(), Ok(good));
        }
        for bad in ["", "199", "500", "299-200", "200-", "2xx", "+200"] {
            assert!(check(matching(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_timeout_is_smaller_than_the_interval() {
        let given = Given { interval_seconds: Some(5), ..Given::default() };
        assert_eq!(check(given), Err("Health check timeout '5' must be smaller than the interval '5'".to_owned()));
        let given = Given { interval_seconds: Some(4), ..Given::default() };
        assert_eq!(check(given), Err("Health check interval must be between 5 and 300".to_owned()));
    }
}
