//! Containers on their way from spec to end. Each function reacts to one event and leaves the rest to
//! [`Supervisor::advance`], which runs after every event until nothing changes any more.

use super::container::{Container, Phase};
use super::exec::Stage;
use super::health::Probe;
use super::plan::{self, Readiness};
use super::{Supervisor, prepare, setup};
use crate::engine::bundle::Bundle;
use crate::engine::{Engine, Failure, Starting};
use crate::protocol::{ContainerStatus, Health, StopCause, TaskPhase};
use crate::sys::{self, Pid};
use std::fs::File;
use std::io::Read;

/// How long to wait before SIGKILL is sent again.
const KILL_AGAIN_MS: u64 = 1000;
/// How often a supervisor without anything to do looks whether it was abandoned.
const IDLE_LOOK_MS: u64 = 30_000;
/// Ended children whose owner is not known yet; more than this are nobody's.
const STRANGERS_MAX: usize = 64;

impl Supervisor {
    /// Does what can be done now.
    pub(super) fn advance(&mut self) {
        if self.task.phase == TaskPhase::Waiting {
            return;
        }
        loop {
            let version = self.version();
            if self.task.phase == TaskPhase::Stopping {
                self.advance_stop();
            } else {
                self.advance_start();
            }
            if self.task.phase != TaskPhase::Stopped && self.containers.iter().all(Container::is_stopped) {
                self.begin_stop(StopCause::AllExited);
                self.set_phase(TaskPhase::Stopped);
            }
            if self.version() == version {
                break;
            }
        }
    }

    fn version(&self) -> u64 {
        self.task_version + self.containers.iter().map(|container| container.version).sum::<u64>()
    }

    fn readiness(&self, index: usize) -> Readiness {
        let container = &self.containers[index];
        // A restart does not ask again.
        if container.spec.depends_on.is_empty() || container.first_started_ms.is_some() {
            return Readiness::Ready;
        }
        let now = sys::monotonic_ms();
        let views: Vec<_> = self.containers.iter().map(|container| container.view(now)).collect();
        plan::readiness(index, &views)
    }

    fn advance_start(&mut self) {
        for index in 0..self.containers.len() {
            match &self.containers[index].phase {
                // Before `go` too, so that it has only to be let loose then.
                Phase::Waiting => match self.readiness(index) {
                    Readiness::Ready => self.create(index),
                    Readiness::Wait { .. } => {}
                    Readiness::Never(reason) => {
                        let name = self.containers[index].spec.name.clone();
                        self.stopped(index, None, Some(reason.clone()));
                        self.fail_task(Some(name), reason);
                    }
                },
                Phase::Created(_) if self.may_start => self.start(index),
                _ => {}
            }
        }
    }

    fn create(&mut self, index: usize) {
        let result = self.make(index);
        let container = &mut self.containers[index];
        match result {
            Ok(phase) => {
                container.phase = phase;
                container.version += 1;
            }
            Err(reason) => self.failed_to_start(index, reason, None),
        }
    }

    fn make(&mut self, index: usize) -> Result<Phase, String> {
        let container = &mut self.containers[index];
        let (Some(spec), Some(engine)) = (&self.spec, &mut self.engine) else {
            return Err("ResourceInitializationError: no spec".to_owned());
        };
        let bundle = match &container.bundle {
            Some(bundle) => {
                prepare::again(bundle).map_err(|error| error.to_string())?;
                bundle.clone()
            }
            None => {
                let users = self.process.users.as_ref();
                let bundle =
                    prepare::container(spec, &container.spec, &self.directory, &self.cgroups, self.pause, users);
                let bundle = bundle.map_err(|error| error.to_string())?;
                container.spec.args = Vec::new();
                container.spec.env = Vec::new();
                container.bundle = Some(bundle.clone());
                bundle
            }
        };
        let failed = |error: std::io::Error| format!("CannotCreateContainerError: {error}");
        let output = prepare::output(container, &bundle).map_err(failed)?;
        engine.create(&bundle, output).map(Phase::Creating).map_err(failed)
    }

