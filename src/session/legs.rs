//! All legs of a session, and what is kept of the remote ones when the client's connection goes.

use super::ledger::{self, Armed, Ledger, Owned};
use super::leg::{Leg, State};
use crate::route::EnsembleId;
use crate::wire::Zxid;
use crate::wire::connect::Credentials;

/// A remote session without a connection, kept for the client's next one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParkedLeg {
    pub(super) ensemble: EnsembleId,
    pub(super) credentials: Credentials,
    pub(super) zxid: Zxid,
    pub(super) armed: Armed,
    pub(super) owned: Owned,
}

impl ParkedLeg {
    /// A leg of which only the session is known, as after a restart of the sidecar: it may own
    /// ephemerals.
    #[must_use]
    pub fn restored(ensemble: EnsembleId, credentials: Credentials) -> Self {
        Self {
            ensemble,
            credentials,
            zxid: Zxid::NONE,
            armed: Armed::default(),
            owned: Owned::unknown(),
        }
    }

    /// Keeps no more than is needed to find out what its client has lost, if its session has
    /// expired: to know nothing of watches hides no change.
    pub fn shrink(&mut self) {
        self.armed = Armed::default();
        self.owned.forget_names();
    }

    /// Bytes of what was armed and is owned, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ledger::bytes_of(&self.armed) + self.owned.bytes()
    }

    /// The ensemble it is on.
    #[must_use]
    pub const fn ensemble(&self) -> EnsembleId {
        self.ensemble
    }

    /// Its session.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// All legs of a session. Most sessions only ever have home's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Legs {
    home_is: EnsembleId,
    pub(super) home: Leg,
    /// In the order of their ensembles. A list, as they are few, looked for with every frame, and
    /// a leg takes some 500 bytes: a tree would have room for eleven.
    remotes: Vec<(EnsembleId, Leg)>,
    chance: u64,
}

impl Legs {
    /// `chance` seeds what has to be random.
    pub(super) const fn new(home_is: EnsembleId, home: Leg, chance: u64) -> Self {
        Self {
            home_is,
            home,
            remotes: Vec::new(),
            chance,
        }
    }

    /// The leg of an ensemble, an idle one where nothing was opened yet.
    pub(super) fn get(&mut self, ensemble: EnsembleId) -> &mut Leg {
        if ensemble == self.home_is {
            return &mut self.home;
        }
        self.remote(ensemble)
    }

    /// Apart from [`Self::get`], so that the way home is short enough to be inlined.
    #[inline(never)]
    fn remote(&mut self, ensemble: EnsembleId) -> &mut Leg {
        let at = self.place(ensemble).unwrap_or_else(|at| {
            let step = u64::try_from(ensemble.index()).unwrap_or_default();
            let leg = Leg::idle(self.chance.wrapping_add(step));
            self.remotes.reserve_exact(1);
            self.remotes.insert(at, (ensemble, leg));
            at
        });
        let (_, leg) = self.remotes.get_mut(at).expect("found there or put there");
        leg
    }

    fn place(&self, ensemble: EnsembleId) -> Result<usize, usize> {
        self.remotes
            .binary_search_by_key(&ensemble, |(remote, _)| *remote)
    }

    /// Takes over a leg of the client's earlier connection.
    pub(super) fn adopt(&mut self, parked: ParkedLeg) {
        let ParkedLeg {
            ensemble,
            credentials,
            zxid,
            armed,
            owned,
        } = parked;
        let leg = self.get(ensemble);
        leg.state = State::Idle {
            resume: Some(credentials),
        };
        leg.zxid = zxid;
        leg.ledger = Ledger::inherited(owned);
        leg.before = armed;
    }

    /// The remote sessions, without their connections.
    pub(super) fn into_parked(self) -> Vec<ParkedLeg> {
        self.remotes
            .into_iter()
            .filter_map(|(ensemble, leg)| leg.into_parked(ensemble))
            .collect()
    }

    /// The leg of an ensemble, if there is one.
    pub(super) fn find(&self, ensemble: EnsembleId) -> Option<&Leg> {
        if ensemble == self.home_is {
            Some(&self.home)
        } else {
            let at = self.place(ensemble).ok()?;
            self.remotes.get(at).map(|(_, leg)| leg)
        }
    }

    /// The remote legs.
    pub(super) fn remotes(&self) -> impl Iterator<Item = (EnsembleId, &Leg)> {
        self.remotes.iter().map(|(ensemble, leg)| (*ensemble, leg))
    }

    /// The remote legs, to be changed.
    pub(super) fn remotes_mut(&mut self) -> impl Iterator<Item = (EnsembleId, &mut Leg)> {
        self.remotes
            .iter_mut()
            .map(|(ensemble, leg)| (*ensemble, leg))
    }

    /// The remote ensembles on which there is a session.
    pub(super) fn with_session(&self) -> impl Iterator<Item = EnsembleId> {
        self.remotes()
            .filter(|(_, leg)| leg.session().is_some())
            .map(|(ensemble, _)| ensemble)
    }

    /// Bytes of the client's that are kept until its requests are answered: the paths of watches to
    /// come, for one. Of home's nothing is kept.
    pub(super) fn noted(&self) -> usize {
        self.remotes.iter().map(|(_, leg)| leg.noted()).sum()
    }

    /// Whether no remote leg was ever opened.
    pub(super) fn only_home(&self) -> bool {
        self.remotes.is_empty()
    }
}
