//! Network namespaces: making them, working inside them, opening sockets in them.
//!
//! A thread belongs to one namespace; a socket belongs for ever to the one it was opened in. So a thread enters,
//! opens, and the socket is used anywhere. The threads that enter are made for it and never a runtime's
//! worker: a worker that could not return would silently run everything else in the wrong network.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

const CURRENT: &str = "/proc/thread-self/ns/net";
/// Enough for opening sockets; threads that do more than that do not use it.
const STACK_BYTES: usize = 256 << 10;

/// Something about a namespace failed.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("{doing} network namespace {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("start a thread for network namespace {0}")]
    Thread(PathBuf, #[source] io::Error),
    #[error("open {what} on {address} in network namespace {path}")]
    Socket {
        what: &'static str,
        address: SocketAddr,
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// The thread that worked inside the namespace panicked.
    #[error("the thread inside network namespace {0} ended")]
    Gone(PathBuf),
}

/// Where the namespace of a VPC is mounted: `<run>/netns/<vpc id>`.
pub fn path_of(run_dir: &Path, vpc: &str) -> PathBuf {
    run_dir.join("netns").join(vpc)
}

/// An open network namespace: keeps it alive, and is the way in.
#[derive(Debug)]
pub struct Namespace {
    file: OwnedFd,
    path: PathBuf,
}

impl Namespace {
    /// Opens the namespace mounted at, or otherwise found at, `path`.
    pub fn open(path: &Path) -> Result<Namespace, NamespaceError> {
        let file = File::open(path).map_err(failed("open", path))?;
        Ok(Namespace { file: file.into(), path: path.to_owned() })
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Namespace, NamespaceError> {
        Namespace::open(Path::new(CURRENT))
    }

    /// The namespace of a process.
    pub fn of_process(pid: u32) -> Result<Namespace, NamespaceError> {
        Namespace::open(&PathBuf::from(format!("/proc/{pid}/ns/net")))
    }

    /// Whether both are one namespace.
    pub fn is_same(&self, other: &Namespace) -> Result<bool, NamespaceError> {
        let identity = |namespace: &Namespace| {
            let status =
                rustix::fs::fstat(namespace).map_err(|error| failed("inspect", &namespace.path)(error.into()))?;
            Ok((status.st_dev, status.st_ino))
        };
        Ok(identity(self)? == identity(other)?)
    }

    /// Runs `work` with the calling thread inside the namespace, then returns to `home`. Only for threads of
    /// our own; ends the process if the way home fails, because nothing after that could be trusted.
    pub(crate) fn inside<T>(&self, home: &Namespace, work: impl FnOnce() -> T) -> Result<T, NamespaceError> {
        struct Return<'a>(&'a Namespace);
        impl Drop for Return<'_> {
            fn drop(&mut self) {
                if let Err(error) = self.0.enter() {
                    tracing::error!(%error, "cannot return to the host's network namespace");
                    std::process::abort();
                }
            }
        }
        self.enter()?;
        let _return = Return(home);
        Ok(work())
    }

    fn enter(&self) -> Result<(), NamespaceError> {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| failed("enter", &self.path)(error.into()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Makes a namespace and mounts it at `path`, so that it lives without a process. The calling thread ends up
/// at `home` again.
pub(crate) fn create(path: &Path, home: &Namespace) -> Result<Namespace, NamespaceError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed("make the folder of", path))?;
    }
    File::create(path).map_err(failed("make the mount point of", path))?;
    // Entering `home` first costs nothing and lets `inside` see to the return.
    home.inside(home, || {
        // SAFETY: only the network namespace is unshared, never the file descriptor table.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
            .map_err(|error| failed("make", path)(error.into()))?;
        mount_bind(CURRENT, path).map_err(|error| failed("mount", path)(error.into()))
    })??;
    Namespace::open(path)
}

