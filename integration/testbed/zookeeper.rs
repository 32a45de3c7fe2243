//! Stock ZooKeeper ensembles as real processes on loopback ports.
//!
//! # Decisions
//!
//! * An observer's own configuration names the voters behind relays. Elections tell it *who*
//!   leads, its own `server.N` lines tell it *where*: so its commits come as late as the relay
//!   says, while the voters among themselves know nothing of it. Stock ZooKeeper keeps it so as
//!   long as dynamic reconfiguration is off, which is its default.
//! * Transactions are not forced to disk unless asked: no test pulls the plug of the machine.

mod jars;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use jars::Jars;
pub(crate) use server::{Role, Server};

use super::ports;
use super::relay::{Direction, Newcomers, Relay};
use super::scratch::Scratch;
use server::Layout;

/// How long a whole ensemble may take to elect and to serve on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Whether a server forces each transaction to disk before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// As operators run it.
    Forced,
    /// Quick, and as good for anything but a power failure.
    Lazy,
}

/// What an ensemble is to look like before it is started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    name: String,
    voters: usize,
    observers: usize,
    tick: Duration,
    sync: Sync,
    heap_megabytes: u32,
    session_timeouts: (Duration, Duration),
    jars: Jars,
    tls: Option<Stores>,
    java: Vec<String>,
    lines: Vec<String>,
}

/// What a server needs for a port that speaks TLS: PEM files, by the names it tells them from.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    /// Its key and certificate.
    pub(crate) identity: PathBuf,
    /// The authorities of its clients.
    pub(crate) authorities: PathBuf,
}

impl Plan {
    /// One standalone server; ask for more with the other calls.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            voters: 1,
            observers: 0,
            tick: Duration::from_millis(500),
            sync: Sync::Lazy,
            heap_megabytes: 160,
            session_timeouts: (Duration::from_secs(2), Duration::from_secs(40)),
            jars: Jars::from_environment(),
            tls: None,
            java: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Gives each server a second port, for TLS with certificates on both sides.
    pub(crate) fn tls(mut self, stores: &Stores) -> Self {
        self.tls = Some(stores.clone());
        self
    }

    /// Adds an argument for Java.
    pub(crate) fn java(mut self, argument: impl Into<String>) -> Self {
        self.java.push(argument.into());
        self
    }

    /// Adds a line to the configuration of each server.
    pub(crate) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// How many servers vote; one alone is standalone and takes no observers.
    pub(crate) fn voters(mut self, voters: usize) -> Self {
        self.voters = voters;
        self
    }

    /// How many servers follow without a vote, each behind a [`QuorumLink`].
    pub(crate) fn observers(mut self, observers: usize) -> Self {
        self.observers = observers;
        self
    }

    /// ZooKeeper's unit of time: sessions expire in steps of it.
    pub(crate) fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Whether transactions are forced to disk.
    pub(crate) fn sync(mut self, sync: Sync) -> Self {
        self.sync = sync;
        self
    }

    /// The largest heap of each server; a bench wants more than a test.
    pub(crate) fn heap_megabytes(mut self, megabytes: u32) -> Self {
        self.heap_megabytes = megabytes;
        self
    }

    /// The shortest and the longest session timeout it grants.
    pub(crate) fn session_timeouts(mut self, shortest: Duration, longest: Duration) -> Self {
        self.session_timeouts = (shortest, longest);
        self
    }

    /// Which ZooKeeper to run.
    pub(crate) fn jars(mut self, jars: Jars) -> Self {
        self.jars = jars;
        self
    }

    /// Starts all servers and returns when each has its role.
    pub(crate) fn start(self) -> Ensemble {
        let started = self.launch();
        started.await_ready();
        started
    }

    /// Starts all servers without waiting, so that several ensembles come up side by side.
    pub(crate) fn launch(self) -> Ensemble {
        assert!(self.voters > 0, "an ensemble needs a voter");
        assert!(
            self.voters > 1 || self.observers == 0,
            "a standalone server has no quorum an observer could follow"
        );
        let secured = |seat: Seat| Seat {
            secure: self.tls.as_ref().map(|_| ports::reserve()),
            ..seat
        };
        let voters: Vec<Seat> = (1..=self.voters).map(Seat::voter).map(secured).collect();
        let links: Vec<Arc<QuorumLink>> = (0..self.observers)
            .map(|_| Arc::new(QuorumLink::to(&voters)))
            .collect();
        let observers: Vec<Seat> = (self.voters + 1..=self.voters + self.observers)
            .map(Seat::observer)
            .map(secured)
            .collect();
        let seats: Vec<Seat> = voters.iter().chain(&observers).copied().collect();
        let scratch = Scratch::new(&self.name);
        let servers = seats
            .iter()
            .map(|seat| {
                // An observer's link stands where its number says, behind those of the voters.
                let link = seat
                    .id
                    .checked_sub(self.voters + 1)
                    .and_then(|nth| links.get(nth));
                let view = link.map_or_else(|| seats.clone(), |link| link.seen_through(&seats));
                let layout = Layout::write(scratch.path(), &self, seat, &view);
                Server::launch(&format!("{}-{}", self.name, seat.id), seat, layout)
            })
            .collect();
        Ensemble {
            name: self.name,
            voters: self.voters,
            servers,
            links,
            scratch,
        }
    }
}

