//! One health check: a fresh connection, one GET, the status line decides.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::egress::Egress;
use crate::health::{Failure, Matcher, Outcome};

/// Head and body read at most: enough for a status page, little enough for a target that never ends.
const READ_BYTES_MAX: usize = 64 * 1024;

/// What to ask and what to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub address: SocketAddr,
    pub path: String,
    pub timeout: Duration,
    pub matcher: Matcher,
}

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
        let mut stream = egress.connect(self.address).await?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\
             Accept-Encoding: gzip, compressed\r\n\r\n",
            self.path, self.address
        );
        stream.write_all(request.as_bytes()).await?;
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
}

async fn drain(mut stream: TcpStream, timeout: Duration) {
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
