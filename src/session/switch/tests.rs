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

/// By a server on which a `sync` is a barrier.
fn answered(switch: &mut Switch, from: EnsembleId, access: Access, header: &ReplyHeader) -> Trust {
    let barrier = || (BarrierKind::Sync, Some(Role::Observer));
    switch.answered(from, access, header, barrier)
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
        answered(&mut switch, EU, Access::Ordered, &reply(5, 0)),
        Trust::Show
    );
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(5, 0)),
        Trust::Show
    );
}

#[test]
fn a_failed_update_leads_too_if_it_was_ordered() {
    let mut switch = new();
    admit(&mut switch, EU, Access::Ordered);
    answered(&mut switch, EU, Access::Ordered, &reply(5, code::NO_NODE));
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(5, 0)),
        Trust::Show
    );
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
            answered(&mut switch, EU, Access::Ordered, &reply(zxid, err)),
            Trust::Show
        );
        assert_eq!(
            answered(&mut switch, EU, Access::Read, &reply(5, 0)),
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
    answered(&mut switch, EU, Access::Ordered, &reply(0, -102));
    answered(&mut switch, EU, Access::Ordered, &reply(6, 0));
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(6, 0)),
        Trust::Show
    );
}

#[test]
fn an_update_turned_away_after_the_lead_takes_nothing_back() {
    let mut switch = new();
    admit(&mut switch, EU, Access::Read);
    answered(&mut switch, EU, Access::Ordered, &reply(5, 0));
    answered(&mut switch, EU, Access::Ordered, &reply(0, -102));
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(5, 0)),
        Trust::Show
    );
}

#[test]
fn a_lost_leg_has_no_lead() {
    let mut switch = new();
    admit(&mut switch, EU, Access::Ordered);
    answered(&mut switch, EU, Access::Ordered, &reply(5, 0));
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

/// Where a `sync` is no barrier it leads nothing, and what was asked for behind it since does not change
/// that.
#[test]
fn a_sync_behind_a_failed_barrier_is_no_lead() {
    for (kind, role) in [
        (BarrierKind::Sync, Some(Role::Leader)),
        (BarrierKind::Sync, None),
        (BarrierKind::Quorum, Some(Role::Observer)),
    ] {
        for next in [None, Some(Access::Read), Some(Access::Ordered)] {
            let mut switch = new();
            switch.admit(EU, Access::Sync, kind, role);
            switch.barrier_answered(EU, &reply(5, code::THROTTLED_OP));
            if let Some(access) = next {
                switch.admit(EU, access, kind, role);
            }
            let trust = |switch: &mut Switch, access| {
                switch.answered(EU, access, &reply(5, 0), || (kind, role))
            };
            assert_eq!(trust(&mut switch, Access::Sync), Trust::Show);
            assert_eq!(trust(&mut switch, Access::Read), Trust::Withhold);
        }
    }
}

/// It was let through as a lead, and then another kind of barrier was configured.
#[test]
fn a_sync_that_is_no_lead_any_more_leaves_the_next_read_one() {
    let mut switch = new();
    assert_eq!(admit(&mut switch, EU, Access::Sync), Go::Forward);
    let quorum = || (BarrierKind::Quorum, Some(Role::Observer));
    switch.answered(EU, Access::Sync, &reply(5, 0), quorum);
    let go = switch.admit(EU, Access::Read, BarrierKind::Quorum, None);
    assert_eq!(go, Go::Behind(Barrier::Quorum));
}

/// It was sent before the server's role was known, and a barrier in front of it.
#[test]
fn a_sync_that_turns_out_to_be_a_barrier_is_a_lead() {
    let mut switch = new();
    switch.admit(EU, Access::Sync, BarrierKind::Sync, None);
    switch.barrier_answered(EU, &reply(5, code::THROTTLED_OP));
    answered(&mut switch, EU, Access::Sync, &reply(5, 0));
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(5, 0)),
        Trust::Show
    );
}

#[test]
fn a_sync_that_leads_makes_reads_behind_it_fresh() {
    let mut switch = new();
    admit(&mut switch, EU, Access::Sync);
    answered(&mut switch, EU, Access::Sync, &reply(5, 0));
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(5, 0)),
        Trust::Show
    );
}

#[test]
fn without_a_barrier_reads_go_through_and_are_shown() {
    let mut switch = new();
    assert_eq!(
        switch.admit(EU, Access::Read, BarrierKind::None, None),
        Go::Forward
    );
    assert_eq!(
        answered(&mut switch, EU, Access::Read, &reply(5, 0)),
        Trust::Show
    );
}

#[test]
fn control_requests_neither_switch_nor_lead() {
    let mut switch = new();
    admit(&mut switch, EU, Access::Read);
    assert_eq!(admit(&mut switch, HOME, Access::Control), Go::Forward);
    assert_eq!(switch.current(), EU);
    assert_eq!(
        answered(&mut switch, HOME, Access::Control, &reply(0, 0)),
        Trust::Show
    );
}
