//! Contract 3.8: who is kept alive, by whom, and for how long.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::{code, request};

#[test]
fn a_leg_is_pinged_while_the_client_lives_and_no_longer() {
    let mut bed = Bed::with_leg();
    let mut pings = Vec::new();
    for second in 1..30 {
        for out in bed.pass_to(second * 1_000) {
            if out == sent(EU, -2, OpCode::Ping) {
                pings.push(bed.now.0);
                bed.answer(EU, Xid::PING, 5, 0);
            }
        }
    }
    assert_eq!(
        pings,
        [3_000, 6_000],
        "the client was heard last at 0 and its timeout is 9 s"
    );
}

#[test]
fn a_client_that_goes_leaves_its_legs_a_whole_timeout() {
    let mut bed = Bed::with_leg();
    bed.session.part(Tick(2_900));
    assert_eq!(bed.drain(), [sent(EU, -2, OpCode::Ping)]);
    let mut bed = Bed::with_leg();
    bed.session.part(Tick(9_000));
    assert_eq!(bed.drain(), [], "home has expired it by now");
}

#[test]
fn home_is_touched_for_a_client_that_is_busy_elsewhere() {
    let mut bed = Bed::with_leg();
    for xid in 1..=5 {
        bed.now = Tick(u64::try_from(xid).unwrap() * 1_000);
        bed.set(xid, "/eu/x");
        bed.answer(EU, Xid(xid), 5, 0);
        let out = bed.pass_to(bed.now.0);
        assert_eq!(
            out.contains(&sent(HOME, -2, OpCode::Ping)),
            xid == 3,
            "{xid}: {out:?}"
        );
    }
    assert_eq!(bed.answer(HOME, Xid::PING, 5, 0), [], "its answer is ours");
}

#[test]
fn a_client_that_waits_without_pinging_is_fed_before_it_hangs_up() {
    let fed = Out::Reply(-2, 7, 0);
    let mut bed = Bed::with_leg();
    bed.set(1, "/x");
    bed.answer(HOME, Xid(1), 7, 0);
    bed.now = Tick(2_900);
    bed.set(2, "/eu/x");
    assert!(!bed.pass_to(4_499).contains(&fed));
    assert!(
        bed.pass_to(4_500).contains(&fed),
        "the C client hangs up after 6 s of silence (T22)"
    );
}

#[test]
fn a_client_whose_ping_is_on_its_way_is_not_fed() {
    let mut bed = Bed::with_leg();
    bed.now = Tick(2_900);
    bed.set(2, "/eu/x");
    bed.ping();
    let out = bed.pass_to(8_000);
    assert!(
        !out.iter().any(|out| matches!(out, Out::Reply(-2, ..))),
        "one more than asked for: {out:?}"
    );
}

#[test]
fn a_request_that_takes_too_long_is_connectionloss_and_its_connection_goes() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    let out = bed.pass_to(2_250);
    assert_eq!(
        out[..2],
        [Out::HangUp(EU), Out::Reply(1, 0, code::CONNECTION_LOSS)],
        "{out:?}"
    );
    assert!(out.contains(&Out::Dial(EU)), "its session is resumed");
}

#[test]
fn a_client_whose_connection_a_late_request_has_ended_is_not_fed_as_well() {
    let mut bed = Bed::with_leg();
    let lists = [vec![b"/eu/x".to_vec()], vec![], vec![]];
    bed.client(&request::set_watches(Xid(1), OpCode::SetWatches, 0, &lists));
    // The timer comes so late that everything is due at once.
    bed.now = Tick(4_500);
    bed.session.tick(bed.now);
    assert_eq!(bed.drain(), [Out::HangUp(EU), Out::CloseClient]);
}

#[test]
fn a_client_that_does_not_read_costs_no_leg() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/eu/x");
    bed.session.legs_unread(Tick(2_249));
    bed.now = Tick(2_250);
    bed.session.tick(bed.now);
    assert_eq!(bed.drain(), []);
}

#[test]
fn a_ping_that_is_not_answered_ends_the_connection() {
    let mut bed = Bed::with_leg();
    assert_eq!(bed.pass_to(3_000), [sent(EU, -2, OpCode::Ping)]);
    let out = bed.pass_to(6_000);
    assert_eq!(out[..2], [Out::HangUp(EU), Out::Dial(EU)], "{out:?}");
}

#[test]
fn a_request_waits_for_a_dial_no_longer_than_for_an_answer() {
    let mut bed = Bed::new();
    bed.get(1, "/eu/x");
    assert_eq!(bed.pass_to(2_249), []);
    assert_eq!(
        bed.pass_to(2_250),
        [Out::Reply(1, 0, code::CONNECTION_LOSS)]
    );
}

