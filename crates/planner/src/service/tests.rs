use super::*;

fn deployment(id: &str, rollout: RolloutState) -> DeploymentView {
    DeploymentView {
        id: id.into(),
        rollout,
        failed_tasks: 0,
        has_load_balancer: false,
        has_container_check: true,
        is_pinned: true,
        capacity: vec![],
        had: 0,
        retry_at: None,
    }
}

fn service(desired: u32, minimum: u32, maximum: u32) -> ServiceView {
    ServiceView {
        desired_count: desired,
        draining: false,
        minimum_healthy_percent: minimum,
        maximum_percent: maximum,
        breaker: CircuitBreaker::default(),
        rollback_requested: false,
        grace: Duration::ZERO,
        zone_rebalancing: false,
        zones: vec!["a".into()],
        retry_at: None,
        deployments: vec![deployment("new", RolloutState::InProgress)],
        tasks: vec![],
    }
}

fn task(id: &str, deployment: &str, status: TaskStatus, health: HealthStatus) -> TaskView {
    TaskView {
        id: id.into(),
        deployment: deployment.into(),
        status,
        stopping: false,
        started_at: (status >= TaskStatus::Running).then_some(Timestamp(0)),
        container_health: health,
        target_health: TargetView::None,
        zone: "a".into(),
        provider: None,
        protected_until: None,
        was_healthy: true,
    }
}

fn healthy(id: &str, deployment: &str) -> TaskView {
    task(id, deployment, TaskStatus::Running, HealthStatus::Healthy)
}

fn rolling(desired: u32, minimum: u32, maximum: u32) -> ServiceView {
    let mut view = service(desired, minimum, maximum);
    view.deployments.push(DeploymentView { had: desired, ..deployment("old", RolloutState::Completed) });
    view.tasks = (0..desired).map(|n| healthy(&format!("o{n}"), "old")).collect();
    view
}

fn starts(plan: &Plan) -> u32 {
    plan.actions.iter().map(|a| if let Action::StartTasks { count, .. } = a { *count } else { 0 }).sum()
}

fn stopped(plan: &Plan) -> usize {
    plan.actions.iter().filter(|a| matches!(a, Action::StopTask { .. })).count()
}

const NOW: Timestamp = Timestamp(1_000_000);

#[test]
fn bounds_round_as_ecs_rounds() {
    assert_eq!((lower_bound(2, 75), upper_bound(3, 125)), (2, 3));
    assert_eq!((lower_bound(4, 50), upper_bound(4, 200)), (2, 8));
    assert_eq!((lower_bound(3, 50), upper_bound(3, 150)), (2, 4));
}

#[test]
fn a_new_service_starts_its_tasks() {
    assert_eq!(starts(&plan(&service(3, 100, 200), NOW)), 3);
}

#[test]
fn half_may_stop_before_others_start() {
    let plan = plan(&rolling(4, 50, 100), NOW);
    assert_eq!((stopped(&plan), starts(&plan)), (2, 2));
}

#[test]
fn double_may_start_before_any_stops() {
    let plan = plan(&rolling(4, 100, 200), NOW);
    assert_eq!((stopped(&plan), starts(&plan)), (0, 4));
}

#[test]
fn bounds_that_block_each_other_are_told() {
    let plan = plan(&rolling(2, 75, 100), NOW);
    assert_eq!((stopped(&plan), starts(&plan)), (0, 0));
    assert!(plan.notes[0].starts_with("was unable to stop or start tasks"), "{:?}", plan.notes);
}

#[test]
fn old_tasks_stop_as_new_ones_become_healthy() {
    let mut view = rolling(3, 100, 200);
    view.tasks.push(healthy("n0", "new"));
    view.tasks.push(task("n1", "new", TaskStatus::Running, HealthStatus::Unknown));
    let plan = plan(&view, NOW);
    assert_eq!((stopped(&plan), starts(&plan)), (1, 1));
}

