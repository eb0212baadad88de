//! What a handler's types hang on: the operation trait and the one error type.

use std::borrow::Cow;

use crate::{OperationSchema, Shape};

/// An operation: its description and its two structures. Implemented by one unit struct per operation.
pub trait Operation: 'static {
    /// Its description.
    const SCHEMA: &'static OperationSchema;
    /// Parameters; members required by the model are plain, all others optional.
    type Input: Shape + Clone + std::fmt::Debug + PartialEq + Send;
    /// Answer.
    type Output: Shape + Clone + std::fmt::Debug + PartialEq + Send;
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    /// Code on the wire, e.g. `ClusterNotFoundException`, `LoadBalancerNotFound`.
    pub code: Cow<'static, str>,
    /// Text for a person.
    pub message: String,
    /// HTTP status; `None` takes the model's for this code, and 400 for a code it does not know.
    pub http_status: Option<u16>,
    /// False when the fault is ours: status 500 unless one is given.
    pub sender_fault: bool,
    /// Members of the error's shape besides its text. Only JSON and CBOR have any; in the models of the XML services, no
    /// error that we make has one.
    pub members: Vec<(&'static str, ErrorMember)>,
}

/// A member of an error's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorMember {
    Text(String),
    Number(i64),
    Texts(Vec<String>),
}

impl AwsError {
    /// An error of the caller's making; its status is the model's, else 400.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), http_status: None, sender_fault: true, members: Vec::new() }
    }

    /// An error of our making, status 500 unless the model says otherwise.
    pub fn fault(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { sender_fault: false, ..Self::new(code, message) }
    }

    /// The same error with another HTTP status than the model's.
    pub fn with_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    /// The same error with a member of its shape.
    pub fn with(mut self, name: &'static str, member: ErrorMember) -> Self {
        self.members.push((name, member));
        self
    }

    /// HTTP status in the answer to `operation`.
    pub fn status(&self, operation: Option<&OperationSchema>) -> u16 {
        self.http_status
            .or_else(|| operation.and_then(|o| o.error(&self.code)).map(|e| e.status))
            .unwrap_or(if self.sender_fault { 400 } else { 500 })
    }
}

impl std::fmt::Display for AwsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AwsError {}
