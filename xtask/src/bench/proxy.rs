//! CPU a request of three proxies, in one place: the VPC's network namespace, in front of the same task; with rules,
//! with TLS and with handshakes. Then the memory of many clients that do nothing.

use super::longshore::Longshore;
use super::{median, memory, write};
use crate::shell;
use anyhow::{Context, ensure};
use longshore_tests::http::Connection;
use longshore_tests::instance::Instance;
use longshore_tests::wait;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const ROUNDS: usize = 7;
/// Bytes of an answer's body.
const SIZES: [usize; 2] = [20, 16 << 10];
/// Rules that match no request, on a listener of their own.
const RULES: usize = 100;
pub const IDLE_CLIENTS: usize = 10_000;

pub struct Proxy {
    pub name: &'static str,
    /// The first of those that are compared with each other.
    pub is_base: bool,
    /// Bytes of an answer's body.
    pub size: usize,
    /// Microseconds of user and system time.
    pub cpu_per_request: f64,
    pub requests_per_second: f64,
    /// Of a hundred requests, 99 took no longer.
    pub p99_ms: f64,
}

/// One round of each subject.
#[derive(Clone, Default)]
struct Rounds {
    cpu: Vec<f64>,
    rate: Vec<f64>,
    p99_ms: Vec<f64>,
}

/// What is measured: a proxy, and a way to ask it.
struct Subject {
    name: &'static str,
    url: String,
    pid: u32,
    /// A connection for each request.
    closes: bool,
    is_base: bool,
}

#[derive(Default)]
pub struct Measured {
    pub proxies: Vec<Proxy>,
    /// KiB of PSS that [`IDLE_CLIENTS`] connections cost the balancer.
    pub idle_clients: i64,
}

pub fn compare(ours: &mut Longshore, instance: &Instance, work: &Path, seconds: u32) -> anyhow::Result<Measured> {
    let task = ours.run_unbound_task()?;
    let running = ours.wait(&task, "RUNNING")?;
    let details = running["attachments"][0]["details"].as_array().cloned().unwrap_or_default();
    let address = details
        .iter()
        .find(|detail| detail["name"] == "privateIPv4Address")
        .and_then(|detail| detail["value"].as_str());
    let target = address.context("the task's address")?.to_owned();
    let certificate = work.join("certificate.pem");
    certify(work, &certificate)?;
    let front = load_balancer(ours, instance, &target, work)?;
    let netns = instance.run_dir().join("netns").join(&ours.network.vpc);
    let inside = |program: &str| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns.display())).arg(program);
        command
    };

    // The namespace has the load balancer's private address: the others listen on it too, on ports of their own.
    write(&work.join("nginx.conf"), &nginx(work, &front, &target, &certificate))?;
    write(&work.join("haproxy.cfg"), &haproxy(&front, &target, &certificate))?;
    let quiet =
        |command: &mut Command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut nginx =
        Guard(quiet(inside("nginx").args(["-p", "."]).current_dir(work).arg("-c").arg(work.join("nginx.conf")))?);
    let mut haproxy = Guard(quiet(inside("haproxy").arg("-f").arg(work.join("haproxy.cfg")))?);
    let balancer = instance.pid("balancer").context("the balancer runs")? as u32;

    let subject = |name, scheme: &str, port: u16, pid, closes, is_base| Subject {
        name,
        url: format!("{scheme}://{front}:{port}/bytes"),
        pid,
        closes,
        is_base,
    };
    let (nginx_pid, haproxy_pid) = (nginx.0.id(), haproxy.0.id());
    let subjects = [
        subject("longshore", "http", 80, balancer, false, true),
        subject("nginx", "http", 8081, nginx_pid, false, false),
        subject("haproxy", "http", 8082, haproxy_pid, false, false),
        subject("longshore, 100 rules before the one that matches", "http", 83, balancer, false, false),
        subject("longshore, TLS 1.3", "https", 443, balancer, false, true),
        subject("nginx, TLS 1.3", "https", 8444, nginx_pid, false, false),
        subject("haproxy, TLS 1.3", "https", 8445, haproxy_pid, false, false),
        subject("longshore, TLS 1.3, a handshake for each request", "https", 443, balancer, true, true),
        subject("nginx, TLS 1.3, a handshake for each request", "https", 8444, nginx_pid, true, false),
        subject("haproxy, TLS 1.3, a handshake for each request", "https", 8445, haproxy_pid, true, false),
    ];
    for Subject { name, url, .. } in &subjects {
        wait::until(&format!("{name} answers through to the task"), Duration::from_secs(40), || {
            let mut command = inside("curl");
            command.args(["-fsSk", "--max-time", "2", &format!("{url}/20")]);
            let output = command.output().map_err(|error| error.to_string())?;
            match output.stdout == b"xxxxxxxxxxxxxxxxxxxx" {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            }
        })?;
    }
    let mut proxies = Vec::new();
    for size in SIZES {
        // A handshake costs so much that the body's size does not show.
        let subjects: Vec<&Subject> = subjects.iter().filter(|subject| size == SIZES[0] || !subject.closes).collect();
        let mut results = vec![Rounds::default(); subjects.len()];
        for round in 0..=ROUNDS {
            // In an order of chance: what one leaves behind is not always the same one's burden.
            let chance = RandomState::new();
            let mut order: Vec<_> = subjects.iter().enumerate().collect();
            order.sort_by_key(|(index, _)| chance.hash_one(index));
            for (index, Subject { url, pid, closes, .. }) in order {
                let before = cpu_seconds(*pid);
                let mut command = inside("wrk");
                command.args(["-t1", "-c64", "--latency", &format!("-d{seconds}s"), &format!("{url}/{size}")]);
                if *closes {
                    command.args(["-H", "Connection: close"]);
                }
                let output = shell::read(&mut command)?;
                let spent = cpu_seconds(*pid) - before;
                let requests = number_before(&output, " requests in").context("wrk's count")?;
                ensure!(!output.contains("Non-2xx"), "errors:\n{output}");
                // The first round warms up.
                if round > 0 {
                    let rounds = &mut results[index];
                    rounds.cpu.push(spent / requests * 1e6);
                    rounds.rate.push(requests / f64::from(seconds));
                    rounds.p99_ms.push(percentile_ms(&output, "99%").context("wrk's latencies")?);
                }
            }
        }
        proxies.extend(subjects.iter().zip(results).map(|(subject, rounds)| Proxy {
            name: subject.name,
            is_base: subject.is_base,
            size,
            cpu_per_request: median(&rounds.cpu).unwrap_or_default(),
            requests_per_second: median(&rounds.rate).unwrap_or_default(),
            p99_ms: median(&rounds.p99_ms).unwrap_or_default(),
        }));
    }
    nginx.end();
    haproxy.end();
    let idle_clients = idle_clients(&host_address(instance)?, balancer)?;
    ours.stop(&task)?;
    Ok(Measured { proxies, idle_clients })
}

