//! Workers: one thread, one single-threaded runtime each. They share nothing on the data path but counters
//! and the lists of eligible targets; routes come to each as a message and are swapped between two requests.

pub(crate) mod call;
pub(crate) mod client;
mod http2;
pub(crate) mod origin;
mod timer;
mod transport;

use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpListener as StdTcpListener;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use hyper::client as http_client;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use crate::clock;
use crate::compile::{Route, Routes};
use crate::counters::LoadBalancerCounts;
use crate::proxy::h1::scraps::Scraps;
use crate::proxy::multiplexed::Connections;
use crate::proxy::pool::Pool;
use crate::proxy::trace_id::TraceIds;
use crate::proxy::upstream::HEAD_READ_BYTES;
use crate::tls::Offer;
use crate::tls::target::TargetTls;
use call::{Call, Phase};
use client::Client;
use http2::Http2Client;
use origin::Origin;
use timer::Timer;
use transport::Transport;

/// Response heads larger than this are a bad gateway.
pub(crate) const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;

/// What a target may send over HTTP/2 before we take it.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Starts the HTTP/2 engine's tasks on the worker they come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// What the control task tells a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// Route by these from now on; answered when the next request sees them.
    Routes(Arc<Routes>, oneshot::Sender<()>),
    /// Accept on one more socket.
    Listen(ListenOrder),
    /// Stop accepting on the socket with this key; answered when it is closed.
    Unlisten(u64, oneshot::Sender<()>),
}

/// A socket to accept on.
#[derive(Debug)]
pub(crate) struct ListenOrder {
    /// For `Unlisten`.
    pub key: u64,
    pub listener_arn: String,
    /// In the balancer's own namespace: ingress rules apply.
    pub is_host: bool,
    pub socket: StdTcpListener,
}

/// The end the control task holds. The worker ends when it is dropped.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub orders: mpsc::UnboundedSender<Order>,
}

/// Starts a worker thread.
pub(crate) fn start(index: usize) -> io::Result<WorkerHandle> {
    let (orders, queue) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name(format!("balancer-{index}")).spawn(move || {
        let local = LocalSet::new();
        if let Err(error) = local.block_on(&runtime, run(queue)) {
            tracing::error!(%error, index, "worker cannot start");
        }
    })?;
    Ok(WorkerHandle { orders })
}

async fn run(mut queue: mpsc::UnboundedReceiver<Order>) -> io::Result<()> {
    let worker = Rc::new(Worker::new()?);
    loop {
        tokio::select! {
            order = queue.recv() => match order {
                Some(order) => worker.obey(order),
                None => return Ok(()),
            },
            () = worker.timer.tick() => worker.sweep(),
        }
    }
}

/// A connection that is looked after at each tick and configuration.
pub(crate) trait Watched: std::fmt::Debug {
    /// Finds out whether what the connection waits for took too long.
    fn check(&self);
}

/// A connection before it speaks HTTP.
#[derive(Debug)]
struct Handshaking(Rc<Call>);

impl Watched for Handshaking {
    fn check(&self) {
        self.0.check(self.0.origin.route().as_deref());
    }
}

/// State of one worker; everything on its thread may reach it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub pool: Pool,
    /// HTTP/2 connections to targets.
    pub multiplexed: Connections,
    pub trace_ids: TraceIds,
    /// Heads are made of them.
    pub scraps: Scraps,
    /// Heads are read into it.
    pub head_buffer: RefCell<Box<[MaybeUninit<u8>; HEAD_READ_BYTES]>>,
    pub client2: http_client::conn::http2::Builder<LocalTasks>,
    /// Handshakes with HTTPS targets over HTTP/1.1 and HTTP/2.
    pub target_tls: [TargetTls; 2],
    now_ms: Cell<u64>,
    unix_seconds: Cell<u64>,
    routes: RefCell<Arc<Routes>>,
    version: Cell<u64>,
    clients: RefCell<HashMap<u64, Rc<dyn Watched>>>,
    next_client: Cell<u64>,
    accepting: RefCell<HashMap<u64, JoinHandle<()>>>,
    timer: Timer,
    ticked: Notify,
    /// A second since the Unix epoch, and how HTTP writes it.
    date: RefCell<(u64, String)>,
}

