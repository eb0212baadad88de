//! Processes run beside a container's first: health checks, and what a client asks for.

use super::container::Phase;
use super::{Supervisor, output_pipe};
use crate::engine::{Executed, Failure, Job};
use crate::protocol::{Event, ExecResult};
use crate::sys::{self, Pid};
use std::os::fd::{AsRawFd, OwnedFd};

/// Output kept of a command that a client asked for.
pub const OUTPUT_MAX: usize = 64 << 10;
/// Output kept of a health check, as ECS's agent does.
pub const HEALTH_OUTPUT_MAX: usize = 1024;
const BUFFER: usize = 4096;
/// Reads in one turn: all that may be kept, and so much more that what is lost shows. The rest waits, so that a process
/// that writes without end holds up nobody.
const READS_A_TURN: usize = OUTPUT_MAX / BUFFER + 1;

#[derive(Debug)]
pub struct Exec {
    /// Index of the container.
    pub container: usize,
    pub purpose: Purpose,
    pub stage: Stage,
    pub output: OwnedFd,
    pub captured: Vec<u8>,
    pub truncated: bool,
    pub output_closed: bool,
    /// Monotonic time when it is too late.
    pub deadline_ms: Option<u64>,
    pub timed_out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Health,
    /// For this client, under this number of its own.
    Command {
        client: u64,
        id: u64,
    },
}

#[derive(Debug)]
pub enum Stage {
    /// The engine works on it.
    Job(Job),
    /// It runs.
    Process(Pid),
    Ended(Result<i32, Failure>),
}

impl Exec {
    fn capacity(&self) -> usize {
        match self.purpose {
            Purpose::Health => HEALTH_OUTPUT_MAX,
            Purpose::Command { .. } => OUTPUT_MAX,
        }
    }

    /// Reads what the pipe has, a bounded part of it; what is over the limit is read and forgotten, so that the process
    /// does not hang.
    pub fn read(&mut self) {
        let mut buffer = [0; BUFFER];
        for _ in 0..READS_A_TURN {
            match sys::read_now(self.output.as_raw_fd(), &mut buffer) {
                Ok(Some(0)) | Err(_) => {
                    self.output_closed = true;
                    return;
                }
                Ok(None) => return,
                Ok(Some(read)) => {
                    let room = self.capacity() - self.captured.len();
                    self.captured.extend_from_slice(&buffer[..read.min(room)]);
                    self.truncated |= read > room;
                }
            }
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.captured).into_owned()
    }
}

impl Supervisor {
    pub(super) fn abandon(&mut self, index: usize) {
        let exec = &self.execs[index];
        match &exec.stage {
            // The processes of an exec are a session of their own.
            Stage::Process(pid) => {
                let _ = sys::kill(-pid, libc::SIGKILL).or_else(|_| sys::kill(*pid, libc::SIGKILL));
            }
            Stage::Job(job) => {
                if let (Some(engine), Some(bundle)) = (&mut self.engine, &self.containers[exec.container].bundle) {
                    engine.abandon(bundle, job);
                }
            }
            Stage::Ended(_) => {}
        }
    }

    pub(super) fn check_health(&mut self, index: usize, now: u64) {
        let Some(probe) = &mut self.containers[index].probe else { return };
        let (argv, deadline) = probe.begin(now);
        if let Err(text) = self.exec(index, Purpose::Health, &argv, Some(deadline)) {
            self.health_result(index, Err(Failure::new(text)), String::new());
        }
    }

    pub(super) fn exec_command(&mut self, client: u64, id: u64, name: &str, argv: &[String]) -> Result<(), String> {
        let index = self
            .containers
            .iter()
            .position(|container| container.spec.name == name)
            .ok_or_else(|| format!("there is no container {name:?}"))?;
        if argv.is_empty() {
            return Err("no command given".to_owned());
        }
        self.exec(index, Purpose::Command { client, id }, argv, None)
    }

