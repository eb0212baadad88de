//! Lines of the connection log: one for each connection attempt to an HTTPS listener.

use std::io;
use std::time::{Instant, SystemTime};

use super::LogStream;
use super::time::Civil;
use crate::tls::Session;
use crate::worker::origin::Origin;

/// A handshake on its way.
#[derive(Debug)]
pub(crate) struct ConnectionRecord {
    log: LogStream,
    began: Instant,
}

impl ConnectionRecord {
    pub(crate) fn begin(log: LogStream) -> ConnectionRecord {
        ConnectionRecord { log, began: Instant::now() }
    }

    pub(crate) fn established(self, origin: &Origin, session: &Session) {
        let latency = self.began.elapsed().as_secs_f64();
        self.write(origin, &format!("{} {} {latency:.3}", session.version, session.suite), "Success");
    }

    pub(crate) fn failed(self, origin: &Origin, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => "Failed:ConnectionTimeout",
            _ => "Failed:UnmappedConnectionError",
        };
        self.write(origin, "- - -", reason);
    }

    /// Fields of client certificates are empty: trust stores are refused.
    fn write(&self, origin: &Origin, tls: &str, status: &str) {
        let (time, peer) = (Civil::of(SystemTime::now()), origin.peer);
        let (ip, port, own) = (peer.ip(), peer.port(), origin.local.port());
        self.log.write(format!("{time} {ip} {port} {own} {tls} \"-\" \"-\" - {status} {}", origin.trace_id()));
    }
}
