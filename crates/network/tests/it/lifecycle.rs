//! Crashes, repetition, removal, refusals.

use std::net::SocketAddr;
use std::time::Duration;

use crate::lab::*;
use longshore_network::{
    Eni, LocalAddress, Network, NetworkError, NetworkOptions, Peer, PortRange, Rule, SecurityGroup, Traffic, Vpc,
    is_present, open_in_namespace, teardown,
};

#[test]
fn a_crash_is_survived_and_its_debris_removed() {
    in_lab(async |lab| {
        let groups = vec![group("sg-client", &[]), group("sg-server", &["80 from sg-client"])];
        lab.network().apply(&config(4, vec![vpc("v1", groups.clone())])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-client"]).await;
        let server = lab
            .task_with("v1", Eni { public_address: Some(ip("198.18.0.9")), ..eni("v1", "10.0.1.11", &["sg-server"]) })
            .await;
        let victim = lab.task("v1", "10.0.1.12", &["sg-client"]).await;
        server.serve(80);
        let mut stream = open_stream(client.path(), SocketAddr::from((server.eni.address, 80))).unwrap();
        greeting(stream.try_clone().unwrap()).unwrap();

        lab.stop();
        // While nobody manages: the traffic goes on, a task dies, a link and a route are left unfinished.
        assert!(still_echoes(&mut stream));
        lab.kill(victim.pid);
        let path = lab.vpc_path("v1");
        open_in_namespace(&path, || run("ip", "link add eunfinished type veth peer name other")).unwrap();
        run("ip", "route add 198.18.0.77/32 via 169.254.64.2 proto static");
        // The kernel takes a dead task's links away in its own time.
        let link_gone = || open_in_namespace(&path, || output("ip", "-br link")).unwrap().matches("eeni").count() == 0;
        for _ in 0..100 {
            if output("ip", "netns").is_empty() && link_gone() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        lab.reopen().await;

        let mut attached: Vec<_> = lab
            .network()
            .attached()
            .await
            .unwrap()
            .into_iter()
            .map(|attached| attached.eni.address.to_string())
            .collect();
        attached.sort();
        assert_eq!(attached, ["10.0.1.10", "10.0.1.11"]);
        assert!(!open_in_namespace(&path, || output("ip", "link")).unwrap().contains("unfinished"));
        let routes = output("ip", "route");
        assert!(routes.contains("198.18.0.9 ") && !routes.contains("198.18.0.77"), "{routes}");
        assert!(still_echoes(&mut stream));
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");

        let stale = lab.network().apply(&config(3, vec![])).await;
        assert!(matches!(stale, Err(NetworkError::Stale { current: 4, offered: 3 })), "{stale:?}");
        lab.network().apply(&config(4, vec![vpc("v1", groups)])).await.unwrap();
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
    });
}

#[test]
fn a_damaged_ruleset_is_replaced() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &["80 from sg-1"])])])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let path = lab.vpc_path("v1");
        open_in_namespace(&path, || run("nft", "delete table ip longshore")).unwrap();
        // The next change of any member finds out.
        let server = lab.task("v1", "10.0.1.11", &["sg-1"]).await;
        server.serve(80);
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
    });
}

