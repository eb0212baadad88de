//! Private keys of listeners' certificates and client secrets of their actions, as files for the balancer's eyes only.
//!
//! The balancer's configuration is sent and kept as text, so secrets go beside it: one file each in the run
//! directory, named by what is in it, so that another key is another file. The keys of authentication outlive a run:
//! they are made once per data directory.

use longshore_api::acm::key_place;
use longshore_api::elbv2::authenticate::secret_place;
use longshore_api::vault::Vault;
use longshore_balancer::auth::Keys;
use longshore_types::acm::Certificate;
use longshore_types::sealed::Sealed;
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

/// Where the client secret of a listener's or rule's action is, or will be.
pub fn secret_path_of(run_dir: &Path, owner: &str, secret: &Sealed) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (owner, &secret.0).hash(&mut hasher);
    run_dir.join("tls").join(format!("{:016x}.secret", hasher.finish()))
}

/// Where the balancer's keys of authentication are, or will be.
pub fn auth_keys_path(data_dir: &Path) -> PathBuf {
    data_dir.join("authentication.keys")
}

/// Makes the keys of authentication when there are none. Those that are there are never replaced: sessions need them.
pub fn provide_auth_keys(data_dir: &Path) -> io::Result<()> {
    let path = auth_keys_path(data_dir);
    if path.exists() {
        return Ok(());
    }
    write(&path, Keys::generate().as_bytes())?;
    fs::File::open(data_dir)?.sync_all()
}

/// A file for the owner alone, there as a whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // One that was left half written has a mode of its own.
    let _ = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

/// Writes the keys and secrets that are missing, and removes those that no listener has any more. `secrets` come with
/// the ARNs of their listeners and rules.
pub fn provide(run_dir: &Path, vault: &Vault, used: &[&Certificate], secrets: &[(String, Sealed)]) -> io::Result<()> {
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
            write(&path, &key)?;
        }
    }
    for (owner, sealed) in secrets {
        let path = secret_path_of(run_dir, owner, sealed);
        wanted.insert(path.clone());
        if !path.exists() {
            match vault.open(&secret_place(owner), sealed) {
                Ok(secret) => write(&path, &secret)?,
                // The balancer lets nobody in there; all others go on.
                Err(error) => tracing::error!(owner, %error, "a client secret cannot be opened"),
            }
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
