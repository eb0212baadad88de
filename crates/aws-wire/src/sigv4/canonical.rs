//! The canonical form of a request, which client and server hash alike.

use crate::form;
use std::fmt::Write as _;

/// A request as it was signed.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Path as sent, still encoded.
    pub path: &'a str,
    /// Query string as sent, without the question mark.
    pub query: &'a str,
    /// Every header in the order sent, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a [u8],
}

impl<'a> SignedRequest<'a> {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// The canonical request. `presigned` leaves the signature itself out of the query string; `normalize` resolves dots
    /// and doubled slashes of the path, as every service but S3 does.
    pub(super) fn canonical(
        &self,
        signed_headers: &[String],
        payload_hash: &str,
        presigned: bool,
        normalize: bool,
    ) -> String {
        let mut out = String::with_capacity(512 + self.query.len());
        out.push_str(self.method);
        out.push('\n');
        write_path(&mut out, self.path, normalize);
        out.push('\n');
        self.write_query(&mut out, presigned);
        out.push('\n');
        for name in signed_headers {
            out.push_str(name);
            out.push(':');
            let values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| *value);
            for (i, value) in values.enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(&mut out, value);
            }
            out.push('\n');
        }
        out.push('\n');
        for (i, name) in signed_headers.iter().enumerate() {
            if i > 0 {
                out.push(';');
            }
            out.push_str(name);
        }
        let _ = write!(out, "\n{payload_hash}");
        out
    }

    /// Parameters sorted by name, then value, each encoded in the one canonical way.
    fn write_query(&self, out: &mut String, presigned: bool) {
        if self.query.is_empty() {
            return;
        }
        let mut pairs: Vec<_> = form::pairs(self.query.as_bytes())
            .into_iter()
            .filter(|(key, _)| !(presigned && key == "X-Amz-Signature"))
            .map(|(key, value)| (form::percent_encode(&key), form::percent_encode(&value)))
            .collect();
        pairs.sort_unstable();
        for (i, (key, value)) in pairs.iter().enumerate() {
            if i > 0 {
                out.push('&');
            }
            let _ = write!(out, "{key}={value}");
        }
    }
}

/// Outer white space goes, inner runs of it become one space.
fn write_value(out: &mut String, value: &str) {
    for (i, word) in value.split_ascii_whitespace().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// The path as sent is encoded once more: clients sign the encoded path's encoding.
fn write_path(out: &mut String, path: &str, normalize: bool) {
    let path = if path.is_empty() { "/" } else { path };
    if !normalize {
        encode_path(out, path);
        return;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push('/');
        encode_path(out, segment);
    }
    let is_directory = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if is_directory || segments.is_empty() {
        out.push('/');
    }
}

fn encode_path(out: &mut String, path: &str) {
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            out.push('/');
        }
        out.push_str(&form::percent_encode(segment));
    }
}
