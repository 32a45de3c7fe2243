//! Frames that go straight: which do, and what others find of them.

use super::super::*;
use super::bed::*;
use crate::wire::frames::PREFIX;
use crate::wire::jute::Writer;
use crate::wire::request;
use crate::wire::{Xid, code};

fn get(xid: i32, path: &str) -> Vec<u8> {
    request::of_path(Xid(xid), OpCode::GetData, path.as_bytes(), &[0])
}

pub(super) fn reply(xid: i32, zxid: i64, err: i32) -> Vec<u8> {
    Writer::default().int(xid).long(zxid).int(err).finish()
}

pub(super) fn event(path: &str) -> Vec<u8> {
    let header = Writer::default().int(-1).long(-1).int(0);
    header.int(3).int(3).buffer(Some(path.as_bytes())).finish()
}

/// How many frames at the start of these go straight.
fn asked(bed: &mut Bed, frames: &[Vec<u8>]) -> u32 {
    let bytes = frames.concat();
    let stretch = bed.session.straight_requests(&bytes, bed.now, &mut ());
    let taken = usize::try_from(stretch.frames).unwrap();
    assert_eq!(stretch.bytes, frames[..taken].concat().len());
    assert_eq!(bed.session.poll(), None);
    stretch.frames
}

fn answered(bed: &mut Bed, from: EnsembleId, frames: &[Vec<u8>]) -> u32 {
    let bytes = frames.concat();
    let stretch = bed.session.straight_replies(from, &bytes, bed.now, &mut ());
    let taken = usize::try_from(stretch.frames).unwrap();
    assert_eq!(stretch.bytes, frames[..taken].concat().len());
    assert_eq!(bed.session.poll(), None);
    stretch.frames
}

#[test]
fn whole_frames_go_and_half_a_one_waits() {
    let mut bed = Bed::new();
    let bytes = [get(1, "/a"), get(2, "/b"), get(3, "/c")].concat();
    let (first, behind) = (get(1, "/a").len(), bytes.len() - 1);
    for (end, frames, taken) in [(3, 0, 0), (first, 1, first), (behind, 2, 2 * first)] {
        let stretch = Bed::new()
            .session
            .straight_requests(&bytes[..end], Tick(0), &mut ());
        assert_eq!((stretch.frames, stretch.bytes), (frames, taken));
    }
    assert_eq!(asked(&mut bed, &[get(1, "/a"), get(2, "/b")]), 2);
    let bytes = [reply(1, 5, 0), reply(2, 6, 0)].concat();
    let stretch = bed
        .session
        .straight_replies(HOME, &bytes[..bytes.len() - 1], Tick(0), &mut ());
    assert_eq!((stretch.frames, stretch.bytes), (1, 20));
    assert_eq!(bed.session.describe().outstanding, 1);
}