#[test]
fn a_task_without_checks_is_healthy_after_forty_seconds() {
    let mut view = service(1, 100, 200);
    view.deployments[0].has_container_check = false;
    view.tasks = vec![task("t", "new", TaskStatus::Running, HealthStatus::Unknown)];
    let completes = |view: &ServiceView, now: i64| {
        plan(view, Timestamp(now)).actions.contains(&Action::CompleteDeployment { deployment: "new".into() })
    };
    assert!(completes(&view, 39_999), "it was healthy, and the clock was set back");
    view.tasks[0].was_healthy = false;
    assert_eq!(plan(&view, Timestamp(39_999)).wake_at, Some(Timestamp(40_000)));
    assert!(completes(&view, 40_000) && !completes(&view, 39_999));
}

#[test]
fn grace_hides_bad_health() {
    let mut view = service(1, 100, 200);
    view.grace = Duration::from_secs(60);
    view.tasks = vec![task("t", "new", TaskStatus::Running, HealthStatus::Unhealthy)];
    let early = plan(&view, Timestamp(59_000));
    assert_eq!((early.actions.len(), early.wake_at), (0, Some(Timestamp(60_000))));
    assert_eq!(starts(&plan(&view, Timestamp(60_000))), 1);
}

#[test]
fn a_bad_task_is_replaced_before_it_stops_when_there_is_room() {
    let mut view = service(1, 100, 200);
    view.tasks = vec![task("bad", "new", TaskStatus::Running, HealthStatus::Unhealthy)];
    let first = plan(&view, NOW);
    assert_eq!((starts(&first), stopped(&first)), (1, 0));
    view.tasks.push(healthy("good", "new"));
    let second = plan(&view, NOW);
    assert_eq!((starts(&second), stopped(&second)), (0, 1));
}

#[test]
fn a_bad_task_stops_first_when_there_is_no_room() {
    let mut view = service(1, 0, 100);
    view.tasks = vec![task("bad", "new", TaskStatus::Running, HealthStatus::Unhealthy)];
    let plan = plan(&view, NOW);
    assert_eq!((starts(&plan), stopped(&plan)), (1, 1));
}

/// All fail a check of something that they share, and come back with it.
#[test]
fn bad_tasks_serve_on_until_others_are_healthy() {
    let bad = |n: u32| task(&format!("b{n}"), "new", TaskStatus::Running, HealthStatus::Unhealthy);
    let mut view = service(10, 90, 110);
    view.tasks = (0..10).map(bad).collect();
    let first = plan(&view, NOW);
    assert_eq!((stopped(&first), starts(&first)), (0, 1));
    view.tasks.push(task("n0", "new", TaskStatus::Pending, HealthStatus::Unknown));
    let coming = plan(&view, NOW);
    assert_eq!((stopped(&coming), starts(&coming)), (0, 0));
    view.tasks[10] = healthy("n0", "new");
    let second = plan(&view, NOW);
    assert_eq!((stopped(&second), starts(&second)), (1, 1));
    view.tasks[10] = bad(10);
    let failed = plan(&view, NOW);
    assert_eq!((stopped(&failed), starts(&failed)), (1, 1));
}

#[test]
fn where_no_replacement_fits_bad_tasks_go_as_the_floor_lets_and_one_at_least() {
    let seen = [(1, 100, 100), (1, 0, 100), (10, 90, 100), (10, 50, 100), (10, 100, 100)].map(|(desired, min, max)| {
        let mut view = service(desired, min, max);
        let bad = |n| task(&format!("b{n}"), "new", TaskStatus::Running, HealthStatus::Unhealthy);
        view.tasks = (0..desired).map(bad).collect();
        let first = plan(&view, NOW);
        assert_eq!(stopped(&first), starts(&first) as usize);
        stopped(&first)
    });
    assert_eq!(seen, [1, 1, 1, 5, 1]);
}

#[test]
fn the_breaker_fails_the_deployment_at_its_threshold() {
    let mut view = service(1, 100, 200);
    view.breaker.enable = true;
    view.breaker.rollback = true;
    view.deployments[0].failed_tasks = 2;
    assert_eq!(starts(&plan(&view, NOW)), 1);
    view.deployments[0].failed_tasks = 3;
    let plan = plan(&view, NOW);
    let fail = Action::FailDeployment { deployment: "new".into(), cause: FailCause::CircuitBreaker, rollback: true };
    assert_eq!(plan.actions, [fail]);
}

