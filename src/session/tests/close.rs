//! Contract 3.9: closeSession.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;

fn close(bed: &mut Bed) -> Vec<Out> {
    bed.client(&close_session(Xid(77)))
}

#[test]
fn a_session_at_home_only_closes_as_home_answers() {
    let mut bed = Bed::new();
    assert_eq!(close(&mut bed), [sent(HOME, 77, OpCode::CloseSession)]);
    assert_eq!(
        bed.answer(HOME, Xid(77), 9, 0),
        [Out::Reply(77, 9, 0), Out::CloseClient]
    );
}

#[test]
fn close_drains_then_ends_all_legs_at_once_and_answers_last() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    assert_eq!(close(&mut bed), []);
    let out = bed.answer(EU, Xid(1), 5, 0);
    assert!(
        matches!(out[0], Out::Leg(EU, _, OpCode::CloseSession)),
        "{out:?}"
    );
    assert_eq!(
        out[1..],
        [sent(HOME, 77, OpCode::CloseSession), Out::Reply(1, 0, 0)]
    );
    assert_eq!(bed.answer(HOME, Xid(77), 9, 0), []);
    assert_eq!(bed.lost(HOME), [], "home closes behind its answer");
    assert_eq!(
        bed.answer(EU, own(&out, 0), 6, 0),
        [Out::Reply(77, 9, 0), Out::CloseClient]
    );
}

#[test]
fn what_servers_close_behind_their_answer_is_not_lost() {
    for (last, lost) in [(HOME, EU), (EU, HOME)] {
        let mut bed = Bed::with_leg();
        let out = close(&mut bed);
        let (remote, home) = (own(&out, 0), Xid(77));
        let asked = if lost == EU { remote } else { home };
        assert_eq!(bed.answer(lost, asked, 9, 0), []);
        assert_eq!(bed.lost(lost), []);
        let asked = if last == EU { remote } else { home };
        bed.answer(last, asked, 9, 0);
        let is_loss = |event: &Event| matches!(event, Event::LegLost { .. });
        assert!(!bed.events.iter().any(is_loss), "{:?}", bed.events);
    }
}

#[test]
fn a_server_that_is_gone_before_it_answers_a_close_is_lost() {
    let mut bed = Bed::with_leg();
    close(&mut bed);
    bed.lost(EU);
    let is_loss = |event: &Event| matches!(event, Event::LegLost { ensemble: EU, .. });
    assert!(bed.events.iter().any(is_loss));
}

#[test]
fn an_ensemble_that_does_not_answer_delays_the_close_by_a_second_at_most() {
    let mut bed = Bed::with_leg();
    close(&mut bed);
    bed.answer(HOME, Xid(77), 9, 0);
    assert_eq!(bed.pass_to(999), []);
    assert_eq!(bed.pass_to(1_000), [Out::Reply(77, 9, 0), Out::CloseClient]);
}

#[test]
fn an_ensemble_lost_while_closing_delays_nothing() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::GetData, "/eu/x", &[1]);
    bed.answer(EU, Xid(1), 5, 0);
    close(&mut bed);
    bed.answer(HOME, Xid(77), 9, 0);
    assert_eq!(bed.lost(EU), [Out::Reply(77, 9, 0), Out::CloseClient]);
}

#[test]
fn what_is_pipelined_behind_a_close_is_not_answered() {
    let mut bed = Bed::new();
    close(&mut bed);
    assert_eq!(bed.get(78, "/x"), []);
    assert_eq!(
        bed.answer(HOME, Xid(77), 9, 0),
        [Out::Reply(77, 9, 0), Out::CloseClient]
    );
}

#[test]
fn while_home_is_silent_a_close_waits_for_it_without_spinning_and_not_for_ever() {
    let mut bed = Bed::with_leg();
    let out = close(&mut bed);
    bed.answer(EU, own(&out, 0), 6, 0);
    assert_eq!(bed.pass_to(u64::from(TIMEOUT) - 1), []);
    assert_eq!(
        bed.pass_to(u64::from(TIMEOUT)),
        [Out::CloseClient],
        "the client's connection may be gone without anybody having noticed"
    );
}

#[test]
fn a_leg_that_is_on_its_way_is_closed_when_it_comes() {
    let mut bed = Bed::with_leg();
    bed.lost(EU);
    assert_eq!(close(&mut bed), [sent(HOME, 77, OpCode::CloseSession)]);
    assert_eq!(bed.answer(HOME, Xid(77), 9, 0), []);
    let out = bed.up();
    assert!(
        matches!(out[..], [Out::Leg(EU, _, OpCode::CloseSession)]),
        "{out:?}"
    );
    assert_eq!(
        bed.answer(EU, own(&out, 0), 6, 0),
        [Out::Reply(77, 9, 0), Out::CloseClient]
    );
}

#[test]
fn a_leg_that_does_not_come_delays_nothing() {
    for refused in [false, true] {
        let mut bed = Bed::with_leg();
        bed.lost(EU);
        close(&mut bed);
        assert_eq!(bed.answer(HOME, Xid(77), 9, 0), []);
        if refused {
            bed.session.leg_refused(EU, bed.now);
        } else {
            bed.session.leg_unreachable(EU, bed.now);
        }
        let out = bed.drain();
        assert!(
            !out.contains(&Out::Dial(EU)),
            "no new session in one that ends: {out:?}"
        );
        assert!(
            out.ends_with(&[Out::Reply(77, 9, 0), Out::CloseClient]),
            "{out:?}"
        );
    }
}