#[test]
fn a_vpc_whose_table_does_not_load_keeps_no_other_from_its_own() {
    in_lab(async |lab| {
        let open = |id: &str| vpc(id, vec![group("sg-1", &["80 from sg-1"])]);
        // Ports that end before they begin: nft refuses them.
        let ports = PortRange { first: 2, last: 1 };
        let bad = Rule { traffic: Traffic::Tcp(ports), peer: Peer::Group("sg-1".into()) };
        let shut = |id: &str| vpc(id, vec![SecurityGroup { ingress: vec![bad.clone()], ..group("sg-1", &[]) }]);
        lab.network().apply(&config(1, vec![open("v1"), vpc("v2", vec![])])).await.unwrap();
        let public = Eni { public_address: Some(ip("198.18.0.9")), ..eni("v1", "10.0.1.10", &["sg-1"]) };
        let stays = lab.task_with("v1", public).await;
        let refused = lab.network().apply(&config(2, vec![shut("v1"), open("v2"), open("v3")])).await;
        assert!(matches!(refused, Err(NetworkError::Nft { .. })), "{refused:?}");
        let late = Task { pid: lab.spawn(), eni: eni("v1", "10.0.1.12", &["sg-1"]) };
        lab.network().attach("v1", &late.eni, late.pid).await.unwrap_err();
        eventually(|| !late.run("ip", "-br link").contains("eth0"));

        lab.crash().await;
        for id in ["v2", "v3"] {
            let client = lab.task(id, "10.0.1.10", &["sg-1"]).await;
            let server = lab.task(id, "10.0.1.11", &["sg-1"]).await;
            server.serve(80);
            allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
        }
        assert!(output("ip", "route").contains("198.18.0.9 "));
        lab.network().apply(&config(3, vec![open("v1"), open("v2"), open("v3")])).await.unwrap();
        let client = lab.task("v1", "10.0.1.11", &["sg-1"]).await;
        stays.serve(80);
        allowed(client.connect(ip("10.0.1.10"), 80), "10.0.1.11");
    });
}

#[test]
fn detaching_is_repeatable_and_frees_address_and_connections() {
    in_lab(async |lab| {
        let groups = vec![group("sg-open", &["udp 9 from 0.0.0.0/0"]), group("sg-shut", &[])];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-open"]).await;
        let old = lab.task("v1", "10.0.1.11", &["sg-open"]).await;
        let (from, to): (SocketAddr, SocketAddr) = ("10.0.1.10:1000".parse().unwrap(), "10.0.1.11:9".parse().unwrap());
        let socket = udp_in(old.path(), to);
        assert!(datagram_arrives(client.path(), from, &socket, to));
        for _ in 0..2 {
            lab.network().detach("v1", &old.eni.id).await.unwrap();
        }
        eventually(|| !old.run("ip", "-br link").contains("eth0"));
        lab.network().detach("v-unknown", "eni-unknown").await.unwrap();

        // The next owner of the address does not inherit the flow that the former one had allowed.
        let new = lab.task_with("v1", Eni { id: "eni-new".into(), ..eni("v1", "10.0.1.11", &["sg-shut"]) }).await;
        let socket = udp_in(new.path(), to);
        assert!(!datagram_arrives(client.path(), from, &socket, to));
        // Attaching again under the same id moves the interface.
        let moved = lab.spawn();
        lab.network().attach("v1", &new.eni, moved).await.unwrap();
        assert!(!new.run("ip", "-br link").contains("eth0"));
        assert_eq!(lab.network().attached().await.unwrap().len(), 2);
    });
}

/// A flow from `client` to `address`, which a crash or a new configuration takes from its owner, does not reach the next.
async fn not_inherited(lab: &mut Lab, client: &Task, address: &str) {
    let (from, to) = (SocketAddr::from((client.eni.address, 1000)), SocketAddr::from((ip(address), 9)));
    let next = lab.task_with("v1", Eni { id: "eni-next".into(), ..eni("v1", address, &["sg-shut"]) }).await;
    let socket = udp_in(next.path(), to);
    assert!(!datagram_arrives(client.path(), from, &socket, to), "{address}");
    lab.network().detach("v1", "eni-next").await.unwrap();
}

#[test]
fn addresses_that_were_lost_in_a_crash_keep_no_connections() {
    in_lab(async |lab| {
        let groups = vec![group("sg-open", &["udp 9 from 0.0.0.0/0"]), group("sg-shut", &[])];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-open"]).await;
        let killed = lab.task("v1", "10.0.1.11", &["sg-open"]).await;
        let half_detached = lab.task("v1", "10.0.1.12", &["sg-open"]).await;
        let detached = lab.task("v1", "10.0.1.13", &["sg-open"]).await;
        let from = SocketAddr::from((client.eni.address, 1000));
        for task in [&killed, &half_detached, &detached] {
            let to = SocketAddr::from((task.eni.address, 9));
            assert!(datagram_arrives(client.path(), from, &udp_in(task.path(), to), to));
        }
        lab.stop();
        let ledger = lab.options.run_dir.join("network/eni");
        // One task ended with its link. The other two were being detached; of one the task had ended as well.
        for task in [&half_detached, &detached] {
            std::fs::remove_file(ledger.join(format!("{}.json", task.eni.id))).unwrap();
        }
        lab.kill(killed.pid);
        lab.kill(detached.pid);
        let path = lab.vpc_path("v1");
        eventually(|| open_in_namespace(&path, || output("ip", "-br link")).unwrap().matches("eeni").count() == 2);
        lab.reopen().await;
        assert!(!half_detached.run("ip", "-br link").contains("eth0"));
        for task in [&killed, &half_detached, &detached] {
            not_inherited(lab, &client, &task.eni.address.to_string()).await;
        }
    });
}

