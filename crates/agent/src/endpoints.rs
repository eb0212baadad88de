//! What listens at 169.254.170.2 in each VPC: metadata and credentials on port 80, the AWS API on port 4566.
//!
//! Nobody tells a listener who asks: the VPC's reverse-path filter makes a packet's source address the task's identity.

use crate::{Node, api_door, metadata};
use longshore_network::{API_PORT, METADATA};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const METADATA_PORT: u16 = 80;

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
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let IpAddr::V4(address) = peer.ip() else { continue };
        let _ = stream.set_nodelay(true);
        let (node, vpc) = (Arc::clone(&node), vpc.clone());
        if port == METADATA_PORT {
            tokio::spawn(metadata::serve(node, Arc::clone(&samples), vpc, address, stream));
        } else {
            tokio::spawn(api_door::serve(node, vpc, address, stream));
        }
    }
}