#[test]
fn somebody_may_stop_a_deployment_that_rolls_out() {
    let mut view = rolling(2, 100, 200);
    view.rollback_requested = true;
    let fail = Action::FailDeployment { deployment: "new".into(), cause: FailCause::Requested, rollback: true };
    assert_eq!(plan(&view, NOW).actions, [fail]);
}

#[test]
fn only_a_task_that_becomes_healthy_ends_failures_in_a_row() {
    let mut view = service(2, 100, 200);
    view.deployments[0].failed_tasks = 2;
    view.tasks = vec![healthy("old", "new"), healthy("fresh", "new")];
    view.tasks[1].was_healthy = false;
    let counted = Action::CountHealthy { deployment: "new".into(), tasks: vec!["fresh".into()] };
    assert!(plan(&view, NOW).actions.contains(&counted));
    view.tasks[1].was_healthy = true;
    assert!(!plan(&view, NOW).actions.iter().any(|a| matches!(a, Action::CountHealthy { .. })));
}

#[test]
fn old_tasks_serve_on_when_the_new_deployment_has_failed() {
    let mut view = rolling(2, 0, 200);
    view.deployments[0].rollout = RolloutState::Failed;
    let seen = plan(&view, NOW);
    assert_eq!((stopped(&seen), starts(&seen)), (0, 0));
    view.desired_count = 1;
    assert_eq!(stopped(&plan(&view, NOW)), 1);
}

/// What a plan starts of one deployment.
fn starts_of(plan: &Plan, of: &str) -> u32 {
    let starts = plan.actions.iter().filter_map(|action| match action {
        Action::StartTasks { deployment, count, .. } if deployment.as_str() == of => Some(*count),
        _ => None,
    });
    starts.sum()
}

fn bad(id: &str, deployment: &str) -> TaskView {
    task(id, deployment, TaskStatus::Running, HealthStatus::Unhealthy)
}

/// A release that never becomes healthy does not let the one before it die out.
#[test]
fn old_tasks_are_replaced_while_the_new_deployment_fails() {
    let mut view = rolling(4, 100, 200);
    view.deployments[0].failed_tasks = 1;
    view.retry_at = Some(NOW + Duration::from_secs(900));
    assert_eq!(plan(&view, NOW).actions, []);
    // One crashes, one fails its check: they are replaced, the bad one when its replacement is healthy.
    view.tasks.remove(0);
    view.tasks[0].container_health = HealthStatus::Unhealthy;
    let lost = plan(&view, NOW);
    assert_eq!((starts_of(&lost, "old"), starts_of(&lost, "new"), stopped(&lost)), (2, 0, 0));
    for id in ["r0", "r1"] {
        view.tasks.push(task(id, "old", TaskStatus::Pending, HealthStatus::Unknown));
    }
    assert_eq!(plan(&view, NOW).actions, []);
    view.tasks[3] = healthy("r0", "old");
    assert_eq!(plan(&view, NOW).actions, []);
    view.tasks[4] = healthy("r1", "old");
    assert_eq!(plan(&view, NOW).actions, [Action::StopTask { task: "o1".into(), cause: StopCause::ContainerHealth }]);
    // The new deployment has failed for good, and nobody rolls it back.
    view.tasks.truncate(3);
    view.deployments[0].rollout = RolloutState::Failed;
    assert_eq!(starts_of(&plan(&view, NOW), "old"), 2);
}