    fn created(&mut self, index: usize, status: i32) {
        let Some((container, engine, bundle)) = self.parts(index) else { return };
        let Phase::Creating(job) = std::mem::replace(&mut container.phase, Phase::Waiting) else { return };
        let created = engine.created(&bundle, job, status);
        let console = container.console.take();
        let terminal = match &created {
            Ok(_) => console.map(|listener| prepare::receive_terminal(&listener)).transpose(),
            Err(_) => Ok(None),
        };
        match (created, terminal) {
            (Ok(created), Ok(terminal)) => {
                let pid = created.pid;
                container.pipes.extend(terminal);
                container.phase = Phase::Created(created);
                container.version += 1;
                self.claim(pid);
            }
            (Ok(created), Err(error)) => {
                let _ = sys::kill(created.pid, libc::SIGKILL);
                self.failed_to_start(index, format!("CannotStartContainerError: terminal: {error}"), None);
            }
            (Err(failure), _) => self.cannot_start(index, &failure),
        }
    }

    fn start(&mut self, index: usize) {
        let Some((container, engine, bundle)) = self.parts(index) else { return };
        let Phase::Created(created) = std::mem::replace(&mut container.phase, Phase::Waiting) else { return };
        let pid = created.pid;
        match engine.start(&bundle, created) {
            Ok(starting) => {
                container.phase = Phase::Starting { pid, starting };
                container.version += 1;
            }
            Err(error) => {
                let _ = sys::kill(pid, libc::SIGKILL);
                self.cannot_start(index, &Failure::new(error.to_string()));
            }
        }
    }

    /// The embedded runtime's report has something to say, or has closed: the command runs or it does not.
    pub(super) fn start_reported(&mut self, index: usize) {
        let container = &mut self.containers[index];
        let pid = container.pid();
        if !matches!(&container.phase, Phase::Starting { starting: Starting::Report(_), .. }) {
            return;
        }
        let phase = std::mem::replace(&mut container.phase, Phase::Waiting);
        let (Phase::Starting { starting: Starting::Report(report), .. }, Some(pid)) = (phase, pid) else { return };
        let mut text = String::new();
        // One write, then the process ends: it does not block.
        let _ = File::from(report).take(4096).read_to_string(&mut text);
        if text.is_empty() {
            self.started(index, pid);
        } else {
            self.cannot_start(index, &Failure::parse(&text));
        }
    }

    /// The external runtime's start has ended.
    fn start_ended(&mut self, index: usize, status: i32) {
        let Some((container, engine, bundle)) = self.parts(index) else { return };
        let phase = std::mem::replace(&mut container.phase, Phase::Waiting);
        let Phase::Starting { pid, starting: Starting::Job(job) } = phase else { return };
        match engine.started(&bundle, job, status) {
            Ok(()) => {
                self.started(index, pid);
                self.claim(pid);
            }
            Err(failure) => {
                let _ = sys::kill(pid, libc::SIGKILL);
                self.cannot_start(index, &failure);
            }
        }
    }

    fn started(&mut self, index: usize, pid: Pid) {
        let now = sys::monotonic_ms();
        let container = &mut self.containers[index];
        container.phase = Phase::Running { pid };
        container.first_started_ms.get_or_insert(now);
        container.last_started_ms = now;
        container.probe = container.spec.health_check.clone().map(|check| Probe::new(check, now));
        container.change(|state| {
            state.status = ContainerStatus::Running;
            state.pid = Some(pid);
            state.started_at_ms = Some(sys::wall_ms());
            state.finished_at_ms = None;
            state.exit_code = None;
        });
        if self.containers.iter().all(|container| matches!(container.phase, Phase::Running { .. } | Phase::Stopped)) {
            setup::trim_memory();
        }
    }

    fn cannot_start(&mut self, index: usize, failure: &Failure) {
        // What was killed on purpose while it was being made has not failed.
        if self.task.phase == TaskPhase::Stopping {
            return self.stopped(index, None, None);
        }
        let name = &self.containers[index].spec.name;
        let reason =
            format!("CannotStartContainerError: failed to create task for container {name:?}: {}", failure.text);
        self.failed_to_start(index, reason, failure.exit_code);
    }

    fn failed_to_start(&mut self, index: usize, reason: String, exit_code: Option<i32>) {
        let (name, essential) = (self.containers[index].spec.name.clone(), self.containers[index].spec.essential);
        self.stopped(index, exit_code, Some(reason.clone()));
        if essential {
            self.fail_task(Some(name), reason);
        }
    }

