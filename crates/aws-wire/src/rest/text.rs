//! Values in paths, query strings and headers: texts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::{Kind, OnElement, OnEntry, OnMember, ReadError, Schema, ShapeReader, Timestamp};

use crate::time;

/// The texts given for one name: several for a list.
pub(crate) struct TextReader<'a> {
    pub(crate) values: Vec<&'a str>,
    /// In a header a list is one text with commas.
    pub(crate) commas: bool,
    /// The text is base64.
    pub(crate) encoded: bool,
}

impl<'a> TextReader<'a> {
    /// One text: a label, an attribute, an entry.
    pub(crate) fn one(value: &'a str) -> Self {
        Self { values: vec![value], commas: false, encoded: false }
    }

    fn parsed<T>(&self, expected: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ReadError> {
        let text = self.values.first().copied().unwrap_or_default();
        parse(text.trim()).ok_or_else(|| ReadError::mismatch(text, expected))
    }
}

/// Numbers of every text protocol, with the three that are words.
pub(crate) fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // Rust reads `inf`, `nan` and their like, which are no numbers here.
        _ if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => text.parse().ok(),
        _ => None,
    }
}

/// The elements of a header: `a, "b, c", d`. Dates have a comma of their own.
fn elements(header: &str, dates: bool) -> Vec<String> {
    let (mut found, mut element, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut push = |element: &mut String, was_quoted: &mut bool| {
        let text = std::mem::take(element);
        found.push(if std::mem::take(was_quoted) { text } else { text.trim().to_owned() });
    };
    let mut chars = header.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted => quoted = false,
            '"' if element.trim().is_empty() => {
                element.clear();
                (quoted, was_quoted) = (true, true);
            }
            '\\' if quoted => element.extend(chars.next()),
            // `Mon, 16 Dec 2019`: the comma after a weekday.
            ',' if !quoted && dates && element.trim().len() == 3 => element.push(c),
            ',' if !quoted => push(&mut element, &mut was_quoted),
            // White space between the quote and the comma.
            ' ' | '\t' if was_quoted && !quoted => {}
            _ => element.push(c),
        }
    }
    push(&mut element, &mut was_quoted);
    found
}

impl ShapeReader for TextReader<'_> {
    fn structure(&mut self, _: &'static Schema, _: OnMember<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch(self.values.first().copied().unwrap_or_default(), "structure"))
    }

    fn list(&mut self, schema: &'static Schema, on: OnElement<'_>) -> Result<(), ReadError> {
        let dates = matches!(schema.inner().kind, Kind::Timestamp(_));
        for value in &self.values {
            if self.commas {
                elements(value, dates).iter().try_for_each(|e| on(&mut TextReader::one(e)))?;
            } else {
                on(&mut TextReader::one(value))?;
            }
        }
        Ok(())
    }

    fn map(&mut self, _: &'static Schema, _: OnEntry<'_>) -> Result<(), ReadError> {
        Err(ReadError::mismatch(self.values.first().copied().unwrap_or_default(), "map"))
    }

    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        if self.encoded {
            return self.parsed("String", |t| String::from_utf8(BASE64_STANDARD.decode(t).ok()?).ok());
        }
        Ok(self.values.first().copied().unwrap_or_default().to_owned())
    }

    fn integer(&mut self, _: &'static Schema) -> Result<i64, ReadError> {
        self.parsed("Integer", |t| t.parse().ok())
    }

    fn float(&mut self, _: &'static Schema) -> Result<f64, ReadError> {
        self.parsed("Double", float)
    }

    fn boolean(&mut self, _: &'static Schema) -> Result<bool, ReadError> {
        self.parsed("Boolean", |t| t.parse().ok())
    }

    fn timestamp(&mut self, _: &'static Schema) -> Result<Timestamp, ReadError> {
        self.parsed("Timestamp", time::parse)
    }

    fn blob(&mut self, _: &'static Schema) -> Result<Vec<u8>, ReadError> {
        self.parsed("Blob", |t| BASE64_STANDARD.decode(t).ok())
    }

    fn document(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        Err(ReadError::mismatch(self.values.first().copied().unwrap_or_default(), "Document"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lists_have_quotes_and_dates() {
        assert_eq!(elements(r#"a, "b, c" ,"d\"e\\",  f g "#, false), ["a", "b, c", "d\"e\\", "f g"]);
        let dates = "Mon, 16 Dec 2019 23:48:18 GMT,Tue, 17 Dec 2019 23:48:18 GMT";
        assert_eq!(elements(dates, true), ["Mon, 16 Dec 2019 23:48:18 GMT", "Tue, 17 Dec 2019 23:48:18 GMT"]);
        assert_eq!(elements("1,2", false), ["1", "2"]);
    }
}
