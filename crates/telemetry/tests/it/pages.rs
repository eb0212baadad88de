use crate::{event, filter, get, messages, open};
use longshore_telemetry::logs::pattern::Pattern;
use longshore_telemetry::logs::{FilterRequest, GetRequest, LogStore, Position, Start, Streams};
use std::time::Duration;

async fn ten(store: &LogStore) {
    for number in 0..10 {
        store.append("g", "s", vec![event(1000 + number, &format!("m{number}"))], 5000 + number).await.unwrap();
    }
}

#[tokio::test]
async fn events_are_ordered_by_time_then_arrival_whatever_the_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append("g", "s", vec![event(5, "c"), event(1, "a")], 10).await.unwrap();
    store.append("g", "s", vec![event(5, "d"), event(2, "b"), event(9, "e")], 11).await.unwrap();
    let page = store.get(&get("g", "s", Start::Head)).unwrap();
    assert_eq!(messages(&page.events), ["a", "b", "c", "d", "e"]);
    assert_eq!(page.events.iter().map(|event| event.ingestion_ms).collect::<Vec<_>>(), [10, 11, 10, 11, 11]);
    let stats = store.stream_stats("g", "s").unwrap();
    assert_eq!((stats.first_event_ms, stats.last_event_ms, stats.last_ingestion_ms), (Some(1), Some(9), Some(11)));
    assert_eq!((stats.events, store.stored_bytes("g", ["s", "missing"])), (5, stats.stored_bytes));
    assert_eq!(store.get(&get("g", "other", Start::Tail)).unwrap().events, []);
    assert_eq!(store.stream_stats("other", "s"), None);
}

#[tokio::test]
async fn pages_go_forward_and_back_and_meet() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ten(&store).await;
    let page = |start| store.get(&GetRequest { limit: 4, ..get("g", "s", start) }).unwrap();
    let tail = page(Start::Tail);
    assert_eq!(messages(&tail.events), ["m6", "m7", "m8", "m9"]);
    let before = page(Start::Backward(tail.backward));
    assert_eq!(messages(&before.events), ["m2", "m3", "m4", "m5"]);
    let first = page(Start::Backward(before.backward));
    assert_eq!(messages(&first.events), ["m0", "m1"]);
    let none = page(Start::Backward(first.backward));
    assert_eq!((none.events.len(), none.backward, none.forward), (0, first.backward, first.backward));
    assert_eq!(messages(&page(Start::Forward(none.forward)).events), ["m0", "m1", "m2", "m3"]);

    // At the end the same token comes twice, and what arrives later is found from there.
    let end = page(Start::Forward(tail.forward));
    assert_eq!((end.events.len(), end.forward), (0, tail.forward));
    store.append("g", "s", vec![event(1009, "late twin"), event(2000, "new")], 9000).await.unwrap();
    assert_eq!(messages(&page(Start::Forward(end.forward)).events), ["late twin", "new"]);

    // A reader who began before there was anything.
    let empty = store.get(&get("g", "later", Start::Tail)).unwrap();
    store.append("g", "later", vec![event(1, "x")], 1).await.unwrap();
    assert_eq!(messages(&store.get(&get("g", "later", Start::Forward(empty.forward))).unwrap().events), ["x"]);
}

#[tokio::test]
async fn a_page_is_bounded_by_time_and_bytes_and_never_stands_still() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ten(&store).await;
    let request = GetRequest { from_ms: Some(1003), to_ms: Some(1007), ..get("g", "s", Start::Head) };
    assert_eq!(messages(&store.get(&request).unwrap().events), ["m3", "m4", "m5", "m6"]);
    assert_eq!(
        messages(&store.get(&GetRequest { start: Start::Tail, limit: 1, ..request.clone() }).unwrap().events),
        ["m6"]
    );
    // 2 bytes of text and 26 of overhead each.
    assert_eq!(store.get(&GetRequest { bytes_max: 60, ..request.clone() }).unwrap().events.len(), 2);
    assert_eq!(store.get(&GetRequest { bytes_max: 0, ..request }).unwrap().events.len(), 1);
}

