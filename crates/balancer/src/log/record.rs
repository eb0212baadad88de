//! One request's line of the access log, from its head to its last byte.
//!
//! The line is written when the record is dropped, which is when the response is complete, the tunnel ends, or
//! the client has left before there was a response (460).

use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::{HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Version};

use super::time::Civil;
use super::{LogStream, quote};
use crate::auth::Reason;
use crate::compile::{Action, Decision, Group, Route};
use crate::config::ProtocolVersion;
use crate::desync::Tier;
use crate::worker::call::Call;

/// See the module.
#[derive(Debug)]
pub(crate) struct Record {
    log: LogStream,
    call: Rc<Call>,
    load_balancer: String,
    began_at: SystemTime,
    began: Instant,
    dispatched: Option<Instant>,
    target_answered: Option<Instant>,
    answered: Option<Instant>,
    kind: &'static str,
    request: String,
    user_agent: Option<String>,
    target: Option<SocketAddr>,
    group: Option<Arc<Group>>,
    status: Option<StatusCode>,
    target_status: Option<StatusCode>,
    received_head: u64,
    sent: u64,
    tunnel_received: u64,
    trace_id: Option<String>,
    priority: Option<u32>,
    action: &'static str,
    /// What let the request in, or did not.
    guard: Option<&'static str>,
    error_reason: Option<&'static str>,
    redirect_url: Option<String>,
}

impl Record {
    fn new(log: &LogStream, call: &Rc<Call>, route: &Route, request: String) -> Record {
        Record {
            log: log.clone(),
            call: call.clone(),
            load_balancer: route.load_balancer.resource.clone(),
            began_at: SystemTime::now(),
            began: Instant::now(),
            dispatched: None,
            target_answered: None,
            answered: None,
            kind: call.origin.scheme(),
            request,
            user_agent: None,
            target: None,
            group: None,
            status: None,
            target_status: None,
            received_head: 0,
            sent: 0,
            tunnel_received: 0,
            trace_id: None,
            priority: None,
            action: "-",
            guard: None,
            error_reason: None,
            redirect_url: None,
        }
    }

    /// A request that could not be understood.
    pub(crate) fn of_refused(log: &LogStream, call: &Rc<Call>, route: &Route) -> Box<Record> {
        let request = format!("- {}://{}:{}- -", call.origin.scheme(), call.origin.local.ip(), route.port);
        Box::new(Record::new(log, call, route, request))
    }

