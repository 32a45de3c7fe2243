//! Contract 4: what the loss of a connection means for a session.

use super::super::*;
use super::bed::*;
use crate::wire::connect::ConnectRequest;
use crate::wire::jute::Writer;
use crate::wire::request::{self, Request};
use crate::wire::{Xid, code, reply};

#[test]
fn home_lost_ends_the_clients_connection() {
    let mut bed = Bed::new();
    bed.get(1, "/x");
    assert_eq!(bed.lost(HOME), [Out::CloseClient]);
    assert_eq!(bed.get(2, "/x"), [], "nothing follows");
}

#[test]
fn a_remote_loss_is_contained_and_the_leg_resumed_with_its_own_zxid() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    bed.set(2, "/eu/x");
    bed.set(3, "/x");
    let out = bed.lost(EU);
    let lost = [
        Out::Reply(1, 0, code::CONNECTION_LOSS),
        Out::Reply(2, 0, code::CONNECTION_LOSS),
    ];
    assert_eq!(
        out,
        [&lost[..], &[sent(HOME, 3, OpCode::SetData), Out::Dial(EU)]].concat()
    );
    let request = ConnectRequest::parse(&bed.last_frame()[4..]).unwrap();
    assert_eq!(
        (request.session, request.last_zxid_seen),
        (SessionId(LEG), Zxid(1))
    );
    assert_eq!(bed.up(), []);
    assert_eq!(bed.answer(HOME, Xid(3), 5, 0), [Out::Reply(3, 5, 0)]);
    assert_eq!(bed.get(4, "/eu/x").len(), 2, "a barrier again");
}

#[test]
fn a_multi_of_unknown_outcome_is_answered_per_operation() {
    let mut bed = Bed::with_leg();
    let check = |path: &[u8]| {
        Writer::default()
            .int(13)
            .bool(false)
            .int(-1)
            .buffer(Some(path))
            .int(-1)
            .finish()[4..]
            .to_vec()
    };
    let end = Writer::default().int(-1).bool(true).int(-1).finish()[4..].to_vec();
    let body = [check(b"/eu/a"), check(b"/eu/b"), end].concat();
    let multi = Writer::default().int(1).int(14).raw(&body).finish();
    assert_eq!(bed.client(&multi), [sent(EU, 1, OpCode::Multi)]);
    assert_eq!(
        bed.lost(EU)[0],
        Out::Reply(1, 0, 0),
        "a header error aborts the stock C client"
    );
    let frame = bed.frames[bed.frames.len() - 2].clone();
    let codes: Vec<i32> = reply::multi_results(&frame[4..])
        .unwrap()
        .iter()
        .map(|result| result.err)
        .collect();
    assert_eq!(codes, [code::CONNECTION_LOSS, code::RUNTIME_INCONSISTENCY]);
}

#[test]
fn a_request_whose_reply_cannot_be_read_is_answered_as_what_is_lost_with_its_leg() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    assert_eq!(
        bed.op(2, OpCode::Sync, "/old/x", &[]),
        [sent(EU, 2, OpCode::Sync)]
    );
    bed.answer(EU, Xid(1), 5, 0);
    let broken = 255_i32.to_be_bytes();
    let out = bed.answer_body(EU, 2, 6, &broken);
    assert_eq!(
        out,
        [
            Out::HangUp(EU),
            Out::Reply(2, 0, code::CONNECTION_LOSS),
            Out::Dial(EU)
        ]
    );
}

#[test]
fn an_ensemble_out_of_reach_fails_what_waits_for_it_and_nothing_else() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    bed.get(2, "/eu/y");
    bed.set(3, "/x");
    bed.session.leg_unreachable(EU, bed.now);
    let lost = |xid| Out::Reply(xid, 0, code::CONNECTION_LOSS);
    assert_eq!(
        bed.drain(),
        [lost(1), lost(2), sent(HOME, 3, OpCode::SetData)]
    );
    assert_eq!(bed.get(4, "/eu/x"), [], "not dialled again at once");
    bed.answer(HOME, Xid(3), 5, 0);
    assert_eq!(bed.pass_to(200), [Out::Dial(EU), Out::LearnRole]);
}

