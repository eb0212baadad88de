//! Sockets inside a network namespace.
//!
//! A socket belongs to the namespace of the thread that creates it, for good; `bind`, `listen` and `connect`
//! may then happen anywhere. So each namespace has one helper thread that enters it once and makes sockets
//! for the others. Connections at rate do not pay a thread hop each: the thread hands out a few spare
//! sockets with each answer (see [`Namespace::stream_socket`]).

use std::fs::File;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

/// How many spare sockets one trip to the helper thread brings.
const SPARES: usize = 8;
const BACKLOG: i32 = 4096;

/// Why a namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    #[error("cannot open network namespace {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot enter network namespace {path}: {source}")]
    Enter { path: PathBuf, source: io::Error },
}

/// A place to make sockets in.
#[derive(Debug)]
pub(crate) enum Namespace {
    /// The namespace this process runs in.
    Host,
    /// Another one.
    Entered(Entered),
}

/// A namespace with its helper thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    jobs: mpsc::Sender<Job>,
    spares: Mutex<Vec<OwnedFd>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Opens the namespace a file stands for and starts its helper thread.
    pub(crate) fn enter(path: &Path) -> Result<Arc<Namespace>, NamespaceError> {
        let file = File::open(path).map_err(|source| NamespaceError::Open { path: path.to_owned(), source })?;
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, result) = mpsc::channel::<io::Result<()>>();
        let enter_error = |source| NamespaceError::Enter { path: path.to_owned(), source };
        std::thread::Builder::new()
            .name("balancer-netns".to_owned())
            .spawn(move || {
                let moved = rustix::thread::move_into_link_name_space(
                    file.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                );
                drop(file);
                let failed = moved.is_err();
                // The receiver waits for exactly this message.
                let _ = entered.send(moved.map_err(io::Error::from));
                if failed {
                    return;
                }
                while let Ok(job) = queue.recv() {
                    job();
                }
            })
            .map_err(enter_error)?;
        match result.recv() {
            Ok(Ok(())) => Ok(Arc::new(Namespace::Entered(Entered { jobs, spares: Mutex::new(Vec::new()) }))),
            Ok(Err(source)) => Err(enter_error(source)),
            Err(_) => Err(enter_error(io::Error::other("helper thread ended"))),
        }
    }

    /// Runs `work` in the namespace and waits for its result.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        match self {
            Namespace::Host => Ok(work()),
            Namespace::Entered(entered) => {
                let (done, result) = mpsc::channel();
                let job: Job = Box::new(move || {
                    let _ = done.send(work());
                });
                entered.jobs.send(job).map_err(|_| io::Error::other("namespace thread ended"))?;
                result.recv().map_err(|_| io::Error::other("namespace thread ended"))
            }
        }
    }

    /// Listening sockets on one address, one for each worker. With several, the kernel spreads connections.
    pub(crate) fn listen(&self, address: SocketAddrV4, count: usize) -> io::Result<Vec<TcpListener>> {
        self.run(move || (0..count).map(|_| listen_here(address, count > 1)).collect())?
    }

    /// An unbound, non-blocking TCP socket. Blocks for some 30 us when no spare is left.
    pub(crate) fn stream_socket(&self) -> io::Result<OwnedFd> {
        match self {
            Namespace::Host => Ok(stream_socket_here()?),
            Namespace::Entered(entered) => {
                if let Some(spare) = entered.spares.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                    return Ok(spare);
                }
                let mut made =
                    self.run(|| (0..SPARES).map(|_| stream_socket_here()).collect::<io::Result<Vec<OwnedFd>>>())??;
                let socket = made.pop().expect("SPARES is not zero");
                entered.spares.lock().unwrap_or_else(PoisonError::into_inner).append(&mut made);
                Ok(socket)
            }
        }
    }
}

fn stream_socket_here() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

/// `shared` lets several listeners of ours have one address, and anybody else's too; without it a second one is refused.
fn listen_here(address: SocketAddrV4, shared: bool) -> io::Result<TcpListener> {
    let socket = stream_socket_here()?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, shared)?;
    // An address may be added to the namespace after the listener: it works from then on.
    sockopt::set_ip_freebind(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Starts connecting; completion shows as writability.
pub(crate) fn start_connect(socket: OwnedFd, address: SocketAddr) -> io::Result<TcpStream> {
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_namespace_file_is_named() {
        let error = Namespace::enter(Path::new("/nonexistent/netns")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/netns"), "{error}");
    }
}
