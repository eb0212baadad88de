//! The brain: what should happen, as functions of values.
//!
//! **Invariant:** no clock, randomness, file, socket or store. `now` is handed in; what to do comes back as a value, and
//! `controllers` does it.

pub mod breaker;
pub mod capacity;
pub mod dependencies;
pub mod fargate;
pub mod lifecycle;
pub mod routes;
pub mod service;
pub mod subnet;
pub mod task;
