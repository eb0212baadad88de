//! Security groups as packets see them.

use std::net::SocketAddr;

use crate::lab::*;
use longshore_network::LocalAddress;

#[test]
fn rules_allow_what_they_say_and_nothing_else() {
    in_lab(async |lab| {
        let groups = vec![
            group("sg-client", &[]),
            group("sg-server", &["80 from 10.0.1.0/24", "81 from sg-client", "82 from sg-server"]),
        ];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-client"]).await;
        let server = lab.task("v1", "10.0.1.11", &["sg-server"]).await;
        (80..=83).for_each(|port| server.serve(port));
        client.serve(80);

        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
        allowed(client.connect(ip("10.0.1.11"), 81), "10.0.1.10");
        denied(client.connect(ip("10.0.1.11"), 82));
        denied(client.connect(ip("10.0.1.11"), 83));
        // Nothing comes in to a group without ingress rules, but answers do.
        denied(server.connect(ip("10.0.1.10"), 80));
        // An address nobody has is silent, as on AWS.
        denied(client.connect(ip("10.0.1.99"), 80));
        let counters = lab.network().counters(&client.eni.id).await.unwrap();
        assert!(
            counters.sent_packets > 4 && counters.received_packets > 4 && counters.received_bytes > 0,
            "{counters:?}"
        );
    });
}

#[test]
fn groups_add_up_and_none_allows_nothing() {
    in_lab(async |lab| {
        let groups = vec![
            group("sg-client", &[]),
            group("sg-80", &["80 from 0.0.0.0/0"]),
            group("sg-81", &["81 from 0.0.0.0/0"]),
        ];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-client"]).await;
        let both = lab.task("v1", "10.0.1.11", &["sg-80", "sg-81"]).await;
        let one = lab.task("v1", "10.0.1.12", &["sg-80"]).await;
        let none = lab.task("v1", "10.0.1.13", &[]).await;
        for task in [&both, &one, &none] {
            task.serve(80);
            task.serve(81);
        }
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
        allowed(client.connect(ip("10.0.1.11"), 81), "10.0.1.10");
        allowed(client.connect(ip("10.0.1.12"), 80), "10.0.1.10");
        denied(client.connect(ip("10.0.1.12"), 81));
        denied(client.connect(ip("10.0.1.13"), 80));
        denied(none.connect(ip("10.0.1.11"), 80));
    });
}

#[test]
fn egress_rules_restrict_the_sender() {
    in_lab(async |lab| {
        let groups = vec![
            group_with("sg-client", &[], &["80 to 10.0.2.0/24", "81 to sg-server"]),
            group("sg-server", &["80 from 0.0.0.0/0", "81 from 0.0.0.0/0", "82 from 0.0.0.0/0"]),
        ];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-client"]).await;
        let server = lab.task("v1", "10.0.1.11", &["sg-server"]).await;
        (80..=82).for_each(|port| server.serve(port));
        denied(client.connect(ip("10.0.1.11"), 80));
        allowed(client.connect(ip("10.0.1.11"), 81), "10.0.1.10");
        denied(client.connect(ip("10.0.1.11"), 82));
    });
}

#[test]
fn a_removed_rule_ends_new_connections_and_keeps_established_ones() {
    in_lab(async |lab| {
        let with = |rules: &[&str]| vec![vpc("v1", vec![group("sg-client", &[]), group("sg-server", rules)])];
        lab.network().apply(&config(1, with(&["80 from sg-client"]))).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-client"]).await;
        let server = lab.task("v1", "10.0.1.11", &["sg-server"]).await;
        server.serve(80);
        let mut stream = open_stream(client.path(), SocketAddr::from((server.eni.address, 80))).unwrap();
        assert_eq!(greeting(stream.try_clone().unwrap()).unwrap(), "10.0.1.10");

        lab.network().apply(&config(2, with(&[]))).await.unwrap();
        denied(client.connect(ip("10.0.1.11"), 80));
        assert!(still_echoes(&mut stream));

        lab.network().apply(&config(3, with(&["80 from 10.0.0.0/16"]))).await.unwrap();
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
        assert!(still_echoes(&mut stream));
    });
}

#[test]
fn a_group_change_moves_an_interface_between_rules() {
    in_lab(async |lab| {
        let groups = vec![group("sg-in", &[]), group("sg-out", &[]), group("sg-server", &["80 from sg-in"])];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let mut client = lab.task("v1", "10.0.1.10", &["sg-out"]).await;
        let server = lab.task("v1", "10.0.1.11", &["sg-server"]).await;
        server.serve(80);
        denied(client.connect(ip("10.0.1.11"), 80));

        client.eni.security_groups = ["sg-in".to_owned()].into();
        lab.network().update_eni("v1", &client.eni).await.unwrap();
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
        let mut stream = open_stream(client.path(), SocketAddr::from((server.eni.address, 80))).unwrap();
        greeting(stream.try_clone().unwrap()).unwrap();

        client.eni.security_groups = ["sg-out".to_owned()].into();
        lab.network().update_eni("v1", &client.eni).await.unwrap();
        denied(client.connect(ip("10.0.1.11"), 80));
        assert!(still_echoes(&mut stream));
    });
}

