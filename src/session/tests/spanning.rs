//! Contract 3.10 and 3.11: requests wider than one ensemble, and mounts.

use super::super::*;
use super::bed::*;
use crate::wire::code;
use crate::wire::jute::{Reader, Writer};
use crate::wire::request::{self, Request};
use crate::wire::{Xid, reply};

fn multi(op: i32, operations: &[(i32, &str)]) -> Vec<u8> {
    let mut writer = Writer::default().int(1).int(op);
    for (kind, path) in operations {
        writer = writer
            .int(*kind)
            .bool(false)
            .int(-1)
            .buffer(Some(path.as_bytes()));
        writer = match kind {
            1 => writer.buffer(None).count(0).int(2),
            4 | 8 => writer.bool(false),
            5 => writer.buffer(Some(b"v")).int(-1),
            _ => writer.int(-1),
        };
    }
    writer.int(-1).bool(true).int(-1).finish()
}

fn codes(frame: &[u8]) -> Vec<i32> {
    reply::multi_results(&frame[4..])
        .unwrap()
        .iter()
        .map(|result| result.err)
        .collect()
}

#[test]
fn a_multi_across_ensembles_is_refused_per_operation_and_nothing_is_sent() {
    let mut bed = Bed::new();
    let out = bed.client(&multi(14, &[(5, "/a"), (5, "/eu/b"), (5, "/c")]));
    assert_eq!(out, [Out::Reply(1, 0, 0)]);
    assert_eq!(
        codes(bed.last_frame()),
        [0, code::BAD_ARGUMENTS, code::RUNTIME_INCONSISTENCY]
    );
}

#[test]
fn a_refusal_waits_for_its_turn_and_carries_homes_zxid() {
    let mut bed = Bed::new();
    bed.set(7, "/x");
    assert_eq!(bed.client(&multi(14, &[(5, "/a"), (5, "/eu/b")])), []);
    assert_eq!(
        bed.answer(HOME, Xid(7), 66, 0),
        [Out::Reply(7, 66, 0), Out::Reply(1, 66, 0)]
    );
}

#[test]
fn a_multi_within_one_ensemble_passes_as_it_is() {
    let mut bed = Bed::with_leg();
    assert_eq!(
        bed.client(&multi(14, &[(5, "/eu/a"), (13, "/eu/b")])),
        [sent(EU, 1, OpCode::Multi)]
    );
}

#[test]
fn what_cannot_be_read_goes_home_unchanged() {
    let mut bed = Bed::new();
    let odd = Writer::default()
        .int(1)
        .int(14)
        .int(9)
        .bool(false)
        .int(-1)
        .buffer(Some(b"/eu/x"))
        .finish();
    assert_eq!(bed.client(&odd), [sent(HOME, 1, OpCode::Multi)]);
    assert_eq!(bed.last_frame(), odd);
    let null = Writer::default().int(2).int(4).int(-1).bool(false).finish();
    assert_eq!(bed.client(&null), [sent(HOME, 2, OpCode::GetData)]);
}

#[test]
fn an_ancestor_of_a_route_cannot_be_deleted() {
    let rule = |prefix: &[u8], to| (prefix.to_vec(), to, None);
    let map = RouteMap::new(HOME, vec![rule(b"/", HOME), rule(b"/a/b/c", EU)]).unwrap();
    let mut bed = Bed::with(
        Settings::new(map, vec![Policy::from(BarrierKind::Sync); 2]),
        Origin::New,
    );
    let refused = [Out::Reply(1, 0, code::NOT_EMPTY)];
    assert_eq!(bed.op(1, OpCode::Delete, "/a", &[0; 4]), refused);
    assert_eq!(bed.op(1, OpCode::DeleteContainer, "/a/b", &[]), refused);
    assert_eq!(
        bed.op(2, OpCode::Delete, "/a/x", &[0; 4]),
        [sent(HOME, 2, OpCode::Delete)]
    );
    bed.answer(HOME, Xid(2), 0, 0);
    assert_eq!(
        bed.client(&multi(14, &[(2, "/x"), (2, "/a/b")])),
        [Out::Reply(1, 0, 0)]
    );
    assert_eq!(codes(bed.last_frame()), [0, code::NOT_EMPTY]);
}

