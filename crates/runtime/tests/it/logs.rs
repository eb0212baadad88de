use crate::harness::{Client, Task, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, Stream};
use serde_json::json;

#[test]
fn both_streams_come_as_lines_with_times() {
    let mut task = Task::run(vec![shell("app", "echo out; echo err >&2; printf 'no end'; printf '\\377\\n' >&2")]);
    task.ended();
    let last = find(&task.client().state, "app").log_sequence;
    task.client().logs_until("app", last);
    let logs = task.client().logs.clone();
    let of = |stream| logs.iter().filter(move |l| l.stream == stream).map(|l| l.message.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Stream::Stdout), ["out", "no end"]);
    assert_eq!(of(Stream::Stderr), ["err", "\u{fffd}"]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(logs.iter().all(|line| line.timestamp_ms + 60_000 > now && line.timestamp_ms <= now));
    assert_eq!(logs.iter().map(|line| line.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    task.exit();
}

#[test]
fn after_a_reconnect_only_what_was_not_acknowledged_comes_again() {
    let mut task = Task::run(vec![shell("app", "for n in 1 2 3 4 5; do echo line $n; done; sleep 1000")]);
    task.client().wait_log("line 5");
    task.send(&Command::LogAck { container: "app".into(), sequence: 3 });
    // Answered in order: the acknowledgement has been taken when this comes back.
    task.exec("app", &["true"]);
    let mut again = Client::connect(&task.directory);
    again.send(&Command::Subscribe { logs: true });
    again.wait_log("line 5");
    assert_eq!(again.logs.iter().map(|line| line.sequence).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(find(&again.state, "app").status, ContainerStatus::Running, "the state comes first");
    task.exit();
}

#[test]
fn a_full_buffer_drops_what_comes_next() {
    let app = with(shell("app", "seq 1 5000"), json!({"log": {"mode": "non-blocking", "max_buffer_bytes": 8000}}));
    let mut task = Task::prepare(vec![app], json!({}));
    // Nobody reads logs while it runs.
    let mut quiet = Client::connect(&task.directory);
    quiet.send(&Command::Subscribe { logs: false });
    quiet.wait("state", |state| !state.containers.is_empty());
    task.send(&Command::Go);
    let state = quiet.wait("end", |state| find(state, "app").status == ContainerStatus::Stopped);
    let app = find(&state, "app");
    assert_eq!(app.log_sequence + app.log_dropped, 5000);
    assert!(app.log_dropped > 4000, "{}", app.log_dropped);
    assert!(quiet.logs.is_empty());
    let mut late = Client::connect(&task.directory);
    late.send(&Command::Subscribe { logs: true });
    late.wait_log(&app.log_sequence.to_string());
    assert_eq!(late.logs.first().unwrap().message, "1");
    task.ended();
    task.exit();
}

#[test]
fn a_blocking_log_holds_the_writer_until_lines_are_acknowledged() {
    let app = with(
        shell("app", "yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx | head -n 20000; echo done"),
        json!({"log": {"mode": "blocking", "max_buffer_bytes": 20000}}),
    );
    let mut task = Task::run(vec![app]);
    task.wait_status("app", ContainerStatus::Running);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut watcher = Client::connect(&task.directory);
    watcher.send(&Command::Subscribe { logs: false });
    let state = watcher.wait("state", |state| !state.containers.is_empty());
    assert_eq!(find(&state, "app").status, ContainerStatus::Running, "held up");
    let mut seen = 0;
    while !task.client().logs.iter().any(|line| line.message == "done") {
        // Lines may have come with the events that we waited for before.
        let last = task.client().logs.last().map_or(0, |line| line.sequence);
        if last >= seen + 100 {
            seen = last;
            task.send(&Command::LogAck { container: "app".into(), sequence: last });
        }
        task.client()
            .wait_event("log", |event| matches!(event, longshore_runtime::protocol::Event::Log(_)).then_some(()));
    }
    assert_eq!(task.client().logs.len(), 20_001, "nothing is lost");
    let state = task.wait("complete", |state| find(state, "app").log_complete);
    assert_eq!((find(&state, "app").log_dropped, find(&state, "app").log_sequence), (0, 20_001));
    task.ended();
    task.exit();
}

#[test]
fn long_lines_come_in_pieces() {
    let (_, output) = Task::run(vec![shell("app", "head -c 600000 /dev/zero | cat; echo")]).output("app");
    let lengths: Vec<usize> = output.split('\n').map(str::len).collect();
    assert_eq!(lengths, [262_118, 262_118, 600_000 - 2 * 262_118]);
}

#[test]
fn a_terminal_is_one_stream() {
    let app = with(shell("app", "tty; test -t 0 && test -t 1 && echo yes; echo $TERM"), json!({"terminal": true}));
    let (container, output) = Task::run(vec![app]).output("app");
    assert_eq!(output, "/dev/pts/0\r\nyes\r\nxterm\r");
    assert_eq!(container.exit_code, Some(0));
}
