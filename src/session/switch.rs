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

use std::collections::BTreeSet;

use super::Origin;
use crate::route::{BarrierKind, EnsembleId, RouteMap};
use crate::wire::Zxid;
use crate::wire::opcode::Access;
use crate::wire::reply::ReplyHeader;
use crate::wire::words::Role;

use elision::Elision;
pub use elision::Shown;
pub(super) use elision::shown;

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
    pub(super) fn elide(&mut self, on: BTreeSet<EnsembleId>) {
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
        self.current = to;
        if let Some(elision) = &mut self.elision {
            if access == Access::Read && elision.covers(to) {
                self.lead = Lead::Happened;
                return Go::Elided;
            }
            elision.asks(to);
        }
        self.lead = Lead::Asked;
        match (access, effective(kind, role)) {
            (Access::Ordered | Access::Control, _) => Go::Forward,
            // The client's own does what the barrier would.
            (Access::Sync, Some(Barrier::Sync)) => Go::Forward,
            (Access::Read | Access::Sync, Some(barrier)) => Go::Behind(barrier),
            (Access::Read | Access::Sync, None) => {
                self.lead = Lead::Happened;
                if let Some(elision) = &mut self.elision {
                    elision.failed();
                }
                Go::Forward
            }
        }
    }

    /// Takes note of the answer to a request, or to a barrier, that `admit` let through.
    pub(super) fn answered(
        &mut self,
        from: EnsembleId,
        access: Access,
        header: &ReplyHeader,
    ) -> Trust {
        if from != self.current {
            return Trust::Show;
        }
        match access {
            Access::Control => Trust::Show,
            Access::Ordered | Access::Sync => {
                match (header.was_ordered(), access, self.lead) {
                    // A `sync` is a lead only where it was let through as one: not where a quorum
                    // barrier in front of it has failed.
                    (true, Access::Sync, Lead::None) => {}
                    (true, _, _) => {
                        self.lead = Lead::Happened;
                        if let Some(elision) = &mut self.elision {
                            elision.led();
                        }
                    }
                    (false, _, Lead::Asked) => {
                        self.lead = Lead::None;
                        if let Some(elision) = &mut self.elision {
                            elision.failed();
                        }
                    }
                    (false, _, Lead::None | Lead::Happened) => {}
                }
                Trust::Show
            }
            Access::Read if self.lead == Lead::Happened => Trust::Show,
            Access::Read => Trust::Withhold,
        }
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

    /// A reply to the client's request has shown it what `from` was at this zxid.
    pub(super) fn shows(&mut self, from: EnsembleId, zxid: Zxid) {
        if let Some(elision) = &mut self.elision {
            elision.shows(from, zxid);
        }
    }

    /// An event has told the client of a change on `from`.
    pub(super) fn tells(&mut self, from: EnsembleId) {
        if let Some(elision) = &mut self.elision {
            elision.learns(from);
        }
    }

    /// A leg's connection is gone: barriers belong to a connection.
    pub(super) fn lost(&mut self, ensemble: EnsembleId) {
        if self.current == ensemble && self.map == Map::Composed {
            self.lead = Lead::None;
        }
        if let Some(elision) = &mut self.elision {
            elision.lost(ensemble);
        }
    }
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
mod tests {
    use super::*;
    use crate::wire::{Xid, Zxid, code};

    const HOME: EnsembleId = EnsembleId::new(0);
    const EU: EnsembleId = EnsembleId::new(1);

    fn new() -> Switch {
        Switch::new(HOME, Origin::New, Map::Composed)
    }

    fn admit(switch: &mut Switch, to: EnsembleId, access: Access) -> Go {
        switch.admit(to, access, BarrierKind::Sync, Some(Role::Observer))
    }

    const fn reply(zxid: i64, err: i32) -> ReplyHeader {
        ReplyHeader {
            xid: Xid(1),
            zxid: Zxid(zxid),
            err,
        }
    }

    #[test]
    fn a_new_session_reads_home_without_a_barrier() {
        assert_eq!(admit(&mut new(), HOME, Access::Read), Go::Forward);
    }

    #[test]
    fn an_old_session_reads_home_behind_a_barrier() {
        let mut switch = Switch::new(HOME, Origin::Attached, Map::Composed);
        assert_eq!(
            admit(&mut switch, HOME, Access::Read),
            Go::Behind(Barrier::Sync)
        );
        assert_eq!(admit(&mut switch, HOME, Access::Read), Go::Forward);
    }

    #[test]
    fn a_map_of_one_ensemble_never_needs_a_barrier() {
        let mut switch = Switch::new(HOME, Origin::Attached, Map::Single);
        assert_eq!(admit(&mut switch, HOME, Access::Read), Go::Forward);
        switch.lost(HOME);
        assert_eq!(admit(&mut switch, HOME, Access::Read), Go::Forward);
    }

    #[test]
    fn the_first_read_after_each_switch_gets_one_barrier() {
        let mut switch = new();
        for to in [EU, HOME, EU] {
            assert!(switch.leaves(to));
            assert_eq!(
                admit(&mut switch, to, Access::Read),
                Go::Behind(Barrier::Sync)
            );
            assert_eq!(admit(&mut switch, to, Access::Read), Go::Forward);
            assert!(!switch.leaves(to));
        }
    }

    #[test]
    fn an_update_leads_the_reads_behind_it() {
        let mut switch = new();
        assert_eq!(admit(&mut switch, EU, Access::Ordered), Go::Forward);
        assert_eq!(admit(&mut switch, EU, Access::Read), Go::Forward);
        assert_eq!(
            switch.answered(EU, Access::Ordered, &reply(5, 0)),
            Trust::Show
        );
        assert_eq!(switch.answered(EU, Access::Read, &reply(5, 0)), Trust::Show);
    }

    #[test]
    fn a_failed_update_leads_too_if_it_was_ordered() {
        let mut switch = new();
        admit(&mut switch, EU, Access::Ordered);
        switch.answered(EU, Access::Ordered, &reply(5, code::NO_NODE));
        assert_eq!(switch.answered(EU, Access::Read, &reply(5, 0)), Trust::Show);
    }

    #[test]
    fn reads_behind_an_update_that_was_turned_away_are_withheld() {
        for (zxid, err) in [
            (5, code::THROTTLED_OP),
            (5, code::NOT_READ_ONLY),
            (0, -102),
            (-1, -6),
        ] {
            let mut switch = new();
            admit(&mut switch, EU, Access::Ordered);
            admit(&mut switch, EU, Access::Read);
            assert_eq!(
                switch.answered(EU, Access::Ordered, &reply(zxid, err)),
                Trust::Show
            );
            assert_eq!(
                switch.answered(EU, Access::Read, &reply(5, 0)),
                Trust::Withhold
            );
            assert_eq!(
                admit(&mut switch, EU, Access::Read),
                Go::Behind(Barrier::Sync)
            );
        }
    }

    #[test]
    fn a_later_update_leads_in_place_of_one_turned_away() {
        let mut switch = new();
        admit(&mut switch, EU, Access::Ordered);
        admit(&mut switch, EU, Access::Ordered);
        admit(&mut switch, EU, Access::Read);
        switch.answered(EU, Access::Ordered, &reply(0, -102));
        switch.answered(EU, Access::Ordered, &reply(6, 0));
        assert_eq!(switch.answered(EU, Access::Read, &reply(6, 0)), Trust::Show);
    }

    #[test]
    fn an_update_turned_away_after_the_lead_takes_nothing_back() {
        let mut switch = new();
        admit(&mut switch, EU, Access::Read);
        switch.answered(EU, Access::Ordered, &reply(5, 0));
        switch.answered(EU, Access::Ordered, &reply(0, -102));
        assert_eq!(switch.answered(EU, Access::Read, &reply(5, 0)), Trust::Show);
    }

    #[test]
    fn a_lost_leg_has_no_lead() {
        let mut switch = new();
        admit(&mut switch, EU, Access::Ordered);
        switch.answered(EU, Access::Ordered, &reply(5, 0));
        switch.lost(EU);
        assert_eq!(
            admit(&mut switch, EU, Access::Read),
            Go::Behind(Barrier::Sync)
        );
    }

    #[test]
    fn a_lost_leg_elsewhere_changes_nothing_here() {
        let mut switch = new();
        switch.lost(EU);
        assert_eq!(admit(&mut switch, HOME, Access::Read), Go::Forward);
    }

    #[test]
    fn where_sync_is_a_no_op_the_quorum_barrier_stands_in() {
        for role in [Some(Role::Leader), Some(Role::ReadOnly), None] {
            let go = new().admit(EU, Access::Read, BarrierKind::Sync, role);
            assert_eq!(go, Go::Behind(Barrier::Quorum));
        }
        let go = new().admit(EU, Access::Read, BarrierKind::Quorum, Some(Role::Observer));
        assert_eq!(go, Go::Behind(Barrier::Quorum));
    }

    #[test]
    fn the_clients_own_sync_leads_where_ours_would() {
        let leads = |kind, role| {
            let mut switch = new();
            let go = switch.admit(EU, Access::Sync, kind, role);
            assert_eq!(switch.admit(EU, Access::Read, kind, role), Go::Forward);
            go
        };
        let observer = Some(Role::Observer);
        assert_eq!(leads(BarrierKind::Sync, observer), Go::Forward);
        for (kind, role) in [
            (BarrierKind::Sync, Some(Role::Leader)),
            (BarrierKind::Sync, None),
            (BarrierKind::Quorum, observer),
        ] {
            assert_eq!(leads(kind, role), Go::Behind(Barrier::Quorum));
        }
        assert_eq!(leads(BarrierKind::None, observer), Go::Forward);
    }

    #[test]
    fn a_sync_behind_a_failed_barrier_is_no_lead() {
        let mut switch = new();
        switch.admit(EU, Access::Sync, BarrierKind::Quorum, None);
        switch.answered(EU, Access::Ordered, &reply(5, code::THROTTLED_OP));
        assert_eq!(switch.answered(EU, Access::Sync, &reply(5, 0)), Trust::Show);
        assert_eq!(
            switch.answered(EU, Access::Read, &reply(5, 0)),
            Trust::Withhold
        );
    }

    #[test]
    fn a_sync_that_leads_makes_reads_behind_it_fresh() {
        let mut switch = new();
        admit(&mut switch, EU, Access::Sync);
        switch.answered(EU, Access::Sync, &reply(5, 0));
        assert_eq!(switch.answered(EU, Access::Read, &reply(5, 0)), Trust::Show);
    }

    #[test]
    fn without_a_barrier_reads_go_through_and_are_shown() {
        let mut switch = new();
        assert_eq!(
            switch.admit(EU, Access::Read, BarrierKind::None, None),
            Go::Forward
        );
        assert_eq!(switch.answered(EU, Access::Read, &reply(5, 0)), Trust::Show);
    }

    #[test]
    fn control_requests_neither_switch_nor_lead() {
        let mut switch = new();
        admit(&mut switch, EU, Access::Read);
        assert_eq!(admit(&mut switch, HOME, Access::Control), Go::Forward);
        assert_eq!(switch.current(), EU);
        assert_eq!(
            switch.answered(HOME, Access::Control, &reply(0, 0)),
            Trust::Show
        );
    }
}
