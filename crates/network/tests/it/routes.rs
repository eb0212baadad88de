//! Route tables on packets: the longest prefix decides, for each packet.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::lab::*;
use longshore_network::{Eni, RouteTarget};

/// Networks beyond the host, with a server at 203.0.113.2 and 198.51.100.2.
fn internet(lab: &mut Lab) -> PathBuf {
    let pid = lab.spawn();
    run("ip", &format!("link add wan type veth peer name eth0 netns {pid}"));
    run("ip", "addr add 203.0.113.1/24 dev wan");
    run("ip", "addr add 198.51.100.1/24 dev wan");
    run("ip", "link set wan up");
    let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
    longshore_network::open_in_namespace(&path, || {
        run("ip", "addr add 203.0.113.2/24 dev eth0");
        run("ip", "addr add 198.51.100.2/24 dev eth0");
        run("ip", "link set eth0 up");
    })
    .unwrap();
    serve_in(path.clone(), "0.0.0.0:80".parse().unwrap());
    path
}

fn public(address: &str, public: &str) -> Eni {
    Eni { public_address: Some(ip(public)), ..eni("v1", address, &["sg-1"]) }
}

#[test]
fn the_longest_prefix_decides_and_a_blackhole_swallows() {
    in_lab(async |lab| {
        let _internet = internet(lab);
        let mut network = vpc("v1", vec![group("sg-1", &[])]);
        network.route_tables[0] =
            table("public", &[("0.0.0.0/0", RouteTarget::Nowhere), ("203.0.113.0/24", RouteTarget::Internet)]);
        lab.network().apply(&config(1, vec![network.clone()])).await.unwrap();
        let task = lab.task_with("v1", public("10.0.1.10", "198.18.0.10")).await;
        allowed(task.connect(ip("203.0.113.2"), 80), "203.0.113.1");
        denied(task.connect(ip("198.51.100.2"), 80));

        network.route_tables[0] =
            table("public", &[("203.0.113.0/24", RouteTarget::Nowhere), ("0.0.0.0/0", RouteTarget::Internet)]);
        lab.network().apply(&config(2, vec![network])).await.unwrap();
        denied(task.connect(ip("203.0.113.2"), 80));
        allowed(task.connect(ip("198.51.100.2"), 80), "198.51.100.1");
        run("ip", "link del wan");
    });
}

#[test]
fn a_route_that_goes_ends_established_connections() {
    in_lab(async |lab| {
        let internet = internet(lab);
        let mut network = vpc("v1", vec![group("sg-1", &[])]);
        lab.network().apply(&config(1, vec![network.clone()])).await.unwrap();
        let task = lab.task_with("v1", public("10.0.1.10", "198.18.0.10")).await;
        let mut stream = open_stream(task.path(), SocketAddr::from((ip("203.0.113.2"), 80))).unwrap();
        greeting(stream.try_clone().unwrap()).unwrap();
        assert!(still_echoes(&mut stream));
        network.route_tables[0] = table("public", &[("0.0.0.0/0", RouteTarget::Nowhere)]);
        lab.network().apply(&config(2, vec![network])).await.unwrap();
        assert!(!still_echoes(&mut stream));
        run("ip", "link del wan");
        drop(internet);
    });
}

#[test]
fn a_nat_gateway_lends_its_address_and_lets_nobody_in() {
    in_lab(async |lab| {
        let groups = || vec![group("sg-1", &["8080 from 0.0.0.0/0"])];
        // An address is one gateway's.
        let mut far = vpc("v2", groups());
        far.route_tables[2].routes.clear();
        lab.network().apply(&config(1, vec![vpc("v1", groups()), far.clone()])).await.unwrap();
        let behind = lab.task("v1", "10.0.3.10", &["sg-1"]).await;
        let other = Eni { public_address: Some(ip("198.18.0.20")), ..eni("v2", "10.0.1.20", &["sg-1"]) };
        let other = lab.task_with("v2", other).await;
        behind.serve(8080);
        other.serve(8080);
        // The other VPC is the internet: it sees the gateway.
        allowed(behind.connect(ip("198.18.0.20"), 8080), NAT);
        assert!(other.connect(ip(NAT), 8080).is_err());
        let host = "/proc/thread-self/ns/net".into();
        assert!(connect_in(host, None, format!("{NAT}:8080").parse().unwrap()).is_err());
        // Without the route the same interface stays inside.
        let mut network = vpc("v1", groups());
        network.subnets[2].route_table = "isolated".into();
        lab.network().apply(&config(2, vec![network, far])).await.unwrap();
        denied(behind.connect(ip("198.18.0.20"), 8080));
    });
}

#[test]
fn a_public_address_without_a_way_back_is_of_no_use() {
    in_lab(async |lab| {
        let mut network = vpc("v1", vec![group("sg-1", &["8080 from 0.0.0.0/0"])]);
        // A route to somewhere else: the host's question arrives, the answer does not.
        network.route_tables[0] = table("public", &[("203.0.113.0/24", RouteTarget::Internet)]);
        lab.network().apply(&config(1, vec![network.clone()])).await.unwrap();
        let task = lab.task_with("v1", public("10.0.1.10", "198.18.0.10")).await;
        task.serve(8080);
        let from_host = || connect_in("/proc/thread-self/ns/net".into(), None, "198.18.0.10:8080".parse().unwrap());
        denied(from_host());
        network.route_tables[0] = table("public", &[("0.0.0.0/0", RouteTarget::Internet)]);
        lab.network().apply(&config(2, vec![network])).await.unwrap();
        allowed(from_host(), "169.254.64.1");
    });
}
