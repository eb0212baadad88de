//! The REST protocols: an operation is a method and a path, and its members travel in the path, the query string, headers and
//! a body of JSON or XML.

mod path;
mod read;
mod text;
mod write;
mod xml;

pub(crate) use path::{Labels, route};
pub(crate) use read::read;
pub(crate) use write::RestWriter;
