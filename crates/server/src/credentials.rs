//! The account's own access key: made at the first start, kept in `<data>/credentials`, which only its owner reads.
//!
//! The file is one that AWS's clients read: `AWS_SHARED_CREDENTIALS_FILE=<data>/credentials`.

use crate::config::Config;
use anyhow::{Context, bail};
use longshore_api::identity::RootKey;
use longshore_types::IdSource;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// The key of an instance that has been started.
pub fn read(config: &Config) -> anyhow::Result<RootKey> {
    let path = config.credentials_file();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}, which belongs to who started Longshore: try sudo", path.display()))?;
    match parse(&text) {
        Some(key) => Ok(key),
        None => bail!("{} has no access key; remove it, and the next start makes a new one", path.display()),
    }
}

/// The key, made if there is none.
pub fn read_or_make(config: &Config) -> anyhow::Result<RootKey> {
    let path = config.credentials_file();
    if path.exists() {
        return read(config);
    }
    let key = RootKey {
        access_key_id: format!("AKIA{}", IdSource::new(crate::serve::seed()).alphanumeric(16)),
        secret_access_key: longshore_api::sts::secret::new_secret(30),
    };
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(format(&key).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}

fn format(key: &RootKey) -> String {
    let RootKey { access_key_id, secret_access_key } = key;
    format!("[default]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret_access_key}\n")
}

fn parse(text: &str) -> Option<RootKey> {
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    Some(RootKey { access_key_id: value("aws_access_key_id")?, secret_access_key: value("aws_secret_access_key")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let key = RootKey { access_key_id: "AKIAX".to_owned(), secret_access_key: "a/b+c=".to_owned() };
        assert!(parse(&format(&key)).is_some_and(|read| read == key));
        assert!(parse("[default]\naws_access_key_id = \n").is_none());
    }
}
