//! The thread that writes log files.
//!
//! Each place has one open file, `.name.part`, which becomes `name.log.gz` at the end of an interval (five
//! minutes, on the clock's multiples of five) or when the balancer ends. What a killed balancer leaves
//! unfinished stays a `.part`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::time::Civil;
use super::{Kind, LogStream, Place};
use crate::config::{LoadBalancer, LogDestination};

/// Lines that wait for the thread at most: some megabytes.
const WAITING_MAX: usize = 8192;

/// Files that are still open when the balancer ends are waited for so long.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The owner of the thread. Dropping it finishes all files.
#[derive(Debug)]
pub(crate) struct Writer(Lines);

enum Message {
    Line(Arc<Place>, String),
    /// Give every open file its name, and say so.
    Finish(SyncSender<()>),
}

/// A way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    pub(super) fn send(&self, place: &Arc<Place>, line: String) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Line(place.clone(), line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    pub(crate) fn start(interval: Duration) -> io::Result<Writer> {
        let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
        let lines = Lines { sender, dropped: Arc::default() };
        let dropped = lines.dropped.clone();
        std::thread::Builder::new()
            .name("balancer-log".to_owned())
            .spawn(move || Files { open: HashMap::new(), interval, dropped }.run(&receiver))?;
        Ok(Writer(lines))
    }

    /// A way for one load balancer's lines of one kind.
    pub(crate) fn stream(&self, kind: Kind, of: &LoadBalancer, to: &LogDestination) -> LogStream {
        let node = of.addresses.first().map(|address| address.ip.into());
        LogStream { place: Arc::new(Place::new(kind, &of.arn, node, to)), writer: self.0.clone() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (done, finished) = mpsc::sync_channel(1);
        if self.0.sender.send(Message::Finish(done)).is_ok() {
            // A disk that takes longer has its files found as parts.
            let _ = finished.recv_timeout(FINISH_WITHIN);
        }
    }
}

struct Files {
    open: HashMap<Arc<Place>, Open>,
    interval: Duration,
    dropped: Arc<AtomicU64>,
}

struct Open {
    part: PathBuf,
    file: GzEncoder<File>,
}

impl Files {
    fn run(mut self, lines: &Receiver<Message>) {
        let mut due = Instant::now() + until_next(self.interval);
        loop {
            match lines.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Message::Finish(done)) => {
                    self.finish();
                    // Nobody may be waiting any more.
                    let _ = done.send(());
                }
                Ok(Message::Line(place, line)) => {
                    if let Err(error) = self.write(&place, &line) {
                        // The next line tries again.
                        self.open.remove(&place);
                        tracing::warn!(%error, directory = %place.directory.display(), "cannot write a log line");
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            if Instant::now() >= due {
                self.finish();
                due = Instant::now() + until_next(self.interval);
            }
        }
    }

    fn write(&mut self, place: &Arc<Place>, line: &str) -> io::Result<()> {
        let open = match self.open.get_mut(place) {
            Some(open) => open,
            None => {
                let open = open(place)?;
                self.open.entry(place.clone()).or_insert(open)
            }
        };
        open.file.write_all(line.as_bytes())?;
        open.file.write_all(b"\n")
    }

    /// Gives every open file its name.
    fn finish(&mut self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "log lines came faster than they could be written");
        }
        for (place, open) in self.open.drain() {
            let path = final_path(&place, SystemTime::now());
            let finished = open.file.finish().and_then(|_| fs::rename(&open.part, &path));
            if let Err(error) = finished {
                tracing::warn!(%error, path = %path.display(), "cannot finish a log file");
            }
        }
    }
}

fn open(place: &Place) -> io::Result<Open> {
    let now = SystemTime::now();
    let folder = folder(place, now);
    fs::create_dir_all(&folder)?;
    let part = folder.join(format!(".{}.part", random()));
    let file = GzEncoder::new(File::create(&part)?, Compression::fast());
    Ok(Open { part, file })
}

fn folder(place: &Place, time: SystemTime) -> PathBuf {
    let Civil { year, month, day, .. } = Civil::of(time);
    let mut path = place.directory.clone();
    if !place.prefix.is_empty() {
        path.push(&place.prefix);
    }
    path.push("AWSLogs");
    path.push(&place.account);
    path.push("elasticloadbalancing");
    path.push(&place.region);
    path.join(Path::new(&format!("{year:04}/{month:02}/{day:02}")))
}

fn final_path(place: &Place, time: SystemTime) -> PathBuf {
    let Civil { year, month, day, hour, minute, .. } = Civil::of(time);
    let kind = match place.kind {
        Kind::Access => "",
        Kind::Connection => "conn_log.",
    };
    let node = place.node.map_or_else(|| "-".to_owned(), |node| node.to_string());
    let Place { account, region, load_balancer, .. } = place;
    let name = format!(
        "{kind}{account}_elasticloadbalancing_{region}_{load_balancer}_\
         {year:04}{month:02}{day:02}T{hour:02}{minute:02}Z_{node}_{}.log.gz",
        random()
    );
    // The folder of its end: it may have to be made, a minute after midnight.
    let folder = folder(place, time);
    let _ = fs::create_dir_all(&folder);
    folder.join(name)
}

/// Time to the next multiple of the interval on the clock.
fn until_next(interval: Duration) -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let interval_ms = interval.as_millis().max(1);
    Duration::from_millis((interval_ms - since.as_millis() % interval_ms) as u64)
}

/// Eight characters that keep names apart.
fn random() -> String {
    let mut number = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "log file");
    std::iter::repeat_with(|| {
        let digit = char::from_digit((number % 36) as u32, 36).expect("below 36");
        number /= 36;
        digit
    })
    .take(8)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn lines_end_up_in_a_file_named_as_aws_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let to = LogDestination { directory: folder.path().join("bucket"), prefix: "my/app".to_owned() };
        let arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188";
        let place = Arc::new(Place::new(Kind::Access, arn, Some("10.0.0.1".parse().unwrap()), &to));
        let writer = Writer::start(Duration::from_secs(3600)).unwrap();
        let lines = &writer.0;
        lines.send(&place, "one".to_owned());
        lines.send(&place, "two".to_owned());
        drop(writer);
        let at = Civil::of(SystemTime::now());
        let below = format!("my/app/AWSLogs/123456789012/elasticloadbalancing/us-east-1/{:04}", at.year);
        let mut files = Vec::new();
        let mut folders = vec![to.directory.join(below)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        let [file] = files.as_slice() else { panic!("{files:?}") };
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("123456789012_elasticloadbalancing_us-east-1_app.web.50dc6c495c0c9188_2"), "{name}");
        assert!(name.contains("Z_10.0.0.1_") && name.ends_with(".log.gz"), "{name}");
        let mut text = String::new();
        GzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }
}
