//! CreateTargetGroup: of addresses, over HTTP or HTTPS, in any version that a load balancer speaks.

use super::error::refuse;
use super::{error, health_check, limits, names, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateTargetGroupInput, CreateTargetGroupOutput, codes};
use longshore_store::Tx;
use longshore_store::tables::TargetGroups;
use longshore_types::elbv2::TargetGroup;
use longshore_types::id::VpcId;
use std::collections::BTreeMap;

pub fn create_target_group(
    tx: &mut Tx,
    cx: &Cx,
    mut input: CreateTargetGroupInput,
) -> Result<CreateTargetGroupOutput, AwsError> {
    refuse!(input; target_control_port);
    names::check_name("target group", &input.name)?;
    only("target type", input.target_type.as_deref().unwrap_or("instance"), "ip")?;
    only("IP address type", input.ip_address_type.as_deref().unwrap_or("ipv4"), "ipv4")?;
    let protocol = input.protocol.as_deref().ok_or_else(|| error::validation("A protocol must be specified"))?;
    let protocol = health_check::protocol("protocol", protocol)?;
    let version = match input.protocol_version.as_deref().unwrap_or("HTTP1") {
        version @ ("HTTP1" | "HTTP2" | "GRPC") => version.to_owned(),
        other => {
            return Err(error::validation(format!("Protocol version '{other}' must be one of '[GRPC, HTTP1, HTTP2]'")));
        }
    };
    let port = input.port.ok_or_else(|| error::validation("A port must be specified"))?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| error::validation("Port must be from 1 to 65535"))?;
    let vpc = VpcId(input.vpc_id.take().ok_or_else(|| error::validation("A VPC ID must be specified"))?);
    if !tx.vpcs().contains(&(cx.scope.clone(), vpc.clone())) {
        return Err(error::validation(format!("The VPC ID '{vpc}' is not found")));
    }
    let given = health_check::Given::of_create(&mut input);
    let default = health_check::default(&protocol, &version);
    let health_check = health_check::changed(&default, &version, given)?;
    let row = TargetGroup {
        arn: names::target_group_arn(&cx.scope, &input.name, &cx.ids().hex(16)),
        name: input.name,
        protocol,
        protocol_version: version,
        port,
        vpc,
        target_type: "ip".to_owned(),
        health_check,
        attributes: BTreeMap::new(),
        created_at: cx.now,
        tags: tags::parse(&input.tags.unwrap_or_default())?,
    };
    if let Some(existing) = tx.target_groups().find(&TargetGroups::BY_NAME, &(cx.scope.clone(), row.name.clone())) {
        let same = existing.port == row.port
            && existing.vpc == row.vpc
            && existing.health_check == row.health_check
            && (&existing.protocol, &existing.protocol_version) == (&row.protocol, &row.protocol_version);
        if !same {
            let text = format!("A target group with the same name '{}' exists, but with different settings", row.name);
            return Err(AwsError::new(codes::DUPLICATE_TARGET_GROUP_NAME, text));
        }
        return Ok(CreateTargetGroupOutput { target_groups: Some(vec![view::target_group(tx, &cx.scope, &existing)]) });
    }
    limits::check(&limits::TARGET_GROUPS, tx.target_groups().prefix(&cx.scope).count() + 1)?;
    let sent = view::target_group(tx, &cx.scope, &row);
    tx.target_groups().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateTargetGroupOutput { target_groups: Some(vec![sent]) })
}

