//! One client's connection: what it asks first, whom it is handed to, what is left when it ends.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use super::admission::Full;
use super::{Current, Shared, forget, words};
use crate::dial::{Unreachable, read_rest};
use crate::driver::{Driver, End, Links};
use crate::net::{Detached, Peer, Stream};
use crate::registry::Place;
use crate::session::{Origin, ParkedLeg, Session, Tick};
use crate::telemetry::{Outcome, Watcher, scope};
use crate::tls::{Acceptor, TlsFault};
use crate::wire::connect::{ConnectRequest, ConnectResponse, Credentials};
use crate::wire::frames::PREFIX;
use crate::wire::words::Word;
use crate::wire::{SessionId, WireFault};

/// Largest handshake: clients send 45 bytes.
const HANDSHAKE_LIMIT: usize = 1024;

/// What ended a connection before it became a session.
#[derive(Debug, Error)]
pub(super) enum Turned {
    #[error("no handshake within {0:?}")]
    Slow(Duration),
    #[error("TLS: {0}")]
    Tls(TlsFault),
    #[error("connection lost during the handshake: {0}")]
    Lost(io::Error),
    #[error("this is not ZooKeeper's protocol: {0}")]
    Foreign(io::Error),
    #[error("malformed handshake: {0}")]
    Malformed(#[from] WireFault),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("the process is out of file descriptors")]
    OutOfFiles,
}

impl Turned {
    /// What a line that says so is about.
    pub(super) fn scope(&self, peer: Option<SocketAddr>) -> Span {
        let client = scope::client(peer);
        match self {
            Self::Unreachable(unreachable) => scope::leg(&client, &unreachable.ensemble, None),
            Self::Slow(_)
            | Self::Tls(_)
            | Self::Lost(_)
            | Self::Foreign(_)
            | Self::Malformed(_)
            | Self::Full(_)
            | Self::OutOfFiles => client,
        }
    }

    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Slow(_) => Outcome::Slow,
            Self::Tls(_) => Outcome::Tls,
            Self::Lost(_) => Outcome::Lost,
            Self::Foreign(_) | Self::Malformed(_) => Outcome::Malformed,
            Self::Unreachable(_) => Outcome::Unreachable,
            Self::Full(full) => full.outcome(),
            Self::OutOfFiles => Outcome::OutOfFiles,
        }
    }
}

impl From<io::Error> for Turned {
    fn from(error: io::Error) -> Self {
        match TlsFault::of(&error) {
            Some(fault) => Self::Tls(fault),
            None if error.kind() == ErrorKind::InvalidData => Self::Foreign(error),
            None => Self::Lost(error),
        }
    }
}

/// A client with the session that home has granted it.
pub(super) struct Granted {
    client: Stream,
    home: (Stream, Peer),
    me: Credentials,
    origin: Origin,
    place: Place,
    legs: Vec<ParkedLeg>,
}

impl Granted {
    /// Takes the session's place, once whoever had it is gone.
    async fn new(
        client: Stream,
        home: (Stream, Peer),
        me: Credentials,
        origin: Origin,
        shared: &Shared,
    ) -> Self {
        let (place, legs) = shared.registry.enter(me.session, me.password).await;
        Self {
            client,
            home,
            me,
            origin,
            place,
            legs,
        }
    }
}

/// Does what a client asks before it has a session; with one, the rest is to be done.
pub(super) async fn greet(
    client: io::Result<Detached>,
    shared: &Shared,
) -> Result<Option<Granted>, Turned> {
    let client = client?.attach()?;
    client.set_nodelay()?;
    let bound = shared.config.handshake_timeout;
    // Of all steps together: whoever is slow is so in each.
    let deadline = Instant::now() + bound;
    let secured = timeout_at(deadline, secured(client, shared.secrets.acceptor()))
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let Some(mut client) = secured else {
        return Ok(None);
    };
    let first = timeout_at(deadline, first_bytes(&mut client))
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let Some(first) = first else {
        shared.telemetry.connection(Outcome::Silent);
        return Ok(None);
    };
    if let Some(word) = Word::parse(first) {
        words::answer(client, word, shared).await?;
        shared.telemetry.connection(Outcome::Word);
        return Ok(None);
    }
    let rest = read_rest(&mut client, first.to_vec(), HANDSHAKE_LIMIT);
    let handshake = timeout_at(deadline, rest)
        .await
        .map_err(|_| Turned::Slow(bound))??;
    let request = ConnectRequest::parse(handshake.get(PREFIX..).unwrap_or_default())?;
    let home = shared.config.home();
    let peer = client.address();
    let attached = shared
        .dialer
        .attach(home, &handshake)
        .instrument(scope_of(&request, peer))
        .await?;
    client.write_all(&attached.frame).await?;
    match attached.response {
        ConnectResponse::Granted(me) => {
            let origin = if request.session == SessionId::NONE {
                Origin::New
            } else {
                Origin::Attached
            };
            shared.telemetry.connection(Outcome::Session(origin));
            let of = || scope::session(me.session, peer);
            tracing::debug!(parent: &of(), timeout = me.timeout, ?origin, "session attached");
            let home = (attached.stream, attached.peer);
            Ok(Some(Granted::new(client, home, me, origin, shared).await))
        }
        ConnectResponse::Refused => {
            tracing::info!(parent: &scope::session(request.session, peer), "home refused the session");
            client.shutdown().await?;
            shared.telemetry.connection(Outcome::Refused);
            end_legs(&request, shared).await;
            Ok(None)
        }
    }
}

