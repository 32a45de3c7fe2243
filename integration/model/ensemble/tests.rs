//! What the model of an ensemble owes to stock ones.

use super::*;
use zoonet::wire::connect::ConnectResponse;
use zoonet::wire::frames::PREFIX;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::reply::ReplyHeader;
use zoonet::wire::{Xid, code, request};

const BASE: i64 = 100;
const FRESH: Server = 0;
const LAGGING: Server = 1;

/// Two servers, one of which has applied everything.
struct Bed(Ensemble);

impl Bed {
    fn new() -> Self {
        Self::of(&[Role::Follower, Role::Observer])
    }

    fn of(roles: &[Role]) -> Self {
        Self(Ensemble::new(BASE, roles, &[b"/x"]))
    }

    fn catch_up(&mut self, server: Server) {
        self.0.catch_up(server);
    }

    /// Opens a session, and has its server apply that.
    fn open(&mut self, link: u32, server: Server) -> SessionId {
        self.handshake(link, server, SessionId::NONE, 0);
        self.catch_up(server);
        let told = self.told();
        let [(_, Told::Frame(frame))] = &told[..] else {
            panic!("{told:?}")
        };
        match ConnectResponse::parse(&frame[PREFIX..]).unwrap() {
            ConnectResponse::Granted(credentials) => credentials.session,
            ConnectResponse::Refused => panic!("refused"),
        }
    }

    fn handshake(&mut self, link: u32, server: Server, session: SessionId, seen: i64) {
        let request = ConnectRequest {
            last_zxid_seen: Zxid::from(seen),
            timeout: 9_000,
            session,
            password: vec![7; 16],
            read_only: Some(false),
        };
        self.0
            .connect(Link(link), server, &request.frame()[PREFIX..]);
    }

    fn take(&mut self, link: u32, frame: &[u8]) {
        self.0.take(Link(link), &frame[PREFIX..]);
    }

    fn set(&mut self, link: u32, xid: i32, data: u8) {
        let rest = Writer::default().buffer(Some(&[data])).int(-1).finish();
        let frame = request::of_path(Xid::from(xid), OpCode::SetData, b"/x", &rest[PREFIX..]);
        self.take(link, &frame);
    }

    fn get(&mut self, link: u32, xid: i32) {
        self.take(
            link,
            &request::of_path(Xid::from(xid), OpCode::GetData, b"/x", &[0]),
        );
    }

    fn told(&mut self) -> Vec<(Link, Told)> {
        std::iter::from_fn(|| self.0.poll()).collect()
    }

    /// What was answered: xid, zxid, error, and the data of a read.
    fn answers(&mut self) -> Vec<(i32, i64, i32, Vec<u8>)> {
        let answer = |(_, told)| {
            let Told::Frame(frame) = told else {
                return (0, 0, 0, b"closed".to_vec());
            };
            let payload = &frame[PREFIX..];
            let header = ReplyHeader::parse(payload).unwrap();
            let data = zoonet::wire::jute::Reader::from(payload, 16)
                .buffer("data")
                .ok()
                .flatten();
            let (xid, zxid) = (header.xid.number(), header.zxid.number());
            (xid, zxid, header.err, data.unwrap_or_default().to_vec())
        };
        self.told().into_iter().map(answer).collect()
    }
}

fn read(xid: i32, zxid: i64, data: &[u8]) -> (i32, i64, i32, Vec<u8>) {
    (xid, zxid, code::OK, data.to_vec())
}

#[test]
fn a_server_that_lags_answers_from_what_it_has() {
    let mut bed = Bed::new();
    bed.open(1, FRESH);
    bed.open(2, LAGGING);
    bed.catch_up(FRESH);
    bed.set(1, 1, b'a');
    assert_eq!(bed.answers(), [], "its own server has not applied it");
    bed.catch_up(FRESH);
    assert_eq!(bed.answers()[0].1, 103);
    bed.get(2, 1);
    assert_eq!(bed.answers(), [read(1, 102, b"")]);
    bed.catch_up(LAGGING);
    bed.get(2, 2);
    assert_eq!(bed.answers(), [read(2, 103, b"a")]);
}

