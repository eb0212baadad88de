//! One task under a real supervisor, with a busybox image.

use longshore_runtime::cgroup::Hierarchies;
use longshore_runtime::protocol::{
    Command, ContainerState, ContainerStatus, Event, LogLine, SOCKET_FILE, State, TaskPhase,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// No step of a test takes longer on a busy machine. An emulated one is slower.
fn patience() -> Duration {
    let given = std::env::var("LONGSHORE_TEST_PATIENCE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(30))
}

pub struct Task {
    pub directory: PathBuf,
    pub cgroup: String,
    scratch: Option<tempfile::TempDir>,
    supervisor: Child,
    client: Client,
    /// Processes that must be gone at the end.
    seen_pids: Vec<i32>,
}

pub fn executable() -> PathBuf {
    // Another build of it can be measured.
    let other = std::env::var_os("LONGSHORE_TASK");
    other.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_longshore-task")), PathBuf::from)
}

/// A container that runs a shell line.
pub fn shell(name: &str, line: &str) -> Value {
    container(name, &["/bin/sh", "-c", line])
}

pub fn container(name: &str, args: &[&str]) -> Value {
    json!({"name": name, "args": args, "env": ["PATH=/bin:/usr/bin"]})
}

/// `value` with more fields.
pub fn with(mut value: Value, more: Value) -> Value {
    for (key, field) in more.as_object().unwrap() {
        value[key] = field.clone();
    }
    value
}

/// Makes an image directory: busybox, its applets, accounts.
pub fn image(root: &Path) {
    for directory in ["bin", "etc", "tmp", "home/app", "usr/bin", "dev", "proc", "sys"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in [
        "sh", "true", "false", "sleep", "cat", "echo", "id", "env", "pwd", "ls", "mount", "touch", "stat", "dd", "ps",
        "hostname", "mknod", "unshare", "chroot", "wc", "head", "tail", "seq", "kill", "grep", "mkdir", "ulimit",
        "test", "tty", "sysctl", "ip", "nslookup", "yes", "rm", "df", "chown", "date", "ln", "mv",
    ] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
        .unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\nstaff:x:50:app\napp:x:1001:\n").unwrap();
    std::fs::write(root.join("bin/garbage"), "\x7fnot a program").unwrap();
    std::fs::write(root.join("bin/plain"), "text").unwrap();
    std::fs::write(root.join("bin/script"), "#!/bin/sh\necho script $1\n").unwrap();
    std::fs::write(root.join("bin/orphan"), "#!/no/such/interpreter\n").unwrap();
    for program in ["garbage", "script", "orphan"] {
        std::fs::set_permissions(root.join("bin").join(program), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::set_permissions(root.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
}

impl Task {
    /// Starts a supervisor for these containers and subscribes. `task` adds or replaces fields of the spec.
    pub fn prepare(containers: Vec<Value>, task: Value) -> Task {
        let mut made = Self::pooled();
        made.write_spec(containers, task);
        made.send(&Command::Spec { dir: made.directory.clone() });
        made.wait("prepared", |state| state.task.phase != TaskPhase::Waiting);
        made
    }

    /// Starts a supervisor that has no spec yet.
    pub fn pooled() -> Task {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("task");
        std::fs::create_dir(&directory).unwrap();
        image(&scratch.path().join("image"));
        let name = format!("{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let mut supervisor = longshore_runtime::supervisor::command(&executable(), &directory, true)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Event = serde_json::from_str(&line).unwrap();
        assert_eq!(ready, Event::Ready { pid: supervisor.id() as i32 });
        let mut client = Client::connect(&directory);
        client.send(&Command::Subscribe { logs: true });
        let cgroup = format!("longshore-test-{name}");
        Task { directory, cgroup, scratch: Some(scratch), supervisor, client, seen_pids: Vec::new() }
    }

    /// Starts another supervisor that reads the spec at once, and waits for nothing.
    pub fn hurry(&self) -> std::process::Child {
        longshore_runtime::supervisor::command(&executable(), &self.directory, false)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Writes the spec; each container gets an id, layers, and directories.
    pub fn write_spec(&self, mut containers: Vec<Value>, task: Value) {
        let scratch = self.scratch();
        for container in &mut containers {
            let name = container["name"].as_str().unwrap().to_owned();
            let id = format!("{:0>64}", format!("{:x}", std::process::id()) + &hex(&name) + &hex(&self.cgroup));
            let defaults = json!({
                "id": id[id.len() - 64..],
                "layers": [scratch.join("image")],
                "upper": scratch.join("layers").join(&name).join("upper"),
                "work": scratch.join("layers").join(&name).join("work"),
            });
            *container = with(defaults, container.clone());
        }
        let spec = with(
            json!({"task_id": "test", "cgroup": self.cgroup, "hostname": "host-a", "containers": containers}),
            task,
        );
        std::fs::write(self.directory.join("spec.json"), spec.to_string()).unwrap();
    }

    /// Prepares and lets go.
    pub fn run(containers: Vec<Value>) -> Task {
        Self::run_with(containers, json!({}))
    }

    pub fn run_with(containers: Vec<Value>, task: Value) -> Task {
        let mut task = Self::prepare(containers, task);
        task.send(&Command::Go);
        task
    }

    pub fn scratch(&self) -> &Path {
        self.scratch.as_ref().unwrap().path()
    }

    pub fn supervisor_pid(&self) -> i32 {
        self.supervisor.id() as i32
    }

    pub fn send(&mut self, command: &Command) {
        self.client.send(command);
    }

    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Reads events until `condition` holds for the state.
    pub fn wait(&mut self, what: &str, condition: impl Fn(&State) -> bool) -> State {
        let state = self.client.wait(what, condition);
        self.seen_pids.extend(state.containers.iter().filter_map(|container| container.pid));
        state
    }

    pub fn wait_status(&mut self, name: &str, status: ContainerStatus) -> ContainerState {
        let state = self.wait(&format!("{name} {status:?}"), |state| find(state, name).status == status);
        find(&state, name).clone()
    }

    /// Waits for the end of the task.
    pub fn ended(&mut self) -> State {
        self.wait("stopped", |state| state.task.phase == TaskPhase::Stopped)
    }

    /// Waits for the end, and returns it with one container's output.
    pub fn output(mut self, name: &str) -> (ContainerState, String) {
        let state = self.ended();
        let container = find(&state, name).clone();
        let text = self.client.logs_until(name, container.log_sequence);
        self.exit();
        (container, text)
    }

    /// Runs a command in a container.
    pub fn exec(&mut self, container: &str, argv: &[&str]) -> longshore_runtime::protocol::ExecResult {
        let argv = argv.iter().map(|arg| arg.to_string()).collect();
        self.send(&Command::Exec { id: 7, container: container.to_owned(), argv });
        self.client.wait_event("exec", |event| match event {
            Event::Exec(result) => Some(result.clone()),
            _ => None,
        })
    }

    /// Stops the task if it runs, lets the supervisor leave, and checks that nothing is left.
    pub fn exit(mut self) {
        if self.client.state.task.phase != TaskPhase::Stopped && self.client.state.task.phase != TaskPhase::Waiting {
            self.send(&Command::Kill);
            self.ended();
        }
        self.send(&Command::Exit);
        let deadline = Instant::now() + patience();
        while self.supervisor.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the supervisor does not leave");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(self.supervisor.wait().unwrap().success());
        self.assert_nothing_left();
    }

    /// SIGKILL to the supervisor.
    pub fn kill_supervisor(&mut self) {
        self.supervisor.kill().unwrap();
        self.supervisor.wait().unwrap();
    }

    pub fn group_directories(&self) -> Vec<PathBuf> {
        Hierarchies::detect().unwrap().group(self.cgroup.as_str()).directories()
    }

    pub fn assert_nothing_left(&self) {
        let roots = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
        for root in roots.chain(["/sys/fs/cgroup".into()]) {
            assert!(!root.join(&self.cgroup).exists(), "cgroup {} is left in {}", self.cgroup, root.display());
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let scratch = self.scratch().to_str().unwrap();
        assert!(!mounts.contains(scratch), "mounts are left");
        let deadline = Instant::now() + patience();
        for pid in &self.seen_pids {
            while Path::new(&format!("/proc/{pid}")).exists() {
                assert!(Instant::now() < deadline, "process {pid} is left");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // After a failed assertion too.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        let _ = longshore_runtime::cleanup(&self.directory);
        let _ = longshore_runtime::cleanup::cleanup_cgroup(&self.cgroup);
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.join("supervisor.log")).unwrap_or_default();
            eprintln!("last state: {:#?}\nlogs: {:?}\nsupervisor.log: {log}", self.client.state, self.client.logs);
        }
    }
}

pub fn find<'a>(state: &'a State, name: &str) -> &'a ContainerState {
    static NONE: std::sync::LazyLock<ContainerState> = std::sync::LazyLock::new(ContainerState::default);
    state.containers.iter().find(|container| container.name == name).unwrap_or(&NONE)
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// A connection that keeps what it was told.
pub struct Client {
    stream: BufReader<UnixStream>,
    pub state: State,
    pub logs: Vec<LogLine>,
    /// Container events as they came.
    pub history: Vec<ContainerState>,
}

impl Client {
    pub fn connect(directory: &Path) -> Client {
        let stream = UnixStream::connect(directory.join(SOCKET_FILE)).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Client { stream: BufReader::new(stream), state: State::default(), logs: vec![], history: vec![] }
    }

    pub fn send(&mut self, command: &Command) {
        self.send_line(&serde_json::to_string(command).unwrap());
    }

    pub fn send_line(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn next(&mut self, what: &str) -> Event {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => panic!("the supervisor closed the connection while we waited for: {what}"),
            Ok(_) => {}
            Err(error) => panic!("waiting for {what}: {error}; last state: {:#?}", self.state),
        }
        let event: Event = serde_json::from_str(&line).unwrap();
        match &event {
            Event::State(state) => self.state = state.clone(),
            Event::Task(task) => self.state.task = task.clone(),
            Event::Container(container) => {
                self.history.push(container.clone());
                match self.state.containers.iter_mut().find(|known| known.name == container.name) {
                    Some(known) => *known = container.clone(),
                    None => self.state.containers.push(container.clone()),
                }
            }
            Event::Log(line) => self.logs.push(line.clone()),
            _ => {}
        }
        event
    }

    pub fn wait(&mut self, what: &str, condition: impl Fn(&State) -> bool) -> State {
        let deadline = Instant::now() + patience();
        while !condition(&self.state) {
            assert!(Instant::now() < deadline, "waiting for {what}");
            self.next(what);
        }
        self.state.clone()
    }

    pub fn wait_event<T>(&mut self, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = self.next(what);
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    /// Waits for the log lines of a container up to a sequence and joins them.
    pub fn logs_until(&mut self, name: &str, sequence: u64) -> String {
        let last =
            |logs: &[LogLine]| logs.iter().filter(|l| l.container == name).map(|l| l.sequence).max().unwrap_or(0);
        while last(&self.logs) < sequence {
            self.next("logs");
        }
        let lines = self.logs.iter().filter(|line| line.container == name);
        lines.map(|line| line.message.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Waits for a line that contains `text`.
    pub fn wait_log(&mut self, text: &str) -> LogLine {
        loop {
            if let Some(line) = self.logs.iter().find(|line| line.message.contains(text)) {
                return line.clone();
            }
            self.next(text);
        }
    }
}
