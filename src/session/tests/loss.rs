//! Contract 4: what the loss of a connection means for a session.

use super::super::*;
use super::bed::*;
use crate::wire::connect::ConnectRequest;
use crate::wire::request;
use crate::wire::{Xid, reply};

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
        crate::wire::jute::Writer::default()
            .int(13)
            .bool(false)
            .int(-1)
            .buffer(Some(path))
            .int(-1)
            .finish()[4..]
            .to_vec()
    };
    let end = crate::wire::jute::Writer::default()
        .int(-1)
        .bool(true)
        .int(-1)
        .finish()[4..]
        .to_vec();
    let body = [check(b"/eu/a"), check(b"/eu/b"), end].concat();
    let multi = crate::wire::jute::Writer::default()
        .int(1)
        .int(14)
        .raw(&body)
        .finish();
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
        crate::wire::jute::Writer::default()
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

#[test]
fn a_loss_that_takes_watches_along_is_shown_to_the_client() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::Exists, "/eu/x", &[1]);
    bed.answer(EU, Xid(1), 5, -101);
    assert_eq!(bed.lost(EU), [Out::CloseClient]);
}

#[test]
fn set_watches_that_reach_not_all_ensembles_end_the_connection() {
    let mut bed = Bed::new();
    let lists = [vec![b"/x".to_vec(), b"/eu/x".to_vec()], vec![], vec![]];
    bed.client(&request::set_watches(
        Xid(-8),
        OpCode::SetWatches,
        5,
        &lists,
    ));
    bed.answer(HOME, Xid(-8), 5, 0);
    bed.session.leg_unreachable(EU, bed.now);
    assert_eq!(
        bed.drain(),
        [Out::CloseClient],
        "it would believe in watches that are not armed"
    );
}
