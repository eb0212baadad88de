//! What a request knows about itself: keys such as `aws:SourceIp`, with one value or several.

use std::borrow::Cow;

/// The values of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    One(Cow<'a, str>),
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Values<'a> {
    pub fn one(text: impl Into<Cow<'a, str>>) -> Self {
        Self::One(text.into())
    }

    pub fn as_slice(&self) -> &[Cow<'a, str>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Asked for a key only when a policy mentions it, so that nothing is looked up in vain.
pub trait Context {
    /// The values of a key, as the policy spells it: keys are told apart without regard to case, and so is what follows the
    /// slash of `aws:RequestTag/` and its kind, which is a tag's name.
    fn get(&self, key: &str) -> Option<Values<'_>>;
}

/// Knows nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoContext;

impl Context for NoContext {
    fn get(&self, _: &str) -> Option<Values<'_>> {
        None
    }
}

/// Keys and values written out, as the policy simulator is given them.
#[derive(Clone, Debug, Default)]
pub struct MapContext {
    entries: Vec<(String, Vec<String>)>,
}

impl MapContext {
    pub fn set(&mut self, key: impl Into<String>, values: Vec<String>) {
        self.entries.push((key.into(), values));
    }
}

impl Context for MapContext {
    fn get(&self, key: &str) -> Option<Values<'_>> {
        let (_, values) = self.entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some(match &values[..] {
            [value] => Values::one(value.as_str()),
            values => Values::Many(values.iter().map(|value| Cow::Borrowed(value.as_str())).collect()),
        })
    }
}