/// Unmounts a namespace and removes its file. It lives on while a process or socket is in it.
pub(crate) fn remove(path: &Path) -> Result<(), NamespaceError> {
    match unmount(path, UnmountFlags::DETACH) {
        // Not mounted: a crash between making the file and mounting, or an earlier removal.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(failed("unmount", path)(error.into())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether a namespace is mounted at `path`: a leftover file is not enough.
pub(crate) fn is_mounted(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|file_system| file_system.f_type as u64 == 0x6e73_6673)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NamespaceError {
    let path = path.to_owned();
    move |error| NamespaceError::Io { doing, path, error }
}

/// Runs `work` inside the namespace at `path`, on a thread that ends afterwards. Blocks the caller for as
/// long: about 0.1 ms plus the work. What needs many sockets uses a [`NamespaceThread`].
pub fn open_in_namespace<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NamespaceError> {
    NamespaceThread::start(path)?.run(work)
}

/// A listener in the VPC whose namespace is at `path`. Non-blocking, ready for `tokio::net::TcpListener::from_std`.
pub fn tcp_listener_in(path: &Path, address: SocketAddr) -> Result<TcpListener, NamespaceError> {
    let open = move || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open_in_namespace(path, open)?.map_err(|error| NamespaceError::Socket {
        what: "a TCP listener",
        address,
        path: path.to_owned(),
        error,
    })
}

/// A UDP socket in the VPC whose namespace is at `path`. Non-blocking, ready for `tokio::net::UdpSocket::from_std`.
pub fn udp_socket_in(path: &Path, address: SocketAddr) -> Result<UdpSocket, NamespaceError> {
    let open = move || {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    open_in_namespace(path, open)?.map_err(|error| NamespaceError::Socket {
        what: "a UDP socket",
        address,
        path: path.to_owned(),
        error,
    })
}

/// A thread that stays inside a namespace and runs what it is sent: one hop (about 20 µs) instead of a new
/// thread each time. For those that open sockets all the time, such as a load balancer towards its targets.
/// The thread ends, and lets go of the namespace, when this handle and its clones are dropped.
#[derive(Clone, Debug)]
pub struct NamespaceThread {
    work: mpsc::Sender<Job>,
    path: PathBuf,
}

type Job = Box<dyn FnOnce() + Send>;

impl NamespaceThread {
    /// Starts a thread inside the namespace at `path`; fails when there is none.
    pub fn start(path: &Path) -> Result<NamespaceThread, NamespaceError> {
        let namespace = Namespace::open(path)?;
        let (work, jobs) = mpsc::channel::<Job>();
        let (entered, has_entered) = mpsc::channel();
        thread::Builder::new()
            .name("vpc".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let inside = namespace.enter();
                let may_work = inside.is_ok();
                if entered.send(inside).is_ok() && may_work {
                    jobs.into_iter().for_each(|job| job());
                }
            })
            .map_err(|error| NamespaceError::Thread(path.to_owned(), error))?;
        has_entered.recv().map_err(|_| NamespaceError::Gone(path.to_owned()))??;
        Ok(NamespaceThread { work, path: path.to_owned() })
    }

    /// Runs `work` inside and waits for its result, blocking the caller.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NamespaceError> {
        let (done, result) = mpsc::channel();
        self.send(move || {
            // Nobody waits any more if this fails.
            let _ = done.send(work());
        })?;
        result.recv().map_err(|_| NamespaceError::Gone(self.path.clone()))
    }

    /// Runs `work` inside without blocking the calling thread.
    pub async fn run_async<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NamespaceError> {
        let (done, result) = tokio::sync::oneshot::channel();
        self.send(move || {
            let _ = done.send(work());
        })?;
        result.await.map_err(|_| NamespaceError::Gone(self.path.clone()))
    }

    /// An unconnected TCP socket of the VPC, bound to `source` (port 0: any, chosen when it connects), for
    /// `tokio::net::TcpSocket::from_std_stream`. Outgoing connections need an address that has security groups:
    /// the load balancer's own.
    pub async fn tcp_socket(&self, source: SocketAddr) -> Result<std::net::TcpStream, NamespaceError> {
        let open = move || -> io::Result<std::net::TcpStream> {
            let fd = net::socket_with(
                AddressFamily::INET,
                SocketType::STREAM,
                SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
                Some(ipproto::TCP),
            )?;
            // Ports are shared between destinations, as for a socket that was never bound.
            share_ports(&fd)?;
            net::bind(&fd, &source)?;
            Ok(fd.into())
        };
        let what = "a TCP socket";
        self.run_async(open).await?.map_err(|error| NamespaceError::Socket {
            what,
            address: source,
            path: self.path.clone(),
            error,
        })
    }

    fn send(&self, job: impl FnOnce() + Send + 'static) -> Result<(), NamespaceError> {
        self.work.send(Box::new(job)).map_err(|_| NamespaceError::Gone(self.path.clone()))
    }
}

/// `IP_BIND_ADDRESS_NO_PORT`: bind the address now, choose a port when the destination is known.
fn share_ports(fd: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: `fd` is open for the call; the pointer and length are those of `on`, which outlives it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
