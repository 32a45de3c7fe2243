//! Accepts clients: four-letter words are relayed, handshakes become sessions. Stops and reloads.

mod reload;
mod words;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sd_notify::NotifyState;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::config::Config;
use crate::dial::{Dialer, Unreachable, read_rest};
use crate::driver::{Driver, End, Links};
use crate::registry::{Command, Registry};
use crate::route::EnsembleId;
use crate::session::{Origin, ParkedLeg, Session, Settings, Tick};
use crate::state::{LegRecord, StateError, Store};
use crate::telemetry::{Outcome, Record, Seen, Telemetry, Watcher};
use crate::wire::connect::{ConnectRequest, ConnectResponse, Credentials};
use crate::wire::frames::PREFIX;
use crate::wire::words::is_word;
use crate::wire::{SessionId, WireFault};

/// Largest handshake: clients send 45 bytes.
const HANDSHAKE_LIMIT: usize = 1024;

/// How long to wait when the process is out of file descriptors before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sidecar cannot serve.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address clients connect to cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// The address for operators cannot be listened on.
    #[error("cannot listen on {address} for `admin`: {cause}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// The leg table cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Signals cannot be waited for, or the address cannot be told.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What ended a connection before it became a session.
#[derive(Debug, Error)]
enum Turned {
    #[error("no handshake within {0:?}")]
    Slow(Duration),
    #[error("connection lost during the handshake: {0}")]
    Lost(io::Error),
    #[error("this is not ZooKeeper's protocol: {0}")]
    Foreign(io::Error),
    #[error("malformed handshake: {0}")]
    Malformed(#[from] WireFault),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

impl Turned {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Slow(_) => Outcome::Slow,
            Self::Lost(_) => Outcome::Lost,
            Self::Foreign(_) | Self::Malformed(_) => Outcome::Malformed,
            Self::Unreachable(_) => Outcome::Unreachable,
        }
    }
}

impl From<io::Error> for Turned {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::InvalidData {
            Self::Foreign(error)
        } else {
            Self::Lost(error)
        }
    }
}

/// How often sessions whose clients did not come back are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    settings: Arc<Settings>,
    pub(crate) dialer: Dialer,
    pub(crate) registry: Registry,
    store: Option<Store>,
    pub(crate) telemetry: Telemetry,
}

impl Shared {
    fn new(config: Config, store: Option<Store>, registry: Registry, telemetry: Telemetry) -> Self {
        let config = Arc::new(config);
        let dialer = Dialer::new(Arc::clone(&config), store.clone(), telemetry.clone());
        telemetry.look_at(Seen {
            config: Arc::clone(&config),
            circuits: dialer.circuits(),
            registry: registry.clone(),
        });
        Self {
            settings: Arc::new(settings(&config)),
            dialer,
            config,
            registry,
            store,
            telemetry,
        }
    }
}

/// The configuration in use.
#[derive(Clone)]
pub(crate) struct Current(Arc<RwLock<Arc<Shared>>>);

impl Current {
    pub(crate) fn get(&self) -> Arc<Shared> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, shared: Shared) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shared);
    }
}

/// Runs the sidecar until SIGTERM or SIGINT; `file` is where the configuration came from.
///
/// # Errors
/// If it cannot listen, or its state cannot be used.
pub async fn run(config: Config, file: PathBuf) -> Result<(), RunError> {
    let (address, admin_address) = (config.listen, config.admin);
    let grace = config.grace_period;
    let registry = Registry::default();
    let store = open_store(&config, &registry)?;
    let shared = Shared::new(config, store, registry, Telemetry::default());
    let current = Current(Arc::new(RwLock::new(Arc::new(shared))));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|cause| RunError::Listen { address, cause })?;
    let admin = match admin_address {
        None => None,
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|cause| RunError::Admin { address, cause })?,
        ),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let bound = listener.local_addr()?;
    tracing::info!(%bound, "listening");
    // For whoever started us with port 0 and waits to be told.
    writeln!(io::stdout(), "listening on {bound}")?;
    let connections = TaskTracker::new();
    if let Some(listener) = admin {
        let bound_admin = listener.local_addr()?;
        tracing::info!(bound = %bound_admin, "listening for operators");
        writeln!(io::stdout(), "admin on {bound_admin}")?;
        let admin = Admin::new(current.clone(), connections.clone(), bound);
        tokio::spawn(admin.serve(listener));
    }
    notify(&[NotifyState::Ready]);
    tokio::select! {
        () = accept_all(listener, &current, &connections) => {}
        () = reload::follow(file, hangup, current.clone()) => {}
        () = sweep(&current) => {}
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
    }
    notify(&[NotifyState::Stopping]);
    // First: connections that are not known to the registry yet look at it when they are.
    connections.close();
    current.get().registry.tell_all(&Command::Stop);
    if timeout(grace, connections.wait()).await.is_err() {
        let left = connections.len();
        tracing::warn!(left, ?grace, "connections cut: the grace period is over");
    }
    Ok(())
}

