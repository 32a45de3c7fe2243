//! What one connection of a client leaves to the next.

use super::super::*;
use super::bed::*;
use crate::wire::jute::Writer;
use crate::wire::request;
use crate::wire::{Xid, reply};

fn ephemeral() -> Vec<u8> {
    Writer::default().buffer(None).count(0).int(1).finish()[4..].to_vec()
}

/// The client's next connection, its leg on the way.
fn next(session: Session) -> Bed {
    let mut next = Bed::with(settings(), Origin::Attached);
    next.session.resume(session.park().unwrap(), Tick(0));
    assert_eq!(next.drain()[0], Out::Dial(EU));
    next
}

#[test]
fn an_ephemeral_whose_creation_was_under_way_counts_as_owned() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::Create, "/eu/e", &ephemeral());
    let mut next = next(bed.session);
    next.session.leg_refused(EU, Tick(0));
    assert!(
        matches!(next.session.phase, Phase::Expiring { .. }),
        "never a silent loss of an ephemeral"
    );
}

#[test]
fn watches_are_known_over_a_connection_that_did_not_get_to_ask_for_them() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::GetData, "/eu/a", &[1]);
    bed.answer(EU, Xid(1), 20, 0);
    let between = next(bed.session);
    let mut last = next(between.session);
    last.up();
    let lists = [vec![b"/eu/a".to_vec()], vec![], vec![]];
    last.client(&request::set_watches(
        Xid(1),
        OpCode::SetWatches,
        999,
        &lists,
    ));
    let asked = request::Request::parse(&last.last_frame()[4..])
        .unwrap()
        .watch_lists(3)
        .unwrap();
    assert_eq!(asked.relative_zxid, 20, "0 would report what it has seen");
}

#[test]
fn of_two_events_of_one_transaction_the_second_is_not_lost_with_the_connection() {
    let mut bed = Bed::with_leg();
    for (xid, path) in [(1, "/eu/a"), (2, "/eu/b")] {
        bed.op(xid, OpCode::GetData, path, &[1]);
        bed.answer(EU, Xid(xid), 5, 0);
    }
    let event = reply::WatchEvent {
        kind: 3,
        state: 3,
        path: b"/eu/a",
    };
    // Servers from 3.9 on send the transaction's zxid along.
    assert_eq!(
        bed.leg(EU, &event.frame(Zxid(6))),
        [Out::Event("/eu/a".into())]
    );
    bed.lost(EU);
    bed.up();
    let asked = request::Request::parse(&bed.last_frame()[4..])
        .unwrap()
        .watch_lists(3)
        .unwrap();
    assert_eq!(
        (asked.relative_zxid, &asked.lists[0][..]),
        (5, &[&b"/eu/b"[..]][..]),
        "what happened in 6 is still to be told"
    );
}

#[test]
fn a_session_that_is_to_expire_does_so_even_if_home_did_not_hear_of_it() {
    let mut bed = Bed::with_leg();
    let path = Writer::default().buffer(Some(b"/eu/e")).finish()[4..].to_vec();
    bed.op(1, OpCode::Create, "/eu/e", &ephemeral());
    bed.answer_body(EU, 1, 5, &path);
    bed.lost(EU);
    bed.session.leg_refused(EU, bed.now);
    bed.drain();
    assert_eq!(bed.lost(HOME), [Out::CloseClient]);
    let mut next = next(bed.session);
    next.session.leg_refused(EU, Tick(0));
    let out = next.drain();
    assert!(
        matches!(out[..], [.., Out::Leg(HOME, _, OpCode::CloseSession)]),
        "its ephemeral is gone, so it must learn of it: {out:?}"
    );
    next.answer(HOME, own(&out, out.len() - 1), 6, 0);
    assert_eq!(next.session.park(), None);
}

/// The answer that the remote session is gone may come when home's connection is gone already.
#[test]
fn what_is_lost_while_the_connection_ends_is_told_to_the_next() {
    let mut bed = Bed::with_leg();
    let path = Writer::default().buffer(Some(b"/eu/e")).finish()[4..].to_vec();
    bed.op(1, OpCode::Create, "/eu/e", &ephemeral());
    bed.answer_body(EU, 1, 5, &path);
    bed.lost(EU);
    assert_eq!(bed.lost(HOME), [Out::CloseClient]);
    bed.session.leg_refused(EU, bed.now);
    bed.drain();
    let mut next = next(bed.session);
    next.session.leg_refused(EU, Tick(0));
    assert!(matches!(next.session.phase, Phase::Expiring { .. }));
}

#[test]
fn what_was_owned_is_not_forgotten_where_only_its_names_are() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::Create, "/eu/e", &ephemeral());
    bed.op(2, OpCode::GetData, "/eu/a", &[1]);
    let path = Writer::default().buffer(Some(b"/eu/e")).finish();
    bed.answer_body(EU, 1, 5, &path[4..]);
    bed.answer(EU, Xid(2), 5, 0);
    let mut legs = bed.session.park().unwrap();
    assert!(legs[0].bytes() > "/eu/e/eu/a".len());
    legs[0].shrink();
    assert_eq!(legs[0].bytes(), 0);
    let mut next = Bed::with(settings(), Origin::Attached);
    next.session.resume(legs, Tick(0));
    next.session.leg_refused(EU, Tick(0));
    assert!(
        matches!(next.session.phase, Phase::Expiring { .. }),
        "its client is told of the loss"
    );
}
