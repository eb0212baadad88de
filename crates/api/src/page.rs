//! Pages of a list, the same for every operation that has them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One page and the token of the next.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_token: Option<String>,
}

/// The token is not one of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct BadToken;

/// The page that `token` names, of at most `limit` items (at least one). `items` come in the order of `key`; the token
/// holds the last key given out, so that a page is right even when rows come and go between two calls.
pub fn page<T>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    token: Option<&str>,
    limit: usize,
) -> Result<Page<T>, BadToken> {
    page_after(items, &key, |key, after| key > after, token, limit)
}

/// The same of `items` that come in the reverse order of `key`.
pub fn page_down<T>(
    items: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
    token: Option<&str>,
    limit: usize,
) -> Result<Page<T>, BadToken> {
    page_after(items, &key, |key, after| key < after, token, limit)
}

/// The same of items in any order: they are put in that of `key`, or `descending` in its reverse.
pub fn sorted<T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> String,
    descending: bool,
    token: Option<&str>,
    limit: usize,
) -> Result<Page<T>, BadToken> {
    items.sort_by_cached_key(&key);
    match descending {
        false => page(items.into_iter(), key, token, limit),
        true => page_down(items.into_iter().rev(), key, token, limit),
    }
}

/// The key of an item that is ordered by a time, in milliseconds since 1970, and then by name. Without a time it is first.
pub fn timed_key(at_ms: Option<i64>, name: &str) -> String {
    // With the sign bit flipped, negative times sort before positive ones.
    let time = at_ms.map_or(0, |at_ms| at_ms.cast_unsigned() ^ (1 << 63));
    format!("{time:020}/{name}")
}

fn page_after<T>(
    items: impl Iterator<Item = T>,
    key: &dyn Fn(&T) -> String,
    follows: fn(&str, &str) -> bool,
    token: Option<&str>,
    limit: usize,
) -> Result<Page<T>, BadToken> {
    let after = token.map(decode).transpose()?;
    let mut rest = items.skip_while(|item| after.as_deref().is_some_and(|after| !follows(&key(item), after)));
    let items: Vec<T> = rest.by_ref().take(limit.max(1)).collect();
    let more = rest.next().is_some();
    let next_token = items.last().filter(|_| more).map(|last| format!(".{}", URL_SAFE_NO_PAD.encode(key(last))));
    Ok(Page { items, next_token })
}

/// The dot is what a token with a seal (see [`crate::tokens`]) does not begin with.
fn decode(token: &str) -> Result<String, BadToken> {
    let key = token.strip_prefix('.').ok_or(BadToken)?;
    URL_SAFE_NO_PAD.decode(key).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_survive_removals() {
        let all = ["a", "b", "c", "d"];
        let first = page(all.iter(), |s| s.to_string(), None, 2).expect("a page");
        assert_eq!(first.items, [&"a", &"b"]);
        let without_b = ["a", "c", "d"];
        let second = page(without_b.iter(), |s| s.to_string(), first.next_token.as_deref(), 2).expect("a page");
        assert_eq!((second.items, second.next_token), (vec![&"c", &"d"], None));
        for bad in ["%%", ".%%", "YQ"] {
            assert_eq!(page(all.iter(), |s| s.to_string(), Some(bad), 2), Err(BadToken));
        }
        let down = page_down(all.iter().rev(), |s| s.to_string(), None, 2).expect("a page");
        assert_eq!(down.items, [&"d", &"c"]);
        let down = page_down(without_b.iter().rev(), |s| s.to_string(), down.next_token.as_deref(), 2).expect("a page");
        assert_eq!((down.items, down.next_token), (vec![&"a"], None));
    }

    #[test]
    fn times_order_items_before_names_do() {
        let items = vec![(Some(10), "a"), (None, "z"), (Some(-1), "c"), (Some(10), "b"), (Some(9), "d")];
        let names = |descending| {
            let key = |(at, name): &(Option<i64>, &str)| timed_key(*at, name);
            let page = sorted(items.clone(), key, descending, None, 9).expect("a page");
            page.items.iter().map(|(_, name)| *name).collect::<String>()
        };
        assert_eq!((names(false).as_str(), names(true).as_str()), ("zcdab", "badcz"));
    }
}
