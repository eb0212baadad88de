//! Where requests come from: the facts of one client connection that all its requests share.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;

use super::Worker;
use crate::compile::Route;
use crate::config::DesyncMode;
use crate::counters::LoadBalancerCounts;
use crate::log::ConnectionRecord;
use crate::tls::Session;

/// See the module.
#[derive(Debug)]
pub(crate) struct Origin {
    pub worker: Rc<Worker>,
    pub peer: SocketAddr,
    /// The peer's address, for X-Forwarded-For.
    pub peer_value: HeaderValue,
    /// Our end of the connection.
    pub local: SocketAddr,
    /// Coarse milliseconds, see [`crate::clock`].
    pub opened_ms: u64,
    /// What the handshake agreed on; `None` without TLS.
    pub tls: Option<Session>,
    pub counts: Arc<LoadBalancerCounts>,
    listener: Rc<str>,
    /// The route and the worker's version at which it was looked up.
    route: RefCell<(u64, Option<Arc<Route>>)>,
}

impl Origin {
    pub(super) fn new(
        worker: Rc<Worker>,
        listener: Rc<str>,
        counts: Arc<LoadBalancerCounts>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Origin {
        let peer_value = HeaderValue::try_from(peer.ip().to_string()).expect("an address is printable ASCII");
        let opened_ms = worker.now_ms();
        let route = RefCell::new((0, None));
        Origin { worker, peer, peer_value, local, opened_ms, tls: None, counts, listener, route }
    }

    /// The same after a handshake.
    pub(super) fn with_session(&self, session: Session) -> Origin {
        let (worker, listener) = (self.worker.clone(), self.listener.clone());
        let origin = Origin::new(worker, listener, self.counts.clone(), self.peer, self.local);
        Origin { opened_ms: self.opened_ms, tls: Some(session), ..origin }
    }

    /// What is to be told of the handshake at hand, if anything.
    pub(super) fn connection_log(&self) -> Option<ConnectionRecord> {
        let route = self.route()?;
        route.load_balancer.connection_log.clone().map(ConnectionRecord::begin)
    }

    /// The listener's current route; `None` when the listener is gone.
    pub(crate) fn route(&self) -> Option<Arc<Route>> {
        let mut cached = self.route.borrow_mut();
        if cached.0 != self.worker.version() {
            *cached = (self.worker.version(), self.worker.route(&self.listener));
        }
        cached.1.clone()
    }

    pub(crate) fn desync_mode(&self) -> DesyncMode {
        self.route().map_or(DesyncMode::Defensive, |route| route.load_balancer.attributes.desync_mode)
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What the logs call the connection.
    pub(crate) fn trace_id(&self) -> String {
        let opened = (self.opened_ms, self.peer, self.local);
        format!("TID_{:016x}{:016x}", crate::target::tag(&opened), crate::target::tag(&(&opened, "TID")))
    }

    /// Whether the connection has lived as long as connections may.
    pub(crate) fn is_old(&self, route: &Route) -> bool {
        self.worker.now_ms().saturating_sub(self.opened_ms) > route.load_balancer.client_keep_alive_ms
    }
}
