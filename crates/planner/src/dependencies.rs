//! Containers that wait for others: names must exist and not go round in circles.

use std::collections::BTreeMap;

/// `edges` are (container, the one it waits for). A cycle, as the names along it, if there is one.
pub fn cycle<'a>(edges: &[(&'a str, &'a str)]) -> Option<Vec<&'a str>> {
    let mut next: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let mut done: Vec<&str> = Vec::new();
    edges.iter().find_map(|(from, _)| walk(from, &next, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    at: &'a str,
    next: &BTreeMap<&str, Vec<&'a str>>,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = path.iter().position(|name| *name == at) {
        return Some(path[start..].to_vec());
    }
    if done.contains(&at) {
        return None;
    }
    path.push(at);
    let found = next.get(at).into_iter().flatten().find_map(|to| walk(to, next, path, done));
    path.pop();
    done.push(at);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_found_and_a_diamond_is_not_one() {
        assert_eq!(cycle(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]), None);
        assert_eq!(cycle(&[("x", "a"), ("a", "b"), ("b", "a")]), Some(vec!["a", "b"]));
        assert_eq!(cycle(&[("a", "a")]), Some(vec!["a"]));
    }
}