#[test]
fn a_leg_that_never_carries_a_frame_is_not_dialled_in_a_tight_loop() {
    let mut bed = Bed::with_leg();
    assert_eq!(bed.lost(EU), [Out::Dial(EU)], "at once: it had worked");
    bed.up();
    assert_eq!(bed.lost(EU), []);
    assert_eq!(
        bed.pass_to(1_000)
            .iter()
            .filter(|out| **out == Out::Dial(EU))
            .count(),
        1
    );
}

#[test]
fn credentials_an_ensemble_refuses_are_left_out_when_its_leg_is_resumed() {
    let auth = |secret: &[u8]| {
        Writer::default()
            .int(-4)
            .int(100)
            .int(0)
            .buffer(Some(b"odd"))
            .buffer(Some(secret))
            .finish()
    };
    let mut bed = Bed::new();
    for secret in [b"1", b"2"] {
        bed.client(&auth(secret));
        bed.answer(HOME, Xid(-4), 0, 0);
    }
    bed.set(1, "/eu/x");
    bed.up();
    assert_eq!(
        bed.answer(EU, Xid(-4), 0, -115),
        [],
        "never shown to the client (T19)"
    );
    bed.lost(EU);
    let out = bed.up();
    assert_eq!(out, [sent(EU, -4, OpCode::Auth)]);
    assert_eq!(bed.last_frame(), auth(b"2"));
}

/// The lists of the setWatches that went out last.
fn last_lists(bed: &Bed, lists: u8) -> (i64, Vec<Vec<Vec<u8>>>) {
    let request = Request::parse(&bed.last_frame()[4..]).unwrap();
    let watches = request.watch_lists(lists).unwrap();
    let owned = |list: &Vec<&[u8]>| list.iter().map(|path| path.to_vec()).collect();
    (
        watches.relative_zxid,
        watches.lists.iter().map(owned).collect(),
    )
}

fn paths(paths: &[&str]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

#[test]
fn watches_are_armed_again_with_what_their_leg_had_seen() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::Exists, "/eu/missing", &[1]);
    bed.answer(EU, Xid(1), 5, code::NO_NODE);
    bed.op(2, OpCode::GetChildren2, "/eu/x", &[1]);
    bed.answer(EU, Xid(2), 6, 0);
    bed.op(3, OpCode::GetData, "/old/x", &[1]);
    bed.answer(EU, Xid(3), 7, 0);
    bed.op(4, OpCode::GetData, "/eu/denied", &[1]);
    bed.answer(EU, Xid(4), 8, -102);
    assert_eq!(
        bed.lost(EU),
        [Out::Dial(EU)],
        "nothing else happens to the client"
    );
    let out = bed.up();
    assert!(
        matches!(out[..], [Out::Leg(EU, _, OpCode::SetWatches)]),
        "{out:?}"
    );
    assert_eq!(
        last_lists(&bed, 3),
        (
            8,
            vec![
                paths(&["/app/x"]),
                paths(&["/eu/missing"]),
                paths(&["/eu/x"])
            ]
        )
    );
    let event = reply::WatchEvent {
        kind: 3,
        state: 3,
        path: b"/app/x",
    }
    .frame(Zxid(-1));
    assert_eq!(
        bed.leg(EU, &event),
        [Out::Event("/old/x".into())],
        "a missed event is delivered"
    );
    assert_eq!(bed.answer(EU, own(&out, 0), 9, 0), []);
    bed.lost(EU);
    bed.up();
    assert_eq!(
        last_lists(&bed, 3).1[0],
        Vec::<Vec<u8>>::new(),
        "and not armed again"
    );
}

