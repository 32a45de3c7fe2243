//! One server, asked for all it can tell: where it is, what it is, whether it opens a session.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, lookup_host};
use tokio::time::timeout;
use zookeeper_async::{ZkResult, ZooKeeper};

use crate::config::Server;
use crate::dial::{Dialer, Refusal, exchange};
use crate::route::EnsembleId;
use crate::session::Identity;
use crate::wire::words::{Facts, Srvr};

/// How long opening a session and measuring on it may take: some round trips and a commit.
const PATIENCE: Duration = Duration::from_secs(5);

/// The timeout asked for: longer than a check takes, short enough to be forgotten soon.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before a connection that was refused is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// How many round trips are measured; odd, for the median.
const ROUND_TRIPS: usize = 5;

/// How much of a strange answer is worth quoting.
const QUOTED: usize = 40;

/// What was found out about one server.
pub(super) struct Probe {
    pub(super) server: Server,
    pub(super) listed: Listed,
    /// What its name resolves to; empty if it does not.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) reach: Reach,
    pub(super) session: Session,
    /// On the session, if one was opened.
    pub(super) client: Option<ZooKeeper>,
}

/// Where the file has a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Under `prefer`.
    First,
    /// Under `servers` only.
    Other,
}

/// How far a connection gets.
#[derive(Debug)]
pub(super) enum Reach {
    /// Nowhere; why.
    Failed(String),
    /// To something that listens.
    Connected {
        /// Which of its addresses answered.
        address: Option<SocketAddr>,
        /// How long the connection took.
        within: Duration,
        answer: Answer,
    },
}

/// What came back on `srvr`.
#[derive(Debug)]
pub(super) enum Answer {
    /// What a ZooKeeper says.
    Said(Srvr),
    /// What something else says; the beginning of it.
    Strange(String),
    /// Nothing, and the connection was closed.
    Closed,
    /// Nothing in time.
    Silent,
}

/// Whether a session could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Not tried: what answers cannot open one.
    NotTried,
    /// It could.
    Opened {
        /// How long that took, connection and first answer included.
        within: Duration,
        /// The median of some requests that a server answers by itself.
        round_trip: Duration,
    },
    /// It could not; why.
    Failed(String),
}

impl Probe {
    /// Whether it opened a session.
    pub(super) const fn serves(&self) -> bool {
        matches!(self.session, Session::Opened { .. })
    }

    /// What it says of itself, if it serves and says so.
    pub(super) const fn facts(&self) -> Option<&Facts> {
        match &self.reach {
            Reach::Connected {
                answer: Answer::Said(Srvr::Serving(facts)),
                ..
            } => Some(facts),
            Reach::Connected { .. } | Reach::Failed(_) => None,
        }
    }

    pub(super) const fn facts_mut(&mut self) -> Option<&mut Facts> {
        match &mut self.reach {
            Reach::Connected {
                answer: Answer::Said(Srvr::Serving(facts)),
                ..
            } => Some(facts),
            Reach::Connected { .. } | Reach::Failed(_) => None,
        }
    }

