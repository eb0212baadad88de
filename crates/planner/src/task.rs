//! A task's life as its node reports it. States only go forward.
//!
//! ```text
//! PROVISIONING → PENDING → ACTIVATING → RUNNING → DEACTIVATING → STOPPING → DEPROVISIONING → STOPPED
//!      written by RunTask    the node reports      targets drain    stop signal out
//! ```

use longshore_types::Timestamp;
use longshore_types::ecs::*;
use longshore_types::node::{TaskObservation, TaskPhase};

/// What an observation changed that others must act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Something a client can see is different.
    pub visible: bool,
    /// It has just become RUNNING: register its targets.
    pub started: bool,
    /// It has just begun to end, or has ended: its targets drain.
    pub ending: bool,
    /// It has just become STOPPED: free what it held.
    pub stopped: bool,
}

/// Merges what a node saw into the stored task.
pub fn observe(task: &mut Task, seen: &TaskObservation, now: Timestamp) -> Change {
    if task.is_stopped() {
        return Change::default();
    }
    let before = task.clone();
    let ending = seen.phase >= TaskPhase::Stopping;
    for seen in &seen.containers {
        if let Some(container) = task.containers.iter_mut().find(|c| c.name == seen.name) {
            container.status = container.status.max(seen.status);
            container.health = seen.health;
            // That of an earlier run is not shown while a restart policy goes on.
            if seen.status == ContainerStatus::Stopped || ending {
                container.exit_code = seen.exit_code.or(container.exit_code);
                container.reason = seen.reason.clone().or(container.reason.take());
            }
            container.runtime_id = seen.runtime_id.clone().or(container.runtime_id.take());
            container.image_digest = seen.image_digest.clone().or(container.image_digest.take());
        }
    }
    task.health = health(&task.containers);
    let times = &mut task.times;
    times.pull_started_at = times.pull_started_at.or(seen.pull_started_at);
    times.pull_stopped_at = times.pull_stopped_at.or(seen.pull_stopped_at);
    times.connectivity_at = times.connectivity_at.or(seen.connectivity_at);
    times.started_at = times.started_at.or(seen.started_at);
    times.execution_stopped_at = times.execution_stopped_at.or(seen.execution_stopped_at);

    let status = match seen.phase {
        TaskPhase::Pending => TaskStatus::Pending,
        TaskPhase::Activating => TaskStatus::Activating,
        TaskPhase::Running => TaskStatus::Running,
        TaskPhase::Stopping => TaskStatus::Stopping,
        TaskPhase::Stopped => TaskStatus::Stopped,
    };
    task.last_status = task.last_status.max(status);
    if task.last_status >= TaskStatus::Stopping {
        task.desired_status = DesiredStatus::Stopped;
        task.times.stopping_at = task.times.stopping_at.or(Some(now));
        if let Some((code, reason)) = &seen.stop {
            // Whoever asked first is the reason; what the node saw comes when nobody asked.
            task.stop_code = task.stop_code.or(Some(*code));
            task.stopped_reason = task.stopped_reason.take().or_else(|| Some(reason.clone()));
        }
    }
    if task.last_status == TaskStatus::Stopped {
        task.times.stopped_at = Some(now);
        task.times.execution_stopped_at = task.times.execution_stopped_at.or(Some(now));
        for container in &mut task.containers {
            container.status = ContainerStatus::Stopped;
        }
    }
    let visible = *task != before;
    if visible {
        task.version += 1;
    }
    Change {
        visible,
        started: before.last_status < TaskStatus::Running && task.last_status == TaskStatus::Running,
        ending: before.last_status < TaskStatus::Stopping && task.last_status >= TaskStatus::Stopping,
        stopped: task.is_stopped(),
    }
}

/// Essential containers with a health check decide: UNHEALTHY before UNKNOWN before HEALTHY.
pub fn health(containers: &[TaskContainer]) -> HealthStatus {
    let checked: Vec<HealthStatus> =
        containers.iter().filter(|c| c.essential && c.has_health_check).map(|c| c.health).collect();
    if checked.contains(&HealthStatus::Unhealthy) {
        HealthStatus::Unhealthy
    } else if checked.is_empty() || checked.contains(&HealthStatus::Unknown) {
        HealthStatus::Unknown
    } else {
        HealthStatus::Healthy
    }
}

/// How a stopped task counts against its deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Somebody stopped it, or it had counted as healthy.
    None,
    /// It never ran.
    Launch,
    /// It ended by itself before it counted as healthy.
    EarlyExit,
}

