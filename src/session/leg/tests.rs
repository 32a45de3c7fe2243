use super::*;
use crate::session::Barrier;

fn leg() -> Leg {
    Leg::live(
        Credentials {
            session: SessionId(1),
            password: [0; 16],
            timeout: 9000,
        },
        Tick(0),
    )
}

const fn client(seq: u32, op: OpCode) -> Owner {
    Owner::Client { seq, part: 0, op }
}

#[test]
fn replies_are_matched_by_xid_and_the_first_of_equals_goes_first() {
    let mut leg = leg();
    leg.push(Xid(1), client(0, OpCode::SetData), Tick(0));
    leg.push(Xid::AUTH, client(1, OpCode::Auth), Tick(0));
    leg.push(Xid(1), client(2, OpCode::GetData), Tick(0));
    assert_eq!(leg.take(Xid::AUTH).unwrap().owner, client(1, OpCode::Auth));
    assert_eq!(leg.take(Xid(1)).unwrap().owner, client(0, OpCode::SetData));
    assert_eq!(leg.take(Xid(1)).unwrap().owner, client(2, OpCode::GetData));
    assert_eq!(leg.take(Xid(1)), None);
}

#[test]
fn pings_and_auth_do_not_hold_the_drain() {
    let mut leg = leg();
    leg.push(Xid::PING, Owner::ClientPing, Tick(0));
    leg.push(Xid::AUTH, client(0, OpCode::Auth), Tick(0));
    assert!(leg.is_drained());
    leg.push(Xid(5), Owner::Barrier(Barrier::Sync), Tick(0));
    assert!(!leg.is_drained());
    leg.take(Xid(5));
    assert!(leg.is_drained());
}

#[test]
fn our_own_numbers_avoid_what_is_in_flight() {
    let mut leg = leg();
    leg.push(Xid(FIRST_OWN_XID), client(0, OpCode::GetData), Tick(0));
    assert_eq!(leg.own_xid(), Xid(FIRST_OWN_XID + 1));
    leg.next_xid = LAST_OWN_XID;
    assert_eq!(leg.own_xid(), Xid(LAST_OWN_XID));
    assert_eq!(leg.own_xid(), Xid(FIRST_OWN_XID + 1));
}

#[test]
fn a_lost_leg_is_resumed_with_its_own_session_and_zxid() {
    let mut leg = leg();
    leg.zxid = Zxid(77);
    leg.lost(Tick(0));
    let request = ConnectRequest::parse(&leg.dial(4000, Tick(0))[4..]).unwrap();
    assert_eq!(
        (request.session, request.last_zxid_seen),
        (SessionId(1), Zxid(77))
    );
}

#[test]
fn a_session_is_not_waited_with_until_it_is_lost() {
    let mut leg = leg();
    for _ in 0..8 {
        leg.unreachable(Tick(0));
        assert!(leg.not_before <= Tick::at(900), "a tenth of its timeout");
    }
    assert!(leg.not_before > Tick::at(450));
}

#[test]
fn waits_grow_to_a_bound_and_differ() {
    let waits = |chance| {
        let mut leg = Leg::idle(chance);
        let wait = |_| {
            leg.unreachable(Tick(0));
            leg.not_before.since(Tick(0)) / 1_000
        };
        (0..8).map(wait).collect::<Vec<u64>>()
    };
    for (wait, bound) in waits(1)
        .into_iter()
        .zip([200, 400, 800, 1600, 3200, 5000, 5000, 5000])
    {
        assert!(wait > bound / 2 && wait <= bound, "{wait} of {bound}");
    }
    assert_ne!(waits(1), waits(2));
}