/// Opens connections from the host, asks each once, and lets them rest: KiB of PSS that the balancer grew by.
fn idle_clients(address: &str, balancer: u32) -> anyhow::Result<i64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a valid structure; the second call only reads it.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
    ensure!(limit.rlim_cur > IDLE_CLIENTS as u64 + 100, "{} descriptors are too few", limit.rlim_cur);
    memory::settle();
    let before = memory::pss(balancer) as i64;
    let mut clients = Vec::with_capacity(IDLE_CLIENTS);
    for _ in 0..IDLE_CLIENTS {
        let mut client = TcpStream::connect((address, 80))?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        client.write_all(b"GET /bytes/20 HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = [0; 1024];
        let count = client.read(&mut answer)?;
        ensure!(answer[..count].starts_with(b"HTTP/1.1 200"), "not answered");
        clients.push(client);
    }
    // Quiet connections let go of their buffers after two seconds, and memory goes back every five.
    std::thread::sleep(Duration::from_secs(6));
    memory::settle();
    Ok(memory::pss(balancer) as i64 - before)
}

/// The load balancer's address on the host.
fn host_address(instance: &Instance) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(instance.run_dir().join("balancer.json"))?;
    let config: serde_json::Value = serde_json::from_str(&text)?;
    let addresses = config["load_balancers"][0]["addresses"].as_array().cloned().unwrap_or_default();
    let on_host = addresses.iter().find(|address| address["namespace"].is_null());
    on_host.and_then(|address| address["ip"].as_str()).map(str::to_owned).context("an address on the host")
}

/// A certificate and its key, for all three.
fn certify(work: &Path, both: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7"]);
    command.args(["-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example", "-keyout", "key.pem"]);
    shell::read(command.args(["-out", "chain.pem"]).current_dir(work))?;
    let read = |name: &str| std::fs::read_to_string(work.join(name));
    write(both, &format!("{}{}", read("chain.pem")?, read("key.pem")?))
}