#[test]
fn what_needs_a_closer_look_ends_a_stretch() {
    let of = |op, path: &str| request::of_path(Xid(3), op, path.as_bytes(), &[0; 8]);
    let mut long = get(3, "/a");
    long[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    let mut null = get(3, "/a");
    null[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
    for (what, frame) in [
        ("on another ensemble", get(3, "/eu/a")),
        ("under another name", get(3, "/old/a")),
        ("the list of servers", get(3, "/zookeeper/config")),
        ("a ping", request::ping()),
        ("an end", close_session(Xid(3))),
        ("a deletion", of(OpCode::Delete, "/a")),
        ("a watch on a subtree", of(OpCode::AddWatch, "/a")),
        ("a transaction", request::quorum_check(Xid(3))),
        ("at the edge of a route", of(OpCode::Create, "/eu")),
        ("a number for events", get(-1, "/a")),
        ("a number of zoonet's own", get(i32::MIN, "/a")),
        ("unknown", of(OpCode::Unknown(4_711), "/a")),
        ("no path", null),
        ("too long", long),
        ("no header", Writer::default().int(3).finish()),
    ] {
        let mut bed = Bed::with_leg();
        bed.get(10, "/lead");
        let barrier = Xid(i32::MIN);
        bed.answer(HOME, barrier, 9, 0);
        bed.answer(HOME, Xid(10), 9, 0);
        let frames = [get(1, "/a"), of(OpCode::SetData, "/b"), frame, get(4, "/a")];
        assert_eq!(asked(&mut bed, &frames), 2, "{what}");
    }
}

/// A session that reads at home but for what is below this.
fn all_but(prefix: &[u8]) -> Bed {
    let rules = vec![(b"/".to_vec(), HOME, None), (prefix.to_vec(), EU, None)];
    let routes = RouteMap::new(HOME, rules).unwrap();
    Bed::with(
        Settings::new(routes, vec![Policy::default(); 2]),
        Origin::New,
    )
}

#[test]
fn a_path_that_goes_elsewhere_is_found_among_many_that_begin_alike() {
    for length in 4..80 {
        // Where they begin alike, and where they do not, at each byte.
        let home = format!(
            "/{}/{}",
            "a".repeat(length / 2 - 1),
            "b".repeat(length.div_ceil(2) - 1)
        );
        let another = (1..home.len())
            .filter(|at| home.as_bytes()[*at] != b'/')
            .map(|at| {
                let mut another = home.clone();
                another.replace_range(at..=at, "x");
                another
            });
        for other in another.chain([format!("{home}/x")]) {
            let at_home = [
                get(1, &format!("{home}/1")),
                get(2, &format!("{home}/22")),
                get(3, &format!("{home}/3")),
            ];
            for below in ["", "/1"] {
                let elsewhere = [
                    get(4, &format!("{other}{below}")),
                    get(5, &format!("{home}/5")),
                ];
                let frames = [&at_home[..], &elsewhere].concat();
                assert_eq!(
                    asked(&mut all_but(other.as_bytes()), &frames),
                    3,
                    "{home} {other}"
                );
            }
        }
    }
}

#[test]
fn a_path_of_its_own_stands_for_no_other() {
    for length in 1..40 {
        let home = format!("/{}", "a".repeat(length));
        for other in [
            format!("{home}a"),
            format!("{home}/a"),
            format!("/b{}", &home[2..]),
        ] {
            let frames = [
                get(1, &home),
                get(2, &home),
                get(3, &home),
                get(4, &other),
                get(5, &home),
            ];
            assert_eq!(
                asked(&mut all_but(other.as_bytes()), &frames),
                3,
                "{home} {other}"
            );
        }
    }
}

#[test]
fn numbers_go_up_to_the_largest() {
    let last = i32::MAX;
    let frames = [last - 2, last - 1, last, i32::MIN, i32::MIN + 1].map(|xid| get(xid, "/a/b/c"));
    assert_eq!(asked(&mut Bed::new(), &frames), 3);
    let frames = [5, 6, 7, 9, 10, 8].map(|xid| get(xid, "/a/b/c"));
    assert_eq!(asked(&mut Bed::new(), &frames), 6, "in runs");
}

#[test]
fn a_frame_above_its_limit_does_not_go_though_it_is_whole() {
    let mut settings = settings();
    (settings.frame_limit, settings.reply_limit) = (64, 64);
    let sized = |xid, size| {
        let record = vec![0; size - get(xid, "/a/b/c").len() + 1];
        request::of_path(Xid(xid), OpCode::GetData, b"/a/b/c", &record)
    };
    for above in [false, true] {
        let mut bed = Bed::with(settings.clone(), Origin::New);
        let third = sized(3, PREFIX + 64 + usize::from(above));
        let frames = [
            sized(1, PREFIX + 64),
            get(2, "/a/b/c"),
            third,
            get(4, "/a/b/c"),
        ];
        assert_eq!(asked(&mut bed, &frames), if above { 2 } else { 4 });
        let body = |xid, size| {
            let header = Writer::default().int(xid).long(1).int(0);
            header.raw(&vec![0; size - 16]).finish()
        };
        let replies = [body(1, 64), body(2, 64 + usize::from(above))];
        assert_eq!(
            answered(&mut bed, HOME, &replies),
            if above { 1 } else { 2 }
        );
    }
}

#[test]
fn many_that_begin_alike_are_no_reason_to_read_on() {
    let mut bed = Bed::new();
    let mut long = get(4, "/a/b/c");
    long[..4].copy_from_slice(&i32::MAX.to_be_bytes());
    let mut behind_its_end = get(4, "/a/b/c");
    behind_its_end[12..16].copy_from_slice(&1_000_i32.to_be_bytes());
    let other = request::of_path(Xid(4), OpCode::Delete, b"/a/b/c", &[0; 4]);
    let begun = get(4, "/a/b/c")[..20].to_vec();
    let mut short = Writer::default().int(4).finish();
    short.extend(get(5, "/a/b/c"));
    for frame in [long, behind_its_end, other, short] {
        let frames = [get(1, "/a/b/c"), get(2, "/a/b/d"), get(3, "/a/b/e"), frame];
        assert_eq!(asked(&mut Bed::new(), &frames), 3);
    }
    let bytes = [get(1, "/a/b/c"), get(2, "/a/b/d"), begun].concat();
    let stretch = bed.session.straight_requests(&bytes, bed.now, &mut ());
    assert_eq!(stretch.frames, 2);
}

#[test]
fn nothing_goes_straight_where_the_rule_has_a_say() {
    let mut bed = Bed::with_leg();
    assert_eq!(
        asked(&mut bed, &[get(1, "/a")]),
        0,
        "the other one was touched last"
    );
    let out = bed.get(1, "/a");
    assert_eq!(out.len(), 2, "{out:?}");
    assert_eq!(
        asked(&mut bed, &[get(2, "/a")]),
        0,
        "the barrier is not answered"
    );
    bed.answer(HOME, own(&out, 0), 9, 0);
    assert_eq!(asked(&mut bed, &[get(2, "/a")]), 1);
    assert_eq!(bed.get(3, "/eu/a"), []);
    assert_eq!(
        asked(&mut bed, &[get(4, "/a")]),
        0,
        "one is held back in front"
    );

    let mut bed = Bed::new();
    assert_eq!(asked(&mut bed, &[get(1, "/a")]), 1);
    bed.lost(HOME);
    assert_eq!(bed.session.describe().legs[0].in_flight, 0);
    assert_eq!(answered(&mut bed, HOME, &[reply(1, 5, 0)]), 0, "it is gone");
    assert_eq!(asked(&mut bed, &[get(2, "/a")]), 0, "likewise");

    let mut bed = Bed::with(settings(), Origin::Attached);
    assert_eq!(asked(&mut bed, &[get(1, "/a")]), 0, "nothing leads");
    let mut bed = Bed::new();
    bed.session.stop();
    bed.drain();
    assert_eq!(asked(&mut bed, &[get(1, "/a")]), 0, "it is over");
}

#[test]
fn no_more_go_than_may_be_outstanding() {
    let mut settings = settings();
    settings.outstanding = 5;
    let mut bed = Bed::with(settings, Origin::New);
    bed.client(&request::ping());
    bed.client(&request::ping());
    let frames: Vec<_> = (1..9).map(|xid| get(xid, "/a/b/c")).collect();
    assert_eq!(asked(&mut bed, &frames), 3, "two pings are");
    assert!(!bed.session.wants_client());
    assert_eq!(asked(&mut bed, &frames[3..]), 0);
    bed.answer(HOME, Xid::PING, 1, 0);
    assert_eq!(asked(&mut bed, &frames[3..]), 1);
    bed.answer(HOME, Xid::PING, 1, 0);
    assert_eq!(asked(&mut bed, &frames[4..]), 1);
    assert_eq!(bed.session.describe().outstanding, 5);
    let replies: Vec<_> = (1..=5).map(|xid| reply(xid, 1, 0)).collect();
    assert_eq!(answered(&mut bed, HOME, &replies), 5);
    assert!(bed.session.wants_client());
    assert_eq!(bed.session.describe().outstanding, 0);
}

#[test]
fn replies_go_up_to_what_is_none_of_theirs() {
    let gets: Vec<_> = (1..=4).map(|xid| get(xid, "/a")).collect();
    for (what, frame) in [
        ("an event", event("/a")),
        ("one that overtakes", reply(4, 0, code::THROTTLED_OP)),
        ("a ping's", reply(-2, 7, 0)),
        ("one nobody asked for", reply(77, 7, 0)),
        ("no header", Writer::default().int(3).finish()),
    ] {
        let mut bed = Bed::new();
        assert_eq!(asked(&mut bed, &gets), 4);
        assert_eq!(answered(&mut bed, EU, &[reply(1, 5, 0)]), 0, "another's");
        let frames = [reply(1, 5, 0), reply(2, 6, -101), frame, reply(3, 7, 0)];
        assert_eq!(answered(&mut bed, HOME, &frames), 2, "{what}");
    }
}

#[test]
fn a_reply_that_overtakes_waits_for_its_turn() {
    let mut bed = Bed::new();
    let gets: Vec<_> = (1..=3).map(|xid| get(xid, "/a")).collect();
    assert_eq!(asked(&mut bed, &gets), 3);
    assert_eq!(bed.answer(HOME, Xid(2), 0, code::THROTTLED_OP), []);
    assert_eq!(answered(&mut bed, HOME, &[reply(1, 5, 0)]), 0);
    let throttled = Out::Reply(2, 0, code::THROTTLED_OP);
    assert_eq!(
        bed.answer(HOME, Xid(1), 5, 0),
        [Out::Reply(1, 5, 0), throttled]
    );
    assert_eq!(bed.answer(HOME, Xid(3), 5, 0), [Out::Reply(3, 5, 0)]);
}

#[test]
fn what_is_behind_a_request_that_did_not_goes_straight_again() {
    let mut bed = Bed::new();
    assert_eq!(asked(&mut bed, &[get(1, "/a"), get(2, "/a")]), 2);
    bed.op(3, OpCode::Delete, "/a", &[0; 4]);
    assert_eq!(asked(&mut bed, &[get(4, "/a"), get(5, "/a")]), 2);
    assert_eq!(answered(&mut bed, HOME, &[reply(1, 5, 0)]), 0, "moved");
    for xid in 1..=3 {
        assert_eq!(bed.answer(HOME, Xid(xid), 5, 0), [Out::Reply(xid, 5, 0)]);
    }
    assert_eq!(
        answered(&mut bed, HOME, &[reply(4, 5, 0), reply(5, 5, 0)]),
        2
    );
}

#[test]
fn an_event_goes_between_replies_that_go_straight() {
    let mut bed = Bed::new();
    assert_eq!(asked(&mut bed, &[get(1, "/a"), get(2, "/a")]), 2);
    assert_eq!(answered(&mut bed, HOME, &[reply(1, 5, 0)]), 1);
    assert_eq!(bed.leg(HOME, &event("/a")), [Out::Event("/a".to_owned())]);
    assert_eq!(answered(&mut bed, HOME, &[reply(2, 6, 0)]), 1, "still");
}

#[test]
fn a_switch_waits_for_what_has_gone_straight() {
    let mut bed = Bed::with_leg();
    let out = bed.get(1, "/a");
    bed.answer(HOME, own(&out, 0), 9, 0);
    bed.answer(HOME, Xid(1), 9, 0);
    assert_eq!(asked(&mut bed, &[get(2, "/a"), get(3, "/a")]), 2);
    assert_eq!(bed.get(4, "/eu/a"), []);
    assert_eq!(bed.answer(HOME, Xid(2), 10, 0), [Out::Reply(2, 10, 0)]);
    let out = bed.answer(HOME, Xid(3), 10, 0);
    assert_eq!(out.len(), 3, "{out:?}");
    assert_eq!(out[1], sent(EU, 4, OpCode::GetData));
}

#[test]
fn a_remote_reply_carries_what_was_shown_straight() {
    let mut bed = Bed::with_leg();
    bed.set(1, "/a");
    bed.answer(HOME, Xid(1), 9, 0);
    assert_eq!(asked(&mut bed, &[get(2, "/a"), get(3, "/a")]), 2);
    assert_eq!(
        answered(&mut bed, HOME, &[reply(2, 30, 0), reply(3, 20, 0)]),
        2
    );
    let out = bed.get(4, "/eu/a");
    bed.answer(EU, own(&out, 0), 100, 0);
    assert_eq!(bed.answer(EU, Xid(4), 100, 0), [Out::Reply(4, 30, 0)]);
}

#[test]
fn a_stop_waits_for_what_has_gone_straight() {
    let mut bed = Bed::new();
    assert_eq!(asked(&mut bed, &[get(1, "/a"), get(2, "/a")]), 2);
    bed.session.stop();
    assert_eq!(bed.drain(), []);
    assert_eq!(answered(&mut bed, HOME, &[reply(1, 5, 0)]), 0);
    assert_eq!(bed.answer(HOME, Xid(1), 5, 0), [Out::Reply(1, 5, 0)]);
    let out = bed.answer(HOME, Xid(2), 5, 0);
    assert_eq!(out, [Out::Reply(2, 5, 0), Out::CloseClient]);
}

#[test]
fn a_change_of_the_map_is_noticed_by_those_who_used_it_straight() {
    let moved = || {
        let rules = vec![(b"/".to_vec(), HOME, None), (b"/a".to_vec(), EU, None)];
        let routes = RouteMap::new(HOME, rules).unwrap();
        Arc::new(Settings::new(routes, vec![Policy::default(); 2]))
    };
    let single = || {
        let routes = RouteMap::new(HOME, vec![(b"/".to_vec(), HOME, None)]).unwrap();
        Settings::new(routes, vec![Policy::default(); 2])
    };
    let mut bed = Bed::with(single(), Origin::New);
    assert_eq!(asked(&mut bed, &[get(1, "/b/c"), get(2, "/b/c")]), 2);
    bed.session.reload(moved(), bed.now);
    assert_eq!(bed.drain(), []);
    assert_eq!(
        bed.get(3, "/a/b"),
        [Out::Dial(EU), Out::LearnRole],
        "it is known now"
    );
    bed.answer(HOME, Xid(1), 5, 0);
    bed.answer(HOME, Xid(2), 5, 0);
    assert_eq!(bed.up().len(), 2, "it goes behind its barrier");

    let mut bed = Bed::with(single(), Origin::New);
    assert_eq!(asked(&mut bed, &[get(1, "/a/b"), get(2, "/b/c")]), 2);
    bed.session.reload(moved(), bed.now);
    bed.answer(HOME, Xid(1), 5, 0);
    let out = bed.answer(HOME, Xid(2), 5, 0);
    assert_eq!(out, [Out::Reply(2, 5, 0), Out::CloseClient]);
}
