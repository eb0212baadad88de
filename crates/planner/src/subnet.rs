//! Where a Fargate task goes: tasks spread over zones.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A subnet that may take the task.
#[derive(Clone, Debug)]
pub struct Candidate<'a, Id> {
    pub subnet: Id,
    pub zone: &'a str,
    /// Live tasks of the same service or group in this zone.
    pub tasks_in_zone: usize,
    pub free_addresses: usize,
}

/// The subnet in the zone with the fewest tasks; among equals the one with the most free addresses, then the first.
pub fn choose<Id: Clone>(candidates: &[Candidate<'_, Id>]) -> Option<Id> {
    candidates
        .iter()
        .filter(|c| c.free_addresses > 0)
        .min_by_key(|c| (c.tasks_in_zone, std::cmp::Reverse(c.free_addresses)))
        .map(|c| c.subnet.clone())
}

/// The first usable address that is not taken, looking from `after` on and wrapping round, so that an address is not
/// given out again right after it was freed (peers may still hold state for it).
pub fn free_address(
    usable: impl Iterator<Item = Ipv4Addr> + Clone,
    taken: &BTreeSet<Ipv4Addr>,
    after: Option<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let later = usable.clone().filter(|a| after.is_some_and(|after| *a > after));
    later.chain(usable).find(|a| !taken.contains(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(subnet: &str, tasks_in_zone: usize, free_addresses: usize) -> Candidate<'static, String> {
        Candidate { subnet: subnet.to_owned(), zone: "z", tasks_in_zone, free_addresses }
    }

    #[test]
    fn the_emptiest_zone_with_room_wins() {
        let candidates = [candidate("a", 2, 100), candidate("b", 1, 10), candidate("c", 0, 0), candidate("d", 1, 20)];
        assert_eq!(choose(&candidates).as_deref(), Some("d"));
        assert_eq!(choose(&candidates[2..3]), None);
    }

    #[test]
    fn addresses_go_round() {
        let usable = (4..7).map(|n| Ipv4Addr::new(10, 0, 0, n));
        let mut taken = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 5)]);
        let last = Some(Ipv4Addr::new(10, 0, 0, 4));
        assert_eq!(free_address(usable.clone(), &taken, last), Some(Ipv4Addr::new(10, 0, 0, 6)));
        taken.insert(Ipv4Addr::new(10, 0, 0, 6));
        assert_eq!(free_address(usable.clone(), &taken, last), Some(Ipv4Addr::new(10, 0, 0, 4)));
        taken.insert(Ipv4Addr::new(10, 0, 0, 4));
        assert_eq!(free_address(usable, &taken, last), None);
    }
}
