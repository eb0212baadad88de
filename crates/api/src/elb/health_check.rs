//! Health checks of target groups: defaults and ranges.
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html>

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::Matcher;
use longshore_types::elbv2::HealthCheck;

/// What a request says of the check; `None` keeps what is.
#[derive(Default)]
pub struct Given {
    pub enabled: Option<bool>,
    pub protocol: Option<String>,
    pub port: Option<String>,
    pub path: Option<String>,
    pub interval: Option<i32>,
    pub timeout: Option<i32>,
    pub healthy: Option<i32>,
    pub unhealthy: Option<i32>,
    pub matcher: Option<Matcher>,
}

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

pub fn change(check: &mut HealthCheck, given: Given) -> Result<(), AwsError> {
    if given.enabled == Some(false) {
        return Err(error::validation("Health check enabled must be true for groups with target type 'ip'"));
    }
    if let Some(protocol) = given.protocol {
        if protocol != "HTTP" {
            return Err(error::unsupported(&format!("Health check protocol {protocol}")));
        }
        check.protocol = protocol;
    }
    if let Some(port) = given.port {
        if port != "traffic-port" && port.parse::<u16>().ok().filter(|port| *port > 0).is_none() {
            return Err(error::validation(format!("Health check port '{port}' must be a number between 1 and 65535, or 'traffic-port'")));
        }
        check.port = port;
    }
    if let Some(path) = given.path {
        if !path.starts_with('/') || path.len() > 1024 || path.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return Err(error::validation(format!("Health check path '{path}' must begin with a '/' character, and can only contain printable ASCII characters, without spaces")));
        }
        check.path = path;
    }
    let within = |what: &str, value: Option<i32>, least: i32, most: i32, old: u32| match value {
        None => Ok(old),
        Some(n) if (least..=most).contains(&n) => Ok(n.unsigned_abs()),
        Some(n) => Err(error::validation(format!("{what} '{n}' must be between {least} and {most}"))),
    };
    check.interval_seconds = within("Health check interval", given.interval, 5, 300, check.interval_seconds)?;
    check.timeout_seconds = within("Health check timeout", given.timeout, 2, 120, check.timeout_seconds)?;
    check.healthy_threshold = within("Healthy threshold count", given.healthy, 2, 10, check.healthy_threshold)?;
    check.unhealthy_threshold = within("Unhealthy threshold count", given.unhealthy, 2, 10, check.unhealthy_threshold)?;
    if check.timeout_seconds >= check.interval_seconds {
        return Err(error::validation("Health check timeout must be smaller than the interval"));
    }
    if let Some(matcher) = given.matcher {
        if matcher.grpc_code.is_some() {
            return Err(error::unsupported("Matcher.GrpcCode"));
        }
        if let Some(codes) = matcher.http_code {
            check_matcher(&codes)?;
            check.matcher = codes;
        }
    }
    Ok(())
}

/// `200`, `200,301`, `200-299`; codes from 200 to 499.
fn check_matcher(text: &str) -> Result<(), AwsError> {
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (200..=499).contains(code));
    let good = text.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => code(first).zip(code(last)).is_some_and(|(first, last)| first <= last),
        None => code(part).is_some(),
    });
    match good {
        true => Ok(()),
        false => Err(error::validation(format!("Health check matcher HTTP code '{text}' must be within '200-499' inclusive"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_aws() {
        let refused = |given: Given| change(&mut default(), given).is_err();
        assert!(refused(Given { interval: Some(4), ..Given::default() }));
        assert!(refused(Given { interval: Some(5), timeout: Some(5), ..Given::default() }));
        assert!(refused(Given { healthy: Some(1), ..Given::default() }));
        assert!(refused(Given { path: Some("health".into()), ..Given::default() }));
        assert!(refused(Given { port: Some("0".into()), ..Given::default() }));
        for codes in ["199", "200-", "299-200", "600", "", "abc"] {
            assert!(check_matcher(codes).is_err(), "{codes}");
        }
        assert!(check_matcher("200-299,301").is_ok());
        assert!(!refused(Given { interval: Some(5), timeout: Some(2), healthy: Some(2), ..Given::default() }));
    }
}
