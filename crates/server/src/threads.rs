//! Threads that serve connections, each with an event loop of its own.
//!
//! A connection stays with one thread, so a request that only reads is answered by whoever received it. (A runtime whose
//! workers steal from each other wakes a second one for each request, which then finds nothing to do.)

use anyhow::Context;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Cheap to clone. The threads end when the last clone is dropped and their connections are closed.
#[derive(Clone)]
pub struct Threads(Arc<[Thread]>);

struct Thread {
    new: mpsc::UnboundedSender<TcpStream>,
    /// Connections it has.
    open: Arc<AtomicUsize>,
}

impl Threads {
    /// Starts so many; each hands its connections to `serve`.
    pub fn start<F, S>(count: usize, serve: S) -> anyhow::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(tokio::net::TcpStream) -> F + Clone + Send + 'static,
    {
        (0..count).map(|number| Thread::start(number, serve.clone())).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Gives a connection to the thread that has the fewest.
    pub fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let Some(thread) = self.0.iter().min_by_key(|thread| thread.open.load(Ordering::Relaxed)) else {
            return Err(io::Error::other("there is no thread to serve it"));
        };
        thread.open.fetch_add(1, Ordering::Relaxed);
        thread.new.send(stream).map_err(|_| io::Error::other("the thread that was to serve it has ended"))
    }
}

impl Thread {
    fn start<F, S>(number: usize, serve: S) -> anyhow::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(tokio::net::TcpStream) -> F + Send + 'static,
    {
        let runtime = crate::process::current_thread()?;
        let (new, mut connections) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        let run = async move {
            while let Some(stream) = connections.recv().await {
                let counted = Counted(Arc::clone(&counted));
                match tokio::net::TcpStream::from_std(stream) {
                    Ok(stream) => {
                        let served = serve(stream);
                        tokio::spawn(async move {
                            served.await;
                            drop(counted);
                        });
                    }
                    Err(error) => tracing::warn!(%error, "a connection could not be watched"),
                }
            }
        };
        std::thread::Builder::new()
            .name(format!("edge-{number}"))
            .spawn(move || runtime.block_on(run))
            .context("cannot start a thread")?;
        Ok(Self { new, open })
    }
}

/// One connection, while it is there, also when serving it panics.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers with the name of the thread.
    async fn name(mut stream: tokio::net::TcpStream) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = stream.write_all(name.as_bytes()).await;
        let _ = stream.flush().await;
        let mut end = [0];
        let asked = stream.read(&mut end).await;
        assert!(!matches!(asked, Ok(1)), "asked to panic");
    }

    async fn connect(threads: &Threads, listener: &TcpListener) -> (tokio::net::TcpStream, String) {
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        threads.serve(listener.accept().unwrap().0).unwrap();
        let mut name = [0; 6];
        client.read_exact(&mut name).await.unwrap();
        (client, String::from_utf8(name.to_vec()).unwrap())
    }

    async fn open(threads: &Threads, wanted: usize) {
        let all = || threads.0.iter().map(|thread| thread.open.load(Ordering::Relaxed)).sum::<usize>();
        let settled = async {
            while all() != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), settled).await.unwrap();
    }

    #[tokio::test]
    async fn connections_are_shared_out_evenly_and_forgotten_when_they_end() {
        let threads = Threads::start(2, name).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, first_thread) = connect(&threads, &listener).await;
        let (mut second, second_thread) = connect(&threads, &listener).await;
        assert_ne!(first_thread, second_thread);
        drop(first);
        open(&threads, 1).await;
        let (third, third_thread) = connect(&threads, &listener).await;
        assert_eq!(third_thread, first_thread);
        // One that panics is forgotten, too, and its thread goes on.
        second.write_all(b"!").await.unwrap();
        open(&threads, 1).await;
        let (fourth, fourth_thread) = connect(&threads, &listener).await;
        assert_eq!(fourth_thread, second_thread);
        drop((third, fourth));
        open(&threads, 0).await;
    }
}