#[test]
fn the_last_old_task_is_replaced_too_and_waits_for_its_own_back_off() {
    let mut view = rolling(2, 50, 100);
    view.deployments[0].failed_tasks = 1;
    view.tasks = vec![task("n0", "new", TaskStatus::Pending, HealthStatus::Unknown)];
    let lost = plan(&view, NOW);
    assert_eq!((starts_of(&lost, "old"), starts_of(&lost, "new"), lost.actions.len()), (1, 0, 1));
    view.deployments[1].retry_at = Some(NOW + Duration::from_secs(8));
    let waits = plan(&view, NOW);
    assert_eq!((starts_of(&waits, "old"), starts_of(&waits, "new")), (0, 1));
    assert_eq!(waits.wake_at, view.deployments[1].retry_at);
    // A new one serves: nobody needs the old deployment any more.
    view.tasks = vec![healthy("n0", "new")];
    assert!(plan(&view, NOW).actions.contains(&Action::ForgetDeployment { deployment: "old".into() }));
}

#[test]
fn old_tasks_are_not_replaced_where_new_ones_may_yet_come_or_serve_already() {
    let mut view = rolling(2, 100, 200);
    view.tasks[0] = task("n0", "new", TaskStatus::Pending, HealthStatus::Unknown);
    assert_eq!((starts_of(&plan(&view, NOW), "old"), starts_of(&plan(&view, NOW), "new")), (0, 1));
    view.deployments[0].failed_tasks = 1;
    assert_eq!(starts_of(&plan(&view, NOW), "old"), 1);
    // What came meanwhile is no longer wanted.
    view.tasks[0] = healthy("n0", "new");
    view.tasks.push(task("r0", "old", TaskStatus::Pending, HealthStatus::Unknown));
    let enough = plan(&view, NOW);
    assert_eq!((starts_of(&enough, "old"), stopped(&enough)), (0, 1));
    // It had no tasks when the new one began: there is nothing to replace.
    view.tasks.clear();
    view.deployments[1].had = 0;
    assert_eq!(starts_of(&plan(&view, NOW), "old"), 0);
}

#[test]
fn bad_new_tasks_make_room_for_the_old_ones_that_are_lacking() {
    let mut view = rolling(2, 100, 150);
    view.tasks = vec![healthy("o0", "old"), bad("n0", "new"), bad("n1", "new")];
    let full = plan(&view, NOW);
    assert_eq!((stopped(&full), starts_of(&full, "old"), starts_of(&full, "new")), (2, 1, 1));
}

#[test]
fn one_task_goes_ahead_until_tags_are_resolved() {
    let mut view = service(4, 100, 200);
    view.deployments[0].is_pinned = false;
    assert_eq!(starts(&plan(&view, NOW)), 1);
    view.tasks = vec![task("first", "new", TaskStatus::Pending, HealthStatus::Unknown)];
    assert_eq!(starts(&plan(&view, NOW)), 0);
    view.deployments[0].is_pinned = true;
    assert_eq!(starts(&plan(&view, NOW)), 3);
}

#[test]
fn no_other_task_looks_tags_up_while_the_first_may_still_tell_what_it_found() {
    let mut view = service(4, 100, 200);
    view.deployments[0].is_pinned = false;
    // StopTask before its node said a word; it is stopped step by step, and has never run.
    for status in [TaskStatus::Pending, TaskStatus::Stopping, TaskStatus::Deprovisioning] {
        view.tasks = vec![TaskView { stopping: true, ..task("first", "new", status, HealthStatus::Unknown) }];
        assert_eq!(starts(&plan(&view, NOW)), 0, "{status:?}");
    }
    // It told in time: all others run what it found. It never told: the next one is the first.
    view.deployments[0].is_pinned = true;
    assert_eq!(starts(&plan(&view, NOW)), 4);
    view.deployments[0].is_pinned = false;
    view.tasks.clear();
    assert_eq!(starts(&plan(&view, NOW)), 1);
    // Nor do tasks of another deployment matter.
    view = rolling(2, 0, 200);
    view.deployments[0].is_pinned = false;
    let own = view.tasks.iter().filter(|task| task.deployment == view.deployments[0].id).count();
    assert_eq!((own, starts(&plan(&view, NOW))), (0, 1));
}

