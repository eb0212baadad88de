//! A host of its own for each test, tasks as sleeping processes, and servers and clients inside them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longshore_network::namespace::path_of;
use longshore_network::*;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Long enough for the slowest accepted connection on a busy machine, short enough to wait for each denied one.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);

pub struct Lab {
    pub options: NetworkOptions,
    network: Option<Network>,
    tasks: Vec<Child>,
}

pub struct Task {
    pub pid: u32,
    pub eni: Eni,
}

/// Runs `test` on a host of its own, then takes everything down and checks that nothing is left.
pub fn in_lab(test: impl AsyncFnOnce(&mut Lab) + Send + 'static) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let host = std::thread::spawn(move || {
        // SAFETY: only the network namespace is unshared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        run("ip", "link set lo up");
        // A new namespace inherits the machine's.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let before = traces();
        let run_dir = PathBuf::from(format!("/tmp/longshore-network-{}-{number}", std::process::id()));
        let options = NetworkOptions::new(&run_dir, "lt");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async {
            let network = Some(Network::open(options.clone()).await.unwrap());
            let mut lab = Lab { options: options.clone(), network, tasks: vec![] };
            let outcome = CatchUnwind(Box::pin(test(&mut lab))).await;
            lab.close();
            outcome
        });
        let down = runtime.block_on(teardown_when_free(&options));
        if let Err(panic) = result {
            panic::resume_unwind(panic);
        }
        down.unwrap();
        assert_eq!(traces(), before, "something is left of the network");
        assert!(!run_dir.exists(), "something is left in {}", run_dir.display());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(run_dir.to_str().unwrap()), "a mount is left");
    });
    if let Err(panic) = host.join() {
        panic::resume_unwind(panic);
    }
}

struct CatchUnwind<F>(std::pin::Pin<Box<F>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = std::thread::Result<F::Output>;
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        match panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Ok(std::task::Poll::Ready(value)) => std::task::Poll::Ready(Ok(value)),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    }
}

/// A dropped `Network` lets go of its lock when its thread has ended, a moment later.
pub async fn teardown_when_free(options: &NetworkOptions) -> Result<(), NetworkError> {
    for _ in 0..100 {
        match teardown(options).await {
            Err(NetworkError::Busy(_)) => std::thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
    teardown(options).await
}

/// All that teardown has to put back, as seen by the usual tools.
pub fn traces() -> String {
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    format!("{}{}{}{forwarding}", output("ip", "-br link"), output("ip", "route"), output("nft", "list ruleset"))
}

impl Lab {
    fn close(self) {
        for mut task in self.tasks {
            let _ = task.kill();
            let _ = task.wait();
        }
    }

    pub fn network(&self) -> &Network {
        self.network.as_ref().unwrap()
    }

    /// Drops the network as a crash would and opens it again.
    pub async fn crash(&mut self) {
        self.stop();
        self.reopen().await;
    }

    pub fn stop(&mut self) {
        self.network = None;
    }

    /// Opens again as soon as the old thread has let go of the lock.
    pub async fn reopen(&mut self) {
        for _ in 0..200 {
            match Network::open(self.options.clone()).await {
                Err(NetworkError::Busy(_)) => std::thread::sleep(Duration::from_millis(5)),
                result => {
                    self.network = Some(result.unwrap());
                    return;
                }
            }
        }
        panic!("the network stays busy");
    }

    /// A process in a network namespace of its own, with no interface.
    pub fn spawn(&mut self) -> u32 {
        let mut command = Command::new("sleep");
        command.arg("600").stdin(Stdio::null());
        // SAFETY: unshare is one system call, fine between fork and exec.
        unsafe { command.pre_exec(|| Ok(unshare_unsafe(UnshareFlags::NEWNET)?)) };
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.tasks.push(child);
        pid
    }

    /// Kills a task as a crash would; its namespace goes with it.
    pub fn kill(&mut self, pid: u32) {
        let position = self.tasks.iter().position(|task| task.id() == pid).unwrap();
        let mut task = self.tasks.swap_remove(position);
        task.kill().unwrap();
        task.wait().unwrap();
    }

    /// A new task at `address` of `vpc`, in these groups.
    pub async fn task(&mut self, vpc: &str, address: &str, groups: &[&str]) -> Task {
        self.task_with(vpc, eni(vpc, address, groups)).await
    }

    pub async fn task_with(&mut self, vpc: &str, eni: Eni) -> Task {
        let pid = self.spawn();
        self.network().attach(vpc, &eni, pid).await.unwrap();
        Task { pid, eni }
    }

    pub fn vpc_path(&self, vpc: &str) -> PathBuf {
        path_of(&self.options.run_dir, vpc)
    }
}

pub fn eni(vpc: &str, address: &str, groups: &[&str]) -> Eni {
    let address: Ipv4Addr = address.parse().unwrap();
    let [a, b, c, d] = address.octets();
    Eni {
        id: format!("eni-{vpc}{:08x}", address.to_bits()),
        address,
        subnet: ["a", "b", "c"].get(usize::from(c) - 1).unwrap_or(&"a").to_string(),
        mac: MacAddr([0x0a, 0x58, a, b, c, d]),
        security_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        public_address: None,
    }
}

impl Task {
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid))
    }

    /// Listens on every address and tells each client who it seems to be, then echoes.
    pub fn serve(&self, port: u16) {
        serve_in(self.path(), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    }

    /// Connects; what the server said about us.
    pub fn connect(&self, address: Ipv4Addr, port: u16) -> io::Result<String> {
        connect_in(self.path(), None, SocketAddr::from((address, port)))
    }

    /// Runs a command inside the task's namespace.
    pub fn run(&self, program: &'static str, arguments: &str) -> String {
        let arguments = arguments.to_owned();
        open_in_namespace(&self.path(), move || output(program, &arguments)).unwrap()
    }
}

