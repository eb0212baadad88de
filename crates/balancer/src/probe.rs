//! One health check: a fresh connection, one request. Over HTTP the status decides, over gRPC its own code.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::egress::Egress;
use crate::health::{Failure, Matcher, Outcome};
use crate::tls::target;

/// Head and body read at most: enough for a status page, little enough for a target that never ends.
const READ_BYTES_MAX: usize = 64 * 1024;
/// A gRPC message of no bytes: not compressed, length 0.
const EMPTY_MESSAGE: &[u8] = &[0; 5];
const AGENT: &str = "ELB-HealthChecker/2.0";

/// What to ask and what to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub address: SocketAddr,
    pub path: String,
    pub timeout: Duration,
    pub matcher: Matcher,
    pub is_tls: bool,
    pub speech: Speech,
}

/// How to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Http1,
    Http2,
    Grpc,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Probe {
    /// Asks once.
    pub(crate) async fn run(&self, egress: &Egress) -> Outcome {
        match tokio::time::timeout(self.timeout, self.ask(egress)).await {
            Err(_) => Err(Failure::Timeout),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::Timeout),
            Ok(Err(_)) => Err(Failure::Failed),
            Ok(Ok(code)) if self.matcher.matches(code) => Ok(()),
            Ok(Ok(code)) => Err(Failure::Code(code)),
        }
    }

    async fn ask(&self, egress: &Egress) -> io::Result<u16> {
        let stream = egress.connect(self.address).await?;
        let stream: Box<dyn Stream> = match (self.is_tls, self.speech) {
            (false, _) => Box::new(stream),
            (true, Speech::Http1) => Box::new(target::http1().connect(self.address.ip(), stream).await?),
            (true, _) => Box::new(target::http2().connect(self.address.ip(), stream).await?),
        };
        match self.speech {
            Speech::Http1 => self.ask_http1(stream).await,
            Speech::Http2 | Speech::Grpc => self.ask_http2(stream).await.map_err(io::Error::other),
        }
    }

    async fn ask_http1(&self, mut stream: Box<dyn Stream>) -> io::Result<u16> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: {AGENT}\r\n\
             Accept-Encoding: gzip, compressed\r\n\r\n",
            self.path, self.address
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::with_capacity(2048);
        let code = loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(code) = final_code(&answer)? {
                break code;
            }
            if answer.len() > READ_BYTES_MAX {
                return Err(io::Error::other("no answer head in 64 KiB"));
            }
        };
        // Closing with data unread would reset the connection, which servers log as an error. The answer is
        // known already, so this must not delay it.
        tokio::spawn(drain(stream, self.timeout));
        Ok(code)
    }

    async fn ask_http2(&self, stream: Box<dyn Stream>) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let serving = tokio::spawn(connection);
        let scheme = if self.is_tls { "https" } else { "http" };
        let request =
            Request::builder().uri(format!("{scheme}://{}{}", self.address, self.path)).header(USER_AGENT, AGENT);
        let code = match self.speech {
            Speech::Grpc => {
                let request = request.method("POST").header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
                let response = sender.send_request(request.body(Full::new(Bytes::from_static(EMPTY_MESSAGE)))?).await?;
                let (head, body) = response.into_parts();
                let code = |headers: &http::HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
                match code(&head.headers) {
                    Some(code) => code,
                    None => {
                        let body = http_body_util::Limited::new(body, READ_BYTES_MAX).collect().await?;
                        body.trailers().and_then(code).ok_or("no gRPC status")?
                    }
                }
            }
            _ => sender.send_request(request.body(Full::default())?).await?.status().as_u16(),
        };
        // The connection ends by itself once nobody can send on it; a target that holds it is left.
        drop(sender);
        let abort = serving.abort_handle();
        let timeout = self.timeout;
        tokio::spawn(async move {
            if tokio::time::timeout(timeout, serving).await.is_err() {
                abort.abort();
            }
        });
        Ok(code)
    }
}

async fn drain(mut stream: Box<dyn Stream>, timeout: Duration) {
    let mut rest = [0; 4096];
    let mut read = 0;
    let all = async {
        while read < READ_BYTES_MAX {
            match stream.read(&mut rest).await {
                Ok(0) | Err(_) => return,
                Ok(bytes) => read += bytes,
            }
        }
    };
    // A target that does not close in time is closed on.
    let _ = tokio::time::timeout(timeout, all).await;
}

/// The status code once the head is complete; interim 1xx answers are passed over.
fn final_code(answer: &[u8]) -> io::Result<Option<u16>> {
    let mut rest = answer;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(rest) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(length)) => match response.code {
                Some(100..200) => rest = &rest[length..],
                code => return Ok(code),
            },
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_known_when_the_head_is_complete() {
        assert_eq!(final_code(b"HTTP/1.1 200 OK\r\nA: b\r\n").unwrap(), None);
        assert_eq!(final_code(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some(204));
        assert_eq!(final_code(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 X\r\n\r\n").unwrap(), Some(503));
        assert!(final_code(b"SSH-2.0-OpenSSH\r\n").is_err());
    }
}
