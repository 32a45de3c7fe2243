//! What is reported to be counted: each reply, and how long switches and barriers take.

use super::super::*;
use super::bed::*;
use crate::wire::jute::Writer;
use crate::wire::{Xid, code, request};

/// Writes down what it is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    requests: Vec<(i32, u32, usize)>,
    replies: Vec<Replied>,
    errors: Vec<i32>,
    leads: Vec<u64>,
    events: Vec<usize>,
}

impl Meter for Notes {
    fn asked(&mut self, number: i32, requests: u32, bytes: usize) {
        self.requests.push((number, requests, bytes));
    }

    fn replied(&mut self, replies: Replied) {
        self.replies.push(replies);
    }

    fn failed(&mut self, err: i32) {
        self.errors.push(err);
    }

    fn led(&mut self, microseconds: u64) {
        self.leads.push(microseconds);
    }

    fn fired(&mut self, bytes: usize) {
        self.events.push(bytes);
    }
}

/// What is reported of a frame without a body.
fn metered(bed: &mut Bed, ensemble: EnsembleId, xid: Xid, err: i32) -> Notes {
    let frame = Writer::default().int(xid.0).long(9).int(err).finish();
    metered_frame(bed, ensemble, frame)
}

fn metered_frame(bed: &mut Bed, ensemble: EnsembleId, mut frame: Vec<u8>) -> Notes {
    let mut notes = Notes::default();
    let payload = &mut frame[4..];
    let _verdict = bed
        .session
        .leg_frame_metered(ensemble, payload, bed.now, &mut notes);
    notes
}

const fn replied(op: OpCode, microseconds: u64) -> Replied {
    Replied {
        op,
        replies: 1,
        bytes: 16,
        microseconds,
    }
}

#[test]
fn each_reply_is_reported_with_its_operation_its_error_and_its_time() {
    let mut bed = Bed::new();
    bed.get(1, "/x");
    bed.now = Tick(150);
    bed.set(2, "/x");
    bed.ping();
    bed.now = Tick(1_250);
    let notes = metered(&mut bed, HOME, Xid(1), code::NO_NODE);
    assert_eq!(notes.replies, [replied(OpCode::GetData, 1_250)]);
    assert_eq!(notes.errors, [code::NO_NODE]);
    let notes = metered(&mut bed, HOME, Xid(2), 0);
    assert_eq!(notes.replies, [replied(OpCode::SetData, 1_100)]);
    let notes = metered(&mut bed, HOME, Xid::PING, 0);
    assert_eq!(notes.replies, [replied(OpCode::Ping, 1_100)]);
    assert_eq!((notes.leads.len(), notes.events.len()), (0, 0));
}

#[test]
fn what_goes_straight_is_reported_in_runs_of_one_operation() {
    let ask = |xid, op, path: &[u8]| request::of_path(Xid(xid), op, path, &[0]);
    let get = |xid, path| ask(xid, OpCode::GetData, path);
    let mut bed = Bed::new();
    let mut notes = Notes::default();
    let (long, short) = (get(1, b"/long"), get(2, b"/x"));
    let frames = [
        &long[..],
        &short,
        &ask(3, OpCode::Exists, b"/x"),
        &get(4, b"/x"),
    ];
    let stretch = bed
        .session
        .straight_requests(&frames.concat(), Tick(100), &mut notes);
    assert_eq!(stretch.frames, 4);
    assert_eq!(notes.requests, [(4, 2, 18 + 15), (3, 1, 15), (4, 1, 15)]);
    let stretch = bed
        .session
        .straight_requests(&get(5, b"/x"), Tick(150), &mut notes);
    assert_eq!(stretch.frames, 1);

    let mut notes = Notes::default();
    let errors = [0, code::NO_NODE, 0, 0, code::NOT_EMPTY];
    let frame = |(xid, err)| Writer::default().int(xid).long(9).int(err).finish();
    let bytes = (1..).zip(errors).map(frame).collect::<Vec<_>>().concat();
    let stretch = bed
        .session
        .straight_replies(HOME, &bytes, Tick(160), &mut notes);
    assert_eq!(stretch.frames, 5);
    let two = Replied {
        replies: 2,
        bytes: 32,
        ..replied(OpCode::GetData, 60)
    };
    let others = [
        (OpCode::Exists, 60),
        (OpCode::GetData, 60),
        (OpCode::GetData, 10),
    ];
    let others = others.map(|(op, microseconds)| replied(op, microseconds));
    assert_eq!(notes.replies, [&[two][..], &others].concat());
    assert_eq!(notes.errors, [code::NO_NODE, code::NOT_EMPTY]);
}

#[test]
fn events_are_reported_and_unasked_replies_are_not() {
    let mut bed = Bed::with_leg();
    let event = crate::wire::reply::WatchEvent {
        kind: 3,
        state: 3,
        path: b"/eu/x",
    };
    let frame = event.frame(Zxid(-1));
    let bytes = frame.len() - 4;
    let notes = metered_frame(&mut bed, EU, frame);
    assert_eq!(notes.events, [bytes]);
    assert_eq!(metered(&mut bed, EU, Xid(4_711), 0), Notes::default());
}