    fn exec(
        &mut self,
        index: usize,
        purpose: Purpose,
        argv: &[String],
        deadline_ms: Option<u64>,
    ) -> Result<(), String> {
        let Some((container, engine, bundle)) = self.parts(index) else { return Err("not started".to_owned()) };
        let Phase::Running { pid } = container.phase else {
            return Err(format!("container {:?} is not running", container.spec.name));
        };
        let (output, write) = output_pipe().map_err(|error| error.to_string())?;
        let job = engine.exec(&bundle, pid, argv, write).map_err(|error| error.to_string())?;
        self.execs.push(Exec {
            container: index,
            purpose,
            stage: Stage::Job(job),
            output,
            captured: Vec::new(),
            truncated: false,
            output_closed: false,
            deadline_ms,
            timed_out: false,
        });
        Ok(())
    }

    pub(super) fn exec_ended(&mut self, index: usize, status: i32) {
        let exec = &mut self.execs[index];
        let stage = std::mem::replace(&mut exec.stage, Stage::Ended(Ok(sys::exit_code(status))));
        let Stage::Job(job) = stage else { return };
        let (Some(engine), Some(bundle)) = (&mut self.engine, &self.containers[exec.container].bundle) else { return };
        match engine.executed(bundle, job, status) {
            Ok(Executed::Child(pid)) => {
                exec.stage = Stage::Process(pid);
                if exec.timed_out {
                    self.abandon(index);
                }
                self.claim(pid);
            }
            Ok(Executed::Ended { exit_code }) => exec.stage = Stage::Ended(Ok(exit_code)),
            Err(failure) => exec.stage = Stage::Ended(Err(failure)),
        }
    }

    /// Hands on the results of what has ended.
    pub(super) fn execs_settle(&mut self) {
        let mut index = 0;
        while index < self.execs.len() {
            if !matches!(self.execs[index].stage, Stage::Ended(_)) {
                index += 1;
                continue;
            }
            let mut exec = self.execs.swap_remove(index);
            // What it wrote is there. Whatever it left running may hold the pipe open for ever.
            exec.read();
            let output = exec.text();
            let Stage::Ended(result) = exec.stage else { continue };
            match exec.purpose {
                Purpose::Health if exec.timed_out => {
                    let failure = Failure::new(format!("Health check exceeded its timeout. {output}"));
                    self.health_result(exec.container, Err(failure), String::new());
                }
                Purpose::Health => self.health_result(exec.container, result, output),
                Purpose::Command { client, id } => {
                    let (exit_code, error) = match result {
                        Ok(code) => (Some(code), None),
                        Err(failure) => (failure.exit_code, Some(failure.text)),
                    };
                    let container = self.containers[exec.container].spec.name.clone();
                    let result = ExecResult { id, container, exit_code, error, output, truncated: exec.truncated };
                    if let Some(client) = self.clients.iter_mut().find(|c| c.serial == client) {
                        client.send(&Event::Exec(result));
                    }
                }
            }
        }
    }

    fn health_result(&mut self, index: usize, result: Result<i32, Failure>, output: String) {
        let container = &mut self.containers[index];
        // It may have stopped, or been restarted, in the meantime.
        let (Some(probe), Phase::Running { .. }) = (&mut container.probe, &container.phase) else { return };
        let health = probe.end(result == Ok(0), sys::monotonic_ms());
        let (exit_code, output) = match result {
            Ok(code) => (code, output),
            Err(failure) => (failure.exit_code.unwrap_or(-1), failure.text),
        };
        let health = health.unwrap_or(container.state.health);
        let same = (health, Some(exit_code), &output)
            == (container.state.health, container.state.health_exit_code, &container.state.health_output);
        if !same {
            container.change(|state| {
                state.health = health;
                state.health_exit_code = Some(exit_code);
                state.health_output = output;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn a_turn_ends_however_much_a_process_writes() {
        let (output, write) = output_pipe().unwrap();
        let held = rustix::pipe::fcntl_setpipe_size(&write, 1 << 20).unwrap();
        File::from(write).write_all(&vec![b'x'; held]).unwrap();
        let mut exec = Exec {
            container: 0,
            purpose: Purpose::Command { client: 1, id: 1 },
            stage: Stage::Ended(Ok(0)),
            output,
            captured: Vec::new(),
            truncated: false,
            output_closed: false,
            deadline_ms: None,
            timed_out: false,
        };
        exec.read();
        assert_eq!((exec.captured.len(), exec.truncated), (OUTPUT_MAX, true));
        let left = rustix::io::ioctl_fionread(&exec.output).unwrap();
        assert_eq!(left as usize, held - READS_A_TURN * BUFFER);
    }
}