/// Tells systemd, where it started us.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

/// Opens the leg table and keeps what it holds for the clients that come back.
fn open_store(config: &Config, registry: &Registry) -> Result<Option<Store>, StateError> {
    let Some(directory) = &config.state else {
        return Ok(None);
    };
    let store = Store::open(directory, &config.ensemble(config.home()).name)?;
    let places: HashMap<&str, EnsembleId> = (0..)
        .map(EnsembleId::new)
        .zip(&config.ensembles)
        .map(|(id, ensemble)| (ensemble.name.as_str(), id))
        .collect();
    let sessions = store.load();
    tracing::info!(state = %directory.display(), sessions = sessions.len(), "leg table read");
    for (session, records) in sessions {
        let restored = |record: LegRecord| {
            let ensemble = places.get(record.ensemble.as_str())?;
            Some(ParkedLeg::restored(*ensemble, record.credentials))
        };
        registry.restore(session, records.into_iter().filter_map(restored).collect());
    }
    Ok(Some(store))
}

/// Forgets the sessions whose clients have not come back.
async fn sweep(current: &Current) {
    let mut period = interval(SWEEP);
    loop {
        period.tick().await;
        let shared = current.get();
        for session in shared.registry.expired(Instant::now()) {
            tracing::info!(%session, "client has not come back: its remote sessions are left to expire");
            forget(&shared, session).await;
        }
    }
}

async fn forget(shared: &Shared, session: SessionId) {
    if let Some(store) = &shared.store
        && let Err(error) = store.forget_all(session).await
    {
        shared.telemetry.not_recorded(Record::Forget);
        tracing::warn!(%session, %error, "cannot forget the legs of a session");
    }
}