#[test]
fn persistent_watches_are_armed_again_as_such() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::AddWatch, "/eu/x", &0i32.to_be_bytes());
    bed.answer_body(EU, 1, 5, &[0; 4]);
    bed.op(2, OpCode::AddWatch, "/eu/y", &1i32.to_be_bytes());
    bed.answer_body(EU, 2, 5, &[0; 4]);
    let event = reply::WatchEvent {
        kind: 3,
        state: 3,
        path: b"/eu/x",
    }
    .frame(Zxid(-1));
    bed.leg(EU, &event);
    bed.lost(EU);
    bed.up();
    assert_eq!(
        last_lists(&bed, 5).1[3..],
        [paths(&["/eu/x"]), paths(&["/eu/y"])]
    );
}

#[test]
fn watches_beyond_what_is_remembered_make_a_loss_the_clients() {
    let mut settings = settings();
    settings.ledger_limit = 100;
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    for (xid, path) in [(1, "/eu/a"), (2, "/eu/b")] {
        bed.op(xid, OpCode::GetData, path, &[1]);
        bed.answer(EU, Xid(xid), 5, 0);
    }
    let full = Event::LedgerFull {
        ensemble: EU,
        bound: 100,
    };
    assert_eq!(bed.events.iter().filter(|event| **event == full).count(), 1);
    assert_eq!(bed.lost(EU), [Out::CloseClient]);
}

#[test]
fn set_watches_do_not_wait_for_an_ensemble_out_of_reach() {
    let mut bed = Bed::new();
    let lists = [paths(&["/x", "/eu/x"]), vec![], vec![]];
    bed.client(&request::set_watches(
        Xid(-8),
        OpCode::SetWatches,
        5,
        &lists,
    ));
    bed.answer(HOME, Xid(-8), 5, 0);
    bed.session.leg_unreachable(EU, bed.now);
    assert_eq!(bed.drain(), [Out::Reply(-8, 5, 0)]);
    assert_eq!(bed.get(1, "/eu/y"), []);
    bed.pass_to(200);
    let out = bed.up();
    assert!(
        matches!(out[0], Out::Leg(EU, _, OpCode::SetWatches)),
        "armed once it is there: {out:?}"
    );
}

#[test]
fn while_an_ensemble_is_down_requests_fail_quickly_but_paced() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    bed.session.leg_unreachable(EU, bed.now);
    bed.drain();
    let mut failed = Vec::new();
    for xid in 2..12 {
        bed.get(xid, "/eu/x");
        let asked = bed.now;
        while failed.len() < usize::try_from(xid - 1).unwrap() {
            bed.now = bed.session.deadline().unwrap();
            bed.session.tick(bed.now);
            for out in bed.drain() {
                if let Out::Reply(_, _, err) = out {
                    failed.push((bed.now.0 - asked.0, err));
                } else if out == Out::Dial(EU) {
                    bed.session.leg_unreachable(EU, bed.now);
                }
            }
            failed.extend(
                bed.drain()
                    .iter()
                    .filter(|out| matches!(out, Out::Reply(..)))
                    .map(|_| (bed.now.0 - asked.0, -4)),
            );
        }
    }
    assert!(
        failed
            .iter()
            .all(|(waited, err)| *waited <= 250 && *err == code::CONNECTION_LOSS),
        "{failed:?}"
    );
    assert!(bed.now.0 >= 10 * 250, "{failed:?}");
}

#[test]
fn the_first_request_once_an_ensemble_is_back_waits_for_the_attempt() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    bed.session.leg_unreachable(EU, bed.now);
    bed.drain();
    bed.pass_to(20_000);
    assert_eq!(bed.get(2, "/eu/x"), [Out::Dial(EU), Out::LearnRole]);
    let out = bed.pass_to(20_400);
    let answered = out.iter().any(|out| matches!(out, Out::Reply(2, ..)));
    assert!(!answered, "a WAN away, it is still under way: {out:?}");
    let out = bed.up();
    assert_eq!(out.last(), Some(&sent(EU, 2, OpCode::GetData)), "{out:?}");
}

