//! The rule of the composition, all of it: drain, barrier, lead, and when a lead is lost.
//!
//! Each ensemble alone is OSC(U): its updates are linearizable, its reads sequentially consistent.
//! The composition is OSC(U) again if a session's first operation after a switch is an ordered one
//! (Lev-Ari et al., "Composing ordered sequential consistency", IPL 2017). Updates and `sync` are
//! ordered; in front of a read zoonet puts a barrier.
//!
//! A lead must have *happened*. An operation that was to lead may be turned away unseen by its
//! server; the reads pipelined behind it would then be plain reads after a switch. So the lead has
//! two sides: what was asked decides whether the next read needs a barrier, what was answered
//! decides whether a read's reply may be shown.
//!
//! # Decisions
//! * 2026-11: the quorum barrier stands in for `sync` also while a server's role is not known yet.
//!   A leader does not match a `sync` against its commits (protocol.md 5.2), so an unknown server
//!   may be one for which `sync` is a no-op; both barriers take one round trip to the leader.
//! * 2026-11: for the same reason a client's own `sync` gets the quorum barrier in front where a
//!   `sync` of ours would not do. Taken as a lead there, it would let a stale read through.

mod elision;

use std::collections::BTreeMap;

use super::Origin;
use crate::route::{BarrierKind, EnsembleId, RouteMap};
use crate::wire::opcode::{Access, OpCode};
use crate::wire::reply::ReplyHeader;
use crate::wire::request::Request;
use crate::wire::words::Role;

pub use elision::Shown;
use elision::{Elision, News};

/// How far the ordered operation is that makes later reads on the current ensemble fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lead {
    /// There is none: the next read needs a barrier.
    None,
    /// It was sent: reads may follow it, their replies are not to be shown before its own.
    Asked,
    /// It was ordered.
    Happened,
}

/// What has to be put in front of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Barrier {
    /// A `sync`.
    Sync,
    /// A multi of one check, which commits through the quorum.
    Quorum,
}

/// How a request may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Go {
    /// As it is.
    Forward,
    /// As it is, although it is the first read after a switch: the last lead there will do.
    Elided,
    /// With this barrier right in front of it on the same leg.
    Behind(Barrier),
}

/// Whether a reply may be shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// It may.
    Show,
    /// Its lead did not happen: it may be older than what the client knows.
    Withhold,
}

/// How many ensembles the routes lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Map {
    /// Home only: there is nothing to compose and never a barrier.
    Single,
    /// Others as well.
    Composed,
}

impl Map {
    pub(super) fn of(routes: &RouteMap) -> Self {
        if routes.is_single() {
            Self::Single
        } else {
            Self::Composed
        }
    }
}

/// Which ensemble the session touched last, and whether it has a lead there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Switch {
    current: EnsembleId,
    lead: Lead,
    map: Map,
    /// Set where barriers may be left out.
    elision: Option<Box<Elision>>,
}

impl Switch {
    /// A session at home. Where it has just been created, that was an ordered operation there. Where
    /// it was attached again, what its client has seen elsewhere is not known to be ordered before
    /// its next read.
    pub(super) fn new(home: EnsembleId, origin: Origin, map: Map) -> Self {
        let led = origin == Origin::New || map == Map::Single;
        Self {
            current: home,
            lead: if led { Lead::Happened } else { Lead::None },
            map,
            elision: None,
        }
    }

    /// Barriers may be left out on these ensembles. Nothing is known of what was done before.
    pub(super) fn elide(&mut self, on: BTreeMap<EnsembleId, Shown>) {
        let applies = self.map == Map::Composed && !on.is_empty();
        self.elision = applies.then(|| Box::new(Elision::new(on)));
    }

    /// The ensemble touched last.
    pub(super) const fn current(&self) -> EnsembleId {
        self.current
    }

    /// Whether a request for `to` has to wait until nothing is outstanding on the current one.
    pub(super) fn leaves(&self, to: EnsembleId) -> bool {
        self.current != to
    }

    /// Whether a request for `to` goes out as it is and changes nothing here: it leads nothing, or
    /// follows a lead.
    #[inline]
    pub(super) fn follows(&self, to: EnsembleId, access: Access) -> bool {
        access == Access::Control || (!self.leaves(to) && self.lead != Lead::None)
    }

    /// Whether `on` is the ensemble touched last and its lead has happened: whatever is asked there
    /// goes out as it is, and its answer may be shown, and this stays so until something is asked
    /// elsewhere or the connection is lost.
    #[inline]
    pub(super) fn has_led(&self, on: EnsembleId) -> bool {
        self.current == on && self.lead == Lead::Happened
    }

    /// Lets a request through that need not wait, and says what goes in front of it. The caller
    /// sends it: from here on `to` is the ensemble touched last.
    pub(super) fn admit(
        &mut self,
        to: EnsembleId,
        access: Access,
        kind: BarrierKind,
        role: Option<Role>,
    ) -> Go {
        if self.follows(to, access) {
            return Go::Forward;
        }
        let enters = self.leaves(to);
        self.current = to;
        if let Some(elision) = &mut self.elision {
            let covered = access == Access::Read && elision.covers(to);
            if enters {
                elision.enters(to);
            }
            if covered {
                self.lead = Lead::Happened;
                return Go::Elided;
            }
        }
        self.lead = Lead::Asked;
        match (access, effective(kind, role)) {
            (Access::Ordered | Access::Control, _) => Go::Forward,
            // The client's own does what the barrier would.
            (Access::Sync, Some(Barrier::Sync)) => Go::Forward,
            (Access::Read | Access::Sync, Some(barrier)) => Go::Behind(barrier),
            (Access::Read | Access::Sync, None) => {
                self.lead = Lead::Happened;
                Go::Forward
            }
        }
    }

