//! One connection to a target: the HTTP engine's two halves, polled by whoever has a request on it.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::client::conn::http1::{Connection, SendRequest};

use super::body::RequestBody;
use super::target_io::{TargetIo, Wire};
use super::target_stream;
use crate::target::Target;
use crate::worker::Worker;

/// See the module.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(super) sender: SendRequest<RequestBody>,
    /// `None` once it has ended. Dropping it is what tells waiting futures.
    connection: Option<Connection<TargetIo, RequestBody>>,
    wire: Rc<Wire>,
    /// Kept when the engine ended in an upgrade.
    parts: Option<(TargetIo, Bytes)>,
    pub(super) idle_since_ms: u64,
    /// Is to end with the exchange at hand.
    pub(super) is_last: bool,
}

impl Upstream {
    /// Connects; the caller bounds the time.
    pub(super) async fn connect(worker: &Worker, target: &Arc<Target>, is_tls: bool) -> io::Result<Box<Upstream>> {
        let tls = is_tls.then(|| worker.target_tls[0].clone());
        let stream = target_stream::connect(target, tls.as_ref()).await?;
        let wire = Rc::new(Wire::default());
        let io = TargetIo::new(stream, target.clone(), tls, wire.clone());
        // Nothing is sent yet: this is ready at once.
        let (sender, connection) = worker.client.handshake(io).await.map_err(io::Error::other)?;
        Ok(Box::new(Upstream {
            sender,
            connection: Some(connection),
            wire,
            parts: None,
            idle_since_ms: 0,
            is_last: false,
        }))
    }

    /// A request is about to be sent over this connection, which has been used before.
    pub(super) fn begin_reused(&self, is_idempotent: bool) {
        self.wire.begin_reused(is_idempotent);
    }

    /// Moves bytes in both directions as far as they go.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(result) = connection.poll_without_shutdown(cx)
        {
            let ended = self.connection.take();
            // After an upgrade the engine is done, and the socket is not.
            if let (Ok(()), Some(ended)) = (result, ended) {
                let parts = ended.into_parts();
                self.parts = Some((parts.io, parts.read_buf));
            }
        }
    }

    /// Whether bytes moved since last asked.
    pub(super) fn take_moved(&self) -> bool {
        self.wire.take_moved()
    }

    /// The socket and what was read from it beyond the response head, after an upgrade.
    pub(super) fn into_tunnel(mut self: Box<Self>) -> Option<(TargetIo, Bytes)> {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.parts.take()
    }

    /// Whether the connection is open and waits for a request. Also notices that the target has closed it.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Goes back to the pool after a complete exchange, if the connection can be used again.
    pub(super) fn release(mut self: Box<Self>, worker: &Worker, target: &Target) {
        if !self.is_last && self.is_reusable() && worker.is_poolable(target.id) {
            self.idle_since_ms = worker.now_ms();
            worker.pool.put(target.id, self);
        }
    }
}
