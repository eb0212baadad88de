//! An ordered map from bytes that shares structure between versions.
//!
//! The store keeps a version for readers, one for the writer and one to fall back to when a transaction fails. With this
//! map a version is a clone of one pointer; a change copies the few nodes on its path that somebody else still sees. So a
//! reader may keep its version as long as it likes and nobody waits for anybody. It is a B+ tree of reference-counted
//! nodes; a node nobody else holds is changed in place.

use std::sync::Arc;

/// Encoded key; cloning counts a reference.
pub(crate) type Bytes = Arc<[u8]>;

/// Entries of a node. Small enough that copying a path is cheap, large enough that a scan runs over arrays.
const NODE_LEN_MAX: usize = 32;
/// A node with fewer entries is merged into a neighbour when both fit into one.
const NODE_LEN_MIN: usize = NODE_LEN_MAX / 4;

pub(crate) struct Map<V> {
    root: Arc<Node<V>>,
    len: usize,
}

#[derive(Clone)]
enum Node<V> {
    Leaf(Vec<(Bytes, V)>),
    /// Child `i` holds the keys from its separator up to the next one; the first separator counts as minus infinity.
    Branch(Vec<(Bytes, Arc<Node<V>>)>),
}

impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<V: Clone> Map<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Branch(children) => node = &children[child_index(children, key)].1,
                Node::Leaf(entries) => {
                    return entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &entries[i].1);
                }
            }
        }
    }

    /// Sets `key` and returns what was there before.
    pub(crate) fn insert(&mut self, key: Bytes, value: V) -> Option<V> {
        let (old, split) = insert_into(&mut self.root, key, value);
        if let Some((separator, right)) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            self.root = Arc::new(Node::Branch(vec![(Arc::from(&[][..]), left), (separator, right)]));
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes `key` and returns what was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        // Asked first, so that removing nothing copies no nodes.
        self.get(key)?;
        let old = remove_from(&mut self.root, key);
        if let Node::Branch(children) = &*self.root
            && children.len() == 1
        {
            let only = Arc::clone(&children[0].1);
            self.root = only;
        }
        self.len -= usize::from(old.is_some());
        old
    }

    /// Entries from `from` (inclusive) to `end` (exclusive; `None` for no end), in key order.
    pub(crate) fn range(&self, from: &[u8], end: Option<Vec<u8>>) -> Iter<'_, V> {
        let mut iter = Iter { stack: Vec::new(), leaf: [].iter(), end };
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Branch(children) => {
                    let index = child_index(children, from);
                    iter.stack.push(children[index + 1..].iter());
                    node = &children[index].1;
                }
                Node::Leaf(entries) => {
                    iter.leaf = entries[entries.partition_point(|(k, _)| **k < *from)..].iter();
                    return iter;
                }
            }
        }
    }

    /// The entry with the greatest key below `end` (`None` for the greatest of all).
    pub(crate) fn last_below(&self, end: Option<&[u8]>) -> Option<(&Bytes, &V)> {
        last_below(&self.root, end)
    }
}

/// See [`Map::range`].
pub(crate) struct Iter<'a, V> {
    stack: Vec<std::slice::Iter<'a, (Bytes, Arc<Node<V>>)>>,
    leaf: std::slice::Iter<'a, (Bytes, V)>,
    end: Option<Vec<u8>>,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a Bytes, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                if self.end.as_deref().is_some_and(|end| **key >= *end) {
                    self.stack.clear();
                    self.leaf = [].iter();
                    return None;
                }
                return Some((key, value));
            }
            let mut node = match self.stack.last_mut()?.next() {
                Some((_, node)) => node,
                None => {
                    self.stack.pop();
                    continue;
                }
            };
            loop {
                match &**node {
                    Node::Leaf(entries) => {
                        self.leaf = entries.iter();
                        break;
                    }
                    Node::Branch(children) => {
                        self.stack.push(children[1..].iter());
                        node = &children[0].1;
                    }
                }
            }
        }
    }
}

/// The least byte string greater than every string that starts with `prefix`; `None` when there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn child_index<V>(children: &[(Bytes, Arc<Node<V>>)], key: &[u8]) -> usize {
    children.partition_point(|(separator, _)| **separator <= *key).saturating_sub(1)
}

type Split<V> = Option<(Bytes, Arc<Node<V>>)>;

fn insert_into<V: Clone>(node: &mut Arc<Node<V>>, key: Bytes, value: V) -> (Option<V>, Split<V>) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => match entries.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(index) => (Some(std::mem::replace(&mut entries[index].1, value)), None),
            Err(index) => {
                entries.insert(index, (key, value));
                let right = split_when_full(entries, index);
                (None, right.map(|right| (Arc::clone(&right[0].0), Arc::new(Node::Leaf(right)))))
            }
        },
        Node::Branch(children) => {
            let index = child_index(children, &key);
            let (old, split) = insert_into(&mut children[index].1, key, value);
            let Some(new_child) = split else { return (old, None) };
            children.insert(index + 1, new_child);
            let right = split_when_full(children, index + 1);
            (old, right.map(|right| (Arc::clone(&right[0].0), Arc::new(Node::Branch(right)))))
        }
    }
}

