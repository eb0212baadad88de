//! A store in memory and a context for tests of handlers.

use crate::identity::{Ask, Authority, Enforced, Fields, Permission, Resources, RootKey, Source, permissions};
use crate::{Caller, Cx, Principal, Settings};
use longshore_aws_model::{AwsError, Operation};
use longshore_store::engine::MemoryEngine;
use longshore_store::{Snapshot, Store, Tx};
use longshore_types::iam::User;
use longshore_types::{Scope, Timestamp};
use std::sync::Arc;

/// A fresh account with its default VPC, at a fixed time.
pub struct Fixture {
    pub store: Store,
    /// Below the store.
    pub engine: MemoryEngine,
    pub settings: Arc<Settings>,
    pub now: Timestamp,
    seed: std::cell::Cell<u128>,
}

impl Fixture {
    pub fn new() -> Self {
        let settings = Arc::new(Settings::made_up());
        let engine = MemoryEngine::default();
        let store = Store::with_engine(engine.clone(), longshore_store::tables::schema()).expect("an empty store");
        let fixture = Self { store, engine, settings, now: Timestamp(1_700_000_000_000), seed: 1.into() };
        fixture.write(|tx, cx| {
            crate::ec2::default_vpc::ensure(tx, cx);
        });
        fixture
    }

    pub fn cx(&self) -> Cx {
        self.seed.set(self.seed.get() + 1);
        let scope = Scope::new("123456789012", "us-east-1");
        let caller = Caller::root(&scope, "test");
        Cx::new(scope, self.now, caller, self.settings.clone(), self.seed.get())
    }

    /// The context of a user `ann` whom this policy is all that allows anything, in iam mode.
    pub fn user(&self, policy: &str) -> Cx {
        let policy = policy.to_owned();
        self.write(move |tx, cx| {
            let user = User {
                name: "ann".to_owned(),
                path: "/".to_owned(),
                id: "AIDAANN".to_owned(),
                created_at: cx.now,
                tags: Default::default(),
                groups: Default::default(),
                attached_policies: Default::default(),
                inline_policies: [("own".to_owned(), policy)].into(),
                permissions_boundary: None,
            };
            tx.users().put((cx.scope.account.clone(), user.name.clone()), user);
        });
        let root = RootKey { access_key_id: "AKIA".to_owned(), secret_access_key: "secret".to_owned() };
        let mut cx = self.cx();
        cx.enforced =
            Some(Arc::new(Enforced::new(&Arc::new(Authority::new(root)), Source::Client([192, 0, 2, 1].into()))));
        cx.caller = Caller {
            arn: "arn:aws:iam::123456789012:user/ann".to_owned(),
            user_id: "AIDAANN".to_owned(),
            access_key_id: "AKIAANN".to_owned(),
            principal: Principal::User("ann".to_owned()),
            session: None,
        };
        cx
    }

    /// Runs `f` in a transaction that is kept when it returns (an `Err` inside `T` does not undo: see `try_write`).
    pub fn write<T: Send + 'static>(&self, f: impl FnOnce(&mut Tx, &Cx) -> T + Send + 'static) -> T {
        let cx = self.cx();
        let done = self.store.write_blocking(move |tx| Ok::<T, ()>(f(tx, &cx)));
        done.expect("a store in memory takes every write").unwrap_or_else(|()| unreachable!("it is always Ok"))
    }

    /// Runs `f` as a request runs: undone when it fails.
    pub fn try_write<T: Send + 'static, E: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx, &Cx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let cx = self.cx();
        self.store.write_blocking(move |tx| f(tx, &cx)).expect("a store in memory takes every write")
    }

    pub fn read<T>(&self, f: impl FnOnce(&Snapshot, &Cx) -> T) -> T {
        let cx = self.cx();
        self.store.read(|snapshot| f(snapshot, &cx))
    }
}

/// Runs a writing handler as a request: undone when it fails.
pub fn write<I: Send + 'static, O: Send + 'static>(
    fixture: &Fixture,
    handler: fn(&mut Tx, &Cx, I) -> Result<O, AwsError>,
    input: I,
) -> Result<O, AwsError> {
    fixture.try_write(move |tx, cx| handler(tx, cx, input))
}

/// Runs a reading handler.
pub fn read<I, O>(
    fixture: &Fixture,
    handler: fn(&Snapshot, &Cx, I) -> Result<O, AwsError>,
    input: I,
) -> Result<O, AwsError> {
    fixture.read(|state, cx| handler(state, cx, input))
}

/// What `--auth iam` asks for an operation: `action resource` of each.
pub fn asked<O: Operation>(fixture: &Fixture, input: &O::Input) -> Vec<String> {
    let fields = Fields::of(input);
    fixture.read(|state, cx| {
        let ask = Ask { state, cx, operation: O::SCHEMA.name, fields: &fields };
        let of_line = |line: &Permission| -> Vec<String> {
            let resources = match line.resources {
                Resources::Any => vec!["*".to_owned()],
                Resources::Arns(path) => ask.all(path).map(str::to_owned).collect(),
                Resources::Each(find) => find(&ask),
            };
            resources.iter().map(|resource| format!("{} {resource}", line.action)).collect()
        };
        permissions(O::SCHEMA).iter().flat_map(of_line).collect()
    })
}

/// `Code: text` of a refusal.
pub fn refusal<O: std::fmt::Debug>(result: Result<O, AwsError>) -> String {
    result.expect_err("it is refused").to_string()
}
