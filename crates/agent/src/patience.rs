//! How long to wait for a task's end.

use crate::spec;
use longshore_types::node::ContainerIntent;
use std::time::Duration;

/// For a supervisor to kill, to unmount and to tell, on a machine with much else to do.
const MARGIN: Duration = Duration::from_secs(20);

/// From the order to stop until a supervisor that has not said that all of its containers have stopped must hang: what the
/// containers may take themselves, each after all that depend on it, and a margin.
pub fn of_stop(containers: &[ContainerIntent]) -> Duration {
    let own = |container: &ContainerIntent| spec::stop_timeout(&container.definition);
    let mut ends: Vec<Duration> = containers.iter().map(own).collect();
    // Each round is right for chains of one container more.
    for _ in containers {
        for (at, container) in containers.iter().enumerate() {
            let name = &container.definition.name;
            let needs_it = |other: &ContainerIntent| other.definition.depends_on.iter().any(|(on, _)| on == name);
            let begins = containers.iter().zip(&ends).filter(|(other, _)| needs_it(other)).map(|(_, end)| *end).max();
            ends[at] = begins.unwrap_or_default() + own(container);
        }
    }
    ends.into_iter().max().unwrap_or_default() + MARGIN
}
