//! The few facts that no event file holds, in `state.json`: rewritten whole each time log files are sorted.

use super::error::LogError;
use super::file;
use super::floor::{Floor, Floors};
use super::index::Index;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FILE: &str = "state.json";
const FORMAT: u32 = 2;
/// A floor was a time only.
const FORMAT_OF_TIMES: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State<F = Floors> {
    format: u32,
    /// Numbers below these may have been given to streams and events that are gone.
    pub(crate) next_stream: u64,
    pub(crate) next_sequence: u64,
    /// See [`Index::deleted`].
    pub(crate) deleted: BTreeMap<u64, u64>,
    /// See [`Index::floors`].
    pub(crate) floors: BTreeMap<String, F>,
}

/// What all formats have.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Default for State {
    fn default() -> Self {
        Self { format: FORMAT, next_stream: 1, next_sequence: 1, deleted: BTreeMap::new(), floors: BTreeMap::new() }
    }
}

impl State {
    pub(crate) fn of(index: &Index, next_stream: u64, next_sequence: u64) -> Self {
        let (deleted, floors) = (index.deleted.clone(), index.floors.clone());
        Self { format: FORMAT, next_stream, next_sequence, deleted, floors }
    }

    pub(crate) fn load(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(LogError::io("read", &path)(error)),
        };
        let corrupt = |error: serde_json::Error| LogError::corrupt(&path, error.to_string());
        let Format { format } = serde_json::from_slice(&text).map_err(corrupt)?;
        match format {
            FORMAT => serde_json::from_slice(&text).map_err(corrupt),
            FORMAT_OF_TIMES => serde_json::from_slice(&text).map(Self::of_times).map_err(corrupt),
            _ => {
                let reason = format!("its format is {format}, this release reads up to format {FORMAT}");
                Err(LogError::corrupt(&path, reason))
            }
        }
    }

    /// The floors were those of all that was stored.
    fn of_times(state: State<i64>) -> Self {
        let State { next_stream, next_sequence, deleted, floors, .. } = state;
        let floors = floors.into_iter().map(|(group, before_ms)| {
            let mut floors = Floors::default();
            floors.add(Floor { before_ms, below_sequence: next_sequence });
            (group, floors)
        });
        Self { format: FORMAT, next_stream, next_sequence, deleted, floors: floors.collect() }
    }

    pub(crate) fn save(&self, dir: &Path) -> Result<(), LogError> {
        let text = serde_json::to_vec(self).expect("numbers and texts have a JSON form");
        file::write_whole(&dir.join(FILE), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_of_the_first_format_are_of_what_was_stored() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(dir.path().join(FILE), text).unwrap();
        write(r#"{"format":1,"next_stream":3,"next_sequence":9,"deleted":{"2":1},"floors":{"g":100}}"#);
        let state = State::load(dir.path()).unwrap();
        assert_eq!((state.next_stream, state.next_sequence, state.deleted.len()), (3, 9, 1));
        assert_eq!((state.floors["g"].before_ms(8), state.floors["g"].before_ms(9)), (100, i64::MIN));
        state.save(dir.path()).unwrap();
        assert_eq!(State::load(dir.path()).unwrap().floors, state.floors);
        write(r#"{"format":3}"#);
        let error = State::load(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("its format is 3, this release reads up to format 2"), "{error}");
    }
}
