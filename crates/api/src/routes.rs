//! The table of operations: one typed line each, decoded, run and encoded in one place.

use crate::cx::Cx;
use crate::identity;
use crate::tokens::{self, Tokens};
use longshore_aws_model::{AwsError, Operation, OperationSchema, Protocol, ServiceSchema};
use longshore_aws_wire::{Call, Head, Response};
use longshore_store::{Snapshot, Store, Tx};
use longshore_telemetry::logs::LogStore;
use longshore_types::Scope;
use longshore_types::ecr::PullThroughRule;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

/// What operations work on. Cheap to clone.
#[derive(Clone)]
pub struct Backend {
    pub store: Store,
    pub logs: Arc<LogStore>,
    pub manifests: Arc<dyn Manifests>,
}

/// A boxed future, for traits that are used as objects.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The registry's bytes, as the ECR operations need them. Implemented by the server over the registry. What is not implemented
/// answers as a registry without bytes does, which is what tests and simulations have: [`NoManifests`].
pub trait Manifests: Send + Sync {
    /// The manifest of an image that the repository has.
    fn read<'a>(
        &'a self,
        _: &'a Scope,
        _repository: &'a str,
        _digest: &'a str,
    ) -> Later<'a, io::Result<Option<Vec<u8>>>> {
        ready(Ok(None))
    }

    /// PutImage: takes a manifest in, with its image's row and tag, durably.
    fn put<'a>(
        &'a self,
        _: &'a Scope,
        _repository: &'a str,
        _image: NewImage,
    ) -> Later<'a, Result<PutImage, PutImageError>> {
        ready(Err(PutImageError::RepositoryNotFound))
    }

    /// Size of a layer or configuration, if the repository has it.
    fn blob_size<'a>(
        &'a self,
        _: &'a Scope,
        _repository: &'a str,
        _digest: &'a str,
    ) -> Later<'a, io::Result<Option<u64>>> {
        ready(Ok(None))
    }

    /// Begins an upload of a layer; its id has the form of a UUID.
    fn begin_upload<'a>(&'a self, _: &'a Scope, _repository: &'a str) -> Later<'a, Result<String, LayerUploadError>> {
        ready(Err(LayerUploadError::RepositoryNotFound))
    }

    /// Appends bytes that must begin where the upload stands.
    fn append_upload<'a>(
        &'a self,
        _: &'a Scope,
        _repository: &'a str,
        _upload: &'a str,
        _first_byte: u64,
        _bytes: Vec<u8>,
    ) -> Later<'a, Result<(), LayerUploadError>> {
        ready(Err(LayerUploadError::Unknown))
    }

    /// Makes what was uploaded a layer of the repository, if it has this digest.
    fn finish_upload<'a>(
        &'a self,
        _: &'a Scope,
        _repository: &'a str,
        _upload: &'a str,
        _digest: &'a str,
    ) -> Later<'a, Result<(), LayerUploadError>> {
        ready(Err(LayerUploadError::Unknown))
    }

    /// Whether the upstream registry of a rule can be reached with the rule's credentials; if not, why.
    fn check_upstream<'a>(&'a self, _: &'a Scope, _rule: &'a PullThroughRule) -> Later<'a, Result<(), String>> {
        ready(Err("there is no network".to_owned()))
    }

    /// A repository was deleted: its bytes may go.
    fn forget_repository<'a>(&'a self, _: &'a Scope, _repository: &'a str) -> Later<'a, io::Result<()>> {
        ready(Ok(()))
    }
}

/// A registry without bytes.
pub struct NoManifests;

impl Manifests for NoManifests {}

fn ready<'a, T: Send + 'a>(answer: T) -> Later<'a, T> {
    Box::pin(std::future::ready(answer))
}

/// Why an upload does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerUploadError {
    RepositoryNotFound,
    Unknown,
    /// Bytes received so far.
    OutOfOrder {
        offset: u64,
    },
    Empty,
    DigestMismatch,
    TooMany,
    TooLarge,
    Failed(String),
}

/// A manifest that a client puts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    pub manifest: Vec<u8>,
    pub media_type: Option<String>,
    pub tag: Option<String>,
    /// What the client believes its digest to be.
    pub digest: Option<String>,
}

/// A manifest taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutImage {
    pub digest: String,
    pub media_type: String,
    /// False when the image was there with exactly this tag.
    pub changed: bool,
}

/// Why a manifest was not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutImageError {
    RepositoryNotFound,
    LayersNotFound(Vec<String>),
    ImagesNotFound(Vec<String>),
    DigestMismatch,
    TagImmutable(String),
    Invalid(String),
    Failed(String),
}

/// A request whose service, operation and protocol are known.
pub struct Request {
    pub operation: &'static OperationSchema,
    pub protocol: Protocol,
    pub payload: Vec<u8>,
    pub head: Head,
}

impl Request {
    fn call<'a>(&'a self, request_id: &'a str) -> Call<'a> {
        Call {
            operation: self.operation,
            protocol: self.protocol,
            payload: &self.payload,
            head: &self.head,
            request_id,
        }
    }
}