    /// Takes note of the answer to a request that `admit` let through; `barrier` is what would be
    /// placed where it comes from, and the role of the server there.
    #[inline]
    pub(super) fn answered(
        &mut self,
        from: EnsembleId,
        access: Access,
        header: &ReplyHeader,
        barrier: impl FnOnce() -> (BarrierKind, Option<Role>),
    ) -> Trust {
        if from != self.current {
            return Trust::Show;
        }
        match access {
            Access::Control => Trust::Show,
            // Where it is no barrier it is no lead either, whatever it was pipelined behind. It may
            // have been let through as one before a reload: then there is none to come.
            Access::Sync if !syncs(barrier()) => {
                if self.lead == Lead::Asked {
                    self.lead = Lead::None;
                }
                Trust::Show
            }
            Access::Ordered | Access::Sync => {
                match (header.was_ordered(), self.lead) {
                    (true, _) => {
                        self.lead = Lead::Happened;
                        if let Some(elision) = &mut self.elision {
                            elision.led(from);
                        }
                    }
                    (false, Lead::Asked) => self.lead = Lead::None,
                    (false, Lead::None | Lead::Happened) => {}
                }
                Trust::Show
            }
            Access::Read if self.lead == Lead::Happened => Trust::Show,
            Access::Read => Trust::Withhold,
        }
    }

    /// Takes note of the answer to a barrier.
    pub(super) fn barrier_answered(&mut self, from: EnsembleId, header: &ReplyHeader) {
        if let Some(elision) = &mut self.elision {
            elision.tells(from, header);
        }
        // Its kind does not matter: it is what was wanted.
        self.answered(from, Access::Ordered, header, || (BarrierKind::None, None));
    }

    /// The routes lead to other ensembles now. What was done while home was the only one has
    /// nothing in front of it elsewhere, so nothing is lost.
    pub(super) fn reload(&mut self, map: Map) {
        self.map = map;
    }

    /// Whether it matters what replies show.
    #[inline]
    pub(super) const fn elides(&self) -> bool {
        self.elision.is_some()
    }

    /// A request of the client's goes out whose reply may show more than it tells.
    pub(super) fn asked(&mut self, to: EnsembleId, request: &Request<'_>) {
        if elision::is_untold(request) {
            self.notifies(to);
        }
    }

    /// A reply to the client's request.
    #[inline(never)]
    pub(super) fn shows(
        &mut self,
        from: EnsembleId,
        op: OpCode,
        header: &ReplyHeader,
        payload: &[u8],
    ) {
        if let Some(elision) = &mut self.elision {
            elision.tells(from, header);
            if let Some(news) = elision::shown(op, header, payload) {
                elision.shows(from, news);
            }
        }
    }

    /// [`Self::answered`] and [`Self::shows`] of a reply to a request that went out while `from` had
    /// led: it may be shown.
    pub(super) fn answered_straight(
        &mut self,
        from: EnsembleId,
        op: OpCode,
        header: &ReplyHeader,
        payload: &[u8],
        barrier: impl FnOnce() -> (BarrierKind, Option<Role>),
    ) {
        let trust = self.answered(from, op.shape().access, header, barrier);
        debug_assert_eq!(trust, Trust::Show, "{op:?}");
        self.shows(from, op, header, payload);
    }

    /// The client learns of a change on `from` of which no zxid tells, by an event for one.
    pub(super) fn notifies(&mut self, from: EnsembleId) {
        if let Some(elision) = &mut self.elision {
            elision.shows(from, News::Untold);
        }
    }

    /// A leg's connection is gone: barriers belong to a connection.
    pub(super) fn lost(&mut self, ensemble: EnsembleId) {
        if self.current == ensemble && self.map == Map::Composed {
            self.lead = Lead::None;
        }
        if let Some(elision) = &mut self.elision {
            elision.lost(ensemble);
            if self.current == ensemble {
                // Nothing is in flight there now, as after a switch.
                elision.enters(ensemble);
            }
        }
    }
}

/// Whether a `sync` of the client's is as good as a barrier.
fn syncs((kind, role): (BarrierKind, Option<Role>)) -> bool {
    effective(kind, role) == Some(Barrier::Sync)
}

/// The barrier that holds on a server of this role; `None` where the operator wants none.
fn effective(kind: BarrierKind, role: Option<Role>) -> Option<Barrier> {
    match (kind, role) {
        (BarrierKind::None, _) => None,
        (BarrierKind::Quorum, _) => Some(Barrier::Quorum),
        (BarrierKind::Sync, Some(Role::Follower | Role::Observer | Role::Standalone)) => {
            Some(Barrier::Sync)
        }
        (BarrierKind::Sync, Some(Role::Leader | Role::ReadOnly) | None) => Some(Barrier::Quorum),
    }
}

#[cfg(test)]
mod tests;