#[test]
fn what_hangs_stock_servers_is_refused_as_newer_ones_do() {
    for op in [OpCode::Check, OpCode::CreateSession, OpCode::Error] {
        let mut bed = Bed::new();
        let out = bed.op(1, op, "/x", &[0; 4]);
        assert_eq!(
            out,
            [Out::Reply(1, -1, code::UNIMPLEMENTED), Out::CloseClient]
        );
    }
}

#[test]
fn an_unknown_operation_goes_home() {
    let mut bed = Bed::new();
    assert_eq!(
        bed.op(1, OpCode::Unknown(4711), "/eu/x", &[]),
        [sent(HOME, 1, OpCode::Unknown(4711))]
    );
}

#[test]
fn a_recursive_watch_above_a_route_is_armed_on_both_sides() {
    let mut bed = Bed::with_leg();
    let out = bed.op(1, OpCode::AddWatch, "/", &1i32.to_be_bytes());
    let barrier = own(&out, 0);
    assert_eq!(out[1], sent(HOME, 1, OpCode::AddWatch));
    bed.answer(HOME, barrier, 5, 0);
    let out = bed.answer_body(HOME, 1, 5, &[0; 4]);
    assert_eq!(
        out[1..],
        [sent(EU, 1, OpCode::AddWatch), sent(EU, 1, OpCode::AddWatch)]
    );
    let paths: Vec<_> = bed.frames[bed.frames.len() - 2..]
        .iter()
        .map(|frame| {
            Request::parse(&frame[4..])
                .unwrap()
                .path()
                .unwrap()
                .to_vec()
        })
        .collect();
    assert_eq!(paths, [b"/eu".to_vec(), b"/app".to_vec()]);
    bed.answer(EU, own(&out, 0), 5, 0);
    assert_eq!(bed.answer_body(EU, 1, 5, &[0; 4]), []);
    assert_eq!(bed.answer_body(EU, 1, 5, &[0; 4]), [Out::Reply(1, 5, 0)]);
}

#[test]
fn a_watch_that_is_not_recursive_stays_on_its_ensemble() {
    let mut bed = Bed::new();
    assert_eq!(
        bed.op(1, OpCode::AddWatch, "/", &[0; 4]),
        [sent(HOME, 1, OpCode::AddWatch)]
    );
}

#[test]
fn removing_a_recursive_watch_removes_it_everywhere_unless_another_needs_it() {
    let mut bed = Bed::with_leg();
    bed.frames.clear();
    let add = |bed: &mut Bed, path: &str| bed.op(1, OpCode::AddWatch, path, &1i32.to_be_bytes());
    let remove =
        |bed: &mut Bed, path: &str| bed.op(2, OpCode::RemoveWatches, path, &5i32.to_be_bytes());
    add(&mut bed, "/");
    add(&mut bed, "/eu");
    settle(&mut bed);
    remove(&mut bed, "/");
    assert_eq!(
        settle(&mut bed),
        [
            (HOME, "/".to_owned(), OpCode::RemoveWatches),
            (EU, "/app".to_owned(), OpCode::RemoveWatches)
        ]
    );
    remove(&mut bed, "/eu");
    assert_eq!(
        settle(&mut bed),
        [(EU, "/eu".to_owned(), OpCode::RemoveWatches)]
    );
    add(&mut bed, "/");
    add(&mut bed, "/eu");
    settle(&mut bed);
    remove(&mut bed, "/eu");
    let again = [
        (EU, "/eu".to_owned(), OpCode::RemoveWatches),
        (EU, "/eu".to_owned(), OpCode::AddWatch),
    ];
    assert_eq!(settle(&mut bed), again, "the one on / still covers /eu");
}

