//! Accepts clients: four-letter words are answered, handshakes become sessions. Stops and reloads.

mod admission;
mod client;
mod process;
mod reload;
mod words;
mod workers;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use sd_notify::NotifyState;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::config::{Config, Place};
use crate::dial::Dialer;
use crate::net::{Listener, Network, Stream, UnixPlace};
use crate::registry::{Command, Registry};
use crate::route::EnsembleId;
use crate::secrets::{Secrets, SecretsError};
use crate::session::{Identity, ParkedLeg, Settings};
use crate::state::{LegRecord, StateError, Store};
use crate::telemetry::process::most_open_files;
use crate::telemetry::{Record, Seen, Telemetry, scope};
use crate::wire::SessionId;
use admission::{Admission, Admitted, Spare};
use client::Turned;
use reload::Watched;
use workers::Workers;

/// How long to wait when the process is out of file descriptors before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sidecar cannot serve.
#[derive(Debug, Error)]
pub enum RunError {
    /// A place where clients connect cannot be listened on.
    #[error("cannot listen on {place}: {cause}")]
    Listen {
        /// The place.
        place: Place,
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
    /// A certificate, a key or a file of credentials cannot be used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The leg table cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Signals cannot be waited for, or the address cannot be told.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// How often sessions whose clients did not come back are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// What every connection needs.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    secrets: Arc<Secrets>,
    settings: RwLock<Arc<Settings>>,
    network: Network,
    pub(crate) dialer: Dialer,
    pub(crate) registry: Registry,
    store: Option<Store>,
    pub(crate) telemetry: Telemetry,
    /// How many connections clients may have.
    connections: usize,
}

impl Shared {
    fn new(
        config: Config,
        secrets: Secrets,
        network: Network,
        store: Option<Store>,
        registry: Registry,
        telemetry: Telemetry,
    ) -> Self {
        let (config, secrets) = (Arc::new(config), Arc::new(secrets));
        let dialer = Dialer::new(
            Arc::clone(&config),
            Arc::clone(&secrets),
            network.clone(),
            store.clone(),
            telemetry.clone(),
        );
        let connections = admission::most(&config, most_open_files());
        telemetry.look_at(Seen {
            config: Arc::clone(&config),
            circuits: dialer.circuits(),
            registry: registry.clone(),
            connections,
        });
        Self {
            settings: RwLock::new(Arc::new(settings(&config, &secrets))),
            dialer,
            config,
            secrets,
            network,
            registry,
            store,
            telemetry,
            connections,
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sessions to come do not try these credentials any more, which an ensemble has refused.
    fn leave_out(&self, ensemble: EnsembleId, unwelcome: &Identity) {
        let mut settings = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut less = Settings::clone(&settings);
        if let Some(identities) = less.identities.get_mut(ensemble.index()) {
            identities.retain(|identity| identity != unwelcome);
        }
        *settings = Arc::new(less);
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

/// A sidecar without the process around it.
pub struct Proxy {
    current: Current,
    connections: TaskTracker,
    workers: Workers,
}

impl Proxy {
    /// A sidecar with this configuration that reaches servers over `network`. Remote sessions are
    /// written down in `store`, and those found there wait for their clients.
    ///
    /// # Errors
    /// If a file that the configuration names cannot be used.
    pub fn new(
        config: Config,
        network: Network,
        store: Option<Store>,
    ) -> Result<Self, SecretsError> {
        let secrets = Secrets::load(&config)?;
        reload::warn_of_expiry(&secrets);
        let registry = Registry::default();
        if let Some(store) = &store {
            restore(&config, store, &registry);
        }
        let telemetry = Telemetry::default();
        let shared = Shared::new(config, secrets, network, store, registry, telemetry);
        Ok(Self {
            current: Current(Arc::new(RwLock::new(Arc::new(shared)))),
            connections: TaskTracker::new(),
            workers: Workers::up_to(0),
        })
    }

    /// Serves clients on up to so many threads of their own, and not on the runtime that accepts
    /// them.
    #[must_use]
    pub fn on_threads(self, most: usize) -> Self {
        Self {
            workers: Workers::up_to(most),
            ..self
        }
    }

    /// Serves clients, for ever. Each has tasks of its own, which go on when this is dropped.
    pub async fn serve(&self, listener: Listener) {
        tokio::select! {
            biased;
            () = self.accept_all(listener) => {}
            () = sweep(&self.current) => {}
        }
    }

    /// Ends all connections, as soon as what is outstanding is answered or the grace period is
    /// over. No session ends. To be called once nobody is accepted any more.
    pub async fn stop(self) {
        // First: connections that are not known to the registry yet look at it when they are.
        self.connections.close();
        let current = self.current.get();
        current.registry.tell_all(&Command::Stop);
        let grace = current.config.grace_period;
        if timeout(grace, self.connections.wait()).await.is_err() {
            let left = self.connections.len();
            tracing::warn!(left, ?grace, "connections cut: the grace period is over");
        }
    }

    async fn accept_all(&self, mut listener: Listener) {
        let Self { current, .. } = self;
        let (admission, mut spare) = (Admission::default(), Spare::new());
        loop {
            match listener.accept().await {
                Ok((client, peer)) => {
                    let shared = current.get();
                    let (config, most) = (&shared.config, shared.connections);
                    match admission.admit(&client, config, most, &shared.telemetry) {
                        Err(full) => turn_away(&full.into(), peer, &shared),
                        Ok(admitted) => self.take_in(client, peer, admitted),
                    }
                }
                Err(error) => {
                    tracing::error!(parent: &scope::client(None), %error, "cannot accept");
                    if process::is_out_of_files(&error) && spare.let_go() {
                        refuse_one(&mut listener, current).await;
                    } else {
                        sleep(ACCEPT_PAUSE).await;
                    }
                    spare.take_back();
                }
            }
        }
    }

    /// Gives a client a task, and another one once it has a session: what a handshake takes is not
    /// kept for as long as that lasts, and is not in the way of each request.
    fn take_in(&self, client: Stream, peer: Option<SocketAddr>, admitted: Admitted) {
        let (current, connections) = (self.current.clone(), self.connections.clone());
        let (client, seat) = (client.detach(), self.workers.seat());
        let runtime = seat.as_ref().map(|seat| seat.runtime.clone());
        let greet = async move {
            let shared = current.get();
            match client::greet(client, &shared).await {
                Ok(Some(granted)) => {
                    let counted = connections.token();
                    drop(tokio::spawn(async move {
                        client::serve(granted, &current, &connections).await;
                        drop((admitted, seat, counted));
                    }));
                }
                Ok(None) => {}
                Err(turned) => turn_away(&turned, peer, &current.get()),
            }
        };
        match runtime {
            Some(runtime) => drop(self.connections.spawn_on(greet, &runtime)),
            None => drop(self.connections.spawn(greet)),
        }
    }
}

/// Runs the sidecar until SIGTERM or SIGINT; `file` is where the configuration came from. Whoever
/// logs is told of another `log` by `set_log`.
///
/// # Errors
/// If it cannot listen, or its state cannot be used.
pub async fn run(config: Config, file: PathBuf, set_log: impl Fn(&str)) -> Result<(), RunError> {
    process::warn_of_open_file(&file);
    process::raise_descriptors();
    admission::warn_of_descriptors(&config, most_open_files());
    let (places, mode, admin) = (config.listen.clone(), config.socket_mode, config.admin);
    // Before they are used: what changes meanwhile is seen as a change.
    let seen = Watched::new(file, &config).await;
    let store = open_store(&config)?;
    // As many as this process may use, and not as many as there are.
    let threads = available_parallelism().map_or(1, usize::from);
    let proxy = Proxy::new(config, Network::Tcp, store)?.on_threads(threads);
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    for place in places {
        let found = listen(&place, mode).await;
        let (place, listener) = found.map_err(|cause| RunError::Listen { place, cause })?;
        listeners.push(listener);
        bound.push(place);
    }
    let admin = match admin {
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
    for bound in &bound {
        tracing::info!(%bound, "listening");
        // For whoever started us with port 0 and waits to be told.
        writeln!(io::stdout(), "listening on {bound}")?;
    }
    if let Some(listener) = admin {
        let bound_admin = listener.local_addr()?;
        tracing::info!(bound = %bound_admin, "listening for operators");
        writeln!(io::stdout(), "admin on {bound_admin}")?;
        let admin = Admin::new(proxy.current.clone(), proxy.connections.clone(), bound);
        tokio::spawn(admin.serve(listener));
    }
    notify(&[NotifyState::Ready]);
    tokio::select! {
        () = proxy.serve(Listener::Several(listeners)) => {}
        () = reload::follow(seen, hangup, proxy.current.clone(), set_log) => {}
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
    }
    notify(&[NotifyState::Stopping]);
    proxy.stop().await;
    Ok(())
}

/// Listens on a place; which one it is, where any port was good.
async fn listen(place: &Place, mode: u32) -> io::Result<(Place, Listener)> {
    match place {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address).await?;
            let bound = Place::Tcp(listener.local_addr()?);
            Ok((bound, Listener::Tcp(listener)))
        }
        Place::Unix(path) => {
            let socket = UnixPlace::bind(path, mode).await?;
            Ok((place.clone(), Listener::Unix(socket)))
        }
    }
}

/// Tells systemd, where it started us.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

/// Opens the leg table.
fn open_store(config: &Config) -> Result<Option<Store>, StateError> {
    let Some(directory) = &config.state else {
        return Ok(None);
    };
    let store = Store::open(directory, &config.ensemble(config.home()).name)?;
    tracing::info!(state = %directory.display(), sessions = store.load().len(), "leg table read");
    Ok(Some(store))
}

/// Keeps what the leg table holds for the clients that come back.
fn restore(config: &Config, store: &Store, registry: &Registry) {
    let places: HashMap<&str, EnsembleId> = (0..)
        .map(EnsembleId::new)
        .zip(&config.ensembles)
        .map(|(id, ensemble)| (ensemble.name.as_str(), id))
        .collect();
    for (session, records) in store.load() {
        let restored = |record: LegRecord| {
            let ensemble = places.get(record.ensemble.as_str())?;
            Some(ParkedLeg::restored(*ensemble, record.credentials))
        };
        registry.restore(session, records.into_iter().filter_map(restored).collect());
    }
}

/// Forgets the sessions whose clients have not come back.
async fn sweep(current: &Current) {
    let mut period = interval(SWEEP);
    loop {
        period.tick().await;
        let shared = current.get();
        for session in shared.registry.expired(Instant::now()) {
            let of = || scope::session(session, None);
            tracing::info!(parent: &of(), "client has not come back: its remote sessions are left to expire");
            forget(&shared, session).await;
        }
    }
}

async fn forget(shared: &Shared, session: SessionId) {
    if let Some(store) = &shared.store
        && let Err(error) = store.forget_all(session).await
    {
        shared.telemetry.not_recorded(Record::Forget);
        let of = || scope::session(session, None);
        tracing::warn!(parent: &of(), %error, "cannot forget the legs of a session");
    }
}

/// With the one descriptor there is the next client is closed at once, instead of being left to wait.
async fn refuse_one(listener: &mut Listener, current: &Current) {
    if let Ok(Ok((_, peer))) = timeout(ACCEPT_PAUSE, listener.accept()).await {
        turn_away(&Turned::OutOfFiles, peer, &current.get());
    }
}

fn turn_away(turned: &Turned, peer: Option<SocketAddr>, shared: &Shared) {
    shared.telemetry.connection(turned.outcome());
    let outcome = turned.outcome().name();
    tracing::warn!(parent: &turned.scope(peer), outcome, reason = %turned, "client turned away");
}

fn settings(config: &Config, secrets: &Secrets) -> Settings {
    let milliseconds =
        |bound: Duration| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(1);
    let policies = config
        .ensembles
        .iter()
        .map(|ensemble| ensemble.policy)
        .collect();
    let mut settings = Settings::new(config.routes.clone(), policies);
    settings.frame_limit = config.limits.frame_limit;
    settings.reply_limit = config.limits.reply_limit;
    settings.look_ahead = config.limits.look_ahead;
    settings.outstanding = config.limits.outstanding;
    settings.request_timeout = config.request_timeout.map(milliseconds);
    settings.idle_leg_timeout = milliseconds(config.idle_leg_timeout);
    settings.expose_config = config.expose_config;
    settings.identities = secrets.identities();
    settings
}
