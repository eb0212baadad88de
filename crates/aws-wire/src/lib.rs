//! The wire: AWS JSON, query, EC2 query, REST JSON, REST XML and Smithy RPC v2 CBOR; validation; error envelopes; SigV4. Pure over bytes.
//!
//! A request goes through [`identify`] (which service, operation, protocol, credential), [`decode`] (typed and validated
//! input) and, after its handler, [`encode_output`] or [`encode_error`]. [`Call`] holds the last three together.
//!
//! A protocol is one `ShapeReader` and one `ShapeWriter`; validation is one more `ShapeWriter`. So only a few lines are
//! compiled per operation, and no file here knows a shape. This crate has no sockets and no clock.

mod call;
mod cbor;
mod content;
mod decode;
mod encode;
mod form;
mod identify;
mod json;
mod number;
mod pattern;
mod query;
mod rest;
pub mod sigv4;
mod time;
mod validate;

pub use call::{Call, Head};
pub use content::{Refusal, inflate};
pub use decode::{decode, read_input};
pub use encode::{Response, encode_error, encode_output, to_json, write_output};
pub use form::percent_encode;
pub use identify::{Identified, Parts, Refused, identify, identify_among, is_aws};
pub use sigv4::{Credential, parse_header};