#[test]
fn what_is_pipelined_behind_a_sync_or_an_update_waits_for_it() {
    let mut bed = Bed::new();
    bed.open(1, FRESH);
    bed.open(2, LAGGING);
    bed.set(1, 1, b'a');
    for barrier in [request::sync, request::quorum_check] {
        bed.take(2, &barrier(Xid::from(-9)));
        bed.get(2, 1);
        assert_eq!(bed.answers(), []);
        bed.catch_up(LAGGING);
        let zxid = bed.0.last_zxid().number();
        assert_eq!(bed.answers()[1], read(1, zxid, b"a"));
    }
}

#[test]
fn a_sync_on_the_leader_waits_for_nothing() {
    let mut bed = Bed::of(&[Role::Follower, Role::Leader]);
    bed.open(1, FRESH);
    bed.open(2, LAGGING);
    bed.set(1, 1, b'a');
    bed.take(2, &request::sync(Xid::from(-9)));
    bed.get(2, 1);
    assert_eq!(bed.answers()[1], read(1, 102, b""));
}

#[test]
fn a_deposed_leader_serves_syncs_and_commits_nothing() {
    let mut bed = Bed::new();
    bed.open(1, FRESH);
    bed.open(2, LAGGING);
    bed.0.depose(LAGGING);
    bed.set(1, 1, b'a');
    bed.catch_up(LAGGING);
    bed.take(2, &request::sync(Xid::from(-9)));
    bed.get(2, 1);
    assert_eq!(bed.answers()[1], read(1, 102, b""));
    bed.take(2, &request::quorum_check(Xid::from(-8)));
    bed.get(2, 2);
    assert_eq!(bed.answers(), []);
    bed.0.rejoin(LAGGING);
    assert_eq!(bed.told(), [(Link(2), Told::Closed)]);
}

#[test]
fn a_failed_update_is_ordered_and_one_turned_away_is_not() {
    let mut bed = Bed::new();
    bed.open(1, FRESH);
    let rest = 7i32.to_be_bytes();
    let missing = request::of_path(Xid::from(1), OpCode::Delete, b"/none", &rest);
    bed.take(1, &missing);
    bed.catch_up(FRESH);
    assert_eq!(bed.answers(), [(1, 102, code::NO_NODE, vec![])]);
    bed.0
        .turn_away(Link(1), &missing[PREFIX..], code::THROTTLED_OP);
    assert_eq!(bed.answers(), [(1, 102, code::THROTTLED_OP, vec![])]);
}

#[test]
fn a_session_moves_to_servers_that_are_not_behind_it() {
    let mut bed = Bed::new();
    let session = bed.open(1, FRESH);
    bed.handshake(2, LAGGING, session, 101);
    assert_eq!(bed.told(), [(Link(2), Told::Closed)]);
    bed.catch_up(LAGGING);
    bed.handshake(3, LAGGING, session, 101);
    let told = bed.told();
    assert_eq!(told[0], (Link(1), Told::Closed), "it is attached elsewhere");
    assert!(matches!(told[1], (Link(3), Told::Frame(_))));
    bed.0.expire(session);
    bed.handshake(4, FRESH, session, 0);
    assert_eq!(
        bed.told(),
        [
            (Link(3), Told::Closed),
            (Link(4), Told::Frame(serve::refusal())),
            (Link(4), Told::Closed)
        ]
    );
}

#[test]
fn ephemerals_go_with_their_session() {
    let mut bed = Bed::new();
    let session = bed.open(1, FRESH);
    let rest = Writer::default().buffer(None).count(0).int(1).finish();
    bed.take(
        1,
        &request::of_path(Xid::from(1), OpCode::Create, b"/e", &rest[PREFIX..]),
    );
    assert!(bed.0.tip.node(b"/e").is_some());
    bed.0.expire(session);
    assert!(bed.0.tip.node(b"/e").is_none());
}