fn only(noun: &str, given: &str, supported: &str) -> Result<(), AwsError> {
    if given == supported { Ok(()) } else { Err(error::unsupported(format_args!("The {noun} '{given}'"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;
    use longshore_aws_model::elbv2::Matcher;

    #[test]
    fn a_group_has_the_defaults_of_aws() {
        let fixture = Fixture::new();
        let input = target_group_input(&fixture, "web");
        let made = write(&fixture, create_target_group, input.clone()).expect("made").target_groups.expect("one");
        let made = &made[0];
        assert!(made.target_group_arn.as_deref().is_some_and(|arn| arn.contains(":targetgroup/web/")));
        assert_eq!((made.health_check_interval_seconds, made.health_check_timeout_seconds), (Some(30), Some(5)));
        assert_eq!((made.healthy_threshold_count, made.unhealthy_threshold_count), (Some(5), Some(2)));
        assert_eq!(made.health_check_port.as_deref(), Some("traffic-port"));
        assert_eq!(made.load_balancer_arns, Some(vec![]));
        let again = write(&fixture, create_target_group, input).expect("the same").target_groups.expect("one");
        assert_eq!(again[0].target_group_arn, made.target_group_arn);
    }

    #[test]
    fn a_group_that_speaks_grpc_is_checked_by_grpc_codes() {
        let fixture = Fixture::new();
        let text = |text: &str| Some(text.to_owned());
        let input = CreateTargetGroupInput {
            protocol: text("HTTPS"),
            protocol_version: text("GRPC"),
            ..target_group_input(&fixture, "grpc")
        };
        let made = write(&fixture, create_target_group, input.clone()).expect("made").target_groups.expect("one");
        assert_eq!(made[0].protocol_version.as_deref(), Some("GRPC"));
        assert_eq!(made[0].health_check_protocol.as_deref(), Some("HTTPS"));
        assert_eq!(made[0].health_check_path.as_deref(), Some("/AWS.ALB/healthcheck"));
        assert_eq!(made[0].matcher, Some(Matcher { http_code: None, grpc_code: text("12") }));
        let matcher = Some(Matcher { http_code: None, grpc_code: text("0-99") });
        let input = CreateTargetGroupInput { name: "other".to_owned(), matcher, ..input };
        write(&fixture, create_target_group, input.clone()).expect("made");
        for (matcher, expected) in [
            (Matcher { http_code: text("200"), grpc_code: None }, "HTTP code"),
            (Matcher { http_code: None, grpc_code: text("100") }, "must be within '0-99'"),
        ] {
            let input = CreateTargetGroupInput { name: "third".to_owned(), matcher: Some(matcher), ..input.clone() };
            let refused = refusal(write(&fixture, create_target_group, input));
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        target_group(&fixture, "web");
        let input = || target_group_input(&fixture, "web");
        let text = |text: &str| Some(text.to_owned());
        for (given, expected) in [
            (
                CreateTargetGroupInput { port: Some(81), ..input() },
                "DuplicateTargetGroupName: A target group with the same name 'web' exists, but with different settings",
            ),
            (
                CreateTargetGroupInput { target_type: None, ..input() },
                "ValidationError: The target type 'instance' is not supported by Longshore yet.",
            ),
            (
                CreateTargetGroupInput { protocol: text("GENEVE"), ..input() },
                "ValidationError: The protocol 'GENEVE' is not supported by Longshore yet.",
            ),
            (
                CreateTargetGroupInput { protocol_version: text("HTTP3"), ..input() },
                "ValidationError: Protocol version 'HTTP3' must be one of '[GRPC, HTTP1, HTTP2]'",
            ),
            (CreateTargetGroupInput { protocol: None, ..input() }, "ValidationError: A protocol must be specified"),
            (CreateTargetGroupInput { port: None, ..input() }, "ValidationError: A port must be specified"),
            (CreateTargetGroupInput { vpc_id: None, ..input() }, "ValidationError: A VPC ID must be specified"),
            (
                CreateTargetGroupInput { vpc_id: text("vpc-1"), ..input() },
                "ValidationError: The VPC ID 'vpc-1' is not found",
            ),
            (
                CreateTargetGroupInput { health_check_path: text("a"), ..input() },
                "ValidationError: Health check path 'a' must begin with a '/' character, and can be at most 1024 characters in length",
            ),
            (
                CreateTargetGroupInput { health_check_enabled: Some(false), ..input() },
                "ValidationError: Health check enabled must be true for target groups with target type 'ip'",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, create_target_group, given)), expected);
        }
    }
}
