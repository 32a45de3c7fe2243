//! Contract 3.2 to 3.6: legs on demand, drain, barrier, lead.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::code;
use crate::wire::jute::Writer;
use crate::wire::request::set_watches;

#[test]
fn home_requests_pass_at_once_and_untouched() {
    let mut bed = Bed::new();
    assert_eq!(bed.get(1, "/x"), [sent(HOME, 1, OpCode::GetData)]);
    assert_eq!(bed.set(2, "/x"), [sent(HOME, 2, OpCode::SetData)]);
    assert_eq!(bed.answer(HOME, Xid(1), 50, 0), [Out::Reply(1, 50, 0)]);
    assert_eq!(
        bed.answer(HOME, Xid(2), 51, -101),
        [Out::Reply(2, 51, -101)]
    );
    assert_eq!(bed.session.deadline(), None);
}

#[test]
fn the_first_remote_request_dials_with_homes_timeout_and_a_session_of_its_own() {
    let mut bed = Bed::new();
    assert_eq!(bed.get(1, "/eu/x"), [Out::Dial(EU), Out::LearnRole]);
    let request = crate::wire::connect::ConnectRequest::parse(&bed.last_frame()[4..]).unwrap();
    assert_eq!(request.session, SessionId::NONE);
    assert_eq!(u32::try_from(request.timeout).unwrap(), TIMEOUT);
    assert_eq!(request.read_only, Some(false));
}

#[test]
fn a_read_after_a_switch_goes_right_behind_its_barrier() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    let out = bed.up();
    let barrier = own(&out, 0);
    assert_eq!(out[1], sent(EU, 1, OpCode::GetData));
    assert_eq!(
        bed.answer(EU, barrier, 7, 0),
        [],
        "the barrier's reply is swallowed"
    );
    assert_eq!(bed.answer(EU, Xid(1), 7, 0), [Out::Reply(1, 0, 0)]);
}

#[test]
fn one_barrier_per_switch_in_each_direction() {
    let mut bed = Bed::with_leg();
    assert_eq!(
        bed.get(1, "/eu/x"),
        [sent(EU, 1, OpCode::GetData)],
        "the lead is still there"
    );
    bed.answer(EU, Xid(1), 8, 0);
    let out = bed.get(2, "/x");
    assert_eq!(out.len(), 2);
    let barrier = own(&out, 0);
    assert_eq!(out[1], sent(HOME, 2, OpCode::GetData));
    assert_eq!(bed.answer(HOME, barrier, 60, 0), []);
    assert_eq!(bed.answer(HOME, Xid(2), 60, 0), [Out::Reply(2, 60, 0)]);
    assert_eq!(bed.get(3, "/y"), [sent(HOME, 3, OpCode::GetData)]);
}

#[test]
fn an_update_after_a_switch_needs_no_barrier_and_leads_the_reads_behind_it() {
    let mut bed = Bed::with_leg();
    assert_eq!(bed.set(1, "/x"), [sent(HOME, 1, OpCode::SetData)]);
    assert_eq!(bed.get(2, "/x"), [sent(HOME, 2, OpCode::GetData)]);
    bed.answer(HOME, Xid(1), 9, 0);
    assert_eq!(bed.answer(HOME, Xid(2), 9, 0), [Out::Reply(2, 9, 0)]);
}

#[test]
fn the_clients_own_sync_is_a_lead() {
    let mut bed = Bed::with_leg();
    assert_eq!(
        bed.op(1, OpCode::Sync, "/x", &[]),
        [sent(HOME, 1, OpCode::Sync)]
    );
    assert_eq!(bed.get(2, "/x"), [sent(HOME, 2, OpCode::GetData)]);
}

