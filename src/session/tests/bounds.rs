//! What servers can make a session keep is bounded too.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::jute::Writer;

const LIMIT: usize = 10_000;

fn bounded() -> Bed {
    let mut settings = settings();
    settings.reply_limit = LIMIT;
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    bed
}

/// The client has come back to home.
fn at_home() -> Bed {
    let mut bed = bounded();
    bed.set(50, "/x");
    bed.answer(HOME, Xid(50), 1, 0);
    bed
}

/// What the loss of a leg over such replies says.
fn too_many(ensemble: EnsembleId) -> Event {
    let fault = LegFault::OutOfOrder { limit: LIMIT };
    let reason = Loss::Broken(fault);
    Event::LegLost { ensemble, reason }
}

#[test]
fn a_remote_server_whose_replies_pile_up_behind_another_is_given_up() {
    let mut bed = bounded();
    for xid in 1..=5 {
        bed.get(xid, "/eu/x");
    }
    for xid in [5, 4] {
        assert_eq!(bed.answer_body(EU, xid, 2, &[0; 4_000]), []);
    }
    assert_eq!(bed.session.pipeline.replies(), 2 * 4_020);
    let out = bed.answer_body(EU, 3, 2, &[0; 4_000]);
    let reply = |xid, err| Out::Reply(xid, 0, err);
    let mut expected = vec![Out::HangUp(EU)];
    expected.extend((1..=3).map(|xid| reply(xid, -4)));
    expected.extend((4..=5).map(|xid| reply(xid, 0)));
    assert_eq!(out[..6], expected, "each has an answer, in order");
    assert!(bed.events.contains(&too_many(EU)));
    assert_eq!(bed.session.pipeline.replies(), 0);
    assert_eq!(bed.session.waiting(), 0);
}

#[test]
fn home_whose_replies_pile_up_behind_another_ends_the_connection() {
    let mut bed = at_home();
    for xid in 1..=4 {
        bed.get(xid, "/x");
    }
    for xid in [4, 3] {
        bed.answer_body(HOME, xid, 2, &[0; 4_000]);
    }
    let out = bed.answer_body(HOME, 2, 2, &[0; 4_000]);
    assert_eq!(out, [Out::HangUp(HOME), Out::CloseClient]);
    assert!(bed.events.contains(&too_many(HOME)));
}

#[test]
fn parts_of_a_reply_that_are_too_much_together_are_answered_as_lost() {
    let mut bed = at_home();
    bed.op(1, OpCode::GetEphemerals, "/", &[]);
    let out = bed.answer_body(HOME, 1, 2, &[0; 6_000]);
    let barrier = own(&out, 0);
    assert_eq!(out[1..], [sent(EU, 1, OpCode::GetEphemerals)]);
    bed.answer(EU, barrier, 2, 0);
    let out = bed.answer_body(EU, 1, 2, &[0; 6_000]);
    assert_eq!(out[..2], [Out::HangUp(EU), Out::Reply(1, 2, -4)]);
    assert_eq!(bed.session.waiting(), 0);
}

#[test]
fn one_reply_of_the_limit_is_not_too_much() {
    let mut bed = at_home();
    bed.op(1, OpCode::GetEphemerals, "/", &[]);
    let paths = 1_i32.to_be_bytes();
    let path = [
        &paths[..],
        &3_i32.to_be_bytes(),
        b"/eu",
        &[0; LIMIT - 16 - 11],
    ]
    .concat();
    bed.answer_body(HOME, 1, 2, &path);
    assert_eq!(bed.session.pipeline.replies(), LIMIT);
    assert!(!bed.events.contains(&too_many(HOME)));
}

#[test]
fn what_the_loss_of_a_leg_makes_of_transactions_is_bounded() {
    let mut settings = settings();
    settings.look_ahead = 10_000;
    let mut bed = Bed::with(settings, Origin::New);
    bed.open_leg();
    let checks = |xid| {
        let mut multi = Writer::default().int(xid).int(14);
        for _ in 0..200 {
            multi = multi.int(13).bool(false).int(-1);
            multi = multi.buffer(Some(b"/eu/x")).int(-1);
        }
        multi.int(-1).bool(true).int(-1).finish()
    };
    let mut asked = 0;
    while bed.session.wants_client() {
        asked += 1;
        bed.client(&checks(asked));
    }
    assert_eq!(
        asked, 4,
        "a failure has 13 bytes for each of 200 operations"
    );
    bed.answer(EU, Xid(1), 2, 0);
    assert!(bed.session.wants_client(), "one has come");
    bed.frames.clear();
    bed.lost(EU);
    let failures = bed.frames.iter().map(Vec::len);
    assert!(failures.sum::<usize>() <= 10_000 + 4 * 100);
    assert_eq!(bed.session.waiting(), 0);
}