#[test]
fn where_the_policy_says_so_an_ensemble_out_of_reach_drops_the_connection() {
    let mut settings = settings();
    settings.policies[1].on_unreachable = OnUnreachable::Disconnect;
    let mut bed = Bed::with(settings, Origin::New);
    bed.get(1, "/eu/x");
    bed.session.leg_unreachable(EU, bed.now);
    assert_eq!(
        bed.drain(),
        [Out::Reply(1, 0, code::CONNECTION_LOSS), Out::CloseClient]
    );
}

fn owning() -> Bed {
    let mut bed = Bed::with_leg();
    let rest = Writer::default().buffer(None).count(0).int(1).finish()[4..].to_vec();
    bed.op(1, OpCode::Create, "/eu/e", &rest);
    let path = Writer::default().buffer(Some(b"/eu/e")).finish()[4..].to_vec();
    bed.answer_body(EU, 1, 5, &path);
    bed
}

#[test]
fn an_expired_leg_that_owned_ephemerals_expires_the_whole_session() {
    let mut bed = owning();
    bed.lost(EU);
    bed.session.leg_refused(EU, bed.now);
    let out = bed.drain();
    assert!(
        matches!(out[..], [Out::Leg(HOME, _, OpCode::CloseSession)]),
        "{out:?}"
    );
    assert_eq!(bed.answer(HOME, own(&out, 0), 6, 0), [Out::CloseClient]);
    assert_eq!(bed.session.park(), None);
}

#[test]
fn an_expired_leg_that_owned_none_is_replaced_and_its_watches_armed_again() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::Exists, "/eu/x", &[1]);
    bed.answer(EU, Xid(1), 5, 0);
    bed.lost(EU);
    bed.session.leg_refused(EU, bed.now);
    assert_eq!(bed.drain(), [Out::Forget(EU), Out::Dial(EU)]);
    let request = ConnectRequest::parse(&bed.last_frame()[4..]).unwrap();
    assert_eq!(
        (request.session, request.last_zxid_seen),
        (SessionId::NONE, Zxid(5))
    );
    assert!(matches!(
        bed.up()[..],
        [Out::Leg(EU, _, OpCode::SetWatches)]
    ));
}

#[test]
fn an_ephemeral_that_was_deleted_is_owned_no_longer() {
    let mut bed = owning();
    bed.op(2, OpCode::Delete, "/eu/e", &[0; 4]);
    bed.answer(EU, Xid(2), 6, 0);
    bed.lost(EU);
    bed.session.leg_refused(EU, bed.now);
    assert_eq!(bed.drain(), [Out::Forget(EU), Out::Dial(EU)]);
}

#[test]
fn an_ephemeral_whose_creation_was_lost_counts_as_owned() {
    let mut bed = Bed::with_leg();
    let rest = Writer::default().buffer(None).count(0).int(1).finish()[4..].to_vec();
    bed.op(1, OpCode::Create, "/eu/e", &rest);
    bed.lost(EU);
    bed.session.leg_refused(EU, bed.now);
    assert!(matches!(bed.session.phase, Phase::Expiring { .. }));
}

#[test]
fn the_policy_may_keep_a_session_whose_ephemerals_are_gone() {
    let mut bed = owning();
    let mut settings = settings();
    settings.policies[1].on_expiry = OnExpiry::Keep;
    bed.session.settings = Arc::new(settings);
    bed.lost(EU);
    bed.session.leg_refused(EU, bed.now);
    assert_eq!(bed.drain(), [Out::Forget(EU), Out::Dial(EU)]);
}

