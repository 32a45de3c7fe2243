//! What a session looks like from outside, for whoever operates the sidecar.

use super::Session;
use super::leg::{Leg, State};
use super::legs::ParkedLeg;
use crate::route::EnsembleId;
use crate::wire::words::Role;
use crate::wire::{SessionId, Zxid};

/// A session at one moment. Nothing in it is secret but the ids: stock servers make passwords out of
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The client's session.
    pub session: SessionId,
    /// Its timeout, milliseconds.
    pub timeout: u32,
    /// The ensemble touched last.
    pub current: EnsembleId,
    /// How many replies the client is owed.
    pub outstanding: usize,
    /// Bytes of requests that wait for a switch, and of replies that wait for their turn.
    pub waiting: usize,
    /// Home's leg first.
    pub legs: Vec<LegDescription>,
}

/// One leg of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegDescription {
    /// Where.
    pub ensemble: EnsembleId,
    /// How far its connection is.
    pub state: LegState,
    /// Its session, also while there is no connection.
    pub session: Option<SessionId>,
    /// What its server is, where that was learned.
    pub role: Option<Role>,
    /// The largest zxid a reply on it has shown.
    pub zxid: Zxid,
    /// Requests on their way, ours among them.
    pub in_flight: usize,
    /// What its session holds; not known of home's, whose servers keep that to themselves.
    pub holds: Option<Holdings>,
}

/// How far the connection of a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// There is none, and none is wanted just now.
    Idle,
    /// A server is being reached.
    Dialing,
    /// Requests may go out.
    Live,
    /// Its session is being ended because nobody needs it.
    Retiring,
    /// Its client is away.
    Parked,
}

impl LegState {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Dialing => "dialing",
            Self::Live => "live",
            Self::Retiring => "retiring",
            Self::Parked => "parked",
        }
    }
}

/// What would be lost with a leg's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Watches armed, or to be armed.
    pub watches: usize,
    /// Ephemerals known by their paths.
    pub ephemerals: usize,
    /// Whether this is all: after a restart, and of requests that were lost, it is not known.
    pub complete: bool,
}

impl Session {
    /// How it is now.
    #[must_use]
    pub fn describe(&self) -> Description {
        let mut home = self.legs.home.describe(self.settings.home(), None);
        home.in_flight += self.straight.len();
        let remotes = self
            .legs
            .remotes()
            .map(|(ensemble, leg)| leg.describe(ensemble, Some(leg.ledger.holdings())));
        Description {
            session: self.me.session,
            timeout: self.me.timeout,
            current: self.switch.current(),
            outstanding: self.owed(),
            waiting: self.pipeline.waiting(),
            legs: std::iter::once(home).chain(remotes).collect(),
        }
    }
}

impl Leg {
    fn describe(&self, ensemble: EnsembleId, holds: Option<Holdings>) -> LegDescription {
        LegDescription {
            ensemble,
            state: match self.state {
                State::Idle { .. } => LegState::Idle,
                State::Dialing { .. } => LegState::Dialing,
                State::Live(_) => LegState::Live,
                State::Retiring(_) => LegState::Retiring,
            },
            session: self.session().map(|credentials| credentials.session),
            role: self.role,
            zxid: self.zxid,
            in_flight: self.in_flight(),
            holds,
        }
    }
}

impl ParkedLeg {
    /// How it is kept.
    #[must_use]
    pub fn describe(&self) -> LegDescription {
        LegDescription {
            ensemble: self.ensemble,
            state: LegState::Parked,
            session: Some(self.credentials.session),
            role: None,
            zxid: self.zxid,
            in_flight: 0,
            holds: Some(Holdings {
                watches: self.armed.iter().map(std::collections::BTreeMap::len).sum(),
                ..self.owned.holdings()
            }),
        }
    }
}
