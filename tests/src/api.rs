//! AWS calls without a CLI, for tests that make many or that measure: JSON services only.

use crate::http::Connection;
use anyhow::bail;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub struct Api {
    address: SocketAddr,
    connection: Connection,
    used: Instant,
}

/// Servers close connections that rest; a request on one that is being closed would be lost.
const REST_MAX: Duration = Duration::from_secs(20);

/// A call that was not answered with success.
#[derive(Debug)]
pub enum Failure {
    /// The service said no.
    Refused { code: String, message: String },
    /// Nobody knows whether it happened.
    Lost(anyhow::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "{code}: {message}"),
            Self::Lost(error) => write!(f, "no answer: {error:#}"),
        }
    }
}

impl std::error::Error for Failure {}

impl Api {
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { address, connection: Connection::open(address, &address.to_string())?, used: Instant::now() })
    }

    /// One ECS operation.
    pub fn ecs(&mut self, operation: &str, input: &Value) -> Result<Value, Failure> {
        self.call("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input)
    }

    pub fn call(&mut self, service: &str, target: &str, input: &Value) -> Result<Value, Failure> {
        if self.used.elapsed() > REST_MAX {
            self.connection = Connection::open(self.address, &self.address.to_string()).map_err(Failure::Lost)?;
        }
        self.used = Instant::now();
        match self.try_call(service, target, input) {
            Err(Failure::Lost(error)) => {
                // The next call gets a fresh connection; this one may have been carried out, so that it is not repeated.
                if let Ok(connection) = Connection::open(self.address, &self.address.to_string()) {
                    self.connection = connection;
                }
                Err(Failure::Lost(error))
            }
            result => result,
        }
    }

    fn try_call(&mut self, service: &str, target: &str, input: &Value) -> Result<Value, Failure> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=longshore/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature={:064x}",
            0
        );
        let headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target),
            ("Authorization", authorization.as_str()),
        ];
        let answer =
            self.connection.request("POST", "/", &headers, input.to_string().as_bytes()).map_err(Failure::Lost)?;
        let body: Value = serde_json::from_slice(&answer.body).map_err(|error| Failure::Lost(error.into()))?;
        if answer.status == 200 {
            return Ok(body);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let code = text("__type").rsplit('#').next().unwrap_or_default().to_owned();
        Err(Failure::Refused {
            code,
            message: if body["message"].is_string() { text("message") } else { text("Message") },
        })
    }
}

/// The one element of an answer's list, or the failures that came instead.
pub fn only<'a>(answer: &'a Value, list: &str) -> anyhow::Result<&'a Value> {
    match answer[list].as_array().map(Vec::as_slice) {
        Some([one]) => Ok(one),
        _ => bail!("expected one of {list}: {answer}"),
    }
}
