//! The control plane alone (`--runtime none`, simulated tasks): what its calls cost, and how soon a full one is back.

use super::{memory, proxy::Guard};
use crate::shell;
use anyhow::Context;
use longshore_tests::api::Api;
use longshore_tests::aws::Aws;
use longshore_tests::http::Connection;
use longshore_tests::instance::Instance;
use longshore_tests::wait;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// CPU time of a server for a call, microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// One client waits for each answer: its processor goes to sleep and wakes up for each call.
    pub one: f64,
    /// [`AT_ONCE`] clients.
    pub many: f64,
}

pub const AT_ONCE: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// RegisterTaskDefinition calls answered a second, each durable, with so many clients.
    pub registered: f64,
    pub clients: usize,
    /// Tasks that the figures below are among.
    pub tasks: usize,
    /// RunTask calls of ten tasks each: tasks a second until the last is RUNNING.
    pub launched: f64,
    /// A DescribeTasks of ten.
    pub describe: Cost,
    /// The same, signed by a user of `--auth iam` whom AmazonECS_FullAccess lets do it.
    pub describe_as_user: Cost,
    /// A ListTasks page of a hundred.
    pub list: Cost,
    /// A file from nginx as long as the answer to that DescribeTasks, in rounds between ours: how fast the machine is just then.
    pub file: Cost,
    /// `longshore up` executed, to the first healthy answer, milliseconds.
    pub ready: f64,
    /// PSS of all processes after that, KiB.
    pub pss: u64,
}

pub fn measure(binary: &Path, tasks: usize) -> anyhow::Result<Control> {
    let mut instance = Instance::started(binary, "none")?;
    let mut api = Api::open(instance.listen)?;
    let aws = Aws::new(&instance).with_program(&crate::machine::aws()?.display().to_string(), false);
    let subnets = aws.call(&["ec2", "describe-subnets", "--query", "Subnets[].SubnetId"])?;
    let (arns, launched) = launch(&mut api, &subnets, tasks)?;
    let server = instance.pid("server").context("a server")?;
    let ten: Vec<&str> = arns.iter().step_by((tasks / 10).max(1)).take(10).map(String::as_str).collect();
    wait::until("the server rests", Duration::from_secs(60), || {
        let before = cpu_nanoseconds(server);
        std::thread::sleep(Duration::from_millis(500));
        let spent = cpu_nanoseconds(server) - before;
        if spent < 5_000_000 { Ok(()) } else { Err(format!("{spent} ns of CPU in half a second")) }
    })?;
    drop(api);
    let open = ("longshore", "longshore");
    let describe = Call::signed(&instance, "DescribeTasks", json!({"tasks": ten}), open)?;
    let list = Call::signed(&instance, "ListTasks", json!({}), open)?;
    let nginx = Nginx::start(&instance.dir.join("nginx"), &describe.send(&mut describe.connect()?)?)?;
    let [describe, list, file] = costs([&describe, &list, &nginx.call()])?;
    drop(nginx);
    instance.interrupt()?;
    let started = Instant::now();
    instance.spawn()?;
    while !instance.is_ready() {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(30), "not ready after 30 s");
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = started.elapsed().as_secs_f64() * 1000.0;
    memory::settle();
    let dir = instance.dir.display().to_string();
    let pss = memory::pss_of(&memory::processes(|command| command.contains(&dir)));
    instance.interrupt()?;
    instance.options = ["--auth", "iam"].map(str::to_owned).to_vec();
    instance.up()?;
    let (key, secret) = user(&instance)?;
    let [describe_as_user] =
        costs([&Call::signed(&instance, "DescribeTasks", json!({"tasks": ten}), (&key, &secret))?])?;
    instance.interrupt()?;
    instance.options.clear();
    instance.up()?;
    // Last: thousands of definitions would weigh more than the tasks.
    let clients = 64;
    let registered = register(&instance, clients, Duration::from_secs(5))?;
    instance.down()?;
    Ok(Control { registered, clients, tasks, launched, describe, describe_as_user, list, file, ready, pss })
}

