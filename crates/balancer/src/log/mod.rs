//! Access and connection logs: an Application Load Balancer's lines, in gzip files below a directory that
//! stands for the bucket.
//!
//! A request's line is made when its response is complete ([`record`]) and handed to one thread that writes
//! files ([`writer`]). When that thread falls behind, lines are dropped and counted rather than requests
//! delayed: AWS calls its logs best effort, too.

mod connection;
mod record;
mod time;
mod writer;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use connection::ConnectionRecord;
pub(crate) use record::Record;
pub(crate) use writer::Writer;

use crate::config::LogDestination;

/// What a file's lines tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Requests.
    Access,
    /// TLS handshakes, and connections without.
    Connection,
}

/// Where one load balancer's lines of one kind go.
#[derive(Clone, Debug)]
pub(crate) struct LogStream {
    place: Arc<Place>,
    writer: writer::Lines,
}

impl LogStream {
    /// Hands over a line, without its newline.
    fn write(&self, line: String) {
        self.writer.send(&self.place, line);
    }
}

/// What names a file, apart from its time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    kind: Kind,
    directory: PathBuf,
    prefix: String,
    account: String,
    region: String,
    /// `app.name.id`.
    load_balancer: String,
    node: Option<IpAddr>,
}

impl Place {
    fn new(kind: Kind, load_balancer_arn: &str, node: Option<IpAddr>, to: &LogDestination) -> Place {
        // arn:aws:elasticloadbalancing:region:account:loadbalancer/app/name/id
        let mut parts = load_balancer_arn.splitn(6, ':').skip(3);
        let region = parts.next().unwrap_or("-").to_owned();
        let account = parts.next().unwrap_or("-").to_owned();
        let resource = parts.next().unwrap_or(load_balancer_arn);
        let resource = resource.strip_prefix("loadbalancer/").unwrap_or(resource);
        Place {
            kind,
            directory: to.directory.clone(),
            prefix: to.prefix.clone(),
            account,
            region,
            load_balancer: resource.replace('/', "."),
            node,
        }
    }
}

/// A quoted field, or the dash that stands for none. Nothing in it can end the field or the line.
fn quote(line: &mut String, text: Option<&str>) {
    line.push('"');
    match text {
        None | Some("") => line.push('-'),
        Some(text) => {
            for c in text.chars() {
                match c {
                    '"' => line.push_str("\\x22"),
                    '\\' => line.push_str("\\x5C"),
                    c if c.is_ascii_graphic() || c == ' ' => line.push(c),
                    c => {
                        use std::fmt::Write;
                        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                            write!(line, "\\x{byte:02X}").expect("a String takes every write");
                        }
                    }
                }
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_cannot_break_out_of_its_quotes() {
        let check = |text: Option<&str>, expected: &str| {
            let mut line = String::new();
            quote(&mut line, text);
            assert_eq!(line, expected);
        };
        check(None, "\"-\"");
        check(Some("curl/8 (x)"), "\"curl/8 (x)\"");
        check(Some("a\" 200\n\\"), "\"a\\x22 200\\x0A\\x5C\"");
        check(Some("é"), "\"\\xC3\\xA9\"");
    }
}
