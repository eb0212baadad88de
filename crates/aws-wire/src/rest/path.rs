//! Paths and their templates: `/v1/clusters/{name}`, `/{bucket}/{key+}?acl`.

use std::cmp::Ordering;

use longshore_aws_model::OperationSchema;

use crate::form::{self, Pair};

/// Labels of a template with what stands in their place, decoded.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// The operation that method, path and query string ask for: the most precise template that fits.
pub(crate) fn route(
    operations: &[&'static OperationSchema],
    method: &str,
    path: &str,
    query: &[Pair],
) -> Option<(&'static OperationSchema, Labels)> {
    let fits = operations.iter().copied().filter(|o| o.http.method == method).filter_map(|operation| {
        let (template, parameters) = operation.http.path.split_once('?').unwrap_or((operation.http.path, ""));
        let parameters = form::pairs(parameters.as_bytes());
        let has = |want: &Pair| query.iter().any(|(k, v)| *k == want.0 && (want.1.is_empty() || *v == want.1));
        let labels = labels(template, path).filter(|_| parameters.iter().all(has))?;
        Some((operation, labels, template, parameters.len()))
    });
    let best = fits.max_by(|a, b| precision(a.2, b.2).then(a.3.cmp(&b.3)))?;
    Some((best.0, best.1))
}

fn segments(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    // Clients differ on the slash at the end.
    path.trim_start_matches('/').trim_end_matches('/').split('/')
}

fn label(segment: &'static str) -> Option<(&'static str, bool)> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_suffix('+').map_or((name, false), |greedy| (greedy, true)))
}

/// What stands in the template's labels, if the path fits it.
fn labels(template: &'static str, path: &str) -> Option<Labels> {
    let mut found = Labels::new();
    let wanted: Vec<_> = segments(template).collect();
    let mut given: Vec<_> = segments(path).collect();
    // A greedy label takes what the segments after it leave, slash at the end included.
    let greedy = wanted.iter().position(|s| label(s).is_some_and(|(_, greedy)| greedy));
    if let Some(at) = greedy {
        given = path.trim_start_matches('/').split('/').collect();
        let after = wanted.len() - at - 1;
        if given.len() < wanted.len() {
            return None;
        }
        let tail = given.split_off(given.len() - after);
        let spanned = given.split_off(at).join("/");
        let (name, _) = label(wanted[at])?;
        found.push((name, form::decode_path(&spanned)));
        given.push("");
        given.extend(tail);
    }
    if wanted.len() != given.len() {
        return None;
    }
    for (i, (want, have)) in wanted.iter().zip(given).enumerate() {
        match label(want) {
            Some(_) if greedy == Some(i) => {}
            Some(_) if have.is_empty() => return None,
            Some((name, _)) => found.push((name, form::decode_path(have))),
            None if form::decode_path(have) == *want => {}
            None => return None,
        }
    }
    Some(found)
}

/// Greater is more precise: from left to right, a literal beats a label, and a label a greedy one.
fn precision(a: &'static str, b: &'static str) -> Ordering {
    let rank = |segment| match label(segment) {
        None => 2,
        Some((_, false)) => 1,
        Some((_, true)) => 0,
    };
    segments(a).map(rank).cmp(segments(b).map(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &'static str, path: &str, want: Option<&[(&str, &str)]>) {
        let want = want.map(|w| w.iter().map(|(k, v)| (*k, (*v).to_owned())).collect::<Vec<_>>());
        let got = labels(template, path).map(|mut l| {
            l.sort_unstable();
            l
        });
        assert_eq!(got, want, "{template} {path}");
    }

    #[test]
    fn labels_take_one_segment_and_greedy_ones_many() {
        check("/clusters/{name}", "/clusters/a%2Fb%20c+d", Some(&[("name", "a/b c+d")]));
        check("/clusters/{name}", "/clusters/a/b", None);
        check("/clusters/{name}", "/clusters/", None);
        check("/hostedzone/{Id}/rrset/", "/hostedzone/Z1/rrset", Some(&[("Id", "Z1")]));
        check("/{Bucket}/{Key+}", "/b/a/b%20/c/", Some(&[("Bucket", "b"), ("Key", "a/b /c/")]));
        check("/{Bucket}/{Key+}/tags", "/b/a/b/tags", Some(&[("Bucket", "b"), ("Key", "a/b")]));
        check("/{Bucket}/{Key+}", "/b", None);
        check("/", "/", Some(&[]));
        check("/", "/x", None);
    }

    #[test]
    fn literals_beat_labels_beat_greedy_labels() {
        assert_eq!(precision("/a/b", "/a/{x}"), Ordering::Greater);
        assert_eq!(precision("/a/{x}", "/a/{x+}"), Ordering::Greater);
        assert_eq!(precision("/{x}/b", "/a/{y+}"), Ordering::Less);
    }
}