    /// Process 1 of a container has ended.
    fn exited(&mut self, index: usize, status: i32) {
        // The news of its start may still lie in the pipe.
        if matches!(&self.containers[index].phase, Phase::Starting { starting: Starting::Report(_), .. }) {
            self.start_reported(index);
        }
        let code = sys::exit_code(status);
        let container = &mut self.containers[index];
        match container.phase {
            Phase::Running { .. } => {}
            Phase::Stopped => return,
            // The external runtime still works on its start: it says first what became of it.
            Phase::Starting { .. } => return,
            // Killed before its command ran.
            _ => {
                let failure = Failure::new(format!("its first process ended with {code} before the start"));
                return self.cannot_start(index, &failure);
            }
        }
        if self.pause.is_some()
            && let Some(bundle) = &container.bundle
        {
            // In a PID namespace of its own the kernel would have ended what is left of it.
            self.cgroups.group(bundle.cgroup.as_str()).kill();
        }
        let oom_kills =
            container.bundle.as_ref().map_or(0, |bundle| self.cgroups.group(bundle.cgroup.as_str()).oom_kills());
        let new_oom_kills = oom_kills.saturating_sub(container.oom_kills_seen);
        container.oom_kills_seen = oom_kills;
        let ran_for_ms = sys::monotonic_ms().saturating_sub(container.last_started_ms);
        let reason = plan::exit_reason(code, new_oom_kills);
        let stopping = self.task.phase == TaskPhase::Stopping;
        if !stopping && plan::restarts(container.spec.restart.as_ref(), code, ran_for_ms) {
            return self.restart(index, code, reason);
        }
        let (name, essential) = (container.spec.name.clone(), container.spec.essential);
        self.stopped(index, Some(code), reason);
        if essential {
            self.begin_stop(StopCause::EssentialContainerExited { container: name });
        }
    }

    fn restart(&mut self, index: usize, exit_code: i32, reason: Option<String>) {
        let Some((container, engine, bundle)) = self.parts(index) else { return };
        container.drain_logs();
        engine.delete(&bundle);
        container.phase = Phase::Waiting;
        container.probe = None;
        container.change(|state| {
            state.status = ContainerStatus::Pending;
            state.restart_count += 1;
            state.exit_code = Some(exit_code);
            state.reason = reason;
            state.pid = None;
            state.health = Health::Unknown;
            state.finished_at_ms = Some(sys::wall_ms());
        });
    }

    fn stopped(&mut self, index: usize, exit_code: Option<i32>, reason: Option<String>) {
        let container = &mut self.containers[index];
        container.phase = Phase::Stopped;
        container.probe = None;
        container.kill_at_ms = None;
        container.stdin = None;
        container.drain_logs();
        container.change(|state| {
            state.status = ContainerStatus::Stopped;
            state.pid = None;
            state.exit_code = exit_code;
            state.reason = reason;
            state.finished_at_ms = Some(sys::wall_ms());
        });
        if let Some((_, engine, bundle)) = self.parts(index) {
            engine.delete(&bundle);
        }
    }

    fn advance_stop(&mut self) {
        let now = sys::monotonic_ms();
        for index in 0..self.containers.len() {
            match &self.containers[index].phase {
                Phase::Waiting => self.stopped(index, None, None),
                Phase::Stopped => {}
                // They soon become something that can be stopped; if not, there is an end to that too.
                Phase::Creating(_) | Phase::Starting { .. } => {
                    let container = &mut self.containers[index];
                    let patience = if self.kill { 0 } else { container.spec.stop_timeout_ms };
                    let at = container.kill_at_ms.unwrap_or(u64::MAX).min(now + patience);
                    container.kill_at_ms = Some(at);
                }
                Phase::Created(_) => self.kill_container(index, now),
                Phase::Running { .. } if self.kill => self.kill_container(index, now),
                Phase::Running { pid } => {
                    let pid = *pid;
                    let views: Vec<_> = self.containers.iter().map(|container| container.view(now)).collect();
                    if self.containers[index].kill_at_ms.is_none() && plan::may_stop(index, &views) {
                        self.signal_stop(index, pid, now);
                    }
                }
            }
        }
    }

    fn signal_stop(&mut self, index: usize, pid: Pid, now: u64) {
        let Some((container, engine, bundle)) = self.parts(index) else { return };
        let signal = sys::signal_number(&container.spec.stop_signal).unwrap_or(libc::SIGTERM);
        container.kill_at_ms = Some(now + container.spec.stop_timeout_ms);
        container.probe = None;
        if let Err(error) = engine.signal(&bundle, pid, signal) {
            eprintln!("signal {} to {}: {error}", signal, container.spec.name);
        }
    }

