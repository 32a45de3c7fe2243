use super::frames::{CHUNK, GROUPS};
use super::*;
use crate::wire::Xid;
use crate::wire::jute::Writer;
use crate::wire::request;

const BOUND: usize = 1 << 20;

const fn header(zxid: i64, err: i32) -> ReplyHeader {
    ReplyHeader {
        xid: Xid(1),
        zxid: Zxid(zxid),
        err,
    }
}

fn watch(op: OpCode, path: &str) -> Note {
    Note::Watch {
        op,
        path: path.as_bytes().to_vec(),
    }
}

fn kept(ledger: &Ledger) -> Vec<(usize, String)> {
    let name = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
    let lists = ledger.lists.iter().enumerate();
    lists
        .flat_map(|(list, paths)| paths.keys().map(move |path| (list, name(path))))
        .collect()
}

#[test]
fn each_request_arms_what_its_server_arms() {
    let mut ledger = Ledger::default();
    let cases = [
        (OpCode::Exists, "/exists", 0),
        (OpCode::Exists, "/missing", code::NO_NODE),
        (OpCode::Exists, "/denied", -102),
        (OpCode::GetData, "/data", 0),
        (OpCode::GetData, "/none", code::NO_NODE),
        (OpCode::GetChildren, "/children", 0),
        (OpCode::GetChildren2, "/children2", 0),
    ];
    for (op, path, err) in cases {
        ledger.answered(&watch(op, path), &header(5, err), &[], BOUND);
    }
    let expected = [
        (0, "/data"),
        (0, "/exists"),
        (1, "/missing"),
        (2, "/children"),
        (2, "/children2"),
    ];
    assert_eq!(
        kept(&ledger),
        expected.map(|(list, path)| (list, path.to_owned()))
    );
}

#[test]
fn each_event_clears_what_its_server_clears() {
    for (kind, left) in [
        (1, vec![2, 3, 4]),
        (2, vec![3, 4]),
        (3, vec![2, 3, 4]),
        (4, vec![0, 1, 3, 4]),
        (-1, vec![0, 1, 2, 3, 4]),
    ] {
        let mut ledger = Ledger::default();
        for list in List::ALL {
            ledger.arm(list, b"/x", Zxid(1), BOUND);
            ledger.arm(list, b"/other", Zxid(1), BOUND);
        }
        ledger.fired(kind, b"/x");
        let lists: Vec<usize> = kept(&ledger)
            .into_iter()
            .filter(|(_, path)| path == "/x")
            .map(|(list, _)| list)
            .collect();
        assert_eq!(lists, left, "event {kind}");
        assert_eq!(
            kept(&ledger)
                .iter()
                .filter(|(_, path)| path == "/other")
                .count(),
            5
        );
    }
}

#[test]
fn removed_watches_are_forgotten_by_type() {
    for (kind, left) in [
        (1, vec![0, 1, 3, 4]),
        (2, vec![2, 3, 4]),
        (3, vec![]),
        (4, vec![0, 1, 2, 4]),
        (5, vec![0, 1, 2, 3]),
    ] {
        let mut ledger = Ledger::default();
        for list in List::ALL {
            ledger.arm(list, b"/x", Zxid(1), BOUND);
        }
        ledger.answered(
            &Note::RemoveWatches {
                path: b"/x".to_vec(),
                kind,
            },
            &header(5, 0),
            &[],
            BOUND,
        );
        assert_eq!(
            kept(&ledger)
                .into_iter()
                .map(|(list, _)| list)
                .collect::<Vec<_>>(),
            left,
            "type {kind}"
        );
    }
}

#[test]
fn memory_is_given_back() {
    let mut ledger = Ledger::default();
    for index in 0..100 {
        ledger.arm(List::Data, format!("/x{index}").as_bytes(), Zxid(1), BOUND);
        ledger.own(format!("/e{index}").as_bytes(), BOUND);
    }
    assert!(ledger.bytes > 100 * 2 * ENTRY);
    for index in 0..100 {
        ledger.fired(3, format!("/x{index}").as_bytes());
        ledger.fired(2, format!("/e{index}").as_bytes());
    }
    assert_eq!(
        (ledger.bytes, ledger.watches(), ledger.owns_ephemerals()),
        (0, false, false)
    );
}

