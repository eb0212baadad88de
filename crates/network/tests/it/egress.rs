//! The way out, and the way in to public addresses.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::lab::*;
use longshore_network::Eni;

const HOST: &str = "/proc/thread-self/ns/net";

/// A network beyond the host, with a server at 203.0.113.2. The host's address there is 203.0.113.1.
fn internet(lab: &mut Lab) -> PathBuf {
    let pid = lab.spawn();
    run("ip", &format!("link add wan type veth peer name eth0 netns {pid}"));
    run("ip", "addr add 203.0.113.1/24 dev wan");
    run("ip", "link set wan up");
    let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
    longshore_network::open_in_namespace(&path, || {
        run("ip", "addr add 203.0.113.2/24 dev eth0");
        run("ip", "link set eth0 up");
        // A neighbour in the host's network that would send to the tasks if it could.
        run("ip", "route add default via 203.0.113.1");
    })
    .unwrap();
    serve_in(path.clone(), "0.0.0.0:80".parse().unwrap());
    path
}

fn public(vpc: &str, address: &str, public: &str) -> Eni {
    Eni { public_address: Some(ip(public)), ..eni(vpc, address, &["sg-1"]) }
}

fn maybe_public(address: &str, public: Option<&str>) -> Eni {
    Eni { public_address: public.map(ip), ..eni("v1", address, &["sg-1"]) }
}

#[test]
fn only_addresses_that_may_leave_do() {
    in_lab(async |lab| {
        let internet = internet(lab);
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &["8080 from 0.0.0.0/0"])])])).await.unwrap();
        let out = |task: &Task| task.connect(ip("203.0.113.2"), 80);
        let task = lab.task_with("v1", public("v1", "10.0.1.10", "198.18.0.10")).await;
        allowed(out(&task), "203.0.113.1");
        let task = lab.task_with("v1", maybe_public("10.0.1.11", None)).await;
        denied(out(&task));
        let task = lab.task_with("v1", maybe_public("10.0.2.12", Some("198.18.0.12"))).await;
        denied(out(&task));
        let task = lab.task_with("v1", maybe_public("10.0.3.13", None)).await;
        allowed(out(&task), "203.0.113.1");

        // A network beside the host has no way in, whatever it routes to us.
        task.serve(8080);
        for address in ["198.18.0.10:8080", "169.254.64.2:8080", "10.0.3.13:8080"] {
            assert!(connect_in(internet.clone(), None, address.parse().unwrap()).is_err(), "{address}");
        }
        run("ip", "link del wan");
    });
}

#[test]
fn a_public_address_is_reached_from_the_host_if_the_groups_say_so() {
    in_lab(async |lab| {
        let groups = |rules: &[&str]| vec![vpc("v1", vec![group("sg-1", rules)])];
        lab.network().apply(&config(1, groups(&["8080 from 0.0.0.0/0"]))).await.unwrap();
        let mut task = lab.task_with("v1", public("v1", "10.0.1.10", "198.18.0.10")).await;
        task.serve(8080);
        task.serve(8081);
        let from_host = |address: &str| connect_in(HOST.into(), None, address.parse().unwrap());
        allowed(from_host("198.18.0.10:8080"), "169.254.64.1");
        denied(from_host("198.18.0.10:8081"));

        // The source is the host's uplink address.
        lab.network().apply(&config(2, groups(&["8081 from 169.254.64.1/32"]))).await.unwrap();
        allowed(from_host("198.18.0.10:8081"), "169.254.64.1");
        denied(from_host("198.18.0.10:8080"));

        task.eni.public_address = Some(ip("198.18.0.11"));
        lab.network().update_eni("v1", &task.eni).await.unwrap();
        allowed(from_host("198.18.0.11:8081"), "169.254.64.1");
        assert!(from_host("198.18.0.10:8081").is_err());
        task.eni.public_address = None;
        lab.network().update_eni("v1", &task.eni).await.unwrap();
        assert!(from_host("198.18.0.11:8081").is_err());
        assert!(!output("ip", "route").contains("198.18.0."));
    });
}

#[test]
fn a_subnet_that_loses_its_internet_route_loses_its_public_addresses() {
    in_lab(async |lab| {
        let _internet = internet(lab);
        let mut network = vpc("v1", vec![group("sg-1", &["8080 from 0.0.0.0/0"])]);
        lab.network().apply(&config(1, vec![network.clone()])).await.unwrap();
        let task = lab.task_with("v1", public("v1", "10.0.1.10", "198.18.0.10")).await;
        task.serve(8080);
        allowed(task.connect(ip("203.0.113.2"), 80), "203.0.113.1");
        network.subnets[0].route_table = "isolated".into();
        lab.network().apply(&config(2, vec![network.clone()])).await.unwrap();
        denied(task.connect(ip("203.0.113.2"), 80));
        assert!(!output("ip", "route").contains("198.18.0."));
        network.subnets[0].route_table = "public".into();
        lab.network().apply(&config(3, vec![network])).await.unwrap();
        allowed(task.connect(ip("203.0.113.2"), 80), "203.0.113.1");
        allowed(connect_in(HOST.into(), None, "198.18.0.10:8080".parse().unwrap()), "169.254.64.1");
        run("ip", "link del wan");
    });
}

