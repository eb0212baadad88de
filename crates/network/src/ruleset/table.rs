//! A table as a value, its text, and the text that turns one into another in a single transaction.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::element::Element;

/// Chains, sets and the maps that choose a chain by mark. Elements of sets are not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// Set or map name to its declaration, such as `set x { type ipv4_addr; }`.
    pub sets: BTreeMap<String, String>,
    pub chains: BTreeMap<String, Chain>,
    /// (map, mark) to the chain to go to.
    pub dispatch: BTreeMap<(String, u32), String>,
}

/// A chain: where it is hooked, when it is a base chain, and its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub hook: Option<String>,
    pub rules: Vec<String>,
}

impl Table {
    /// Replaces whatever table has the name by this one with `elements` (sorted by set), atomically: no
    /// packet sees a state in between, and tracked connections stay.
    pub fn full<'a>(&self, elements: impl IntoIterator<Item = &'a Element>) -> String {
        let name = &self.name;
        let mut script = format!("table ip {name} {{}}\ndelete table ip {name}\ntable ip {name} {{\n");
        for declaration in self.sets.values() {
            script += &format!("  {declaration}\n");
        }
        for (chain, Chain { hook, rules }) in &self.chains {
            script += &format!("  chain {chain} {{\n");
            for line in hook.iter().chain(rules) {
                script += &format!("    {line}\n");
            }
            script += "  }\n";
        }
        script += "}\n";
        self.add_dispatch(self.dispatch.iter(), &mut script);
        let mut by_set = BTreeMap::<_, Vec<String>>::new();
        for element in elements {
            by_set.entry(&element.set).or_default().push(element.to_string());
        }
        for (set, elements) in by_set {
            // A line is one message to the kernel, and a message has a size limit.
            for elements in elements.chunks(1000) {
                script += &format!("add element ip {name} {set} {{ {} }}\n", elements.join(", "));
            }
        }
        script
    }

    /// What turns `old` into this table, rewriting only the chains whose rules differ; `None` when nothing does.
    /// Base chains and set declarations never change under a name.
    pub fn changes_from(&self, old: &Table) -> Option<String> {
        let name = &self.name;
        let mut script = String::new();
        let mut line = |text: String| {
            script += &text;
            script.push('\n');
        };
        for (set, declaration) in &self.sets {
            if !old.sets.contains_key(set) {
                let (kind, rest) = declaration.split_once(' ').expect("a declaration begins with its kind");
                line(format!("add {kind} ip {name} {rest}"));
            }
        }
        // All new chains first: rules and maps refer to them.
        for chain in self.chains.keys().filter(|chain| !old.chains.contains_key(*chain)) {
            line(format!("add chain ip {name} {chain}"));
        }
        for (chain, Chain { rules, .. }) in &self.chains {
            let before = old.chains.get(chain).map_or(&[][..], |chain| &chain.rules);
            if before == rules {
                continue;
            }
            if !before.is_empty() {
                line(format!("flush chain ip {name} {chain}"));
            }
            for rule in rules {
                line(format!("add rule ip {name} {chain} {rule}"));
            }
        }
        for ((map, mark), chain) in old.dispatch.iter().filter(|(key, chain)| self.dispatch.get(*key) != Some(chain)) {
            line(format!("delete element ip {name} {map} {{ {mark} : goto {chain} }}"));
        }
        self.add_dispatch(
            self.dispatch.iter().filter(|(key, chain)| old.dispatch.get(*key) != Some(chain)),
            &mut script,
        );
        let gone = |chain: &&String| !self.chains.contains_key(*chain);
        for verb in ["flush", "delete"] {
            for chain in old.chains.keys().filter(gone) {
                writeln!(script, "{verb} chain ip {name} {chain}").expect("a string takes all text");
            }
        }
        for set in old.sets.keys().filter(|set| !self.sets.contains_key(*set)) {
            writeln!(script, "delete set ip {name} {set}").expect("a string takes all text");
        }
        (!script.is_empty()).then_some(script)
    }

    fn add_dispatch<'a>(&self, dispatch: impl Iterator<Item = (&'a (String, u32), &'a String)>, script: &mut String) {
        for ((map, mark), chain) in dispatch {
            writeln!(script, "add element ip {} {map} {{ {mark} : goto {chain} }}", self.name)
                .expect("a string takes all text");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(groups: &[(&str, &[&str])]) -> Table {
        let mut table = Table { name: "t".into(), ..Table::default() };
        for (number, (group, rules)) in (1..).zip(groups) {
            table.sets.insert(format!("m-{group}"), format!("set m-{group} {{ type ipv4_addr; }}"));
            table.chains.insert(
                format!("in-{group}"),
                Chain { hook: None, rules: rules.iter().map(|rule| (*rule).to_owned()).collect() },
            );
            table.dispatch.insert(("ingress-of".into(), number), format!("in-{group}"));
        }
        table
    }

    #[test]
    fn an_equal_table_changes_nothing() {
        let one = table(&[("a", &["accept"])]);
        assert_eq!(one.changes_from(&one.clone()), None);
    }

    #[test]
    fn only_the_chain_that_differs_is_rewritten() {
        let old = table(&[("a", &["tcp dport 80 accept"]), ("b", &["accept"])]);
        let new = table(&[("a", &["tcp dport 81 accept"]), ("b", &["accept"])]);
        assert_eq!(new.changes_from(&old).unwrap(), "flush chain ip t in-a\nadd rule ip t in-a tcp dport 81 accept\n");
    }

    #[test]
    fn references_are_removed_before_what_they_refer_to() {
        let old = table(&[("a", &["accept"]), ("b", &["accept"])]);
        let new = table(&[("a", &["accept"])]);
        assert_eq!(
            new.changes_from(&old).unwrap(),
            "delete element ip t ingress-of { 2 : goto in-b }\nflush chain ip t in-b\ndelete chain ip t in-b\ndelete set ip t m-b\n"
        );
        assert_eq!(
            old.changes_from(&new).unwrap(),
            "add set ip t m-b { type ipv4_addr; }\nadd chain ip t in-b\nadd rule ip t in-b accept\nadd element ip t ingress-of { 2 : goto in-b }\n"
        );
    }
}