/// A load balancer with the task as its one target: a private address of it.
fn load_balancer(ours: &Longshore, instance: &Instance, target: &str, work: &Path) -> anyhow::Result<String> {
    let [subnet1, subnet2] = &ours.network.subnets;
    let aws = &ours.aws;
    let create = [
        "elbv2",
        "create-load-balancer",
        "--name",
        "bench",
        "--subnets",
        subnet1,
        subnet2,
        "--security-groups",
        &ours.group,
    ];
    let arn = aws.text(&create, "LoadBalancers[0].LoadBalancerArn")?;
    let create = [
        "elbv2",
        "create-target-group",
        "--name",
        "bench",
        "--protocol",
        "HTTP",
        "--port",
        "8080",
        "--vpc-id",
        &ours.network.vpc,
        "--target-type",
        "ip",
    ];
    let group = aws.text(&create, "TargetGroups[0].TargetGroupArn")?;
    aws.call(&[
        "elbv2",
        "register-targets",
        "--target-group-arn",
        &group,
        "--targets",
        &format!("Id={target},Port=8080"),
    ])?;
    let action = format!("Type=forward,TargetGroupArn={group}");
    let listen = |protocol: &str, port: &str, more: &[&str]| {
        let mut create = vec!["elbv2", "create-listener", "--load-balancer-arn", &arn, "--protocol", protocol];
        create.extend(["--port", port, "--default-actions", &action]);
        create.extend(more);
        aws.text(&create, "Listeners[0].ListenerArn")
    };
    listen("HTTP", "80", &[])?;
    let file = |name: &str| format!("fileb://{}", work.join(name).display());
    let import = ["acm", "import-certificate", "--certificate", &file("chain.pem"), "--private-key", &file("key.pem")];
    let certificate = aws.text(&import, "CertificateArn")?;
    let policy = "ELBSecurityPolicy-TLS13-1-3-2021-06";
    listen("HTTPS", "443", &["--certificates", &format!("CertificateArn={certificate}"), "--ssl-policy", policy])?;
    let ruled = listen("HTTP", "83", &[])?;
    add_rules(instance, &ruled, &group)?;
    let filter = "Name=description,Values=ELB app/bench/*";
    let interfaces = ["ec2", "describe-network-interfaces", "--filters", filter];
    aws.text(&interfaces, "NetworkInterfaces[0].PrivateIpAddress")
}

/// Without the CLI, which would take a minute for them.
fn add_rules(instance: &Instance, listener: &str, group: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(instance.listen, &instance.listen.to_string())?;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=longshore/20260101/us-east-1/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature={:064x}",
        0
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", authorization.as_str())];
    for priority in 1..=RULES {
        let body = format!(
            "Action=CreateRule&Version=2015-12-01&ListenerArn={listener}&Priority={priority}&Conditions.member.1.Field=path-pattern\
             &Conditions.member.1.Values.member.1=/never/{priority}/*&Actions.member.1.Type=forward\
             &Actions.member.1.TargetGroupArn={group}"
        );
        let answer = connection.request("POST", "/", &headers, body.as_bytes())?;
        ensure!(answer.status == 200, "CreateRule: {}", String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}

fn nginx(work: &Path, front: &str, target: &str, certificate: &Path) -> String {
    format!(
        "daemon off; master_process off; worker_processes 1; pid {}; error_log /dev/null;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000;\n\
           upstream app {{ server {target}:8080; keepalive 64; keepalive_requests 1000000; }}\n\
           ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.3;\n\
           server {{ listen {front}:8081; listen {front}:8444 ssl; location / {{\n\
             proxy_bind {front}; proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port; }} }} }}\n",
        work.join("nginx.pid").display(),
        certificate = certificate.display(),
    )
}

fn haproxy(front: &str, target: &str, certificate: &Path) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 1024\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  option forwardfor\n  http-reuse always\n\
         frontend in\n  bind {front}:8082\n  bind {front}:8445 ssl crt {} ssl-min-ver TLSv1.3\n  default_backend app\n\
         backend app\n  source {front}\n  server a {target}:8080\n",
        certificate.display()
    )
}

/// User and system time of a process, all threads.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    // SAFETY: sysconf has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    (ticks(11) + ticks(12)) / per_second
}

fn number_before(text: &str, marker: &str) -> Option<f64> {
    text.split(marker).next()?.rsplit(|c: char| c.is_whitespace()).next()?.parse().ok()
}

/// Of wrk's table of latencies: `     99%    5.12ms`.
fn percentile_ms(text: &str, which: &str) -> Option<f64> {
    let mut words = text.lines().find(|line| line.trim_start().starts_with(which))?.split_whitespace();
    let time = words.nth(1)?;
    let (number, in_ms) = match time {
        _ if time.ends_with("us") => (time.strip_suffix("us")?, 0.001),
        _ if time.ends_with("ms") => (time.strip_suffix("ms")?, 1.0),
        _ => (time.strip_suffix('s')?, 1000.0),
    };
    Some(number.parse::<f64>().ok()? * in_ms)
}

pub(super) struct Guard(pub Child);

impl Guard {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_in_three_units() {
        let table = "  Latency Distribution\n     50%  980.00us\n     99%    5.12ms\n     99.9%   1.50s\n";
        assert_eq!(
            ["50%", "99%", "99.9%", "75%"].map(|which| percentile_ms(table, which)),
            [Some(0.98), Some(5.12), Some(1500.0), None]
        );
    }
}