#[test]
fn the_address_of_a_load_balancer_that_went_keeps_no_connections() {
    in_lab(async |lab| {
        let groups = vec![group("sg-open", &["udp 9 from 0.0.0.0/0"]), group("sg-shut", &[])];
        let local = |groups: &[&str]| LocalAddress {
            address: ip("10.0.1.50"),
            security_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let with = |local_addresses| vec![Vpc { local_addresses, ..vpc("v1", groups.clone()) }];
        lab.network().apply(&config(1, with(vec![local(&["sg-open"])]))).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-open"]).await;
        let (from, to): (SocketAddr, SocketAddr) = ("10.0.1.10:1000".parse().unwrap(), "10.0.1.50:9".parse().unwrap());
        let socket = udp_in(lab.vpc_path("v1"), to);
        assert!(datagram_arrives(client.path(), from, &socket, to));
        drop(socket);
        lab.network().apply(&config(2, with(vec![]))).await.unwrap();
        not_inherited(lab, &client, "10.0.1.50").await;

        // And the other way round: a load balancer gets the address of a task.
        let task = lab.task("v1", "10.0.1.50", &["sg-open"]).await;
        assert!(datagram_arrives(client.path(), from, &udp_in(task.path(), to), to));
        lab.network().detach("v1", &task.eni.id).await.unwrap();
        lab.network().apply(&config(3, with(vec![local(&["sg-shut"])]))).await.unwrap();
        assert!(!datagram_arrives(client.path(), from, &udp_in(lab.vpc_path("v1"), to), to));
    });
}

#[test]
fn a_removed_vpc_takes_its_interfaces_along_and_its_slot_is_used_again() {
    in_lab(async |lab| {
        let open = |id: &str| vpc(id, vec![group("sg-1", &["all from 0.0.0.0/0"])]);
        lab.network().apply(&config(1, vec![open("v1"), open("v2")])).await.unwrap();
        let task = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        lab.network().apply(&config(2, vec![open("v2")])).await.unwrap();
        assert!(!task.run("ip", "-br link").contains("eth0"));
        assert!(lab.network().attached().await.unwrap().is_empty());
        assert!(!lab.vpc_path("v1").exists());
        lab.network().detach("v1", &task.eni.id).await.unwrap();
        lab.network().apply(&config(3, vec![open("v2"), open("v3")])).await.unwrap();
        let links = output("ip", "-br link");
        assert!(links.contains("lt-0") && links.contains("lt-1") && !links.contains("lt-2"), "{links}");
        lab.crash().await;
        lab.task("v3", "10.0.1.10", &["sg-1"]).await;

        // The intent to remove v3 was written, and then came the end.
        lab.stop();
        let path = lab.options.run_dir.join("network/state.json");
        let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        state["config"]["vpcs"].as_array_mut().unwrap().retain(|vpc| vpc["id"] != "v3");
        std::fs::write(&path, state.to_string()).unwrap();
        lab.reopen().await;
        lab.network().apply(&config(4, vec![open("v2"), open("v4")])).await.unwrap();
        let links = output("ip", "-br link");
        assert!(links.contains("lt-0") && links.contains("lt-1") && !links.contains("lt-2"), "{links}");
    });
}

#[test]
fn wrong_interfaces_are_refused_and_leave_nothing() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &[])])])).await.unwrap();
        let task = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let pid = lab.spawn();
        let network = lab.network();
        let good = eni("v1", "10.0.1.11", &["sg-1"]);
        let host = std::process::id();
        // The lab's host is the namespace of this thread, not of the process: ask for a thread's.
        let thread = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        assert!(matches!(network.attach("v1", &good, thread).await, Err(NetworkError::NotIsolated(_))));
        assert_ne!(host, thread);
        assert!(matches!(network.attach("v9", &good, pid).await, Err(NetworkError::UnknownVpc(_))));
        assert!(matches!(
            network.attach("v1", &eni("v1", "10.0.1.11", &["sg-9"]), pid).await,
            Err(NetworkError::UnknownGroup { .. })
        ));
        assert!(matches!(
            network.attach("v1", &eni("v1", "10.0.9.11", &["sg-1"]), pid).await,
            Err(NetworkError::Subnet { .. })
        ));
        assert!(matches!(
            network.attach("v1", &eni("v1", "10.0.1.1", &["sg-1"]), pid).await,
            Err(NetworkError::AddressInUse { .. })
        ));
        let same_address = Eni { id: "eni-other".into(), ..task.eni.clone() };
        assert!(matches!(network.attach("v1", &same_address, pid).await, Err(NetworkError::AddressInUse { .. })));
        // A second interface does not fit beside the first: refused by the kernel, and undone.
        assert!(matches!(network.attach("v1", &good, task.pid).await, Err(NetworkError::Netlink { .. })));
        assert_eq!(network.attached().await.unwrap().len(), 1);
        network.attach("v1", &good, pid).await.unwrap();
        assert!(matches!(
            network.update_eni("v1", &Eni { mac: task.eni.mac, ..good }).await,
            Err(NetworkError::Immutable(_))
        ));
        assert!(matches!(network.counters("eni-unknown").await, Err(NetworkError::UnknownEni(_))));
    });
}

