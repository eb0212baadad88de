//! Attributes of load balancers and target groups (those of listeners are in `listener_attributes.rs`): which there are, their defaults, and the values each may have.
//!
//! All of AWS's are listed with what holds here. Those that nothing here obeys have one value, the default: setting
//! them to it is fine, to anything else is refused by name.

use super::error;
use longshore_aws_model::AwsError;
use std::collections::BTreeMap;

pub type Check = fn(&str) -> bool;

/// One attribute: its key, its default and what its values must satisfy; `None` for the default alone.
pub struct Attribute(pub &'static str, pub &'static str, pub Option<Check>);

/// The attributes of one kind of resource.
pub struct Attributes {
    /// `Load balancer`, `Target group`, `Listener`.
    pub noun: &'static str,
    pub list: &'static [Attribute],
}

pub fn is_bool(value: &str) -> bool {
    matches!(value, "true" | "false")
}

fn within(value: &str, least: u32, most: u32) -> bool {
    value.parse().is_ok_and(|n: u32| (least..=most).contains(&n))
}

pub static OF_LOAD_BALANCERS: Attributes = Attributes {
    noun: "Load balancer",
    list: &[
        Attribute("access_logs.s3.bucket", "", Some(is_bucket)),
        Attribute("access_logs.s3.enabled", "false", Some(is_bool)),
        Attribute("access_logs.s3.prefix", "", Some(is_log_prefix)),
        Attribute("client_keep_alive.seconds", "3600", Some(|v| within(v, 60, 604_800))),
        Attribute("connection_logs.s3.bucket", "", Some(is_bucket)),
        Attribute("connection_logs.s3.enabled", "false", Some(is_bool)),
        Attribute("connection_logs.s3.prefix", "", Some(is_log_prefix)),
        Attribute("deletion_protection.enabled", "false", Some(is_bool)),
        // Terraform's provider sets these to their defaults on each load balancer.
        Attribute("health_check_logs.s3.bucket", "", None),
        Attribute("health_check_logs.s3.enabled", "false", None),
        Attribute("health_check_logs.s3.prefix", "", None),
        Attribute("idle_timeout.timeout_seconds", "60", Some(|v| within(v, 1, 4000))),
        Attribute("ipv6.deny_all_igw_traffic", "false", None),
        Attribute("load_balancing.cross_zone.enabled", "true", None),
        Attribute(
            "routing.http.desync_mitigation_mode",
            "defensive",
            Some(|v| matches!(v, "monitor" | "defensive" | "strictest")),
        ),
        Attribute("routing.http.drop_invalid_header_fields.enabled", "false", Some(is_bool)),
        Attribute("routing.http.preserve_host_header.enabled", "false", Some(is_bool)),
        Attribute("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", Some(is_bool)),
        Attribute("routing.http.xff_client_port.enabled", "false", Some(is_bool)),
        Attribute(
            "routing.http.xff_header_processing.mode",
            "append",
            Some(|v| matches!(v, "append" | "preserve" | "remove")),
        ),
        Attribute("routing.http2.enabled", "true", Some(is_bool)),
        Attribute("waf.fail_open.enabled", "false", None),
        Attribute("zonal_shift.config.enabled", "false", None),
    ],
};

pub static OF_TARGET_GROUPS: Attributes = Attributes {
    noun: "Target group",
    list: &[
        Attribute("deregistration_delay.timeout_seconds", "300", Some(|v| within(v, 0, 3600))),
        Attribute("load_balancing.algorithm.anomaly_mitigation", "off", None),
        Attribute(
            "load_balancing.algorithm.type",
            "round_robin",
            Some(|v| matches!(v, "round_robin" | "least_outstanding_requests" | "weighted_random")),
        ),
        // An application load balancer's own configuration is always `true`.
        Attribute(
            "load_balancing.cross_zone.enabled",
            "use_load_balancer_configuration",
            Some(|v| matches!(v, "use_load_balancer_configuration" | "true")),
        ),
        Attribute("slow_start.duration_seconds", "0", Some(|v| v == "0" || within(v, 30, 900))),
        Attribute("stickiness.app_cookie.cookie_name", "", Some(is_cookie_name)),
        Attribute("stickiness.app_cookie.duration_seconds", "86400", Some(|v| within(v, 1, 604_800))),
        Attribute("stickiness.enabled", "false", Some(is_bool)),
        Attribute("stickiness.lb_cookie.duration_seconds", "86400", Some(|v| within(v, 1, 604_800))),
        Attribute("stickiness.type", "lb_cookie", Some(|v| matches!(v, "lb_cookie" | "app_cookie"))),
        Attribute("target_group_health.dns_failover.minimum_healthy_targets.count", "1", None),
        Attribute("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", None),
        Attribute(
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
            "1",
            Some(|v| within(v, 1, 1000)),
        ),
        Attribute(
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
            "off",
            Some(|v| v == "off" || within(v, 1, 100)),
        ),
    ],
};

