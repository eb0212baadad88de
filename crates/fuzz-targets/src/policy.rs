//! IAM's policy language, and every kind of wildcard in the tree against a plain matcher.

use longshore_policy::{MapContext, Policy, Principal, Request, is_like, says};

use crate::input::{FIELD, Input};

/// A policy document, then action, resource, and pairs of context key and value.
///
/// Holds: a document is read or refused, and a decision is the same when asked twice.
pub fn policy(data: &[u8]) {
    let mut input = Input::new(data);
    let document = input.text(FIELD);
    let Ok(policy) = Policy::parse(&document) else { return };
    let (action, resource) = (input.text(FIELD), input.text(FIELD));
    let mut context = MapContext::default();
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        let key = input.text(FIELD).into_owned();
        context.set(key, input.text(FIELD).split('\n').map(str::to_owned).collect());
    }
    let _ = policy.keys();
    for principal in [
        Principal::Aws { arn: "arn:aws:iam::123456789012:user/ann", role: None, account: "123456789012" },
        Principal::Service("ecs-tasks.amazonaws.com"),
        Principal::Anyone,
    ] {
        let request = Request { action: &action, resource: &resource, principal, context: &context };
        let first = says(&request, &policy, true);
        assert_eq!(first, says(&request, &policy, true));
    }
}

/// A pattern and a text.
///
/// Holds: IAM's, the rules' and COPY's matchers agree with a plain recursive one where their languages are the same.
pub fn patterns(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let pattern: String = input.text(FIELD).chars().take(40).collect();
    let text: String = input.rest_text().chars().take(60).collect();
    let plain = |pattern: &str, text: &str| {
        let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        plain(&pattern, &text)
    };
    assert_eq!(is_like(&pattern, &text), plain(&pattern, &text), "IAM: {pattern:?} on {text:?}");
    let (ignore_case, escapes) = (flags & 1 != 0, flags & 2 != 0);
    let found = longshore_balancer::fuzzing::glob(&pattern, text.as_bytes(), ignore_case, escapes);
    // The rules' `?` is one byte, so that only ASCII compares.
    if text.is_ascii() && pattern.is_ascii() && !(escapes && pattern.contains('\\')) {
        let (pattern, text) = match ignore_case {
            true => (pattern.to_ascii_lowercase(), text.to_ascii_lowercase()),
            false => (pattern.clone(), text.clone()),
        };
        assert_eq!(found, plain(&pattern, &text), "rule: {pattern:?} on {text:?}");
    }
    let found = longshore_image::fuzzing::path_matches(&pattern, &text);
    if !pattern.contains(['[', '\\']) && !pattern.contains("**") && !text.contains('/') {
        assert_eq!(found, Some(plain(&pattern, &text)), "COPY: {pattern:?} on {text:?}");
    }
    let _ = longshore_image::fuzzing::ignores(&pattern.replace('|', "\n"), &text);
}

/// Fills a table: right by inspection.
fn plain(pattern: &[char], text: &[char]) -> bool {
    let mut matches = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    matches[pattern.len()][text.len()] = true;
    for p in (0..pattern.len()).rev() {
        for t in (0..=text.len()).rev() {
            matches[p][t] = match pattern[p] {
                '*' => matches[p + 1][t] || (t < text.len() && matches[p][t + 1]),
                '?' => t < text.len() && matches[p + 1][t + 1],
                c => t < text.len() && text[t] == c && matches[p + 1][t + 1],
            };
        }
    }
    matches[0][0]
}
