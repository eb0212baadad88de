//! Which target gets a request, and what it gets.

use std::collections::HashMap;

use longshore_balancer::config::*;

use crate::backend::echo;
use crate::client::{Connection, get, once};
use crate::rig::{Rig, fixed, forward, group};

async fn names(rig: &Rig, count: usize) -> HashMap<String, usize> {
    let mut connection = Connection::open(rig.address).await;
    let mut names = HashMap::new();
    for _ in 0..count {
        *names.entry(connection.get("/").await.name()).or_default() += 1;
    }
    names
}

#[tokio::test]
async fn targets_take_turns() {
    let (a, b, c) = (echo("a").await, echo("b").await, echo("c").await);
    let rig = Rig::forwarding(vec![group("g", &[&a, &b, &c])]).await;
    let names = names(&rig, 30).await;
    assert_eq!(names, HashMap::from([("a".into(), 10), ("b".into(), 10), ("c".into(), 10)]));
}

#[tokio::test]
async fn weights_are_shares() {
    let (a, b) = (echo("a").await, echo("b").await);
    let groups = vec![group("ga", &[&a]), group("gb", &[&b])];
    let mut rig = Rig::start(groups, forward(&[("ga", 3), ("gb", 1)]), vec![], 1).await;
    rig.wait(|report| report.targets.iter().all(|t| t.reason_code.is_none())).await;
    let got = names(&rig, 100).await;
    assert!((73..=77).contains(&got["a"]), "{got:?}");
    rig.change(|config| config.load_balancers[0].listeners[0].default_actions = forward(&[("ga", 0), ("gb", 1)])).await;
    assert_eq!(names(&rig, 10).await, HashMap::from([("b".into(), 10)]));
}

#[tokio::test]
async fn several_workers_serve_one_listener() {
    let a = echo("a").await;
    let rig = Rig::start(vec![group("g", &[&a])], forward(&[("g", 1)]), vec![], 3).await;
    rig.wait(|report| report.targets.iter().all(|t| t.reason_code.is_none())).await;
    for _ in 0..30 {
        assert_eq!(get(rig.address, "/").await.name(), "a");
    }
}

