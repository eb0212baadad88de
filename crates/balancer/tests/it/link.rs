//! The control link, and a balancer that starts from what it served last.

use std::path::Path;
use std::time::Duration;

use longshore_balancer::{RunOptions, run};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::backend::echo;
use crate::client::get;
use crate::rig::{Rig, group};

struct Running {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(folder: &Path) -> Running {
        let (stop, stopped) = oneshot::channel();
        let options = RunOptions::in_directory(folder);
        let task = tokio::spawn(async move {
            run(options, async { drop(stopped.await) }).await.unwrap();
        });
        Running { stop, task }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

async fn connect(folder: &Path) -> BufReader<UnixStream> {
    for _ in 0..100 {
        if let Ok(stream) = UnixStream::connect(folder.join("balancer.sock")).await {
            return BufReader::new(stream);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no control socket within 2 s");
}

async fn next(link: &mut BufReader<UnixStream>) -> serde_json::Value {
    let mut line = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), link.read_line(&mut line));
    assert!(read.await.expect("a line within 5 s").unwrap() > 0);
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn configurations_come_in_and_reports_go_out() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    // Only for its configuration; the balancer under test is another.
    let mut rig = Rig::unwaited(vec![group("g", &[&a])]).await;
    let port = crate::rig::free_port();
    rig.config.load_balancers[0].listeners[0].port = port;
    let running = Running::start(folder.path());
    let mut link = connect(folder.path()).await;
    assert_eq!(next(&mut link).await["report"]["generation"], 0);
    let line = serde_json::json!({ "config": rig.config }).to_string();
    link.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    loop {
        let message = next(&mut link).await;
        if message["report"]["targets"][0]["state"] == "healthy" {
            assert_eq!(message["report"]["generation"], 1);
            break;
        }
    }
    assert_eq!(get(([127, 0, 0, 1], port).into(), "/").await.name(), "a");
    link.write_all(b"{\"config\": {\"generation\": 0}}\n{\"other\": 1}\nnonsense\n").await.unwrap();
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        let message = next(&mut link).await;
        if let Some(reason) = message["refused"]["reason"].as_str() {
            reasons.push(reason.to_owned());
        }
    }
    assert!(reasons[0].contains("older"), "{reasons:?}");
    // Nobody connected: it goes on. A new control plane gets the whole state first.
    drop(link);
    assert_eq!(get(([127, 0, 0, 1], port).into(), "/").await.name(), "a");
    let mut link = connect(folder.path()).await;
    assert_eq!(next(&mut link).await["report"]["targets"][0]["state"], "healthy");
    running.stop().await;
    // A restarted balancer serves what it served last; its first report says that it began.
    let running = Running::start(folder.path());
    let mut link = connect(folder.path()).await;
    assert_eq!(next(&mut link).await["report"]["generation"], 1);
    assert_eq!(get(([127, 0, 0, 1], port).into(), "/").await.name(), "a");
    running.stop().await;
    assert!(!folder.path().join("balancer.sock").exists());
}
