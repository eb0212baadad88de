//! One task on this node, from intent to nothing left.
//!
//! ```text
//!  prepare (images, supervisor, network) → go → follow events → stopped: clean up, report
//!      └────── asked to stop, or failed ──────────────────────────┘
//!  adopt (an earlier agent's supervisor) ──────► follow events
//! ```

use crate::hub::Hub;
use crate::machine::{Machine, StartError, SupervisorLink};
use crate::multiline::Joiner;
use crate::supervisor::SupervisorError;
use crate::{patience, spec};
use longshore_runtime::protocol as rt;
use longshore_types::Timestamp;
use longshore_types::ecs::{ContainerDefinition, ContainerStatus, HealthStatus, StopCode};
use longshore_types::link::LogBatch;
use longshore_types::node::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// Log lines of a stopped task wait this long for a control plane that stores them.
const LOGS_WAIT: Duration = Duration::from_secs(10);
/// Lines of one container on their way to the control plane; further ones stay with the supervisor.
const LINES_IN_FLIGHT: usize = 4000;
const BATCH_LINES: usize = 500;
/// Bytes of messages from which a batch is full.
const BATCH_BYTES: usize = 1 << 20;
/// A pull that takes longer is reported while it goes on.
const SLOW_PULL: Duration = Duration::from_millis(150);
/// How long a line waits for others to travel with.
const BATCH_WAIT: Duration = Duration::from_millis(20);

struct Shell<M: Machine> {
    node: Arc<Hub<M>>,
    seen: TaskObservation,
    /// Containers that the task waits for before it is RUNNING, and of each whether it is essential.
    awaited: BTreeMap<String, bool>,
    /// When the last container began that has.
    latest_start: Option<Timestamp>,
}

/// Runs one task to its end, and until the control plane has forgotten it.
pub async fn run<M: Machine>(node: Arc<Hub<M>>, mut intent: watch::Receiver<TaskIntent>, forget: Arc<Notify>) {
    let first = intent.borrow_and_update().clone();
    let seen = TaskObservation {
        scope: first.scope.clone(),
        id: first.id.clone(),
        phase: TaskPhase::Pending,
        containers: first.containers.iter().map(|container| pending(&first, container)).collect(),
        pull_started_at: None,
        pull_stopped_at: None,
        connectivity_at: None,
        started_at: None,
        execution_stopped_at: None,
        stop: None,
    };
    let essential = |container: &ContainerIntent| (container.definition.name.clone(), container.definition.essential);
    let awaited = first.containers.iter().map(essential).collect();
    let mut shell = Shell { node: Arc::clone(&node), seen, awaited, latest_start: None };
    // An earlier agent saw it end, and may have removed everything by which that could be told.
    if let Some(end) = node.machine.end(&first.id) {
        shell.seen = end;
    } else {
        tokio::select! {
            biased;
            () = shell.live(&mut intent) => {}
            () = forget.notified() => {
                node.machine.clean_up(&first).await;
                node.remove(&first.id);
                return;
            }
        }
        shell.seen.phase = TaskPhase::Stopped;
        node.machine.write_end(&shell.seen);
    }
    node.machine.clean_up(&first).await;
    node.observed(shell.seen.clone());
    // The row is STOPPED now; the control plane takes the task off this node's list.
    forget.notified().await;
    node.machine.forget_end(&first.id);
    node.remove(&first.id);
}

fn pending(task: &TaskIntent, container: &ContainerIntent) -> ContainerObservation {
    ContainerObservation {
        name: container.definition.name.clone(),
        status: ContainerStatus::Pending,
        runtime_id: Some(spec::runtime_id(&task.id, container)),
        image_digest: container.image_digest.clone(),
        exit_code: None,
        reason: None,
        health: HealthStatus::Unknown,
    }
}

fn is_stop(intent: &TaskIntent) -> bool {
    matches!(intent.run, RunIntent::Stop { .. })
}

