//! Filters of the Describe operations: each operation has a table of names, and what a name looks at.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{Filter, Tag};

/// Filters of a resource as it is sent: name, and the values an item has for it. An item passes a filter when one of its
/// values is like one of the filter's.
pub type FilterTable<T> = [(&'static str, fn(&T) -> Vec<String>)];

/// What can be filtered by `tag:<key>` and `tag-key`.
pub trait Tagged {
    fn tags(&self) -> &[Tag];
}

/// Filters that all have a known name.
#[derive(Debug)]
pub struct Filters<'a, T: 'static> {
    wanted: Vec<Wanted<'a, T>>,
}

#[derive(Debug)]
struct Wanted<'a, T> {
    what: What<'a, T>,
    patterns: &'a [String],
}

#[derive(Debug)]
enum What<'a, T> {
    Values(fn(&T) -> Vec<String>),
    Tag(&'a str),
    TagKey,
}

impl<'a, T: Tagged> Filters<'a, T> {
    /// Reads a request's filters; an unknown name is an error.
    pub fn parse(filters: Option<&'a [Filter]>, table: &FilterTable<T>) -> Result<Self, AwsError> {
        let wanted = filters.unwrap_or_default().iter().map(|filter| {
            let name = filter.name.as_deref().unwrap_or("null");
            let what = match name.strip_prefix("tag:") {
                Some(key) => What::Tag(key),
                None if name == "tag-key" => What::TagKey,
                None => {
                    let known = table.iter().find(|(known, _)| *known == name);
                    What::Values(known.ok_or_else(|| error::invalid_filter(name))?.1)
                }
            };
            Ok(Wanted { what, patterns: filter.values.as_deref().unwrap_or_default() })
        });
        Ok(Self { wanted: wanted.collect::<Result<_, AwsError>>()? })
    }

    /// Whether the item passes every filter.
    pub fn pass(&self, item: &T) -> bool {
        self.wanted.iter().all(|wanted| {
            let any = |text: &str| wanted.patterns.iter().any(|pattern| is_like(pattern, text));
            match wanted.what {
                What::Values(values) => values(item).iter().any(|value| any(value)),
                What::Tag(key) => item
                    .tags()
                    .iter()
                    .any(|tag| tag.key.as_deref() == Some(key) && any(tag.value.as_deref().unwrap_or_default())),
                What::TagKey => item.tags().iter().filter_map(|tag| tag.key.as_deref()).any(any),
            }
        })
    }
}

/// One value, or none; for lines of a [`FilterTable`].
pub fn text(value: &Option<String>) -> Vec<String> {
    value.iter().cloned().collect()
}

/// `true` or `false`; for lines of a [`FilterTable`].
pub fn flag(value: Option<bool>) -> Vec<String> {
    vec![value.unwrap_or(false).to_string()]
}

/// A number as text; for lines of a [`FilterTable`].
pub fn number(value: Option<i32>) -> Vec<String> {
    value.iter().map(i32::to_string).collect()
}

/// Whether `text` fits `pattern`: `*` is any text, `?` any one character, and a backslash takes the next one literally.
/// Case counts.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let pattern = parse_pattern(pattern);
    let text: Vec<char> = text.chars().collect();
    // The usual two-pointer match: at a mismatch, the last `*` takes one character more.
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Piece::Any) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(Piece::One) => (p, t) = (p + 1, t + 1),
            Some(Piece::Char(c)) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after_star, taken)) => {
                    retry = Some((after_star, taken + 1));
                    (p, t) = (after_star, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|piece| matches!(piece, Piece::Any))
}

enum Piece {
    Any,
    One,
    Char(char),
}

fn parse_pattern(pattern: &str) -> Vec<Piece> {
    let mut chars = pattern.chars();
    let mut pieces = Vec::new();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Char(chars.next().unwrap_or('\\')),
            c => Piece::Char(c),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Item(Vec<Tag>);
    impl Tagged for Item {
        fn tags(&self) -> &[Tag] {
            &self.0
        }
    }
    const TABLE: &FilterTable<Item> = &[("tag-count", |item| vec![item.0.len().to_string()])];

    fn filter(name: &str, values: &[&str]) -> Filter {
        Filter { name: Some(name.to_owned()), values: Some(values.iter().map(|v| v.to_string()).collect()) }
    }

    fn pass(filters: &[Filter]) -> bool {
        let tag = |key: &str, value: &str| Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let item = Item(vec![tag("Name", "web-1"), tag("env", "")]);
        Filters::parse(Some(filters), TABLE).expect("known filters").pass(&item)
    }

    #[test]
    fn patterns_match_as_in_ec2() {
        for (pattern, text, expected) in [
            ("web", "web", true),
            ("web", "Web", false),
            ("w*", "web", true),
            ("*b*b", "abcb", true),
            ("*b*b", "abc", false),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\\b", r"a\b", true),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn filters_are_joined_by_and_their_values_by_or() {
        assert!(pass(&[]));
        assert!(pass(&[filter("tag:Name", &["db-*", "web-*"]), filter("tag-count", &["2"])]));
        assert!(!pass(&[filter("tag:Name", &["web-*"]), filter("tag-count", &["3"])]));
        assert!(pass(&[filter("tag-key", &["env"])]));
        assert!(pass(&[filter("tag:env", &[""])]));
        assert!(!pass(&[filter("tag:none", &["*"])]));
        assert!(!pass(&[filter("tag-count", &[])]));
    }

    #[test]
    fn an_unknown_filter_is_refused_by_name() {
        let error = Filters::parse(Some(&[filter("colour", &["red"])]), TABLE).expect_err("no such filter");
        assert_eq!(error, AwsError::new("InvalidParameterValue", "The filter 'colour' is invalid"));
    }
}