#[test]
fn another_task_looks_tags_up_where_the_first_runs_and_its_node_has_not_told() {
    let mut view = service(5, 100, 200);
    view.deployments[0].is_pinned = false;
    view.tasks = vec![healthy("first", "new")];
    assert_eq!(starts(&plan(&view, NOW)), 1);
    view.tasks.push(task("second", "new", TaskStatus::Pending, HealthStatus::Unknown));
    assert_eq!(starts(&plan(&view, NOW)), 0);
    // Simulated nodes never tell.
    view.tasks[1] = healthy("second", "new");
    assert_eq!(starts(&plan(&view, NOW)), 3);
}

#[test]
fn protection_outlasts_scale_in_and_deployments_but_not_bad_health() {
    let mut view = service(1, 100, 200);
    view.tasks = vec![healthy("a", "new"), healthy("b", "new")];
    for task in &mut view.tasks {
        task.protected_until = Some(Timestamp(2_000_000));
    }
    let kept = plan(&view, NOW);
    assert_eq!((stopped(&kept), kept.wake_at), (0, Some(Timestamp(2_000_000))));
    assert!(kept.notes[0].ends_with("due to (reason 1 tasks under protection)"), "{:?}", kept.notes);
    assert_eq!(stopped(&plan(&view, Timestamp(2_000_000))), 1);
    view.tasks[1].container_health = HealthStatus::Unhealthy;
    assert_eq!(stopped(&plan(&view, NOW)), 1);
    let mut view = rolling(1, 100, 200);
    view.tasks.push(healthy("n", "new"));
    view.tasks[0].protected_until = Some(Timestamp(2_000_000));
    assert_eq!(stopped(&plan(&view, NOW)), 0);
    assert_eq!(stopped(&plan(&view, Timestamp(2_000_000))), 1);
    // It need not run yet.
    view.tasks[0].status = TaskStatus::Pending;
    assert_eq!(stopped(&plan(&view, NOW)), 0);
    assert_eq!(stopped(&plan(&view, Timestamp(2_000_000))), 1);
}

#[test]
fn scale_in_leaves_the_floor_when_what_is_not_healthy_yet_is_protected() {
    let mut view = service(2, 100, 200);
    view.tasks = vec![healthy("a", "new"), healthy("b", "new")];
    for id in ["c", "d"] {
        let coming = task(id, "new", TaskStatus::Pending, HealthStatus::Unknown);
        view.tasks.push(TaskView { protected_until: Some(Timestamp(2_000_000)), ..coming });
    }
    assert_eq!(stopped(&plan(&view, NOW)), 0);
    view.tasks[2].status = TaskStatus::Running;
    view.tasks[2].started_at = Some(Timestamp(0));
    view.tasks[2].container_health = HealthStatus::Healthy;
    assert_eq!(stopped(&plan(&view, NOW)), 1);
    view.tasks[3].protected_until = None;
    assert_eq!(stopped(&plan(&view, NOW)), 2);
}

#[test]
fn zones_are_made_even_one_task_at_a_time() {
    let mut view = service(4, 100, 200);
    view.zone_rebalancing = true;
    view.zones = vec!["a".into(), "b".into()];
    view.tasks = ["1", "2", "3", "4"].map(|id| healthy(id, "new")).into();
    view.tasks[3].zone = "b".into();
    let first = plan(&view, NOW);
    let rebalance = |provider| Action::Rebalance { deployment: "new".into(), zone: "b".into(), provider };
    assert!(first.actions.contains(&rebalance(None)));
    // What cannot be taken away from the fullest zone is not added to the emptiest.
    for task in &mut view.tasks {
        task.protected_until = Some(NOW + Duration::from_secs(60));
    }
    let kept = plan(&view, NOW);
    assert_eq!((kept.actions.contains(&rebalance(None)), kept.wake_at), (false, Some(NOW + Duration::from_secs(60))));
    view.tasks.iter_mut().for_each(|task| task.protected_until = None);
    assert!(
        first.notes.contains(&"is not AZ balanced with 3 tasks in a, 1 tasks in b. AZ Rebalancing in progress.".into())
    );
    view.tasks.push(task("5", "new", TaskStatus::Pending, HealthStatus::Unknown));
    view.tasks[4].zone = "b".into();
    assert_eq!(stopped(&plan(&view, NOW)), 0);
    view.tasks[4] = TaskView { zone: "b".into(), ..healthy("5", "new") };
    let last = plan(&view, NOW);
    let stop = |a: &Action| matches!(a, Action::StopTask { task, .. } if task.as_str() == "3");
    assert!(stopped(&last) == 1 && last.actions.iter().any(stop), "{:?}", last.actions);
    view.tasks.remove(2);
    let even = plan(&view, NOW);
    assert!(even.notes.contains(&"is AZ balanced with 2 tasks in a, 2 tasks in b.".into()), "{:?}", even.notes);
}

