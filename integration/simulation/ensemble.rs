//! One stock ensemble as a value: servers that lag behind a leader, sessions, watches.
//!
//! Whoever plays it carries its messages: what goes from a server to the leader ([`Out::Ask`]), what
//! the leader tells a server ([`Out::Committed`], [`Out::Back`]), and what servers write to their
//! clients. Messages of one pair come in order; how long they take is not known here.
//!
//! # What is kept of a stock ensemble (sections of protocol.md)
//! * The leader orders updates, failed ones too, each with a zxid; a server applies them in order
//!   and answers its own client's when it has (5.1). A session's requests are answered in order.
//! * A read is served from what its server has applied; a `sync` waits until that server has what
//!   the leader had. On the leader itself `sync` waits for nothing, nor does it on a server whose
//!   leader was deposed and does not know it (5.2, ZOOKEEPER-1675).
//! * Watches are a connection's. An event comes before the reply that shows the change (6).
//! * A server behind what the client has seen closes without a word; a session attached elsewhere
//!   is moved there, and its earlier connection is closed when it asks for an update (1.4, 7).
//! * Sessions expire a timeout after they were last heard, unless there is no leader; their
//!   ephemerals go in one transaction.
//!
//! # What is left out
//! The vote: what was committed is never lost, and what was under way to a leader that goes away is.
//! ACLs, quotas, sequence numbers, persistent watches, read-only servers.

mod answer;
mod lead;
mod servers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zoonet::wire::connect::ConnectRequest;
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::Writer;
use zoonet::wire::{SessionId, Xid, Zxid, reply};

use super::request::Update;
use super::tree::{Change, Tree};
use zoonet::wire::opcode::OpCode;

/// A connection, by a number that is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Link(pub(super) u32);

/// What has to be carried.
#[derive(Debug)]
pub(super) enum Out {
    /// A frame to a client.
    Send(Link, Vec<u8>),
    /// The server closes a connection, behind what it has written.
    Close(Link),
    /// From a server to the leader: back to [`Ensemble::lead`].
    Ask(Ask),
    /// There is a transaction of this number: to [`Ensemble::apply`] at every server.
    Committed(usize),
    /// From the leader to a server, behind the transactions so far: to [`Ensemble::back`].
    Back(usize, Back),
}

/// What a server wants of the leader.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) server: usize,
    /// Of the election that was current.
    term: u32,
    link: Link,
    /// The link's session: what was asked is done also if the link is gone by then.
    session: i64,
    /// Which of the link's requests.
    number: u64,
    demand: Demand,
}

#[derive(Debug)]
enum Demand {
    NewSession { timeout: u32 },
    OldSession { id: i64, password: Vec<u8> },
    Update(OpCode, Update),
    Multi(Vec<(OpCode, Update)>),
    Sync,
    CloseSession,
}

/// What the leader says to it where that is no transaction.
#[derive(Debug)]
pub(super) struct Back {
    link: Link,
    number: u64,
    said: Said,
}

#[derive(Debug)]
enum Said {
    /// The session is there; its timeout.
    Session(u32),
    NoSession,
    /// Everything up to here was there.
    Synced(usize),
}

/// One transaction.
#[derive(Debug)]
struct Transaction {
    changes: Vec<Change>,
    /// The session that ends with it.
    ends: Option<i64>,
}

#[derive(Debug)]
struct Session {
    timeout: u32,
    heard: u64,
    owner: Link,
}

/// One server.
#[derive(Debug)]
struct Server {
    state: State,
    tree: Tree,
    /// How many transactions it has applied.
    applied: usize,
    /// How many ordered requests it turns away next.
    throttled: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down,
    /// It follows a leader that is none any more.
    Astray,
}

/// A connection as its server sees it.
#[derive(Debug)]
struct Attached {
    server: usize,
    session: i64,
    pending: VecDeque<Pending>,
    numbers: u64,
    data: BTreeSet<String>,
    child: BTreeSet<String>,
    /// What comes back with the answers to its syncs.
    echoes: BTreeMap<u64, Vec<u8>>,
}

/// What a client waits for.
#[derive(Debug)]
struct Pending {
    number: u64,
    xid: i32,
    what: What,
}

#[derive(Debug)]
enum What {
    /// For the leader.
    Asked,
    /// For its own server to have applied so much; then this is the answer.
    Until(usize, Answer),
    /// For its turn: this payload.
    Read(Vec<u8>),
    /// For its turn: this error.
    Turned(i32),
}

#[derive(Debug)]
enum Answer {
    Handshake { timeout: u32 },
    Refused,
    Reply { err: i32, body: Vec<u8> },
    Farewell,
}

/// One stock ensemble.
#[derive(Debug)]
pub(super) struct Ensemble {
    /// The zxid before its first transaction. Those of two ensembles lie far apart.
    base: i64,
    log: Vec<Transaction>,
    /// The state after the whole log, by which the leader judges what comes next.
    tip: Tree,
    sessions: BTreeMap<i64, Session>,
    granted: i64,
    servers: Vec<Server>,
    leader: Option<usize>,
    term: u32,
    links: BTreeMap<Link, Attached>,
    out: VecDeque<Out>,
}

impl Ensemble {
    /// An ensemble of so many servers, the first of which leads, with these directories.
    pub(super) fn new(base: i64, servers: usize, directories: &[String]) -> Self {
        let tree = Tree::new(directories);
        let server = || Server {
            state: State::Up,
            tree: tree.clone(),
            applied: 0,
            throttled: 0,
        };
        Self {
            base,
            log: Vec::new(),
            sessions: BTreeMap::new(),
            granted: 0,
            servers: std::iter::repeat_with(server).take(servers).collect(),
            leader: Some(0),
            term: 0,
            links: BTreeMap::new(),
            out: VecDeque::new(),
            tip: tree,
        }
    }

