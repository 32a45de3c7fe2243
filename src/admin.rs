//! What an operator sees while the sidecar runs: health, metrics, sessions, routes, the status page.
//!
//! HTTP/1 on an address of its own. Everything can be looked at, nothing can be changed. Whoever
//! can connect may ask; see `admin` in `config/reference.yaml` for what that shows.
//!
//! # Decisions
//!
//! * When all places for connections are taken, the oldest connection goes, not the newest: a probe
//!   that comes now is answered now, however many slow ones hang around. Scrapers and browsers
//!   connect again by themselves.
//! * A connection is closed after a minute, between two answers. So nothing that somebody does not
//!   read is kept for long, and no list of idle times has to be kept.

mod answer;
mod health;
mod host;
mod query;
mod routes;
mod sessions;
mod status;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::config::Place;
use crate::proxy::Current;
use crate::telemetry::scope;
use health::Health;
use status::Process;

/// Connections at once.
const CONNECTIONS: usize = 64;

/// How long a connection may take to send the head of a request, also the first.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of a request's head, and of an answer that its reader has not taken yet, beyond the
/// answer itself.
const BUFFER: usize = 16 * 1024;

/// Header lines of a request.
const HEADER_LINES: usize = 64;

/// When a connection is asked to end, and how long it may take for that.
const LIFETIME: Duration = Duration::from_secs(60);
const FAREWELL: Duration = Duration::from_secs(5);

/// How long to wait when the process is out of file descriptors before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all requests need.
pub(crate) struct Admin {
    current: Current,
    /// Closed once the sidecar stops.
    clients: TaskTracker,
    health: Health,
    process: Process,
    /// Held by the one that looks through all sessions.
    search: Mutex<()>,
}

impl Admin {
    /// Speaks of the sidecar that serves `clients` at `listen`.
    pub(crate) fn new(current: Current, clients: TaskTracker, listen: Vec<Place>) -> Self {
        let started = Instant::now();
        Self {
            current,
            clients,
            health: Health::new(),
            process: Process { started, listen },
            search: Mutex::default(),
        }
    }

    /// Answers whoever connects, for ever.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let stack = answer::stack(Arc::clone(&admin));
        let mut connections: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(parent: &scope::client(None), %error, "cannot accept on the admin address");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            connections.retain(|connection| !connection.is_finished());
            if connections.len() >= CONNECTIONS
                && let Some(oldest) = connections.pop_front()
            {
                oldest.abort();
            }
            let (admin, stack) = (Arc::clone(&admin), stack.clone());
            let serve = async move {
                let service = service_fn(|request| {
                    let (admin, stack) = (Arc::clone(&admin), stack.clone());
                    async move { Ok::<_, io::Error>(answer::respond(&admin, stack, &request).await) }
                });
                converse(stream, service).await;
            };
            connections.push_back(tokio::spawn(serve).abort_handle());
        }
    }

    /// Whether clients are taken; why not, where they are not.
    async fn readiness(&self) -> Result<(), String> {
        if self.clients.is_closed() {
            return Err("stopping: no more clients are accepted".to_owned());
        }
        let shared = self.current.get();
        let home = &shared.config.ensemble(shared.config.home()).name;
        let reached = self.health.home_is_ready(&shared.dialer).await;
        reached.map_err(|faults| format!("no server of {home} can be used: {}", faults.join("; ")))
    }
}

/// Serves one connection to its end.
async fn converse<S>(stream: TcpStream, service: S)
where
    S: hyper::service::HttpService<
            hyper::body::Incoming,
            ResBody = http_body_util::Full<hyper::body::Bytes>,
        >,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(HEADER_LINES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = sleep(LIFETIME) => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = timeout(FAREWELL, connection).await else {
                return;
            };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(parent: &scope::client(None), %error, "admin connection ended");
    }
}