#[test]
fn a_request_for_another_ensemble_waits_for_the_drain_and_the_dial_overlaps_it() {
    let mut bed = Bed::new();
    bed.get(1, "/x");
    assert_eq!(bed.get(2, "/eu/x"), [Out::Dial(EU), Out::LearnRole]);
    assert_eq!(bed.up(), [], "home is not drained");
    assert_eq!(bed.get(3, "/y"), [], "what comes behind waits as well");
    let out = bed.answer(HOME, Xid(1), 5, 0);
    assert_eq!(out[1], sent(EU, 2, OpCode::GetData));
    assert_eq!(out[2], Out::Reply(1, 5, 0));
    let barrier = own(&out, 0);
    bed.answer(EU, barrier, 5, 0);
    let out = bed.answer(EU, Xid(2), 5, 0);
    assert_eq!(
        out[1],
        sent(HOME, 3, OpCode::GetData),
        "behind its own barrier: {out:?}"
    );
}

#[test]
fn reads_behind_a_refused_update_are_connectionloss_and_the_next_gets_a_barrier() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/x");
    bed.get(2, "/x");
    assert_eq!(bed.answer(HOME, Xid(1), 0, -102), [Out::Reply(1, 0, -102)]);
    assert_eq!(
        bed.answer(HOME, Xid(2), 9, 0),
        [Out::Reply(2, 0, code::CONNECTION_LOSS)]
    );
    assert_eq!(bed.get(3, "/x").len(), 2);
}

#[test]
fn a_failed_barrier_withholds_its_read() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    let out = bed.up();
    bed.answer(EU, own(&out, 0), 7, code::NOT_READ_ONLY);
    assert_eq!(
        bed.answer(EU, Xid(1), 7, 0),
        [Out::Reply(1, 0, code::CONNECTION_LOSS)]
    );
    assert!(bed.events.contains(&Event::BarrierFailed {
        ensemble: EU,
        err: code::NOT_READ_ONLY
    }));
}

/// Found by simulation, seed 82: the client was told CONNECTIONLOSS and its watches were armed.
#[test]
fn a_failed_barrier_does_not_fail_the_arming_of_watches() {
    let mut bed = Bed::with(settings(), Origin::Attached);
    bed.roles(Role::Follower);
    let lists = [vec![b"/x".to_vec()], Vec::new(), Vec::new()];
    let out = bed.client(&set_watches(Xid(1), OpCode::SetWatches, 5, &lists));
    assert_eq!(out[1], sent(HOME, 1, OpCode::SetWatches));
    bed.answer(HOME, own(&out, 0), 7, code::THROTTLED_OP);
    assert_eq!(bed.answer(HOME, Xid(1), 7, 0), [Out::Reply(1, 7, 0)]);
    assert_eq!(bed.get(2, "/x").len(), 2, "the next read gets a barrier");
}

#[test]
fn a_session_attached_again_reads_home_behind_a_barrier() {
    let mut bed = Bed::with(settings(), Origin::Attached);
    bed.roles(Role::Follower);
    let out = bed.get(1, "/x");
    assert_eq!(out.len(), 2);
    assert!(matches!(out[0], Out::Leg(HOME, _, OpCode::Sync)));
}

#[test]
fn where_the_server_leads_the_quorum_barrier_is_used() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    bed.session.leg_up(EU, credentials(LEG), Tick(0));
    let out = bed.drain();
    assert!(
        matches!(out[0], Out::Leg(EU, _, OpCode::Multi)),
        "its role is not known yet"
    );
}

#[test]
fn the_kind_none_places_no_barrier() {
    let mut settings = settings();
    settings.policies = vec![Policy::from(BarrierKind::None); 2];
    let mut bed = Bed::with(settings, Origin::New);
    bed.get(1, "/eu/x");
    assert_eq!(bed.up(), [sent(EU, 1, OpCode::GetData)]);
    assert_eq!(bed.answer(EU, Xid(1), 7, 0), [Out::Reply(1, 0, 0)]);
}

#[test]
fn a_remote_reply_carries_the_largest_home_zxid_written() {
    let mut bed = Bed::with_leg();
    bed.get(1, "/eu/x");
    assert_eq!(bed.answer(EU, Xid(1), 999_999, 0), [Out::Reply(1, 0, 0)]);
    bed.set(2, "/x");
    bed.answer(HOME, Xid(2), 44, 0);
    bed.set(3, "/x");
    bed.answer(HOME, Xid(3), 43, 0);
    bed.set(4, "/eu/x");
    assert_eq!(
        bed.answer(EU, Xid(4), 1_000_000, -103),
        [Out::Reply(4, 44, -103)]
    );
}

