//! CBOR (RFC 8949) as a [`ShapeReader`]: integers and floats of every width, definite and indefinite lengths, tags.

use ciborium_io::Read;
use ciborium_ll::{Decoder, Error, Header, simple};
use longshore_aws_model::{OnElement, OnEntry, OnMember, ReadError, Schema, ShapeReader, Timestamp};

use crate::time;

/// Nesting beyond this is refused, so that no body can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// A body from its first byte to its last.
pub(crate) struct CborReader<'a> {
    decoder: Decoder<&'a [u8]>,
    len: usize,
    depth: usize,
}

impl<'a> CborReader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { decoder: Decoder::from(body), len: body.len(), depth: 0 }
    }

    pub(crate) fn at_end(&mut self) -> bool {
        self.left() == 0
    }

    fn left(&mut self) -> usize {
        self.len - self.decoder.offset().min(self.len)
    }

    /// More bytes than the value has.
    pub(crate) fn trailing(&mut self) -> ReadError {
        ReadError::Syntax(format!("Unexpected bytes after the value at offset {}", self.decoder.offset()))
    }

    fn pull(&mut self) -> Result<Header, ReadError> {
        self.decoder.pull().map_err(|e| {
            ReadError::Syntax(match e {
                Error::Io(_) => "Unexpected end of input".to_owned(),
                Error::Syntax(at) => format!("Malformed CBOR at offset {at}"),
            })
        })
    }

    /// The next header that is no tag: tags say what a value means, which the schema knows.
    fn untagged(&mut self) -> Result<Header, ReadError> {
        loop {
            match self.pull()? {
                Header::Tag(_) => {}
                header => return Ok(header),
            }
        }
    }

    /// Consumes null or undefined if it stands here.
    fn null(&mut self) -> Result<bool, ReadError> {
        match self.pull()? {
            Header::Simple(simple::NULL | simple::UNDEFINED) => Ok(true),
            header => {
                self.decoder.push(header);
                Ok(false)
            }
        }
    }

    /// Calls `on` at each item of an array or each key of a map.
    fn items(
        &mut self,
        len: Option<usize>,
        mut on: impl FnMut(&mut Self) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ReadError::Syntax(format!("The request body is nested more than {MAX_DEPTH} levels deep")));
        }
        match len {
            Some(len) => {
                for _ in 0..len {
                    on(self)?;
                }
            }
            None => loop {
                match self.pull()? {
                    Header::Break => break,
                    header => {
                        self.decoder.push(header);
                        on(self)?;
                    }
                }
            },
        }
        self.depth -= 1;
        Ok(())
    }

    /// The bytes of a string of either kind, which may come in chunks of the same kind.
    fn bytes(&mut self, len: Option<usize>, text: bool) -> Result<Vec<u8>, ReadError> {
        let mut out = Vec::new();
        match len {
            Some(len) => self.chunk(len, &mut out)?,
            None => loop {
                match self.pull()? {
                    Header::Break => break,
                    Header::Text(Some(len)) if text => self.chunk(len, &mut out)?,
                    Header::Bytes(Some(len)) if !text => self.chunk(len, &mut out)?,
                    _ => return Err(self.malformed()),
                }
            },
        }
        Ok(out)
    }

    fn malformed(&mut self) -> ReadError {
        ReadError::Syntax(format!("Malformed CBOR at offset {}", self.decoder.offset()))
    }

    fn chunk(&mut self, len: usize, out: &mut Vec<u8>) -> Result<(), ReadError> {
        // Before room is made: the length is whatever the client wrote.
        if len > self.left() {
            return Err(ReadError::Syntax("Unexpected end of input".to_owned()));
        }
        let from = out.len();
        out.resize(from + len, 0);
        self.decoder.read_exact(&mut out[from..]).map_err(|_| ReadError::Syntax("Unexpected end of input".to_owned()))
    }

    fn text(&mut self, len: Option<usize>) -> Result<String, ReadError> {
        let bytes = self.bytes(len, true)?;
        String::from_utf8(bytes).map_err(|_| ReadError::Syntax("Invalid UTF-8 in a text".to_owned()))
    }

    fn key(&mut self) -> Result<String, ReadError> {
        match self.untagged()? {
            Header::Text(len) => self.text(len),
            header => Err(mismatch(header, "String")),
        }
    }

    /// Consumes any value.
    fn skip(&mut self) -> Result<(), ReadError> {
        match self.untagged()? {
            Header::Bytes(len) => self.bytes(len, false).map(drop),
            Header::Text(len) => self.bytes(len, true).map(drop),
            Header::Array(len) => self.items(len, Self::skip),
            Header::Map(len) => self.items(len, |r| {
                r.skip()?;
                r.skip()
            }),
            Header::Break => Err(self.malformed()),
            _ => Ok(()),
        }
    }
}

