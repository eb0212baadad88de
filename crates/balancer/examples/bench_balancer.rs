//! A balancer with one listener in front of given targets, for measuring: `bench <listen port> <target port>...`.

use std::net::Ipv4Addr;

use longshore_balancer::config::{Config, HealthCheck};
use longshore_balancer::{Balancer, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().expect("ports")).collect();
    let (listen, targets) = ports.split_first().expect("a listen port and target ports");
    let targets: Vec<_> = targets.iter().map(|port| serde_json::json!({"id": "127.0.0.1", "port": port})).collect();
    let mut config: Config = serde_json::from_value(serde_json::json!({
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
    .expect("the configuration above is well-formed");
    config.target_groups[0].health_check = HealthCheck { interval_seconds: 30, ..HealthCheck::default() };
    let balancer = Balancer::start(&Options::default()).await.expect("workers start");
    balancer.apply(config).await.expect("the configuration compiles");
    std::future::pending::<()>().await;
}