type ReadFn<O> = fn(&Snapshot, &Cx, <O as Operation>::Input) -> Result<<O as Operation>::Output, AwsError>;
type WriteFn<O> = fn(&mut Tx, &Cx, <O as Operation>::Input) -> Result<<O as Operation>::Output, AwsError>;
pub type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Run = Box<dyn Fn(Backend, Cx, Request) -> Answer + Send + Sync>;

/// Operations by service and name.
#[derive(Default)]
pub struct Routes {
    runs: HashMap<(&'static str, &'static str), Run>,
}

impl Routes {
    /// An operation that only reads.
    pub fn read<O: Operation>(self, handler: ReadFn<O>) -> Self {
        let tokens = Tokens::of::<O>();
        self.add::<O>(Box::new(move |backend, cx, request| {
            let answer = request.call(&cx.request_id).answer::<O>(|input| {
                backend.store.read(|state| {
                    identity::check(state, &cx, O::SCHEMA, &input)?;
                    tokens::through::<O>(tokens, &cx, input, |input| handler(state, &cx, input))
                })
            });
            Box::pin(std::future::ready(answer))
        }))
    }

    /// An operation that writes; answered when its transaction is durable.
    pub fn write<O: Operation>(self, handler: WriteFn<O>) -> Self {
        self.asynchronous::<O, _>(move |backend, cx, input| async move {
            let transaction = move |tx: &mut Tx| {
                // Before the transaction's turn came, others may have changed a policy, or a tag that one asks for. (What is
                // refused already on what can be read does not wait for its turn.)
                identity::check(tx, &cx, O::SCHEMA, &input)?;
                handler(tx, &cx, input)
            };
            write(&backend.store, transaction).await
        })
    }

    /// An operation that reaches further than the store.
    pub fn call<O, F>(self, handler: fn(Backend, Cx, O::Input) -> F) -> Self
    where
        O: Operation,
        F: Future<Output = Result<O::Output, AwsError>> + Send + 'static,
    {
        self.asynchronous::<O, _>(handler)
    }

    fn asynchronous<O, F>(self, handler: impl Fn(Backend, Cx, O::Input) -> F + Copy + Send + Sync + 'static) -> Self
    where
        O: Operation,
        F: Future<Output = Result<O::Output, AwsError>> + Send + 'static,
    {
        let tokens = Tokens::of::<O>();
        self.add::<O>(Box::new(move |backend, cx, request| {
            Box::pin(async move {
                let request_id = cx.request_id.clone();
                let answer = match request.call(&request_id).decode::<O>() {
                    Ok(mut input) => {
                        let allowed = backend.store.read(|state| identity::check(state, &cx, O::SCHEMA, &input));
                        let seal = tokens.map(|tokens| (tokens, tokens.open::<O>(&cx, &mut input)));
                        let possible = allowed.and_then(|()| check_room(&backend.store, O::SCHEMA));
                        let mut answer = match possible {
                            Ok(()) => handler(backend, cx, input).await,
                            Err(error) => Err(error),
                        };
                        if let (Some((tokens, seal)), Ok(output)) = (seal, &mut answer) {
                            tokens.close::<O>(&seal, output);
                        }
                        answer
                    }
                    Err(error) => Err(error),
                };
                let call = request.call(&request_id);
                match answer {
                    Ok(output) => call.output::<O>(&output),
                    Err(error) => call.error(&error),
                }
            })
        }))
    }

    fn add<O: Operation>(mut self, run: Run) -> Self {
        let schema = O::SCHEMA;
        let twice = self.runs.insert((schema.service.name, schema.name), run);
        assert!(twice.is_none(), "{}:{} is routed twice", schema.service.name, schema.name);
        self
    }

    /// Runs one request to its answer.
    pub fn run(&self, backend: Backend, cx: Cx, request: Request) -> Answer {
        let operation = request.operation;
        match self.runs.get(&(operation.service.name, operation.name)) {
            Some(run) => run(backend, cx, request),
            None => {
                let name = operation.name;
                let text =
                    format!("The operation {}:{name} is not implemented by Longshore yet.", operation.service.name);
                let error = AwsError::new("NotImplemented", text).with_status(501);
                let answer = request.call(&cx.request_id).error(&error);
                Box::pin(std::future::ready(answer))
            }
        }
    }

    /// Names of the routed operations of a service.
    pub fn names(&self, service: &ServiceSchema) -> Vec<&'static str> {
        let mut names: Vec<_> = self.runs.keys().filter(|(s, _)| *s == service.name).map(|(_, name)| *name).collect();
        names.sort_unstable();
        names
    }
}

