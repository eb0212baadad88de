//! What each operation of CloudWatch Logs needs (Service Authorization Reference, "Amazon CloudWatch Logs").

use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, Resources, on};

macro_rules! logs {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("logs:", $operation), $resources)
    };
}

const GROUP: Resources = Each(group);
const STREAM: Resources = Each(stream);

pub const PERMISSIONS: &[Permission] = &[
    logs!("CreateLogGroup", GROUP),
    on("CreateLogGroup", "logs:TagResource", Each(tagged_group)),
    logs!("CreateLogStream", STREAM),
    logs!("DeleteLogGroup", GROUP),
    logs!("DeleteLogStream", STREAM),
    logs!("DeleteMetricFilter", GROUP),
    logs!("DeleteRetentionPolicy", GROUP),
    logs!("DescribeLogGroups", GROUP),
    logs!("DescribeLogStreams", GROUP),
    logs!("DescribeMetricFilters", GROUP),
    logs!("DescribeSubscriptionFilters", GROUP),
    logs!("FilterLogEvents", GROUP),
    on("FilterLogEvents", "logs:Unmask", Each(unmasked_group)),
    logs!("GetLogEvents", STREAM),
    on("GetLogEvents", "logs:Unmask", Each(unmasked_stream)),
    logs!("GetLogGroupFields", GROUP),
    logs!("ListLogGroups", Any),
    logs!("ListTagsForResource", Arns("resourceArn")),
    logs!("ListTagsLogGroup", GROUP),
    logs!("PutLogEvents", STREAM),
    logs!("PutLogGroupDeletionProtection", GROUP),
    logs!("PutMetricFilter", GROUP),
    logs!("PutRetentionPolicy", GROUP),
    logs!("PutSubscriptionFilter", GROUP),
    logs!("StartLiveTail", GROUP),
    logs!("TagLogGroup", GROUP),
    logs!("TagResource", Arns("resourceArn")),
    logs!("TestMetricFilter", Any),
    logs!("UntagLogGroup", GROUP),
    logs!("UntagResource", Arns("resourceArn")),
];

/// The group's name; of its ARN, if it is given by that.
fn name<'a>(ask: &Ask<'a>) -> &'a str {
    let given = ask.get("logGroupName").or_else(|| ask.get("logGroupIdentifier")).unwrap_or_default();
    given.rsplit_once("log-group:").map_or(given, |(_, name)| name.trim_end_matches(":*"))
}

/// With an empty stream at its end, as AWS asks: that is what `log-group:name:*` in a policy is for.
fn group(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn("logs", &format!("log-group:{}:log-stream:", name(ask)))]
}

fn tagged_group(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("tags.key").is_some() { group(ask) } else { Vec::new() }
}

fn unmasked_group(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("unmask") == Some("true") { group(ask) } else { Vec::new() }
}

fn unmasked_stream(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("unmask") == Some("true") { stream(ask) } else { Vec::new() }
}

fn stream(ask: &Ask<'_>) -> Vec<String> {
    let stream = ask.get("logStreamName").unwrap_or_default();
    vec![ask.arn("logs", &format!("log-group:{}:log-stream:{stream}", name(ask)))]
}
