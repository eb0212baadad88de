//! Service events: ECS's words, newest first, without repeating themselves.

use longshore_api::Cx;
use longshore_types::Timestamp;
use longshore_types::ecs::{Service, ServiceEvent};
use std::time::Duration;

/// DescribeServices shows this many.
const KEPT: usize = 100;
/// The same message is not repeated for this long while nothing else happens.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages.html>
const QUIET: Duration = Duration::from_secs(6 * 3600);

/// Whether `message` would be news after what the service said last.
pub fn is_news(service: &Service, message: &str, now: Timestamp) -> bool {
    let text = full(service, message);
    service.events.first().is_none_or(|last| last.message != text || now.since(last.at) >= QUIET)
}

/// Adds an event: `message` without the `(service X)` in front.
pub fn add(service: &mut Service, cx: &Cx, message: &str) {
    if is_news(service, message, cx.now) {
        let event = ServiceEvent { id: cx.ids().uuid(), at: cx.now, message: full(service, message) };
        service.events.insert(0, event);
        service.events.truncate(KEPT);
    }
}

fn full(service: &Service, message: &str) -> String {
    format!("(service {}) {message}", service.name)
}