/// What is logged until home has answered is logged in this.
fn scope_of(request: &ConnectRequest, peer: Option<SocketAddr>) -> Span {
    if request.session == SessionId::NONE {
        scope::client(peer)
    } else {
        scope::session(request.session, peer)
    }
}

/// The stream to read from: in TLS where clients have to speak it and came over the network.
/// Nothing from those who only look whether the port is open.
async fn secured(client: Stream, tls: Option<&Acceptor>) -> io::Result<Option<Stream>> {
    let (Some(tls), Stream::Tcp(stream)) = (tls, &client) else {
        return Ok(Some(client));
    };
    if stream.peek(&mut [0]).await? == 0 {
        return Ok(None);
    }
    tls.accept(client).await.map(Some)
}

/// What tells a four-letter word from a handshake; nothing from those who only look whether the
/// port is open.
async fn first_bytes(client: &mut Stream) -> io::Result<Option<[u8; PREFIX]>> {
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
pub(super) async fn serve(granted: Granted, current: &Current, connections: &TaskTracker) {
    let Granted {
        client,
        home: (home, peer),
        me,
        origin,
        place,
        legs,
    } = granted;
    let (id, address) = (me.session, client.address());
    let of = || scope::session(id, address);
    // Since it has its place, commands arrive. What was said before, during the handshake, is seen
    // here.
    let shared = &*current.get();
    let mut session = Session::new(shared.settings(), me, origin, Tick::default());
    session.resume(legs, Tick::default());
    if connections.is_closed() {
        session.stop();
    }
    let limits = &shared.config.limits;
    let links = Links {
        client,
        home: (shared.config.home(), home, peer),
        request_limit: limits.frame_limit,
        reply_limit: limits.reply_limit,
        dialer: shared.dialer.clone(),
        epoch: Instant::now(),
        mailbox: Arc::clone(&place.mailbox),
    };
    let telemetry = &shared.telemetry;
    let watcher = Watcher::new(Arc::clone(&shared.config), (id, address), telemetry.clone());
    let _notice = telemetry.notice_panic();
    let (end, session) = Driver::new(session, links, watcher).run().await;
    telemetry.ended(end.ending());
    match end {
        End::ClientGone => tracing::debug!(parent: &of(), "client gone"),
        End::Closed => tracing::debug!(parent: &of(), "connection closed"),
        End::TakenOver => tracing::debug!(parent: &of(), "taken over by a newer connection"),
        End::Fault(fault) => tracing::warn!(parent: &of(), %fault, "client's connection closed"),
        End::SlowReader(bound) => {
            tracing::warn!(parent: &of(), ?bound, "client's connection closed: it takes nothing of what waits for it");
        }
    }
    for (ensemble, identity) in session.unwelcome_identities() {
        shared.leave_out(ensemble, identity);
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
        let end = async move { dialer.end(leg.ensemble(), leg.credentials()).await };
        ends.spawn(end.instrument(scope::session(request.session, None)));
    }
    while let Some(ended) = ends.join_next().await {
        if let Ok(Err(unreachable)) = ended {
            let session = scope::session(request.session, None);
            let leg = || scope::leg(&session, &unreachable.ensemble, None);
            tracing::warn!(parent: &leg(), %unreachable, "a remote session is left to expire");
        }
    }
    forget(shared, request.session).await;
}
