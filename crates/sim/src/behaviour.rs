//! What containers do, by the name of their image.

use crate::world::World;
use std::time::Duration;

/// An image that no registry has.
pub const MISSING: &str = "missing";

/// Images with which a service can become steady once there are no faults.
pub const SOUND: [&str; 7] = ["good", "slow", "stubborn", "crashy", "hungry", "sick", "flaky"];
/// Images with which it cannot.
pub const BROKEN: [&str; 3] = [MISSING, "broken", "cannot"];

/// How one container will behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    pub start: Duration,
    /// The runtime cannot start it, for this reason.
    pub cannot_start: Option<&'static str>,
    /// It ends by itself after this time, with this code.
    pub exit: Option<(Duration, i32)>,
    /// It ends for want of memory.
    pub out_of_memory: bool,
    /// It is a fault that it ends or becomes unhealthy: not after faults have ceased.
    pub is_fault: bool,
    /// Its health checks fail from this time on.
    pub unhealthy_after: Option<Duration>,
    /// From SIGTERM to its end.
    pub stop: Duration,
}

impl Behaviour {
    pub fn of(world: &World, image: &str) -> Self {
        let ms = |low, high| world.between_ms((low, high));
        let mut behaviour = Self {
            start: ms(20, 1_500),
            cannot_start: None,
            exit: None,
            out_of_memory: false,
            is_fault: false,
            unhealthy_after: None,
            stop: ms(0, 3_000),
        };
        let bad = world.policy.bad_containers;
        match crate::images::kind(image) {
            "slow" => behaviour.start = ms(3_000, 30_000),
            "stubborn" => behaviour.stop = Duration::from_secs(3_600),
            "job" => behaviour.exit = Some((ms(500, 20_000), 0)),
            "init" => behaviour.exit = Some((ms(50, 3_000), 0)),
            "broken" => behaviour.exit = Some((ms(1, 2_000), 1)),
            "cannot" => behaviour.cannot_start = Some("CannotStartContainerError: exec: not found"),
            "crashy" if bad => {
                behaviour.exit = Some((ms(500, 240_000), 1));
                behaviour.is_fault = true;
            }
            // Restarted in place, where its definition says so.
            "flaky" if bad => {
                behaviour.exit = Some((ms(30_000, 240_000), 2));
                behaviour.is_fault = true;
            }
            "hungry" if bad => {
                behaviour.exit = Some((ms(5_000, 240_000), 137));
                behaviour.out_of_memory = true;
                behaviour.is_fault = true;
            }
            "sick" if bad => {
                behaviour.unhealthy_after = Some(ms(0, 240_000));
                behaviour.is_fault = true;
            }
            _ => {}
        }
        behaviour
    }
}
