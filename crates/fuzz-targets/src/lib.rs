//! What must hold for any bytes. Each target is a function of bytes that panics when its promise is broken: a fuzzer calls
//! it with what it makes up, and a test with every case that was ever worth keeping. See docs/fuzzing.md.

mod api;
mod archive;
mod auth;
mod content;
mod dns;
mod framing;
mod input;
mod messages;
mod node;
mod oci;
mod policy;
mod proxy;
mod registry;
mod rest;
mod rules;
mod settings;
mod signature;
mod store;
mod strict;
mod telemetry;
mod unpack;
mod wire;

pub use api::api;
pub use archive::archive;
pub use auth::{answers, sessions, tokens};
pub use content::inflated;
pub use dns::{dns, dns_config};
pub use framing::{framing, response};
pub use messages::messages;
pub use node::{accounts, certificates};
pub use oci::{dockerfile, expansion, manifest, references};
pub use policy::{patterns, policy};
pub use proxy::proxy;
pub use registry::registry;
pub use rest::wire_rest;
pub use rules::rules;
pub use settings::{lifecycle, settings};
pub use signature::signature;
pub use store::store;
pub use telemetry::{log_files, log_filter};
pub use unpack::{entries, layer};
pub use wire::{identified, wire_cbor, wire_form, wire_json};

/// Name and body of a target.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by name.
pub const TARGETS: &[Target] = &[
    ("accounts", accounts),
    ("answers", answers),
    ("api", api),
    ("archive", archive),
    ("certificates", certificates),
    ("dns", dns),
    ("dns_config", dns_config),
    ("dockerfile", dockerfile),
    ("entries", entries),
    ("expansion", expansion),
    ("framing", framing),
    ("identified", identified),
    ("inflated", inflated),
    ("layer", layer),
    ("lifecycle", lifecycle),
    ("log_files", log_files),
    ("log_filter", log_filter),
    ("manifest", manifest),
    ("messages", messages),
    ("patterns", patterns),
    ("policy", policy),
    ("proxy", proxy),
    ("references", references),
    ("registry", registry),
    ("response", response),
    ("rules", rules),
    ("sessions", sessions),
    ("settings", settings),
    ("signature", signature),
    ("store", store),
    ("tokens", tokens),
    ("wire_cbor", wire_cbor),
    ("wire_form", wire_form),
    ("wire_json", wire_json),
    ("wire_rest", wire_rest),
];

/// A value written and read again is the same.
fn same_again<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("what was read can be written");
    let again: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(&again, value);
}

/// A directory in memory where there is one: these come and go by the thousand.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}
