//! Service events: ECS's words, newest first, without repeating themselves.

use longshore_api::Cx;
use longshore_types::Timestamp;
use longshore_types::ecs::{Service, ServiceEvent};
use longshore_types::id::DeploymentId;
use std::time::Duration;

/// DescribeServices shows this many.
const KEPT: usize = 100;
/// The same message is not repeated for this long while nothing else happens.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages.html>
const QUIET: Duration = Duration::from_secs(6 * 3600);

const STEADY: &str = "has reached a steady state";
const UNEVEN: &str = "is not AZ balanced";
/// Ends what [`UNEVEN`] began.
const EVEN: &str = "is AZ balanced";
/// Said of a task that is started to even zones out; [`is_rebalancing`] knows it by this.
pub const REBALANCE: &str = "to AZ Rebalance: ";

/// How events begin that say how things are; the others say what was done, and are always news.
const CONDITIONS: [&str; 7] = [
    STEADY,
    "was unable to ",
    UNEVEN,
    EVEN,
    "is unable to place a task",
    "failed to launch a task",
    "failed to register targets",
];

/// Whether `message` says something new: that something was done, or how things are since something was done.
pub fn is_news(service: &Service, message: &str, now: Timestamp) -> bool {
    let is_condition = |text: &str| CONDITIONS.iter().any(|words| text.starts_with(words));
    let prefix = full(service, "");
    let mut events =
        service.events.iter().map(|event| (event.message.strip_prefix(&prefix).unwrap_or_default(), event.at));
    if message.starts_with(EVEN) {
        let before = events.find(|(text, _)| [EVEN, UNEVEN].iter().any(|words| text.starts_with(words)));
        return before.is_some_and(|(text, _)| text.starts_with(UNEVEN));
    }
    !is_condition(message)
        || !events.take_while(|(text, _)| is_condition(text)).any(|(text, at)| text == message && now.since(at) < QUIET)
}

/// Whether a task was started last to even zones out, and nothing was stopped since: what goes next makes room for it.
pub fn is_rebalancing(service: &Service) -> bool {
    let is_step = |text: &&str| [" has started ", " has stopped ", STEADY].iter().any(|words| text.contains(words));
    let last = service.events.iter().map(|event| event.message.as_str()).find(is_step);
    last.is_some_and(|text| text.contains(REBALANCE))
}

/// Adds an event: `message` without the `(service X)` in front.
pub fn add(service: &mut Service, cx: &Cx, message: &str) {
    if is_news(service, message, cx.now) {
        let message = full(service, message);
        insert(service, cx, message);
    }
}

/// The event that names the deployment as a task set, as ECS does here alone.
pub fn add_draining(service: &mut Service, cx: &Cx, deployment: &DeploymentId, tasks: usize) {
    let message =
        format!("(service {}, taskSet {deployment}) has begun draining connections on {tasks} tasks.", service.name);
    insert(service, cx, message);
}

fn insert(service: &mut Service, cx: &Cx, message: String) {
    // In the order in which they happened, even when the clock was set back between them.
    let at = service.events.first().map_or(cx.now, |last| last.at.max(cx.now));
    service.events.insert(0, ServiceEvent { id: cx.ids().uuid(), at, message });
    service.events.truncate(KEPT);
}

fn full(service: &Service, message: &str) -> String {
    format!("(service {}) {message}", service.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_types::ecs::*;
    use longshore_types::id::ServiceName;

    fn service(messages: &[&str]) -> Service {
        let event = |text: &&str| ServiceEvent {
            id: String::new(),
            at: Timestamp(0),
            message: format!("(service web) {text}"),
        };
        Service {
            name: ServiceName::from("web"),
            cluster: "c".into(),
            status: ServiceStatus::Active,
            desired_count: 1,
            template: Template {
                task_definition: ("f".into(), 1),
                network: AwsVpcConfiguration { subnets: vec![], security_groups: vec![], assign_public_ip: false },
                load_balancers: vec![],
                platform_version: "LATEST".into(),
                capacity: vec![],
            },
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            circuit_breaker: CircuitBreaker::default(),
            health_check_grace_seconds: 0,
            zone_rebalancing: false,
            enable_ecs_managed_tags: false,
            enable_execute_command: false,
            propagate_tags: PropagateTags::None,
            deployments: vec![],
            last_completed: None,
            service_deployment: None,
            events: messages.iter().map(event).collect(),
            created_at: Timestamp(0),
            inactive_since: None,
            created_by: String::new(),
            tags: Default::default(),
            launch_backoff: LaunchBackoff::default(),
            client_token: None,
            request_digest: 0,
        }
    }

    const STEADY: &str = "has reached a steady state.";
    const STUCK: &str = "was unable to stop or start tasks";

    #[test]
    fn how_things_are_is_said_once_until_something_is_done_or_six_hours_have_passed() {
        let early = Timestamp(1000);
        assert!(is_news(&service(&[]), STEADY, early));
        assert!(!is_news(&service(&[STEADY]), STEADY, early));
        // Two conditions that hold at once do not bring each other up again.
        assert!(!is_news(&service(&[STUCK, STEADY]), STEADY, early));
        // Or each would be told at every pass, and every pass would write.
        let full = "is unable to place a task in us-east-1b.";
        let uneven = "is not AZ balanced with 2 tasks in us-east-1a, 0 in us-east-1b. AZ Rebalancing in progress.";
        for message in [full, uneven, STEADY] {
            assert!(!is_news(&service(&[full, uneven, STEADY]), message, early), "{message}");
        }
        assert!(is_news(&service(&["has started 1 tasks: (task 1).", STEADY]), STEADY, early));
        assert!(is_news(&service(&[STEADY]), STEADY, Timestamp(0) + QUIET));
    }

    #[test]
    fn that_zones_are_even_is_told_where_they_were_not() {
        let (uneven, even) =
            ("is not AZ balanced with 2 tasks in a, 0 tasks in b.", "is AZ balanced with 1 tasks in a, 1 tasks in b.");
        let moved = "has stopped 1 running tasks in a due to AZ rebalancing: (task 1).";
        for (events, expected) in [
            (&[][..], false),
            (&[STEADY, moved, uneven], true),
            (&[even, STEADY, moved, uneven], false),
            (&[uneven, even, moved, uneven], true),
        ] {
            assert_eq!(is_news(&service(events), even, Timestamp(0) + QUIET), expected, "{events:?}");
        }
        assert!(!is_news(&service(&[even, STEADY, moved, uneven]), STEADY, Timestamp(1)));
    }

    #[test]
    fn a_task_makes_room_for_one_started_to_even_zones_out_until_something_else_was_done() {
        let started = "has started 1 tasks in b to AZ Rebalance: (task 5).";
        let registered = "registered 1 targets in (target-group t)";
        for (events, expected) in [
            (&[][..], false),
            (&[registered, started], true),
            (&["has started 1 tasks: (task 6).", started], false),
            (&["has stopped 1 running tasks: (task 1).", started], false),
            // The service was given one more to run.
            (&[STEADY, registered, started], false),
        ] {
            assert_eq!(is_rebalancing(&service(events)), expected, "{events:?}");
        }
    }

    #[test]
    fn what_was_done_is_always_news() {
        let text = "registered 1 targets in (target-group t)";
        assert!(is_news(&service(&[text]), text, Timestamp(1)));
    }
}
