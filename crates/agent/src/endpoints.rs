//! What listens at 169.254.170.2 in each VPC: metadata and credentials on port 80, the AWS API on port 4566.
//!
//! Nobody tells a listener who asks: the VPC's reverse-path filter makes a packet's source address the task's identity.

use crate::{Node, api_door, metadata};
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use longshore_network::{API_PORT, METADATA};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

const METADATA_PORT: u16 = 80;

/// Connections of one task to one port at a time; more are closed at once. Far more than the SDKs of ten containers keep, and so few
/// that no task uses up the descriptors that all tasks of the node share.
const CONNECTIONS_MAX: usize = 512;
/// For a request's head to be complete, and for the next one to begin.
const HEAD_WAIT: Duration = Duration::from_secs(60);
/// Bytes of a request's head: more than any signature, token and query string need.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// HTTP as both ports speak it with tasks, which may be anything.
pub fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_BYTES_MAX);
    http
}

/// How many connections each address has.
#[derive(Default)]
struct Places(HashMap<Ipv4Addr, Weak<Semaphore>>);

impl Places {
    /// A place for one more connection, kept as long as the permit is; `None` if the address has all it gets.
    fn take(&mut self, address: Ipv4Addr) -> Option<OwnedSemaphorePermit> {
        let places = match self.0.get(&address).and_then(Weak::upgrade) {
            Some(places) => places,
            None => {
                // The first connection of a task; those of tasks that are gone make room.
                self.0.retain(|_, places| places.strong_count() > 0);
                let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
                self.0.insert(address, Arc::downgrade(&places));
                places
            }
        };
        places.try_acquire_owned().ok()
    }
}

/// The listeners, by VPC and port.
pub struct Endpoints {
    node: Arc<Node>,
    samples: Arc<metadata::Samples>,
    running: HashMap<(String, u16), JoinHandle<()>>,
}

impl Endpoints {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, samples: Arc::default(), running: HashMap::new() }
    }

    /// Listens in exactly these VPCs.
    pub fn serve(&mut self, vpcs: Vec<&str>) {
        self.running.retain(|(vpc, _), task| {
            let stays = vpcs.contains(&vpc.as_str()) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for vpc in vpcs {
            for port in [METADATA_PORT, API_PORT] {
                let key = (vpc.to_owned(), port);
                if self.running.contains_key(&key) {
                    continue;
                }
                match self.listen(vpc, port) {
                    Ok(listener) => {
                        let (node, samples) = (Arc::clone(&self.node), Arc::clone(&self.samples));
                        let task = tokio::spawn(accept(node, samples, vpc.to_owned(), port, listener));
                        self.running.insert(key, task);
                    }
                    Err(error) => tracing::error!(error, vpc, port, "nothing can listen at {METADATA}"),
                }
            }
        }
    }

    fn listen(&self, vpc: &str, port: u16) -> Result<TcpListener, String> {
        let path = longshore_network::namespace::path_of(&self.node.machine.options.run_dir, vpc);
        let listener = longshore_network::tcp_listener_in(&path, SocketAddr::from((METADATA, port)))
            .map_err(|error| error.to_string())?;
        TcpListener::from_std(listener).map_err(|error| error.to_string())
    }
}

async fn accept(node: Arc<Node>, samples: Arc<metadata::Samples>, vpc: String, port: u16, listener: TcpListener) {
    let mut places = Places::default();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let IpAddr::V4(address) = peer.ip() else { continue };
        let Some(place) = places.take(address) else {
            tracing::debug!(%address, vpc, port, "a task has too many connections");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (node, samples, vpc) = (Arc::clone(&node), Arc::clone(&samples), vpc.clone());
        tokio::spawn(async move {
            if port == METADATA_PORT {
                metadata::serve(node, samples, vpc, address, stream).await;
            } else {
                api_door::serve(node, vpc, address, stream).await;
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_a_bounded_number_of_connections_and_takes_none_of_the_others() {
        let (one, other) = (Ipv4Addr::new(172, 31, 0, 5), Ipv4Addr::new(172, 31, 0, 6));
        let mut places = Places::default();
        let mut taken: Vec<_> = (0..CONNECTIONS_MAX).map(|_| places.take(one).expect("within the bound")).collect();
        assert!(places.take(one).is_none());
        assert!(places.take(other).is_some());
        taken.pop();
        assert!(places.take(one).is_some(), "a connection that ended makes room");
        drop(taken);
        assert!(places.take(other).is_some() && places.0.len() == 1, "tasks without connections are forgotten");
    }
}