async fn accept_all(listener: TcpListener, current: &Current, connections: &TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let (current, stopping) = (current.clone(), connections.clone());
                connections.spawn(async move {
                    if let Err(turned) = serve(client, &current, &stopping).await {
                        current.get().telemetry.connection(turned.outcome());
                        tracing::warn!(%peer, reason = %turned, "client turned away");
                    }
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn settings(config: &Config) -> Settings {
    let milliseconds =
        |bound: Duration| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(1);
    let policies = config
        .ensembles
        .iter()
        .map(|ensemble| ensemble.policy)
        .collect();
    let mut settings = Settings::new(config.routes.clone(), policies);
    settings.frame_limit = config.limits.frame_limit;
    settings.look_ahead = config.limits.look_ahead;
    settings.outstanding = config.limits.outstanding;
    settings.request_timeout = config.request_timeout.map(milliseconds);
    settings.idle_leg_timeout = milliseconds(config.idle_leg_timeout);
    settings.expose_config = config.expose_config;
    settings
}

async fn serve(
    mut client: TcpStream,
    current: &Current,
    connections: &TaskTracker,
) -> Result<(), Turned> {
    let shared = &*current.get();
    client.set_nodelay(true)?;
    let bound = shared.config.handshake_timeout;
    let first = timeout(bound, first_bytes(&mut client))
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let Some(first) = first else {
        shared.telemetry.connection(Outcome::Silent);
        return Ok(());
    };
    if is_word(first) {
        words::answer(client, first, shared).await?;
        shared.telemetry.connection(Outcome::Word);
        return Ok(());
    }
    let rest = read_rest(&mut client, first.to_vec(), HANDSHAKE_LIMIT);
    let handshake = timeout(bound, rest)
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let request = ConnectRequest::parse(handshake.get(PREFIX..).unwrap_or_default())?;
    let home = shared.config.home();
    let attached = shared.dialer.attach(home, &handshake).await?;
    client.write_all(&attached.frame).await?;
    match attached.response {
        ConnectResponse::Granted(me) => {
            let origin = if request.session == SessionId::NONE {
                Origin::New
            } else {
                Origin::Attached
            };
            shared.telemetry.connection(Outcome::Session(origin));
            drive((client, attached.stream), me, origin, current, connections).await;
        }
        ConnectResponse::Refused => {
            tracing::info!(session = %request.session, "home refused the session");
            client.shutdown().await?;
            shared.telemetry.connection(Outcome::Refused);
            end_legs(&request, shared).await;
        }
    }
    Ok(())
}

/// What tells a four-letter word from a handshake; nothing from those who only look whether the
/// port is open.
async fn first_bytes(client: &mut TcpStream) -> io::Result<Option<[u8; PREFIX]>> {
    let mut first = [0; PREFIX];
    let read = client.read(&mut first).await?;
    if read == 0 {
        return Ok(None);
    }
    client
        .read_exact(first.get_mut(read..).unwrap_or_default())
        .await?;
    Ok(Some(first))
}

/// Serves a session that home has granted until its connection ends.
async fn drive(
    (client, home): (TcpStream, TcpStream),
    me: Credentials,
    origin: Origin,
    current: &Current,
    connections: &TaskTracker,
) {
    let id = me.session;
    tracing::debug!(session = %id, timeout = me.timeout, ?origin, "session attached");
    let (place, legs) = current.get().registry.enter(id, me.password).await;
    // From here on commands arrive. What was said before, during the handshake, is seen here.
    let shared = &*current.get();
    let mut session = Session::new(Arc::clone(&shared.settings), me, origin, Tick::default());
    session.resume(legs, Tick::default());
    if connections.is_closed() {
        session.stop();
    }
    let links = Links {
        client,
        home: (shared.config.home(), home),
        request_limit: shared.config.limits.frame_limit,
        dialer: shared.dialer.clone(),
        epoch: Instant::now(),
        mailbox: Arc::clone(&place.mailbox),
    };
    let telemetry = &shared.telemetry;
    let watcher = Watcher::new(Arc::clone(&shared.config), id, telemetry.clone());
    let _notice = telemetry.notice_panic();
    let (end, session) = Driver::new(session, links, watcher).run().await;
    telemetry.ended(end.ending());
    match end {
        End::ClientGone => tracing::debug!(session = %id, "client gone"),
        End::Closed => tracing::debug!(session = %id, "connection closed"),
        End::TakenOver => tracing::debug!(session = %id, "taken over by a newer connection"),
        End::Fault(fault) => tracing::warn!(session = %id, %fault, "client's connection closed"),
    }
    let legs = session.park();
    // Also where nothing is left to go on with: a leg that was dialled may have been written down.
    if legs.as_ref().is_none_or(Vec::is_empty) && place.is_current() {
        forget(shared, id).await;
    }
    place.leave(legs);
}

/// Home says that a session is no more: what is left of it elsewhere ends now, and its ephemerals
/// with it.
async fn end_legs(request: &ConnectRequest, shared: &Shared) {
    let Some(legs) = shared.registry.refused(request.session, &request.password) else {
        return;
    };
    let mut ends = JoinSet::new();
    for leg in legs {
        let dialer = shared.dialer.clone();
        ends.spawn(async move { dialer.end(leg.ensemble(), leg.credentials()).await });
    }
    while let Some(ended) = ends.join_next().await {
        if let Ok(Err(unreachable)) = ended {
            tracing::warn!(session = %request.session, %unreachable, "a remote session is left to expire");
        }
    }
    forget(shared, request.session).await;
}
