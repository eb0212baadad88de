//! How a capacity provider strategy divides tasks: each item's base first, the rest by weight.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html>

use longshore_types::ecs::{CapacityProvider, StrategyItem};

/// How many of `total` tasks each item gets. Exact shares are rounded down, and what is left goes to the largest
/// remainders, the earlier item first. One item alone needs no weight.
pub fn split(strategy: &[StrategyItem], total: u32) -> Vec<u32> {
    let mut rest = total;
    let mut counts: Vec<u32> = strategy
        .iter()
        .map(|item| {
            let base = item.base.min(rest);
            rest -= base;
            base
        })
        .collect();
    let weights: u64 = strategy.iter().map(|item| u64::from(item.weight)).sum();
    if weights == 0 {
        if let [alone] = counts.as_mut_slice() {
            *alone += rest;
        }
        return counts;
    }
    let share = |item: &StrategyItem| u64::from(rest) * u64::from(item.weight);
    let mut order: Vec<usize> = (0..strategy.len()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(share(&strategy[n]) % weights));
    let mut left = rest;
    for (n, item) in strategy.iter().enumerate() {
        let whole = (share(item) / weights) as u32;
        counts[n] += whole;
        left -= whole;
    }
    for n in order.into_iter().take(left as usize) {
        counts[n] += 1;
    }
    counts
}

/// Where the next task goes when `running` tells how many each provider has; `None` without a strategy, or when it has
/// only bases and these are full.
pub fn next(strategy: &[StrategyItem], running: impl Fn(CapacityProvider) -> u32) -> Option<CapacityProvider> {
    let total: u32 = strategy.iter().map(|item| running(item.provider)).sum();
    let wanted = split(strategy, total + 1);
    strategy
        .iter()
        .zip(wanted)
        .map(|(item, wanted)| (item.provider, i64::from(wanted) - i64::from(running(item.provider))))
        .filter(|(_, missing)| *missing > 0)
        // The first of those that miss most.
        .rev()
        .max_by_key(|(_, missing)| *missing)
        .map(|(provider, _)| provider)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CapacityProvider::*;

    fn strategy(fargate: (u32, u32), spot: (u32, u32)) -> Vec<StrategyItem> {
        let item = |provider, (base, weight)| StrategyItem { provider, base, weight };
        vec![item(Fargate, fargate), item(FargateSpot, spot)]
    }

    #[test]
    fn base_comes_first_and_weights_share_the_rest() {
        let plan = strategy((2, 1), (0, 3));
        let splits: Vec<_> = (0..=10).map(|n| split(&plan, n)).collect();
        assert_eq!(splits[2], [2, 0]);
        assert_eq!(splits[6], [3, 3]);
        assert_eq!(splits[10], [4, 6]);
        assert!(splits.iter().enumerate().all(|(n, s)| s.iter().sum::<u32>() as usize == n));
    }

    #[test]
    fn one_by_one_gives_the_same_as_all_at_once() {
        for plan in
            [strategy((1, 1), (0, 4)), strategy((0, 0), (0, 1)), strategy((3, 2), (0, 1)), strategy((0, 1), (0, 1))]
        {
            let mut counts = [0, 0];
            for total in 1..=40 {
                let provider = next(&plan, |p| counts[p as usize]).expect("some weight");
                counts[provider as usize] += 1;
                assert_eq!(split(&plan, total), counts, "{plan:?}");
            }
        }
    }

    #[test]
    fn what_was_lost_is_replaced_where_it_was() {
        let plan = strategy((1, 1), (0, 1));
        let provider = |fargate, spot| next(&plan, |p| if p == Fargate { fargate } else { spot });
        assert_eq!(provider(0, 2), Some(Fargate));
        assert_eq!(provider(3, 1), Some(FargateSpot));
        assert_eq!(next(&[], |_| 0), None);
        assert_eq!(next(&strategy((1, 0), (0, 0)), |_| 1), None);
        assert_eq!(next(&strategy((0, 0), (0, 0))[1..], |_| 7), Some(FargateSpot));
    }
}
