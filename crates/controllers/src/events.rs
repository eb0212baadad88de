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

/// How events begin that say how things are; the others say what was done, and are always news.
const CONDITIONS: [&str; 6] = [
    "has reached a steady state",
    "was unable to ",
    "is not AZ balanced",
    "is unable to place a task",
    "failed to launch a task",
    "failed to register targets",
];

/// Whether `message` says something new: that something was done, or how things are since something was done.
pub fn is_news(service: &Service, message: &str, now: Timestamp) -> bool {
    let is_condition = |text: &str| CONDITIONS.iter().any(|words| text.starts_with(words));
    let prefix = full(service, "");
    let text_of = |event: &ServiceEvent| event.message.strip_prefix(&prefix).map(str::to_owned);
    !is_condition(message)
        || !service
            .events
            .iter()
            .map_while(|event| text_of(event).filter(|text| is_condition(text)).map(|text| (text, event.at)))
            .any(|(text, at)| text == message && now.since(at) < QUIET)
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
    fn what_was_done_is_always_news() {
        let text = "registered 1 targets in (target-group t)";
        assert!(is_news(&service(&[text]), text, Timestamp(1)));
    }
}
