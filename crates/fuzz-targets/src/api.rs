//! The whole API on a store in memory: any calls in any order.

use std::cell::OnceCell;
use std::sync::Arc;

use longshore_api::routes::Request;
use longshore_api::{Backend, Caller, Cx, NoManifests, Routes, Settings, ec2, routes};
use longshore_aws_model::{Protocol, SERVICES};
use longshore_aws_wire::{Head, Response};
use longshore_store::engine::MemoryEngine;
use longshore_store::{Stepper, Store};
use longshore_telemetry::logs::LogStore;
use longshore_types::{Scope, Timestamp};

use crate::input::{FIELD, Input};

/// Up to eight calls, each `service.Operation`, its JSON or form, the end of a field. In a payload, `@a` to `@z` stand for
/// names that earlier answers brought, the latest first.
///
/// Holds: every answer is written in its protocol and blames nobody but the caller.
pub fn api(data: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(run(data)));
}

struct World {
    backend: Backend,
    stepper: Stepper,
    settings: Arc<Settings>,
    seed: u128,
    _directory: Option<tempfile::TempDir>,
}

async fn run(data: &[u8]) {
    thread_local!(static ROUTES: OnceCell<Routes> = const { OnceCell::new() });
    let mut world = World::new(data);
    let cx = world.cx();
    let vpc = {
        let store = world.backend.store.clone();
        async move {
            let made = routes::write(&store, move |tx| {
                ec2::default_vpc::ensure(tx, &cx);
                Ok(())
            });
            made.await
        }
    };
    stepping(&mut world.stepper, vpc).await.expect("an empty store takes the default network");
    let mut names: Vec<String> = Vec::new();
    let mut input = Input::new(data);
    for _ in 0..8 {
        if input.is_empty() {
            return;
        }
        let called = input.text(FIELD);
        let payload = replaced(input.until(FIELD), &names);
        let Some((service, operation)) = called.trim().split_once('.') else { continue };
        let Some(service) = SERVICES.iter().find(|known| known.name == service || known.signing_name == service) else {
            continue;
        };
        let Some(operation) = service.operation(operation) else { continue };
        let is_json = payload.is_empty() || payload.starts_with(b"{");
        let protocol = match (is_json, service.name) {
            (true, _) => Protocol::Json11,
            (false, "ec2") => Protocol::Ec2,
            (false, _) => Protocol::Query,
        };
        let cx = world.cx();
        let answer = ROUTES.with(|all| {
            let all = all.get_or_init(longshore_api::routes);
            all.run(world.backend.clone(), cx, Request { operation, protocol, payload, head: Head::default() })
        });
        let answer: Response = stepping(&mut world.stepper, answer).await;
        let text = String::from_utf8(answer.body).expect("answers are text");
        assert!(answer.status < 500 || answer.status == 501, "{called}: {} {text}", answer.status);
        if is_json && !text.is_empty() {
            let value: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{called}: {error}: {text}"));
            collect(&value, &mut names);
        }
    }
}

/// Runs a request while its transactions are stored.
async fn stepping<T>(stepper: &mut Stepper, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = stepper.ready() => { stepper.step(16); }
        }
    }
}

/// Keeps what looks like a name of something.
fn collect(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => {
            let is_id = text.split_once('-').is_some_and(|(kind, id)| {
                kind.len() <= 8 && id.len() >= 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if (text.starts_with("arn:") || is_id) && !names.contains(text) {
                names.push(text.clone());
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        serde_json::Value::Object(map) => map.values().for_each(|value| collect(value, names)),
        _ => {}
    }
}

fn replaced(payload: &[u8], names: &[String]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut bytes = payload.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'@', Some(letter @ b'a'..=b'z')) if !names.is_empty() => {
                let back = usize::from(letter - b'a') % names.len();
                out.extend_from_slice(names[names.len() - 1 - back].as_bytes());
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    out
}

impl World {
    fn new(data: &[u8]) -> World {
        let settings = Arc::new(Settings::made_up());
        let (store, stepper) =
            Store::stepped(MemoryEngine::default(), longshore_store::tables::schema()).expect("empty");
        let (logs, directory) = logs(data);
        World {
            backend: Backend { store, logs, manifests: Arc::new(NoManifests) },
            stepper,
            settings,
            seed: 1,
            _directory: directory,
        }
    }

    fn cx(&mut self) -> Cx {
        self.seed += 1;
        let scope = Scope::new("123456789012", "us-east-1");
        let caller = Caller::root(&scope, "fuzz");
        Cx::new(scope, Timestamp(1_700_000_000_000), caller, self.settings.clone(), self.seed)
    }
}

/// A log store of its own for who speaks of logs: opening one costs more than most calls.
fn logs(data: &[u8]) -> (Arc<LogStore>, Option<tempfile::TempDir>) {
    thread_local!(static EMPTY: (tempfile::TempDir, Arc<LogStore>) = open());
    if data.windows(5).any(|window| window == b"logs.") {
        let (directory, store) = open();
        return (store, Some(directory));
    }
    (EMPTY.with(|(_, store)| Arc::clone(store)), None)
}

fn open() -> (tempfile::TempDir, Arc<LogStore>) {
    let directory = crate::scratch();
    let store = LogStore::open(directory.path()).expect("an empty directory");
    (directory, Arc::new(store))
}
