//! What every task reaches whatever its groups say, and what none reaches.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::lab::*;
use longshore_network::{API_PORT, Eni, METADATA, NamespaceThread, RESOLVER, tcp_listener_in, udp_socket_in};

#[test]
fn metadata_and_resolver_answer_tasks_without_any_rule() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![group_with("sg-none", &[], &[])])])).await.unwrap();
        let task = lab.task("v1", "10.0.1.10", &["sg-none"]).await;
        let path = lab.vpc_path("v1");
        for (address, port) in [
            (METADATA, 80),
            (METADATA, API_PORT),
            (METADATA, 81),
            (RESOLVER, 53),
            (ip("10.0.0.2"), 53),
            (ip("10.0.0.2"), 80),
        ] {
            serve_in(path.clone(), SocketAddr::from((address, port)));
        }
        allowed(task.connect(METADATA, 80), "10.0.1.10");
        allowed(task.connect(METADATA, API_PORT), "10.0.1.10");
        allowed(task.connect(RESOLVER, 53), "10.0.1.10");
        allowed(task.connect(ip("10.0.0.2"), 53), "10.0.1.10");
        denied(task.connect(METADATA, 81));
        denied(task.connect(ip("10.0.0.2"), 80));
        let resolver = udp_in(path, "10.0.0.2:53".parse().unwrap());
        assert!(datagram_arrives(task.path(), "0.0.0.0:0".parse().unwrap(), &resolver, "10.0.0.2:53".parse().unwrap()));
    });
}

#[test]
fn routers_answer_pings_and_neighbours_look_on_link() {
    in_lab(async |lab| {
        lab.network()
            .apply(&config(1, vec![vpc("v1", vec![group("sg-1", &["icmp from 10.0.0.0/16"])])]))
            .await
            .unwrap();
        let one = lab.task("v1", "10.0.1.10", &["sg-1"]).await;
        let two = lab.task("v1", "10.0.2.10", &[]).await;
        let three = lab.task("v1", "10.0.2.11", &["sg-1"]).await;
        assert!(pings(&one, ip("10.0.1.1")) && pings(&one, ip("10.0.2.1")) && pings(&one, ip("10.0.2.11")));
        assert!(!pings(&one, ip("10.0.2.10")) && !pings(&one, ip("10.0.0.2")));
        let address = one.run("ip", "-br addr show eth0");
        assert!(address.contains("10.0.1.10/24"), "{address}");
        assert!(three.run("ip", "link show eth0").contains("0a:58:0a:00:02:0b"));
        // A program that makes the subnet on-link finds its neighbours all the same.
        three.run("ip", "route add 10.0.2.0/24 dev eth0");
        one.run("ip", "route add 10.0.1.0/24 dev eth0");
        assert!(pings(&three, ip("10.0.1.10")));
        drop(two);
    });
}

#[test]
fn nothing_of_the_host_is_reachable() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![group("sg-1", &["all from 0.0.0.0/0"])])])).await.unwrap();
        run("ip", "addr add 192.0.2.7/32 dev lo");
        run("ip", "addr add 169.254.169.254/32 dev lo");
        serve(TcpListener::bind("0.0.0.0:80").unwrap());
        let public = Eni { public_address: Some(ip("198.18.0.5")), ..eni("v1", "10.0.1.10", &["sg-1"]) };
        let task = lab.task_with("v1", public).await;
        assert_eq!(
            connect_in("/proc/thread-self/ns/net".into(), None, "192.0.2.7:80".parse().unwrap()).unwrap(),
            "192.0.2.7"
        );
        for address in ["192.0.2.7", "169.254.169.254", "169.254.64.1", "169.254.64.2"] {
            denied(task.connect(ip(address), 80));
        }
        assert!(!pings(&task, ip("169.254.64.1")) && !pings(&task, ip("192.0.2.7")));
    });
}

#[test]
fn sockets_are_opened_inside_a_vpc() {
    in_lab(async |lab| {
        lab.network().apply(&config(1, vec![vpc("v1", vec![])])).await.unwrap();
        let path = lab.vpc_path("v1");
        let address: SocketAddr = (METADATA, 80).into();
        let listener = tcp_listener_in(&path, address).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        let error = tcp_listener_in(&path, address).unwrap_err();
        assert!(error.to_string().contains("169.254.170.2:80"), "{error}");
        udp_socket_in(&path, (RESOLVER, 53).into()).unwrap();
        // Not on the host, where that address does not exist.
        assert!(TcpListener::bind(address).is_err());
        let thread = NamespaceThread::start(&path).unwrap();
        let socket = thread.tcp_socket((METADATA, 0).into()).await.unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), METADATA);
        assert!(NamespaceThread::start(&lab.vpc_path("v2")).is_err());
    });
}

fn pings(task: &Task, address: Ipv4Addr) -> bool {
    // An echo request by hand: the machine may have no `ping`.
    use rustix::net::*;
    longshore_network::open_in_namespace(&task.path(), move || {
        let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(std::time::Duration::from_millis(1500)))
            .unwrap();
        connect(&socket, &SocketAddr::from((address, 0))).unwrap();
        let request = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
        if send(&socket, &request, SendFlags::empty()).is_err() {
            return false;
        }
        let mut answer = [0; 128];
        loop {
            match recv(&socket, &mut answer[..], RecvFlags::empty()) {
                Ok((length, _)) if length > 20 && answer[20] == 0 => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    })
    .unwrap()
}
