//! What is whole passes, what lacks a byte, has one too many or lies about a length does not.

use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::reply::{WatchEvent, failed_multi, header_only};
use zoonet::wire::request::{of_path, quorum_check, set_watches};
use zoonet::wire::{Xid, Zxid};

use super::*;

/// That `judge` takes exactly these bytes, and none that are cut off, too long or that have an
/// enormous or negative number where `lengths` says that a length stands.
fn is_judged(judge: impl Fn(&[u8]) -> bool, whole: &[u8], lengths: &[usize]) {
    assert!(judge(whole));
    for end in 0..whole.len() {
        assert!(!judge(&whole[..end]), "cut off at {end}");
    }
    assert!(!judge(&[whole, &[0]].concat()), "one byte too many");
    for at in lengths {
        for lie in [i32::MAX, -2] {
            let mut liar = whole.to_vec();
            liar[*at..at + 4].copy_from_slice(&lie.to_be_bytes());
            assert!(!judge(&liar), "{lie} at {at}");
        }
    }
}

#[test]
fn requests() {
    let get = of_path(Xid::from(1), OpCode::GetData, b"/x", &[1]);
    is_judged(is_request, &get[4..], &[8]);
    is_judged(is_request, &quorum_check(Xid::from(1))[4..], &[17]);
    let lists = [vec![b"/a".to_vec()], vec![], vec![]];
    let watches = set_watches(Xid::from(1), OpCode::SetWatches, 7, &lists);
    is_judged(is_request, &watches[4..], &[16, 20]);
    let null = Writer::default().int(1).int(4).int(-1).bool(true).finish();
    assert!(!is_request(&null[4..]), "a null path");
    assert!(!is_request(
        &of_path(Xid::from(1), OpCode::of(10), b"/", &[])[4..]
    ));
}

#[test]
fn replies() {
    let stat = [0; STAT];
    let header = || Writer::default().int(1).long(2).int(0);
    let data = header().buffer(Some(b"abc")).raw(&stat).finish();
    is_judged(|bytes| is_reply(4, bytes), &data[4..], &[16]);
    assert!(!is_reply(3, &data[4..]), "the reply of another operation");
    let names = header().count(1).buffer(Some(b"x")).finish();
    is_judged(|bytes| is_reply(8, bytes), &names[4..], &[16, 20]);
    let failed = failed_multi(Xid::from(1), &[0, -8, -2]);
    is_judged(|bytes| is_reply(14, bytes), &failed[4..], &[]);
    let error = header_only(Xid::from(1), Zxid::from(2), -101);
    is_judged(|bytes| is_reply(4, bytes), &error[4..], &[]);
}

#[test]
fn events() {
    let event = WatchEvent {
        kind: 1,
        state: 3,
        path: b"/x",
    };
    is_judged(is_event, &event.frame(Zxid::from(-1))[4..], &[24]);
}

#[test]
fn lengths_of_frames() {
    let frame = header_only(Xid::from(1), Zxid::from(2), 0);
    is_judged(|bytes| payload(bytes).is_some(), &frame, &[0]);
}

#[test]
fn every_operation_zoonet_knows_has_a_shape() {
    for operation in OpCode::ALL {
        assert!(OPERATIONS.contains(&operation.number()));
        assert!(request(operation.number()).is_some());
    }
    assert_eq!(OPERATIONS.len(), OpCode::ALL.len());
}