/// The tasks that stand in for a bad release are as bad, and the new one is the cure.
#[test]
fn the_new_deployment_gets_its_turn_where_old_tasks_are_bad() {
    let mut view = rolling(1, 100, 150);
    view.deployments[0].failed_tasks = 1;
    view.tasks = vec![bad("r0", "old")];
    let turn = plan(&view, NOW);
    assert_eq!((stopped(&turn), starts_of(&turn, "old"), starts_of(&turn, "new")), (1, 0, 1));
    view.tasks.clear();
    assert_eq!(starts_of(&plan(&view, NOW), "old"), 1);
}

#[test]
fn bad_tasks_of_a_failed_deployment_are_not_kept_beside_others() {
    let mut view = rolling(4, 50, 200);
    view.deployments[0].rollout = RolloutState::Failed;
    view.tasks.truncate(2);
    view.tasks.extend(["n0", "n1", "n2", "n3"].map(|id| bad(id, "new")));
    let plan = plan(&view, NOW);
    assert_eq!((stopped(&plan), starts(&plan)), (2, 0));
}

#[test]
fn nothing_makes_room_for_what_may_not_start() {
    let mut view = service(4, 50, 100);
    view.tasks = ["n0", "n1", "n2", "n3"].map(|id| bad(id, "new")).into();
    view.retry_at = Some(NOW + Duration::from_secs(8));
    assert_eq!(stopped(&plan(&view, NOW)), 0);
    assert_eq!(stopped(&plan(&view, NOW + Duration::from_secs(8))), 2);
}

#[test]
fn zones_wait_for_the_back_off_too() {
    let mut view = service(4, 100, 200);
    view.zone_rebalancing = true;
    view.zones = vec!["a".into(), "b".into()];
    view.tasks = ["1", "2", "3", "4"].map(|id| healthy(id, "new")).into();
    view.retry_at = Some(NOW + Duration::from_secs(8));
    let rebalances = |plan: &Plan| plan.actions.iter().any(|a| matches!(a, Action::Rebalance { .. }));
    let early = plan(&view, NOW);
    assert_eq!((rebalances(&early), early.wake_at), (false, view.retry_at));
    assert!(rebalances(&plan(&view, NOW + Duration::from_secs(8))));
}

/// The fifth task is Spot's by the strategy, and is one that scale-in would take first.
#[test]
fn zones_become_even_under_a_strategy_whose_next_task_has_another_provider() {
    let mut view = service(4, 100, 200);
    view.zone_rebalancing = true;
    view.zones = vec!["a".into(), "b".into()];
    let item = |provider, base| StrategyItem { provider, base, weight: 2 };
    view.deployments[0].capacity = vec![item(CapacityProvider::Fargate, 3), item(CapacityProvider::FargateSpot, 0)];
    view.tasks = ["1", "2", "3", "4"].map(|id| healthy(id, "new")).into();
    view.tasks[3].zone = "b".into();
    view.tasks.iter_mut().for_each(|task| task.provider = Some(CapacityProvider::Fargate));
    let plan_of = plan(&view, NOW);
    let provider = plan_of.actions.iter().find_map(|action| match action {
        Action::Rebalance { provider, .. } => Some(*provider),
        _ => None,
    });
    assert_eq!(provider, Some(Some(CapacityProvider::Fargate)));
    let provider = provider.flatten();
    view.tasks.push(TaskView { zone: "b".into(), provider, ..healthy("5", "new") });
    let last = plan(&view, NOW).actions;
    assert!(last.iter().any(|a| matches!(a, Action::StopTask { task, .. } if task.as_str() == "3")), "{last:?}");
    assert!(!last.iter().any(|a| matches!(a, Action::StopTask { task, .. } if task.as_str() == "5")), "{last:?}");
}