#[test]
fn vpcs_meet_at_public_addresses_only_and_see_public_sources() {
    in_lab(async |lab| {
        let groups = || vec![group("sg-1", &["8080 from 198.18.0.10/32"])];
        lab.network().apply(&config(1, vec![vpc("v1", groups()), vpc("v2", groups())])).await.unwrap();
        let client = lab.task_with("v1", public("v1", "10.0.1.10", "198.18.0.10")).await;
        let stranger = lab.task_with("v1", public("v1", "10.0.1.11", "198.18.0.11")).await;
        let near = lab.task_with("v1", public("v1", "10.0.1.12", "198.18.0.12")).await;
        let far = lab.task_with("v2", public("v2", "10.0.1.20", "198.18.0.20")).await;
        near.serve(8080);
        far.serve(8080);
        allowed(client.connect(ip("198.18.0.20"), 8080), "198.18.0.10");
        // By its public address, a task of the same VPC is met as a stranger from the internet would be.
        allowed(client.connect(ip("198.18.0.12"), 8080), "198.18.0.10");
        denied(client.connect(ip("10.0.1.12"), 8080));
        denied(stranger.connect(ip("198.18.0.20"), 8080));
        // The other VPC's side of its uplink.
        denied(client.connect(ip("169.254.64.6"), 8080));
        assert!(TcpListener::bind(SocketAddr::from((ip("198.18.0.20"), 8080))).is_err());
    });
}

#[test]
fn tasks_leave_past_dockers_firewall() {
    in_lab(async |lab| {
        // As dockerd leaves it.
        run("iptables", "-N DOCKER-USER");
        run("iptables", "-A FORWARD -j DOCKER-USER");
        run("iptables", "-P FORWARD DROP");
        let internet = internet(lab);
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &[])])])).await.unwrap();
        let task = lab.task_with("v1", public("v1", "10.0.1.10", "198.18.0.10")).await;
        denied(task.connect(ip("203.0.113.2"), 80));
        // Docker started after us: its bridge shows, and the next configuration finds it.
        run("ip", "link add docker0 type bridge");
        for generation in 2..4 {
            lab.network().apply(&config(generation, vec![vpc("v1", vec![group("sg-1", &[])])])).await.unwrap();
        }
        allowed(task.connect(ip("203.0.113.2"), 80), "203.0.113.1");
        let ours = || output("iptables", "-S").matches("longshore-").count();
        let rules = ours();
        lab.network().apply(&config(4, vec![vpc("v1", vec![group("sg-1", &[])])])).await.unwrap();
        assert_eq!(ours(), rules, "once is enough");

        // A container of Docker is reached at its published port, which Docker lets pass, and at no other.
        let container = lab.spawn();
        run("ip", &format!("link add pet type veth peer name eth0 netns {container}"));
        run("ip", "link set pet master docker0 up");
        run("ip", "addr add 192.168.250.1/24 dev docker0");
        run("ip", "link set docker0 up");
        let container = PathBuf::from(format!("/proc/{container}/ns/net"));
        longshore_network::open_in_namespace(&container, || {
            run("ip", "addr add 192.168.250.2/24 dev eth0");
            run("ip", "link set eth0 up");
            run("ip", "route add default via 192.168.250.1");
        })
        .unwrap();
        run("iptables", "-A FORWARD -o docker0 -p tcp --dport 80 -j ACCEPT");
        for port in [80, 81] {
            serve_in(container.clone(), SocketAddr::from(([0; 4], port)));
        }
        allowed(task.connect(ip("192.168.250.2"), 80), "192.168.250.1");
        denied(task.connect(ip("192.168.250.2"), 81));

        lab.stop();
        teardown_when_free(&lab.options).await.unwrap();
        assert_eq!(ours(), 0);
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "1\n", "Docker needs it now");
        run("ip", "link del wan");
        run("ip", "link del pet");
        run("ip", "link del docker0");
        run("nft", "flush ruleset");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        drop(internet);
    });
}

#[test]
fn a_cleared_firewall_of_the_host_is_set_up_again() {
    in_lab(async |lab| {
        let internet = internet(lab);
        let network = config(1, vec![vpc("v1", vec![group("sg-1", &[])])]);
        lab.network().apply(&network).await.unwrap();
        let task = lab.task_with("v1", public("v1", "10.0.1.10", "198.18.0.10")).await;
        run("nft", "flush ruleset");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        denied(task.connect(ip("203.0.113.2"), 80));
        lab.network().apply(&network).await.unwrap();
        allowed(task.connect(ip("203.0.113.2"), 80), "203.0.113.1");
        run("ip", "link del wan");
        drop(internet);
    });
}