impl Worker {
    fn new() -> io::Result<Worker> {
        let mut client2 = http_client::conn::http2::Builder::new(LocalTasks);
        client2
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(RESPONSE_HEAD_BYTES_MAX as u32);
        Ok(Worker {
            pool: Pool::default(),
            multiplexed: Connections::default(),
            trace_ids: TraceIds::new(),
            scraps: Scraps::default(),
            head_buffer: RefCell::new(Box::new([MaybeUninit::uninit(); HEAD_READ_BYTES])),
            client2,
            target_tls: [TargetTls::new("http/1.1"), TargetTls::new("h2")],
            now_ms: Cell::new(clock::now_ms()),
            unix_seconds: Cell::new(clock::unix_seconds()),
            routes: RefCell::default(),
            version: Cell::new(0),
            clients: RefCell::default(),
            next_client: Cell::new(0),
            accepting: RefCell::default(),
            timer: Timer::new()?,
            ticked: Notify::new(),
            date: RefCell::default(),
        })
    }

    /// Coarse milliseconds, see [`crate::clock`].
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Coarse seconds since the Unix epoch.
    pub(crate) fn unix_seconds(&self) -> u64 {
        self.unix_seconds.get()
    }

    /// Now, as HTTP writes it.
    pub(crate) fn date(&self) -> impl Deref<Target = [u8]> {
        let now = self.unix_seconds();
        let mut date = self.date.borrow_mut();
        if date.0 != now {
            *date = (now, httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now)));
        }
        drop(date);
        Ref::map(self.date.borrow(), |date| date.1.as_bytes())
    }

    /// Changes whenever routes do.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// The route of a listener now.
    pub(crate) fn route(&self, listener: &str) -> Option<Arc<Route>> {
        self.routes.borrow().listeners.get(listener).cloned()
    }

    /// Whether connections to a target are worth keeping.
    pub(crate) fn is_poolable(&self, target: u64) -> bool {
        self.routes.borrow().poolable.contains(&target)
    }

    fn obey(self: &Rc<Self>, order: Order) {
        match order {
            Order::Routes(routes, done) => {
                self.pool.retain(|target| routes.poolable.contains(&target));
                self.multiplexed.retain(|target| routes.poolable.contains(&target));
                *self.routes.borrow_mut() = routes;
                self.version.set(self.version.get() + 1);
                for client in self.clients.borrow().values() {
                    client.check();
                }
                // Nobody may be waiting any more.
                let _ = done.send(());
            }
            Order::Listen(order) => {
                let key = order.key;
                let task = spawn_local(self.clone().accept(order));
                self.accepting.borrow_mut().insert(key, task);
            }
            Order::Unlisten(key, done) => {
                if let Some(task) = self.accepting.borrow_mut().remove(&key) {
                    task.abort();
                    spawn_local(async move {
                        // An aborted task ends in an error, which says nothing new.
                        let _ = task.await;
                        let _ = done.send(());
                    });
                }
            }
        }
    }

    async fn accept(self: Rc<Self>, order: ListenOrder) {
        let listener_arn: Rc<str> = order.listener_arn.into();
        let listener = match TcpListener::from_std(order.socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, listener = %listener_arn, "cannot watch the socket"),
        };
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.accepted(&listener_arn, order.is_host, stream, peer),
                Err(error) => {
                    // Out of descriptors, mostly: some will be free by the next tick.
                    tracing::warn!(%error, listener = %listener_arn, "cannot accept");
                    self.timer.set_armed(true);
                    self.ticked.notified().await;
                }
            }
        }
    }

    fn accepted(self: &Rc<Self>, listener: &Rc<str>, is_host: bool, stream: TcpStream, peer: std::net::SocketAddr) {
        let Some(route) = self.route(listener) else { return };
        let counts = route.load_balancer.counts.clone();
        if is_host && !route.load_balancer.admits(peer.ip(), route.port) {
            counts.rejected_connections.add(1);
            // A reset rather than an orderly end: the peer sees a closed door, not an empty answer. Where the
            // option fails, the connection ends all the same.
            let _ = stream.set_zero_linger();
            return;
        }
        if self.timer.set_armed(true) {
            self.refresh_clock();
        }
        // The peer may be gone already; then the connection ends by itself.
        let Ok(local) = stream.local_addr() else { return };
        counts.new_connections.add(1);
        counts.active_connections.add(1);
        let id = self.next_client.replace(self.next_client.get() + 1);
        let origin = Origin::new(self.clone(), listener.clone(), counts.clone(), peer, local);
        let worker = self.clone();
        match &route.tls {
            None => {
                let client = Rc::new(Client::new(Rc::new(origin), Transport::Plain(stream)));
                self.clients.borrow_mut().insert(id, client.clone());
                spawn_local(async move {
                    client.serve().await;
                    worker.closed(id, &counts);
                });
            }
            Some(offer) => {
                let offer = offer.clone();
                spawn_local(async move {
                    worker.clone().serve_tls(id, origin, offer, stream).await;
                    worker.closed(id, &counts);
                });
            }
        }
    }

    /// Shakes hands, then serves what was agreed on.
    async fn serve_tls(self: Rc<Self>, id: u64, origin: Origin, offer: Arc<Offer>, stream: TcpStream) {
        let origin = Rc::new(origin);
        let call = Rc::new(Call::new(origin.clone(), Phase::Handshake));
        self.watch(id, Rc::new(Handshaking(call.clone())));
        let log = origin.connection_log();
        let mut accepting = Box::pin(TlsAcceptor::from(offer.server.clone()).accept(stream));
        let accepted = poll_fn(|cx| match call.poll_expired(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => accepting.as_mut().poll(cx),
        })
        .await;
        drop(accepting);
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, peer = %origin.peer, "TLS handshake failed");
                origin.counts.tls_negotiation_errors.add(1);
                if let Some(log) = log {
                    log.failed(&origin, &error);
                }
                return;
            }
        };
        let session = offer.session(&stream);
        if let Some(log) = log {
            log.established(&origin, &session);
        }
        let is_http2 = session.is_http2;
        let origin = Rc::new(origin.with_session(session));
        let stream = Transport::Tls(Box::new(stream));
        // In boxes, so that the larger of the two is not every connection's state.
        if is_http2 {
            let client = Rc::new(Http2Client::new(origin));
            self.watch(id, client.clone());
            Box::pin(client.serve(stream)).await;
        } else {
            let client = Rc::new(Client::new(origin, stream));
            self.watch(id, client.clone());
            Box::pin(client.serve()).await;
        }
    }

    fn watch(&self, id: u64, client: Rc<dyn Watched>) {
        self.clients.borrow_mut().insert(id, client);
    }

    fn closed(&self, id: u64, counts: &LoadBalancerCounts) {
        self.clients.borrow_mut().remove(&id);
        counts.active_connections.subtract(1);
    }

    fn refresh_clock(&self) {
        self.now_ms.set(clock::now_ms());
        self.unix_seconds.set(clock::unix_seconds());
    }

    fn sweep(&self) {
        self.refresh_clock();
        self.ticked.notify_waiters();
        for client in self.clients.borrow().values() {
            client.check();
        }
        self.pool.sweep(self.now_ms());
        self.multiplexed.sweep(self.now_ms());
        if self.clients.borrow().is_empty() && self.pool.is_empty() && self.multiplexed.is_empty() {
            self.timer.set_armed(false);
        }
    }
}