#[test]
fn ephemeral_owners_are_swapped_in_remote_replies_only() {
    let stat = |owner: i64| {
        let mut stat = [0; 68];
        stat[44..52].copy_from_slice(&owner.to_be_bytes());
        stat
    };
    let owner = |frame: &[u8]| {
        i64::from_be_bytes(
            frame[frame.len() - 24..frame.len() - 16]
                .try_into()
                .unwrap(),
        )
    };
    let mut bed = Bed::with_leg();
    for (xid, there, seen) in [(1, LEG, CLIENT), (2, CLIENT, LEG), (3, 5, 5), (4, 0, 0)] {
        bed.op(xid, OpCode::Exists, "/eu/x", &[0]);
        bed.answer_body(EU, xid, 7, &stat(there));
        assert_eq!(owner(bed.last_frame()), seen);
    }
    bed.set(5, "/x");
    bed.answer_body(HOME, 5, 7, &stat(LEG));
    assert_eq!(owner(bed.last_frame()), LEG);
}

#[test]
fn credentials_come_first_on_a_leg_and_go_to_all_open_ones() {
    let auth = |xid: i32| request::auth_frame(xid);
    let mut bed = Bed::new();
    assert_eq!(bed.client(&auth(-4)), [sent(HOME, -4, OpCode::Auth)]);
    bed.answer(HOME, Xid(-4), 0, 0);
    bed.get(1, "/eu/x");
    let out = bed.up();
    assert_eq!(out[0], sent(EU, -4, OpCode::Auth));
    assert!(
        matches!(out[1], Out::Leg(EU, _, OpCode::Multi)),
        "its barrier comes second"
    );
    let mut second = auth(-4);
    *second.last_mut().unwrap() = b'2';
    assert_eq!(
        bed.client(&second),
        [sent(EU, -4, OpCode::Auth), sent(HOME, -4, OpCode::Auth)]
    );
    assert_eq!(
        bed.answer(EU, Xid(-4), 0, 0),
        [],
        "a remote answer to credentials is not the client's"
    );
}

mod request {
    use crate::wire::jute::Writer;

    pub(super) fn auth_frame(xid: i32) -> Vec<u8> {
        Writer::default()
            .int(xid)
            .int(100)
            .int(0)
            .buffer(Some(b"digest"))
            .buffer(Some(b"a:1"))
            .finish()
    }
}

#[test]
fn a_connection_that_comes_back_has_no_lead_and_no_role() {
    let mut bed = Bed::with_leg();
    assert_eq!(bed.get(1, "/eu/x").len(), 1);
    bed.answer(EU, Xid(1), 5, 0);
    bed.lost(EU);
    bed.session.leg_up(EU, credentials(LEG), bed.now);
    bed.drain();
    let out = bed.get(2, "/eu/x");
    assert!(
        matches!(
            out[..],
            [
                Out::Leg(EU, _, OpCode::Multi),
                Out::Leg(EU, Xid(2), OpCode::GetData)
            ]
        ),
        "it may have moved from an observer to the leader: {out:?}"
    );
}

#[test]
fn ephemeral_owners_are_swapped_in_the_results_of_a_multi() {
    let mut stat = [0; 68];
    stat[44..52].copy_from_slice(&LEG.to_be_bytes());
    let end = |writer: Writer| writer.int(-1).bool(true).int(-1).finish();
    let multi = Writer::default().int(1).int(14).int(5).bool(false).int(-1);
    let multi = multi.buffer(Some(b"/eu/x")).buffer(None).int(-1);
    let mut bed = Bed::with_leg();
    assert_eq!(bed.client(&end(multi)), [sent(EU, 1, OpCode::Multi)]);
    let result = end(Writer::default().int(5).bool(false).int(0).raw(&stat));
    bed.answer_body(EU, 1, 5, &result[4..]);
    let owner = bed.last_frame()[4 + 16 + 9 + 44..][..8].to_vec();
    assert_eq!(owner, CLIENT.to_be_bytes());
}
