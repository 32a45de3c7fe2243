//! What all sessions of a configuration share.

use std::collections::BTreeMap;

use super::Identity;
use super::switch::Shown;
use crate::route::{BarrierKind, EnsembleId, RouteMap, Rule};
use crate::wire::frames;

/// What a client sees of an ensemble that cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnUnreachable {
    /// Requests there fail with CONNECTIONLOSS; the client stays connected.
    #[default]
    Fail,
    /// Its connection drops: the only sign of trouble some clients understand.
    Disconnect,
}

/// What becomes of a client whose session on a remote ensemble has expired with its ephemerals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnExpiry {
    /// Its whole session expires, so that it learns of the loss as clients do.
    #[default]
    Expire,
    /// It goes on without those ephemerals.
    Keep,
}

/// How an ensemble is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// What goes in front of the first read after a switch to it.
    pub barrier: BarrierKind,
    /// What its absence means.
    pub on_unreachable: OnUnreachable,
    /// What the end of a session there means.
    pub on_expiry: OnExpiry,
    /// Whether its leg is opened with the client's session and kept, instead of being opened by the
    /// first request for it and closed when it has been idle.
    pub warm: bool,
    /// Whether the barrier of a read that switches to it is left out where the client has learned
    /// nothing elsewhere since the last, and how that is told.
    pub elide_barriers: Option<Shown>,
}

impl From<BarrierKind> for Policy {
    fn from(barrier: BarrierKind) -> Self {
        Self {
            barrier,
            ..Self::default()
        }
    }
}

/// What all sessions of a configuration share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Where paths go.
    pub(super) routes: RouteMap,
    /// By [`EnsembleId::index`].
    pub(super) policies: Vec<Policy>,
    /// Whether paths of an ensemble have other names there, by [`EnsembleId::index`].
    rooted: Vec<bool>,
    /// What the sidecar is to each ensemble, by [`EnsembleId::index`]; where nothing is said, only
    /// what its clients are.
    pub identities: Vec<Vec<Identity>>,
    /// Largest payload of a request, bytes.
    pub frame_limit: usize,
    /// Largest payload of a reply, and of all that wait for others, bytes.
    pub reply_limit: usize,
    /// Bytes of requests a client may have waiting behind a drain or a dial, of replies that wait
    /// for their turn, and of paths that are kept until the requests they are in are answered.
    pub look_ahead: usize,
    /// Replies a client may be owed before it is no longer read.
    pub outstanding: usize,
    /// How long a remote request may take, milliseconds; a quarter of the session timeout where
    /// nothing is said, and never a third or more of it.
    pub request_timeout: Option<u64>,
    /// Whether clients see the real servers in `/zookeeper/config`.
    pub expose_config: bool,
    /// How long a remote leg that holds nothing is kept, milliseconds.
    pub idle_leg_timeout: u64,
    /// Bytes of watches and ephemerals remembered per remote leg.
    pub ledger_limit: usize,
}

impl Settings {
    /// Settings for these routes, with ZooKeeper's frame limit. `policies` holds one per ensemble.
    #[must_use]
    pub fn new(routes: RouteMap, policies: Vec<Policy>) -> Self {
        let mut rooted = vec![false; policies.len()];
        for rule in routes.rules().iter().filter(|rule| !rule.is_identity()) {
            if let Some(rooted) = rooted.get_mut(rule.ensemble().index()) {
                *rooted = true;
            }
        }
        Self {
            routes,
            policies,
            rooted,
            identities: Vec::new(),
            frame_limit: frames::DEFAULT_LIMIT,
            reply_limit: 64 << 20,
            look_ahead: 1 << 20,
            outstanding: 1_000,
            request_timeout: None,
            expose_config: false,
            idle_leg_timeout: 600_000,
            ledger_limit: 8 << 20,
        }
    }

    /// Where paths go.
    #[must_use]
    pub const fn routes(&self) -> &RouteMap {
        &self.routes
    }

    /// The ensemble client sessions live on.
    #[must_use]
    pub fn home(&self) -> EnsembleId {
        self.routes.home()
    }

    pub(super) fn is_rooted(&self, ensemble: EnsembleId) -> bool {
        self.rooted.get(ensemble.index()).copied().unwrap_or(false)
    }

    pub(super) fn identities(&self, ensemble: EnsembleId) -> &[Identity] {
        self.identities
            .get(ensemble.index())
            .map_or(&[], Vec::as_slice)
    }

    /// The remote ensembles to which a leg is opened before there is a request for it.
    pub(super) fn warm(&self) -> impl Iterator<Item = EnsembleId> {
        let ensembles = (0..).map(EnsembleId::new).zip(&self.policies);
        let ids = ensembles.map(|(ensemble, _)| ensemble);
        ids.filter(|ensemble| self.is_warm(*ensemble))
    }

    /// Whether a leg to an ensemble is there without a request for it, and is kept.
    pub(super) fn is_warm(&self, ensemble: EnsembleId) -> bool {
        let leads = |rule: &Rule| rule.ensemble() == ensemble;
        self.policy(ensemble).warm
            && ensemble != self.home()
            && self.routes.rules().iter().any(leads)
    }

    /// The ensembles on which barriers may be left out, and how it is told when.
    pub(super) fn eliding(&self) -> BTreeMap<EnsembleId, Shown> {
        let ensembles = (0..).map(EnsembleId::new).zip(&self.policies);
        let on = ensembles.map(|(ensemble, policy)| Some((ensemble, policy.elide_barriers?)));
        on.flatten().collect()
    }

    pub(super) fn policy(&self, ensemble: EnsembleId) -> Policy {
        self.policies
            .get(ensemble.index())
            .copied()
            .unwrap_or_default()
    }
}
