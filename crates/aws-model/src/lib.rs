//! Generated AWS inputs, outputs, errors and operations, and the schema they are read and written by.
//!
//! `models/operations.toml` lists what is served; `cargo xtask codegen` writes one module a service from `models/*.json`.
//! Each structure knows its [`Schema`] and how to hand itself to a [`ShapeWriter`] and fetch itself from a [`ShapeReader`];
//! which protocol stands behind those two traits is `aws-wire`'s business, and this crate knows none.
//!
//! Rules of the generated types: enums are `String`s (the schema has their values), structures in lists are plain, and every
//! member is an `Option` except the required members of an operation's own input.

mod generated;
mod operation;
pub mod schema;
mod value;

pub use generated::*;
pub use operation::{AwsError, Operation};
pub use schema::{ErrorSchema, Http, Kind, Member, OperationSchema, Protocol, Schema, ServiceSchema, TimestampFormat};
pub use value::{
    Document, Field, OnElement, OnEntry, OnMember, ReadError, Shape, ShapeReader, ShapeWriter, Timestamp, Value,
};
pub(crate) use value::shape;
