//! The few facts that no event file holds, in `state.json`: rewritten whole each time log files are sorted.

use super::error::LogError;
use super::file;
use super::index::Index;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FILE: &str = "state.json";
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    /// Numbers below these may have been given to streams and events that are gone.
    pub(crate) next_stream: u64,
    pub(crate) next_sequence: u64,
    /// See [`Index::deleted`].
    pub(crate) deleted: BTreeMap<u64, u64>,
    /// See [`Index::floors`].
    pub(crate) floors: BTreeMap<String, i64>,
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
        let state: Self = serde_json::from_slice(&text).map_err(|error| LogError::corrupt(&path, error.to_string()))?;
        if state.format != FORMAT {
            let reason = format!("its format is {}, this release reads format {FORMAT}", state.format);
            return Err(LogError::corrupt(&path, reason));
        }
        Ok(state)
    }

    pub(crate) fn save(&self, dir: &Path) -> Result<(), LogError> {
        let text = serde_json::to_vec(self).expect("numbers and texts have a JSON form");
        file::write_whole(&dir.join(FILE), &text)
    }
}
