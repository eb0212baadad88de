//! CPU a request of three proxies, in one place: the VPC's network namespace, in front of the same task.

use super::longshore::Longshore;
use super::{median, write};
use crate::shell;
use anyhow::{Context, ensure};
use longshore_tests::instance::Instance;
use longshore_tests::wait;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROUNDS: usize = 3;
/// Bytes of an answer's body.
const SIZES: [usize; 2] = [20, 16 << 10];

pub struct Proxy {
    pub name: &'static str,
    /// Bytes of an answer's body.
    pub size: usize,
    /// Microseconds of user and system time.
    pub cpu_per_request: f64,
    pub requests_per_second: f64,
}

pub fn compare(ours: &mut Longshore, instance: &Instance, work: &Path, seconds: u32) -> anyhow::Result<Vec<Proxy>> {
    let task = ours.run_task()?;
    let running = ours.wait(&task, "RUNNING")?;
    let details = running["attachments"][0]["details"].as_array().cloned().unwrap_or_default();
    let address = details
        .iter()
        .find(|detail| detail["name"] == "privateIPv4Address")
        .and_then(|detail| detail["value"].as_str());
    let target = address.context("the task's address")?.to_owned();
    let front = load_balancer(ours, &target)?;
    let netns = instance.run_dir().join("netns").join(&ours.network.vpc);
    let inside = |program: &str| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns.display())).arg(program);
        command
    };

    // The namespace has the load balancer's private address: the others listen on it too, on ports of their own.
    write(&work.join("nginx.conf"), &nginx(work, &front, &target))?;
    write(&work.join("haproxy.cfg"), &haproxy(&front, &target))?;
    let quiet =
        |command: &mut Command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut nginx =
        Guard(quiet(inside("nginx").args(["-p", "."]).current_dir(work).arg("-c").arg(work.join("nginx.conf")))?);
    let mut haproxy = Guard(quiet(inside("haproxy").arg("-f").arg(work.join("haproxy.cfg")))?);
    let balancer = instance.pid("balancer").context("the balancer runs")? as u32;

    let subjects = [("longshore", 80, balancer), ("nginx", 8081, nginx.0.id()), ("haproxy", 8082, haproxy.0.id())];
    for (name, port, _) in &subjects {
        wait::until(&format!("{name} answers through to the task"), Duration::from_secs(40), || {
            let mut command = inside("curl");
            command.args(["-fsS", "--max-time", "2", &format!("http://{front}:{port}/bytes/20")]);
            let output = command.output().map_err(|error| error.to_string())?;
            match output.stdout == b"xxxxxxxxxxxxxxxxxxxx" {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            }
        })?;
    }
    let mut proxies = Vec::new();
    for size in SIZES {
        let mut results: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); subjects.len()];
        for round in 0..=ROUNDS {
            for (index, (_, port, pid)) in subjects.iter().enumerate() {
                let before = cpu_seconds(*pid);
                let mut command = inside("wrk");
                command.args(["-t1", "-c64", &format!("-d{seconds}s"), &format!("http://{front}:{port}/bytes/{size}")]);
                let output = shell::read(&mut command)?;
                let spent = cpu_seconds(*pid) - before;
                let requests = number_before(&output, " requests in").context("wrk's count")?;
                ensure!(!output.contains("Non-2xx"), "errors:\n{output}");
                // The first round warms up.
                if round > 0 {
                    results[index].0.push(spent / requests * 1e6);
                    results[index].1.push(requests / f64::from(seconds));
                }
            }
        }
        proxies.extend(subjects.iter().zip(results).map(|((name, _, _), (cpu, rate))| Proxy {
            name,
            size,
            cpu_per_request: median(&cpu).unwrap_or_default(),
            requests_per_second: median(&rate).unwrap_or_default(),
        }));
    }
    nginx.end();
    haproxy.end();
    ours.stop(&task)?;
    Ok(proxies)
}

/// A load balancer with the task as its one target: a private address of it.
fn load_balancer(ours: &Longshore, target: &str) -> anyhow::Result<String> {
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
    aws.call(&[
        "elbv2",
        "create-listener",
        "--load-balancer-arn",
        &arn,
        "--protocol",
        "HTTP",
        "--port",
        "80",
        "--default-actions",
        &action,
    ])?;
    let filter = "Name=description,Values=ELB app/bench/*";
    let interfaces = ["ec2", "describe-network-interfaces", "--filters", filter];
    aws.text(&interfaces, "NetworkInterfaces[0].PrivateIpAddress")
}

fn nginx(work: &Path, front: &str, target: &str) -> String {
    format!(
        "daemon off; master_process off; worker_processes 1; pid {}; error_log /dev/null;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000;\n\
           upstream app {{ server {target}:8080; keepalive 64; keepalive_requests 1000000; }}\n\
           server {{ listen {front}:8081; location / {{\n\
             proxy_bind {front}; proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port; }} }} }}\n",
        work.join("nginx.pid").display()
    )
}

fn haproxy(front: &str, target: &str) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 1024\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  option forwardfor\n  http-reuse always\n\
         frontend in\n  bind {front}:8082\n  default_backend app\n\
         backend app\n  source {front}\n  server a {target}:8080\n"
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

struct Guard(Child);

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
