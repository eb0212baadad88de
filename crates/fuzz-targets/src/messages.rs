//! What our own processes tell each other and find again after a crash.

use longshore_runtime::protocol::{Command, Event, State};
use longshore_runtime::spec::TaskSpec;
use longshore_types::link::{FromAgent, ToAgent};

use crate::input::Input;
use crate::same_again;

/// Number of a kind of message and its JSON.
///
/// Holds: what is read, written and read again is the same; a task's specification is valid or refused.
pub fn messages(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let json = input.rest();
    fn read<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(json: &[u8]) -> Option<T> {
        let value: T = serde_json::from_slice(json).ok()?;
        same_again(&value);
        Some(value)
    }
    match kind % 8 {
        0 => drop(read::<ToAgent>(json)),
        1 => drop(read::<FromAgent>(json)),
        2 => drop(read::<Command>(json)),
        3 => drop(read::<Event>(json)),
        4 => drop(read::<State>(json)),
        5 => {
            if let Some(spec) = read::<TaskSpec>(json) {
                let _ = spec.validate();
            }
        }
        6 => drop(serde_json::from_slice::<longshore_balancer::Report>(json)),
        _ => drop(read::<longshore_network::NetworkConfig>(json)),
    }
}