/// Waits until the task should stop.
async fn stop_wanted(intent: &mut watch::Receiver<TaskIntent>) {
    if intent.wait_for(is_stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl<M: Machine> Shell<M> {
    fn now(&self) -> Timestamp {
        self.node.machine.now()
    }

    async fn live(&mut self, intent: &mut watch::Receiver<TaskIntent>) {
        let wanted = intent.borrow().clone();
        // A supervisor that was never told to go would wait for ever: its task is started anew.
        if self.has_run() {
            // Containers are never started twice.
            let followed = match self.node.machine.adopt(&wanted.id).await {
                Some(supervisor) => self.follow(supervisor, intent).await,
                None => Err(SupervisorError::Gone),
            };
            return self.unless_lost(followed);
        }
        if wanted.was_running {
            self.seen.stop = Some((StopCode::TerminationNotice, "The node was shut down.".to_owned()));
            return;
        }
        // What an agent began that died before it said go: nothing of the task has run.
        if self.node.machine.has_traces(&wanted.id) {
            self.node.machine.clean_up(&wanted).await;
        }
        let mut stop = intent.clone();
        let started = tokio::select! {
            biased;
            started = self.start(&wanted) => started,
            () = stop_wanted(&mut stop) => return,
        };
        match started {
            Ok(supervisor) => {
                let followed = self.follow(supervisor, intent).await;
                self.unless_lost(followed);
            }
            Err(StartError(reason)) => {
                tracing::warn!(task = %wanted.id, reason, "a task could not be started");
                self.seen.stop = Some((StopCode::TaskFailedToStart, reason));
            }
        }
    }

    /// Whether a supervisor was told to start the containers.
    fn has_run(&self) -> bool {
        let phase = self.node.machine.last_state(&self.seen.id).map(|state| state.task.phase);
        phase.is_some_and(|phase| !matches!(phase, rt::TaskPhase::Waiting | rt::TaskPhase::Prepared))
    }

    /// What a supervisor last wrote down is all there is to know, when it was killed, or will be as it hangs.
    fn unless_lost(&mut self, followed: Result<(), SupervisorError>) {
        let Err(error) = followed else { return };
        tracing::warn!(%error, task = %self.seen.id, "the task's supervisor is lost");
        if let Some(state) = self.node.machine.last_state(&self.seen.id) {
            self.merge(&state.task, &state.containers);
        }
        for container in self.seen.containers.iter_mut().filter(|c| c.status == ContainerStatus::Running) {
            container.exit_code = Some(137);
            container.reason = Some("ContainerRuntimeError: the task's supervisor was killed".to_owned());
        }
        self.seen.stop.get_or_insert_with(|| {
            (StopCode::EssentialContainerExited, "ContainerRuntimeError: the task's supervisor was killed".to_owned())
        });
    }

    fn report(&self) {
        self.node.observed(self.seen.clone());
    }

    async fn start(&mut self, intent: &TaskIntent) -> Result<M::Supervisor, StartError> {
        let intent = &self.with_secrets(intent).await?;
        self.seen.phase = TaskPhase::Activating;
        self.seen.pull_started_at = Some(self.now());
        let images = {
            let mut pull = std::pin::pin!(self.pull(intent));
            tokio::select! {
                biased;
                images = &mut pull => images,
                // A warm start is over before this; a cold one is worth telling of.
                () = tokio::time::sleep(SLOW_PULL) => {
                    self.report();
                    pull.await
                }
            }
        };
        let images = images.map_err(|(index, error)| {
            self.seen.containers[index].reason = Some(error.0.clone());
            error
        })?;
        self.seen.pull_stopped_at = Some(self.now());
        for (container, image) in self.seen.containers.iter_mut().zip(&images) {
            container.image_digest = Some(M::digest(image));
        }
        let node = Arc::clone(&self.node);
        let _turn = node.starts.acquire().await;
        let mut supervisor = node.machine.prepare(intent, &images).await?;
        node.machine.attach(&intent.network, &supervisor).await?;
        self.seen.connectivity_at = Some(self.now());
        supervisor.send(&rt::Command::Go).await.map_err(|e| StartError::initialization(&e))?;
        Ok(supervisor)
    }

    /// The intent with the values of its secrets, which the control plane has; it may say no, for a log group that is not
    /// there, or where policies are evaluated.
    async fn with_secrets(&self, intent: &TaskIntent) -> Result<TaskIntent, StartError> {
        let mut intent = intent.clone();
        let asks = self.node.welcome.borrow().as_ref().is_some_and(|welcome| welcome.ask_before_start);
        let needs = |definition: &ContainerDefinition| definition.needs_secrets() || definition.log.is_some();
        if asks || intent.containers.iter().any(|container| needs(&container.definition)) {
            let values = self.node.secrets(&intent.scope, &intent.id).await.map_err(StartError)?;
            for of_container in values.containers {
                if let Some(c) = intent.containers.iter_mut().find(|c| c.definition.name == of_container.name) {
                    c.secrets = of_container;
                }
            }
        }
        Ok(intent)
    }

    /// All images, or the index of the first container whose image cannot be had.
    async fn pull(&self, intent: &TaskIntent) -> Result<Vec<M::Image>, (usize, StartError)> {
        let welcome = self.node.welcome.borrow().clone();
        let pulls = intent.containers.iter().enumerate().map(|(index, container)| {
            let pull = self.node.machine.pull(container, welcome.clone());
            async move { pull.await.map_err(|error| (index, error)) }
        });
        futures_util::future::try_join_all(pulls).await
    }

    /// Follows a supervisor until all containers have stopped and their log lines are stored.
    async fn follow(
        &mut self,
        mut supervisor: M::Supervisor,
        intent: &mut watch::Receiver<TaskIntent>,
    ) -> Result<(), SupervisorError> {
        supervisor.send(&rt::Command::Subscribe { logs: true }).await?;
        let (mut logs, mut stored) = Logs::new(&intent.borrow());
        let mut told_to_stop = false;
        let mut eni = intent.borrow().network.clone();
        let (mut give_up, mut give_up_logs) = (None, None);
        loop {
            if is_stop(&intent.borrow()) && !told_to_stop {
                told_to_stop = true;
                let reason = match &intent.borrow().run {
                    RunIntent::Stop { reason } => reason.clone(),
                    RunIntent::Run => String::new(),
                };
                supervisor.send(&rt::Command::Stop { reason }).await?;
            }
            let stops = told_to_stop || self.seen.phase == TaskPhase::Stopping;
            let over = self.seen.phase == TaskPhase::Stopping && self.all_stopped();
            if over {
                give_up = None;
            } else if stops && give_up.is_none() {
                give_up = Some(tokio::time::Instant::now() + patience::of_stop(&intent.borrow().containers));
            }
            if over && (logs.is_done(&self.node) || give_up_logs.is_some_and(|at| tokio::time::Instant::now() >= at)) {
                let _ = supervisor.send(&rt::Command::Exit).await;
                // The supervisor removes its cgroups and leaves; cleaning up after it is idempotent.
                while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(2), supervisor.next()).await {}
                return Ok(());
            }
            if let Some(logs) = logs.subscribes() {
                supervisor.send(&rt::Command::Subscribe { logs }).await?;
            }
            if over && give_up_logs.is_none() {
                give_up_logs = Some(tokio::time::Instant::now() + LOGS_WAIT);
            }
            // In this order, so that a flood of lines delays no command.
            tokio::select! {
                biased;
                changed = intent.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let network = intent.borrow_and_update().network.clone();
                    if network != eni {
                        eni = network;
                        self.node.machine.update_interface(&self.seen.id, &eni).await;
                    }
                }
                Some(batch) = stored.recv() => {
                    for command in logs.acknowledged(batch) {
                        supervisor.send(&command).await?;
                    }
                }
                () = due(logs.due_at()) => logs.flush(&self.node),
                () = due(give_up_logs) => {}
                () = due(give_up) => return Err(SupervisorError::Hangs),
                event = supervisor.next() => self.handle(event?, &mut logs),
            }
        }
    }

    fn handle(&mut self, event: rt::Event, logs: &mut Logs) {
        match event {
            rt::Event::State(state) => {
                logs.subscribed();
                state.containers.iter().for_each(|container| logs.heard(container));
                self.merge(&state.task, &state.containers);
                self.report();
            }
            rt::Event::Container(container) => {
                logs.heard(&container);
                self.merge_container(&container);
                self.derive();
                self.report();
            }
            rt::Event::Task(task) => {
                self.merge(&task, &[]);
                self.report();
            }
            rt::Event::Log(line) => logs.add(line),
            rt::Event::Error { command, message } => {
                tracing::warn!(task = %self.seen.id, command, message, "the supervisor refused a command")
            }
            _ => {}
        }
    }

    fn merge(&mut self, task: &rt::TaskState, containers: &[rt::ContainerState]) {
        if matches!(task.phase, rt::TaskPhase::Stopping | rt::TaskPhase::Stopped) {
            self.seen.phase = self.seen.phase.max(TaskPhase::Stopping);
        }
        containers.iter().for_each(|container| self.merge_container(container));
        self.derive();
        if let Some(cause) = &task.cause {
            self.seen.stop = stop(cause);
        }
        if task.phase == rt::TaskPhase::Stopped && self.seen.execution_stopped_at.is_none() {
            self.seen.execution_stopped_at = Some(self.now());
        }
    }

    fn merge_container(&mut self, from: &rt::ContainerState) {
        self.node.observed_container(&self.seen.id, from);
        let Some(to) = self.seen.containers.iter_mut().find(|c| c.name == from.name) else { return };
        to.status = match from.status {
            rt::ContainerStatus::Pending => ContainerStatus::Pending,
            rt::ContainerStatus::Running => ContainerStatus::Running,
            rt::ContainerStatus::Stopped => ContainerStatus::Stopped,
        };
        to.health = match from.health {
            rt::Health::Healthy => HealthStatus::Healthy,
            rt::Health::Unhealthy => HealthStatus::Unhealthy,
            rt::Health::Unknown => HealthStatus::Unknown,
        };
        to.exit_code = from.exit_code;
        to.reason = from.reason.clone();
        if let Some(at) = from.started_at_ms {
            let at = Timestamp(at as i64);
            let latest = self.latest_start.get_or_insert(at);
            *latest = (*latest).max(at);
            self.awaited.remove(&from.name);
        } else if from.status == rt::ContainerStatus::Stopped && self.seen.phase < TaskPhase::Stopping {
            // One that could not start; the task goes on without it unless it is essential.
            self.awaited.retain(|name, is_essential| *name != from.name || *is_essential);
        }
    }

    /// RUNNING once every container has started, or has ended and is not essential.
    fn derive(&mut self) {
        if self.awaited.is_empty() && self.seen.started_at.is_none() && self.latest_start.is_some() {
            self.seen.started_at = self.latest_start;
            self.seen.phase = self.seen.phase.max(TaskPhase::Running);
        }
    }

    fn all_stopped(&self) -> bool {
        self.seen.execution_stopped_at.is_some()
    }
}