/// The key of a user who may do everything in ECS.
fn user(instance: &Instance) -> anyhow::Result<(String, String)> {
    let root = Aws::root(instance)?.with_program(&crate::machine::aws()?.display().to_string(), false);
    root.call(&["iam", "create-user", "--user-name", "ann"])?;
    let policy = "arn:aws:iam::aws:policy/AmazonECS_FullAccess";
    root.call(&["iam", "attach-user-policy", "--user-name", "ann", "--policy-arn", policy])?;
    let key = root.call(&["iam", "create-access-key", "--user-name", "ann"])?;
    let text = |name: &str| key["AccessKey"][name].as_str().map(str::to_owned).context("a key");
    Ok((text("AccessKeyId")?, text("SecretAccessKey")?))
}

/// A request that is sent again and again, and the process whose time it costs.
struct Call {
    pid: i32,
    listen: SocketAddr,
    method: &'static str,
    path: &'static str,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Call {
    /// As botocore signs it. One signature is good for minutes, as on AWS.
    fn signed(instance: &Instance, operation: &str, body: Value, (key, secret): (&str, &str)) -> anyhow::Result<Self> {
        let python = crate::machine::venv(&["awscli", "botocore"])?.join("bin/python");
        let (listen, body) = (instance.listen, body.to_string());
        let mut sign = Command::new(python);
        sign.arg("-c").arg(SIGN).arg(listen.to_string()).args([key, secret, operation, &body]);
        let headers = serde_json::from_str(&shell::read(&mut sign)?)?;
        Ok(Self { pid: instance.pid("server").context("a server")?, listen, method: "POST", path: "/", headers, body })
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.listen, &self.listen.to_string())
    }

    /// The answer's body. Nothing is done with it, so that the server has no time to cool down.
    fn send(&self, connection: &mut Connection) -> anyhow::Result<Vec<u8>> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = connection.request(self.method, self.path, &headers, self.body.as_bytes())?;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(answer.body)
    }

    /// Microseconds of CPU for each of a thousand calls, which these clients share.
    fn round(&self, clients: &mut [Connection]) -> anyhow::Result<f64> {
        let each = 1000 / clients.len();
        let calls = each * clients.len();
        let before = cpu_nanoseconds(self.pid);
        std::thread::scope(|scope| {
            let send = |client: &mut Connection| (0..each).try_for_each(|_| self.send(client).map(drop));
            let threads: Vec<_> = clients.iter_mut().map(|client| scope.spawn(move || send(client))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("clients do not panic"))
        })?;
        Ok(cpu_nanoseconds(self.pid).saturating_sub(before) as f64 / 1000.0 / calls as f64)
    }
}

/// The medians of rounds in turn, after one that does not count. A round takes a tenth of a second, and on a shared machine some
/// fall into a slow one.
fn costs<const N: usize>(calls: [&Call; N]) -> anyhow::Result<[Cost; N]> {
    let mut clients = Vec::new();
    for call in calls {
        clients.push((0..AT_ONCE).map(|_| call.connect()).collect::<anyhow::Result<Vec<_>>>()?);
    }
    let mut rounds: [(Vec<f64>, Vec<f64>); N] = std::array::from_fn(|_| Default::default());
    for round in 0..=15 {
        for ((call, clients), (one, many)) in calls.iter().zip(&mut clients).zip(&mut rounds) {
            let costs = (call.round(&mut clients[..1])?, call.round(clients)?);
            if round > 0 {
                one.push(costs.0);
                many.push(costs.1);
            }
        }
    }
    let middle = |rounds: &[f64]| super::median(rounds).unwrap_or_default();
    Ok(rounds.map(|(one, many)| Cost { one: middle(&one), many: middle(&many) }))
}

/// nginx with one file.
struct Nginx {
    process: Guard,
    listen: SocketAddr,
}

