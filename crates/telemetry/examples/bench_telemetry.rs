//! Figures of the log store on this disk: `cargo run --release -p longshore-telemetry --example bench [directory]`.
#![allow(clippy::unwrap_used, reason = "a measurement stops at the first failure")]

use longshore_telemetry::logs::pattern::Pattern;
use longshore_telemetry::logs::{Event, FilterRequest, GetRequest, LogStore, Start, Streams};
use std::time::{Duration, Instant};

const LINE: &str = r#"{"level":"info","method":"GET","path":"/api/items","status":200,"latency":12.5,"user":"frank"}"#;
const EVENTS: i64 = 1_000_000;
const BATCH: i64 = 500;
const STREAMS: i64 = 20;

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn event(number: i64) -> Event {
    let message = if number % 1000 == 0 { LINE.replace("200", "500") } else { LINE.to_owned() };
    Event { timestamp_ms: 1_700_000_000_000 + number, message }
}

fn filter<'a>(pattern: Option<&'a Pattern>) -> FilterRequest<'a> {
    FilterRequest {
        group: "g",
        streams: Streams::All,
        from_ms: None,
        to_ms: None,
        pattern,
        start: None,
        newest_first: false,
        limit: 10_000,
        bytes_max: 1 << 30,
        scan_bytes_max: u64::MAX,
    }
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    let took = start.elapsed();
    println!("{what:<60} {took:>10.1?}");
    (result, took)
}

fn main() {
    let dir = match std::env::args().nth(1) {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let store = LogStore::open(dir.path()).unwrap();

    let mut times: Vec<Duration> = (0..500)
        .map(|number| {
            let start = Instant::now();
            store.append_blocking("single", "s", vec![event(number)], number).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("one writer, one event an append: p50 {:.1?} p99 {:.1?}", times[250], times[495]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..64i64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..200 {
                    store.append_blocking("single", &format!("w{writer}"), vec![event(number)], number).unwrap();
                }
            });
        }
    });
    println!("64 writers, one event an append: {:.0} events/s", 64.0 * 200.0 / start.elapsed().as_secs_f64());

    let before = resident_mb();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for stream in 0..STREAMS {
            let store = &store;
            scope.spawn(move || {
                for batch in 0..EVENTS / STREAMS / BATCH {
                    let events = (0..BATCH).map(|n| event((batch * BATCH + n) * STREAMS + stream)).collect();
                    store.append_blocking("g", &format!("s{stream}"), events, batch).unwrap();
                }
            });
        }
    });
    let took = start.elapsed().as_secs_f64();
    let megabytes = EVENTS as f64 * LINE.len() as f64 / 1e6;
    println!(
        "{EVENTS} events of {} bytes in batches of {BATCH}: {:.0} events/s, {:.0} MB/s",
        LINE.len(),
        EVENTS as f64 / took,
        megabytes / took
    );
    println!("resident memory: {before:.0} MB before, {:.0} MB after", resident_mb());

    let request = |start| GetRequest {
        group: "g",
        stream: "s3",
        from_ms: None,
        to_ms: None,
        start,
        limit: 10_000,
        bytes_max: 1 << 20,
    };
    timed("get: the last page of 1 MiB", || store.get(&request(Start::Tail)).unwrap());
    let middle = GetRequest { from_ms: Some(1_700_000_000_000 + EVENTS / 2), limit: 100, ..request(Start::Head) };
    timed("get: 100 events from the middle", || store.get(&middle).unwrap());
    for text in ["frank -GET", "{ $.status = 500 }", "%status.{2}500%"] {
        let pattern = Pattern::parse(text).unwrap();
        let (page, took) =
            timed(&format!("filter: all events, {text}"), || store.filter(&filter(Some(&pattern))).unwrap());
        println!(
            "    found {}, {:.0} events/s, {:.0} MB/s",
            page.events.len(),
            EVENTS as f64 / took.as_secs_f64(),
            megabytes / took.as_secs_f64()
        );
    }
    timed("filter: 10 000 newest events", || {
        store.filter(&FilterRequest { newest_first: true, ..filter(None) }).unwrap()
    });
    timed("close", || drop(store));
    let (store, _) = timed("open", || LogStore::open(dir.path()).unwrap());
    println!("resident memory: {:.0} MB", resident_mb());
    drop(store);
    let disk: u64 = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    println!("on disk: {:.0} MB", disk as f64 / 1e6);
}