pub fn serve_in(path: PathBuf, address: SocketAddr) {
    let listener = open_in_namespace(&path, move || TcpListener::bind(address)).unwrap().unwrap();
    serve(listener);
}

pub fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            std::thread::spawn(move || {
                let _ = writeln!(stream, "{}", peer.ip());
                let mut byte = [0];
                while stream.read(&mut byte).is_ok_and(|length| length == 1) && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

pub fn open_stream(path: PathBuf, address: SocketAddr) -> io::Result<TcpStream> {
    open_in_namespace(&path, move || TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)).unwrap()
}

/// Connects from `source`, if one is given; what the server said about us.
pub fn connect_in(path: PathBuf, source: Option<Ipv4Addr>, address: SocketAddr) -> io::Result<String> {
    let stream = match source {
        None => open_stream(path, address)?,
        Some(source) => connect_from(path, source, address)?,
    };
    greeting(stream)
}

fn connect_from(path: PathBuf, source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::*;
    use std::os::fd::OwnedFd;
    open_in_namespace(&path, move || -> io::Result<TcpStream> {
        let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        // Also bounds connect.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(CONNECT_TIMEOUT))?;
        bind(&socket, &SocketAddr::from((source, 0)))?;
        connect(&socket, &address).map_err(|error| match error {
            rustix::io::Errno::INPROGRESS | rustix::io::Errno::AGAIN => io::ErrorKind::TimedOut.into(),
            other => io::Error::from(other),
        })?;
        Ok(socket.into())
    })
    .unwrap()
}

pub fn greeting(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    let mut text = String::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        text.push(byte[0] as char);
    }
    Ok(text)
}

/// Whether a byte sent on an open connection comes back.
pub fn still_echoes(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(CONNECT_TIMEOUT)).unwrap();
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read(&mut byte).is_ok_and(|length| length == 1)
}

/// Asserts that a connection was dropped without an answer.
#[track_caller]
pub fn denied(result: io::Result<String>) {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {}
        other => panic!("expected a timeout, got {other:?}"),
    }
}

/// Asserts that a connection was made, and from which address it seemed to come.
#[track_caller]
pub fn allowed(result: io::Result<String>, source: &str) {
    assert_eq!(result.unwrap(), source);
}

