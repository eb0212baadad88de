//! Downloads one blob into a channel, resuming where a connection broke.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::client::Remote;
use super::{Cause, PullError};
use crate::ingest::Chunk;
use crate::manifest::Descriptor;
use crate::store::RetryPolicy;

/// Chunks on their way to the unpacking thread. With the client's chunks of up to some 400 KB this bounds the memory of a layer.
pub(super) const CHUNKS_IN_FLIGHT: usize = 8;
/// Larger chunks are cut, so that the bound above is one of bytes too.
const CHUNK_MAX: usize = 256 << 10;

/// Sends the blob's bytes and then [`Chunk::End`]. Returns early, without an error, when the receiver is gone: it has failed, and
/// its error is the one that counts.
///
/// `progress` is told how many bytes were received so far.
pub(super) async fn feed(
    remote: &Remote,
    blob: &Descriptor,
    to: mpsc::Sender<Chunk>,
    retry: RetryPolicy,
    progress: impl Fn(u64),
) -> Result<(), PullError> {
    let mut received = 0;
    let mut attempts = 1;
    loop {
        let before = received;
        let cause = match remote.blob(blob, received).await {
            Err(cause) => cause,
            Ok(mut stream) => loop {
                match stream.next().await {
                    Some(Ok(mut chunk)) => {
                        received += chunk.len() as u64;
                        if received > blob.size {
                            break Cause::Mismatch(format!(
                                "blob {} is longer than its {} bytes",
                                blob.digest, blob.size
                            ));
                        }
                        while !chunk.is_empty() {
                            let part: Bytes = chunk.split_to(chunk.len().min(CHUNK_MAX));
                            if to.send(Chunk::Data(part)).await.is_err() {
                                return Ok(());
                            }
                        }
                        progress(received);
                    }
                    // Complete; the client's own verification may object, but the receiver computes the digest as well.
                    _ if received == blob.size => {
                        let _ = to.send(Chunk::End).await;
                        return Ok(());
                    }
                    Some(Err(e)) => break Cause::of_chain(&e, &format!("blob {}", blob.digest)),
                    None => {
                        break Cause::Broken(format!(
                            "blob {} ended after {received} of {} bytes",
                            blob.digest, blob.size
                        ));
                    }
                }
            },
        };
        // A try that made progress does not count: a long download over a bad line ends all the same.
        if received > before {
            attempts = 1;
        }
        if !cause.is_transient() || attempts >= retry.attempts.max(1) {
            return Err(PullError::Blob { attempts, digest: blob.digest, cause });
        }
        tracing::debug!(digest = %blob.digest, %cause, attempts, received, "resuming a download");
        tokio::time::sleep(pause(retry, attempts)).await;
        attempts += 1;
    }
}

/// How long to wait after the `attempt`th try.
pub(super) fn pause(retry: RetryPolicy, attempt: u32) -> Duration {
    retry.backoff.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds() {
        let retry = RetryPolicy { attempts: 9, backoff: Duration::from_millis(250) };
        let pauses: Vec<_> = (1..=8).map(|n| pause(retry, n).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }
}
