//! A balancer for measuring: `bench_balancer <listen port> <target port>...` forwards everything,
//! `bench_balancer <configuration.json>` serves what the file says.

use std::net::Ipv4Addr;

use longshore_balancer::config::Config;
use longshore_balancer::{Balancer, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config: Config = match arguments.as_slice() {
        [file] => {
            let text = std::fs::read(file).expect("a readable configuration");
            serde_json::from_slice(&text).expect("a well-formed configuration")
        }
        ports => forwarding(&ports.iter().map(|port| port.parse().expect("ports")).collect::<Vec<u16>>()),
    };
    let balancer = Balancer::start(&Options::default()).await.expect("workers start");
    balancer.apply(config).await.expect("the configuration compiles");
    std::future::pending::<()>().await;
}

fn forwarding(ports: &[u16]) -> Config {
    let (listen, targets) = ports.split_first().expect("a listen port and target ports");
    let targets: Vec<_> = targets.iter().map(|port| serde_json::json!({"id": "127.0.0.1", "port": port})).collect();
    serde_json::from_value(serde_json::json!({
        "generation": 1,
        "load_balancers": [{
            "arn": "lb", "name": "lb",
            "attributes": { "preserve_host_header": true },
            "addresses": [{ "ip": Ipv4Addr::LOCALHOST }],
            "listeners": [{
                "arn": "listener", "port": listen,
                "default_actions": [{ "type": "forward", "target_groups": [{ "arn": "group" }] }],
                "rules": [{
                    "arn": "rule", "priority": 1,
                    "conditions": [{ "field": "path-pattern", "values": ["/never/*"] }],
                    "actions": [{ "type": "fixed-response", "status_code": 404 }],
                }],
            }],
        }],
        "target_groups": [{ "arn": "group", "name": "group", "targets": targets }],
    }))
    .expect("the configuration above is well-formed")
}