#[test]
fn scale_in_keeps_the_shares_of_capacity_providers() {
    let mut view = service(2, 100, 200);
    let item = |provider, base| StrategyItem { provider, base, weight: 1 };
    view.deployments[0].capacity = vec![item(CapacityProvider::Fargate, 0), item(CapacityProvider::FargateSpot, 0)];
    view.tasks = ["1", "2", "3", "4"].map(|id| healthy(id, "new")).into();
    for (task, n) in view.tasks.iter_mut().zip(0..) {
        task.provider = Some(if n < 3 { CapacityProvider::Fargate } else { CapacityProvider::FargateSpot });
    }
    let stops: Vec<_> = plan(&view, NOW).actions;
    assert!(!stops.iter().any(|a| matches!(a, Action::StopTask { task, .. } if task.as_str() == "4")), "{stops:?}");
}

#[test]
fn scale_in_takes_the_unready_and_the_fullest_zone() {
    let mut view = service(2, 100, 200);
    view.tasks = vec![healthy("a1", "new"), healthy("a2", "new"), healthy("b1", "new")];
    view.tasks[2].zone = "b".into();
    view.tasks.push(task("c", "new", TaskStatus::Pending, HealthStatus::Unknown));
    let plan = plan(&view, NOW);
    let ids: Vec<&str> = plan
        .actions
        .iter()
        .filter_map(|a| if let Action::StopTask { task, .. } = a { Some(task.as_str()) } else { None })
        .collect();
    assert_eq!(ids, ["c", "a2"]);
}

#[test]
fn a_rolling_update_takes_old_tasks_from_the_fullest_zone() {
    let mut view = rolling(4, 100, 200);
    view.zones = vec!["a".into(), "b".into()];
    view.tasks.extend([healthy("n0", "new"), healthy("n1", "new")]);
    // Those in the zone that has fewer are the youngest.
    for (task, started_at) in view.tasks[2..4].iter_mut().zip(1..) {
        *task = TaskView { zone: "b".into(), started_at: Some(Timestamp(started_at)), ..task.clone() };
    }
    let stop = |id: &str| Action::StopTask { task: id.into(), cause: StopCause::Scaling { deployment: "new".into() } };
    assert_eq!(plan(&view, NOW).actions[..2], [stop("o0"), stop("o1")]);
}

#[test]
fn a_drained_service_becomes_inactive() {
    let mut view = service(2, 100, 200);
    view.draining = true;
    view.tasks = vec![healthy("t", "new")];
    assert_eq!(stopped(&plan(&view, NOW)), 1);
    view.tasks[0].stopping = true;
    assert_eq!(plan(&view, NOW).actions, []);
    view.tasks[0].status = TaskStatus::Stopping;
    assert_eq!(plan(&view, NOW).actions, [], "it holds its cluster and its security groups");
    view.tasks.clear();
    assert_eq!(plan(&view, NOW).actions, [Action::Deactivate]);
}

#[test]
fn back_off_holds_launches_until_its_time() {
    let mut view = service(1, 100, 200);
    view.retry_at = Some(Timestamp(2_000_000));
    let early = plan(&view, NOW);
    assert_eq!((starts(&early), early.wake_at), (0, Some(Timestamp(2_000_000))));
    assert_eq!(starts(&plan(&view, Timestamp(2_000_000))), 1);
}

