//! What tests of handlers that reach further than the store share: a [`Backend`] with logs in a directory of its own.

use crate::routes::{Backend, Manifests, NoManifests};
use crate::testing::Fixture;
use crate::{Cx, logs};
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::{CreateLogGroupInput, CreateLogStreamInput};
use longshore_telemetry::logs::LogStore;
use longshore_types::Timestamp;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::runtime::Runtime;

/// A [`Fixture`] with a backend over its store. Its directory goes with it.
pub struct Bench {
    pub fixture: Fixture,
    pub backend: Backend,
    runtime: Runtime,
    dir: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(NoManifests)
    }

    pub fn with(manifests: impl Manifests + 'static) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("longshore-api-{}-{number}", std::process::id()));
        let fixture = Fixture::new();
        let logs = Arc::new(LogStore::open(&dir).expect("an empty directory"));
        let backend = Backend { store: fixture.store.clone(), logs, manifests: Arc::new(manifests) };
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs no more than memory");
        Self { fixture, backend, runtime, dir }
    }

    /// Runs a handler as a request.
    pub fn call<I, O, F>(&self, handler: fn(Backend, Cx, I) -> F, input: I) -> Result<O, AwsError>
    where
        F: Future<Output = Result<O, AwsError>>,
    {
        self.wait(handler(self.backend.clone(), self.fixture.cx(), input))
    }

    /// Runs a future to its end. Tests are not futures themselves, because the fixture's writes block.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A group `app` with these streams.
    pub fn app(streams: &[&str]) -> Self {
        let bench = Self::new();
        let group = CreateLogGroupInput { log_group_name: "app".to_owned(), ..Default::default() };
        bench.call(logs::create_log_group::create_log_group, group).expect("made");
        for stream in streams {
            let (log_group_name, log_stream_name) = ("app".to_owned(), stream.to_string());
            let input = CreateLogStreamInput { log_group_name, log_stream_name };
            bench.call(logs::create_log_stream::create_log_stream, input).expect("made");
        }
        bench
    }

    /// Stores lines in a stream of `app`, as a container does: each this many milliseconds after `now`.
    pub fn say(&self, stream: &str, lines: &[(i64, &str)]) {
        let scope = self.fixture.cx().scope;
        let event = |(at, line): &(i64, &str)| (Timestamp(self.now.0 + at), line.to_string());
        let events = lines.iter().map(event).collect();
        let stored = logs::ingest(&self.backend, &scope, "app", stream, true, events, self.now);
        self.wait(stored).expect("stored");
    }
}

impl Deref for Bench {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What stays is in the machine's temporary directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// `Code: text` of a refusal.
pub fn refusal<O: std::fmt::Debug>(result: Result<O, AwsError>) -> String {
    result.expect_err("it is refused").to_string()
}