fn mismatch(header: Header, expected: &'static str) -> ReadError {
    let found = match header {
        Header::Positive(_) | Header::Negative(_) => "an integer",
        Header::Float(_) => "a float",
        Header::Simple(simple::TRUE | simple::FALSE) => "a boolean",
        Header::Simple(_) => "a simple value",
        Header::Bytes(_) => "a byte string",
        Header::Text(_) => "a text",
        Header::Array(_) => "an array",
        Header::Map(_) => "a map",
        Header::Tag(_) | Header::Break => return ReadError::Syntax("Malformed CBOR: a break out of place".to_owned()),
    };
    ReadError::mismatch(found, expected)
}

impl ShapeReader for CborReader<'_> {
    fn structure(&mut self, schema: &'static Schema, on: OnMember<'_>) -> Result<(), ReadError> {
        let len = match self.untagged()? {
            Header::Map(len) => len,
            header => return Err(mismatch(header, "structure")),
        };
        let members = schema.members();
        self.items(len, |r| {
            let key = r.key()?;
            // Names in CBOR are the model's own, whatever JSON calls them.
            match members.iter().position(|m| m.name == key) {
                Some(i) if !r.null()? => on(i, r),
                Some(_) => Ok(()),
                None => r.skip(),
            }
        })
    }

    fn list(&mut self, _: &'static Schema, on: OnElement<'_>) -> Result<(), ReadError> {
        match self.untagged()? {
            Header::Array(len) => self.items(len, |r| if r.null()? { Ok(()) } else { on(r) }),
            header => Err(mismatch(header, "list")),
        }
    }

    fn map(&mut self, _: &'static Schema, on: OnEntry<'_>) -> Result<(), ReadError> {
        match self.untagged()? {
            Header::Map(len) => self.items(len, |r| {
                let key = r.key()?;
                if r.null()? { Ok(()) } else { on(key, r) }
            }),
            header => Err(mismatch(header, "map")),
        }
    }

    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        match self.untagged()? {
            Header::Text(len) => self.text(len),
            header => Err(mismatch(header, "String")),
        }
    }

    fn integer(&mut self, _: &'static Schema) -> Result<i64, ReadError> {
        let out_of_range = || ReadError::mismatch("an integer out of range", "Integer");
        match self.untagged()? {
            Header::Positive(n) => i64::try_from(n).map_err(|_| out_of_range()),
            // -1 - n
            Header::Negative(n) => i64::try_from(n).map(|n| !n).map_err(|_| out_of_range()),
            // A whole float is an integer in JSON, and clients translate.
            Header::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => Ok(f as i64),
            // A bignum, after its tag: no member is that wide.
            Header::Bytes(_) => Err(out_of_range()),
            header => Err(mismatch(header, "Integer")),
        }
    }

    fn float(&mut self, _: &'static Schema) -> Result<f64, ReadError> {
        match self.untagged()? {
            Header::Float(f) => Ok(f),
            Header::Positive(n) => Ok(n as f64),
            Header::Negative(n) => Ok(-1.0 - n as f64),
            header => Err(mismatch(header, "Double")),
        }
    }

    fn boolean(&mut self, _: &'static Schema) -> Result<bool, ReadError> {
        match self.untagged()? {
            Header::Simple(simple::TRUE) => Ok(true),
            Header::Simple(simple::FALSE) => Ok(false),
            header => Err(mismatch(header, "Boolean")),
        }
    }

    /// Seconds under tag 1.
    fn timestamp(&mut self, _: &'static Schema) -> Result<Timestamp, ReadError> {
        let seconds = match self.untagged()? {
            Header::Float(f) => f,
            Header::Positive(n) => n as f64,
            Header::Negative(n) => -1.0 - n as f64,
            header => return Err(mismatch(header, "Timestamp")),
        };
        time::from_seconds(seconds).ok_or_else(|| ReadError::mismatch("a number out of range", "Timestamp"))
    }

    fn blob(&mut self, _: &'static Schema) -> Result<Vec<u8>, ReadError> {
        match self.untagged()? {
            Header::Bytes(len) => self.bytes(len, false),
            header => Err(mismatch(header, "Blob")),
        }
    }

    fn document(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        // The protocol has no documents, and no service that is served has any.
        self.skip()?;
        Err(ReadError::mismatch("a document, which CBOR cannot carry", "Document"))
    }
}