fn split_when_full<T>(entries: &mut Vec<T>, inserted: usize) -> Option<Vec<T>> {
    if entries.len() <= NODE_LEN_MAX {
        return None;
    }
    // Keys that grow (revisions, times, a sorted load) leave full nodes behind instead of half-full ones.
    let at = if inserted + 1 == entries.len() { entries.len() - NODE_LEN_MIN } else { entries.len() / 2 };
    Some(entries.split_off(at))
}

fn remove_from<V: Clone>(node: &mut Arc<Node<V>>, key: &[u8]) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let index = entries.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
            Some(entries.remove(index).1)
        }
        Node::Branch(children) => {
            let index = child_index(children, key);
            let old = remove_from(&mut children[index].1, key)?;
            if children[index].1.len() < NODE_LEN_MIN && children.len() > 1 {
                merge(children, if index == 0 { 0 } else { index - 1 });
            }
            Some(old)
        }
    }
}

/// Merges children `left` and `left + 1` when they fit into one node. An empty child always fits, so none stays.
fn merge<V: Clone>(children: &mut Vec<(Bytes, Arc<Node<V>>)>, left: usize) {
    if children[left].1.len() + children[left + 1].1.len() > NODE_LEN_MAX {
        return;
    }
    let (separator, right) = children.remove(left + 1);
    match (Arc::make_mut(&mut children[left].1), Arc::unwrap_or_clone(right)) {
        (Node::Leaf(entries), Node::Leaf(more)) => entries.extend(more),
        (Node::Branch(entries), Node::Branch(mut more)) => {
            // Inside its old node the first separator meant minus infinity; here it must separate.
            more[0].0 = separator;
            entries.extend(more);
        }
        _ => unreachable!("children of one branch have the same height"),
    }
}

fn last_below<'a, V>(node: &'a Node<V>, end: Option<&[u8]>) -> Option<(&'a Bytes, &'a V)> {
    match node {
        Node::Leaf(entries) => {
            let index = end.map_or(entries.len(), |end| entries.partition_point(|(k, _)| **k < *end));
            entries.get(index.checked_sub(1)?).map(|(key, value)| (key, value))
        }
        Node::Branch(children) => {
            let index = end.map_or(children.len() - 1, |end| child_index(children, end));
            children[..=index].iter().rev().find_map(|(_, child)| last_below(child, end))
        }
    }
}

impl<V> Node<V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn check(map: &Map<u64>, model: &BTreeMap<Vec<u8>, u64>, rng: &mut crate::testing::Rng) {
        assert_eq!(map.len(), model.len());
        let all: Vec<_> = map.range(&[], None).map(|(k, v)| (k.to_vec(), *v)).collect();
        assert_eq!(all, model.iter().map(|(k, v)| (k.clone(), *v)).collect::<Vec<_>>());
        let from = (rng.below(70_000) as u16).to_be_bytes().to_vec();
        let end = (rng.below(70_000) as u16).to_be_bytes().to_vec();
        let got: Vec<_> = map.range(&from, Some(end.clone())).map(|(_, v)| *v).collect();
        let want: Vec<_> = model.range(from.clone()..).take_while(|(k, _)| **k < end).map(|(_, v)| *v).collect();
        assert_eq!(got, want);
        let last = map.last_below(Some(&from)).map(|(k, _)| k.to_vec());
        assert_eq!(last, model.range(..from).next_back().map(|(k, _)| k.clone()));
    }

    #[test]
    fn behaves_like_a_btree_map_and_old_versions_stay() {
        for seed in 1..=20 {
            let mut rng = crate::testing::Rng::new(seed);
            let (mut map, mut model) = (Map::default(), BTreeMap::new());
            let mut kept = Vec::new();
            // Grow, then shrink to nothing, so that splits and merges of branches are both met.
            for step in 0..6_000u64 {
                let key = (rng.below(3_000) as u16).to_be_bytes().to_vec();
                if rng.below(100) < if step < 3_000 { 80 } else { 20 } {
                    assert_eq!(map.insert(Bytes::from(&key[..]), step), model.insert(key, step));
                } else {
                    assert_eq!(map.remove(&key), model.remove(&key));
                }
                if step % 500 == 0 {
                    kept.push((map.clone(), model.clone()));
                    check(&map, &model, &mut rng);
                }
            }
            for key in model.keys().cloned().collect::<Vec<_>>() {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
            check(&map, &model, &mut rng);
            for (map, model) in &kept {
                check(map, model, &mut rng);
            }
        }
    }

    #[test]
    fn prefix_end_is_the_next_string_outside_the_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(prefix_end(&[255]), None);
        assert_eq!(prefix_end(&[]), None);
    }
}