#[test]
fn a_request_may_wait_for_its_turn_longer_than_for_an_answer() {
    let mut bed = Bed::with_leg();
    for xid in (1..20).step_by(2) {
        bed.set(xid, "/eu/x");
        bed.set(xid + 1, "/x");
    }
    for xid in (1..20).step_by(2) {
        let out = bed.pass_to(bed.now.0 + 1_000);
        assert!(!out.iter().any(|out| matches!(out, Out::Reply(1.., ..))));
        bed.ping();
        let out = bed.answer(EU, Xid(xid), 5, 0);
        let shown = |out: &Out| matches!(out, Out::Reply(replied, _, 0) if *replied == xid);
        assert!(out.iter().any(shown), "{out:?}");
        let out = bed.pass_to(bed.now.0 + 100);
        assert!(!out.iter().any(|out| matches!(out, Out::Reply(1.., ..))));
        let out = bed.answer(HOME, Xid(xid + 1), 5, 0);
        assert!(out.contains(&Out::Reply(xid + 1, 5, 0)), "{out:?}");
        bed.answer(HOME, Xid::PING, 5, 0);
    }
}

#[test]
fn behind_one_that_waited_for_a_dead_ensemble_none_waits_again() {
    let mut bed = Bed::new();
    for xid in (1..10).step_by(2) {
        bed.get(xid, "/eu/x");
        bed.set(xid + 1, "/x");
    }
    let mut failed = bed.pass_to(2_250);
    for xid in (2..=10).step_by(2) {
        failed.extend(bed.answer(HOME, Xid(xid), 5, 0));
    }
    let lost = |out: &&Out| matches!(out, Out::Reply(_, _, code::CONNECTION_LOSS));
    assert_eq!(failed.iter().filter(lost).count(), 5, "{failed:?}");
}

#[test]
fn a_timer_that_comes_late_neither_spins_nor_pings_for_a_dead_client() {
    let mut bed = Bed::with_leg();
    bed.now = Tick(9_500);
    bed.session.tick(bed.now);
    assert_eq!(bed.drain(), [], "the client's timeout is over");
    let next = bed.session.deadline();
    assert!(next.is_none_or(|next| next > bed.now), "{next:?}");
    bed.ping();
    bed.session.tick(bed.now);
    assert!(bed.drain().contains(&sent(EU, -2, OpCode::Ping)));

    let mut bed = Bed::with_leg();
    bed.lost(EU);
    bed.session.leg_unreachable(EU, bed.now);
    bed.drain();
    bed.now = Tick(9_500);
    bed.session.tick(bed.now);
    assert_eq!(bed.drain(), []);
    let next = bed.session.deadline();
    assert!(next.is_none_or(|next| next > bed.now), "{next:?}");
}

#[test]
fn a_leg_that_retires_is_not_waited_for_in_a_loop() {
    let mut settings = settings();
    settings.idle_leg_timeout = 500;
    let mut bed = Bed::with(settings, Origin::New);
    bed.get(1, "/eu/x");
    let short = Credentials {
        timeout: 3_000,
        ..credentials(LEG)
    };
    bed.session.leg_up(EU, short, bed.now);
    let out = bed.drain();
    bed.answer(EU, own(&out, 0), 7, 0);
    bed.answer(EU, Xid(1), 7, 0);
    assert_eq!(bed.pass_to(2_000), [Out::Forget(EU)]);
    bed.session.forgotten(EU, bed.now);
    let out = bed.drain();
    assert!(
        matches!(out[..], [Out::Leg(EU, _, OpCode::CloseSession)]),
        "{out:?}"
    );
}

#[test]
fn two_legs_that_are_late_at_once_are_each_lost_once() {
    const AP: EnsembleId = EnsembleId::new(2);
    let rule = |prefix: &[u8], to| (prefix.to_vec(), to, None);
    let routes = RouteMap::new(
        HOME,
        vec![rule(b"/", HOME), rule(b"/eu", EU), rule(b"/ap", AP)],
    )
    .unwrap();
    let settings = Settings::new(routes, vec![Policy::from(BarrierKind::None); 3]);
    let mut bed = Bed::with(settings, Origin::New);
    for (xid, to, path) in [(1, EU, "/eu/x"), (2, AP, "/ap/x")] {
        bed.get(xid, path);
        bed.session.leg_up(to, credentials(LEG), bed.now);
        bed.answer(to, Xid(xid), 7, 0);
    }
    bed.pass_to(3_000);
    bed.drain();
    let out = bed.pass_to(5_300);
    for leg in [EU, AP] {
        let count = |wanted: &Out| out.iter().filter(|out| *out == wanted).count();
        assert_eq!(
            (count(&Out::HangUp(leg)), count(&Out::Dial(leg))),
            (1, 1),
            "{out:?}"
        );
    }
}

#[test]
fn a_long_pipeline_that_is_being_answered_does_not_cost_its_leg() {
    let mut bed = Bed::with_leg();
    for xid in 1..=10 {
        bed.set(xid, "/eu/x");
    }
    for xid in 1..=10 {
        let out = bed.pass_to(u64::try_from(xid).unwrap() * 1_000);
        assert!(!out.contains(&Out::HangUp(EU)), "{xid}: {out:?}");
        bed.ping();
        let out = bed.answer(EU, Xid(xid), 5, 0);
        assert_eq!(out, [Out::Reply(xid, 0, 0)]);
    }
}
