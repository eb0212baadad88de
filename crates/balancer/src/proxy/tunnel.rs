//! Upgraded connections: bytes both ways until one side ends or nothing moves for the idle timeout.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::target_io::TargetIo;
use crate::log::Record;
use crate::target::InFlight;
use crate::worker::client::{Client, RawClient};

/// An upgraded connection to a target.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(super) target: TargetIo,
    /// Came with the response head; belongs to the client.
    pub(super) early: Bytes,
    /// Keeps the target counted as busy.
    pub(super) in_flight: InFlight,
    /// Told of when the tunnel ends.
    pub(super) record: Option<Box<Record>>,
}

impl Tunnel {
    /// Carries bytes; `early` came from the client before the tunnel opened.
    pub(crate) async fn run(mut self: Box<Self>, client: &Client, early: Bytes) {
        let carry = async {
            let mut raw = RawClient(client);
            raw.write_all(&self.early).await?;
            self.target.write_all(&early).await?;
            raw.flush().await?;
            self.target.flush().await?;
            copy_bidirectional(&mut raw, &mut self.target).await
        };
        let mut carry = pin!(carry);
        poll_fn(|cx| {
            if client.call.poll_expired(cx).is_ready() {
                return Poll::Ready(());
            }
            carry.as_mut().poll(cx).map(|_| ())
        })
        .await;
        if let Some(record) = &mut self.record {
            record.carried(client.tunnel_bytes.get());
        }
        drop(self.in_flight);
    }
}
