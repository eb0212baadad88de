//! Where a Fargate task goes: tasks spread over zones.

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
}