#[test]
fn two_vpcs_with_equal_addresses_do_not_meet() {
    in_lab(async |lab| {
        let open = || vec![group("sg-1", &["all from 0.0.0.0/0"])];
        lab.network().apply(&config(1, vec![vpc("v1", open()), vpc("v2", open())])).await.unwrap();
        let client = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let server = lab.task("v1", "10.0.1.11", &["sg-1"]).await;
        let double = lab.task("v2", "10.0.1.10", &["sg-1"]).await;
        server.serve(80);
        allowed(client.connect(ip("10.0.1.11"), 80), "10.0.1.10");
        denied(double.connect(ip("10.0.1.11"), 80));
        // The same address on the other side answers for itself.
        let other = lab.task("v2", "10.0.1.11", &["sg-1"]).await;
        other.serve(81);
        allowed(double.connect(ip("10.0.1.11"), 81), "10.0.1.10");
        assert_eq!(client.connect(ip("10.0.1.11"), 81).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn load_balancer_addresses_obey_groups_both_ways() {
    in_lab(async |lab| {
        let groups = vec![
            group("sg-lb", &["80 from 10.0.1.0/24"]),
            group("sg-app", &["8080 from sg-lb"]),
            group("sg-other", &[]),
        ];
        let mut network = vpc("v1", groups);
        let local = |address: &str, group: &str| LocalAddress {
            address: ip(address),
            security_groups: [group.to_owned()].into(),
        };
        network.local_addresses = vec![local("10.0.1.4", "sg-lb"), local("10.0.1.5", "sg-other")];
        lab.network().apply(&config(1, vec![network.clone()])).await.unwrap();
        let app = lab.task("v1", "10.0.1.11", &["sg-app"]).await;
        app.serve(8080);
        app.serve(8081);
        let target = |port| SocketAddr::from((ip("10.0.1.11"), port));
        let from = |source: &str, port| connect_in(lab.vpc_path("v1"), Some(ip(source)), target(port));
        allowed(from("10.0.1.4", 8080), "10.0.1.4");
        denied(from("10.0.1.4", 8081));
        denied(from("10.0.1.5", 8080));
        // A process in the VPC's namespace that does not use a load balancer's address gets nowhere.
        denied(from("169.254.170.2", 8080));

        serve_in(lab.vpc_path("v1"), "10.0.1.4:80".parse().unwrap());
        serve_in(lab.vpc_path("v1"), "10.0.1.4:81".parse().unwrap());
        allowed(app.connect(ip("10.0.1.4"), 80), "10.0.1.11");
        denied(app.connect(ip("10.0.1.4"), 81));

        // The groups of a local address change with the configuration, and it goes with it.
        network.local_addresses = vec![local("10.0.1.4", "sg-other")];
        lab.network().apply(&config(2, vec![network])).await.unwrap();
        denied(connect_in(lab.vpc_path("v1"), Some(ip("10.0.1.4")), target(8080)));
        denied(app.connect(ip("10.0.1.4"), 80));
        let addresses =
            longshore_network::open_in_namespace(&lab.vpc_path("v1"), || output("ip", "addr show lo")).unwrap();
        assert!(addresses.contains("10.0.1.4/32") && !addresses.contains("10.0.1.5/32"), "{addresses}");
    });
}

#[test]
fn a_forged_source_is_dropped() {
    in_lab(async |lab| {
        let groups = vec![
            group("sg-trusted", &["udp 9 from 0.0.0.0/0"]),
            group("sg-server", &["udp 9 from sg-trusted", "udp 10 from 0.0.0.0/0"]),
        ];
        lab.network().apply(&config(1, vec![vpc("v1", groups)])).await.unwrap();
        let trusted = lab.task("v1", "10.0.1.10", &["sg-trusted"]).await;
        let server = lab.task("v1", "10.0.1.11", &["sg-server"]).await;
        let forger = lab.task("v1", "10.0.1.12", &["sg-trusted"]).await;
        let open = udp_in(server.path(), "0.0.0.0:9".parse().unwrap());
        let to: SocketAddr = "10.0.1.11:9".parse().unwrap();
        assert!(datagram_arrives(trusted.path(), "10.0.1.10:0".parse().unwrap(), &open, to));
        assert!(datagram_arrives(forger.path(), "10.0.1.12:0".parse().unwrap(), &open, to));
        for forged in ["10.0.1.10", "10.0.1.99", "8.8.8.8", "169.254.64.1", "10.0.1.1"] {
            forger.run("ip", &format!("addr add {forged}/32 dev eth0"));
            let source = SocketAddr::from((ip(forged), 0));
            assert!(!datagram_arrives(forger.path(), source, &open, to), "{forged}");
        }
    });
}