/// Returns at `at`; never without one.
async fn due(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn stop(cause: &rt::StopCause) -> Option<(StopCode, String)> {
    match cause {
        rt::StopCause::EssentialContainerExited { .. } | rt::StopCause::AllExited => {
            Some((StopCode::EssentialContainerExited, "Essential container in task exited".to_owned()))
        }
        rt::StopCause::FailedToStart { reason, .. } => Some((StopCode::TaskFailedToStart, reason.clone())),
        // Whoever asked has written why.
        rt::StopCause::Asked { reason } => Some((StopCode::UserInitiated, reason.clone())),
    }
}

/// How many of the first lines make a batch: at least one.
fn batch_len(lines: &[rt::LogLine]) -> usize {
    let mut bytes = 0;
    let fits = |line: &&rt::LogLine| {
        bytes += line.message.len();
        bytes <= BATCH_BYTES
    };
    lines.iter().take(BATCH_LINES).take_while(fits).count().max(1)
}

/// Log lines between supervisor and control plane.
struct Logs {
    /// Group, stream and the rest of a batch, by container; containers without a log driver are only acknowledged.
    sinks: HashMap<String, Option<LogBatch>>,
    /// Of containers whose lines make events of several.
    joiners: HashMap<String, Joiner>,
    waiting: BTreeMap<String, Vec<rt::LogLine>>,
    waiting_lines: usize,
    since: Option<tokio::time::Instant>,
    /// Batch to container, last sequence and number of lines.
    sent: HashMap<u64, (String, u64, usize)>,
    in_flight: usize,
    acked: HashMap<String, u64>,
    received: HashMap<String, u64>,
    /// Last sequence that the supervisor has, and whether no later one can come, by container.
    last: HashMap<String, (u64, bool)>,
    /// Lines were left with the supervisor, to be asked for again.
    left: bool,
    /// It was told to keep them, instead of sending what would be thrown away here.
    told_to_keep: bool,
    /// The state that follows a subscription has not come yet: lines that come are of the subscription before.
    stale: bool,
    acks: Vec<rt::Command>,
    /// Batches that were sent to nobody.
    unsent: u64,
    done_sender: mpsc::UnboundedSender<u64>,
}

impl Logs {
    /// With the numbers of batches that have become durable.
    fn new(intent: &TaskIntent) -> (Self, mpsc::UnboundedReceiver<u64>) {
        let sink = |container: &ContainerIntent| {
            let log = container.definition.log.as_ref();
            log.map(|log| LogBatch::empty(log, &intent.scope, &intent.id, &container.definition.name))
        };
        let joiner = |container: &ContainerIntent| {
            let pattern = container.definition.log.as_ref()?.multiline.as_deref()?;
            Some((container.definition.name.clone(), Joiner::new(pattern)?))
        };
        Self::of(
            intent.containers.iter().map(|c| (c.definition.name.clone(), sink(c))).collect(),
            intent.containers.iter().filter_map(joiner).collect(),
        )
    }

    fn of(
        sinks: HashMap<String, Option<LogBatch>>,
        joiners: HashMap<String, Joiner>,
    ) -> (Self, mpsc::UnboundedReceiver<u64>) {
        let (done_sender, done) = mpsc::unbounded_channel();
        let logs = Self {
            sinks,
            joiners,
            waiting: BTreeMap::new(),
            waiting_lines: 0,
            since: None,
            sent: HashMap::new(),
            in_flight: 0,
            acked: HashMap::new(),
            received: HashMap::new(),
            last: HashMap::new(),
            left: false,
            told_to_keep: false,
            stale: false,
            acks: vec![],
            unsent: 0,
            done_sender,
        };
        (logs, done)
    }

    fn heard(&mut self, container: &rt::ContainerState) {
        self.last.insert(container.name.clone(), (container.log_sequence, container.log_complete));
    }

    fn add(&mut self, line: rt::LogLine) {
        if self.stale {
            return;
        }
        let received = self.received.entry(line.container.clone()).or_default();
        if line.sequence <= *received {
            return;
        }
        if self.left || self.in_flight >= LINES_IN_FLIGHT {
            // It stays with the supervisor, whose buffer has a bound and a policy.
            self.left = true;
            return;
        }
        *received = line.sequence;
        match self.joiners.get_mut(&line.container) {
            None => self.wait(line),
            Some(joiner) => {
                let event = joiner.add(line, tokio::time::Instant::now());
                event.into_iter().for_each(|event| self.wait(event));
            }
        }
    }

    fn wait(&mut self, line: rt::LogLine) {
        self.in_flight += 1;
        self.waiting_lines += 1;
        self.since.get_or_insert_with(tokio::time::Instant::now);
        match self.waiting.get_mut(&line.container) {
            Some(lines) => lines.push(line),
            None => {
                self.waiting.insert(line.container.clone(), vec![line]);
            }
        }
    }

    /// When to send what waits.
    fn due_at(&self) -> Option<tokio::time::Instant> {
        let is_full = self.waiting_lines >= BATCH_LINES;
        let lines = self.since.map(|since| if is_full { since } else { since + BATCH_WAIT });
        let events = self.joiners.values().filter_map(Joiner::due_at).min();
        lines.into_iter().chain(events).min()
    }

    fn flush<M: Machine>(&mut self, node: &Hub<M>) {
        let now = tokio::time::Instant::now();
        self.close_events(|_, joiner| joiner.due_at().is_some_and(|at| at <= now));
        self.since = None;
        self.waiting_lines = 0;
        for (container, mut lines) in std::mem::take(&mut self.waiting) {
            while !lines.is_empty() {
                let later = lines.split_off(batch_len(&lines));
                self.send(node, &container, std::mem::replace(&mut lines, later));
            }
        }
    }

    fn send<M: Machine>(&mut self, node: &Hub<M>, container: &str, lines: Vec<rt::LogLine>) {
        let Some(last) = lines.last().map(|line| line.sequence) else { return };
        let count = lines.len();
        // CloudWatch takes no empty events, and its driver sends none.
        let events: Vec<_> = lines
            .into_iter()
            .filter(|line| !line.message.is_empty())
            .map(|line| (Timestamp(line.timestamp_ms as i64), line.message))
            .collect();
        let number = match self.sinks.get(container).cloned().flatten() {
            Some(batch) if !events.is_empty() => node.ship(LogBatch { events, ..batch }, self.done_sender.clone()),
            _ => {
                // Nobody wants them: the supervisor may forget them at once.
                self.unsent += 1;
                let number = u64::MAX - self.unsent;
                let _ = self.done_sender.send(number);
                number
            }
        };
        self.sent.insert(number, (container.to_owned(), last, count));
    }

    /// Ends the events for which no more lines are waited.
    fn close_events(&mut self, is_over: impl Fn(&str, &Joiner) -> bool) {
        let over = self.joiners.iter_mut().filter(|(name, joiner)| is_over(name, joiner));
        let events: Vec<rt::LogLine> = over.filter_map(|(_, joiner)| joiner.take()).collect();
        events.into_iter().for_each(|event| self.wait(event));
    }

    /// What the supervisor may forget now.
    fn acknowledged(&mut self, batch: u64) -> Vec<rt::Command> {
        if let Some((container, sequence, lines)) = self.sent.remove(&batch) {
            self.in_flight -= lines;
            let acked = self.acked.entry(container.clone()).or_default();
            *acked = (*acked).max(sequence);
            // Batches of a container can only be forgotten in order.
            if !self.sent.values().any(|(c, s, _)| *c == container && *s < sequence) {
                let sequence = *acked;
                self.acks.push(rt::Command::LogAck { container, sequence });
            }
        }
        std::mem::take(&mut self.acks)
    }

    /// Whether to subscribe anew, and with lines: without, once there is no room for more; with them again when all that
    /// were under way are stored.
    fn subscribes(&mut self) -> Option<bool> {
        if !self.left || self.stale {
            return None;
        }
        if !self.told_to_keep {
            (self.told_to_keep, self.stale) = (true, true);
            return Some(false);
        }
        if self.in_flight > 0 {
            return None;
        }
        (self.left, self.told_to_keep, self.stale) = (false, false, true);
        Some(true)
    }

    /// The supervisor has answered a subscription: from here on lines begin with the first that is not acknowledged.
    fn subscribed(&mut self) {
        self.stale = false;
    }

    fn is_done<M: Machine>(&mut self, node: &Hub<M>) -> bool {
        let is_last = |at: &HashMap<String, u64>, name: &str, (last, complete): &(u64, bool)| {
            *complete && at.get(name).copied().unwrap_or(0) >= *last
        };
        // Only then: as long as lines come, they travel together.
        if self.last.iter().all(|(name, last)| is_last(&self.received, name, last)) {
            self.close_events(|_, _| true);
            if !self.waiting.is_empty() {
                self.flush(node);
            }
        }
        self.in_flight == 0 && self.last.iter().all(|(name, last)| is_last(&self.acked, name, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sequence: u64, message: &str) -> rt::LogLine {
        let (container, message) = ("app".to_owned(), message.to_owned());
        rt::LogLine { container, sequence, stream: rt::Stream::Stdout, timestamp_ms: sequence, message }
    }

    #[test]
    fn lines_of_an_earlier_subscription_are_not_taken_for_the_next_ones() {
        let (mut logs, _done) = Logs::of(HashMap::from([("app".to_owned(), None)]), HashMap::new());
        let most = LINES_IN_FLIGHT as u64;
        (1..=most).for_each(|sequence| logs.add(line(sequence, "x")));
        assert_eq!(logs.subscribes(), None);
        logs.add(line(most + 1, "x"));
        assert_eq!(logs.subscribes(), Some(false), "there is no room: the supervisor keeps the rest");
        logs.add(line(most + 2, "x"));
        logs.subscribed();
        assert_eq!(logs.subscribes(), None, "those under way come first");

        logs.sent.insert(1, ("app".to_owned(), most, LINES_IN_FLIGHT));
        let acknowledged = logs.acknowledged(1);
        assert!(matches!(&acknowledged[..], [rt::Command::LogAck { sequence, .. }] if *sequence == most));
        assert_eq!(logs.subscribes(), Some(true));
        logs.add(line(most + 2, "x"));
        assert_eq!(logs.received["app"], most, "sent before the supervisor was asked again");
        logs.subscribed();
        logs.add(line(most + 1, "x"));
        assert_eq!((logs.received["app"], logs.in_flight), (most + 1, 1));
    }

    #[test]
    fn batches_are_bound_by_lines_and_bytes() {
        let lines = |count: u64, bytes: usize| (0..count).map(|n| line(n, &"x".repeat(bytes))).collect::<Vec<_>>();
        assert_eq!(batch_len(&lines(3, 10)), 3);
        assert_eq!(batch_len(&lines(2000, 1)), BATCH_LINES);
        assert_eq!(batch_len(&lines(5, BATCH_BYTES / 2)), 2);
        assert_eq!(batch_len(&lines(2, BATCH_BYTES + 1)), 1);
    }
}