    /// SIGKILL to everything in the container's cgroup; again after a while if that was not enough.
    fn kill_container(&mut self, index: usize, now: u64) {
        let container = &mut self.containers[index];
        if container.kill_at_ms.is_some_and(|at| at > now && at <= now + KILL_AGAIN_MS && self.kill) {
            return;
        }
        container.probe = None;
        container.kill_at_ms = Some(now + KILL_AGAIN_MS);
        let job = match &container.phase {
            Phase::Creating(job) | Phase::Starting { starting: Starting::Job(job), .. } => Some(job.pid),
            _ => None,
        };
        for pid in container.pid().into_iter().chain(job) {
            let _ = sys::kill(pid, libc::SIGKILL);
        }
        if let Some(bundle) = &container.bundle {
            self.cgroups.group(bundle.cgroup.as_str()).kill();
        }
    }

    /// Collects ended children.
    pub(super) fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: the status is written to our variable.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                break;
            }
            self.ended(pid, status);
        }
        // What nobody has claimed by now, with no job left that could, was a helper's helper.
        let working = self.containers.iter().any(|c| matches!(c.phase, Phase::Creating(_) | Phase::Starting { .. }))
            || self.execs.iter().any(|exec| matches!(exec.stage, Stage::Job(_)));
        if !working {
            self.strangers.clear();
        }
    }

    fn ended(&mut self, pid: Pid, status: i32) {
        let owner = self.containers.iter().position(|container| match &container.phase {
            Phase::Creating(job) => job.pid == pid,
            Phase::Starting { starting: Starting::Job(job), .. } if job.pid == pid => true,
            _ => container.pid() == Some(pid),
        });
        if let Some(index) = owner {
            return match &self.containers[index].phase {
                Phase::Creating(_) => self.created(index, status),
                Phase::Starting { starting: Starting::Job(job), .. } if job.pid == pid => {
                    self.start_ended(index, status)
                }
                Phase::Starting { starting: Starting::Job(_), .. } => self.strangers.push((pid, status)),
                _ => self.exited(index, status),
            };
        }
        let exec = self.execs.iter().position(|exec| match &exec.stage {
            Stage::Job(job) => job.pid == pid,
            Stage::Process(process) => *process == pid,
            Stage::Ended(_) => false,
        });
        match exec {
            Some(index) => self.exec_ended(index, status),
            None => {
                if self.strangers.len() == STRANGERS_MAX {
                    self.strangers.remove(0);
                }
                self.strangers.push((pid, status));
            }
        }
    }

    /// `pid` has just become known; it may have ended already.
    pub(super) fn claim(&mut self, pid: Pid) {
        if let Some(at) = self.strangers.iter().position(|(stranger, _)| *stranger == pid) {
            let (pid, status) = self.strangers.remove(at);
            self.ended(pid, status);
        }
    }

    /// What an engine call on a container needs.
    pub(super) fn parts(&mut self, index: usize) -> Option<(&mut Container, &mut dyn Engine, Bundle)> {
        let container = self.containers.get_mut(index)?;
        let bundle = container.bundle.clone()?;
        Some((container, self.engine.as_deref_mut()?, bundle))
    }

    /// How long the loop may sleep, in milliseconds; -1 is until something happens.
    pub(super) fn timeout(&self) -> libc::c_int {
        let now = sys::monotonic_ms();
        let mut next: Option<u64> = None;
        let mut at = |time: u64| next = Some(next.map_or(time, |next| next.min(time)));
        for (index, container) in self.containers.iter().enumerate() {
            container.kill_at_ms.into_iter().for_each(&mut at);
            container.probe.as_ref().and_then(Probe::due_ms).into_iter().for_each(&mut at);
            if matches!(container.phase, Phase::Waiting)
                && let Readiness::Wait { left_ms: Some(left) } = self.readiness(index)
            {
                at(now + left);
            }
        }
        self.execs.iter().filter(|exec| !exec.timed_out).filter_map(|exec| exec.deadline_ms).for_each(&mut at);
        if self.is_idle() {
            at(now + IDLE_LOOK_MS);
        }
        next.map_or(-1, |next| next.saturating_sub(now).min(60_000) as libc::c_int)
    }

    /// Does what is due.
    pub(super) fn timers(&mut self) {
        let now = sys::monotonic_ms();
        for index in 0..self.containers.len() {
            if self.containers[index].kill_at_ms.is_some_and(|at| at <= now) {
                self.kill_container(index, now);
            }
            if self.containers[index].probe.as_ref().and_then(Probe::due_ms).is_some_and(|due| due <= now) {
                self.check_health(index, now);
            }
        }
        for index in 0..self.execs.len() {
            let exec = &mut self.execs[index];
            if !exec.timed_out && exec.deadline_ms.is_some_and(|deadline| deadline <= now) {
                exec.timed_out = true;
                self.abandon(index);
            }
        }
    }
}