impl Nginx {
    fn start(dir: &Path, file: &[u8]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("answer"), file)?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let dir = dir.display();
        let settings = format!(
            "daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/log; user root;\n\
             events {{ }}\n\
             http {{ access_log off; keepalive_requests 1000000; open_file_cache max=10; sendfile on; tcp_nopush on;\n\
               server {{ listen {listen}; root {dir}; }} }}\n",
        );
        std::fs::write(format!("{dir}/conf"), settings)?;
        let process = Command::new("nginx").args(["-p", "."]).arg("-c").arg(format!("{dir}/conf")).spawn()?;
        let process = Guard(process);
        wait::until("nginx listens", Duration::from_secs(5), || {
            TcpStream::connect(listen).map(drop).map_err(|error| error.to_string())
        })?;
        Ok(Self { process, listen })
    }

    fn call(&self) -> Call {
        let (pid, headers) = (self.process.0.id() as i32, BTreeMap::new());
        Call { pid, listen: self.listen, method: "GET", path: "/answer", headers, body: String::new() }
    }
}

/// Prints the headers of a call as botocore signs it: address, key, secret, operation, body.
const SIGN: &str = "
import json, sys
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
address, key, secret, operation, body = sys.argv[1:]
headers = {'X-Amz-Target': f'AmazonEC2ContainerServiceV20141113.{operation}', 'Content-Type': 'application/x-amz-json-1.1'}
request = AWSRequest('POST', f'http://{address}/', headers=headers, data=body)
SigV4Auth(Credentials(key, secret), 'ecs', 'us-east-1').add_auth(request)
print(json.dumps(dict(request.headers)))
";

fn definition(family: &str) -> Value {
    json!({
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": "web", "portMappings": [{"containerPort": 8080}]}],
    })
}

fn register(instance: &Instance, clients: usize, time: Duration) -> anyhow::Result<f64> {
    let until = Instant::now() + time;
    let counts = std::thread::scope(|scope| {
        let client = |number: usize| {
            scope.spawn(move || -> anyhow::Result<usize> {
                let mut api = Api::open(instance.listen)?;
                let definition = definition(&format!("family-{number}"));
                let mut count = 0;
                while Instant::now() < until {
                    api.ecs("RegisterTaskDefinition", &definition)?;
                    count += 1;
                }
                Ok(count)
            })
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        clients.into_iter().map(|client| client.join().expect("clients do not panic")).collect::<Vec<_>>()
    });
    let counts: Vec<usize> = counts.into_iter().collect::<anyhow::Result<_>>()?;
    Ok(counts.iter().sum::<usize>() as f64 / time.as_secs_f64())
}

/// Runs tasks by the ten: their ARNs, and how many a second.
fn launch(api: &mut Api, subnets: &Value, tasks: usize) -> anyhow::Result<(Vec<String>, f64)> {
    api.ecs("CreateCluster", &json!({}))?;
    api.ecs("RegisterTaskDefinition", &definition("many"))?;
    let network = json!({"awsvpcConfiguration": {"subnets": subnets}});
    let started = Instant::now();
    let mut arns = Vec::with_capacity(tasks);
    for _ in 0..tasks / 10 {
        let input =
            json!({"taskDefinition": "many", "launchType": "FARGATE", "count": 10, "networkConfiguration": network});
        let answer = api.ecs("RunTask", &input)?;
        let started = answer["tasks"].as_array().context("tasks")?.iter().filter_map(|task| task["taskArn"].as_str());
        arns.extend(started.map(str::to_owned));
    }
    for arn in arns.rchunks(100).take(1).flatten() {
        wait::until("the last tasks run", Duration::from_secs(120), || {
            let answer = api.ecs("DescribeTasks", &json!({"tasks": [arn]})).map_err(|error| error.to_string())?;
            (answer["tasks"][0]["lastStatus"] == "RUNNING").then_some(()).ok_or_else(|| answer.to_string())
        })?;
    }
    let launched = arns.len() as f64 / started.elapsed().as_secs_f64();
    Ok((arns, launched))
}

/// CPU time of all threads of a process, by the scheduler's own clock.
pub fn cpu_nanoseconds(pid: i32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = threads.map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default());
    times.filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok()).sum()
}
