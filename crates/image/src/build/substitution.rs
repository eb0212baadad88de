//! Patterns in substitutions of variables (`${name#pattern}` and its kin), as shells have them.

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Is(char),
    /// `?`.
    One,
    /// `*`.
    Any,
}

/// Where in `text` a match that starts at its start can end, ascending.
fn ends(text: &[char], pattern: &[Part]) -> Vec<usize> {
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in (0..=text.len()).filter(|at| ends[*at]) {
            match part {
                Part::Any => {
                    next[at..].fill(true);
                    break;
                }
                Part::One if at < text.len() => next[at + 1] = true,
                Part::Is(c) if text.get(at) == Some(c) => next[at + 1] = true,
                Part::One | Part::Is(_) => {}
            }
        }
        ends = next;
    }
    (0..=text.len()).filter(|at| ends[*at]).collect()
}

/// `#`, and `##` for the longest match.
pub(super) fn without_start(text: &[char], pattern: &[Part], longest: bool) -> String {
    let ends = ends(text, pattern);
    let cut = if longest { ends.last() } else { ends.first() };
    text[cut.copied().unwrap_or(0)..].iter().collect()
}

/// `%`, and `%%` for the longest match.
pub(super) fn without_end(text: &[char], pattern: &[Part], longest: bool) -> String {
    let reversed: Vec<char> = text.iter().rev().copied().collect();
    let pattern: Vec<Part> = pattern.iter().rev().copied().collect();
    let left = without_start(&reversed, &pattern, longest);
    left.chars().rev().collect()
}

/// `/`, and `//` for every match. The longest match counts; an empty one never does.
pub(super) fn replace(text: &[char], pattern: &[Part], with: &str, all: bool) -> String {
    let mut out = String::new();
    let mut at = 0;
    let mut done = false;
    while at < text.len() {
        let end = ends(&text[at..], pattern).last().copied().filter(|end| *end > 0 && !done);
        match end {
            Some(end) => {
                out.push_str(with);
                at += end;
                done = !all;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}