#[test]
fn one_process_at_a_time() {
    in_lab(async |lab| {
        assert!(matches!(Network::open(lab.options.clone()).await, Err(NetworkError::Busy(_))));
        assert!(matches!(teardown(&lab.options).await, Err(NetworkError::Busy(_))));
    });
}

#[test]
fn teardown_works_with_tasks_running_sockets_open_and_nothing_there() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &[])])])).await.unwrap();
        let task = lab
            .task_with("v1", Eni { public_address: Some(ip("198.18.0.9")), ..eni("v1", "10.0.1.10", &["sg-1"]) })
            .await;
        serve_in(lab.vpc_path("v1"), "169.254.170.2:80".parse().unwrap());
        lab.stop();
        teardown_when_free(&lab.options).await.unwrap();
        assert!(!task.run("ip", "-br link").contains("eth0"));
        assert!(!lab.vpc_path("v1").exists());
        teardown(&lab.options).await.unwrap();
        lab.reopen().await;
    });
}

fn forwarding() -> String {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim().to_owned()
}

#[test]
fn forwarding_ends_with_the_last_instance() {
    in_lab(async |lab| {
        let run_dir = lab.options.run_dir.with_extension("other");
        let options =
            NetworkOptions { uplink_pool: "169.254.192.0/24".parse().unwrap(), ..NetworkOptions::new(&run_dir, "lu") };
        let options = NetworkOptions { public_pool: "198.19.4.0/22".parse().unwrap(), ..options };
        let other = Network::open(options.clone()).await.unwrap();
        lab.stop();
        teardown_when_free(&lab.options).await.unwrap();
        assert_eq!(forwarding(), "1", "the other instance forwards");
        drop(other);
        teardown_when_free(&options).await.unwrap();
        assert_eq!(forwarding(), "0", "the first one found it off");
        // The files that remember it are gone, with the run directory.
        lab.reopen().await;
        lab.stop();
        teardown_when_free(&NetworkOptions { run_dir, ..lab.options.clone() }).await.unwrap();
        assert_eq!(forwarding(), "0");
        lab.reopen().await;
    });
}

#[test]
fn what_others_undo_on_the_host_is_done_again() {
    in_lab(async |_lab| {
        let before = traces();
        run("nft", "flush ruleset");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        assert!(!is_present(&NetworkOptions::new("/nowhere", "lt")).unwrap());
        let repaired = (0..150).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            traces() == before
        });
        assert!(repaired, "{}", traces());
        assert!(is_present(&NetworkOptions::new("/nowhere", "lt")).unwrap());
    });
}