/// Answers everything that is outstanding; the requests about watches that went out.
fn settle(bed: &mut Bed) -> Vec<(EnsembleId, String, OpCode)> {
    let mut seen = Vec::new();
    loop {
        let requests: Vec<(Xid, OpCode, String)> = std::mem::take(&mut bed.frames)
            .iter()
            .filter_map(|frame| about_watches(frame))
            .collect();
        if requests.is_empty() {
            return seen;
        }
        for (xid, op, path) in requests {
            let on_eu = path.starts_with("/eu") || path.starts_with("/app");
            let named = if on_eu { EU } else { HOME };
            let ensemble = if op == OpCode::Sync {
                bed.session.switch.current()
            } else {
                named
            };
            bed.answer_body(ensemble, xid.number(), 5, &[0; 4]);
            if op != OpCode::Sync {
                seen.push((ensemble, path, op));
            }
        }
    }
}

fn about_watches(frame: &[u8]) -> Option<(Xid, OpCode, String)> {
    let request = Request::parse(&frame[4..]).ok()?;
    let wanted = matches!(
        request.op,
        OpCode::AddWatch | OpCode::RemoveWatches | OpCode::Sync
    );
    let path = String::from_utf8(request.path()?.to_vec()).ok()?;
    wanted.then_some((request.xid, request.op, path))
}

#[test]
fn descendants_are_counted_behind_routes_and_not_below_them() {
    let mut bed = Bed::with_leg();
    let out = bed.op(1, OpCode::GetAllChildrenNumber, "/", &[]);
    assert_eq!(
        out.len(),
        4,
        "barrier, /, and what /eu and /old shadow: {out:?}"
    );
    bed.answer(HOME, own(&out, 0), 5, 0);
    let number = |number: i32| number.to_be_bytes();
    bed.answer_body(HOME, 1, 5, &number(100));
    bed.answer_body(HOME, 1, 5, &number(7));
    let out = bed.answer(HOME, Xid(1), 5, code::NO_NODE);
    bed.answer(EU, own(&out, 0), 5, 0);
    bed.answer_body(EU, 1, 5, &number(20));
    assert_eq!(bed.answer_body(EU, 1, 5, &number(3)), [Out::Reply(1, 5, 0)]);
    let sum = Reader::from(bed.last_frame(), 20).int("sum").unwrap();
    assert_eq!(sum, 100 - 7 + 20 + 3);
}

#[test]
fn ephemerals_of_all_legs_are_listed_under_the_clients_names() {
    let mut bed = Bed::with_leg();
    let out = bed.op(1, OpCode::GetEphemerals, "/", &[]);
    bed.answer(HOME, own(&out, 0), 5, 0);
    let list = |paths: &[&str]| {
        let writer = paths
            .iter()
            .fold(Writer::default().count(paths.len()), |w, path| {
                w.buffer(Some(path.as_bytes()))
            });
        writer.finish()[4..].to_vec()
    };
    let out = bed.answer_body(HOME, 1, 5, &list(&["/x", "/eu/shadowed"]));
    bed.answer(EU, own(&out, 0), 5, 0);
    assert_eq!(
        bed.answer_body(EU, 1, 5, &list(&["/eu/e", "/app/f", "/elsewhere"])),
        [Out::Reply(1, 5, 0)]
    );
    let mut reader = Reader::from(bed.last_frame(), 20);
    let count = reader.count("paths").unwrap().unwrap();
    let paths: Vec<_> = (0..count)
        .map(|_| reader.buffer("path").unwrap().unwrap())
        .collect();
    assert_eq!(paths, [&b"/x"[..], b"/eu/e", b"/old/f"]);
}

