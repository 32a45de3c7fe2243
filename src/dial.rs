//! Reaches an ensemble: which server, how long, and the handshake with it.
//!
//! `prefer` comes first, in the order written; then the other servers, shuffled, so that sessions
//! spread. A server that does not answer the handshake is passed over: it is down, not serving, or
//! behind the zxid its client has seen, and says so by closing (protocol.md 1.4). A server that
//! refuses the session has spoken for its ensemble.

mod ask;
mod circuit;
mod fault;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing::Span;

use crate::config::{Config, Ensemble, Server};
use crate::net::{Network, Peer, Stream};
use crate::route::EnsembleId;
use crate::secrets::Secrets;
use crate::session::Identity;
use crate::state::{LegRecord, Store};
use crate::telemetry::{Record, Telemetry, scope};
use crate::wire::connect::{ConnectRequest, ConnectResponse, Credentials};
use crate::wire::frames::{PREFIX, frame_size};
use crate::wire::request::close_session;
use crate::wire::words::Role;
use crate::wire::{SessionId, Xid, Zxid};
pub(crate) use ask::{Unanswered, exchange};
use circuit::Circuit;
pub use fault::{LegError, Refusal, Unreachable};
use fault::{not_reached, says_it_is_down};

/// Largest handshake answer: stock servers send 37 bytes.
const HANDSHAKE_LIMIT: usize = 1024;

/// Largest answer to `srvr` worth reading.
const SRVR_LIMIT: u64 = 64 * 1024;

/// A connection on which a server has answered the handshake.
#[derive(Debug)]
pub struct Attached {
    /// Nothing behind the answer has been read from it.
    pub stream: Stream,
    /// The server.
    pub peer: Peer,
    /// What it said.
    pub response: ConnectResponse,
    /// The frame it said it in.
    pub frame: Vec<u8>,
}

/// Which ensembles of a configuration are known to be down.
#[derive(Clone, Debug)]
pub(crate) struct Circuits(Arc<[Circuit]>);

impl Circuits {
    fn get(&self, ensemble: EnsembleId) -> Option<&Circuit> {
        self.0.get(ensemble.index())
    }

    /// Has the ensemble be known to be down.
    #[cfg(test)]
    pub(crate) fn fail(&self, ensemble: EnsembleId, now: Instant) {
        if let Some(Ok(attempt)) = self.get(ensemble).map(|circuit| circuit.attempt(now)) {
            attempt.failed(now);
        }
    }

    /// Whether legs to this ensemble fail at once because none of its servers answered.
    pub(crate) fn is_open(&self, ensemble: EnsembleId) -> bool {
        self.get(ensemble).is_some_and(Circuit::is_open)
    }
}

/// Reaches the ensembles of a configuration.
#[derive(Clone, Debug)]
pub struct Dialer {
    config: Arc<Config>,
    secrets: Arc<Secrets>,
    network: Network,
    circuits: Circuits,
    store: Option<Store>,
    telemetry: Telemetry,
}