#[test]
fn answers_to_our_own_requests_are_reported_under_what_was_sent() {
    for (role, op) in [
        (Role::Observer, OpCode::Sync),
        (Role::Leader, OpCode::Multi),
    ] {
        let mut bed = Bed::with_leg();
        bed.roles(role);
        bed.set(1, "/x");
        bed.answer(HOME, Xid(1), 5, 0);
        let out = bed.get(2, "/eu/x");
        bed.now = Tick(300);
        let notes = metered(&mut bed, EU, own(&out, 0), 0);
        assert_eq!(notes.replies, [replied(op, 300)]);
        assert_eq!(notes.leads, [300]);
    }
    let mut bed = Bed::with_leg();
    bed.op(-4, OpCode::Auth, "", &[]);
    let notes = metered(&mut bed, EU, Xid::AUTH, 0);
    assert_eq!(notes.replies, [replied(OpCode::Auth, 0)]);
    bed.pass_to(3_000);
    let notes = metered(&mut bed, EU, Xid::PING, 0);
    assert_eq!(notes.replies, [replied(OpCode::Ping, 0)]);
}

#[test]
fn watches_armed_again_are_reported_as_what_arms_them() {
    let recursive: &[u8] = &[0, 0, 0, 1];
    for (armed_by, rest, op) in [
        (OpCode::GetData, &[1][..], OpCode::SetWatches),
        (OpCode::AddWatch, recursive, OpCode::SetWatches2),
    ] {
        let mut bed = Bed::with_leg();
        bed.op(1, armed_by, "/eu/x", rest);
        bed.answer(EU, Xid(1), 5, 0);
        bed.lost(EU);
        bed.pass_to(200);
        let out = bed.up();
        let asked = out
            .iter()
            .position(|out| matches!(out, Out::Leg(EU, _, sent) if *sent == op));
        let xid = own(&out, asked.unwrap_or_else(|| panic!("{op:?}: {out:?}")));
        let notes = metered(&mut bed, EU, xid, 0);
        assert_eq!(notes.replies, [replied(op, 0)]);
    }
}

/// The drain of the last switch, if there was one.
fn drained(bed: &Bed) -> Option<u64> {
    bed.events.iter().rev().find_map(|event| {
        let Event::Switched { drain, .. } = event else {
            return None;
        };
        Some(*drain)
    })
}

#[test]
fn a_switch_tells_how_long_it_waited_for_what_was_outstanding() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/x");
    bed.now = Tick(200);
    bed.get(2, "/eu/x");
    bed.now = Tick(750);
    bed.answer(HOME, Xid(1), 5, 0);
    assert_eq!(drained(&bed), Some(550));
}

#[test]
fn a_switch_that_finds_nothing_outstanding_has_not_waited() {
    let mut bed = Bed::with_leg();
    bed.events.clear();
    bed.now = Tick(200);
    bed.set(1, "/x");
    assert_eq!(drained(&bed), Some(0));
}

#[test]
fn the_dial_behind_a_drain_does_not_count() {
    let mut bed = Bed::new();
    bed.set(1, "/x");
    bed.get(2, "/eu/x");
    bed.now = Tick(100);
    bed.answer(HOME, Xid(1), 5, 0);
    bed.now = Tick(9_000);
    bed.up();
    assert_eq!(drained(&bed), Some(100));
}

#[test]
fn what_a_request_that_failed_had_waited_is_not_the_next_ones() {
    let mut bed = Bed::new();
    bed.set(1, "/x");
    bed.get(2, "/eu/x");
    bed.session.leg_unreachable(EU, bed.now);
    bed.drain();
    bed.now = Tick(5_000);
    bed.answer(HOME, Xid(1), 5, 0);
    bed.pass_to(200);
    bed.up();
    bed.set(3, "/eu/x");
    assert_eq!(drained(&bed), Some(0));
}

#[test]
fn a_leg_tells_whether_its_session_was_there_before() {
    let origins = |bed: &Bed| -> Vec<Origin> {
        let origin = |event: &Event| {
            let Event::LegUp { origin, .. } = event else {
                return None;
            };
            Some(*origin)
        };
        bed.events.iter().filter_map(origin).collect()
    };
    let mut bed = Bed::with_leg();
    assert_eq!(origins(&bed), [Origin::New]);
    bed.lost(EU);
    bed.pass_to(200);
    bed.up();
    assert_eq!(origins(&bed), [Origin::New, Origin::Attached]);
}

#[test]
fn what_a_session_holds_can_be_asked_for() {
    let mut bed = Bed::with_leg();
    assert_eq!(bed.session.ledgers().collect::<Vec<_>>(), [(EU, 0)]);
    bed.op(1, OpCode::GetData, "/eu/x", &[1]);
    bed.answer(EU, Xid(1), 5, 0);
    let held: usize = bed.session.ledgers().map(|(_, bytes)| bytes).sum();
    assert!(held > "/eu/x".len(), "{held}");
    assert_eq!(bed.session.waiting(), 0);
    bed.set(2, "/eu/x");
    bed.set(3, "/x");
    assert!(bed.session.waiting() > 0, "the one for home waits");
}
