//! What a seed makes of the world: which faults there are, and how often. Each run has some faults and lacks others, so that
//! together they also find what one fault hides from another.

use crate::rng::Rng;
use std::time::Duration;

/// Mean time between two faults of a kind; `None` where a run has none of it.
pub type Every = Option<Duration>;

#[derive(Debug, Clone)]
pub struct Policy {
    pub clients: u64,
    pub think_ms: (u64, u64),
    /// Time of a commit.
    pub commit_ms: (u64, u64),
    /// Requests that one commit takes.
    pub commit_jobs: u64,
    /// Time of a message from process to process.
    pub message_ms: (u64, u64),
    /// Of 1000 messages, how many arrive twice.
    pub doubled: u64,
    /// Of 1000 requests, how many lose their answer.
    pub lost_answers: u64,
    /// Of 1000 pulls and preparations, how many fail.
    pub failed_starts: u64,
    /// Of 1000 commits, how many are the last of their process.
    pub crash_at_commit: u64,
    pub crash_control: Every,
    pub crash_agent: Every,
    pub crash_balancer: Every,
    pub kill_supervisor: Every,
    pub lose_node: Every,
    pub break_link: Every,
    pub full_disk: Every,
    pub reset: Every,
    /// Tags of images move.
    pub move_tags: Every,
    /// Policies are evaluated: a task's roles may do what they are allowed.
    pub authority: bool,
    /// Of 100 clients, how many have subnets of eleven addresses.
    pub small_networks: u64,
    /// Containers do not always do what they should.
    pub bad_containers: bool,
    /// The clock of the node runs ahead of the control plane's by this much, or behind.
    pub skew_ms: i64,
    /// The clock of the machine is set, or it slept: all its processes see a leap.
    pub set_clock: Every,
}

impl Policy {
    pub fn new(rng: &mut Rng) -> Self {
        let mut every =
            |of: u64, mean: (u64, u64)| rng.chance(of, 100).then(|| Duration::from_secs(rng.between(mean.0, mean.1)));
        let (crash_control, crash_agent, crash_balancer) =
            (every(60, (15, 200)), every(60, (15, 200)), every(30, (60, 300)));
        let (kill_supervisor, lose_node, break_link) =
            (every(40, (20, 200)), every(25, (120, 600)), every(50, (10, 200)));
        let (full_disk, reset) = (every(25, (60, 300)), every(10, (200, 500)));
        let move_tags = every(50, (5, 120));
        let set_clock = every(20, (40, 300));
        let slow = rng.chance(20, 100);
        Self {
            clients: rng.between(1, 3),
            think_ms: if rng.chance(30, 100) { (5, 800) } else { (500, 8_000) },
            commit_ms: if slow { (20, 900) } else { (1, 8) },
            commit_jobs: if rng.chance(60, 100) { 1 } else { rng.between(2, 20) },
            message_ms: if rng.chance(25, 100) { (1, 2_000) } else { (0, 12) },
            doubled: if rng.chance(40, 100) { rng.between(5, 150) } else { 0 },
            lost_answers: if rng.chance(50, 100) { rng.between(5, 100) } else { 0 },
            failed_starts: if rng.chance(30, 100) { rng.between(5, 100) } else { 0 },
            crash_at_commit: if rng.chance(30, 100) { rng.between(1, 10) } else { 0 },
            crash_control,
            crash_agent,
            crash_balancer,
            kill_supervisor,
            lose_node,
            break_link,
            full_disk,
            reset,
            move_tags,
            authority: rng.chance(30, 100),
            small_networks: if rng.chance(30, 100) { 50 } else { 0 },
            bad_containers: rng.chance(70, 100),
            skew_ms: if rng.chance(20, 100) { rng.between(0, 8_000) as i64 - 4_000 } else { 0 },
            set_clock,
        }
    }
}
