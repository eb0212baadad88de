//! Changes under load: no request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use longshore_balancer::ApplyError;
use longshore_balancer::report::TargetState;
use tokio::task::JoinSet;

use crate::backend::echo;
use crate::client::Connection;
use crate::rig::{Rig, fixed, forward, group};

/// Keep-alive clients that ask until told to stop; counts what they got.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(rig: &Rig, clients: usize) -> Load {
        let mut load = Load { stop: Arc::default(), good: Arc::default(), clients: JoinSet::new() };
        for index in 0..clients {
            let (stop, good, address) = (load.stop.clone(), load.good.clone(), rig.address);
            load.clients.spawn(async move {
                let mut connection = Connection::open(address).await;
                while !stop.load(Ordering::SeqCst) {
                    let answer = match index % 2 {
                        0 => connection.get("/").await,
                        _ => {
                            connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
                            connection.read().await.expect("a response")
                        }
                    };
                    assert_eq!(answer.status(), 200, "{}", answer.start);
                    good.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        self.good.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_under_load_fails_no_request() {
    let (old, new) = (echo("old").await, echo("new").await);
    old.behaviour.delay_ms.store(20, Ordering::SeqCst);
    let mut rig = Rig::forwarding(vec![group("g", &[&old])]).await;
    let load = Load::start(&rig, 16);
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.change(|config| config.target_groups[0].targets.push(crate::rig::target(new.address))).await;
    rig.wait(|report| report.targets.iter().all(|t| t.state == TargetState::Healthy)).await;
    rig.change(|config| config.target_groups[0].targets[0].draining = true).await;
    let at_drain = old.behaviour.requests.load(Ordering::SeqCst);
    let report = rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Draining)).await;
    let draining = report.targets.iter().find(|t| t.state == TargetState::Draining).unwrap();
    assert_eq!(draining.reason_code.as_deref(), Some("Target.DeregistrationInProgress"));
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Drained && t.in_flight == 0)).await;
    assert!(old.behaviour.requests.load(Ordering::SeqCst) - at_drain <= 16, "a draining target gets nothing new");
    rig.change(|config| drop(config.target_groups[0].targets.remove(0))).await;
    drop(old);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let good = load.end().await;
    assert!(good > 100, "{good}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_configurations_under_load_fail_no_request() {
    let (a, b, c) = (echo("a").await, echo("b").await, echo("c").await);
    let mut rig = Rig::forwarding(vec![group("g", &[&a, &b])]).await;
    let load = Load::start(&rig, 16);
    for round in 0..60 {
        rig.change(|config| {
            let group = &mut config.target_groups[0];
            group.targets.truncate(2);
            if round % 2 == 0 {
                group.targets.push(crate::rig::target(c.address));
            }
            config.load_balancers[0].listeners[0].rules = (0..round % 5)
                .map(|n| longshore_balancer::config::Rule {
                    arn: format!("r{n}"),
                    priority: n + 1,
                    conditions: vec![longshore_balancer::config::Condition::PathPattern {
                        values: vec![format!("/x{n}")],
                        regex_values: vec![],
                    }],
                    transforms: vec![],
                    actions: fixed(500, "no"),
                })
                .collect();
        })
        .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(load.end().await > 100);
    // Untouched sockets: one connection served all along would have ended otherwise; and probes went on.
    assert!(rig.target(&a).reason_code.is_none());
}

#[tokio::test]
async fn the_next_request_on_an_open_connection_sees_the_new_rules() {
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    assert_eq!(connection.get("/").await.name(), "a");
    rig.change(|config| config.load_balancers[0].listeners[0].default_actions = fixed(200, "changed")).await;
    assert_eq!(connection.get("/").await.text(), "changed");
    rig.change(|config| config.load_balancers[0].listeners.clear()).await;
    assert!(connection.is_closed().await, "an idle connection ends with its listener");
    assert!(tokio::net::TcpStream::connect(rig.address).await.is_err());
}

#[tokio::test]
async fn older_and_contradictory_configurations_are_refused() {
    let mut rig = Rig::start(vec![], fixed(200, "kept"), vec![], 1).await;
    rig.change(|_| {}).await;
    let mut older = rig.config.clone();
    older.generation = 1;
    older.load_balancers.clear();
    assert!(matches!(rig.balancer.apply(older).await, Err(ApplyError::Stale { offered: 1, current: 2 })));
    let mut wrong = rig.config.clone();
    wrong.generation = 9;
    wrong.load_balancers[0].listeners[0].default_actions = forward(&[("nowhere", 1)]);
    let error = rig.balancer.apply(wrong).await.unwrap_err();
    assert!(error.to_string().contains("unknown target group `nowhere`"), "{error}");
    assert_eq!(crate::client::get(rig.address, "/").await.text(), "kept");
}

#[tokio::test]
async fn a_port_in_use_is_reported_and_tried_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut rig = Rig::start(vec![], fixed(200, "x"), vec![], 1).await;
    let port = taken.local_addr().unwrap().port();
    rig.change(|config| config.load_balancers[0].listeners[0].port = port).await;
    let report = rig.wait(|report| report.listeners.iter().any(|l| l.error.is_some())).await;
    assert!(report.listeners[0].error.as_ref().unwrap().contains("cannot listen"), "{report:?}");
    drop(taken);
    rig.wait(|report| report.listeners.iter().all(|l| l.error.is_none())).await;
    assert_eq!(crate::client::get(([127, 0, 0, 1], port).into(), "/").await.text(), "x");
}
