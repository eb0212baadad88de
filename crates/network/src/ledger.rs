//! What must survive the process: the configuration in effect, the uplink slots, and the attached interfaces.
//!
//! ```text
//! <run>/network/lock            held by the one process that may change the network
//! <run>/network/state.json      written before the kernel is changed: what to finish after a crash
//! <run>/network/eni/<id>.json   written when an interface is complete, removed before it is taken apart: a link
//!                               without its file is debris
//! ```
//! The run directory is in memory and ends with the machine, as do the namespaces; nothing is synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{Eni, NetworkConfig};
use crate::error::NetworkError;

/// The state file's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub config: NetworkConfig,
    /// VPC id to the number of its uplink's block in the pool.
    pub slots: BTreeMap<String, u32>,
    /// The host did not forward before the first instance; the last one's teardown turns it off again.
    pub forwarding_was_off: bool,
}

/// An interface and the VPC it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub vpc: String,
    pub eni: Eni,
}

/// The files, locked.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    _lock: File,
}

impl Ledger {
    /// Opens, making the folders; [`NetworkError::Busy`] while another process has it open.
    pub fn open(run_dir: &Path) -> Result<Ledger, NetworkError> {
        let folder = run_dir.join("network");
        let enis = folder.join("eni");
        fs::create_dir_all(&enis).map_err(failed("make folder", &enis))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(failed("make lock file", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Ledger { folder, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(NetworkError::Busy(run_dir.to_owned())),
            Err(error) => Err(failed("lock", &path)(error.into())),
        }
    }

    /// The last state; the default when there is none.
    pub fn state(&self) -> Result<State, NetworkError> {
        Ok(read(&self.state_path())?.unwrap_or_default())
    }

    /// Replaces the state.
    pub fn set_state(&self, state: &State) -> Result<(), NetworkError> {
        write(&self.state_path(), state)
    }

    /// Every attached interface.
    pub fn attached(&self) -> Result<Vec<Attached>, NetworkError> {
        let folder = self.folder.join("eni");
        let entries = fs::read_dir(&folder).map_err(failed("list", &folder))?;
        let mut found = vec![];
        for entry in entries {
            let path = entry.map_err(failed("list", &folder))?.path();
            // A crash may have left a half-written temporary file.
            if path.extension().is_some_and(|extension| extension == "json") {
                found.extend(read(&path)?);
            }
        }
        Ok(found)
    }

    /// Records a complete interface.
    pub fn add(&self, attached: &Attached) -> Result<(), NetworkError> {
        write(&self.eni_path(&attached.eni.id), attached)
    }

    /// Forgets an interface; it may be unknown.
    pub fn remove(&self, eni: &str) -> Result<(), NetworkError> {
        let path = self.eni_path(eni);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes the folder and everything in it.
    pub fn destroy(self) -> Result<(), NetworkError> {
        fs::remove_dir_all(&self.folder).map_err(failed("remove folder", &self.folder))
    }

    fn state_path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn eni_path(&self, id: &str) -> PathBuf {
        self.folder.join("eni").join(format!("{id}.json"))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NetworkError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed("read", path)(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), NetworkError> {
    let bytes = serde_json::to_vec(value).map_err(|error| failed("encode", path)(error.into()))?;
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, bytes).map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("replace", path))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NetworkError {
    let path = path.to_owned();
    move |error| NetworkError::File { doing, path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_the_first_finds_what_it_wrote() {
        let run_dir = std::env::temp_dir().join(format!("longshore-ledger-{}", std::process::id()));
        let ledger = Ledger::open(&run_dir).unwrap();
        assert!(matches!(Ledger::open(&run_dir), Err(NetworkError::Busy(_))));
        let state =
            State { slots: BTreeMap::from([("vpc-1".to_owned(), 3)]), forwarding_was_off: true, ..State::default() };
        ledger.set_state(&state).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&run_dir).unwrap();
        assert_eq!(ledger.state().unwrap(), state);
        ledger.remove("eni-unknown").unwrap();
        assert!(ledger.attached().unwrap().is_empty());
        ledger.destroy().unwrap();
        fs::remove_dir(&run_dir).unwrap();
    }
}
