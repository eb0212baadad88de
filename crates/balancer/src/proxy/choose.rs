//! From a forward action to one target, with cookies honoured.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, StatusCode};

use super::stickiness;
use crate::clock;
use crate::compile::{Forward, Group};
use crate::config::{Algorithm, Stickiness};
use crate::pick;
use crate::target::Target;

/// What was chosen and which cookies say so.
#[derive(Debug)]
pub(super) struct Choice {
    pub group: Arc<Group>,
    pub target: Arc<Target>,
    pub group_stickiness_seconds: Option<u32>,
}

impl Choice {
    pub(super) fn count_request(&self) {
        self.group.live.counts.requests.add(1);
        self.target.counts.requests.add(1);
    }

    pub(super) fn count_connection_error(&self) {
        self.group.live.counts.connection_errors.add(1);
        self.target.counts.connection_errors.add(1);
    }

    /// Counts a response whose request was begun at `started_ms` (see [`clock::coarse_ms`]).
    pub(super) fn count_response(&self, status: StatusCode, started_ms: u64) {
        let took_ms = clock::coarse_ms().saturating_sub(started_ms);
        self.group.live.counts.response(status, took_ms);
        self.target.counts.response(status, took_ms);
    }

    /// Adds the cookies that keep the client where it is.
    pub(super) fn write_cookies(&self, headers: &mut HeaderMap, unix_seconds: u64) {
        match &self.group.stickiness {
            None => {}
            Some(Stickiness::LbCookie { duration_seconds }) => {
                stickiness::TARGET.write(headers, self.target.tag, unix_seconds, *duration_seconds);
            }
            Some(Stickiness::AppCookie { cookie_name, duration_seconds })
                if stickiness::sets_cookie(headers, cookie_name) =>
            {
                stickiness::APPLICATION.write(headers, self.target.tag, unix_seconds, *duration_seconds);
            }
            Some(Stickiness::AppCookie { .. }) => {}
        }
        if let Some(duration_seconds) = self.group_stickiness_seconds {
            stickiness::GROUP.write(headers, self.group.tag, unix_seconds, duration_seconds);
        }
    }
}

/// Chooses; the error is the chosen group when it has no target that may get requests.
pub(super) fn choose<'a>(
    forward: &'a Forward,
    headers: &HeaderMap,
    now_ms: u64,
) -> Result<Choice, Option<&'a Arc<Group>>> {
    let group = choose_group(forward, headers).ok_or(None)?;
    let target = choose_target(group, headers, now_ms).ok_or(Some(group))?;
    Ok(Choice { group: group.clone(), target, group_stickiness_seconds: forward.stickiness_seconds })
}

fn choose_group<'a>(forward: &'a Forward, headers: &HeaderMap) -> Option<&'a Arc<Group>> {
    if let [only] = forward.groups.as_slice() {
        return Some(&only.group);
    }
    if forward.stickiness_seconds.is_some()
        && let Some(tag) = stickiness::GROUP.read(headers)
        && let Some(share) = forward.groups.iter().find(|share| share.group.tag == tag && share.weight > 0)
    {
        return Some(&share.group);
    }
    // Health does not change the shares: an empty group keeps its own, as AWS has it.
    let turn = forward.turn.fetch_add(1, Ordering::Relaxed);
    let index = pick::by_weight(turn, forward.groups.iter().map(|share| share.weight))?;
    Some(&forward.groups[index].group)
}

fn choose_target(group: &Group, headers: &HeaderMap, now_ms: u64) -> Option<Arc<Target>> {
    let cookie = group.stickiness.as_ref().and_then(|stickiness| match stickiness {
        Stickiness::LbCookie { .. } => stickiness::TARGET.read(headers),
        Stickiness::AppCookie { .. } => stickiness::APPLICATION.read(headers),
    });
    let turn = group.live.next_turn();
    group.live.with_eligible(|targets| {
        // A session whose target is draining or unhealthy moves on to another.
        if let Some(tag) = cookie
            && let Some(target) = targets.iter().find(|target| target.tag == tag)
        {
            return Some(target.clone());
        }
        let index = match group.algorithm {
            Algorithm::RoundRobin if group.slow_start_ms > 0 => {
                let is_warm = |index: usize| {
                    let healthy_for_ms = now_ms.saturating_sub(targets[index].healthy_since_ms());
                    pick::warm_enough(turn, healthy_for_ms, group.slow_start_ms)
                };
                let first = pick::round_robin(turn, targets.len())?;
                let in_turn = (0..targets.len()).map(|step| (first + step) % targets.len());
                in_turn.clone().find(|index| is_warm(*index)).or_else(|| in_turn.clone().next())
            }
            Algorithm::RoundRobin => pick::round_robin(turn, targets.len()),
            Algorithm::LeastOutstandingRequests => {
                pick::least_outstanding(turn, targets.len(), |index| targets[index].in_flight())
            }
            Algorithm::WeightedRandom => pick::by_weight(turn, std::iter::repeat_n(1, targets.len())),
        }?;
        Some(targets[index].clone())
    })
}
