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

/// What AWS takes for targets by address over HTTP when nothing is given.
pub fn default() -> HealthCheck {
    HealthCheck {
        enabled: true,
        protocol: "HTTP".to_owned(),
        port: "traffic-port".to_owned(),
        path: "/".to_owned(),
        interval_seconds: 30,
        timeout_seconds: 5,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: "200".to_owned(),
    }
}

/// `old` with what was given; checked as a whole.
pub fn changed(old: &HealthCheck, given: Given) -> Result<HealthCheck, AwsError> {
    let check = HealthCheck {
        enabled: given.enabled.unwrap_or(old.enabled),
        protocol: given.protocol.unwrap_or_else(|| old.protocol.clone()),
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
        matcher: matcher(given.matcher)?.unwrap_or_else(|| old.matcher.clone()),
    };
    if !check.enabled {
        return Err(error::validation("Health check enabled must be true for target groups with target type 'ip'"));
    }
    if check.protocol != "HTTP" {
        return Err(error::unsupported(format_args!("The health check protocol '{}'", check.protocol)));
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

/// `200`, `200,202`, `200-299`: codes from 200 to 499.
fn matcher(given: Option<Matcher>) -> Result<Option<String>, AwsError> {
    let Some(given) = given else { return Ok(None) };
    if given.grpc_code.is_some() {
        return Err(error::unsupported("GrpcCode"));
    }
    let Some(text) = given.http_code else { return Ok(None) };
    let code = |text: &str| text.parse().ok().filter(|code: &u16| text.len() == 3 && (200..=499).contains(code));
    let holds = |part: &str| match part.split_once('-') {
        Some((first, last)) => code(first).zip(code(last)).is_some_and(|(first, last)| first <= last),
        None => code(part).is_some(),
    };
    if !text.split(',').all(holds) {
        return Err(error::validation(format!(
            "Health check matcher HTTP code '{text}' must be within '200-499' inclusive"
        )));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Given) -> Result<HealthCheck, String> {
        changed(&default(), given).map_err(|error| error.message)
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
