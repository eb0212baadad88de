//! AWS query and its EC2 dialect: a form comes in, XML goes out.

mod read;
mod xml;

pub(crate) use read::{Dialect, FormReader, sorted};
pub(crate) use xml::XmlWriter;