#[test]
fn set_watches_is_split_and_answered_once() {
    let mut bed = Bed::with_leg();
    let path = |path: &[u8]| path.to_vec();
    let lists = [
        vec![path(b"/x"), path(b"/eu/x")],
        vec![path(b"/old/y")],
        vec![],
    ];
    let out = bed.client(&request::set_watches(
        Xid(-8),
        OpCode::SetWatches,
        500,
        &lists,
    ));
    let home = Request::parse(&bed.last_frame()[4..])
        .unwrap()
        .watch_lists(3)
        .unwrap();
    assert_eq!(
        (home.relative_zxid, home.lists),
        (500, vec![vec![&b"/x"[..]], vec![], vec![]])
    );
    bed.answer(HOME, own(&out, 0), 5, 0);
    let out = bed.answer(HOME, Xid(-8), 5, 0);
    let remote = Request::parse(&bed.last_frame()[4..])
        .unwrap()
        .watch_lists(3)
        .unwrap();
    assert_eq!(
        remote.relative_zxid, 0,
        "home's zxid means nothing there (T12)"
    );
    assert_eq!(
        remote.lists,
        vec![vec![&b"/eu/x"[..]], vec![&b"/app/y"[..]], vec![]]
    );
    bed.answer(EU, own(&out, 0), 5, 0);
    assert_eq!(bed.answer(EU, Xid(-8), 5, 0), [Out::Reply(-8, 5, 0)]);
}

#[test]
fn mounted_paths_are_translated_both_ways() {
    let mut bed = Bed::with_leg();
    assert_eq!(
        bed.op(1, OpCode::Sync, "/old/x", &[]),
        [sent(EU, 1, OpCode::Sync)]
    );
    assert_eq!(bed.last_path(8), "/app/x");
    let echo = Writer::default().buffer(Some(b"/app/x")).finish()[4..].to_vec();
    assert_eq!(bed.answer_body(EU, 1, 5, &echo), [Out::Reply(1, 0, 0)]);
    assert_eq!(bed.last_path(16), "/old/x");
    assert_eq!(
        bed.client(&multi(14, &[(1, "/old/s-"), (5, "/eu/y")])),
        [sent(EU, 1, OpCode::Multi)]
    );
    let sent: Vec<_> = Request::parse(&bed.last_frame()[4..])
        .unwrap()
        .operations()
        .map(|operation| operation.unwrap().path.unwrap().to_vec())
        .collect();
    assert_eq!(sent, [b"/app/s-".to_vec(), b"/eu/y".to_vec()]);
    let mut result = Writer::default()
        .int(1)
        .bool(false)
        .int(0)
        .buffer(Some(b"/app/s-0000000003"));
    result = result
        .int(5)
        .bool(false)
        .int(0)
        .raw(&[0; 68])
        .int(-1)
        .bool(true)
        .int(-1);
    bed.answer_body(EU, 1, 5, &result.finish()[4..]);
    let results = reply::multi_results(&bed.last_frame()[4..]).unwrap();
    assert_eq!(
        results[0].body,
        reply::ResultBody::Path(Some(b"/old/s-0000000003"))
    );
}

#[test]
fn a_sequential_name_belongs_to_its_parents_ensemble() {
    let mut bed = Bed::new();
    let create = |path: &str, flags: i32| {
        let rest = Writer::default().buffer(None).count(0).int(flags).finish()[4..].to_vec();
        request::of_path(Xid(1), OpCode::Create, path.as_bytes(), &rest)
    };
    assert_eq!(
        bed.client(&create("/eu", 2)),
        [sent(HOME, 1, OpCode::Create)],
        "it makes /eu0000000000"
    );
    assert_eq!(
        bed.client(&create("/eu", 0)),
        [Out::Dial(EU), Out::LearnRole]
    );
}

