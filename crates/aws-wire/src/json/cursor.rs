//! A pull parser over a JSON text: whoever asks knows what should stand there, so nothing is built in between.

use std::borrow::Cow;

use longshore_aws_model::ReadError;

/// Nesting beyond this is refused, so that no body can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Kind of the value that stands next, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// Fails only for bytes that are not UTF-8.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(body)
            .map_err(|e| ReadError::Syntax(format!("Invalid UTF-8 at byte {} of the request body", e.valid_up_to())))?;
        Ok(Self { text, at: 0, depth: 0 })
    }

    pub(crate) fn unexpected(&self) -> ReadError {
        ReadError::Syntax(match self.text[self.at..].chars().next() {
            Some(c) => format!("Unexpected character {c:?} at offset {}", self.at),
            None => "Unexpected end of input".to_owned(),
        })
    }

    fn peek_byte(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    pub(crate) fn peek(&mut self) -> Result<Token, ReadError> {
        Ok(match self.peek_byte() {
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'"') => Token::String,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't') => Token::True,
            Some(b'f') => Token::False,
            Some(b'n') => Token::Null,
            _ => return Err(self.unexpected()),
        })
    }

    /// True when nothing but white space is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.peek_byte().is_none()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek_byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), ReadError> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn word(&mut self, word: &str) -> Result<(), ReadError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(())
    }

    /// Consumes `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Result<bool, ReadError> {
        let value = self.peek()? == Token::True;
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Consumes `null` if it stands here.
    pub(crate) fn null(&mut self) -> Result<bool, ReadError> {
        let is_null = self.peek()? == Token::Null;
        if is_null {
            self.word("null")?;
        }
        Ok(is_null)
    }

    /// Consumes an object: calls `on` at each value, which must consume it.
    pub(crate) fn object(
        &mut self,
        mut on: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.expect(b'{')?;
        self.enter()?;
        if !self.eat(b'}') {
            loop {
                if self.peek_byte() != Some(b'"') {
                    return Err(self.unexpected());
                }
                let key = self.string()?;
                self.expect(b':')?;
                on(self, key)?;
                if self.eat(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Consumes an array: calls `on` at each element, which must consume it.
    pub(crate) fn array(&mut self, mut on: impl FnMut(&mut Self) -> Result<(), ReadError>) -> Result<(), ReadError> {
        self.expect(b'[')?;
        self.enter()?;
        if !self.eat(b']') {
            loop {
                on(self)?;
                if self.eat(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), ReadError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ReadError::Syntax(format!("The request body is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(())
    }

    /// Consumes a string; borrows when nothing is escaped.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut owned: Option<String> = None;
        let mut copied = start;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count();
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    let tail = &self.text[copied..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(tail),
                        Some(s) => Cow::Owned(s + tail),
                    });
                }
                Some(b'\\') => {
                    let s = owned.get_or_insert_default();
                    s.push_str(&self.text[copied..self.at]);
                    let c = self.escape()?;
                    owned.get_or_insert_default().push(c);
                    copied = self.at;
                }
                // Control characters must be escaped.
                _ => return Err(self.unexpected()),
            }
        }
    }

    /// Consumes an escape sequence, or two when they are surrogates; a lone surrogate becomes U+FFFD.
    fn escape(&mut self) -> Result<char, ReadError> {
        self.at += 1;
        let Some(kind) = self.text.as_bytes().get(self.at).copied() else {
            return Err(self.unexpected());
        };
        let c = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                let unit = self.hex4()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                if !self.text[self.at..].starts_with("\\u") {
                    return Ok(char::REPLACEMENT_CHARACTER);
                }
                let back = self.at;
                self.at += 2;
                let low = self.hex4()?;
                if !(0xdc00..0xe000).contains(&low) {
                    self.at = back;
                    return Ok(char::REPLACEMENT_CHARACTER);
                }
                let c = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(c)
    }

    fn hex4(&mut self) -> Result<u32, ReadError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.unexpected());
        };
        self.at += 4;
        Ok(digits.iter().fold(0, |n, d| n * 16 + char::from(*d).to_digit(16).unwrap_or(0)))
    }

    /// Consumes a number and gives its text, which follows JSON's grammar.
    pub(crate) fn number(&mut self) -> Result<&'a str, ReadError> {
        self.peek_byte();
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > from
        };
        self.at += usize::from(bytes.get(self.at) == Some(&b'-'));
        let zero = bytes.get(self.at) == Some(&b'0');
        let first = self.at;
        let mut good = digits(&mut self.at) && !(zero && self.at > first + 1);
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            good &= digits(&mut self.at);
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            good &= digits(&mut self.at);
        }
        if good { Ok(&self.text[start..self.at]) } else { Err(self.unexpected()) }
    }

    /// Consumes any value and gives its text.
    pub(crate) fn skip(&mut self) -> Result<&'a str, ReadError> {
        let token = self.peek()?;
        let start = self.at;
        match token {
            Token::Object => self.object(|c, _| c.skip().map(drop))?,
            Token::Array => self.array(|c| c.skip().map(drop))?,
            Token::String => drop(self.string()?),
            Token::Number => drop(self.number()?),
            Token::True | Token::False => drop(self.boolean()?),
            Token::Null => drop(self.null()?),
        }
        Ok(&self.text[start..self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &[u8]) -> bool {
        Cursor::new(text).is_ok_and(|mut c| c.skip().is_ok() && c.at_end())
    }

    #[test]
    fn strings_are_unescaped() {
        let read = |text: &str| Cursor::new(text.as_bytes()).expect("utf-8").string().map(Cow::into_owned);
        assert_eq!(read(r#""plain""#).as_deref(), Ok("plain"));
        assert_eq!(read(r#""a\n\"\u00e9\ud83d\ude00\/ä""#).as_deref(), Ok("a\n\"é😀/ä"));
        assert_eq!(read(r#""\ud83dx""#).as_deref(), Ok("\u{fffd}x"));
        assert_eq!(read(r#""\ud83d\u0041""#).as_deref(), Ok("\u{fffd}A"));
        assert!(read(r#""\u12""#).is_err());
        assert!(read("\"a\nb\"").is_err());
        assert!(read(r#""open"#).is_err());
    }

    #[test]
    fn grammar_agrees_with_serde_json_on_mutated_bodies() {
        let seed = br#"{"a":[1,-2.5e+3,true,null,{"b":"x\u00e9\\"}], "c":{} ,"d":[],"e":0.1,"f":"\t"}"#;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        let alphabet = br#"{}[]",:\0123e+-.tfnu aA "#;
        for _ in 0..50_000 {
            let mut text = seed.to_vec();
            for _ in 0..=next(3) {
                let at = next(text.len());
                match next(3) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, alphabet[next(alphabet.len())]),
                    _ => text[at] = alphabet[next(alphabet.len())],
                }
            }
            let ours = accepts(&text);
            let theirs = serde_json::from_slice::<serde_json::Value>(&text);
            let shown = String::from_utf8_lossy(&text);
            match theirs {
                Ok(_) => assert!(ours, "refused {shown}"),
                // We take lone surrogates and numbers beyond f64, which serde_json refuses.
                Err(e) => assert!(
                    !ours
                        || e.to_string().contains("surrogate")
                        || e.to_string().contains("hex escape")
                        || e.to_string().contains("out of range"),
                    "accepted {shown}: {e}"
                ),
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_a_crash() {
        assert!(!accepts("[".repeat(60).as_bytes()));
        assert!(!accepts("[".repeat(1_000_000).as_bytes()));
        assert!(accepts(format!("{}{}", "[".repeat(60), "]".repeat(60)).as_bytes()));
    }
}
