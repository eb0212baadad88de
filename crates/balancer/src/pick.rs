//! Which group and which target a request goes to, as functions of a turn counter and loads.
//!
//! A turn is a number that grows by one with each request. Shares come from the turn times the golden
//! ratio, whose fractional parts are spread evenly: weights 70 and 30 interleave (a a b a a b a ...) instead
//! of coming in runs, and need no state but the counter.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The index whose share of the weights this turn falls in; `None` when all weights are zero.
pub(crate) fn by_weight(turn: u64, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut position = scaled(turn, total);
    for (index, weight) in weights.enumerate() {
        match position.checked_sub(u64::from(weight)) {
            Some(rest) => position = rest,
            None => return Some(index),
        }
    }
    None
}

/// The target whose turn it is; `None` without targets.
pub(crate) fn round_robin(turn: u64, count: usize) -> Option<usize> {
    (count > 0).then(|| (turn % count as u64) as usize)
}

/// The target with the fewest requests in flight; equals are taken in turn.
pub(crate) fn least_outstanding(turn: u64, count: usize, in_flight: impl Fn(usize) -> u32) -> Option<usize> {
    let start = round_robin(turn, count)?;
    (0..count).map(|step| (start + step) % count).min_by_key(|index| in_flight(*index))
}

/// Whether a target that is warming up takes this turn: its share grows from nothing to full over `duration_ms`.
pub(crate) fn warm_enough(turn: u64, healthy_for_ms: u64, duration_ms: u64) -> bool {
    healthy_for_ms >= duration_ms || scaled(turn.wrapping_add(GOLDEN), duration_ms) < healthy_for_ms
}

/// A number below `limit` that is spread evenly over successive turns.
fn scaled(turn: u64, limit: u64) -> u64 {
    ((u128::from(turn.wrapping_mul(GOLDEN)) * u128::from(limit)) >> 64) as u64
}

/// What eligibility depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub healthy: bool,
    pub draining: bool,
}

/// How many targets must be healthy for the others to be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Minimum {
    pub count: u32,
    /// Of those that are not draining; 0 is off.
    pub percent: u32,
}

/// The targets that get requests: the healthy ones or, when there are too few of them, all that are not
/// draining (fail open).
pub(crate) fn eligible(standings: &[Standing], minimum: Minimum) -> Vec<usize> {
    let chosen = |test: fn(&Standing) -> bool| -> Vec<usize> {
        standings.iter().enumerate().filter(|(_, standing)| test(standing)).map(|(index, _)| index).collect()
    };
    let healthy = chosen(|standing| standing.healthy && !standing.draining);
    let all = chosen(|standing| !standing.draining);
    let is_enough = !healthy.is_empty()
        && healthy.len() >= minimum.count as usize
        && healthy.len() * 100 >= all.len() * minimum.percent as usize;
    if is_enough { healthy } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(turns: u64, weights: &[u32]) -> Vec<u32> {
        let mut counts = vec![0; weights.len()];
        for turn in 0..turns {
            counts[by_weight(turn, weights.iter().copied()).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_weights_closely_and_early() {
        for (got, wanted) in counts(1000, &[700, 300]).iter().zip([700, 300]) {
            assert!(got.abs_diff(wanted) <= 3, "{got} of {wanted}");
        }
        for (got, wanted) in counts(20, &[1, 1]).iter().zip([10, 10]) {
            assert!(got.abs_diff(wanted) <= 1, "{got} of {wanted}");
        }
        assert_eq!(counts(100, &[5, 0]), [100, 0]);
        assert_eq!(by_weight(0, [0, 0].into_iter()), None);
    }

    #[test]
    fn least_outstanding_takes_equals_in_turn() {
        let loads = [2, 1, 1];
        let picked: Vec<_> = (0..4).map(|turn| least_outstanding(turn, 3, |index| loads[index]).unwrap()).collect();
        assert_eq!(picked, [1, 1, 2, 1]);
        assert_eq!(least_outstanding(0, 0, |_| 0), None);
    }

    #[test]
    fn a_warming_target_takes_its_growing_share() {
        let share = |healthy_for| (0..1000).filter(|turn| warm_enough(*turn, healthy_for, 30_000)).count();
        assert_eq!(share(0), 0);
        assert!((495..=505).contains(&share(15_000)), "{}", share(15_000));
        assert_eq!(share(30_000), 1000);
    }

    #[test]
    fn a_group_without_healthy_targets_fails_open() {
        let standing = |healthy, draining| Standing { healthy, draining };
        let eligible = |standings: &[Standing]| super::eligible(standings, Minimum { count: 1, percent: 0 });
        assert_eq!(eligible(&[standing(true, false), standing(false, false)]), [0]);
        assert_eq!(eligible(&[standing(false, false), standing(false, false), standing(true, true)]), [0, 1]);
        assert!(eligible(&[standing(true, true)]).is_empty());
    }

    #[test]
    fn too_few_healthy_targets_fail_open() {
        let standing = |healthy| Standing { healthy, draining: false };
        let four = [standing(true), standing(true), standing(false), standing(false)];
        assert_eq!(eligible(&four, Minimum { count: 2, percent: 50 }), [0, 1]);
        assert_eq!(eligible(&four, Minimum { count: 3, percent: 0 }), [0, 1, 2, 3]);
        assert_eq!(eligible(&four, Minimum { count: 1, percent: 51 }), [0, 1, 2, 3]);
    }
}