/// Random worlds: bounds hold after every pass, a second pass over the result plans nothing new to start, and a world
/// that only does what it is told settles.
#[test]
fn any_world_keeps_the_bounds_and_settles() {
    for seed in 1..3000u64 {
        let mut rng = longshore_types::IdSource::new(u128::from(seed));
        let mut pick = |n: u64| rng.next_u64() % n;
        let policy = [(100, 200), (50, 100), (50, 150), (0, 100), (75, 125), (100, 150)][pick(6) as usize];
        let mut view = rolling(1 + pick(6) as u32, policy.0, policy.1);
        let mut next = 0;
        for step in 0..200 {
            match pick(9) {
                0 if step < 120 => view.desired_count = pick(7) as u32,
                1 if step < 120 => {
                    let had = |d: &DeploymentView| view.tasks.iter().filter(|t| t.deployment == d.id).count() as u32;
                    let had: Vec<u32> = view.deployments.iter().map(had).collect();
                    view.deployments.iter_mut().zip(had).for_each(|(d, had)| d.had = had);
                    view.deployments.insert(0, deployment(&format!("d{step}"), RolloutState::InProgress));
                }
                2 if step < 120 && !view.tasks.is_empty() => {
                    let n = pick(view.tasks.len() as u64) as usize;
                    view.tasks.remove(n);
                }
                3 if step < 120 && !view.tasks.is_empty() => {
                    let n = pick(view.tasks.len() as u64) as usize;
                    view.tasks[n].container_health = HealthStatus::Unhealthy;
                }
                4 => view.tasks.retain(|t| !t.stopping),
                5 | 6 => {
                    if let Some(t) = view.tasks.iter_mut().find(|t| t.status < TaskStatus::Running) {
                        *t = healthy(t.id.as_str(), t.deployment.as_str());
                    }
                }
                7 if step < 120 => view.deployments[0].failed_tasks = pick(3) as u32,
                _ => pass(&mut view, &mut next, seed),
            }
        }
        for _ in 0..60 {
            pass(&mut view, &mut next, seed);
            view.tasks.retain(|t| !t.stopping);
            for t in view.tasks.iter_mut().filter(|t| t.status < TaskStatus::Running) {
                *t = healthy(t.id.as_str(), t.deployment.as_str());
            }
        }
        let blocked = plan(&view, NOW).notes.iter().any(|n| n.starts_with("was unable"));
        let new = view.tasks.iter().filter(|t| t.deployment == view.deployments[0].id).count();
        assert!(
            blocked || (new, view.tasks.len()) == (view.desired_count as usize, view.desired_count as usize),
            "seed {seed} did not settle: {view:#?}"
        );
    }
}

fn pass(view: &mut ServiceView, next: &mut u32, seed: u64) {
    let good = |v: &ServiceView| {
        v.tasks.iter().filter(|t| !t.stopping && t.container_health == HealthStatus::Healthy).count() as u32
    };
    let live = |v: &ServiceView| v.tasks.iter().filter(|t| !t.stopping).count() as u32;
    let (good_before, live_before) = (good(view), live(view));
    let answer = plan(view, NOW);
    for action in &answer.actions {
        match action {
            Action::StartTasks { deployment, count, .. } => {
                for _ in 0..*count {
                    *next += 1;
                    view.tasks.push(task(
                        &format!("t{next}"),
                        deployment.as_str(),
                        TaskStatus::Pending,
                        HealthStatus::Unknown,
                    ));
                }
            }
            Action::StopTask { task, .. } => {
                let t = view.tasks.iter_mut().find(|t| t.id == *task).expect("stops what there is");
                assert!(!t.stopping, "seed {seed}: stopped twice");
                t.stopping = true;
            }
            Action::ForgetDeployment { deployment } => view.deployments.retain(|d| d.id != *deployment),
            Action::CompleteDeployment { .. } => {
                view.deployments[0].rollout = RolloutState::Completed;
                view.deployments[0].failed_tasks = 0;
            }
            _ => {}
        }
    }
    let (lower, upper) = (
        lower_bound(view.desired_count, view.minimum_healthy_percent),
        upper_bound(view.desired_count, view.maximum_percent),
    );
    assert!(good(view) >= good_before.min(lower), "seed {seed}: under the floor");
    assert!(live(view) <= live_before.max(upper).max(1), "seed {seed}: over the ceiling");
    assert_eq!(starts(&plan(view, NOW)), 0, "seed {seed}: a second pass starts more: {answer:?}");
}