/// Names of buckets also name a directory.
fn is_bucket(value: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    value.is_empty()
        || ((3..=63).contains(&value.len())
            && value.bytes().all(is_allowed)
            && !value.contains("..")
            && value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && value.ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Without slashes at its ends, and without the part that is added to it.
fn is_log_prefix(value: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"/!-_.*'()".contains(&b);
    value.is_empty()
        || (value.bytes().all(is_allowed)
            && value.len() <= 512
            && !value.contains("AWSLogs")
            && value.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// A cookie that the load balancer sets itself cannot be the application's.
fn is_cookie_name(value: &str) -> bool {
    let is_token = value.bytes().all(|b| b.is_ascii_graphic() && !br#"()<>@,;:\"/[]?={}"#.contains(&b));
    is_token && value.len() <= 256 && !["AWSALB", "AWSALBAPP", "AWSALBTG"].iter().any(|own| value.starts_with(own))
}

impl Attributes {
    /// All attributes: those that differ from their defaults, and the defaults of the rest.
    pub fn all(&self, stored: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let defaults = self.list.iter().map(|Attribute(key, default, _)| (key.to_string(), default.to_string()));
        let mut all: BTreeMap<_, _> = defaults.collect();
        all.extend(stored.iter().map(|(key, value)| (key.clone(), value.clone())));
        all
    }

    pub fn has(&self, key: &str) -> bool {
        self.list.iter().any(|Attribute(known, ..)| *known == key)
    }

    /// Sets attributes in `stored`, which keeps only those that differ from their defaults.
    pub fn set<'a>(
        &self,
        stored: &mut BTreeMap<String, String>,
        given: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), AwsError> {
        let mut seen = std::collections::BTreeSet::new();
        for (key, value) in given {
            if !seen.insert(key) {
                return Err(error::validation(format!(
                    "{} attribute key '{key}' is specified more than once",
                    self.noun
                )));
            }
            let Some(Attribute(_, default, check)) = self.list.iter().find(|Attribute(known, ..)| *known == key) else {
                return Err(error::validation(format!("{} attribute key '{key}' is not recognized", self.noun)));
            };
            if value == *default {
                stored.remove(key);
                continue;
            }
            match check {
                None => {
                    return Err(error::unsupported(format_args!(
                        "The {} attribute '{key}' with the value '{value}'",
                        self.noun.to_lowercase()
                    )));
                }
                Some(holds) if !holds(value) => {
                    return Err(error::validation(format!(
                        "{} attribute value for key '{key}' is invalid: '{value}'",
                        self.noun
                    )));
                }
                Some(_) => drop(stored.insert(key.to_owned(), value.to_owned())),
            }
        }
        Ok(())
    }
}

/// What AWS asks of a load balancer's attributes together.
pub fn check_load_balancer(stored: &BTreeMap<String, String>) -> Result<(), AwsError> {
    for kind in ["access", "connection"] {
        let get = |key: &str| stored.get(&format!("{kind}_logs.s3.{key}")).map(String::as_str);
        if get("enabled") == Some("true") && get("bucket").is_none() {
            return Err(error::validation(format!(
                "The value of '{kind}_logs.s3.bucket' must be specified when '{kind}_logs.s3.enabled' is 'true'"
            )));
        }
    }
    Ok(())
}

/// What AWS asks of a target group's attributes together.
pub fn check_target_group(stored: &BTreeMap<String, String>) -> Result<(), AwsError> {
    let all = OF_TARGET_GROUPS.all(stored);
    let get = |key: &str| all.get(key).map_or("", String::as_str);
    if get("slow_start.duration_seconds") != "0" && get("load_balancing.algorithm.type") != "round_robin" {
        return Err(error::validation(
            "Slow start mode is only supported with the 'round_robin' load balancing algorithm",
        ));
    }
    let app_cookie = get("stickiness.enabled") == "true" && get("stickiness.type") == "app_cookie";
    if app_cookie && get("stickiness.app_cookie.cookie_name").is_empty() {
        return Err(error::validation(
            "You must specify a 'stickiness.app_cookie.cookie_name' when 'stickiness.type' is 'app_cookie'",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::listener_attributes::{OF_HTTP_LISTENERS, OF_HTTPS_LISTENERS};

    fn set(attributes: &Attributes, key: &str, value: &str) -> Result<BTreeMap<String, String>, String> {
        let mut stored = BTreeMap::new();
        attributes.set(&mut stored, [(key, value)].into_iter()).map_err(|error| error.message)?;
        Ok(stored)
    }

    #[test]
    fn defaults_satisfy_their_own_checks_and_are_not_stored() {
        for attributes in [&OF_LOAD_BALANCERS, &OF_TARGET_GROUPS, &OF_HTTP_LISTENERS, &OF_HTTPS_LISTENERS] {
            for Attribute(key, default, check) in attributes.list {
                assert!(check.is_none_or(|holds| holds(default)), "{key}");
                assert_eq!(set(attributes, key, default), Ok(BTreeMap::new()), "{key}");
            }
            assert!(attributes.list.is_sorted_by_key(|Attribute(key, ..)| key));
        }
    }

    #[test]
    fn what_nothing_obeys_is_refused_by_name() {
        assert_eq!(
            set(&OF_LOAD_BALANCERS, "zonal_shift.config.enabled", "true"),
            Err("The load balancer attribute 'zonal_shift.config.enabled' with the value 'true' is not supported by Longshore yet.".to_owned())
        );
        assert_eq!(
            set(&OF_LOAD_BALANCERS, "colour", "red"),
            Err("Load balancer attribute key 'colour' is not recognized".to_owned())
        );
        assert!(set(&OF_TARGET_GROUPS, "slow_start.duration_seconds", "29").is_err());
        assert!(set(&OF_TARGET_GROUPS, "stickiness.app_cookie.cookie_name", "AWSALB").is_err());
        assert_eq!(
            set(&OF_TARGET_GROUPS, "deregistration_delay.timeout_seconds", "0").map(|stored| stored.len()),
            Ok(1)
        );
    }
}
