//! Kernel settings under `/proc/sys/net`, of the calling thread's network namespace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::NetworkError;

/// Sets `name` (such as `ipv4/ip_forward`).
pub fn set(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = path(name);
    fs::write(&path, value).map_err(|error| NetworkError::File { doing: "set", path, error })
}

/// Sets `name` if the kernel has it: IPv6 may be compiled out.
pub fn set_if_there(name: &str, value: &str) -> Result<(), NetworkError> {
    if path(name).exists() { set(name, value) } else { Ok(()) }
}

/// The value of `name`, without its newline.
pub fn get(name: &str) -> Result<String, NetworkError> {
    let path = path(name);
    let value = fs::read_to_string(&path).map_err(|error| NetworkError::File { doing: "read", path, error })?;
    Ok(value.trim_end().to_owned())
}

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(name)
}
