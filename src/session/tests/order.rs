//! Contract 3.3: replies in the order of requests, pings that overtake, a bounded look-ahead.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::code;
use crate::wire::jute::Writer;

#[test]
fn an_auth_reply_that_overtakes_is_held_until_its_turn() {
    let mut bed = Bed::new();
    bed.set(1, "/x");
    let auth = Writer::default()
        .int(-4)
        .int(100)
        .int(0)
        .buffer(Some(b"digest"))
        .buffer(Some(b"a:1"))
        .finish();
    bed.client(&auth);
    assert_eq!(
        bed.answer(HOME, Xid(-4), 0, 0),
        [],
        "kazoo would take it for the answer to 1 (T20)"
    );
    assert_eq!(
        bed.answer(HOME, Xid(1), 5, 0),
        [Out::Reply(1, 5, 0), Out::Reply(-4, 0, 0)]
    );
}

#[test]
fn pings_overtake_a_drain_in_both_directions() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    bed.set(2, "/x");
    assert_eq!(bed.ping(), [sent(HOME, -2, OpCode::Ping)]);
    assert_eq!(bed.answer(HOME, Xid::PING, 3, 0), [Out::Reply(-2, 3, 0)]);
    assert_eq!(
        bed.answer(EU, Xid(1), 9, 0),
        [sent(HOME, 2, OpCode::SetData), Out::Reply(1, 0, 0)]
    );
}

#[test]
fn at_most_one_ensemble_has_requests_outstanding() {
    let mut bed = Bed::with_leg();
    let mut queue = Vec::new();
    for xid in 1..=60 {
        let path = if xid % 3 == 0 { "/x" } else { "/eu/x" };
        queue.extend(bed.set(xid, path));
    }
    let mut answered = Vec::new();
    while !queue.is_empty() {
        let to: Vec<EnsembleId> = queue.iter().filter_map(ensemble).collect();
        assert!(to.iter().all(|ensemble| *ensemble == to[0]), "{queue:?}");
        let Out::Leg(ensemble, xid, _) = queue.remove(0) else {
            panic!("{queue:?}")
        };
        for out in bed.answer(ensemble, xid, 5, 0) {
            if let Out::Reply(xid, ..) = out {
                answered.push(xid);
            } else {
                queue.push(out);
            }
        }
    }
    assert_eq!(answered, (1..=60).collect::<Vec<_>>());
}

fn ensemble(out: &Out) -> Option<EnsembleId> {
    if let Out::Leg(ensemble, ..) = out {
        Some(*ensemble)
    } else {
        None
    }
}

#[test]
fn look_ahead_is_bounded_in_bytes() {
    let mut settings = settings();
    settings.look_ahead = 100;
    let mut bed = Bed::with(settings, Origin::New);
    assert!(bed.session.wants_client());
    let mut held = 0;
    while bed.session.wants_client() {
        held += 1;
        bed.get(held, "/eu/x");
    }
    assert!(
        held < 10,
        "{held} requests of 22 bytes in a look-ahead of 100"
    );
}

#[test]
fn what_is_kept_of_requests_in_flight_is_bounded_in_bytes() {
    let mut settings = settings();
    settings.look_ahead = 1_000;
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    let path = format!("/eu/{}", "x".repeat(300));
    let mut asked = 0;
    while bed.session.wants_client() {
        asked += 1;
        bed.op(asked, OpCode::GetData, &path, &[1]);
    }
    assert_eq!(asked, 4, "paths of watches to come");
    bed.answer(EU, Xid(1), 5, 0);
    assert!(bed.session.wants_client(), "one has come");
    bed.op(5, OpCode::GetData, &path, &[1]);
    assert!(!bed.session.wants_client());
    bed.lost(EU);
    assert!(bed.session.wants_client(), "none will come");
}

#[test]
fn what_is_kept_to_put_a_reply_together_is_bounded_in_bytes() {
    let mut settings = settings();
    settings.look_ahead = 1_000;
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    let prefix = format!("/eu/{}", "x".repeat(300));
    let mut asked = 0;
    while bed.session.wants_client() {
        asked += 1;
        bed.op(asked, OpCode::GetEphemerals, &prefix, &[]);
    }
    assert!(asked <= 4, "{asked} prefixes of 304 bytes");
}

#[test]
fn pings_that_are_not_answered_are_bounded() {
    let mut settings = settings();
    settings.outstanding = 3;
    let mut bed = Bed::with(settings, Origin::New);
    for _ in 0..3 {
        assert!(bed.session.wants_client());
        bed.ping();
    }
    assert!(!bed.session.wants_client());
    bed.answer(HOME, Xid::PING, 1, 0);
    assert!(bed.session.wants_client());
}

#[test]
fn replies_owed_are_bounded() {
    let mut settings = settings();
    settings.outstanding = 3;
    let mut bed = Bed::with(settings, Origin::New);
    for xid in 1..=3 {
        assert!(bed.session.wants_client());
        bed.get(xid, "/x");
    }
    assert!(!bed.session.wants_client());
    bed.answer(HOME, Xid(1), 1, 0);
    assert!(bed.session.wants_client());
}