#[test]
fn the_next_connection_goes_on_with_the_remote_sessions_of_the_last() {
    let mut bed = owning();
    for (xid, zxid, path) in [(2, 20, "/eu/a"), (3, 30, "/eu/b"), (4, 40, "/eu/c")] {
        bed.op(xid, OpCode::GetData, path, &[1]);
        bed.answer(EU, Xid(xid), zxid, 0);
    }
    let legs = bed.session.park().unwrap();
    let mut next = Bed::with(settings(), Origin::Attached);
    next.session.resume(legs, Tick(0));
    assert_eq!(next.drain()[0], Out::Dial(EU));
    let request = ConnectRequest::parse(&next.frames[0][4..]).unwrap();
    assert_eq!(request.session, SessionId(LEG));
    assert_eq!(
        next.up(),
        [],
        "the watches are the client's to ask for (T16)"
    );
    next.roles(Role::Observer);
    let lists = [paths(&["/eu/b", "/eu/a", "/eu/new"]), vec![], vec![]];
    let out = next.client(&request::set_watches(
        Xid(1),
        OpCode::SetWatches,
        999,
        &lists,
    ));
    assert_eq!(out.len(), 4, "a barrier and three setWatches: {out:?}");
    let seen: Vec<(i64, Vec<u8>)> = next.frames[next.frames.len() - 3..]
        .iter()
        .map(|frame| {
            let watches = Request::parse(&frame[4..]).unwrap().watch_lists(3).unwrap();
            (watches.relative_zxid, watches.lists[0][0].to_vec())
        })
        .collect();
    let expected = [
        (0, b"/eu/new".to_vec()),
        (20, b"/eu/a".to_vec()),
        (30, b"/eu/b".to_vec()),
    ];
    assert_eq!(seen, expected, "each with what it was armed at (6.4)");
    next.answer(EU, own(&out, 0), 50, 0);
    assert_eq!(next.answer(EU, Xid(1), 50, 0), []);
    assert_eq!(next.answer(EU, Xid(1), 50, 0), []);
    assert_eq!(next.answer(EU, Xid(1), 50, 0), [Out::Reply(1, 0, 0)]);
    next.lost(EU);
    next.session.leg_refused(EU, next.now);
    assert!(
        matches!(next.session.phase, Phase::Expiring { .. }),
        "its ephemeral is still known"
    );
}

#[test]
fn a_stopping_sidecar_answers_what_is_outstanding_and_closes_no_session() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    bed.set(2, "/x");
    bed.session.stop();
    assert!(!bed.session.wants_client());
    assert_eq!(
        bed.answer(EU, Xid(1), 5, 0),
        [Out::Reply(1, 0, 0), sent(HOME, 2, OpCode::SetData)]
    );
    assert_eq!(
        bed.answer(HOME, Xid(2), 6, 0),
        [Out::Reply(2, 6, 0), Out::CloseClient]
    );
    assert_eq!(bed.session.park().map(|legs| legs.len()), Some(1));
}

#[test]
fn an_idle_leg_that_holds_nothing_is_retired_and_opened_again_on_demand() {
    let mut bed = Bed::with_leg();
    let mut retired = Vec::new();
    while retired.is_empty() {
        bed.ping();
        bed.answer(HOME, Xid::PING, 1, 0);
        let out = bed.pass_to(bed.now.0 + 1_000);
        for out in out {
            if out == Out::Forget(EU) {
                bed.session.forgotten(EU, bed.now);
                let closed = bed.drain();
                assert!(
                    matches!(closed[..], [Out::Leg(EU, _, OpCode::CloseSession)]),
                    "{closed:?}"
                );
                retired.push((bed.now.0, own(&closed, 0)));
            } else if out == sent(EU, -2, OpCode::Ping) {
                bed.answer(EU, Xid::PING, 5, 0);
            }
        }
    }
    let (at, xid) = retired[0];
    assert_eq!(at / 1_000, 600);
    assert_eq!(bed.get(5, "/eu/x"), [], "it comes a moment too late");
    assert_eq!(bed.answer(EU, xid, 6, 0), [Out::HangUp(EU), Out::Dial(EU)]);
    assert_eq!(bed.up()[1], sent(EU, 5, OpCode::GetData));
}

#[test]
fn a_leg_that_holds_something_is_not_retired() {
    let mut bed = owning();
    bed.session.legs.get(EU).used = Tick(0);
    bed.now = Tick(3_000_000);
    bed.ping();
    bed.session.tick(bed.now);
    assert!(
        !bed.drain()
            .iter()
            .any(|out| matches!(out, Out::Leg(EU, _, OpCode::CloseSession)))
    );
}
