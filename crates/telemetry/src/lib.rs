//! Log ingestion and query on append-only segments.
//!
//! [`logs`] stores events by group and stream, durable when acknowledged, and reads and filters them in time order. It
//! knows no AWS shapes: groups are opaque keys that the caller makes from account, region and name; which groups and
//! streams exist without events is the caller's table; times are handed in.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "in a test a panic is the report"))]

pub mod logs;
