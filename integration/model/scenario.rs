//! What is explored: who asks what, what may go wrong and how often. Each is bounded.

use std::fmt;
use std::sync::Arc;

use super::ensemble::Server;
use zoonet::route::{BarrierKind, EnsembleId, RouteMap};
use zoonet::session::{Policy, Settings, Shown};
use zoonet::wire::words::Role;

/// The ensembles; the routes of all clients are the same.
pub(crate) const US: EnsembleId = EnsembleId::new(0);
pub(crate) const EU: EnsembleId = EnsembleId::new(1);
pub(crate) const AP: EnsembleId = EnsembleId::new(2);
pub(crate) const ENSEMBLES: [EnsembleId; 3] = [US, EU, AP];

/// A znode.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Znode {
    pub(crate) ensemble: EnsembleId,
    pub(crate) path: &'static str,
}

impl Znode {
    const fn new(ensemble: EnsembleId, path: &'static str) -> Self {
        Self { ensemble, path }
    }
}

impl fmt::Debug for Znode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.path)
    }
}

/// One of each ensemble, and a second one of the first two.
pub(crate) const X: Znode = Znode::new(US, "/us/x");
pub(crate) const X2: Znode = Znode::new(US, "/us/x2");
pub(crate) const Y: Znode = Znode::new(EU, "/eu/y");
pub(crate) const Y2: Znode = Znode::new(EU, "/eu/y2");
pub(crate) const Z: Znode = Znode::new(AP, "/ap/z");
const ZNODES: [Znode; 5] = [X, X2, Y, Y2, Z];

/// The znodes of an ensemble.
pub(crate) fn znodes(ensemble: EnsembleId) -> impl Iterator<Item = Znode> {
    let all = ZNODES.into_iter();
    all.filter(move |znode| znode.ensemble == ensemble)
}

/// The server that applies what is committed at once, and the one that lags behind.
pub(crate) const FRESH: Server = 0;
pub(crate) const LAGGING: Server = 1;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Read(Znode),
    Write(Znode),
    Sync(Znode),
}

impl Ask {
    /// Every read and every write of one znode each of two ensembles.
    pub(crate) const ALL: [Self; 4] =
        [Self::Read(X), Self::Read(Y), Self::Write(X), Self::Write(Y)];

    /// What it is about.
    pub(crate) const fn znode(self) -> Znode {
        match self {
            Self::Read(znode) | Self::Write(znode) | Self::Sync(znode) => znode,
        }
    }
}

/// The name of an ensemble.
pub(crate) const fn name(ensemble: EnsembleId) -> &'static str {
    match ensemble {
        EU => "eu",
        AP => "ap",
        _ => "us",
    }
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) home: EnsembleId,
    /// What it may ask for: one of the first first, one of the second then, and so on.
    pub(crate) script: Vec<Vec<Ask>>,
}

impl Profile {
    /// A client that asks exactly this.
    pub(crate) fn exactly(home: EnsembleId, script: &[Ask]) -> Self {
        Self {
            home,
            script: script.iter().map(|ask| vec![*ask]).collect(),
        }
    }

    /// A client that asks any of these, so many times.
    pub(crate) fn any(home: EnsembleId, asks: &[Ask], times: usize) -> Self {
        Self {
            home,
            script: vec![asks.to_vec(); times],
        }
    }
}

/// How often what may go wrong does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// A remote connection breaks.
    pub(crate) leg_losses: u8,
    /// A client's home connection breaks, and with it the client's own.
    pub(crate) home_losses: u8,
    /// A server turns an ordered request away unseen.
    pub(crate) turned_away: u8,
    /// A lagging server's leader is deposed and does not know it.
    pub(crate) deposals: u8,
}

/// When sessions learn what their servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Roles {
    /// Before anything goes out on the connection.
    AtOnce,
    /// At any time after, or never.
    Late,
}

/// How long replies are under way to the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    /// Not at all.
    Prompt,
    /// For any time.
    Delayed,
}

/// Where sessions are when the exploration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Just created: remote legs have yet to be opened.
    Cold,
    /// Their remote legs are open, on the lagging servers, and they have come back home.
    Warm,
}

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) clients: Vec<Profile>,
    /// How many requests a client has unanswered at most.
    pub(crate) window: usize,
    pub(crate) barrier: BarrierKind,
    /// Whether barriers are left out, and how it is told when.
    pub(crate) elide: Option<Shown>,
    /// What the lagging servers are.
    pub(crate) lagging: Role,
    pub(crate) roles: Roles,
    pub(crate) replies: Replies,
    pub(crate) start: Start,
    /// The servers at which connections are opened.
    pub(crate) reachable: &'static [Server],
    pub(crate) budget: Budget,
}

impl Scenario {
    /// The smallest system in which two consistent ensembles can be told from one: client 1 lives
    /// at us, client 2 at eu, remote legs are on servers that lag, and nothing goes wrong.
    pub(crate) fn new(clients: Vec<Profile>) -> Self {
        Self {
            clients,
            window: 2,
            barrier: BarrierKind::Sync,
            elide: None,
            lagging: Role::Observer,
            roles: Roles::AtOnce,
            replies: Replies::Prompt,
            start: Start::Warm,
            reachable: &[LAGGING],
            budget: Budget::default(),
        }
    }

    /// Each writes at home and reads the other ensemble: the paper's smallest counter-example.
    pub(crate) fn smallest() -> Self {
        Self::new(vec![
            Profile::exactly(US, &[Ask::Write(X), Ask::Read(Y)]),
            Profile::exactly(EU, &[Ask::Write(Y), Ask::Read(X)]),
        ])
    }

    /// Two clients that ask any of these, so many times.
    pub(crate) fn any(asks: &[Ask], times: usize) -> Self {
        Self::new(vec![
            Profile::any(US, asks, times),
            Profile::any(EU, asks, times),
        ])
    }

    /// The ensembles there is something to ask of; two at least, as there would be nothing to compose.
    pub(crate) fn ensembles(&self) -> impl Iterator<Item = EnsembleId> {
        let script = |profile: &Profile| profile.script.clone();
        let asks: Vec<Ask> = self.clients.iter().flat_map(script).flatten().collect();
        let asked = move |of| asks.iter().any(|ask| ask.znode().ensemble == of);
        let all = ENSEMBLES.into_iter();
        all.filter(move |of| [US, EU].contains(of) || asked(*of))
    }

    /// What the sessions of a client share.
    pub(crate) fn settings(&self, home: EnsembleId) -> Arc<Settings> {
        let rules = [("/", US), ("/eu", EU), ("/ap", AP)];
        let rules = rules.map(|(prefix, to)| (prefix.as_bytes().to_vec(), to, None));
        let routes = RouteMap::new(home, rules.to_vec()).expect("these routes have no fault");
        let policy = Policy {
            elide_barriers: self.elide,
            ..Policy::from(self.barrier)
        };
        Arc::new(Settings::new(routes, vec![policy; ENSEMBLES.len()]))
    }
}
