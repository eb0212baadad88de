//! The first process of a PID namespace that all containers of a task share (`pidMode` `task`).
//!
//! Containers can look at it, and one with `SYS_PTRACE` can reach everything it has. So it has nothing: an empty root, no
//! descriptors, no capabilities, and a program of a few instructions rather than a copy of the supervisor.

use crate::capability::Capabilities;
use crate::engine;
use crate::sys::{self, Pid, check};
use crate::users::Users;
use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Starts it as a child; `place` is a directory for its root, seen by nobody else. Called in a single-threaded process.
pub fn start(place: &Path, users: Option<&Users>) -> io::Result<Pid> {
    std::fs::create_dir_all(place)?;
    match users {
        None => begin(place, 0),
        // Who makes a PID namespace decides whose it is: a child enters the user namespace first, and makes it a child
        // of ours rather than of its own.
        Some(users) => {
            let (answer, write) = sys::pipe()?;
            // SAFETY: the process is single-threaded.
            let helper = check(unsafe { libc::fork() })?;
            if helper == 0 {
                let entered = users.enter().and_then(|()| begin(place, libc::CLONE_PARENT));
                let text = entered.map_or_else(|error| error.to_string(), |pid| pid.to_string());
                let _ = std::fs::File::from(write).write_all(text.as_bytes());
                // SAFETY: ends the process without running the supervisor's destructors.
                unsafe { libc::_exit(0) }
            }
            drop(write);
            let mut text = String::new();
            std::fs::File::from(answer).read_to_string(&mut text)?;
            let mut status = 0;
            // SAFETY: the status is written to our variable.
            unsafe { libc::waitpid(helper, &mut status, 0) };
            text.parse().map_err(|_| io::Error::other(text))
        }
    }
}

fn begin(place: &Path, more: libc::c_int) -> io::Result<Pid> {
    let (report, write) = sys::pipe()?;
    let image = engine::pause_image();
    // SAFETY: all zero is valid for this plain struct.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | more) as u64;
    // With CLONE_PARENT it is the helper's own signal.
    args.exit_signal = if more == 0 { libc::SIGCHLD as u64 } else { 0 };
    // SAFETY: without a stack this is a fork; the arguments are valid for the call.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) })? as Pid;
    if pid == 0 {
        let error = become_pause(place, &image, write.as_raw_fd());
        let _ = std::fs::File::from(write).write_all(error.to_string().as_bytes());
        // SAFETY: ends the process without running the supervisor's destructors.
        unsafe { libc::_exit(1) }
    }
    drop(write);
    let mut text = String::new();
    // Closed by the exec.
    std::fs::File::from(report).read_to_string(&mut text)?;
    if text.is_empty() { Ok(pid) } else { Err(io::Error::other(text)) }
}

/// Returns only when something fails.
fn become_pause(place: &Path, image: &[u8], report: i32) -> io::Error {
    match confine(place, image, report) {
        // SAFETY: both lists end with null, and the path is a valid string.
        Ok(()) => unsafe {
            let (argv, envp) = ([c"/pause".as_ptr(), std::ptr::null()], [std::ptr::null()]);
            libc::execve(c"/pause".as_ptr(), argv.as_ptr(), envp.as_ptr());
            io::Error::last_os_error()
        },
        Err(error) => error,
    }
}

fn confine(place: &Path, image: &[u8], report: i32) -> io::Result<()> {
    let target = CString::new(place.as_os_str().as_bytes())?;
    let tmpfs = c"tmpfs".as_ptr();
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: valid strings, here and below.
    check(unsafe { libc::mount(tmpfs, target.as_ptr(), tmpfs, flags, c"size=16k,mode=755".as_ptr().cast()) })?;
    let program = place.join("pause");
    std::fs::write(&program, image)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o555))?;
    std::env::set_current_dir(place)?;
    unsafe {
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))?;
        let readonly = flags | libc::MS_REMOUNT | libc::MS_RDONLY;
        check(libc::mount(tmpfs, c"/".as_ptr(), tmpfs, readonly, std::ptr::null()))?;
    }
    sys::reset_signals();
    // SAFETY: plain calls with numbers. An ignored SIGCHLD stays ignored over an exec.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        // All but the report, which closes on exec.
        check(libc::dup3(report, 0, libc::O_CLOEXEC))?;
        libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0);
    }
    Capabilities::default().confine()?;
    sys::die_with_parent()?;
    // SAFETY: the supervisor may have died before that; descriptor 0 is ours.
    let report = unsafe { OwnedFd::from_raw_fd(0) };
    let alive = sys::has_reader(report.as_raw_fd());
    std::mem::forget(report);
    if alive { Ok(()) } else { Err(io::Error::other("the supervisor has died")) }
}
