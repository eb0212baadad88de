//! An XML document as a [`ShapeReader`]. The parser refuses DTDs, so that no entity can grow.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_aws_model::{Kind, OnElement, OnEntry, OnMember, Place, ReadError, Schema, ShapeReader, Timestamp};
use roxmltree::{Document, Node, ParsingOptions};

use super::text::{TextReader, float};
use crate::time;

/// Nesting beyond this is refused, so that no body can exhaust the stack.
const MAX_DEPTH: usize = 64;
/// Elements and texts beyond this are refused: each takes memory far beyond its bytes.
const MAX_NODES: u32 = 500_000;

pub(crate) fn parse(body: &[u8]) -> Result<Document<'_>, ReadError> {
    let text = std::str::from_utf8(body)
        .map_err(|e| ReadError::Syntax(format!("Invalid UTF-8 at byte {} of the request body", e.valid_up_to())))?;
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|e| ReadError::Syntax(format!("The XML is malformed: {e}")))
}

/// The elements that stand for one value: several for a list or map without an element around it.
pub(crate) struct XmlReader<'a, 'input> {
    nodes: Vec<Node<'a, 'input>>,
    depth: usize,
}

impl<'a, 'input> XmlReader<'a, 'input> {
    pub(crate) fn root(document: &'a Document<'input>) -> Self {
        Self { nodes: vec![document.root_element()], depth: 0 }
    }

    fn deeper(&self, nodes: Vec<Node<'a, 'input>>) -> Result<Self, ReadError> {
        if self.depth >= MAX_DEPTH {
            return Err(ReadError::Syntax(format!("The request body is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { nodes, depth: self.depth + 1 })
    }

    fn children(&self, name: &str) -> Vec<Node<'a, 'input>> {
        let named = |n: &Node<'_, '_>| n.is_element() && n.tag_name().name() == name;
        self.nodes.iter().flat_map(|n| n.children()).filter(named).collect()
    }

    fn text(&self) -> String {
        let node = self.nodes.first().into_iter();
        node.flat_map(|n| n.children()).filter(|n| n.is_text()).filter_map(|n| n.text()).collect()
    }

    fn parsed<T>(&self, expected: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ReadError> {
        let text = self.text();
        parse(text.trim()).ok_or_else(|| ReadError::mismatch(text, expected))
    }
}

impl ShapeReader for XmlReader<'_, '_> {
    fn structure(&mut self, schema: &'static Schema, on: OnMember<'_>) -> Result<(), ReadError> {
        for (i, member) in schema.members().iter().enumerate() {
            match member.place {
                Place::Attribute => {
                    // Attributes are told by their local names: prefixes are the client's choice.
                    let name = member.wire.rsplit(':').next().unwrap_or(member.wire);
                    let node = self.nodes.first();
                    if let Some(a) = node.and_then(|n| n.attributes().find(|a| a.name() == name)) {
                        on(i, &mut TextReader::one(a.value()))?;
                    }
                }
                Place::Body => {
                    let mut found = self.children(member.wire);
                    if let Kind::List(l) = member.schema.kind
                        && let (true, Some(name), true) = (l.flattened, l.element_name, found.is_empty())
                    {
                        found = self.children(name);
                    }
                    if !found.is_empty() {
                        on(i, &mut self.deeper(found)?)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn list(&mut self, schema: &'static Schema, on: OnElement<'_>) -> Result<(), ReadError> {
        let elements = match schema.kind {
            Kind::List(l) if !l.flattened => self.children(l.element_name.unwrap_or("member")),
            _ => self.nodes.clone(),
        };
        elements.into_iter().try_for_each(|e| on(&mut self.deeper(vec![e])?))
    }

    fn map(&mut self, schema: &'static Schema, on: OnEntry<'_>) -> Result<(), ReadError> {
        let Kind::Map(map) = schema.kind else {
            return Ok(());
        };
        let entries = if map.flattened { self.nodes.clone() } else { self.children("entry") };
        for entry in entries {
            let entry = self.deeper(vec![entry])?;
            let (key, value) = (entry.children(map.key_name), entry.children(map.value_name));
            if !key.is_empty() && !value.is_empty() {
                on(entry.deeper(key)?.text(), &mut entry.deeper(value)?)?;
            }
        }
        Ok(())
    }

    fn string(&mut self, _: &'static Schema) -> Result<String, ReadError> {
        Ok(self.text())
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
        // The protocol has no documents.
        Err(ReadError::mismatch(self.text(), "Document"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_deep_nesting_and_floods_of_elements_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
        assert!(parse(bomb.as_bytes()).is_err());
        assert!(parse("<a>".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse(format!("<a>{}</a>", "<b/>".repeat(600_000)).as_bytes()).is_err());
        assert!(parse(b"<a>&lt;</a>").is_ok());
    }
}
