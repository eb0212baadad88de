//! The network namespaces a configuration mentions, entered and kept while their files stay the same.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::netns::Namespace;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    entered: HashMap<PathBuf, Entry>,
    host: HostNamespace,
}

#[derive(Debug)]
struct HostNamespace(Arc<Namespace>);

impl Default for HostNamespace {
    fn default() -> Self {
        HostNamespace(Arc::new(Namespace::Host))
    }
}

#[derive(Debug)]
struct Entry {
    /// Device and inode of the namespace: a file may be made anew for another one.
    identity: Option<(u64, u64)>,
    namespace: Result<Arc<Namespace>, String>,
}

impl Namespaces {
    /// Enters what is new, forgets what is no longer mentioned.
    pub(super) fn reconcile(&mut self, config: &Config) {
        let mentioned: HashSet<&Path> = config
            .load_balancers
            .iter()
            .flat_map(|lb| {
                let of_addresses = lb.addresses.iter().filter_map(|address| address.namespace.as_deref());
                of_addresses.chain(lb.target_namespace.as_deref())
            })
            .collect();
        self.entered.retain(|path, _| mentioned.contains(path.as_path()));
        for path in mentioned {
            let identity = std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
            let is_current =
                self.entered.get(path).is_some_and(|entry| entry.namespace.is_ok() && entry.identity == identity);
            if !is_current {
                let namespace = Namespace::enter(path).map_err(|error| error.to_string());
                self.entered.insert(path.to_owned(), Entry { identity, namespace });
            }
        }
    }

    /// The namespace to make sockets in, or why there is none.
    pub(super) fn get(&self, path: Option<&Path>) -> Result<Arc<Namespace>, String> {
        match path {
            None => Ok(self.host.0.clone()),
            Some(path) => match self.entered.get(path) {
                Some(entry) => entry.namespace.clone(),
                None => Err(format!("network namespace {} is not entered", path.display())),
            },
        }
    }

    /// Whether another try may find a namespace that was not there.
    pub(super) fn has_missing(&self) -> bool {
        self.entered.values().any(|entry| entry.namespace.is_err())
    }
}