/// Sends a datagram in one namespace; whether it arrived at the socket, which answers: from then on the flow is tracked as
/// an established one.
pub fn datagram_arrives(path: PathBuf, source: SocketAddr, receiver: &UdpSocket, to: SocketAddr) -> bool {
    let sent = open_in_namespace(&path, move || UdpSocket::bind(source)?.send_to(b"hello", to)).unwrap();
    receiver.set_read_timeout(Some(CONNECT_TIMEOUT)).unwrap();
    sent.is_ok() && receiver.recv_from(&mut [0; 16]).is_ok_and(|(_, client)| receiver.send_to(b"yes", client).is_ok())
}

pub fn udp_in(path: PathBuf, address: SocketAddr) -> UdpSocket {
    open_in_namespace(&path, move || UdpSocket::bind(address)).unwrap().unwrap()
}

pub fn run(program: &str, arguments: &str) {
    let status = Command::new(program).args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "{program} {arguments}");
}

pub fn output(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// Rule texts: `80 from 10.0.0.0/16`, `80 from sg-lb`, `all from 0.0.0.0/0`, `udp 53 from sg-a`.
pub fn rule(text: &str) -> Rule {
    let (what, peer) = text.split_once(" from ").or_else(|| text.split_once(" to ")).unwrap();
    let traffic = match what.split_once(' ') {
        None if what == "all" => Traffic::All,
        None if what == "icmp" => Traffic::Icmp { kind: None, code: None },
        None => Traffic::Tcp(PortRange::one(what.parse().unwrap())),
        Some((_, port)) => Traffic::Udp(PortRange::one(port.parse().unwrap())),
    };
    Rule { traffic, peer: peer.parse().map_or_else(|_| Peer::Group(peer.to_owned()), Peer::Cidr) }
}

/// A group that may send everything and receive what `ingress` says.
pub fn group(id: &str, ingress: &[&str]) -> SecurityGroup {
    group_with(id, ingress, &["all to 0.0.0.0/0"])
}

pub fn group_with(id: &str, ingress: &[&str], egress: &[&str]) -> SecurityGroup {
    let rules = |texts: &[&str]| texts.iter().map(|text| rule(text)).collect();
    SecurityGroup { id: id.into(), ingress: rules(ingress), egress: rules(egress) }
}

/// A VPC 10.0.0.0/16 with subnets `a` 10.0.1.0/24 (internet), `b` 10.0.2.0/24 (isolated), `c` 10.0.3.0/24 (NAT).
pub fn vpc(id: &str, security_groups: Vec<SecurityGroup>) -> Vpc {
    let subnet = |id: &str, cidr: &str, table: &str| Subnet {
        id: id.into(),
        cidr: cidr.parse().unwrap(),
        route_table: table.into(),
        network_acl: None,
    };
    let nat = RouteTarget::Nat { address: ip(NAT), subnet: "a".into() };
    Vpc {
        id: id.into(),
        cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        subnets: vec![
            subnet("a", "10.0.1.0/24", "public"),
            subnet("b", "10.0.2.0/24", "isolated"),
            subnet("c", "10.0.3.0/24", "private"),
        ],
        route_tables: vec![
            table("public", &[("0.0.0.0/0", RouteTarget::Internet)]),
            table("isolated", &[]),
            table("private", &[("0.0.0.0/0", nat)]),
        ],
        network_acls: vec![],
        security_groups,
        local_addresses: vec![],
    }
}

/// The public address of the NAT gateway.
pub const NAT: &str = "198.18.255.1";

pub fn table(id: &str, routes: &[(&str, RouteTarget)]) -> RouteTable {
    let route = |(to, via): &(&str, RouteTarget)| TableRoute { to: to.parse().unwrap(), via: via.clone() };
    RouteTable { id: id.into(), routes: routes.iter().map(route).collect() }
}

pub fn config(generation: u64, vpcs: Vec<Vpc>) -> NetworkConfig {
    NetworkConfig { generation, vpcs }
}

/// Waits until something has come true.
#[track_caller]
pub fn eventually(condition: impl Fn() -> bool) {
    for _ in 0..300 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("still not so after 3 s");
}
