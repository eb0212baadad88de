//! Network ACLs on packets: at the border of a subnet, without memory.

use std::net::SocketAddr;

use crate::lab::*;
use longshore_network::{AclEntry, LocalAddress, NetworkAcl, PortRange, Traffic, Vpc};

/// `allow 80 10.0.0.0/16`, `deny 1024-65535 0.0.0.0/0`, `allow all 0.0.0.0/0`.
fn entry(text: &str) -> AclEntry {
    let words: Vec<&str> = text.split(' ').collect();
    let port = |text: &str| text.parse::<u16>().unwrap();
    let traffic = match words[1] {
        "all" => Traffic::All,
        range => {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Traffic::Tcp(PortRange { first: port(first), last: port(last) })
        }
    };
    AclEntry { allow: words[0] == "allow", traffic, cidr: words[2].parse().unwrap() }
}

/// A VPC whose groups let everything pass, with this ACL on subnet `b`.
fn guarded(ingress: &[&str], egress: &[&str]) -> Vpc {
    let mut network = vpc("v1", vec![group("sg-1", &["all from 0.0.0.0/0"])]);
    let entries = |texts: &[&str]| texts.iter().map(|text| entry(text)).collect();
    network.network_acls = vec![NetworkAcl { id: "acl-1".into(), ingress: entries(ingress), egress: entries(egress) }];
    network.subnets[1].network_acl = Some("acl-1".into());
    network
}

const ALL: &[&str] = &["allow all 0.0.0.0/0"];

#[test]
fn entries_decide_by_number_at_the_border_only() {
    in_lab(async |lab| {
        let network = guarded(&["deny 80 10.0.1.10/32", "allow 80 10.0.0.0/16"], ALL);
        lab.network().apply(&config(1, vec![network])).await.unwrap();
        let refused = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let welcome = lab.task("v1", "10.0.1.11", &["sg-1"]).await;
        let server = lab.task("v1", "10.0.2.20", &["sg-1"]).await;
        let neighbour = lab.task("v1", "10.0.2.21", &["sg-1"]).await;
        server.serve(80);
        server.serve(81);
        denied(refused.connect(ip("10.0.2.20"), 80));
        allowed(welcome.connect(ip("10.0.2.20"), 80), "10.0.1.11");
        denied(welcome.connect(ip("10.0.2.20"), 81));
        // Inside one subnet no border is crossed.
        allowed(neighbour.connect(ip("10.0.2.20"), 81), "10.0.2.21");
    });
}

#[test]
fn answers_need_an_entry_of_their_own() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![guarded(ALL, &["allow 80 0.0.0.0/0"])])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let server = lab.task("v1", "10.0.2.20", &["sg-1"]).await;
        server.serve(80);
        client.serve(80);
        // The question comes in; the answer goes to a high port.
        denied(client.connect(ip("10.0.2.20"), 80));
        allowed(server.connect(ip("10.0.1.10"), 80), "10.0.2.20");
        let network = guarded(ALL, &["allow 80 0.0.0.0/0", "allow 1024-65535 0.0.0.0/0"]);
        lab.network().apply(&config(2, vec![network])).await.unwrap();
        allowed(client.connect(ip("10.0.2.20"), 80), "10.0.1.10");
    });
}

#[test]
fn a_new_denial_ends_established_connections() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![guarded(ALL, ALL)])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let server = lab.task("v1", "10.0.2.20", &["sg-1"]).await;
        server.serve(80);
        let mut stream = open_stream(client.path(), SocketAddr::from((server.eni.address, 80))).unwrap();
        greeting(stream.try_clone().unwrap()).unwrap();
        assert!(still_echoes(&mut stream));
        lab.network().apply(&config(2, vec![guarded(&["deny 80 0.0.0.0/0"], ALL)])).await.unwrap();
        assert!(!still_echoes(&mut stream));
        // And without the ACL everything passes again.
        lab.network().apply(&config(3, vec![vpc("v1", vec![group("sg-1", &["all from 0.0.0.0/0"])])])).await.unwrap();
        allowed(client.connect(ip("10.0.2.20"), 80), "10.0.1.10");
    });
}

#[test]
fn load_balancers_are_behind_the_border_and_the_resolver_is_not() {
    in_lab(async |lab| {
        let mut network = guarded(&["allow 8080 10.0.1.4/32", "deny all 0.0.0.0/0"], ALL);
        let local = LocalAddress { address: ip("10.0.1.4"), security_groups: ["sg-1".to_owned()].into() };
        network.local_addresses = vec![local];
        lab.network().apply(&config(1, vec![network.clone()])).await.unwrap();
        let server = lab.task("v1", "10.0.2.20", &["sg-1"]).await;
        server.serve(8080);
        server.serve(8081);
        let from = |port| {
            let to = SocketAddr::from((ip("10.0.2.20"), port));
            connect_in(lab.vpc_path("v1"), Some(ip("10.0.1.4")), to)
        };
        allowed(from(8080), "10.0.1.4");
        denied(from(8081));
        // Metadata and names are never the ACL's business, wherever their addresses are.
        network.network_acls[0].ingress.clear();
        network.network_acls[0].egress.clear();
        lab.network().apply(&config(2, vec![network])).await.unwrap();
        for address in [longshore_network::METADATA, longshore_network::RESOLVER, ip("10.0.0.2")] {
            let port = if address == longshore_network::METADATA { 80 } else { 53 };
            serve_in(lab.vpc_path("v1"), SocketAddr::from((address, port)));
            allowed(server.connect(address, port), "10.0.2.20");
        }
        denied(from(8080));
    });
}
