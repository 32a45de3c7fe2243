//! What is explored: who asks what, what may go wrong and how often. Each is bounded.

use std::sync::Arc;

use super::ensemble::Server;
use zoonet::route::{BarrierKind, EnsembleId, RouteMap};
use zoonet::session::{Policy, Settings, Shown};
use zoonet::wire::words::Role;

/// The ensembles. Both hold one znode; the routes of all clients are the same.
pub(crate) const US: EnsembleId = EnsembleId::new(0);
pub(crate) const EU: EnsembleId = EnsembleId::new(1);

/// The server that applies what is committed at once, and the one that lags behind.
pub(crate) const FRESH: Server = 0;
pub(crate) const LAGGING: Server = 1;

/// What a client may ask for: something about the one znode of an ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Read(EnsembleId),
    Write(EnsembleId),
    Sync(EnsembleId),
}

impl Ask {
    /// Every read and every write.
    pub(crate) const ALL: [Self; 4] = [
        Self::Read(US),
        Self::Read(EU),
        Self::Write(US),
        Self::Write(EU),
    ];

    /// Where it goes.
    pub(crate) const fn ensemble(self) -> EnsembleId {
        match self {
            Self::Read(ensemble) | Self::Write(ensemble) | Self::Sync(ensemble) => ensemble,
        }
    }
}

/// The znode of an ensemble.
pub(crate) const fn node(ensemble: EnsembleId) -> &'static [u8] {
    match ensemble {
        EU => b"/eu/y",
        _ => b"/us/x",
    }
}

/// The name of an ensemble.
pub(crate) const fn name(ensemble: EnsembleId) -> &'static str {
    match ensemble {
        EU => "eu",
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
    /// Their remote leg is open, on the lagging server, and they have come back home.
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
            Profile::exactly(US, &[Ask::Write(US), Ask::Read(EU)]),
            Profile::exactly(EU, &[Ask::Write(EU), Ask::Read(US)]),
        ])
    }

    /// Two clients that ask any of these, so many times.
    pub(crate) fn any(asks: &[Ask], times: usize) -> Self {
        Self::new(vec![
            Profile::any(US, asks, times),
            Profile::any(EU, asks, times),
        ])
    }

    /// What the sessions of a client share.
    pub(crate) fn settings(&self, home: EnsembleId) -> Arc<Settings> {
        let rules = vec![(b"/".to_vec(), US, None), (b"/eu".to_vec(), EU, None)];
        let routes = RouteMap::new(home, rules).expect("these routes have no fault");
        let policy = Policy {
            elide_barriers: self.elide,
            ..Policy::from(self.barrier)
        };
        Arc::new(Settings::new(routes, vec![policy; 2]))
    }
}