/// Where one server of an ensemble sits, as some server of it sees it.
#[derive(Clone, Copy, Debug)]
struct Seat {
    id: usize,
    kind: Kind,
    quorum: SocketAddr,
    election: SocketAddr,
    client: SocketAddr,
    secure: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Participant,
    Observer,
}

impl Seat {
    fn voter(id: usize) -> Self {
        Self {
            id,
            kind: Kind::Participant,
            quorum: ports::reserve(),
            election: ports::reserve(),
            client: ports::reserve(),
            secure: None,
        }
    }

    fn observer(id: usize) -> Self {
        Self {
            kind: Kind::Observer,
            ..Self::voter(id)
        }
    }
}

/// A running ensemble; dropping it kills its servers and removes their files.
#[derive(Debug)]
pub(crate) struct Ensemble {
    name: String,
    voters: usize,
    servers: Vec<Server>,
    links: Vec<Arc<QuorumLink>>,
    scratch: Scratch,
}

impl Ensemble {
    /// What it is called in logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// All servers: voters first, then observers.
    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The servers that vote.
    pub(crate) fn voters(&self) -> &[Server] {
        self.servers
            .get(..self.voters)
            .expect("voters come first and are all there")
    }

    /// The servers that do not.
    pub(crate) fn observers(&self) -> &[Server] {
        self.servers
            .get(self.voters..)
            .expect("voters come first and are all there")
    }

    /// The link of the observer at that place in [`Self::observers`].
    pub(crate) fn quorum_link(&self, observer: usize) -> &QuorumLink {
        self.links
            .get(observer)
            .unwrap_or_else(|| panic!("{} has no observer {observer}", self.name))
    }

    /// The server that leads at this moment, if one does; a standalone server leads itself.
    pub(crate) fn leader(&self) -> Option<&Server> {
        self.servers
            .iter()
            .find(|server| matches!(server.role(), Some(Role::Leader | Role::Standalone)))
    }

    /// Some voter that follows, if there is one now.
    pub(crate) fn follower(&self) -> Option<&Server> {
        self.servers
            .iter()
            .find(|server| server.role() == Some(Role::Follower))
    }

    /// The client addresses of the voters, as clients take them: `host:port,host:port`.
    pub(crate) fn connect_string(&self) -> String {
        let addresses: Vec<String> = self
            .voters()
            .iter()
            .map(|server| server.address().to_string())
            .collect();
        addresses.join(",")
    }

    /// Waits until every server serves in some role.
    pub(crate) fn await_ready(&self) {
        for server in &self.servers {
            server.await_role(START);
        }
    }

    /// Where data and logs are.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.scratch.path()
    }
}

/// The relays between one observer and the voters of its ensemble: all their ports at once.
#[derive(Debug)]
pub(crate) struct QuorumLink {
    voters: Vec<(usize, Relay, Relay)>,
}

impl QuorumLink {
    /// How late the observer hears of commits; what it says to the leader stays quick.
    pub(crate) fn lag(&self, lag: Duration) {
        self.each(|relay| relay.delay(Direction::Down, lag));
    }

    /// The one-way delay of both directions: what the observer forwards is late as well.
    pub(crate) fn delay_both(&self, delay: Duration) {
        self.each(|relay| relay.delay_both(delay));
    }

    /// Stops what the voters say at this instant: the observer stays at the state it has.
    pub(crate) fn freeze(&self) {
        self.each(|relay| relay.freeze(Direction::Down));
    }

    /// Parts the observer from the voters.
    pub(crate) fn cut(&self, newcomers: Newcomers) {
        self.each(|relay| relay.cut(newcomers));
    }

    /// Undoes [`Self::freeze`] and [`Self::cut`]; delays stay.
    pub(crate) fn heal(&self) {
        self.each(Relay::heal);
    }

    /// Drops the observer's connections.
    pub(crate) fn reset(&self) {
        self.each(Relay::reset);
    }

    fn to(voters: &[Seat]) -> Self {
        Self {
            voters: voters
                .iter()
                .map(|seat| (seat.id, Relay::to(seat.quorum), Relay::to(seat.election)))
                .collect(),
        }
    }

    /// The same seats, with those of the voters behind this link.
    fn seen_through(&self, seats: &[Seat]) -> Vec<Seat> {
        seats
            .iter()
            .map(|seat| {
                let relays = self.voters.iter().find(|(id, ..)| *id == seat.id);
                relays.map_or(*seat, |(_, quorum, election)| Seat {
                    quorum: quorum.address(),
                    election: election.address(),
                    ..*seat
                })
            })
            .collect()
    }

    fn each(&self, change: impl Fn(&Relay)) {
        for (_, quorum, election) in &self.voters {
            change(quorum);
            change(election);
        }
    }
}