impl Dialer {
    /// Dials over `network` by this configuration and its secrets; the sessions of remote legs are
    /// written down in `store`.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        secrets: Arc<Secrets>,
        network: Network,
        store: Option<Store>,
        telemetry: Telemetry,
    ) -> Self {
        let circuits = config
            .ensembles
            .iter()
            .map(|_| Circuit::default())
            .collect();
        Self {
            config,
            secrets,
            network,
            circuits: Circuits(circuits),
            store,
            telemetry,
        }
    }

    /// Which ensembles are known to be down.
    pub(crate) fn circuits(&self) -> Circuits {
        self.circuits.clone()
    }

    /// What all clients are to an ensemble through the sidecar.
    pub(crate) fn identities(&self, ensemble: EnsembleId) -> &[Identity] {
        self.secrets.identities_of(ensemble)
    }

    /// The configuration it dials by.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// Opens a remote leg of a client session: [`Self::attach`], unless the ensemble is known to be
    /// down. A session that is granted is on disk before this returns.
    ///
    /// # Errors
    /// [`LegError`].
    pub async fn open(
        &self,
        client: SessionId,
        ensemble: EnsembleId,
        handshake: &[u8],
    ) -> Result<Attached, LegError> {
        let name = || self.config.ensemble(ensemble).name.clone();
        let attempt = match self.circuits.get(ensemble) {
            Some(circuit) => circuit.leave().await,
            None => None,
        };
        let Some(attempt) = attempt else {
            return Err(Unreachable {
                ensemble: name(),
                tried: Vec::new(),
            }
            .into());
        };
        let attached = match self.attach(ensemble, handshake).await {
            Ok(attached) => attached,
            Err(unreachable) => {
                if says_it_is_down(handshake, &unreachable) {
                    attempt.failed(Instant::now());
                }
                return Err(unreachable.into());
            }
        };
        attempt.succeeded();
        if let (Some(store), ConnectResponse::Granted(credentials)) =
            (&self.store, &attached.response)
        {
            let record = LegRecord {
                ensemble: name(),
                credentials: credentials.clone(),
            };
            let recorded = store.remember(client, record).await;
            recorded.map_err(|cause| {
                self.telemetry.not_recorded(Record::Remember);
                LegError::Unrecorded {
                    ensemble: name(),
                    cause,
                }
            })?;
        }
        Ok(attached)
    }

    /// A leg's session is over: it need not be known after a restart.
    pub async fn forget(&self, client: SessionId, ensemble: EnsembleId) {
        if let Some(store) = &self.store
            && let Err(error) = store
                .forget(client, &self.config.ensemble(ensemble).name)
                .await
        {
            // What stays is a session that is refused when it is attached again.
            self.telemetry.not_recorded(Record::Forget);
            let name = &self.config.ensemble(ensemble).name;
            let scope = || scope::leg(&Span::current(), name, None);
            tracing::warn!(parent: &scope(), %error, "cannot forget a leg");
        }
    }

    /// Ends a session that no connection serves any more.
    ///
    /// # Errors
    /// [`Unreachable`]; then its ensemble expires it.
    pub async fn end(
        &self,
        ensemble: EnsembleId,
        session: &Credentials,
    ) -> Result<(), Unreachable> {
        let request = ConnectRequest {
            last_zxid_seen: Zxid::NONE,
            timeout: i32::try_from(session.timeout).unwrap_or(i32::MAX),
            session: session.session,
            password: session.password.to_vec(),
            read_only: Some(false),
        };
        let mut attached = self.attach(ensemble, &request.frame()).await?;
        if let ConnectResponse::Granted(_) = attached.response {
            let goodbye = close_session(Xid(1));
            let ended = async {
                attached.stream.write_all(&goodbye).await?;
                read_frame(&mut attached.stream, HANDSHAKE_LIMIT).await
            };
            // Where the answer does not come the session times out.
            let _ = timeout(self.config.connect_timeout, ended).await;
        }
        Ok(())
    }

    /// Hands `handshake`, a frame, to the first server that answers it.
    ///
    /// # Errors
    /// [`Unreachable`] when none does.
    pub async fn attach(
        &self,
        ensemble: EnsembleId,
        handshake: &[u8],
    ) -> Result<Attached, Unreachable> {
        let id = ensemble;
        let ensemble = self.config.ensemble(id);
        let mut tried = Vec::new();
        for server in in_order(ensemble) {
            let outcome = self.shake(id, &server, handshake).await;
            self.telemetry.dialled(id, &outcome);
            match outcome {
                Ok(attached) => return Ok(attached),
                Err(refusal) => {
                    let scope = || scope::leg(&Span::current(), &ensemble.name, Some(&server));
                    tracing::debug!(parent: &scope(), %refusal, "server passed over");
                    tried.push((server, refusal));
                }
            }
        }
        self.telemetry.unreachable(id);
        Err(Unreachable {
            ensemble: ensemble.name.clone(),
            tried,
        })
    }

    /// A connection to the first server of an ensemble that accepts one.
    ///
    /// # Errors
    /// [`Unreachable`] when none does.
    pub async fn connect(&self, ensemble: EnsembleId) -> Result<Stream, Unreachable> {
        let id = ensemble;
        let ensemble = self.config.ensemble(id);
        let mut tried = Vec::new();
        for server in in_order(ensemble) {
            let outcome = self.reach(id, &server).await;
            self.telemetry.dialled(id, &outcome);
            match outcome {
                Ok(stream) => return Ok(stream),
                Err(refusal) => tried.push((server, refusal)),
            }
        }
        self.telemetry.unreachable(id);
        Err(Unreachable {
            ensemble: ensemble.name.clone(),
            tried,
        })
    }

    /// Asks a server of an ensemble what it is; `None` when it does not say.
    pub async fn role(&self, ensemble: EnsembleId, peer: &Peer) -> Option<Role> {
        // Not within the bound: where the role is not known, barriers stay expensive.
        let _turn = match self.circuits.get(ensemble) {
            Some(circuit) => circuit.turn().await,
            None => None,
        };
        let ask = async { exchange(self.open_stream(ensemble, peer).await?, *b"srvr").await };
        let answer = timeout(self.config.connect_timeout, ask).await.ok()?.ok()?;
        Role::of_srvr(&answer)
    }

    /// A stream to a server, in TLS where its ensemble is.
    async fn open_stream(&self, ensemble: EnsembleId, peer: &Peer) -> io::Result<Stream> {
        let stream = self.network.connect(peer).await?;
        match self.secrets.connector(ensemble) {
            None => Ok(stream),
            Some(connector) => connector.connect(stream, &peer.server).await,
        }
    }

    /// Connects to one server of an ensemble, in TLS where that is, within the time it has for
    /// that.
    pub(crate) async fn reach(
        &self,
        ensemble: EnsembleId,
        server: &Server,
    ) -> Result<Stream, Refusal> {
        let open = ServiceBuilder::new()
            .timeout(self.config.connect_timeout)
            .service(service_fn(|peer: Peer| async move {
                self.open_stream(ensemble, &peer).await
            }));
        open.oneshot(server.clone().into())
            .await
            .map_err(not_reached)
    }

    /// Hands `handshake`, a frame, to one server of an ensemble.
    pub(crate) async fn shake(
        &self,
        ensemble: EnsembleId,
        server: &Server,
        handshake: &[u8],
    ) -> Result<Attached, Refusal> {
        let mut stream = self.reach(ensemble, server).await?;
        let bound = self.config.connect_timeout;
        let exchange = async {
            stream.write_all(handshake).await?;
            read_frame(&mut stream, HANDSHAKE_LIMIT).await
        };
        let frame = timeout(bound, exchange)
            .await
            .map_err(|_| Refusal::Slow(bound))??;
        let response = ConnectResponse::parse(frame.get(PREFIX..).unwrap_or_default())?;
        let peer = Peer {
            server: server.clone(),
            address: stream.address(),
        };
        Ok(Attached {
            stream,
            peer,
            response,
            frame,
        })
    }
}