    pub(crate) fn begin<B>(log: &LogStream, call: &Rc<Call>, route: &Route, request: &Request<B>) -> Box<Record> {
        let headers = request.headers();
        let text = |name| headers.get(name).map(|value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()));
        let uri = request.uri();
        let host = uri.authority().map(|host| host.as_str().into()).or_else(|| text(HOST)).unwrap_or_default();
        let host = crate::proxy::host::without_port(&host);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let version = match request.version() {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        };
        let method = request.method();
        let line = format!("{method} {}://{host}:{}{path} {version}", call.origin.scheme(), route.port);
        let mut record = Record::new(log, call, route, line);
        record.user_agent = text(USER_AGENT).map(|agent| agent.into_owned());
        record.received_head = (method.as_str().len() + path.len() + version.len() + 4) as u64 + head_bytes(headers);
        if request.version() == Version::HTTP_2 {
            record.kind = "h2";
        }
        Box::new(record)
    }

    pub(crate) fn decided(&mut self, decision: &Decision<'_>) {
        self.priority = Some(decision.priority);
        self.action = match decision.action {
            Action::Forward(_) => "forward",
            Action::Redirect(_) => "redirect",
            Action::FixedResponse(_) => "fixed-response",
        };
    }

    pub(crate) fn guarded(&mut self, guard: &'static str) {
        self.guard = Some(guard);
    }

    /// A guard answered instead of the action.
    pub(crate) fn stopped(&mut self, reason: Option<Reason>) {
        self.action = "-";
        self.error_reason = reason.map(Reason::as_str);
    }

    pub(crate) fn redirected<B>(&mut self, response: &Response<B>) {
        let location = response.headers().get(LOCATION);
        self.redirect_url = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
    }

    pub(crate) fn chose_group(&mut self, group: Option<&Arc<Group>>) {
        self.group = group.cloned();
        if self.kind == "h2" && group.is_some_and(|group| group.version == ProtocolVersion::Grpc) {
            self.kind = "grpcs";
        }
    }

    pub(crate) fn chose_target(&mut self, target: SocketAddr) {
        self.target = Some(target);
    }

    /// What was added to a request on its way to a target.
    pub(crate) fn traced(&mut self, headers: &HeaderMap) {
        let id = headers.get("x-amzn-trace-id");
        self.trace_id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    }

    pub(crate) fn dispatched(&mut self) {
        self.dispatched = Some(Instant::now());
    }

    pub(crate) fn target_answered(&mut self, status: StatusCode) {
        self.target_answered = Some(Instant::now());
        self.target_status = Some(status);
    }

    /// The response's head is about to leave.
    pub(crate) fn answered<B>(mut self: Box<Self>, response: &Response<B>) -> Box<Self> {
        self.answered = Some(Instant::now());
        self.status = Some(response.status());
        let reason = response.status().canonical_reason().unwrap_or("");
        // With the date that is added.
        self.sent = (15 + reason.len() + 37) as u64 + head_bytes(response.headers());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.kind = if self.call.origin.tls.is_some() { "wss" } else { "ws" };
        }
        self
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// A tunnel ended; `(from client, to client)`.
    pub(crate) fn carried(&mut self, (received, sent): (u64, u64)) {
        self.tunnel_received = received;
        self.sent += sent;
    }

    fn line(&self) -> String {
        let mut line = String::with_capacity(512);
        let origin = &self.call.origin;
        // A client that left before it was answered.
        let status = self.status.map_or(460, |status| status.as_u16());
        let now = Instant::now();
        let seconds = |from: Option<Instant>, to: Option<Instant>| match (from, to) {
            (Some(from), Some(to)) => format!("{:.3}", to.saturating_duration_since(from).as_secs_f64()),
            _ => "-1".to_owned(),
        };
        let request_time = seconds(self.dispatched.map(|_| self.began), self.dispatched);
        let target_time = seconds(self.dispatched, self.target_answered);
        let response_time = seconds(self.target_answered, self.answered.map(|_| now));
        let received = self.received_head + self.call.body_bytes.get() + self.tunnel_received;
        let target = self.target.map_or_else(|| "-".to_owned(), |target| target.to_string());
        let target_status = self.target_status.map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string());
        let written = write!(
            line,
            "{} {} {} {} {target} {request_time} {target_time} {response_time} {status} {target_status} {received} {} ",
            self.kind,
            Civil::of(SystemTime::now()),
            self.load_balancer,
            origin.peer,
            self.sent,
        );
        written.expect("a String takes every write");
        quote(&mut line, Some(&self.request));
        line.push(' ');
        quote(&mut line, self.user_agent.as_deref());
        let tls = origin.tls.as_ref();
        let (suite, version) = tls.map_or(("-", "-"), |session| (session.suite, session.version));
        let group = self.group.as_ref().map_or("-", |group| &group.arn);
        let _ = write!(line, " {suite} {version} {group} ");
        quote(&mut line, self.trace_id.as_deref());
        line.push(' ');
        quote(&mut line, tls.and_then(|session| session.server_name.as_deref()));
        line.push(' ');
        quote(&mut line, tls.and_then(|session| session.certificate_arn.as_deref()));
        match self.priority {
            Some(priority) => _ = write!(line, " {priority}"),
            None => line.push_str(" -1"),
        }
        let _ = write!(line, " {} ", Civil::of(self.began_at));
        match self.guard {
            None => quote(&mut line, Some(self.action)),
            Some(guard) if self.action == "-" => quote(&mut line, Some(guard)),
            Some(guard) => quote(&mut line, Some(&format!("{guard},{}", self.action))),
        }
        line.push(' ');
        quote(&mut line, self.redirect_url.as_deref());
        line.push(' ');
        quote(&mut line, self.error_reason);
        line.push(' ');
        quote(&mut line, Some(&target));
        line.push(' ');
        quote(&mut line, Some(&target_status));
        let verdict = self.call.verdict.get();
        let is_compliant = verdict.tier == Tier::Compliant;
        line.push(' ');
        quote(&mut line, (!is_compliant).then_some(verdict.tier.as_str()));
        line.push(' ');
        quote(&mut line, (!is_compliant).then_some(verdict.reason));
        line.push(' ');
        line.push_str(&origin.trace_id());
        line
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.call.origin.counts.elb_4xx.add(1);
        }
        self.log.write(self.line());
    }
}

/// Bytes of headers in HTTP/1.1's form.
fn head_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum::<u64>() + 2
}
