//! A message read as JSON, as far as a pattern looks at it: the rest is checked and skipped without a copy.

use super::json::Step;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::borrow::Cow;
use std::fmt;

/// A value; of objects and arrays only what is wanted.
#[derive(Debug)]
pub(super) enum Node<'m> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'m, str>),
    /// Elements by index.
    Array(Vec<(usize, Node<'m>)>),
    Object(Vec<(Cow<'m, str>, Node<'m>)>),
}

impl Node<'_> {
    /// A scalar as text.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Node::Null => Cow::Borrowed("null"),
            Node::Bool(bool) => Cow::Borrowed(if *bool { "true" } else { "false" }),
            Node::Number(number) => Cow::Owned(number.to_string()),
            Node::Text(text) => Cow::Borrowed(text),
            Node::Array(_) | Node::Object(_) => return None,
        })
    }
}

/// The steps that selectors take from one value, and what they want beyond.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted(Vec<(Step, Wanted)>);

impl Wanted {
    /// Of the ways of some selectors.
    pub(super) fn by(ways: &[&[Step]]) -> Self {
        let mut wanted = Vec::<(Step, Wanted)>::new();
        for step in ways.iter().filter_map(|way| way.first()) {
            if wanted.iter().any(|(own, _)| own == step) {
                continue;
            }
            // Reading meets each value once: what every element is asked for, a named one is asked for too.
            let leads_here = |way: &&[Step]| way.first().is_some_and(|own| own == step || *own == Step::Each);
            let beyond: Vec<&[Step]> = ways.iter().filter(|way| leads_here(way)).map(|way| &way[1..]).collect();
            wanted.push((step.clone(), Wanted::by(&beyond)));
        }
        Self(wanted)
    }

    /// `None` for what is no JSON.
    pub(super) fn read<'m>(&self, message: &'m str) -> Option<Node<'m>> {
        let mut reader = serde_json::Deserializer::from_str(message);
        let node = self.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(node)
    }

    fn property(&self, name: &str) -> Option<&Wanted> {
        self.child(|step| matches!(step, Step::Property(own) if own == name))
    }

    fn element(&self, index: usize) -> Option<&Wanted> {
        self.child(|step| matches!(step, Step::Element(own) if *own == index))
    }

    fn child(&self, is_it: impl Fn(&Step) -> bool) -> Option<&Wanted> {
        let find =
            |is_it: &dyn Fn(&Step) -> bool| self.0.iter().find(|(step, _)| is_it(step)).map(|(_, beyond)| beyond);
        find(&is_it).or_else(|| find(&|step| *step == Step::Each))
    }
}

impl<'m> DeserializeSeed<'m> for &Wanted {
    type Value = Node<'m>;

    fn deserialize<D: serde::Deserializer<'m>>(self, reader: D) -> Result<Node<'m>, D::Error> {
        reader.deserialize_any(self)
    }
}

/// A name that is not copied unless it has escapes.
struct Name;

impl<'m> DeserializeSeed<'m> for Name {
    type Value = Cow<'m, str>;

    fn deserialize<D: serde::Deserializer<'m>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'m> Visitor<'m> for Name {
    type Value = Cow<'m, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property's name")
    }

    fn visit_borrowed_str<E>(self, text: &'m str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'m> Visitor<'m> for &Wanted {
    type Value = Node<'m>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'m>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'m>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'m>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'m>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'m>, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_borrowed_str<E>(self, text: &'m str) -> Result<Node<'m>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'m>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'m>>(self, mut sequence: A) -> Result<Node<'m>, A::Error> {
        let mut elements = Vec::new();
        for index in 0.. {
            match self.element(index) {
                Some(wanted) => match sequence.next_element_seed(wanted)? {
                    Some(node) => elements.push((index, node)),
                    None => break,
                },
                None => {
                    if sequence.next_element::<IgnoredAny>()?.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(Node::Array(elements))
    }

    fn visit_map<A: MapAccess<'m>>(self, mut map: A) -> Result<Node<'m>, A::Error> {
        let mut properties = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            match self.property(&name) {
                Some(wanted) => properties.push((name, map.next_value_seed(wanted)?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Node::Object(properties))
    }
}