/// Runs a transaction to its end; a store that cannot write answers as an AWS service in trouble does.
pub async fn write<T: Send + 'static>(
    store: &Store,
    transaction: impl FnOnce(&mut Tx) -> Result<T, AwsError> + Send + 'static,
) -> Result<T, AwsError> {
    match store.write(transaction).await {
        Ok(answer) => answer,
        Err(error) => {
            // The store itself says so once.
            if !error.is_full() {
                tracing::error!(%error, "a transaction could not be stored");
            }
            Err(not_stored("The request could not be stored. Try again later."))
        }
    }
}

fn not_stored(message: impl Into<String>) -> AwsError {
    AwsError::fault("InternalFailure", message).with_status(500)
}

/// Refuses to make something new on a full disk: the little room left is for what ends, removes or changes things.
fn check_room(store: &Store, operation: &OperationSchema) -> Result<(), AwsError> {
    const VERBS: [&str; 5] = ["Create", "Import", "Register", "Run", "Start"];
    // Other operations that put something change policies and retentions, or add to the logs, which are no part of the store.
    const OTHERS: [&str; 6] =
        ["AllocateAddress", "InitiateLayerUpload", "PutImage", "PutParameter", "PutSecretValue", "RequestCertificate"];
    let name = operation.name;
    if !VERBS.iter().any(|verb| name.starts_with(verb)) && !OTHERS.contains(&name) {
        return Ok(());
    }
    store.full_disk().map_or(Ok(()), |full| Err(not_stored(format!("The request could not be stored: {full}."))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::Bench;
    use longshore_aws_model::ecs::{CreateCluster, DeleteCluster, UpdateClusterSettings};
    use longshore_aws_model::logs::{CreateLogGroup, PutRetentionPolicy};
    use longshore_aws_model::ssm::PutParameter;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    #[test]
    fn a_full_disk_takes_what_ends_things_and_nothing_new() {
        let bench = Bench::new();
        let call = |operation: &'static OperationSchema, input: &str| {
            let (payload, head) = (input.as_bytes().to_vec(), Head::default());
            let request = Request { operation, protocol: Protocol::Json11, payload, head };
            let answer = bench.wait(crate::routes().run(bench.backend.clone(), bench.fixture.cx(), request));
            (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
        };
        assert_eq!(call(CreateCluster::SCHEMA, r#"{"clusterName":"a"}"#).0, 200);
        bench.fixture.engine.fill(true);
        assert_eq!(call(UpdateClusterSettings::SCHEMA, r#"{"cluster":"a","settings":[]}"#).0, 200);
        for (operation, input) in [
            (CreateLogGroup::SCHEMA, r#"{"logGroupName":"g"}"#),
            (PutParameter::SCHEMA, r#"{"Name":"p","Value":"v","Type":"String"}"#),
        ] {
            assert_eq!(call(operation, input).0, 500, "{}", operation.name);
        }
        // That it has no such group is found out behind the door.
        assert_eq!(call(PutRetentionPolicy::SCHEMA, r#"{"logGroupName":"g","retentionInDays":1}"#).0, 400);
        let (status, text) = call(CreateCluster::SCHEMA, r#"{"clusterName":"b"}"#);
        let reason = "The request could not be stored: the disk is full: nothing new is stored until 1 MiB are free";
        assert!(status == 500 && text.contains(reason), "{status} {text}");
        bench.fixture.engine.fill(false);
        assert_eq!(call(DeleteCluster::SCHEMA, r#"{"cluster":"a"}"#).0, 200);
        assert_eq!(call(CreateCluster::SCHEMA, r#"{"clusterName":"b"}"#).0, 200);
    }

    #[test]
    fn a_write_is_allowed_by_the_state_it_changes() {
        let bench = Bench::new();
        let allowing = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let [first, second] = [(); 2].map(|()| bench.fixture.user(allowing));
        let account = first.scope.account.clone();
        let create = |cx: Cx, name: &str| {
            let payload = format!(r#"{{"clusterName":"{name}"}}"#).into_bytes();
            let request = Request {
                operation: CreateCluster::SCHEMA,
                protocol: Protocol::Json11,
                payload,
                head: Head::default(),
            };
            crate::routes().run(bench.backend.clone(), cx, request)
        };
        assert_eq!(bench.wait(create(first, "before")).status, 200);
        // The writer is busy with a transaction that takes the policy away.
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let store = bench.backend.store.clone();
        let busy = std::thread::spawn(move || {
            let take_away = move |tx: &mut Tx| {
                begun.send(()).expect("the test waits");
                may_go_on.recv().expect("the test goes on");
                tx.users().update(&(account, "ann".to_owned()), |user| user.inline_policies.clear());
                Ok::<_, ()>(())
            };
            store.write_blocking(take_away)
        });
        has_begun.recv().expect("the writer is busy");
        let mut answer = create(second, "after");
        assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it is allowed, and waits");
        go_on.send(()).expect("the writer waits");
        busy.join().expect("no panic").expect("stored").expect("no refusal");
        let answer = bench.wait(answer);
        assert!(String::from_utf8_lossy(&answer.body).contains("not authorized to perform: ecs:CreateCluster"));
        bench.backend.store.read(|state| assert_eq!(state.clusters().len(), 1));
    }
}
