//! Thin wrappers of system calls that neither std nor rustix has in the form we need.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Process id in the supervisor's PID namespace.
pub type Pid = i32;

/// `result` of a call that returns -1 and sets errno.
pub fn check<T: PartialEq + From<i8>>(result: T) -> io::Result<T> {
    if result == T::from(-1) { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Milliseconds since the epoch.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Milliseconds of a clock that only goes forward.
pub fn monotonic_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills `time`; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// A pipe whose ends close on exec; `(read, write)`.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors, which nobody else owns.
    unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: plain flag calls on a descriptor that the caller holds.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// Reads into `buffer` once; `Ok(None)` when there is nothing yet.
pub fn read_now(fd: RawFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        // SAFETY: the buffer is valid for its length.
        match check(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }) {
            Ok(read) => return Ok(Some(read as usize)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Makes `from` the descriptor `to` as well, without close-on-exec.
pub fn dup_onto(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: both are numbers; a wrong one is EBADF. If they are equal the flag has to go by hand.
    unsafe {
        if from == to {
            check(libc::fcntl(to, libc::F_SETFD, 0))?;
        } else {
            check(libc::dup2(from, to))?;
        }
    }
    Ok(())
}

/// Whether somebody still reads from the pipe that `fd` writes to.
pub fn has_reader(fd: RawFd) -> bool {
    let mut polled = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: one valid element.
    unsafe { libc::poll(&mut polled, 1, 0) };
    polled.revents & libc::POLLERR == 0
}

/// A file's content as text, at most `limit` bytes of it.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes one value to a kernel file in a single write, without creating it.
pub fn write_value(path: &Path, value: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())
}

/// Replaces `path` by a file with this mode, so that a reader sees the old content or the new one.
pub fn replace_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    File::options().write(true).create(true).truncate(true).mode(mode).open(&temporary)?.write_all(content)?;
    std::fs::rename(&temporary, path)
}

/// Field 22 of `/proc/<pid>/stat`: when the process started, clock ticks since boot.
pub fn start_ticks(pid: Pid) -> Option<u64> {
    let stat = read_text(Path::new(&format!("/proc/{pid}/stat")), 4096).ok()?;
    // The command name in parentheses may hold anything, so count from its end.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// What `wait` says, as a shell would: the exit code, or 128 + signal.
pub fn exit_code(status: i32) -> i32 {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}

pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// A descriptor that becomes readable when `pid`, our parent, ends; an error if it has ended.
///
/// Unlike a parent-death signal it is about the process, not about the thread that started us.
pub fn watch_parent(pid: Pid) -> io::Result<OwnedFd> {
    let gone = || io::Error::from_raw_os_error(libc::ESRCH);
    let parent = rustix::process::Pid::from_raw(pid).ok_or_else(gone)?;
    let watch = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty())?;
    // Only after the number was looked up: it may have been another process's by then.
    if rustix::process::getppid() == Some(parent) { Ok(watch) } else { Err(gone()) }
}

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub fn signal_number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    // 34 is the first that glibc leaves to programs, and what SIGRTMIN means in a Dockerfile.
    if let Some(rest) = short.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? };
        return (0..=30).contains(&offset).then_some(34 + offset);
    }
    let known = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ILL", libc::SIGILL),
        ("TRAP", libc::SIGTRAP),
        ("ABRT", libc::SIGABRT),
        ("IOT", libc::SIGIOT),
        ("BUS", libc::SIGBUS),
        ("FPE", libc::SIGFPE),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("SEGV", libc::SIGSEGV),
        ("USR2", libc::SIGUSR2),
        ("PIPE", libc::SIGPIPE),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("STKFLT", libc::SIGSTKFLT),
        ("CHLD", libc::SIGCHLD),
        ("CONT", libc::SIGCONT),
        ("STOP", libc::SIGSTOP),
        ("TSTP", libc::SIGTSTP),
        ("TTIN", libc::SIGTTIN),
        ("TTOU", libc::SIGTTOU),
        ("URG", libc::SIGURG),
        ("XCPU", libc::SIGXCPU),
        ("XFSZ", libc::SIGXFSZ),
        ("VTALRM", libc::SIGVTALRM),
        ("PROF", libc::SIGPROF),
        ("WINCH", libc::SIGWINCH),
        ("IO", libc::SIGIO),
        ("POLL", libc::SIGPOLL),
        ("PWR", libc::SIGPWR),
        ("SYS", libc::SIGSYS),
    ];
    known.iter().find(|(name, _)| *name == short).map(|(_, number)| *number)
}

/// Descriptors that are looked at one by one; further ones are closed without a look.
const DESCRIPTORS: libc::c_int = 1024;

/// Closes every descriptor of a directory. Those that are closed on exec are open while it looks for the program, and `..`
/// of one that was opened outside leads out of the container: CVE-2024-21626.
pub fn close_directories() {
    for descriptor in 3..DESCRIPTORS {
        // SAFETY: the struct is plain data that the call fills; a descriptor is closed that nothing uses any more.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            if libc::fstat(descriptor, &mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
                libc::close(descriptor);
            }
        }
    }
    // SAFETY: as above; what a process that is about to be replaced needs was opened early, and has a low number.
    unsafe { libc::syscall(libc::SYS_close_range, DESCRIPTORS, libc::c_uint::MAX, 0) };
}

/// Unblocks every signal and gives each its default action, as a program expects to be started.
pub fn reset_signals() {
    // The kernel's own struct, all zero: default action. The C library's function refuses the two signals that it keeps
    // for itself, and those too may be ignored by whoever started us.
    let default = [0u64; 4];
    // SAFETY: the struct has 32 bytes; the set is initialised before use; where a default is not allowed the call only
    // fails.
    unsafe {
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), size_of::<u64>());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Sends this process SIGKILL when its parent ends.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(signal_number("SIGTERM"), Some(15));
        assert_eq!(signal_number("quit"), Some(3));
        assert_eq!(signal_number("9"), Some(9));
        assert_eq!(signal_number("SIGRTMIN+3"), Some(37));
        for strange in ["", "SIG", "0", "65", "-1", "SIGNOPE", "RTMIN+99", "RTMIN3"] {
            assert_eq!(signal_number(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_file_has_its_mode_from_its_first_moment() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        // What a write that was cut off leaves: nothing renamed it.
        let at_its_first_moment =
            || path.with_extension("new").metadata().map(|found| found.permissions().mode() & 0o777);
        replace_file(&path, b"1", 0o600).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(replace_file(&path, b"1", 0o600).is_err(), "a directory is in the way");
        assert_eq!(at_its_first_moment().unwrap(), 0o600);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let me = std::process::id() as Pid;
        assert!(start_ticks(me).is_some());
        assert_eq!(start_ticks(me), start_ticks(me));
        assert_eq!(start_ticks(-5), None);
    }
}
