//! The whole balancer over sockets, between a client and a target that say whatever they like.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_balancer::config::DesyncMode;
use longshore_balancer::fuzzing::requests;
use longshore_balancer::report::TargetState;
use longshore_balancer::{Balancer, Config, Options, Report};

use crate::input::{FIELD, Input};
use crate::strict;

/// A target's answer to every request, and what it got.
#[derive(Default)]
struct Script {
    answer: Vec<u8>,
    /// One a connection: its bytes.
    heard: Vec<Arc<Mutex<Vec<u8>>>>,
}

type Shared = Arc<Mutex<Script>>;

struct Rig {
    address: SocketAddr,
    /// Every body so far.
    sent: RefCell<HashSet<Vec<u8>>>,
    script: Shared,
}

/// The target ends connections that carried more: each is read anew after every exchange.
const CONNECTION_BYTES_MAX: usize = 16 << 10;

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What the target answers (nothing for a plain answer), and what a client sends.
///
/// Holds: on every connection the target hears whole requests that a strict reader takes, with bodies that
/// clients sent; and what the balancer understands is never ambiguous.
pub fn proxy(data: &[u8]) {
    thread_local!(static RIG: Rig = Rig::start());
    let mut input = Input::new(data);
    let answer = input.until(FIELD);
    let stream = input.rest();
    // Bodies that break off or tunnels end by time alone: another target's business.
    let read = requests(&[stream], DesyncMode::Defensive);
    let (heads, is_cut) = (read.requests.len(), !read.is_refused && read.taken.len() < stream.len());
    let Ok(sent) = strict::requests(&read.taken) else { panic!("what was understood is ambiguous") };
    let is_whole = sent.iter().all(|message| message.is_complete);
    let is_tunnel = sent.iter().any(|message| message.values("upgrade").next().is_some());
    if heads == 0 || heads > 6 || !is_whole || is_tunnel || is_cut {
        return;
    }
    RIG.with(|rig| {
        rig.sent.borrow_mut().extend(sent.into_iter().map(|message| message.body));
        let heard = rig.exchange(if answer.is_empty() { PLAIN } else { answer }, stream, heads);
        check(&rig.sent.borrow(), &heard);
    });
}

/// Judges whole connections, which carry what earlier clients sent, too: a client that went away is still being served when
/// the next one comes.
fn check(sent: &HashSet<Vec<u8>>, heard: &[Vec<u8>]) {
    for bytes in heard {
        let read = strict::requests(bytes);
        let read = read.unwrap_or_else(|why| panic!("the target could misread: {why}: {}", bytes.escape_ascii()));
        for message in read.iter().filter(|message| message.is_complete) {
            assert!(message.values("host").count() == 1, "one host: {}", message.start.escape_ascii());
            assert!(sent.contains(&message.body), "a body that nobody sent: {}", message.body.escape_ascii());
        }
    }
}

impl Rig {
    fn start() -> Rig {
        let script = Shared::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let target = listener.local_addr().expect("an address");
        let shared = Arc::clone(&script);
        std::thread::spawn(move || serve(&listener, &shared));
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port").port();
        let config: Config = serde_json::from_value(serde_json::json!({
            "generation": 1,
            "load_balancers": [{
                "arn": "lb", "name": "lb",
                "addresses": [{"ip": "127.0.0.1"}],
                "listeners": [{
                    "arn": "listener", "port": port, "protocol": "http",
                    "default_actions": [{"type": "forward", "target_groups": [{"arn": "group", "weight": 1}]}],
                }],
            }],
            "target_groups": [{
                "arn": "group", "name": "group", "protocol": "http", "port": 80,
                "health_check": {"path": "/health-of-the-rig", "interval_seconds": 300, "timeout_seconds": 2, "healthy_threshold": 2},
                "targets": [{"id": "127.0.0.1", "port": target.port()}],
            }],
        }))
        .expect("a configuration");
        let (started, has_started) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let balancer = Balancer::start(&Options { workers: 1, ..Options::default() }).await.expect("it starts");
                balancer.apply(config).await.expect("a configuration");
                let mut reports = balancer.reports();
                let is_healthy =
                    |report: &Arc<Report>| report.targets.iter().any(|target| target.state == TargetState::Healthy);
                let wait = tokio::time::timeout(Duration::from_secs(20), reports.wait_for(is_healthy));
                drop(wait.await.expect("the target becomes healthy"));
                let _ = started.send(());
                std::future::pending::<()>().await;
            });
        });
        has_started.recv().expect("the balancer starts");
        Rig { address: (Ipv4Addr::LOCALHOST, port).into(), sent: RefCell::default(), script }
    }

    /// Sends, reads answers until as many came as were asked for or the connection ends, and returns what the target heard.
    fn exchange(&self, answer: &[u8], stream: &[u8], heads: usize) -> Vec<Vec<u8>> {
        {
            let mut script = lock(&self.script);
            script.answer = answer.to_vec();
        }
        let mut client = TcpStream::connect(self.address).expect("the balancer listens");
        client.set_nodelay(true).expect("a socket");
        // A target that does not answer costs this much; the promise does not depend on it.
        client.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
        let _ = client.write_all(stream);
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        while answers(&bytes) < heads {
            match client.read(&mut buffer) {
                Ok(count) if count > 0 && bytes.len() < 1 << 20 => bytes.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        drop(client);
        let script = lock(&self.script);
        script.heard.iter().map(|heard| lock(heard).clone()).filter(|bytes| !bytes.is_empty()).collect()
    }
}

/// Whole answers at the front of what a client got.
fn answers(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Ok((message, rest)) = strict::message(bytes) {
        if !message.is_complete {
            break;
        }
        count += 1;
        bytes = rest;
    }
    count
}

fn serve(listener: &TcpListener, script: &Shared) {
    for stream in listener.incoming().flatten() {
        let script = Arc::clone(script);
        let heard = Arc::new(Mutex::new(Vec::new()));
        {
            let mut script = lock(&script);
            script.heard.retain(|heard| Arc::strong_count(heard) > 1);
            script.heard.push(Arc::clone(&heard));
        }
        std::thread::spawn(move || {
            let _ = converse(stream, &script, &heard);
        });
    }
}

fn converse(mut stream: TcpStream, script: &Shared, heard: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let (mut pending, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        if lock(heard).len() > CONNECTION_BYTES_MAX && pending.is_empty() {
            return stream.shutdown(Shutdown::Both);
        }
        let is_probe = buffer[..count].starts_with(b"GET /health-of-the-rig ");
        pending.extend_from_slice(&buffer[..count]);
        if !is_probe {
            lock(heard).extend_from_slice(&buffer[..count]);
        }
        while let Ok((message, rest)) = strict::message(&pending) {
            if !message.is_complete {
                break;
            }
            pending = rest.to_vec();
            let answer = if is_probe { PLAIN.to_vec() } else { lock(script).answer.clone() };
            stream.write_all(&answer)?;
            // An answer that does not say where it ends, ends with the connection.
            if strict::message(&answer).is_ok_and(|(answer, rest)| answer.is_complete && rest.is_empty()) {
                continue;
            }
            return stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
