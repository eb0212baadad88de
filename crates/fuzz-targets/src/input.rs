//! From a fuzzer's bytes to values: small, total, and stable, so that a kept corpus goes on meaning the same.

/// Takes values from the front of the bytes; past their end everything is zero or empty.
#[derive(Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Input<'a> {
        Input(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most this many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The bytes up to a separator, which is left out. What a person or a dictionary would write stays legible.
    pub(crate) fn until(&mut self, separator: u8) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == separator);
        let taken = &self.0[..end.unwrap_or(self.0.len())];
        self.0 = &self.0[end.map_or(self.0.len(), |end| end + 1)..];
        taken
    }

    /// [`Self::until`] as text.
    pub(crate) fn text(&mut self, separator: u8) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.until(separator))
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn rest_text(&mut self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.rest())
    }
}

/// Ends fields of [`Input::until`]: a byte that no protocol here gives a meaning.
pub(crate) const FIELD: u8 = 0xff;