#[tokio::test]
async fn rules_go_by_priority_and_actions_answer() {
    let a = echo("a").await;
    let rule = |priority: u32, path: &str, actions: Vec<Action>| Rule {
        arn: format!("rule{priority}"),
        priority,
        conditions: vec![Condition::PathPattern { values: vec![path.to_owned()], regex_values: vec![] }],
        transforms: vec![],
        actions,
    };
    let redirect = Action::Redirect {
        protocol: Some("HTTPS".into()),
        host: None,
        port: Some("443".into()),
        path: None,
        query: None,
        status_code: 301,
    };
    let rules = vec![
        rule(20, "/fixed*", fixed(503, "second")),
        rule(10, "/fixed/first", fixed(418, "first")),
        rule(30, "/old/*", vec![redirect]),
    ];
    let rig = Rig::start(vec![group("g", &[&a])], forward(&[("g", 1)]), rules, 1).await;
    let mut connection = Connection::open(rig.address).await;
    let first = connection.get("/fixed/first").await;
    assert_eq!((first.status(), first.text().as_str()), (418, "first"));
    assert_eq!(first.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(first.header("server"), Some("awselb/2.0"));
    assert_eq!(connection.get("/fixed/other").await.text(), "second");
    connection.send("HEAD /fixed/first HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(connection.read_to("HEAD").await.unwrap().header("content-length"), Some("5"));
    let moved = connection.get("/old/x?y=z").await;
    assert_eq!(moved.status(), 301);
    assert_eq!(moved.header("location"), Some("https://x.example:443/old/x?y=z"));
    let forwarded = connection.get("/").await;
    assert_eq!((forwarded.name().as_str(), forwarded.header("server")), ("a", Some("mine")));
}

#[tokio::test]
async fn targets_learn_who_asked() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let port = rig.address.port().to_string();
    let plain = get(rig.address, "/").await;
    assert_eq!(plain.received("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(plain.received("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(plain.received("x-forwarded-port"), Some(port.clone()));
    assert_eq!(plain.received("host"), Some(format!("x.example:{port}")));
    assert!(plain.received("x-amzn-trace-id").unwrap().starts_with("Root=1-"));
    let request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n\
                   X-Forwarded-Proto: https\r\nConnection: x-secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n\
                   X-Amzn-Trace-Id: Root=1-2-3\r\n\r\n";
    let proxied = once(rig.address, request).await;
    assert_eq!(proxied.received("x-forwarded-for").as_deref(), Some("1.2.3.4, 5.6.7.8, 127.0.0.1"));
    assert_eq!(proxied.received("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!((proxied.received("x-secret"), proxied.received("keep-alive")), (None, None));
    let trace = proxied.received("x-amzn-trace-id").unwrap();
    assert!(trace.starts_with("Self=1-") && trace.ends_with(";Root=1-2-3"), "{trace}");
    let many = vec!["1.1.1.1"; 31].join(", ");
    let refused = once(rig.address, format!("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {many}\r\n\r\n")).await;
    assert_eq!(refused.status(), 463);
}

#[tokio::test]
async fn header_attributes_are_obeyed() {
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    rig.change_attributes(|attributes| {
        attributes.xff_mode = XffMode::Remove;
        attributes.preserve_host_header = true;
        attributes.drop_invalid_header_fields = true;
    })
    .await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nunder_score: 1\r\n\r\n";
    let answer = once(rig.address, request).await;
    assert_eq!(answer.received("x-forwarded-for"), None);
    assert_eq!(answer.received("host").as_deref(), Some("h"));
    assert_eq!(answer.received("under_score"), None);
    rig.change_attributes(|attributes| attributes.xff_mode = XffMode::Preserve).await;
    assert_eq!(once(rig.address, request).await.received("x-forwarded-for").as_deref(), Some("1.2.3.4"));
    rig.change_attributes(|attributes| {
        attributes.xff_mode = XffMode::Append;
        attributes.xff_client_port = true;
    })
    .await;
    let appended = once(rig.address, request).await.received("x-forwarded-for").unwrap();
    assert!(appended.starts_with("1.2.3.4, 127.0.0.1:"), "{appended}");
}

#[tokio::test]
async fn cookies_keep_a_client_on_its_target() {
    let (a, b) = (echo("a").await, echo("b").await);
    let mut sticky = group("g", &[&a, &b]);
    sticky.attributes.stickiness = Some(Stickiness::LbCookie { duration_seconds: 60 });
    let mut rig = Rig::forwarding(vec![sticky]).await;
    let first = get(rig.address, "/").await;
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("AWSALB="));
    let again = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b; {cookie}\r\n\r\n");
    for _ in 0..5 {
        assert_eq!(once(rig.address, &again).await.name(), first.name());
    }
    // A draining target takes no more of its sessions.
    let port = if first.name() == "a" { a.address.port() } else { b.address.port() };
    rig.change(|config| {
        config.target_groups[0].targets.iter_mut().find(|target| target.port == port).unwrap().draining = true;
    })
    .await;
    assert_ne!(once(rig.address, &again).await.name(), first.name());
}

#[tokio::test]
async fn the_applications_cookie_binds_too() {
    let (a, b) = (echo("a").await, echo("b").await);
    let mut sticky = group("g", &[&a, &b]);
    sticky.attributes.stickiness = Some(Stickiness::AppCookie { cookie_name: "session".into(), duration_seconds: 60 });
    let rig = Rig::forwarding(vec![sticky]).await;
    assert_eq!(get(rig.address, "/").await.header("set-cookie"), None);
    let session = get(rig.address, "/cookie").await;
    let cookie = session.headers.iter().find(|(_, value)| value.starts_with("AWSALBAPP-0=")).unwrap().1.clone();
    let cookie = cookie.split(';').next().unwrap();
    let mut names = std::collections::HashSet::new();
    for _ in 0..4 {
        names.insert(once(rig.address, format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {cookie}\r\n\r\n")).await.name());
    }
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn least_outstanding_requests_avoid_a_slow_target() {
    let (slow, fast) = (echo("slow").await, echo("fast").await);
    slow.behaviour.delay_ms.store(1500, std::sync::atomic::Ordering::SeqCst);
    let mut busy = group("g", &[&slow, &fast]);
    busy.attributes.algorithm = Algorithm::LeastOutstandingRequests;
    let rig = Rig::forwarding(vec![busy]).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(rig.address).await;
        connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        waiting.push(connection);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for _ in 0..10 {
        assert_eq!(get(rig.address, "/").await.name(), "fast");
    }
}

#[tokio::test]
async fn ingress_rules_decide_who_may_connect() {
    let mut rig = Rig::start(vec![], fixed(200, "in"), vec![], 1).await;
    assert_eq!(get(rig.address, "/").await.text(), "in");
    rig.change(|config| config.load_balancers[0].host_ingress = Some(vec![])).await;
    // The reset may come before connect() has returned.
    if let Ok(mut stream) = tokio::net::TcpStream::connect(rig.address).await {
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
    let port = rig.address.port();
    let rule = IngressRule { cidr: "127.0.0.0/8".into(), from_port: port, to_port: port };
    rig.change(|config| config.load_balancers[0].host_ingress = Some(vec![rule])).await;
    assert_eq!(get(rig.address, "/").await.text(), "in");
}

#[tokio::test]
async fn a_group_without_targets_is_503() {
    let rig = Rig::start(vec![group("g", &[])], forward(&[("g", 1)]), vec![], 1).await;
    let answer = get(rig.address, "/").await;
    assert_eq!(answer.start, "HTTP/1.1 503 Service Temporarily Unavailable");
    assert_eq!(
        answer.text(),
        "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
         <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    assert_eq!(answer.header("server"), Some("awselb/2.0"));
}