    /// Why it is of no use to clients; `None` if it is.
    pub(super) fn trouble(&self) -> Option<String> {
        let answer = match &self.reach {
            Reach::Failed(why) => return Some(why.clone()),
            Reach::Connected { answer, .. } => answer,
        };
        let words = match (answer, &self.session) {
            (_, Session::Opened { .. }) => return None,
            (Answer::Said(Srvr::NotServing), _) => {
                "runs, but does not serve: it has no quorum, or is starting".to_owned()
            }
            (Answer::Strange(words), _) => format!("is not ZooKeeper: it answers `{words}`"),
            (Answer::Closed, _) => "closes the connection without an answer: it is not ZooKeeper, \
                 expects TLS, or has too many connections of this host (maxClientCnxns)"
                .to_owned(),
            (Answer::Silent, _) => "accepts connections, but does not answer".to_owned(),
            (_, Session::Failed(why)) => format!("opens no session: {why}"),
            (_, Session::NotTried) => "was not asked for a session".to_owned(),
        };
        Some(words)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("server", &self.server)
            .field("listed", &self.listed)
            .field("addresses", &self.addresses)
            .field("reach", &self.reach)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Asks a server everything.
pub(super) async fn probe(
    dialer: &Dialer,
    ensemble: EnsembleId,
    server: Server,
    listed: Listed,
) -> Probe {
    let addresses = resolve(dialer, &server).await;
    let (addresses, reach) = match addresses {
        Ok(addresses) => (addresses, reach(dialer, ensemble, &server).await),
        Err(error) => {
            let why = format!("its name cannot be resolved: {error}");
            (Vec::new(), Reach::Failed(why))
        }
    };
    let (session, client) = match &reach {
        Reach::Connected {
            answer: Answer::Said(Srvr::Serving(_) | Srvr::NotListed),
            ..
        } => open(dialer, ensemble, &server).await,
        Reach::Connected { .. } | Reach::Failed(_) => (Session::NotTried, None),
    };
    Probe {
        server,
        listed,
        addresses,
        reach,
        session,
        client,
    }
}

/// What a server says of itself now; `None` if it cannot be asked.
pub(super) async fn ask_again(
    dialer: &Dialer,
    ensemble: EnsembleId,
    server: &Server,
) -> Option<Srvr> {
    match reach(dialer, ensemble, server).await {
        Reach::Connected {
            answer: Answer::Said(said),
            ..
        } => Some(said),
        Reach::Connected { .. } | Reach::Failed(_) => None,
    }
}

async fn resolve(dialer: &Dialer, server: &Server) -> io::Result<Vec<SocketAddr>> {
    let lookup = lookup_host((server.host.as_str(), server.port));
    match timeout(dialer.config().connect_timeout, lookup).await {
        Ok(found) => Ok(found?.collect()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn reach(dialer: &Dialer, ensemble: EnsembleId, server: &Server) -> Reach {
    let begun = Instant::now();
    let stream = match dialer.reach(ensemble, server).await {
        Ok(stream) => stream,
        Err(refusal) => return Reach::Failed(refusal.to_string()),
    };
    let within = begun.elapsed();
    let address = stream.address();
    let answer = timeout(dialer.config().connect_timeout, exchange(stream, *b"srvr")).await;
    let answer = match answer {
        Err(_) => Answer::Silent,
        Ok(Err(_)) => Answer::Closed,
        Ok(Ok(bytes)) if bytes.is_empty() => Answer::Closed,
        Ok(Ok(bytes)) => match Srvr::parse(&bytes) {
            Srvr::Foreign => Answer::Strange(quote(&bytes)),
            said @ (Srvr::Serving(_) | Srvr::NotServing | Srvr::NotListed) => Answer::Said(said),
        },
    };
    Reach::Connected {
        address,
        within,
        answer,
    }
}

/// The beginning of something, fit for a terminal.
fn quote(bytes: &[u8]) -> String {
    let text = bytes.get(..QUOTED.min(bytes.len())).unwrap_or_default();
    let quoted = text.escape_ascii().to_string();
    if bytes.len() > QUOTED {
        return format!("{quoted}...");
    }
    quoted
}

async fn open(
    dialer: &Dialer,
    ensemble: EnsembleId,
    server: &Server,
) -> (Session, Option<ZooKeeper>) {
    let begun = Instant::now();
    let opening = async {
        let address = tunnel(dialer, ensemble, server)
            .await
            .map_err(|why| why.to_string())?;
        let client = connect(address)
            .await
            .map_err(|error| format!("{error:?}"))?;
        introduce(&client, dialer.identities(ensemble)).await?;
        let within = begun.elapsed();
        let round_trip = round_trip(&client).await;
        let round_trip = round_trip.map_err(|error| format!("{error:?}"))?;
        Ok((Session::Opened { within, round_trip }, client))
    };
    let opened = timeout(PATIENCE, opening).await;
    match opened.unwrap_or_else(|_| Err(format!("none within {PATIENCE:?}"))) {
        Ok((session, client)) => (session, Some(client)),
        Err(why) => (Session::Failed(why), None),
    }
}

/// A port of this host behind which the server is, for one connection. The client crate connects
/// to addresses by itself; so it gets to where the sidecar would, in the way the sidecar would.
async fn tunnel(
    dialer: &Dialer,
    ensemble: EnsembleId,
    server: &Server,
) -> Result<SocketAddr, Refusal> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(|error| Refusal::Connect(error.into()))?;
    let address = listener.local_addr()?;
    let mut stream = dialer.reach(ensemble, server).await?;
    tokio::spawn(async move {
        if let Ok((mut client, _)) = listener.accept().await {
            drop(listener);
            // Its end is the client's to notice.
            let _ = client.set_nodelay(true);
            let _ = copy_bidirectional(&mut client, &mut stream).await;
        }
    });
    Ok(address)
}

async fn connect(address: SocketAddr) -> ZkResult<ZooKeeper> {
    let address = address.to_string();
    let client = ZooKeeper::connect_with_retry_time(&address, TIMEOUT, |_| {}, PAUSE).await?;
    // The handshake is answered before the first request is.
    client.exists("/", false).await?;
    Ok(client)
}

/// Adds the credentials that clients have there through the sidecar. A server ends the connection
/// over those it refuses.
async fn introduce(client: &ZooKeeper, identities: &[Identity]) -> Result<(), String> {
    for identity in identities {
        let added = client.add_auth(identity.scheme(), identity.auth().to_vec());
        added.await.map_err(|error| {
            let scheme = identity.scheme();
            format!("the {scheme} credentials of `credentials` are refused: {error:?}")
        })?;
    }
    Ok(())
}

async fn round_trip(client: &ZooKeeper) -> ZkResult<Duration> {
    let mut trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        client.exists("/", false).await?;
        trips.push(begun.elapsed());
    }
    trips.sort_unstable();
    Ok(trips.get(ROUND_TRIPS / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_harms_no_terminal() {
        assert_eq!(quote(b"SSH-2.0\r\n"), r"SSH-2.0\r\n");
        let long = quote(&[0x1b; 100]);
        assert!(long.ends_with("...") && long.starts_with(r"\x1b"), "{long}");
    }
}
