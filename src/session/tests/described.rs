//! What an operator is told of a session.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::jute::Writer;

fn eu(description: &Description) -> &LegDescription {
    description
        .legs
        .iter()
        .find(|leg| leg.ensemble == EU)
        .unwrap()
}

#[test]
fn a_session_at_home_has_one_leg_whose_holdings_are_not_known() {
    let mut bed = Bed::new();
    bed.get(1, "/a");
    let described = bed.session.describe();
    assert_eq!(described.session, SessionId(CLIENT));
    assert_eq!((described.timeout, described.current), (TIMEOUT, HOME));
    assert_eq!(described.outstanding, 1);
    let [home] = &described.legs[..] else {
        panic!("{described:?}")
    };
    assert_eq!((home.ensemble, home.state), (HOME, LegState::Live));
    assert_eq!(
        home.session,
        Some(SessionId(CLIENT)),
        "its session is home's"
    );
    assert_eq!((home.in_flight, home.holds), (1, None));
}

#[test]
fn what_a_remote_leg_holds_is_counted() {
    let mut bed = Bed::with_leg();
    bed.op(1, OpCode::GetData, "/eu/a", &[1]);
    bed.answer(EU, Xid(1), 20, 0);
    let ephemeral = Writer::default().buffer(None).count(0).int(1).finish();
    bed.op(2, OpCode::Create, "/eu/e", &ephemeral[4..]);
    let path = Writer::default().buffer(Some(b"/eu/e")).finish();
    bed.answer_body(EU, 2, 21, &path[4..]);
    let described = bed.session.describe();
    let leg = eu(&described);
    assert_eq!(described.current, EU);
    assert_eq!(
        (leg.state, leg.session),
        (LegState::Live, Some(SessionId(LEG)))
    );
    assert_eq!(leg.zxid, Zxid(21));
    let holds = Holdings {
        watches: 1,
        ephemerals: 1,
        complete: true,
    };
    assert_eq!(leg.holds, Some(holds));

    let parked = bed.session.park().unwrap();
    let kept = parked[0].describe();
    assert_eq!((kept.state, kept.holds), (LegState::Parked, Some(holds)));
}

#[test]
fn a_leg_that_was_lost_is_being_reached_and_keeps_its_session() {
    let mut bed = Bed::with_leg();
    bed.lost(EU);
    let described = bed.session.describe();
    let leg = eu(&described);
    assert_eq!(
        (leg.state, leg.session),
        (LegState::Dialing, Some(SessionId(LEG)))
    );
    assert_eq!(leg.role, None);
}
