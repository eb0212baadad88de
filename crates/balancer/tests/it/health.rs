//! Health as reported, and what it does to routing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use longshore_balancer::report::TargetState;

use crate::backend::echo;
use crate::client::get;
use crate::rig::{Rig, forward, free_port, group, target};

#[tokio::test]
async fn a_target_becomes_healthy_at_once_and_unhealthy_by_threshold() {
    let (a, b) = (echo("a").await, echo("b").await);
    let since = Instant::now();
    let rig = Rig::forwarding(vec![group("g", &[&a, &b])]).await;
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    b.behaviour.health.store(502, Ordering::SeqCst);
    let report = rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Unhealthy)).await;
    let sick = report.targets.iter().find(|t| t.port == b.address.port()).unwrap();
    assert_eq!(sick.reason_code.as_deref(), Some("Target.ResponseCodeMismatch"));
    assert_eq!(sick.description.as_deref(), Some("Health checks failed with these codes: [502]"));
    for _ in 0..6 {
        assert_eq!(get(rig.address, "/").await.name(), "a");
    }
    // All unhealthy: fail open.
    a.behaviour.health.store(500, Ordering::SeqCst);
    rig.wait(|report| report.targets.iter().all(|t| t.state == TargetState::Unhealthy)).await;
    let names = [get(rig.address, "/").await.name(), get(rig.address, "/").await.name()];
    assert!(names.contains(&"a".into()) && names.contains(&"b".into()), "{names:?}");
    // Back after the whole threshold.
    b.behaviour.health.store(0, Ordering::SeqCst);
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Healthy)).await;
    for _ in 0..6 {
        assert_eq!(get(rig.address, "/").await.name(), "b");
    }
}

#[tokio::test]
async fn another_registration_of_an_address_has_to_become_healthy_by_itself() {
    let backend = echo("a").await;
    let mut seldom = group("g", &[&backend]);
    seldom.health_check.interval_seconds = 30;
    let mut rig = Rig::forwarding(vec![seldom]).await;
    backend.behaviour.health.store(503, Ordering::SeqCst);
    rig.change(|config| config.target_groups[0].targets[0].registered_ms = 1).await;
    let report = rig.wait(|report| report.targets[0].registered_ms == Some(1)).await;
    assert_eq!(report.targets[0].state, TargetState::Initial);
    backend.behaviour.health.store(0, Ordering::SeqCst);
    rig.wait(|report| report.targets[0].state == TargetState::Healthy).await;
}

#[tokio::test]
async fn a_target_in_a_zone_that_is_not_enabled_gets_nothing() {
    let (a, b) = (echo("a").await, echo("b").await);
    let mut rig = Rig::forwarding(vec![group("g", &[&a, &b])]).await;
    rig.change(|config| {
        config.load_balancers[0].zones = vec!["1a".into()];
        for (target, zone) in config.target_groups[0].targets.iter_mut().zip(["1a", "1b"]) {
            target.availability_zone = Some(zone.into());
        }
    })
    .await;
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Unused)).await;
    let other = rig.target(&b);
    assert_eq!((other.state, other.reason_code.as_deref()), (TargetState::Unused, Some("Target.NotInUse")));
    // Not even when all the others are unhealthy.
    a.behaviour.health.store(500, Ordering::SeqCst);
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Unhealthy)).await;
    for _ in 0..6 {
        assert_eq!(get(rig.address, "/").await.name(), "a");
    }
    rig.change(|config| config.load_balancers[0].zones.push("1b".into())).await;
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Healthy)).await;
    assert_eq!(rig.target(&b).state, TargetState::Healthy);
}

#[tokio::test]
async fn a_late_starter_is_found_before_the_next_regular_check() {
    let address = ([127, 0, 0, 1], free_port()).into();
    let mut late = group("g", &[]);
    late.health_check.interval_seconds = 30;
    late.targets.push(target(address));
    let rig = Rig::unwaited(vec![late]).await;
    let report = rig.wait(|report| !report.targets.is_empty()).await;
    assert_eq!(report.targets[0].state, TargetState::Initial);
    assert_eq!(report.targets[0].reason_code.as_deref(), Some("Elb.InitialHealthChecking"));
    tokio::time::sleep(Duration::from_millis(700)).await;
    let _backend = crate::backend::serve(tokio::net::TcpListener::bind(address).await.unwrap(), "late");
    let since = Instant::now();
    rig.wait(|report| report.targets[0].state == TargetState::Healthy).await;
    assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
}

#[tokio::test]
async fn refused_and_silent_targets_have_their_reasons() {
    let silent = crate::backend::raw(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let mut both = group("g", &[&silent]);
    both.targets.push(target(([127, 0, 0, 1], free_port()).into()));
    let rig = Rig::unwaited(vec![both]).await;
    let report = rig.wait(|report| report.targets.iter().all(|t| t.state == TargetState::Unhealthy)).await;
    let mut reasons: Vec<_> = report.targets.iter().map(|t| t.reason_code.clone().unwrap()).collect();
    reasons.sort();
    assert_eq!(reasons, ["Target.FailedHealthChecks", "Target.Timeout"]);
}

#[tokio::test]
async fn a_group_nobody_uses_is_not_probed() {
    let (a, b) = (echo("a").await, echo("b").await);
    let mut rig =
        Rig::start(vec![group("used", &[&a]), group("spare", &[&b])], forward(&[("used", 1)]), vec![], 1).await;
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Healthy)).await;
    let spare = rig.target(&b);
    assert_eq!((spare.state, spare.reason_code.as_deref()), (TargetState::Unused, Some("Target.NotInUse")));
    assert_eq!(b.behaviour.connections.load(Ordering::SeqCst), 0);
    rig.change(|config| config.load_balancers[0].listeners[0].default_actions = forward(&[("spare", 1)])).await;
    rig.wait(|report| report.targets.iter().any(|t| t.port == b.address.port() && t.state == TargetState::Healthy))
        .await;
    assert_eq!(rig.target(&a).state, TargetState::Unused);
}