#[test]
fn the_addresses_of_the_real_servers_stay_hidden() {
    let config = "/zookeeper/config";
    let body = [
        Writer::default()
            .buffer(Some(b"server.1=zk1:2888"))
            .finish()[4..]
            .to_vec(),
        vec![0; 68],
    ]
    .concat();
    let mut bed = Bed::new();
    assert_eq!(
        bed.op(1, OpCode::GetData, config, &[1]),
        [sent(HOME, 1, OpCode::GetData)]
    );
    bed.answer_body(HOME, 1, 5, &body);
    assert_eq!(
        Reader::from(bed.last_frame(), 20).buffer("data").unwrap(),
        Some(&b""[..])
    );
    assert_eq!(
        bed.client(&multi(22, &[(4, config), (8, "/")])),
        [sent(HOME, 1, OpCode::MultiRead)]
    );
    let mut results = Writer::default().int(4).bool(false).int(0).raw(&body);
    results = results
        .int(8)
        .bool(false)
        .int(0)
        .count(1)
        .buffer(Some(b"x"))
        .int(-1)
        .bool(true)
        .int(-1);
    bed.answer_body(HOME, 1, 5, &results.finish()[4..]);
    let results = reply::multi_results(&bed.last_frame()[4..]).unwrap();
    assert_eq!(results[0].body, reply::ResultBody::Data(Some(b"")));
    let mut open = settings();
    open.expose_config = true;
    let mut bed = Bed::with(open, Origin::New);
    bed.op(1, OpCode::GetData, config, &[1]);
    bed.answer_body(HOME, 1, 5, &body);
    assert_ne!(
        Reader::from(bed.last_frame(), 20).buffer("data").unwrap(),
        Some(&b""[..])
    );
}

#[test]
fn a_request_that_grows_over_the_limit_is_a_fault() {
    let rule =
        |prefix: &[u8], to, root: Option<&[u8]>| (prefix.to_vec(), to, root.map(<[u8]>::to_vec));
    let rules = vec![
        rule(b"/", HOME, None),
        rule(b"/m", EU, Some(b"/much/longer")),
    ];
    let mut settings = Settings::new(
        RouteMap::new(HOME, rules).unwrap(),
        vec![Policy::from(BarrierKind::Sync); 2],
    );
    settings.frame_limit = 40;
    let mut bed = Bed::with(settings, Origin::New);
    let frame = request::of_path(Xid(1), OpCode::SetData, b"/m/x", &[0; 20]);
    let fault = bed.session.client_frame(&frame[4..], Tick(0)).unwrap_err();
    assert!(
        matches!(
            fault,
            ClientFault::Wire(crate::wire::WireFault::FrameLength {
                length: 46,
                limit: 40
            })
        ),
        "{fault}"
    );
}

#[test]
fn a_set_watches_without_paths_is_answered() {
    let rule =
        |prefix: &[u8], to, root: Option<&[u8]>| (prefix.to_vec(), to, root.map(<[u8]>::to_vec));
    let rules = vec![rule(b"/", EU, None), rule(b"/old", HOME, Some(b"/app"))];
    let routes = RouteMap::new(HOME, rules).unwrap();
    let settings = Settings::new(routes, vec![Policy::from(BarrierKind::Sync); 2]);
    let mut bed = Bed::with(settings, Origin::New);
    let lists = [vec![], vec![], vec![]];
    let out = bed.client(&request::set_watches(Xid(1), OpCode::SetWatches, 5, &lists));
    assert_eq!(out, [sent(HOME, 1, OpCode::SetWatches)]);
}

#[test]
fn recursive_watches_asked_for_many_times_are_fanned_out_once() {
    let mut bed = Bed::with_leg();
    let lists = [vec![], vec![], vec![], vec![], vec![b"/".to_vec(); 1_000]];
    let asked = request::set_watches(Xid(1), OpCode::SetWatches2, 5, &lists);
    let out = bed.client(&asked);
    bed.answer(HOME, own(&out, 0), 5, 0);
    bed.answer(HOME, Xid(1), 5, 0);
    let length = bed.frames.iter().map(Vec::len).max();
    assert!(length <= Some(asked.len()), "{length:?}");
    let last = Request::parse(&bed.last_frame()[4..]).unwrap();
    assert_eq!(
        last.watch_lists(5).unwrap().lists[4],
        [&b"/app"[..], &b"/eu"[..]]
    );
}
