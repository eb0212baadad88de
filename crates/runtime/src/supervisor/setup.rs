//! What the supervisor does to its own process before anything else: a session and namespaces of its own, so that it
//! outlives the agent and leaves nothing behind.

use crate::spec::UserNamespace;
use crate::sys::{self, check};
use crate::users::Users;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// What is kept from the set-up.
#[derive(Debug)]
pub struct Process {
    /// Readable when a child has ended.
    pub signals: OwnedFd,
    /// The network namespace we came from, for a task in host mode.
    pub host_network: Option<OwnedFd>,
    /// The task's users, when they are not the host's.
    pub users: Option<Users>,
}

#[derive(Debug, thiserror::Error)]
#[error("supervisor: {what}")]
pub struct SetupError {
    what: &'static str,
    #[source]
    source: io::Error,
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> SetupError {
    move |source| SetupError { what, source }
}

/// Detaches this process from whoever started it. It must be single-threaded.
pub fn detach(users: Option<UserNamespace>) -> Result<Process, SetupError> {
    // SAFETY: plain calls with numbers and static strings, in a process without threads.
    unsafe {
        // Descriptors that the agent forgot to close would live as long as the task.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        // Fails only for a group leader, which is as good.
        libc::setsid();
        libc::umask(0o022);
        check(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)).map_err(failed("become a subreaper"))?;
        check(libc::prctl(libc::PR_SET_NAME, c"longshore-task".as_ptr())).map_err(failed("take a name"))?;
    }
    // A container's hunger must not end its supervisor. Not every machine lets us.
    let _ = sys::write_value(Path::new("/proc/self/oom_score_adj"), "-500");
    // Whoever started us may have ignored some, and a container would inherit that.
    sys::reset_signals();
    // SAFETY: a valid disposition. A client that goes away is an error of a write.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let signals = block_signals().map_err(failed("block signals"))?;
    std::env::set_current_dir("/").map_err(failed("change to /"))?;
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    // SAFETY: no other thread reads the environment.
    names.iter().for_each(|name| unsafe { std::env::remove_var(name) });
    let host_network = File::open("/proc/self/ns/net").map_err(failed("open the network namespace"))?;
    // SAFETY: as above. With private propagation no mount of ours reaches the host, and none of the host's is pinned
    // by us except those that exist now.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET)).map_err(failed("make namespaces"))?;
        let (root, none) = (c"/".as_ptr(), std::ptr::null());
        check(libc::mount(none, root, none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))
            .map_err(failed("make mounts private"))?;
    }
    let mut process = Process { signals, host_network: Some(host_network.into()), users: None };
    match users {
        Some(map) => make_users(&mut process, map)?,
        None => loopback_up().map_err(failed("bring loopback up"))?,
    }
    Ok(process)
}

/// Moves to a user namespace's network.
pub fn make_users(process: &mut Process, map: UserNamespace) -> Result<(), SetupError> {
    process.users = Some(Users::make(map).map_err(failed("make a user namespace"))?);
    loopback_up().map_err(failed("bring loopback up"))
}

/// Blocks what could end us by accident, and makes ended children readable.
fn block_signals() -> io::Result<OwnedFd> {
    // SAFETY: the sets are initialised before use; the new descriptor has no other owner.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGUSR1,
            libc::SIGUSR2,
            libc::SIGALRM,
            libc::SIGCHLD,
        ] {
            libc::sigaddset(&mut set, signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        Ok(OwnedFd::from_raw_fd(check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?))
    }
}

fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is zeroed, named, and large enough for what the kernel writes; the socket is ours.
    unsafe {
        let socket =
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request))?;
    }
    Ok(())
}

/// Goes back to the network namespace that the supervisor was started in.
pub fn enter_network(namespace: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes a descriptor and a flag.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Lets go of the standard streams; what goes wrong later is written to `log`.
pub fn release_streams(log: &Path) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let log = File::options().create(true).append(true).open(log)?;
    sys::dup_onto(null.as_raw_fd(), 0)?;
    sys::dup_onto(null.as_raw_fd(), 1)?;
    sys::dup_onto(log.as_raw_fd(), 2)
}

/// Gives memory that the preparation used back to the system.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; only touches free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