/// Reads one whole frame, its length included, and nothing behind it.
///
/// # Errors
/// What reading fails with; a length above `limit` is [`io::ErrorKind::InvalidData`].
pub(crate) async fn read_frame(stream: &mut Stream, limit: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; PREFIX];
    stream.read_exact(&mut frame).await?;
    read_rest(stream, frame, limit).await
}

/// Reads the rest of a frame whose length is already there.
///
/// # Errors
/// As [`read_frame`].
pub(crate) async fn read_rest(
    stream: &mut Stream,
    mut frame: Vec<u8>,
    limit: usize,
) -> io::Result<Vec<u8>> {
    let size = frame_size(&frame, limit)
        .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
    frame.resize(size.unwrap_or(PREFIX), 0);
    stream
        .read_exact(frame.get_mut(PREFIX..).unwrap_or_default())
        .await?;
    Ok(frame)
}

fn in_order(ensemble: &Ensemble) -> impl Iterator<Item = Server> {
    let mut others: Vec<&Server> = ensemble
        .servers
        .iter()
        .filter(|server| !ensemble.prefer.contains(server))
        .collect();
    fastrand::shuffle(&mut others);
    let order: Vec<Server> = ensemble.prefer.iter().chain(others).cloned().collect();
    order.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Policy;

    fn server(port: u16) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port,
        }
    }

    #[test]
    fn preferred_servers_come_first_and_only_once() {
        let ensemble = Ensemble {
            name: "eu".to_owned(),
            servers: (1..=9).map(server).collect(),
            prefer: vec![server(20), server(3)],
            policy: Policy::default(),
            tls: None,
            credentials: None,
        };
        let mut firsts = Vec::new();
        for _ in 0..64 {
            let order: Vec<u16> = in_order(&ensemble).map(|server| server.port).collect();
            assert_eq!(order[..2], [20, 3]);
            let mut rest = order[2..].to_vec();
            firsts.push(rest[0]);
            rest.sort_unstable();
            assert_eq!(rest, [1, 2, 4, 5, 6, 7, 8, 9]);
        }
        firsts.dedup();
        assert!(firsts.len() > 1, "the others are shuffled");
    }
}
