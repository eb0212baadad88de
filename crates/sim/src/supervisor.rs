//! A task's supervisor: the decisions are `longshore_runtime`'s, the processes are pretence.

use crate::behaviour::Behaviour;
use crate::world::{World, lock};
use longshore_runtime::protocol::{
    Command, ContainerState, ContainerStatus, Event, Health, LogLine, State, StopCause, Stream, TaskPhase, TaskState,
};
use longshore_runtime::spec::{Condition, Dependency, RestartPolicy};
use longshore_runtime::supervisor::plan::{self, Progress, Readiness, View};
use longshore_types::ecs::DependencyCondition;
use longshore_types::id::TaskId;
use longshore_types::node::{ContainerIntent, TaskIntent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub enum Message {
    Connect { client: u64, events: mpsc::UnboundedSender<Event> },
    Command { client: u64, command: Command },
}

pub struct Supervisor {
    world: Arc<World>,
    task: TaskId,
    state: State,
    containers: Vec<Container>,
    clients: BTreeMap<u64, Client>,
    may_start: bool,
}

struct Client {
    events: mpsc::UnboundedSender<Event>,
    subscribed: bool,
}

struct Container {
    name: String,
    /// Where its lines go; `None` without a log driver.
    stream: Option<String>,
    depends_on: Vec<Dependency>,
    essential: bool,
    behaviour: Behaviour,
    /// Interval of its health check.
    check: Option<Duration>,
    stop_timeout: Duration,
    start_timeout_ms: Option<u64>,
    restart: Option<RestartPolicy>,
    /// Its command will run at this time.
    starts_at: Option<Instant>,
    /// For the first time.
    started: Option<Instant>,
    started_last: Option<Instant>,
    exits_at: Option<(Instant, i32, bool)>,
    checked_at: Option<Instant>,
    signalled: bool,
    lines: Vec<LogLine>,
}

impl Container {
    fn new(world: &World, task: &TaskIntent, intent: &ContainerIntent) -> Self {
        let definition = &intent.definition;
        let condition = |condition| match condition {
            DependencyCondition::Start => Condition::Start,
            DependencyCondition::Complete => Condition::Complete,
            DependencyCondition::Success => Condition::Success,
            DependencyCondition::Healthy => Condition::Healthy,
        };
        Self {
            name: definition.name.clone(),
            stream: definition.log.as_ref().map(|log| format!("{}/{}/{}", log.stream_prefix, definition.name, task.id)),
            depends_on: definition
                .depends_on
                .iter()
                .map(|(name, on)| Dependency { name: name.clone(), condition: condition(*on) })
                .collect(),
            essential: definition.essential,
            behaviour: Behaviour::of(world, &definition.image),
            check: definition.health_check.as_ref().map(|c| Duration::from_secs(u64::from(c.interval_seconds))),
            stop_timeout: Duration::from_secs(u64::from(definition.stop_timeout_seconds.unwrap_or(30))),
            start_timeout_ms: definition.start_timeout_seconds.map(|s| u64::from(s) * 1000),
            restart: definition.restart_policy.as_ref().filter(|policy| policy.enabled).map(|policy| RestartPolicy {
                ignored_exit_codes: policy.ignored_exit_codes.clone(),
                attempt_period_ms: u64::from(policy.attempt_period_seconds) * 1000,
            }),
            starts_at: None,
            started: None,
            started_last: None,
            exits_at: None,
            checked_at: None,
            signalled: false,
            lines: vec![],
        }
    }
}

impl Supervisor {
    pub fn new(world: &Arc<World>, intent: &TaskIntent) -> Self {
        let containers: Vec<Container> = intent.containers.iter().map(|c| Container::new(world, intent, c)).collect();
        let state = State {
            task_id: intent.id.to_string(),
            task: TaskState { phase: TaskPhase::Prepared, cause: None },
            containers: containers
                .iter()
                .map(|c| ContainerState { name: c.name.clone(), ..ContainerState::default() })
                .collect(),
            ..State::default()
        };
        Self {
            world: Arc::clone(world),
            task: intent.id.clone(),
            state,
            containers,
            clients: BTreeMap::new(),
            may_start: false,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        loop {
            let before = self.state.clone();
            let due = self.containers.iter().enumerate().filter_map(|(n, _)| self.due(n)).min();
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(message) => if !self.obey(message) { break },
                    None => break,
                },
                () = sleep_until(due) => {}
            }
            self.advance();
            self.tell(&before);
        }
        // It leaves; its directory is the agent's to remove.
        if let Some(directory) = lock(&self.world.node).directories.get_mut(&self.task) {
            directory.supervisor = None;
        }
    }

    /// False when it is to leave.
    fn obey(&mut self, message: Message) -> bool {
        match message {
            Message::Connect { client, events } => {
                self.clients.insert(client, Client { events, subscribed: false });
            }
            Message::Command { client, command } => match command {
                Command::Subscribe { logs } => {
                    let state = Event::State(self.state.clone());
                    let lines = self.containers.iter().filter(|_| logs).flat_map(|c| c.lines.clone());
                    let lines: Vec<LogLine> = lines.collect();
                    if let Some(client) = self.clients.get_mut(&client) {
                        client.subscribed = true;
                        let _ = client.events.send(state);
                        for line in lines {
                            let _ = client.events.send(Event::Log(line));
                        }
                    }
                }
                Command::Go => {
                    self.may_start = true;
                    if self.state.task.phase == TaskPhase::Prepared {
                        self.state.task.phase = TaskPhase::Running;
                    }
                }
                Command::Stop { reason } => self.begin_stop(StopCause::Asked { reason }),
                Command::LogAck { container, sequence } => {
                    if let Some(container) = self.containers.iter_mut().find(|c| c.name == container) {
                        container.lines.retain(|line| line.sequence > sequence);
                    }
                }
                Command::Exit => return self.state.task.phase != TaskPhase::Stopped,
                _ => {}
            },
        }
        true
    }

    fn begin_stop(&mut self, cause: StopCause) {
        if !matches!(self.state.task.phase, TaskPhase::Stopping | TaskPhase::Stopped) {
            self.state.task = TaskState { phase: TaskPhase::Stopping, cause: Some(cause) };
        }
    }

    /// When something happens to container `n` by itself.
    fn due(&self, n: usize) -> Option<Instant> {
        let container = &self.containers[n];
        let check = container.checked_at.zip(container.check).map(|(at, interval)| at + interval);
        let timeout = match self.readiness(n) {
            Readiness::Wait { left_ms: Some(left) } if self.may_start => {
                Some(Instant::now() + Duration::from_millis(left))
            }
            _ => None,
        };
        [container.starts_at, container.exits_at.map(|(at, ..)| at), check, timeout].into_iter().flatten().min()
    }

    fn views(&self) -> Vec<View<'_>> {
        let now = Instant::now();
        let progress = |state: &ContainerState| match state.status {
            ContainerStatus::Pending => Progress::Pending,
            ContainerStatus::Running => Progress::Running,
            ContainerStatus::Stopped => Progress::Stopped,
        };
        self.containers
            .iter()
            .zip(&self.state.containers)
            .map(|(container, state)| View {
                name: &container.name,
                depends_on: &container.depends_on,
                progress: progress(state),
                health: state.health,
                exit_code: state.exit_code,
                running_for_ms: container.started.map(|at| now.duration_since(at).as_millis() as u64),
                start_timeout_ms: container.start_timeout_ms,
            })
            .collect()
    }

    fn readiness(&self, n: usize) -> Readiness {
        if self.state.containers[n].status != ContainerStatus::Pending || self.containers[n].starts_at.is_some() {
            return Readiness::Wait { left_ms: None };
        }
        plan::readiness(n, &self.views())
    }

    fn advance(&mut self) {
        loop {
            let before = (self.state.clone(), self.containers.iter().filter(|c| c.signalled).count());
            for n in 0..self.containers.len() {
                self.happen(n);
                match self.state.task.phase {
                    TaskPhase::Running => self.advance_start(n),
                    TaskPhase::Stopping => self.advance_stop(n),
                    _ => {}
                }
            }
            let all_stopped = self.state.containers.iter().all(|c| c.status == ContainerStatus::Stopped);
            if all_stopped && self.state.task.phase != TaskPhase::Stopped {
                self.begin_stop(StopCause::AllExited);
                self.state.task.phase = TaskPhase::Stopped;
            }
            if before == (self.state.clone(), self.containers.iter().filter(|c| c.signalled).count()) {
                return;
            }
        }
    }

    fn advance_start(&mut self, n: usize) {
        match self.readiness(n) {
            Readiness::Ready => {
                self.containers[n].starts_at = Some(Instant::now() + self.containers[n].behaviour.start)
            }
            Readiness::Wait { .. } => {}
            Readiness::Never(reason) => self.cannot(n, reason),
        }
    }

    fn cannot(&mut self, n: usize, reason: String) {
        self.containers[n].starts_at = None;
        let state = &mut self.state.containers[n];
        state.status = ContainerStatus::Stopped;
        state.reason = Some(reason.clone());
        state.log_complete = true;
        let container = Some(state.name.clone());
        self.begin_stop(StopCause::FailedToStart { container, reason });
    }

    fn advance_stop(&mut self, n: usize) {
        if self.containers[n].signalled || !plan::may_stop(n, &self.views()) {
            return;
        }
        match self.state.containers[n].status {
            ContainerStatus::Pending => {
                self.containers[n].starts_at = None;
                self.state.containers[n].status = ContainerStatus::Stopped;
                self.state.containers[n].log_complete = true;
            }
            ContainerStatus::Running => {
                let container = &mut self.containers[n];
                container.signalled = true;
                let after = container.behaviour.stop.min(container.stop_timeout);
                let code = if container.behaviour.stop > container.stop_timeout { 137 } else { 143 };
                let at = Instant::now() + after;
                if container.exits_at.is_none_or(|(earlier, ..)| earlier > at) {
                    container.exits_at = Some((at, code, false));
                }
            }
            ContainerStatus::Stopped => {}
        }
    }

    /// What time does to container `n`.
    fn happen(&mut self, n: usize) {
        let now = Instant::now();
        if self.containers[n].starts_at.is_some_and(|at| at <= now) && self.state.task.phase == TaskPhase::Running {
            self.containers[n].starts_at = None;
            self.start(n);
        }
        if let Some((at, code, out_of_memory)) = self.containers[n].exits_at
            && at <= now
        {
            self.containers[n].exits_at = None;
            let world = &self.world;
            // What was to go wrong later does not, once faults have ceased.
            if self.containers[n].signalled || !self.containers[n].behaviour.is_fault || world.faults() {
                self.exit(n, code, out_of_memory);
            }
        }
        self.check_health(n);
    }

    fn start(&mut self, n: usize) {
        let name = self.containers[n].name.clone();
        if let Some(reason) = self.containers[n].behaviour.cannot_start {
            return self.cannot(n, reason.to_owned());
        }
        let now = Instant::now();
        let count = {
            let mut node = lock(&self.world.node);
            let count = node.starts.entry((self.task.clone(), name.clone())).or_default();
            *count += 1;
            *count
        };
        self.world.note("container", format!("{} of {} starts", name, self.world.task(&self.task)));
        if count > 1 {
            let text = format!("{name} of {} was started {count} times", self.world.task(&self.task));
            self.world.violated("started twice", text);
        }
        let started_at_ms = self.node_time_ms();
        let container = &mut self.containers[n];
        container.started.get_or_insert(now);
        container.started_last = Some(now);
        container.checked_at = container.check.map(|_| now);
        container.exits_at =
            container.behaviour.exit.map(|(after, code)| (now + after, code, container.behaviour.out_of_memory));
        let state = &mut self.state.containers[n];
        state.status = ContainerStatus::Running;
        state.started_at_ms = Some(started_at_ms);
        self.print(n, "begins");
        self.serving();
    }

    fn exit(&mut self, n: usize, code: i32, out_of_memory: bool) {
        let name = self.containers[n].name.clone();
        self.world.note("container", format!("{} of {} ends with {code}", name, self.world.task(&self.task)));
        self.print(n, "ends");
        let ran_for = self.containers[n].started_last.map_or(Duration::ZERO, |at| at.elapsed());
        let stopping = self.state.task.phase != TaskPhase::Running || self.containers[n].signalled;
        if !stopping && plan::restarts(self.containers[n].restart.as_ref(), code, ran_for.as_millis() as u64) {
            return self.restart(n, code, out_of_memory);
        }
        let finished = self.node_time_ms();
        let state = &mut self.state.containers[n];
        state.status = ContainerStatus::Stopped;
        state.exit_code = Some(code);
        state.reason = plan::exit_reason(code, u64::from(out_of_memory));
        state.finished_at_ms = Some(finished);
        state.log_complete = true;
        self.containers[n].checked_at = None;
        if self.containers[n].essential {
            self.begin_stop(StopCause::EssentialContainerExited { container: name });
        }
        self.serving();
    }

    /// In place, as `runtime::supervisor` does it: dependencies are not asked again.
    fn restart(&mut self, n: usize, code: i32, out_of_memory: bool) {
        let starts_at = Instant::now() + self.containers[n].behaviour.start;
        let finished = self.node_time_ms();
        let container = &mut self.containers[n];
        container.starts_at = Some(starts_at);
        container.checked_at = None;
        let state = &mut self.state.containers[n];
        state.status = ContainerStatus::Pending;
        state.restart_count += 1;
        state.exit_code = Some(code);
        state.reason = plan::exit_reason(code, u64::from(out_of_memory));
        state.health = Health::Unknown;
        state.finished_at_ms = Some(finished);
        let key = (self.task.clone(), state.name.clone());
        // What follows is no second start.
        lock(&self.world.node).starts.entry(key).and_modify(|count| *count -= 1);
        self.serving();
    }

    fn check_health(&mut self, n: usize) {
        let now = Instant::now();
        let container = &mut self.containers[n];
        let (Some(at), Some(interval), Some(started)) = (container.checked_at, container.check, container.started_last)
        else {
            return;
        };
        if now < at + interval {
            return;
        }
        container.checked_at = Some(now);
        let fails = container.behaviour.unhealthy_after.is_some_and(|after| started + after <= now);
        let health = if fails && self.world.faults() { Health::Unhealthy } else { Health::Healthy };
        self.state.containers[n].health = health;
    }

    fn print(&mut self, n: usize, text: &str) {
        let timestamp_ms = self.node_time_ms();
        let state = &mut self.state.containers[n];
        state.log_sequence += 1;
        let line = LogLine {
            container: state.name.clone(),
            sequence: state.log_sequence,
            stream: Stream::Stdout,
            timestamp_ms,
            message: format!("{text} at {timestamp_ms}"),
        };
        if let Some(stream) = &self.containers[n].stream {
            lock(&self.world.checks).lines_printed.entry(stream.clone()).or_default().push(line.message.clone());
        }
        self.containers[n].lines.push(line.clone());
        for client in self.clients.values().filter(|client| client.subscribed) {
            let _ = client.events.send(Event::Log(line.clone()));
        }
    }

    fn node_time_ms(&self) -> u64 {
        u64::try_from(self.world.now().0 + self.world.policy.skew_ms).unwrap_or(0)
    }

    /// Says which containers answer requests now.
    fn serving(&self) {
        let running = self.state.containers.iter().filter(|c| c.status == ContainerStatus::Running);
        let names = running.map(|c| c.name.clone()).collect();
        if let Some(living) =
            lock(&self.world.node).directories.get_mut(&self.task).and_then(|directory| directory.supervisor.as_mut())
        {
            living.serving = names;
        }
    }

    /// Writes the state file and tells those who subscribed what is different.
    fn tell(&mut self, before: &State) {
        if *before == self.state {
            return;
        }
        if let Some(directory) = lock(&self.world.node).directories.get_mut(&self.task) {
            directory.state = Some(self.state.clone());
        }
        let containers = self.state.containers.iter().zip(&before.containers);
        let mut events: Vec<Event> =
            containers.filter(|(now, old)| now != old).map(|(now, _)| Event::Container(now.clone())).collect();
        if self.state.task != before.task {
            events.push(Event::Task(self.state.task.clone()));
        }
        for client in self.clients.values().filter(|client| client.subscribed) {
            for event in &events {
                let _ = client.events.send(event.clone());
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
