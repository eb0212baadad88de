//! The table of operations: one typed line each, decoded, run and encoded in one place.

use crate::cx::Cx;
use longshore_aws_model::{AwsError, Operation, OperationSchema, Protocol, ServiceSchema};
use longshore_store::{Snapshot, Store, Tx};
use longshore_telemetry::logs::LogStore;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What operations work on. Cheap to clone.
#[derive(Clone)]
pub struct Backend {
    pub store: Store,
    pub logs: Arc<LogStore>,
    pub manifests: Arc<dyn Manifests>,
}

/// The registry's bytes, as the ECR operations need them.
pub trait Manifests: Send + Sync {
    /// A manifest by digest (`sha256:…`).
    fn read(&self, digest: &str) -> std::io::Result<Option<Vec<u8>>>;
    /// Stores a manifest durably and returns its digest.
    fn write(&self, bytes: &[u8]) -> std::io::Result<String>;
    /// Size of a blob, if the repository (`account/region/name`) has it.
    fn blob_size(&self, repository: &str, digest: &str) -> Option<u64>;
    /// Forgets a deleted image's manifest where no other repository holds it.
    fn deleted(&self, repository: &str, digest: &str);
}

/// A request whose service, operation and protocol are known.
pub struct Request {
    pub operation: &'static OperationSchema,
    pub protocol: Protocol,
    pub body: Vec<u8>,
}

pub use longshore_aws_wire::Response;

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
        self.add::<O>(Box::new(move |backend, cx, request| {
            let answer = decode::<O>(&request).and_then(|input| backend.store.read(|state| handler(state, &cx, input)));
            let response = encode::<O>(&request, answer, &cx.request_id);
            Box::pin(std::future::ready(response))
        }))
    }

    /// An operation that writes; answered when its transaction is durable.
    pub fn write<O: Operation>(self, handler: WriteFn<O>) -> Self
    where
        O::Output: Send,
    {
        self.add::<O>(Box::new(move |backend, cx, request| {
            Box::pin(async move {
                let request_id = cx.request_id.clone();
                let answer = match decode::<O>(&request) {
                    Ok(input) => write(&backend.store, move |tx| handler(tx, &cx, input)).await,
                    Err(error) => Err(error),
                };
                encode::<O>(&request, answer, &request_id)
            })
        }))
    }

    /// An operation that reaches further than the store.
    pub fn call<O, F>(self, handler: fn(Backend, Cx, O::Input) -> F) -> Self
    where
        O: Operation,
        F: Future<Output = Result<O::Output, AwsError>> + Send + 'static,
    {
        self.add::<O>(Box::new(move |backend, cx, request| {
            Box::pin(async move {
                let request_id = cx.request_id.clone();
                let answer = match decode::<O>(&request) {
                    Ok(input) => handler(backend, cx, input).await,
                    Err(error) => Err(error),
                };
                encode::<O>(&request, answer, &request_id)
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
                let error = longshore_aws_wire::not_served(operation.service, operation.name);
                let response = encode_error(&request, &error, &cx.request_id);
                Box::pin(std::future::ready(response))
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
            tracing::error!(%error, "a transaction could not be stored");
            Err(AwsError::fault("InternalFailure", "The request could not be stored. Try again later.").with_status(500))
        }
    }
}