pub fn failure(task: &Task) -> Failure {
    if !matches!(task.stop_code, Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited)) {
        Failure::None
    } else if task.times.started_at.is_none() {
        Failure::Launch
    } else if task.was_healthy {
        Failure::None
    } else {
        Failure::EarlyExit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_types::Scope;
    use longshore_types::node::ContainerObservation;

    fn task() -> Task {
        let container = TaskContainer {
            id: "c".into(),
            name: "web".into(),
            image: "web".into(),
            image_digest: None,
            runtime_id: None,
            status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
            essential: true,
            has_health_check: true,
            cpu_units: 0,
            memory_mib: None,
            memory_reservation_mib: None,
        };
        Task {
            id: "t".into(),
            cluster: "c".into(),
            family: "f".into(),
            revision: 1,
            group: "family:f".into(),
            started_by: None,
            service: None,
            deployment: None,
            launch_type: "FARGATE".into(),
            capacity_provider: None,
            desired_status: DesiredStatus::Running,
            last_status: TaskStatus::Provisioning,
            health: HealthStatus::Unknown,
            containers: vec![container],
            cpu_units: 256,
            memory_mib: 512,
            ephemeral_gib: 20,
            overrides: TaskOverride::default(),
            network: TaskNetwork {
                attachment: "a".into(),
                eni: "eni".into(),
                vpc: "vpc".into(),
                subnet: "subnet".into(),
                address: [10, 0, 0, 4].into(),
                mac: "0a:00".into(),
                private_dns_name: "ip".into(),
            },
            zone: "z".into(),
            node: "local".into(),
            times: TaskTimes::default(),
            stop_code: None,
            stopped_reason: None,
            version: 1,
            tags: Default::default(),
            access_key_id: None,
            client_token: None,
            failed_beside: 0,
            protected_until: None,
            was_healthy: false,
            enable_execute_command: false,
        }
    }

    fn seen(phase: TaskPhase, status: ContainerStatus) -> TaskObservation {
        TaskObservation {
            scope: Scope::new("1", "r"),
            id: "t".into(),
            phase,
            containers: vec![ContainerObservation {
                name: "web".into(),
                status,
                runtime_id: Some("r".into()),
                image_digest: None,
                exit_code: None,
                reason: None,
                health: HealthStatus::Unknown,
            }],
            pull_started_at: None,
            pull_stopped_at: None,
            connectivity_at: None,
            started_at: (phase >= TaskPhase::Running).then_some(Timestamp(5)),
            execution_stopped_at: None,
            stop: None,
        }
    }

    #[test]
    fn a_task_starts_once_and_never_goes_back() {
        let mut task = task();
        let running = seen(TaskPhase::Running, ContainerStatus::Running);
        assert!(observe(&mut task, &running, Timestamp(9)).started);
        assert_eq!((task.last_status, task.version), (TaskStatus::Running, 2));
        assert_eq!(observe(&mut task, &running, Timestamp(10)), Change::default());
        observe(&mut task, &seen(TaskPhase::Pending, ContainerStatus::Pending), Timestamp(11));
        assert_eq!(task.last_status, TaskStatus::Running);
        task.last_status = TaskStatus::Deactivating;
        assert!(!observe(&mut task, &running, Timestamp(12)).started);
        assert_eq!(task.last_status, TaskStatus::Deactivating);
    }

    #[test]
    fn an_exit_that_a_restart_follows_is_not_shown() {
        let mut task = task();
        observe(&mut task, &seen(TaskPhase::Running, ContainerStatus::Running), Timestamp(9));
        let mut between = seen(TaskPhase::Running, ContainerStatus::Pending);
        between.containers[0].exit_code = Some(1);
        assert_eq!(observe(&mut task, &between, Timestamp(10)), Change::default());
        assert_eq!((task.containers[0].status, task.containers[0].exit_code), (ContainerStatus::Running, None));
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let mut task = task();
        task.stop_code = Some(StopCode::UserInitiated);
        task.stopped_reason = Some("enough".into());
        let mut last = seen(TaskPhase::Stopped, ContainerStatus::Stopped);
        last.stop = Some((StopCode::EssentialContainerExited, "Essential container in task exited".into()));
        last.containers[0].exit_code = Some(143);
        let change = observe(&mut task, &last, Timestamp(20));
        assert!(change.stopped);
        assert_eq!((task.stop_code, task.stopped_reason.as_deref()), (Some(StopCode::UserInitiated), Some("enough")));
        assert_eq!((task.containers[0].exit_code, task.times.stopped_at), (Some(143), Some(Timestamp(20))));
    }

    #[test]
    fn health_is_that_of_the_essential_containers_with_checks() {
        let mut containers = task().containers;
        let health_of = |health: HealthStatus, containers: &mut Vec<TaskContainer>| {
            containers[0].health = health;
            super::health(containers)
        };
        assert_eq!(health_of(HealthStatus::Healthy, &mut containers), HealthStatus::Healthy);
        assert_eq!(health_of(HealthStatus::Unhealthy, &mut containers), HealthStatus::Unhealthy);
        containers[0].essential = false;
        assert_eq!(super::health(&containers), HealthStatus::Unknown);
    }
}
