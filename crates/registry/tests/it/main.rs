//! The registry over real HTTP on the loopback interface, and real clients against it.

#![allow(clippy::unwrap_used)]

mod access;
mod clients;
mod collection;
mod discovery;
mod images;
mod kill;
mod management;
mod pull;
mod push;
mod restart;
mod site;
