//! The cursor as a [`ShapeReader`]. Mismatches carry the token's name, which AWS's texts use.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::{OnElement, OnEntry, OnMember, ReadError, Schema, ShapeReader, Timestamp};

use super::cursor::{Cursor, Token};
use crate::time;

impl Cursor<'_> {
    /// A mismatch of whatever stands here with what was expected.
    fn mismatch(&mut self, expected: &'static str) -> ReadError {
        match self.peek() {
            Err(syntax) => syntax,
            Ok(token) => ReadError::mismatch(
                match token {
                    Token::Object => "START_OBJECT",
                    Token::Array => "START_ARRAY",
                    Token::String => "STRING_VALUE",
                    Token::Number => "NUMBER_VALUE",
                    Token::True => "TRUE_VALUE",
                    Token::False => "FALSE_VALUE",
                    Token::Null => "NULL_VALUE",
                },
                expected,
            ),
        }
    }

    fn require(&mut self, token: Token, expected: &'static str) -> Result<(), ReadError> {
        if self.peek()? == token { Ok(()) } else { Err(self.mismatch(expected)) }
    }
}

impl ShapeReader for Cursor<'_> {
    fn structure(&mut self, schema: &'static Schema, on: OnMember<'_>) -> Result<(), ReadError> {
        self.require(Token::Object, "structure")?;
        let members = schema.members();
        self.object(|c, key| match members.iter().position(|m| m.wire == key) {
            Some(i) if !c.null()? => on(i, c),
            Some(_) => Ok(()),
            None => c.skip().map(drop),
        })
    }

    fn list(&mut self, _: &'static Schema, on: OnElement<'_>) -> Result<(), ReadError> {
        self.require(Token::Array, "list")?;
        self.array(|c| if c.null()? { Ok(()) } else { on(c) })
    }

    fn map(&mut self, _: &'static Schema, on: OnEntry<'_>) -> Result<(), ReadError> {
        self.require(Token::Object, "map")?;
        self.object(|c, key| if c.null()? { Ok(()) } else { on(key.into_owned(), c) })
    }

    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        self.require(Token::String, "String")?;
        Cursor::string(self).map(|s| s.into_owned())
    }

    fn integer(&mut self, _: &'static Schema) -> Result<i64, ReadError> {
        self.require(Token::Number, "Integer")?;
        let text = self.number()?;
        // `5.0` and `5e0` are the integer 5 to AWS too; anything else is not.
        text.parse()
            .ok()
            .or_else(|| text.parse::<f64>().ok().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
            .ok_or_else(|| ReadError::mismatch(text, "Integer"))
    }

    fn float(&mut self, _: &'static Schema) -> Result<f64, ReadError> {
        if self.peek()? == Token::String {
            let text = Cursor::string(self)?;
            return match text.as_ref() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(ReadError::mismatch("STRING_VALUE", "Double")),
            };
        }
        self.require(Token::Number, "Double")?;
        let text = self.number()?;
        text.parse().map_err(|_| ReadError::mismatch(text, "Double"))
    }

    fn boolean(&mut self, _: &'static Schema) -> Result<bool, ReadError> {
        match self.peek()? {
            Token::True | Token::False => Cursor::boolean(self),
            _ => Err(self.mismatch("Boolean")),
        }
    }

    fn timestamp(&mut self, _: &'static Schema) -> Result<Timestamp, ReadError> {
        let parsed = match self.peek()? {
            Token::Number => self.number()?.parse().ok().and_then(time::from_seconds),
            Token::String => time::parse(&Cursor::string(self)?),
            _ => return Err(self.mismatch("Timestamp")),
        };
        parsed.ok_or_else(|| ReadError::mismatch("STRING_VALUE", "Timestamp"))
    }

    fn blob(&mut self, _: &'static Schema) -> Result<Vec<u8>, ReadError> {
        self.require(Token::String, "Blob")?;
        let text = Cursor::string(self)?;
        BASE64_STANDARD.decode(text.as_bytes()).map_err(|_| ReadError::mismatch("STRING_VALUE", "Blob"))
    }

    fn document(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        self.skip().map(str::to_owned)
    }
}
