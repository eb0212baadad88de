//! Private keys of listeners' certificates, as files for the balancer's eyes only.
//!
//! The balancer's configuration is sent and kept as text, so keys go beside it: one file each in the run
//! directory, named by what is in it, so that another key is another file.

use longshore_api::acm::key_place;
use longshore_api::vault::Vault;
use longshore_types::acm::Certificate;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where a certificate's key is, or will be.
pub fn path_of(run_dir: &Path, certificate: &Certificate) -> PathBuf {
    // A name, not a proof: what is sealed differs each time it is sealed.
    let mut hasher = DefaultHasher::new();
    (&certificate.arn, &certificate.body, &certificate.private_key.0).hash(&mut hasher);
    run_dir.join("tls").join(format!("{:016x}.key", hasher.finish()))
}

/// Writes the keys that are missing, and removes those of certificates that no listener has any more.
pub fn provide(run_dir: &Path, vault: &Vault, used: &[&Certificate]) -> io::Result<()> {
    let folder = run_dir.join("tls");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let mut wanted = BTreeSet::new();
    for certificate in used {
        let path = path_of(run_dir, certificate);
        wanted.insert(path.clone());
        if !path.exists() {
            let key = match vault.open(&key_place(&certificate.arn), &certificate.private_key) {
                Ok(key) => key,
                Err(error) => {
                    // The balancer reports the listeners that miss it; all others go on.
                    tracing::error!(certificate = certificate.arn, %error, "a private key cannot be opened");
                    continue;
                }
            };
            let fresh = path.with_extension("new");
            // One that was left half written has a mode of its own.
            let _ = fs::remove_file(&fresh);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(&key)?;
            fs::rename(&fresh, &path)?;
        }
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if !wanted.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
