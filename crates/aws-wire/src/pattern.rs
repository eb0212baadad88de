//! The models' regular expressions, compiled once each.
//!
//! They are written for Java, where `\w` and `\d` are ASCII. A pattern we cannot compile constrains nothing: refusing what
//! AWS accepts would be worse than the reverse.

use std::collections::HashMap;
use std::sync::RwLock;

use regex::Regex;

type Compiled = RwLock<HashMap<&'static str, Option<&'static Regex>>>;

/// True when the whole text matches, or the pattern cannot be compiled.
pub(crate) fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: std::sync::LazyLock<Compiled> = std::sync::LazyLock::new(Default::default);
    let known = COMPILED.read().unwrap_or_else(|e| e.into_inner()).get(pattern).copied();
    let regex = known.unwrap_or_else(|| {
        // Patterns are statics of the models, so that what is leaked here is bounded.
        let regex = compile(pattern).map(|r| &*Box::leak(Box::new(r)));
        COMPILED.write().unwrap_or_else(|e| e.into_inner()).insert(pattern, regex);
        regex
    });
    regex.is_none_or(|r| r.is_match(text))
}

/// Patterns that look ahead, which our expressions cannot, and what is the same without it.
const WITHOUT_LOOK_AHEAD: &[(&str, &str)] = &[
    // Certificate Manager's domain names: labels begin and end with a letter or digit.
    (
        r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])",
        r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]",
    ),
    // IAM's account aliases: no two hyphens in a row. The length, 3 to 63, is a constraint of its own in the model.
    (r"^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$", "[a-z0-9]+(-[a-z0-9]+)*"),
];

fn compile(pattern: &str) -> Option<Regex> {
    let pattern = WITHOUT_LOOK_AHEAD.iter().find(|(with, _)| *with == pattern).map_or(pattern, |(_, without)| without);
    let mut ours = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                // As a nested class this is right inside of brackets, too.
                Some('w') => ours.push_str("[0-9A-Za-z_]"),
                Some('d') => ours.push_str("[0-9]"),
                Some(other) => ours.extend(['\\', other]),
                None => ours.push('\\'),
            },
            (c, false) => ours.push(c),
        }
    }
    // `[\w-_]`: to Java the hyphen after a class is a hyphen.
    let ours = ours.replace("]-_", "]\\-_");
    Regex::new(&format!(r"\A(?:{ours})\z")).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use longshore_aws_model::{Kind, SERVICES, Schema};

    use super::*;

    #[test]
    fn whole_text_must_match_in_ascii_classes() {
        assert!(matches(r"[\w-]*", "a-b_9"));
        assert!(!matches(r"[\w-]*", "ä"));
        assert!(!matches("a|b", "ab"));
        assert!(matches(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe 1"));
        assert!(matches(r"[\w-_]*", "a-_"));
        let domain = WITHOUT_LOOK_AHEAD[0].0;
        assert!(["a.example", "*.a-b.c.example", "x.y.zz"].iter().all(|name| matches(domain, name)));
        assert!(
            ["-a.example", "a-.example", "example", "*.*.example", "a.b"].iter().all(|name| !matches(domain, name))
        );
        let alias = WITHOUT_LOOK_AHEAD[1].0;
        assert!(matches(alias, "my-account-1") && !matches(alias, "a--b") && !matches(alias, "a-"));
        assert!(matches("(?=x)", "anything goes when it cannot be compiled"));
    }

    #[test]
    fn every_pattern_of_the_served_operations_compiles() {
        fn collect(schema: &'static Schema, seen: &mut BTreeSet<usize>, bad: &mut Vec<&'static str>) {
            if !seen.insert(std::ptr::from_ref(schema) as usize) {
                return;
            }
            bad.extend(schema.pattern.filter(|p| compile(p).is_none()));
            match schema.kind {
                Kind::Structure(members) => members.iter().for_each(|m| collect(m.schema, seen, bad)),
                Kind::List(l) => collect(l.element, seen, bad),
                Kind::Map(m) => [m.key, m.value].into_iter().for_each(|s| collect(s, seen, bad)),
                _ => {}
            }
        }
        let (mut seen, mut bad) = (BTreeSet::new(), Vec::new());
        for op in SERVICES.iter().flat_map(|s| s.operations) {
            collect(op.input, &mut seen, &mut bad);
        }
        assert_eq!(bad, Vec::<&str>::new());
    }
}