#[test]
fn what_a_set_watches_asks_for_is_kept_at_its_own_zxid_until_it_is_answered() {
    let mut ledger = Ledger::default();
    let lists = [vec![b"/a".to_vec(), b"/b".to_vec()], vec![], vec![]];
    let frame = request::set_watches(Xid(1), OpCode::SetWatches, 3, &lists);
    let note = ledger.set_watches(&Request::parse(&frame[4..]).unwrap(), Sent::Yes, BOUND);
    ledger.fired(3, b"/a");
    ledger.disconnected(Zxid(100));
    let again = ledger.rearm();
    assert_eq!(
        (again.len(), again[0].since),
        (1, Zxid(3)),
        "its connection may have seen more, it has not"
    );
    ledger.answered(&note, &header(100, 0), &[], BOUND);
    ledger.disconnected(Zxid(100));
    assert_eq!(
        ledger.rearm()[0].since,
        Zxid(3),
        "that reply was to another setWatches"
    );
    let last = ledger.rearm();
    assert!(last.is_empty(), "asked for already");
}

#[test]
fn once_answered_they_are_as_fresh_as_their_connection() {
    let mut ledger = Ledger::default();
    ledger.arm(List::Child, b"/a", Zxid(3), BOUND);
    ledger.disconnected(Zxid(50));
    let again = ledger.rearm();
    assert_eq!(again[0].since, Zxid(50));
    ledger.answered(&again[0].note, &header(60, 0), &[], BOUND);
    ledger.disconnected(Zxid(70));
    assert_eq!(ledger.rearm()[0].since, Zxid(70));
}

#[test]
fn a_refused_set_watches_arms_nothing() {
    let mut ledger = Ledger::default();
    let frame = request::set_watches(
        Xid(1),
        OpCode::SetWatches,
        3,
        &[vec![b"/a".to_vec()], vec![], vec![]],
    );
    let note = ledger.set_watches(&Request::parse(&frame[4..]).unwrap(), Sent::Yes, BOUND);
    ledger.answered(&note, &header(0, -5), &[], BOUND);
    assert_eq!((ledger.bytes, ledger.watches()), (0, false));
}

#[test]
fn frames_are_cut_to_size() {
    let mut ledger = Ledger::default();
    for index in 0..5_000 {
        ledger.arm(
            List::Data,
            format!("/{:0100}", index).as_bytes(),
            Zxid(1),
            BOUND,
        );
    }
    ledger.disconnected(Zxid(9));
    let again = ledger.rearm();
    assert!(again.len() >= 4, "{}", again.len());
    assert_eq!(
        again
            .iter()
            .map(|again| again.lists[0].len())
            .sum::<usize>(),
        5_000
    );
    for again in &again {
        assert!(frame(Xid(1), again.since, &again.lists).len() < CHUNK + 32 * 1024);
    }
}

#[test]
fn a_multi_owns_what_it_creates_if_it_was_applied() {
    let note = Note::Multi {
        ephemerals: vec![0],
        deletes: vec![b"/old".to_vec()],
    };
    let reply = |failed: bool| {
        let mut writer = Writer::default().int(1).long(9).int(0);
        writer = if failed {
            writer.int(-1).bool(false).int(0).int(0)
        } else {
            writer.int(1).bool(false).int(0).buffer(Some(b"/new"))
        };
        writer.int(-1).bool(true).int(-1).finish()[4..].to_vec()
    };
    for (failed, owned) in [(true, b"/old"), (false, b"/new")] {
        let mut ledger = Ledger::default();
        ledger.own(b"/old", BOUND);
        ledger.answered(&note, &header(9, 0), &reply(failed), BOUND);
        assert_eq!(ledger.ephemerals, BTreeSet::from([owned.to_vec()]));
    }
}

#[test]
fn too_many_zxids_share_the_smallest_of_their_group() {
    let mut before = Armed::default();
    let paths: Vec<Vec<u8>> = (0..3 * GROUPS)
        .map(|index| format!("/x{index}").into_bytes())
        .collect();
    for (zxid, path) in (1..).zip(&paths) {
        before[0].insert(path.clone(), Zxid(zxid));
    }
    let frames = by_what_was_seen(Xid(1), &[paths, vec![], vec![]], &before);
    assert_eq!(frames.len(), GROUPS);
    let first = Request::parse(&frames[0][4..])
        .unwrap()
        .watch_lists(3)
        .unwrap();
    assert_eq!((first.relative_zxid, first.lists[0].len()), (1, 3));
}
