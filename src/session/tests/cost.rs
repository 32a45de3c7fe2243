//! What a switch costs, counted in messages: one barrier, and no round trip but its own.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;

/// A session that has a leg to eu from the start.
fn warm() -> Bed {
    let mut settings = settings();
    settings.policies[EU.index()].warm = true;
    let mut bed = Bed::with(settings, Origin::New);
    bed.session.resume(Vec::new(), Tick(0));
    bed
}

/// All that a request makes go out on legs until its reply is there, if each request on a leg is
/// answered when nothing else can happen. The round trips are the times that has to be waited for.
struct Cost {
    sent: Vec<Out>,
    round_trips: usize,
}

impl Bed {
    fn cost(&mut self, xid: i32, path: &str) -> Cost {
        let (mut sent, mut round_trips) = (Vec::new(), 0);
        let mut out = self.get(xid, path);
        while !out.iter().any(|out| matches!(out, Out::Reply(..))) {
            round_trips += 1;
            let mut next = Vec::new();
            for out in &out {
                match out {
                    Out::Leg(ensemble, xid, _) => next.extend(self.answer(*ensemble, *xid, 5, 0)),
                    Out::Dial(_) => next.extend(self.up()),
                    Out::Reply(..) | Out::Event(_) | Out::LearnRole => {}
                    Out::HangUp(_) | Out::Forget(_) | Out::CloseClient => panic!("{out:?}"),
                }
            }
            sent.extend(out);
            out = next;
        }
        Cost { sent, round_trips }
    }
}

#[test]
fn a_switch_then_a_read_costs_one_message_more_and_no_round_trip() {
    let mut bed = Bed::with_leg();
    let stays = bed.cost(1, "/eu/x");
    assert_eq!(stays.sent, [sent(EU, 1, OpCode::GetData)]);
    assert_eq!(stays.round_trips, 1);
    for xid in 2..102 {
        let (path, to) = match xid % 2 {
            0 => ("/x", HOME),
            _ => ("/eu/x", EU),
        };
        let switches = bed.cost(xid, path);
        let [Out::Leg(led, _, OpCode::Sync), read] = switches.sent.as_slice() else {
            panic!("{:?}", switches.sent)
        };
        assert_eq!((*led, read), (to, &sent(to, xid, OpCode::GetData)));
        assert_eq!(
            switches.round_trips, 1,
            "the barrier's own, shared with the read"
        );
    }
}

#[test]
fn a_read_that_switches_back_in_a_pipeline_costs_no_more() {
    let mut bed = Bed::with_leg();
    let mut messages = 0;
    for xid in 0..50 {
        let path = ["/x", "/eu/x"][usize::try_from(xid % 2).unwrap()];
        messages += bed.get(xid, path).len();
    }
    assert_eq!(messages, 2, "the others wait for the drain");
    // Barriers are at even places: each goes out in the step that answers the read before it.
    for xid in 0..50 {
        let from = [HOME, EU][usize::try_from(xid % 2).unwrap()];
        let barrier = barrier_in_front(&bed, xid);
        assert_eq!(bed.answer(from, barrier, 5, 0), []);
        let out = bed.answer(from, Xid(xid), 5, 0);
        messages += out.iter().filter(|out| matches!(out, Out::Leg(..))).count();
    }
    assert_eq!(messages, 100, "a barrier and a read, 50 times");
}

/// The barrier that went out right before the client's request `xid`.
fn barrier_in_front(bed: &Bed, xid: i32) -> Xid {
    let asked = |frame: &Vec<u8>| {
        crate::wire::request::Request::parse(&frame[4..])
            .unwrap()
            .xid
    };
    let at = bed
        .frames
        .iter()
        .rposition(|frame| asked(frame) == Xid(xid));
    asked(&bed.frames[at.unwrap() - 1])
}

#[test]
fn a_first_touch_costs_a_connect_and_a_barrier() {
    let mut bed = Bed::new();
    let first = bed.cost(1, "/eu/x");
    // What the server is, it has not said yet: so this barrier is the one that always holds.
    let [
        Out::Dial(EU),
        Out::LearnRole,
        Out::Leg(EU, _, OpCode::Multi),
        read,
    ] = first.sent.as_slice()
    else {
        panic!("{:?}", first.sent)
    };
    assert_eq!(*read, sent(EU, 1, OpCode::GetData));
    assert_eq!(first.round_trips, 2, "the handshake's and the barrier's");
}

