//! What a reply made of several may show (contract 3.7), and what it must not hide.

use super::super::*;
use super::bed::*;
use crate::wire::Xid;
use crate::wire::request;

const AP: EnsembleId = EnsembleId::new(2);

/// A session whose remote paths hold a path of home's and one of a third ensemble.
fn nested(inner: EnsembleId) -> Bed {
    let rule = |prefix: &[u8], to| (prefix.to_vec(), to, None);
    let rules = vec![rule(b"/", HOME), rule(b"/eu", EU), rule(b"/eu/in", inner)];
    let routes = RouteMap::new(HOME, rules).unwrap();
    let policies = vec![Policy::from(BarrierKind::None); 3];
    let mut bed = Bed::with(Settings::new(routes, policies), Origin::New);
    bed.set(1, "/x");
    bed.answer(HOME, Xid(1), 44, 0);
    bed.op(2, OpCode::AddWatch, "/eu", &1i32.to_be_bytes());
    bed.up();
    bed
}

#[test]
fn a_reply_of_which_home_has_a_part_carries_homes_zxid() {
    let mut bed = nested(HOME);
    bed.answer_body(EU, 2, 999_999, &[0; 4]);
    assert_eq!(
        bed.answer_body(HOME, 2, 45, &[0; 4]),
        [Out::Reply(2, 45, 0)],
        "home would refuse a client that has seen more (T10)"
    );
    bed.set(3, "/eu/x");
    assert_eq!(bed.answer(EU, Xid(3), 999_999, 0), [Out::Reply(3, 45, 0)]);
}

#[test]
fn a_reply_of_which_home_has_no_part_carries_the_largest_of_homes() {
    let mut bed = nested(AP);
    bed.answer_body(EU, 2, 999_999, &[0; 4]);
    bed.session.leg_up(AP, credentials(0x300), bed.now);
    bed.drain();
    assert_eq!(
        bed.answer_body(AP, 2, 888_888, &[0; 4]),
        [Out::Reply(2, 44, 0)]
    );
}

#[test]
fn watches_whose_arming_is_lost_end_the_clients_connection() {
    let mut bed = Bed::with_leg();
    let lists = [vec![b"/eu/x".to_vec()], vec![], vec![]];
    bed.client(&request::set_watches(Xid(1), OpCode::SetWatches, 5, &lists));
    assert!(
        bed.lost(EU).contains(&Out::CloseClient),
        "it would believe in watches that are not there"
    );
}

#[test]
fn watches_beyond_what_can_be_kept_for_an_ensemble_out_of_reach_are_not_confirmed() {
    let mut settings = settings();
    settings.ledger_limit = 10;
    let mut bed = Bed::with(settings, Origin::New);
    let lists = [vec![b"/eu/x".to_vec()], vec![], vec![]];
    bed.client(&request::set_watches(Xid(1), OpCode::SetWatches, 5, &lists));
    bed.session.leg_unreachable(EU, bed.now);
    assert_eq!(bed.drain(), [Out::CloseClient]);
}
