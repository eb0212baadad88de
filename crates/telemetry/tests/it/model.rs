//! Random appends, deletions, prunings, restarts and reads against a plain list.

use crate::{Rng, event, filter, get, open};
use longshore_telemetry::logs::{FilterRequest, GetRequest, LogStore, Start, StoredEvent};
use std::collections::BTreeMap;

/// Per group and stream, its events with their order of arrival.
type Model = BTreeMap<&'static str, BTreeMap<&'static str, Vec<(i64, u64, String)>>>;

const GROUPS: [&str; 2] = ["a", "b"];
const STREAMS: [&str; 4] = ["s", "s/1", "s/2", "t"];

fn plain(events: &[StoredEvent]) -> Vec<(i64, &str)> {
    events.iter().map(|event| (event.timestamp_ms, event.message.as_str())).collect()
}

fn check(store: &LogStore, model: &Model, rng: &mut Rng) {
    for group in GROUPS {
        let mut everything = Vec::new();
        for stream in STREAMS {
            let mut want = model.get(group).and_then(|streams| streams.get(stream)).cloned().unwrap_or_default();
            want.sort();
            everything.extend(want.iter().cloned());
            let want: Vec<_> = want.iter().map(|(time, _, text)| (*time, text.as_str())).collect();
            let page = store.get(&get(group, stream, Start::Head)).unwrap();
            assert_eq!(plain(&page.events), want, "{group} {stream}");

            // The same backwards, in small pages.
            let mut start = Start::Tail;
            let mut back = Vec::new();
            let limit = 1 + rng.below(20) as usize;
            loop {
                let page = store.get(&GetRequest { limit, ..get(group, stream, start) }).unwrap();
                if page.events.is_empty() {
                    break;
                }
                back.extend(page.events.into_iter().rev());
                start = Start::Backward(page.backward);
            }
            back.reverse();
            assert_eq!(plain(&back), want, "{group} {stream} backwards");

            let (from, to) = (rng.below(1000) as i64, rng.below(1000) as i64);
            let page = store
                .get(&GetRequest { from_ms: Some(from), to_ms: Some(to), ..get(group, stream, Start::Tail) })
                .unwrap();
            let want: Vec<_> = want.into_iter().filter(|(time, _)| (from..to).contains(time)).collect();
            assert_eq!(plain(&page.events), want, "{group} {stream} from {from} to {to}");
        }
        everything.sort();
        let want: Vec<_> = everything.iter().map(|(time, _, text)| (*time, text.as_str())).collect();
        let found = store.filter(&filter(group)).unwrap().events;
        assert_eq!(plain(&found), want, "{group}");
        assert!(found.windows(2).all(|pair| pair[0].id < pair[1].id));
        let mut newest = store.filter(&FilterRequest { newest_first: true, ..filter(group) }).unwrap().events;
        newest.reverse();
        assert_eq!(newest, found);
    }
}

#[tokio::test]
async fn any_sequence_of_operations_and_restarts_behaves_like_a_list() {
    for seed in 1..=8 {
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let mut model = Model::new();
        let mut arrival = 0u64;
        for step in 0..400 {
            let group = GROUPS[rng.below(2) as usize];
            let stream = STREAMS[rng.below(4) as usize];
            match rng.below(100) {
                0..80 => {
                    let count = 1 + rng.below(8);
                    let events = (0..count).map(|_| {
                        let time = rng.below(1000) as i64;
                        arrival += 1;
                        let text = format!("event {arrival} {}", "x".repeat(rng.below(30) as usize));
                        let stream = model.entry(group).or_default().entry(stream).or_default();
                        stream.push((time, arrival, text.clone()));
                        event(time, &text)
                    });
                    let events = events.collect();
                    store.append(group, stream, events, step).await.unwrap();
                }
                80..88 => {
                    store.delete_stream(group, stream).await.unwrap();
                    if let Some(streams) = model.get_mut(group) {
                        streams.remove(stream);
                    }
                }
                88..90 => {
                    store.delete_group(group).await.unwrap();
                    model.remove(group);
                }
                90..94 => {
                    let floor = rng.below(600) as i64;
                    store.prune(group, floor).await.unwrap();
                    let events = model.get_mut(group).into_iter().flat_map(|streams| streams.values_mut());
                    events.for_each(|events| events.retain(|(time, ..)| *time >= floor));
                }
                94..97 => {
                    drop(store);
                    store = open(dir.path());
                }
                _ => check(&store, &model, &mut rng),
            }
        }
        check(&store, &model, &mut rng);
        drop(store);
        check(&open(dir.path()), &model, &mut rng);
    }
}