#[tokio::test]
async fn filter_merges_streams_matches_and_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..300i64 {
        let stream = ["web/1", "web/2", "job/1"][number as usize % 3];
        let text = format!(r#"{{"n":{number},"even":{}}}"#, number % 2 == 0);
        store.append("g", stream, vec![event(number, &text)], number).await.unwrap();
    }
    let numbers = |events: &[longshore_telemetry::logs::StoredEvent]| {
        events.iter().map(|event| event.timestamp_ms).collect::<Vec<_>>()
    };
    let all = store.filter(&filter("g")).unwrap();
    assert_eq!((numbers(&all.events), all.next), ((0..300).collect(), None));
    assert_eq!(&*all.events[2].stream, "job/1");
    let newest = store.filter(&FilterRequest { newest_first: true, limit: 3, ..filter("g") }).unwrap();
    assert_eq!(numbers(&newest.events), [299, 298, 297]);

    let names = ["job/1".to_owned(), "missing".to_owned()];
    assert_eq!(
        store.filter(&FilterRequest { streams: Streams::Named(&names), ..filter("g") }).unwrap().events.len(),
        100
    );

    let pattern = Pattern::parse("{ $.even IS TRUE && $.n >= 100 }").unwrap();
    for newest_first in [false, true] {
        for (limit, bytes_max, scan_bytes_max) in
            [(7, usize::MAX, u64::MAX), (1000, 500, u64::MAX), (1000, usize::MAX, 1)]
        {
            let mut request = FilterRequest {
                pattern: Some(&pattern),
                newest_first,
                limit,
                bytes_max,
                scan_bytes_max,
                ..filter("g")
            };
            let mut found = Vec::new();
            let mut pages = 0;
            loop {
                let page = store.filter(&request).unwrap();
                assert!(page.events.len() <= limit);
                found.extend(numbers(&page.events));
                pages += 1;
                let Some(next) = page.next else { break };
                request.start = Some(next.to_string().parse::<Position>().unwrap());
            }
            if newest_first {
                found.reverse();
            }
            assert_eq!(found, (100..300).step_by(2).collect::<Vec<_>>());
            assert!(pages > 5, "{pages} pages");
        }
    }
}

#[tokio::test]
async fn deleted_streams_are_empty_and_start_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ten(&store).await;
    store.append("g", "other", vec![event(1, "stays")], 1).await.unwrap();
    store.delete_stream("g", "s").await.unwrap();
    store.delete_stream("g", "never was").await.unwrap();
    assert_eq!(store.get(&get("g", "s", Start::Head)).unwrap().events, []);
    store.append("g", "s", vec![event(7, "again")], 1).await.unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(messages(&store.get(&get("g", "s", Start::Head)).unwrap().events), ["again"]);
    store.delete_group("g").await.unwrap();
    assert_eq!((store.filter(&filter("g")).unwrap().events.len(), store.streams("g").len()), (0, 0));
    drop(store);
    assert_eq!(open(dir.path()).filter(&filter("g")).unwrap().events, []);
}

#[tokio::test]
async fn pruned_events_are_gone_and_their_space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    // A file may go between being listed and being looked at.
    let len =
        |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().metadata().map_or(0, |metadata| metadata.len());
    let size = || std::fs::read_dir(dir.path()).unwrap().map(len).sum::<u64>();
    let store = open(dir.path());
    for number in 0..2_000 {
        let stream = format!("s{}", number % 5);
        store.append("g", &stream, vec![event(number, "some text of some length")], number).await.unwrap();
    }
    store.append("keep", "s", vec![event(0, "kept")], 0).await.unwrap();
    let before = size();
    store.prune("g", 1_900).await.unwrap();
    store.prune("g", 500).await.unwrap();
    store.prune("unknown", 500).await.unwrap();
    let left = |store: &LogStore| {
        store.filter(&filter("g")).unwrap().events.iter().map(|event| event.timestamp_ms).collect::<Vec<_>>()
    };
    assert_eq!(left(&store), (1_900..2_000).collect::<Vec<_>>());
    assert_eq!(store.stream_stats("g", "s0").unwrap().first_event_ms, Some(1_900));
    for _ in 0..200 {
        if size() < before / 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(size() < before / 4, "{} of {before} bytes are left", size());
    drop(store);
    let store = open(dir.path());
    assert_eq!(left(&store), (1_900..2_000).collect::<Vec<_>>());
    assert_eq!(messages(&store.filter(&filter("keep")).unwrap().events), ["kept"]);
}

#[tokio::test]
async fn a_watcher_wakes_for_its_group_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut watcher = store.watch("g");
    store.append("other", "s", vec![event(1, "x")], 1).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), watcher.changed()).await.is_err());
    store.append("g", "s", vec![event(1, "x")], 1).await.unwrap();
    assert!(watcher.changed().await);
    let (woken, ()) = tokio::join!(watcher.changed(), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        store.append("g", "t", vec![event(1, "y")], 1).await.unwrap();
    });
    assert!(woken);
    drop(store);
    assert!(!watcher.changed().await);
}