#[test]
fn events_pass_at_once_and_in_leg_order() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    let event = |path: &[u8]| {
        Writer::default()
            .int(-1)
            .long(-1)
            .int(0)
            .int(3)
            .int(3)
            .buffer(Some(path))
            .finish()
    };
    assert_eq!(bed.leg(HOME, &event(b"/x")), [Out::Event("/x".into())]);
    assert_eq!(bed.leg(EU, &event(b"/eu/x")), [Out::Event("/eu/x".into())]);
    assert_eq!(
        bed.leg(EU, &event(b"/app/y")),
        [Out::Event("/old/y".into())]
    );
    assert_eq!(
        bed.leg(HOME, &event(b"/eu/x")),
        [],
        "a recursive watch saw behind a route"
    );
    assert_eq!(bed.leg(EU, &event(b"/x")), []);
}

/// Clients arm a watch when they read the reply to what asked for it, and drop events before.
#[test]
fn an_event_stays_behind_the_reply_that_waits_for_another_ensemble() {
    let mut bed = Bed::with_leg();
    let auth = Writer::default().int(-4).int(100).int(0);
    let auth = auth.buffer(Some(b"digest")).buffer(Some(b"a:1")).finish();
    let out = bed.client(&auth);
    assert!(out.contains(&Out::Leg(HOME, Xid(-4), OpCode::Auth)));
    // Home is slow to answer that. Meanwhile a watch is armed elsewhere, and fires.
    bed.op(1, OpCode::Exists, "/eu/x", &[1]);
    bed.set(2, "/eu/x");
    bed.answer(EU, own(&out, 0), 0, 0);
    assert_eq!(bed.answer(EU, Xid(1), 7, code::NO_NODE), []);
    let event = |path: &str| {
        let header = Writer::default().int(-1).long(-1).int(0).int(3).int(3);
        header.buffer(Some(path.as_bytes())).finish()
    };
    assert_eq!(bed.leg(EU, &event("/eu/x")), []);
    assert_eq!(bed.leg(HOME, &event("/x")), [Out::Event("/x".to_owned())]);
    assert_eq!(bed.answer(EU, Xid(2), 8, 0), []);
    assert_eq!(
        bed.answer(HOME, Xid(-4), 0, 0),
        [
            Out::Reply(-4, 0, 0),
            Out::Reply(1, 0, code::NO_NODE),
            Out::Event("/eu/x".to_owned()),
            Out::Reply(2, 0, 0)
        ]
    );
}

#[test]
fn a_reply_nobody_asked_for_ends_the_connection_to_home() {
    let mut bed = Bed::new();
    bed.get(1, "/x");
    assert_eq!(
        bed.answer(HOME, Xid(2), 1, 0),
        [Out::HangUp(HOME), Out::CloseClient]
    );
}

#[test]
fn a_request_under_the_number_of_events_is_a_fault() {
    let mut bed = Bed::new();
    let frame = crate::wire::request::of_path(Xid(-1), OpCode::GetData, b"/x", &[0]);
    let fault = bed.session.client_frame(&frame[4..], Tick(0)).unwrap_err();
    assert_eq!(
        fault,
        ClientFault::ReservedXid {
            op: OpCode::GetData
        }
    );
}

#[test]
fn credentials_are_bounded() {
    let mut bed = Bed::new();
    let fault = (0..10_000i32).find_map(|index| {
        let secret = [b"a:".as_slice(), &index.to_be_bytes()].concat();
        let auth = Writer::default()
            .int(-4)
            .int(100)
            .int(0)
            .buffer(Some(b"digest"))
            .buffer(Some(&secret))
            .finish();
        bed.session.client_frame(&auth[4..], Tick(0)).err()
    });
    assert!(matches!(fault, Some(ClientFault::TooManyAuths { .. })));
}

#[test]
fn replies_that_wait_for_their_turn_are_bounded_in_bytes() {
    let mut settings = settings();
    settings.look_ahead = 1_000;
    let mut bed = Bed::with(settings, Origin::New);
    bed.get(1, "/eu/x");
    let mut refused = Writer::default().int(2).int(14);
    for path in [b"/eu/x", b"/us/x"].into_iter().cycle().take(200) {
        refused = refused
            .int(13)
            .bool(false)
            .int(-1)
            .buffer(Some(path))
            .int(-1);
    }
    let refused = refused.int(-1).bool(true).int(-1).finish();
    assert!(bed.session.wants_client());
    assert_eq!(bed.client(&refused), []);
    assert!(
        !bed.session.wants_client(),
        "its refusal is larger than the bound"
    );
    bed.session.leg_unreachable(EU, bed.now);
    assert_eq!(bed.drain().len(), 2);
    assert!(bed.session.wants_client());
}
