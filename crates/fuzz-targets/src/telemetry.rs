//! Log filter patterns, and log files as a crash may leave them.

use std::fs;

use longshore_telemetry::logs::pattern::Pattern;
use longshore_telemetry::logs::{Event, FilterRequest, LogError, LogStore, Options, Streams};

use crate::input::{FIELD, Input};

/// A pattern and a message.
///
/// Holds: a refusal names a place in the text, an answer is the same when asked again, and blanks around a pattern mean
/// nothing.
pub fn log_filter(data: &[u8]) {
    let mut input = Input::new(data);
    let text = input.text(FIELD);
    let message = input.rest_text();
    match Pattern::parse(&text) {
        Ok(pattern) => assert_eq!(pattern.matches(&message), pattern.clone().matches(&message)),
        Err(error) => {
            let is_inside = error.position.is_none_or(|at| (1..=text.chars().count() + 1).contains(&at));
            assert!(is_inside, "{text:?}: {error}");
        }
    }
}

/// Kind and number of a log file, where to put which bytes in it (or all of it).
///
/// Holds: a store opens on whatever it finds or says that it is corrupt, never loses what is in other files, and takes new
/// events.
pub fn log_files(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let directory = crate::scratch();
    let options = Options { segment_bytes: 600, block_bytes: 100 };
    let event = |number: i64| Event { timestamp_ms: number, message: format!("message {number}") };
    {
        let store = LogStore::open_with(directory.path(), options).expect("an empty directory");
        for number in 0..i64::from(how & 15) {
            store.append_blocking("g", "s", vec![event(number)], 0).expect("a disk");
        }
    }
    let mut files: Vec<_> =
        fs::read_dir(directory.path()).expect("there").flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().contains("lock")));
    files.sort();
    if how & 16 != 0 || files.is_empty() {
        let name = format!(
            "{}{:08}{}.log",
            if how & 32 != 0 { "seg-" } else { "wal-" },
            input.byte(),
            if how & 32 != 0 { "-0" } else { "" }
        );
        fs::write(directory.path().join(name), input.rest()).expect("a disk");
    } else {
        let victim = &files[usize::from(input.byte()) % files.len()];
        let mut bytes = fs::read(victim).expect("there");
        let at = usize::from(input.number()) % (bytes.len() + 1);
        if how & 64 != 0 {
            bytes.truncate(at);
        }
        let length = bytes.len();
        for (own, new) in bytes[at.min(length)..].iter_mut().zip(input.bytes(16)) {
            *own ^= new;
        }
        bytes.extend_from_slice(input.rest());
        fs::write(victim, bytes).expect("a disk");
    }
    let is_corrupt = |error: &LogError| matches!(error, LogError::Corrupt { .. });
    let store = match LogStore::open_with(directory.path(), options) {
        Ok(store) => store,
        Err(error) => return assert!(is_corrupt(&error), "{error}"),
    };
    let all = FilterRequest {
        group: "g",
        streams: Streams::All,
        from_ms: None,
        to_ms: None,
        pattern: None,
        start: None,
        newest_first: false,
        limit: 1000,
        bytes_max: usize::MAX,
        scan_bytes_max: u64::MAX,
    };
    let before = match store.filter(&all) {
        Ok(page) => page.events.len(),
        Err(error) => return assert!(is_corrupt(&error), "{error}"),
    };
    store.append_blocking("g", "s", vec![event(99)], 0).expect("appending goes on");
    let after = store.filter(&all).map(|page| page.events.len());
    assert!(after.is_ok_and(|after| after == before + 1 || after == 1000));
}