#[test]
fn a_dial_is_over_when_the_drain_is() {
    let mut bed = Bed::new();
    bed.get(1, "/x");
    assert_eq!(bed.get(2, "/eu/x"), [Out::Dial(EU), Out::LearnRole]);
    assert_eq!(bed.up(), []);
    let out = bed.answer(HOME, Xid(1), 5, 0);
    assert!(matches!(out[0], Out::Leg(EU, _, OpCode::Sync)), "{out:?}");
    assert_eq!(out[1], sent(EU, 2, OpCode::GetData));
}

#[test]
fn a_warm_leg_is_there_when_it_is_needed() {
    let mut bed = warm();
    assert_eq!(bed.drain(), [Out::Dial(EU), Out::LearnRole]);
    assert_eq!(bed.up(), [], "nothing is asked on it yet");
    let first = bed.cost(1, "/eu/x");
    assert!(matches!(first.sent[0], Out::Leg(EU, _, OpCode::Sync)));
    assert_eq!((first.sent.len(), first.round_trips), (2, 1));
}

#[test]
fn a_request_that_comes_while_a_warm_leg_is_dialled_waits_for_it() {
    let mut bed = warm();
    bed.drain();
    assert_eq!(bed.get(1, "/eu/x"), []);
    assert_eq!(bed.up()[1], sent(EU, 1, OpCode::GetData));
}

#[test]
fn a_warm_leg_is_kept_while_it_is_idle_and_another_is_not() {
    let mut kept = warm();
    kept.drain();
    kept.up();
    for (mut bed, stays) in [(kept, true), (Bed::with_leg(), false)] {
        let mut out = Vec::new();
        while bed.milliseconds() < 700_000 {
            let mut asked = bed.ping();
            let until = bed.milliseconds() + 2_000;
            asked.extend(bed.pass_to(until));
            for each in &asked {
                if let Out::Leg(ensemble, xid, OpCode::Ping) = each {
                    bed.answer(*ensemble, *xid, 5, 0);
                }
            }
            out.extend(asked);
        }
        assert!(out.contains(&Out::Leg(EU, Xid::PING, OpCode::Ping)));
        assert_eq!(!out.contains(&Out::Forget(EU)), stays);
    }
}

#[test]
fn a_warm_leg_is_dialled_until_it_is_there() {
    let mut bed = warm();
    assert_eq!(bed.drain(), [Out::Dial(EU), Out::LearnRole]);
    bed.roles(Role::Observer);
    bed.session.leg_unreachable(EU, bed.now);
    assert_eq!(bed.drain(), []);
    assert_eq!(bed.pass_to(1_000), [Out::Dial(EU)]);
    bed.up();
    // Nor does the end of its session there leave the client without.
    bed.lost(EU);
    bed.pass_to(3_000);
    bed.session.leg_refused(EU, bed.now);
    assert_eq!(bed.drain(), [Out::Forget(EU), Out::Dial(EU)]);
}

#[test]
fn home_is_asked_once_for_its_role_however_many_legs_are_warm() {
    const ASIA: EnsembleId = EnsembleId::new(2);
    let rules = [(&b"/"[..], HOME), (b"/eu", EU), (b"/asia", ASIA)];
    let rules = rules.map(|(prefix, to)| (prefix.to_vec(), to, None));
    let warm = Policy {
        warm: true,
        ..Policy::default()
    };
    let settings = Settings::new(RouteMap::new(HOME, rules.to_vec()).unwrap(), vec![warm; 3]);
    let mut bed = Bed::with(settings, Origin::New);
    bed.session.resume(Vec::new(), Tick(0));
    assert_eq!(
        bed.drain(),
        [Out::Dial(EU), Out::LearnRole, Out::Dial(ASIA)]
    );
}

#[test]
fn no_leg_is_warm_at_home_or_where_no_route_leads() {
    let mut settings = settings();
    settings.policies[HOME.index()].warm = true;
    settings.policies.push(Policy {
        warm: true,
        ..Policy::default()
    });
    let mut bed = Bed::with(settings, Origin::New);
    bed.session.resume(Vec::new(), Tick(0));
    assert_eq!(bed.drain(), []);
}

#[test]
fn a_leg_becomes_warm_with_a_reload() {
    let mut bed = Bed::new();
    let mut settings = settings();
    settings.policies[EU.index()].warm = true;
    bed.session.reload(Arc::new(settings), bed.now);
    assert_eq!(bed.drain(), [Out::Dial(EU), Out::LearnRole]);
}
