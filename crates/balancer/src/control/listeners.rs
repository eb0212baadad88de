//! Listening sockets: opened when first configured, kept while the configuration mentions them.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::namespaces::Namespaces;
use crate::config::Config;
use crate::netns::Namespace;
use crate::report::ListenerReport;
use crate::worker::{ListenOrder, Order, WorkerHandle};

/// What makes a socket another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    arn: String,
    port: u16,
    ip: Ipv4Addr,
    namespace: Option<PathBuf>,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    /// The namespace the socket is in, or why there is no socket.
    socket: Result<Arc<Namespace>, String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    entries: BTreeMap<Place, Entry>,
    next_key: u64,
}

impl Listeners {
    /// Opens what is missing, closes what is no longer configured. Listeners that are `unusable`, for a reason, are
    /// not listened for. The closing is done when all receivers
    /// have answered.
    pub(super) fn reconcile(
        &mut self,
        config: &Config,
        namespaces: &Namespaces,
        unusable: &HashMap<String, String>,
        workers: &[WorkerHandle],
    ) -> Vec<oneshot::Receiver<()>> {
        let mut former = std::mem::take(&mut self.entries);
        let mut unlistened = BTreeMap::new();
        for load_balancer in &config.load_balancers {
            for listener in &load_balancer.listeners {
                for address in &load_balancer.addresses {
                    let place = Place {
                        arn: listener.arn.clone(),
                        port: listener.port,
                        ip: address.ip,
                        namespace: address.namespace.clone(),
                    };
                    if let Some(reason) = unusable.get(&listener.arn) {
                        // An open socket of it stays among the former ones, which are closed.
                        unlistened.insert(place, Entry { key: u64::MAX, socket: Err(reason.clone()) });
                        continue;
                    }
                    let namespace = namespaces.get(address.namespace.as_deref());
                    let kept = former.remove(&place).filter(|entry| is_in(entry, &namespace));
                    let entry = match kept {
                        Some(entry) => entry,
                        None => self.open(&place, namespace, workers),
                    };
                    self.entries.insert(place, entry);
                }
            }
        }
        self.entries.append(&mut unlistened);
        former.into_values().flat_map(|entry| tell_unlisten(&entry, workers)).collect()
    }

    fn open(&mut self, place: &Place, namespace: Result<Arc<Namespace>, String>, workers: &[WorkerHandle]) -> Entry {
        let key = self.next_key;
        self.next_key += 1;
        let address = SocketAddrV4::new(place.ip, place.port);
        let socket = namespace.and_then(|namespace| {
            let sockets = namespace
                .listen(address, workers.len())
                .map_err(|error| format!("cannot listen on {address}: {error}"))?;
            for (worker, socket) in workers.iter().zip(sockets) {
                let order =
                    ListenOrder { key, listener_arn: place.arn.clone(), is_host: place.namespace.is_none(), socket };
                // A worker that is gone is reported by its thread.
                let _ = worker.orders.send(Order::Listen(order));
            }
            Ok(namespace)
        });
        if let Err(error) = &socket {
            tracing::warn!(listener = place.arn, error, "listener does not listen");
        }
        Entry { key, socket }
    }

    /// Whether another try may open a socket.
    pub(super) fn has_failed(&self) -> bool {
        self.entries.values().any(|entry| entry.socket.is_err())
    }

    /// `tls_problems` are by listener.
    pub(super) fn report(&self, tls_problems: &HashMap<String, String>) -> Vec<ListenerReport> {
        self.entries
            .iter()
            .map(|(place, entry)| ListenerReport {
                arn: place.arn.clone(),
                address: place.ip,
                port: place.port,
                error: entry.socket.as_ref().err().cloned(),
                tls_error: tls_problems.get(&place.arn).cloned(),
            })
            .collect()
    }
}

fn is_in(entry: &Entry, namespace: &Result<Arc<Namespace>, String>) -> bool {
    matches!((&entry.socket, namespace), (Ok(current), Ok(wanted)) if Arc::ptr_eq(current, wanted))
}

fn tell_unlisten(entry: &Entry, workers: &[WorkerHandle]) -> Vec<oneshot::Receiver<()>> {
    if entry.socket.is_err() {
        return Vec::new();
    }
    workers
        .iter()
        .map(|worker| {
            let (done, closed) = oneshot::channel();
            let _ = worker.orders.send(Order::Unlisten(entry.key, done));
            closed
        })
        .collect()
}
