//! A worker's only timer: a tick each quarter of a second while there is something to watch over.
//!
//! The runtimes of workers have no timers of their own, since those read the clock at each turn of the event
//! loop. Time-outs are found by a sweep over connections at each tick instead; they are exact to a tick.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;

/// Between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
    is_armed: std::cell::Cell<bool>,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned, and nothing closes or replaces it while it is registered.
        let fd = unsafe { AsyncFd::register(fd)? };
        Ok(Timer { fd, is_armed: std::cell::Cell::new(false) })
    }

    /// Starts or stops ticking. Says whether that changed anything.
    pub(crate) fn set_armed(&self, armed: bool) -> bool {
        if self.is_armed.replace(armed) == armed {
            return false;
        }
        let every = match armed {
            true => Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) },
            false => Timespec { tv_sec: 0, tv_nsec: 0 },
        };
        let setting = Itimerspec { it_interval: every, it_value: every };
        let set = rustix::time::timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &setting);
        set.expect("the descriptor is a timer and the times are in range");
        true
    }

    /// Waits for the next tick. Cancel-safe.
    pub(crate) async fn tick(&self) {
        loop {
            let Ok(mut ready) = self.fd.readable().await else {
                // Only when the runtime is shutting down.
                return std::future::pending().await;
            };
            let mut expirations = [0; 8];
            match rustix::io::read(self.fd.get_ref(), &mut expirations) {
                Ok(_) => return,
                Err(_) => ready.clear_ready(),
            }
        }
    }
}
