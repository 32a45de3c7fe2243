use super::super::gather::Merge;
use super::*;
use crate::wire::{Zxid, reply};

const HOME: EnsembleId = EnsembleId::new(0);
const EU: EnsembleId = EnsembleId::new(1);

fn owe(pipeline: &mut Pipeline, xid: i32) -> u32 {
    pipeline.owe(Owed::plain(Xid(xid), OpCode::GetData, 0))
}

#[test]
fn the_first_reply_passes_and_a_later_one_waits() {
    let mut pipeline = Pipeline::default();
    let (first, second) = (owe(&mut pipeline, 1), owe(&mut pipeline, 2));
    assert!(!pipeline.passes(second));
    assert!(pipeline.passes(first));
    assert!(pipeline.passes(second));
    assert_eq!(pipeline.owed(), 0);
}

#[test]
fn a_reply_that_overtook_is_released_behind_those_before_it() {
    let mut pipeline = Pipeline::default();
    let (first, second) = (owe(&mut pipeline, 1), owe(&mut pipeline, 2));
    pipeline.ready(second, vec![2], Stamp::Own, Source::Leg(HOME));
    assert!(pipeline.release().is_none());
    assert!(
        !pipeline.passes(first),
        "the second would have to follow it out"
    );
    pipeline.ready(first, vec![1], Stamp::Own, Source::Leg(HOME));
    assert_eq!(pipeline.release().unwrap().0.frame, [1]);
    assert_eq!(pipeline.release().unwrap().0.frame, [2]);
    assert!(pipeline.release().is_none());
}

#[test]
fn sequence_numbers_wrap() {
    let mut pipeline = Pipeline {
        first: u32::MAX,
        ..Pipeline::default()
    };
    let (first, second) = (owe(&mut pipeline, 1), owe(&mut pipeline, 2));
    assert_eq!((first, second), (u32::MAX, 0));
    assert!(pipeline.passes(first));
    assert!(pipeline.passes(second));
}

#[test]
fn what_is_kept_for_a_reply_is_counted_until_it_goes_out() {
    let mut pipeline = Pipeline::default();
    let merge = Merge::Ephemerals {
        prefix: vec![0; 30],
        from: Vec::new(),
    };
    let (op, gather) = (OpCode::GetEphemerals, Gather::new(merge, 1));
    let seq = pipeline.owe(Owed::gathered(Xid(1), op, 0, gather));
    assert!(pipeline.waiting() > 30, "a part takes some bytes too");
    pipeline.ready(seq, vec![1], Stamp::Own, Source::Leg(HOME));
    assert_eq!(pipeline.waiting(), 1);
    assert!(pipeline.release().is_some());
    assert_eq!(pipeline.waiting(), 0);
}

#[test]
fn an_event_follows_the_last_reply_of_its_ensemble_that_waits() {
    let reply = |zxid| reply::header_only(Xid(1), Zxid(zxid), 0);
    let mut pipeline = Pipeline::default();
    let [first, second, third, fourth] = [1, 2, 3, 4].map(|xid| owe(&mut pipeline, xid));
    assert_eq!(pipeline.follow(EU, vec![9; 5]), Some(vec![9; 5]));
    pipeline.ready(second, reply(7), Stamp::Own, Source::Leg(EU));
    pipeline.ready(third, reply(8), Stamp::Own, Source::Leg(HOME));
    // Answered at the door: it has overtaken what is yet to come.
    pipeline.ready(fourth, reply(0), Stamp::Own, Source::Leg(EU));
    assert_eq!(pipeline.follow(EU, vec![9; 5]), None);
    assert_eq!((pipeline.waiting(), pipeline.replies()), (65, 65));
    pipeline.ready(first, vec![1], Stamp::Own, Source::Here);
    let mut released = Vec::new();
    while let Some((_, events)) = pipeline.release() {
        released.push(events);
    }
    assert_eq!(released, [vec![], vec![vec![9; 5]], vec![], vec![]]);
    assert_eq!((pipeline.waiting(), pipeline.replies()), (0, 0));
}

#[test]
fn held_bytes_are_counted_in_and_out() {
    let mut pipeline = Pipeline::default();
    let step = Step {
        seq: 0,
        part: 0,
        to: EnsembleId::new(0),
        xid: Xid(1),
        op: OpCode::GetData,
        frame: vec![0; 30],
        admitted: Tick(0),
    };
    pipeline.hold(step.clone());
    pipeline.hold(step);
    assert_eq!(pipeline.waiting(), 60);
    pipeline.take_held();
    assert_eq!(pipeline.waiting(), 30);
    assert!(!pipeline.flows());
}

#[test]
fn an_event_follows_what_is_put_together_once_its_ensemble_has_given_its_part() {
    let reply = |zxid| reply::header_only(Xid(1), Zxid(zxid), 0);
    let mut pipeline = Pipeline::default();
    let gather = Gather::new(Merge::HideData, 2);
    let (op, take) = (OpCode::AddWatch, |ensemble| {
        (Stamp::Home, Source::Leg(ensemble))
    });
    let seq = pipeline.owe(Owed::gathered(Xid(1), op, 0, gather));
    assert!(pipeline.part(seq, 0, &reply(7)[4..], take(EU)).is_none());
    assert_eq!(pipeline.follow(HOME, vec![9; 5]), Some(vec![9; 5]));
    assert_eq!(pipeline.follow(EU, vec![9; 5]), None);
    assert!(pipeline.part(seq, 1, &reply(8)[4..], take(HOME)).is_some());
    pipeline.ready(seq, reply(0), Stamp::Home, Source::Leg(HOME));
    assert_eq!(pipeline.follow(HOME, vec![8; 3]), None);
    let (_, events) = pipeline.release().unwrap();
    assert_eq!(events, [vec![9; 5], vec![8; 3]]);
    assert_eq!((pipeline.waiting(), pipeline.replies()), (0, 0));
}