    /// The next thing to carry.
    pub(super) fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// The state after all transactions.
    pub(super) const fn tip(&self) -> &Tree {
        &self.tip
    }

    /// The zxid of the last transaction.
    pub(super) fn last_zxid(&self) -> i64 {
        self.zxid(self.log.len())
    }

    fn zxid(&self, transactions: usize) -> i64 {
        self.base + i64::try_from(transactions).unwrap_or(i64::MAX)
    }

    /// The sessions that have not ended.
    pub(super) fn sessions(&self) -> impl Iterator<Item = i64> {
        self.sessions.keys().copied()
    }

    pub(super) fn is_up(&self, server: usize) -> bool {
        self.servers
            .get(server)
            .is_some_and(|server| server.state != State::Down)
    }

    /// The leader, if there is one.
    pub(super) const fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// What a server says to `srvr`.
    pub(super) fn srvr(&self, server: usize) -> Vec<u8> {
        let mode = match self.leader {
            Some(leader) if leader == server => "leader",
            Some(_) if server == 1 => "follower",
            Some(_) => "observer",
            None => return b"This ZooKeeper instance is not currently serving requests\n".to_vec(),
        };
        format!("Zookeeper version: 3.8.0\nMode: {mode}\nNode count: 5\n").into_bytes()
    }

    /// A connection comes with the payload of its handshake.
    pub(super) fn connect(&mut self, link: Link, server: usize, handshake: &[u8], now: u64) {
        let Ok(request) = ConnectRequest::parse(handshake) else {
            return self.out.push_back(Out::Close(link));
        };
        let applied = self.servers.get(server).map_or(0, |server| server.applied);
        if self.leader.is_none() || request.last_zxid_seen.number() > self.zxid(applied) {
            return self.out.push_back(Out::Close(link));
        }
        let session = request.session.number();
        let timeout = u32::try_from(request.timeout).unwrap_or(4_000);
        let demand = if request.session == SessionId::NONE {
            Demand::NewSession { timeout }
        } else {
            let older: Vec<Link> = self
                .links
                .iter()
                .filter(|(_, other)| other.server == server && other.session == session)
                .map(|(link, _)| *link)
                .collect();
            older.into_iter().for_each(|older| self.close(older));
            self.touch(session, now);
            Demand::OldSession {
                id: session,
                password: request.password,
            }
        };
        let attached = Attached {
            server,
            session,
            pending: VecDeque::new(),
            numbers: 0,
            data: BTreeSet::new(),
            child: BTreeSet::new(),
            echoes: BTreeMap::new(),
        };
        self.links.insert(link, attached);
        self.ask(link, 0, demand);
    }

    /// A connection is gone, as its server has noticed. Its session goes on.
    pub(super) fn disconnected(&mut self, link: Link) {
        self.links.remove(&link);
    }

    fn close(&mut self, link: Link) {
        self.links.remove(&link);
        self.out.push_back(Out::Close(link));
    }

    fn touch(&mut self, session: i64, now: u64) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.heard = now;
        }
    }

    /// A server is told of a transaction, and applies it: unless it has already, or had been away
    /// and has to be told of earlier ones first.
    pub(super) fn apply(&mut self, server: usize, number: usize) {
        let Some(replica) = self.servers.get_mut(server) else {
            return;
        };
        if number != replica.applied + 1 {
            return;
        }
        let Some(transaction) = self.log.get(replica.applied) else {
            return;
        };
        if replica.state != State::Up {
            return;
        }
        replica.applied += 1;
        let zxid = self.base + i64::try_from(replica.applied).unwrap_or(i64::MAX);
        let mut fired = Vec::new();
        for change in &transaction.changes {
            fired.extend(replica.tree.apply(zxid, change));
        }
        let ends = transaction.ends;
        let here: Vec<Link> = self
            .links
            .iter()
            .filter(|(_, link)| link.server == server)
            .map(|(link, _)| *link)
            .collect();
        for (kind, path) in fired {
            for link in &here {
                self.fire(*link, kind, &path, zxid);
            }
        }
        for link in here {
            let session = self.links.get(&link).map(|link| link.session);
            self.settle(link);
            if ends.is_some() && session == ends && self.links.contains_key(&link) {
                self.close(link);
            }
        }
    }
}

/// The password of a session: a function of its id, as it is on stock servers.
pub(super) fn password(session: i64) -> [u8; 16] {
    let mut password = [0; 16];
    let (one, other) = password.split_at_mut(8);
    one.copy_from_slice(&session.wrapping_mul(0x9e37_79b9).to_be_bytes());
    other.copy_from_slice(&(session ^ 0xb341_5c00).to_be_bytes());
    password
}

/// A reply's frame.
fn framed(xid: i32, zxid: i64, err: i32, body: &[u8]) -> Vec<u8> {
    if body.is_empty() {
        return reply::header_only(Xid::from(xid), Zxid::from(zxid), err);
    }
    Writer::with_capacity(16 + body.len())
        .int(xid)
        .long(zxid)
        .int(err)
        .raw(body)
        .finish()
}

/// What a writer wrote, without the length in front.
fn record(writer: Writer) -> Vec<u8> {
    writer.finish().split_off(PREFIX)
}
