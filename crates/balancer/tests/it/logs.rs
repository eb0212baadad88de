//! Access and connection logs as files.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use longshore_balancer::config::{Action, Condition, LogDestination, Rule};
use longshore_balancer::{Balancer, Options};

use crate::backend::echo;
use crate::client::{Connection, get, once};
use crate::rig::{Rig, fixed, group};
use crate::secure::{BOTH, Dial, certificate, dial, secure};

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Waits for so many finished lines of files whose names start with `start`.
pub async fn lines(folder: &Path, start: &str, count: usize) -> Vec<String> {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let mut lines = Vec::new();
        for file in files(folder) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name.starts_with(start) && name.ends_with(".log.gz") {
                let mut text = String::new();
                GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
                lines.extend(text.lines().map(str::to_owned));
            }
        }
        if lines.len() >= count {
            return lines;
        }
        assert!(std::time::Instant::now() < deadline, "{} of {count} lines: {lines:#?}", lines.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fields as a shell would split them.
pub fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        fields.push(field.to_owned());
        rest = after.trim_start();
    }
    fields
}

#[tokio::test]
async fn requests_leave_lines_as_aws_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("arn:tg", &[&a])]).await;
    let options = Options { log_interval: Duration::from_millis(300), ..Options::default() };
    // The rig's own finishes its files each five minutes.
    let mut config = rig.config.clone();
    drop(std::mem::replace(&mut rig.balancer, Balancer::start(&options).await.unwrap()));
    config.load_balancers[0].arn =
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/0123456789abcdef".to_owned();
    let to = LogDestination { directory: folder.path().to_owned(), prefix: String::new() };
    config.load_balancers[0].attributes.access_logs = Some(to.clone());
    config.load_balancers[0].attributes.connection_logs = Some(to);
    let redirect = Action::Redirect {
        protocol: Some("HTTPS".into()),
        host: None,
        port: Some("443".into()),
        path: None,
        query: None,
        status_code: 301,
    };
    config.load_balancers[0].listeners[0].rules = [("/moved", vec![redirect]), ("/fixed", fixed(418, "tea"))]
        .into_iter()
        .zip(1..)
        .map(|((path, actions), priority)| Rule {
            arn: path.to_owned(),
            priority,
            conditions: vec![Condition::PathPattern { values: vec![path.to_owned()], regex_values: vec![] }],
            actions,
            transforms: vec![],
        })
        .collect();
    rig.config = config;
    rig.change(|_| {}).await;
    // The former balancer's socket may outlive it by a moment.
    rig.wait(|report| report.listeners.iter().all(|listener| listener.error.is_none())).await;
    let port = rig.address.port();

    once(
        rig.address,
        "POST /p?q=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x \"y\"\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    get(rig.address, "/moved").await;
    get(rig.address, "/fixed").await;
    once(rig.address, "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    once(rig.address, "GET /odd HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n.").await;
    a.behaviour.delay_ms.store(60_000, std::sync::atomic::Ordering::SeqCst);
    let mut impatient = Connection::open(rig.address).await;
    impatient.send("GET /left HTTP/1.1\r\nHost: x\r\n\r\n").await;
    while a.behaviour.requests.load(std::sync::atomic::Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(impatient);

    let lines = lines(folder.path(), "123456789012_elasticloadbalancing_us-east-1_app.web.0123456789abcdef_", 6).await;
    let find = |part: &str| fields(lines.iter().find(|line| line.contains(part)).expect(part));
    let posted = find("/p?q=1");
    assert_eq!(posted.len(), 30, "{posted:#?}");
    assert_eq!(posted[0], "http");
    assert_eq!(posted[2], "app/web/0123456789abcdef");
    assert!(posted[3].starts_with("127.0.0.1:"));
    assert_eq!(posted[4], a.address.to_string());
    assert!(posted[5..8].iter().all(|time| time.parse::<f64>().unwrap() >= 0.0), "{posted:#?}");
    assert_eq!(posted[8..10], ["200", "200"]);
    assert_eq!(posted[10], "84", "the request's bytes");
    assert!(posted[11].parse::<u64>().unwrap() > 100);
    assert_eq!(posted[12], format!("POST http://a.example:{port}/p?q=1 HTTP/1.1"));
    assert_eq!(posted[13], "x \\x22y\\x22");
    assert_eq!(posted[14..17], ["-", "-", "arn:tg"]);
    assert!(posted[17].starts_with("Root=1-"));
    assert_eq!(posted[18..21], ["-", "-", "0"]);
    assert_eq!(posted[22..25], ["forward", "-", "-"]);
    assert_eq!(posted[25..29], [a.address.to_string().as_str(), "200", "-", "-"]);
    assert!(posted[29].starts_with("TID_"));
    let moved = find("/moved");
    assert_eq!((moved[8].as_str(), moved[9].as_str(), moved[20].as_str()), ("301", "-", "1"));
    assert_eq!(moved[23], "https://x.example:443/moved");
    assert_eq!(moved[5..8], ["-1", "-1", "-1"]);
    assert_eq!(find("/fixed")[22], "fixed-response");
    let refused = find(" 405 ");
    assert_eq!(
        (refused[12].as_str(), refused[27].as_str()),
        (format!("- http://127.0.0.1:{port}- -").as_str(), "Severe")
    );
    assert_eq!(find("/odd")[27..29], ["Ambiguous", "UndefinedContentLengthSemantics"]);
    assert_eq!(find("/left")[8..10], ["460", "-"]);

    let trusted = certificate(folder.path(), "cert-arn", &["a.example"]);
    secure(&mut rig, vec![trusted.clone()], "ELBSecurityPolicy-TLS13-1-2-2021-06").await;
    a.behaviour.delay_ms.store(0, std::sync::atomic::Ordering::SeqCst);
    let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &[], versions: BOTH };
    let mut connection = Connection::over(dial(rig.address, dialled).await.unwrap());
    connection.get("/secure").await;
    let handshakes = self::lines(folder.path(), "conn_log.123456789012_", 1).await;
    let handshake = fields(&handshakes[0]);
    assert_eq!(handshake.len(), 12, "{handshake:#?}");
    assert_eq!(handshake[3..6], [port.to_string().as_str(), "TLSv1.3", "TLS_AES_128_GCM_SHA256"]);
    assert_eq!(handshake[7..11], ["-", "-", "-", "Success"]);
    let lines =
        self::lines(folder.path(), "123456789012_elasticloadbalancing_us-east-1_app.web.0123456789abcdef_", 7).await;
    let secured = fields(lines.iter().find(|line| line.contains("/secure")).unwrap());
    assert_eq!(secured[0], "https");
    assert_eq!(secured[14..16], ["TLS_AES_128_GCM_SHA256", "TLSv1.3"]);
    assert_eq!(secured[18..20], ["a.example", "cert-arn"]);
    assert_eq!(secured[29], handshake[11]);
}
