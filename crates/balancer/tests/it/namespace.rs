//! Listeners and targets in network namespaces. Needs root; elsewhere it is skipped with a word.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use longshore_balancer::config::ListenAddress;
use longshore_balancer::report::TargetState;

use crate::rig::{Rig, group, target};

/// A namespace with loopback up and an extra address; gone when dropped.
struct Namespace {
    name: String,
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

impl Namespace {
    fn create(name: String) -> Option<Namespace> {
        if !rustix_is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        assert!(ip(&format!("netns add {name}")), "cannot create a network namespace");
        let namespace = Namespace { name };
        assert!(ip(&format!("-n {} link set lo up", namespace.name)));
        Some(namespace)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/var/run/netns").join(&self.name)
    }

    /// Runs `work` on a thread inside the namespace.
    fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = std::fs::File::open(self.path()).unwrap();
        let run = move || {
            use std::os::fd::AsFd;
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(file.as_fd(), kind).unwrap();
            work()
        };
        std::thread::spawn(run).join().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
    }
}

fn rustix_is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn listeners_and_targets_may_live_in_a_namespace() {
    let Some(vpc) = Namespace::create(format!("lsb-test-{}", std::process::id())) else { return };
    let std_listener = vpc.inside(|| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).unwrap());
    std_listener.set_nonblocking(true).unwrap();
    let backend = crate::backend::serve(tokio::net::TcpListener::from_std(std_listener).unwrap(), "inside");
    let mut rig = Rig::unwaited(vec![group("g", &[])]).await;
    rig.change(|config| {
        config.target_groups[0].targets = vec![target(backend.address)];
        let load_balancer = &mut config.load_balancers[0];
        load_balancer.target_namespace = Some(vpc.path());
        // Any address of 127/8 is local; being the source shows that it is bound.
        load_balancer.source_addresses = vec![Ipv4Addr::new(127, 9, 9, 9)];
        load_balancer.addresses.push(ListenAddress { ip: Ipv4Addr::new(127, 8, 8, 8), namespace: Some(vpc.path()) });
    })
    .await;
    rig.wait(|report| report.targets.iter().any(|t| t.state == TargetState::Healthy)).await;
    // From the host.
    for _ in 0..20 {
        assert_eq!(crate::client::get(rig.address, "/").await.name(), "inside");
    }
    // From inside, on the namespace's address, by a blocking client on a thread of its own.
    let port = rig.address.port();
    let answer = tokio::task::spawn_blocking(move || {
        let answer = vpc.inside(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect((Ipv4Addr::new(127, 8, 8, 8), port)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        drop(vpc);
        answer
    })
    .await
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("inside GET /"), "{answer}");
}

#[tokio::test]
async fn a_namespace_that_comes_later_is_found() {
    let name = format!("lsb-late-{}", std::process::id());
    let mut rig = Rig::start(vec![], crate::rig::fixed(200, "x"), vec![], 1).await;
    let path = PathBuf::from("/var/run/netns").join(&name);
    rig.change(|config| {
        let address = ListenAddress { ip: Ipv4Addr::LOCALHOST, namespace: Some(path) };
        config.load_balancers[0].addresses.push(address);
    })
    .await;
    let report = rig.wait(|report| report.listeners.iter().any(|l| l.error.is_some())).await;
    assert!(
        report.listeners.iter().any(|l| l.error.as_ref().is_some_and(|e| e.contains("cannot open network namespace")))
    );
    let Some(_late) = Namespace::create(name) else { return };
    rig.wait(|report| report.listeners.iter().all(|l| l.error.is_none())).await;
}