#[cfg(test)]
mod tests {
    use longshore_aws_model::{Operation, Protocol, ecs, logs};

    use crate::decode;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("ascii"), 16).expect("hex")).collect()
    }

    fn read<O: Operation>(body: &[u8]) -> Result<O::Input, String> {
        decode::<O>(Protocol::Cbor, body).map_err(|e| e.to_string())
    }

    #[test]
    fn every_way_to_write_a_number_is_the_same_number() {
        // {"maxResults": 5} as a byte, two, four, eight bytes, and half, single and double floats.
        for five in
            ["05", "1805", "190005", "1a00000005", "1b0000000000000005", "f94500", "fa40a00000", "fb4014000000000000"]
        {
            let body = hex(&format!("a1 6a 6d617852 6573756c7473 {five}"));
            assert_eq!(read::<ecs::ListClusters>(&body).expect(five).max_results, Some(5), "{five}");
        }
        for bad in [
            "1b ffffffffffffffff",
            "c2 49 010000000000000000",
            "3b ffffffffffffffff",
            "f97e00",
            "6135",
            "80",
            "ff",
            "1c",
        ] {
            let body = hex(&format!("a1 6a 6d617852 6573756c7473 {bad}"));
            assert!(read::<ecs::ListClusters>(&body).is_err(), "{bad}");
        }
    }

    #[test]
    fn indefinite_lengths_nulls_and_unknown_members_are_read() {
        // {_ "cluster": (_ "de", "mo"), "later": [_ {_ "x": h'00'}], "services": [_ "a", null, "b"], "include": null}
        let body = hex(
            "bf 67 636c7573746572 7f 62 6465 62 6d6f ff 65 6c61746572 9f bf 6178 4100 ff ff 68 7365727669636573 9f 6161 f6 6162 ff 67 696e636c756465 f6 ff",
        );
        let input = read::<ecs::DescribeServices>(&body).expect("reads");
        assert_eq!(input.cluster.as_deref(), Some("demo"));
        assert_eq!((input.services, input.include), (vec!["a".to_owned(), "b".to_owned()], None));
    }

    #[test]
    fn what_is_no_cbor_map_is_refused_and_never_a_panic() {
        for bad in
            ["", "a1", "ff", "bf", "80", "a0 00", "a1 67 636c7573746572 7b7fffffffffffffff", "9b ffffffffffffffff"]
        {
            let body = hex(bad);
            // An empty body is an input without members.
            assert_eq!(read::<ecs::ListClusters>(&body).is_err(), !bad.is_empty(), "{bad}");
        }
        let deep = [hex("a1 65 6c61746572"), vec![0x81; 1_000_000]].concat();
        let error = read::<ecs::ListClusters>(&deep).expect_err("too deep");
        assert!(error.contains("nested more than 64"), "{error}");
        let seed = hex(
            "bf 6c 6c6f6747726f75704e616d65 61 67 6d 6c6f6753747265616d4e616d65 61 73 69 6c6f674576656e7473 81 a2 69 74696d657374616d70 1b 0000019b7d5c0000 67 6d657373616765 61 6d ff",
        );
        assert_eq!(read::<logs::PutLogEvents>(&seed).expect("reads").log_events.len(), 1);
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        for _ in 0..50_000 {
            let mut body = seed.clone();
            for _ in 0..=next(4) {
                let at = next(body.len());
                body[at] = next(256) as u8;
            }
            let _ = read::<logs::PutLogEvents>(&body);
        }
    }
}
