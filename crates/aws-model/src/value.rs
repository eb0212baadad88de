//! Reading and writing of shapes through two object-safe traits, so that a protocol is one implementation of each.
//!
//! A shape drives: it calls the writer for each member that is there, and asks the reader for its members. Generated code
//! calls only `Field::put` and `Field::take`; what is compiled per shape is therefore a few calls per member, and a new
//! protocol compiles nothing per shape.

use std::collections::BTreeMap;

use crate::schema::{Member, Schema};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Any JSON, as its text. The default is `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(pub String);

impl Default for Document {
    fn default() -> Self {
        Self("null".to_owned())
    }
}

/// Receives a value, in the order of its schema. Calls nest: between `begin_*` and `end_*`, each `member`, `element` or
/// `entry` is followed by exactly one value.
pub trait ShapeWriter {
    /// A structure begins; `member` calls follow.
    fn begin_structure(&mut self, schema: &'static Schema);
    /// The next value is this member.
    fn member(&mut self, member: &'static Member);
    /// The structure ends.
    fn end_structure(&mut self);
    /// A list of `len` elements begins; `element` calls follow.
    fn begin_list(&mut self, schema: &'static Schema, len: usize);
    /// The next value is an element.
    fn element(&mut self);
    /// The list ends.
    fn end_list(&mut self);
    /// A map of `len` entries begins; `entry` calls follow.
    fn begin_map(&mut self, schema: &'static Schema, len: usize);
    /// The next value belongs to this key.
    fn entry(&mut self, key: &str);
    /// The map ends.
    fn end_map(&mut self);
    /// A string or enum value.
    fn string(&mut self, schema: &'static Schema, value: &str);
    /// An integer or long.
    fn integer(&mut self, schema: &'static Schema, value: i64);
    /// A float or double.
    fn float(&mut self, schema: &'static Schema, value: f64);
    /// A boolean.
    fn boolean(&mut self, schema: &'static Schema, value: bool);
    /// A point in time.
    fn timestamp(&mut self, schema: &'static Schema, value: Timestamp);
    /// Bytes.
    fn blob(&mut self, schema: &'static Schema, value: &[u8]);
    /// Any JSON, as its text.
    fn document(&mut self, schema: &'static Schema, value: &str);
}

/// Called by a reader with the index of each member it finds, in any order.
pub type OnMember<'a> = &'a mut dyn FnMut(usize, &mut dyn ShapeReader) -> Result<(), ReadError>;
/// Called by a reader for each element of a list.
pub type OnElement<'a> = &'a mut dyn FnMut(&mut dyn ShapeReader) -> Result<(), ReadError>;
/// Called by a reader for each entry of a map.
pub type OnEntry<'a> = &'a mut dyn FnMut(String, &mut dyn ShapeReader) -> Result<(), ReadError>;

/// A place in a request where one value stands; each method consumes that value. Absent and null members are not reported.
pub trait ShapeReader {
    /// Reports each known member; ignores unknown ones.
    fn structure(&mut self, schema: &'static Schema, on: OnMember<'_>) -> Result<(), ReadError>;
    /// Reports each element in order.
    fn list(&mut self, schema: &'static Schema, on: OnElement<'_>) -> Result<(), ReadError>;
    /// Reports each entry in the order sent.
    fn map(&mut self, schema: &'static Schema, on: OnEntry<'_>) -> Result<(), ReadError>;
    /// A string or enum value.
    fn string(&mut self, schema: &'static Schema) -> Result<String, ReadError>;
    /// An integer or long; the caller checks the range of an integer.
    fn integer(&mut self, schema: &'static Schema) -> Result<i64, ReadError>;
    /// A float or double.
    fn float(&mut self, schema: &'static Schema) -> Result<f64, ReadError>;
    /// A boolean.
    fn boolean(&mut self, schema: &'static Schema) -> Result<bool, ReadError>;
    /// A point in time.
    fn timestamp(&mut self, schema: &'static Schema) -> Result<Timestamp, ReadError>;
    /// Bytes.
    fn blob(&mut self, schema: &'static Schema) -> Result<Vec<u8>, ReadError>;
    /// Any JSON, as its text.
    fn document(&mut self, schema: &'static Schema) -> Result<String, ReadError>;
}

/// Why a request could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The bytes are not of the protocol at all. The text says what and where.
    Syntax(String),
    /// A value of another type than the schema's.
    Type {
        /// Dotted path of the member, e.g. `networkConfiguration.awsvpcConfiguration`.
        at: String,
        /// What stood there, in the protocol's words, e.g. `NUMBER_VALUE` or the text itself.
        found: String,
        /// Kind that was expected, e.g. `String`, `Integer`, `list`.
        expected: &'static str,
    },
}

impl ReadError {
    /// A type mismatch here; the path is added on the way out by [`ReadError::inside`].
    pub fn mismatch(found: impl Into<String>, expected: &'static str) -> Self {
        Self::Type { at: String::new(), found: found.into(), expected }
    }

    /// The same error, one member further out.
    pub fn inside(mut self, name: &str) -> Self {
        if let Self::Type { at, .. } = &mut self {
            *at = if at.is_empty() { name.to_owned() } else { format!("{name}.{at}") };
        }
        self
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(text) => f.write_str(text),
            Self::Type { at, found, expected } => write!(f, "{at}: {found} is not of type {expected}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// A generated structure.
pub trait Shape: Default {
    /// Its description.
    const SCHEMA: &'static Schema;
    /// Hands each member that is there to the writer.
    fn write_members(&self, w: &mut dyn ShapeWriter);
    /// Reads the member of this index of `SCHEMA.members()`.
    fn read_member(&mut self, index: usize, r: &mut dyn ShapeReader) -> Result<(), ReadError>;

    /// Writes the whole structure.
    fn write(&self, w: &mut dyn ShapeWriter) {
        w.begin_structure(Self::SCHEMA);
        self.write_members(w);
        w.end_structure();
    }

    /// Reads the whole structure.
    fn read(r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        let mut shape = Self::default();
        r.structure(Self::SCHEMA, &mut |i, r| shape.read_member(i, r))?;
        Ok(shape)
    }
}

/// Anything that can stand as a member, an element or a map's value.
pub trait Value: Sized {
    /// Hands the value to the writer.
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter);
    /// Reads the value that stands here.
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError>;
}

macro_rules! simple {
    ($($t:ty, |$v:ident| $write:expr, $method:ident;)*) => {$(
        impl Value for $t {
            fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
                let $v = self;
                w.$method(schema, $write)
            }
            fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
                r.$method(schema)
            }
        }
    )*};
}

simple! {
    String, |v| v, string;
    i64, |v| *v, integer;
    f64, |v| *v, float;
    bool, |v| *v, boolean;
    Timestamp, |v| *v, timestamp;
    Vec<u8>, |v| v, blob;
}

impl Value for i32 {
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
        w.integer(schema, i64::from(*self));
    }
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        let wide = r.integer(schema)?;
        i32::try_from(wide).map_err(|_| ReadError::mismatch(wide.to_string(), "Integer"))
    }
}

impl Value for f32 {
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
        w.float(schema, f64::from(*self));
    }
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        Ok(r.float(schema)? as f32)
    }
}

impl Value for Document {
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
        w.document(schema, &self.0);
    }
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        r.document(schema).map(Self)
    }
}

impl<T: Value> Value for Vec<T> {
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
        w.begin_list(schema, self.len());
        for v in self {
            w.element();
            v.write_value(schema.inner(), w);
        }
        w.end_list();
    }
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        let mut list = Vec::new();
        r.list(schema, &mut |r| {
            list.push(T::read_value(schema.inner(), r)?);
            Ok(())
        })?;
        Ok(list)
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
        w.begin_map(schema, self.len());
        for (key, v) in self {
            w.entry(key);
            v.write_value(schema.inner(), w);
        }
        w.end_map();
    }
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        let mut map = BTreeMap::new();
        r.map(schema, &mut |key, r| {
            map.insert(key, T::read_value(schema.inner(), r)?);
            Ok(())
        })?;
        Ok(map)
    }
}

impl<T: Value> Value for Box<T> {
    fn write_value(&self, schema: &'static Schema, w: &mut dyn ShapeWriter) {
        (**self).write_value(schema, w);
    }
    fn read_value(schema: &'static Schema, r: &mut dyn ShapeReader) -> Result<Self, ReadError> {
        T::read_value(schema, r).map(Box::new)
    }
}

/// A field of a generated structure: a value, or an optional one.
pub trait Field {
    /// Writes name and value, or nothing.
    fn put(&self, member: &'static Member, w: &mut dyn ShapeWriter);
    /// Reads the value that stands here.
    fn take(&mut self, member: &'static Member, r: &mut dyn ShapeReader) -> Result<(), ReadError>;
}

impl<T: Value> Field for T {
    fn put(&self, member: &'static Member, w: &mut dyn ShapeWriter) {
        w.member(member);
        self.write_value(member.schema, w);
    }
    fn take(&mut self, member: &'static Member, r: &mut dyn ShapeReader) -> Result<(), ReadError> {
        *self = T::read_value(member.schema, r).map_err(|e| e.inside(member.name))?;
        Ok(())
    }
}

impl<T: Value> Field for Option<T> {
    fn put(&self, member: &'static Member, w: &mut dyn ShapeWriter) {
        if let Some(v) = self {
            v.put(member, w);
        }
    }
    fn take(&mut self, member: &'static Member, r: &mut dyn ShapeReader) -> Result<(), ReadError> {
        *self = Some(T::read_value(member.schema, r).map_err(|e| e.inside(member.name))?);
        Ok(())
    }
}

/// Implements [`Shape`] and [`Value`] for a generated structure: its schema, its members, then `index field` pairs.
macro_rules! shape {
    ($t:ident, $schema:ident, $members:ident, [$($i:literal $field:ident)*]) => {
        impl crate::Shape for $t {
            const SCHEMA: &'static crate::Schema = &$schema;
            #[allow(unused_variables)]
            fn write_members(&self, w: &mut dyn crate::ShapeWriter) {
                $(crate::Field::put(&self.$field, &$members[$i], w);)*
            }
            #[allow(unused_variables)]
            fn read_member(&mut self, index: usize, r: &mut dyn crate::ShapeReader) -> Result<(), crate::ReadError> {
                match index {
                    $($i => crate::Field::take(&mut self.$field, &$members[$i], r),)*
                    _ => Ok(()),
                }
            }
        }
        impl crate::Value for $t {
            fn write_value(&self, _: &'static crate::Schema, w: &mut dyn crate::ShapeWriter) {
                crate::Shape::write(self, w)
            }
            fn read_value(_: &'static crate::Schema, r: &mut dyn crate::ShapeReader) -> Result<Self, crate::ReadError> {
                crate::Shape::read(r)
            }
        }
    };
}
pub(crate) use shape;
