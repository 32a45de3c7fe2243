//! One stock ensemble as a value: what its servers do with frames, and nothing else.
//!
//! There are no sockets, clocks or tasks in it. Whoever plays it says what happens next: a
//! connection is opened to a server, a server takes a frame, a server applies the next
//! transaction, a connection breaks. What servers write comes out of [`Ensemble::poll`].
//!
//! # What is kept of a stock ensemble
//! * One log of transactions. A server *takes* an update: that is the moment its leader commits
//!   it, and the update's place in the order. Failed updates are transactions too (protocol.md 5.1).
//! * Servers with a prefix of that log each. Reads are served from it, and every reply carries the
//!   zxid up to which its server has applied.
//! * A session's requests are answered in order: an update when its server has applied it, a
//!   `sync` when its server has applied what the leader had committed when it asked, a read behind
//!   either not before (5, 5.2).
//! * A leader's own server takes a `sync` for a no-op (T57). A server that follows a leader which
//!   was deposed and does not know it (ZOOKEEPER-1675) is answered from the end of that leader's
//!   log, and what needs a quorum is never answered there.
//! * A server behind the zxid a client has seen closes without a word (1.4). A session that was
//!   attached elsewhere leaves its earlier connection.
//!
//! # What is left out
//! The vote itself: a deposed leader loses nothing that was committed. Elections, ACLs, quotas,
//! sequence numbers and read-only servers. A server answers as soon as it can: that it may take its
//! time is up to who plays it, by handing it frames, and taking its own, later.

mod serve;
mod tree;

use std::collections::{BTreeMap, VecDeque};

use serve::{Answer, Pending};
use tree::Tree;
use zoonet::wire::connect::ConnectRequest;
use zoonet::wire::jute::Writer;
use zoonet::wire::words::Role;
use zoonet::wire::{SessionId, Zxid};

/// One connection to a server, by the number who plays the ensemble gave it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Link(pub(crate) u32);

/// A server, by its place.
pub(crate) type Server = usize;

/// What a server writes to a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Told {
    /// This frame, length included.
    Frame(Vec<u8>),
    /// Nothing more: it closes the connection.
    Closed,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Change {
    SessionCreated(SessionId),
    SessionEnded(SessionId),
    Created {
        path: Vec<u8>,
        data: Vec<u8>,
        owner: SessionId,
    },
    DataSet {
        path: Vec<u8>,
        data: Vec<u8>,
    },
    Deleted {
        path: Vec<u8>,
    },
    /// The checks of a multi, so many, held.
    Checked(usize),
    /// It was ordered, and changed nothing.
    Failed(i32),
}

/// Whom a server learns of commits from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Follows {
    /// The ensemble's leader.
    Leader,
    /// One that was deposed when the log had this many transactions.
    Deposed(usize),
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    role: Role,
    follows: Follows,
    /// How many transactions it has applied.
    applied: usize,
    tree: Tree,
}

/// A connection as its server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Attached {
    server: Server,
    session: SessionId,
    /// What is to be answered, in this order.
    pending: VecDeque<Pending>,
}

/// One stock ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ensemble {
    /// The zxid before its first transaction. Those of two ensembles should lie far apart, so that
    /// one that gets mixed up is seen.
    base: i64,
    log: Vec<Change>,
    /// The state after the whole log, by which the leader judges what comes next.
    tip: Tree,
    replicas: Vec<Replica>,
    links: BTreeMap<Link, Attached>,
    told: VecDeque<(Link, Told)>,
}

impl Ensemble {
    /// An ensemble of servers in these roles, with these znodes already there. Its first
    /// transaction gets the zxid behind `base`.
    pub(crate) fn new(base: i64, roles: &[Role], nodes: &[&[u8]]) -> Self {
        let tree = Tree::with(nodes, Zxid::from(base));
        let replica = |role: &Role| Replica {
            role: *role,
            follows: Follows::Leader,
            applied: 0,
            tree: tree.clone(),
        };
        Self {
            base,
            log: Vec::new(),
            replicas: roles.iter().map(replica).collect(),
            tip: tree,
            links: BTreeMap::new(),
            told: VecDeque::new(),
        }
    }

    /// The next thing a server has written; call until there is none after whatever was handed in.
    pub(crate) fn poll(&mut self) -> Option<(Link, Told)> {
        self.told.pop_front()
    }

    /// Whether there is any.
    pub(crate) fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// The zxid of the last transaction.
    pub(crate) fn last_zxid(&self) -> Zxid {
        self.zxid(self.log.len())
    }

    /// What a server says it is.
    pub(crate) fn role(&self, server: Server) -> Option<Role> {
        self.replicas.get(server).map(|replica| replica.role)
    }

    /// The data written to its znodes, in the order of the writes.
    pub(crate) fn written(&self) -> impl Iterator<Item = &[u8]> {
        self.log.iter().filter_map(|change| match change {
            Change::Created { data, .. } | Change::DataSet { data, .. } => Some(data.as_slice()),
            Change::SessionCreated(_)
            | Change::SessionEnded(_)
            | Change::Deleted { .. }
            | Change::Checked(_)
            | Change::Failed(_) => None,
        })
    }

    /// A connection is opened to a server, with the payload of its handshake.
    pub(crate) fn connect(&mut self, link: Link, server: Server, handshake: &[u8]) {
        let Some(replica) = self.replicas.get(server) else {
            return;
        };
        let (applied, follows) = (replica.applied, replica.follows);
        let Ok(request) = ConnectRequest::parse(handshake) else {
            return self.tell(link, Told::Closed);
        };
        if request.last_zxid_seen > self.zxid(applied) {
            return self.tell(link, Told::Closed);
        }
        let timeout = request.timeout;
        let (session, answer) = if request.session == SessionId::NONE {
            // Its number is its link's, so that it does not depend on who came first.
            let session = SessionId::from(self.base + i64::from(link.0));
            let answer = match follows {
                Follows::Leader => Answer::Granted {
                    until: self.commit(Change::SessionCreated(session)),
                    timeout,
                },
                Follows::Deposed(_) => Answer::Never,
            };
            (session, answer)
        } else if self.tip.knows(request.session) {
            (
                request.session,
                Answer::Granted {
                    until: applied,
                    timeout,
                },
            )
        } else {
            self.tell(link, Told::Frame(serve::refusal()));
            return self.tell(link, Told::Closed);
        };
        self.leave(session);
        let pending = VecDeque::from([Pending::handshake(answer)]);
        self.links.insert(
            link,
            Attached {
                server,
                session,
                pending,
            },
        );
        self.settle(link);
    }

    /// Whether everything a connection asked for has been answered.
    pub(crate) fn is_idle(&self, link: Link) -> bool {
        self.links
            .get(&link)
            .is_none_or(|attached| attached.pending.is_empty())
    }

    /// The numbers of the requests a connection waits for.
    pub(crate) fn pending(&self, link: Link) -> impl Iterator<Item = i32> {
        self.links
            .get(&link)
            .into_iter()
            .flat_map(|attached| &attached.pending)
            .map(Pending::xid)
    }

    /// A connection breaks. Its session goes on.
    pub(crate) fn disconnect(&mut self, link: Link) {
        self.links.remove(&link);
    }

    /// A session expires.
    pub(crate) fn expire(&mut self, session: SessionId) {
        if self.tip.knows(session) {
            self.commit(Change::SessionEnded(session));
            self.leave(session);
        }
    }

    /// Whether a server has a transaction to apply.
    pub(crate) fn may_apply(&self, server: Server) -> bool {
        self.replicas.get(server).is_some_and(|replica| {
            let known = match replica.follows {
                Follows::Leader => self.log.len(),
                Follows::Deposed(end) => end,
            };
            replica.applied < known
        })
    }

    /// A server applies the next transaction, and answers what waited for it.
    pub(crate) fn apply(&mut self, server: Server) {
        if !self.may_apply(server) {
            return;
        }
        let Some(replica) = self.replicas.get_mut(server) else {
            return;
        };
        let Some(change) = self.log.get(replica.applied) else {
            return;
        };
        replica.applied += 1;
        let zxid = zxid(self.base, replica.applied);
        replica.tree.apply(change, zxid);
        let here: Vec<Link> = self
            .links
            .iter()
            .filter(|(_, attached)| attached.server == server)
            .map(|(link, _)| *link)
            .collect();
        for link in here {
            self.settle(link);
        }
    }

    /// A server applies everything it knows of.
    pub(crate) fn catch_up(&mut self, server: Server) {
        while self.may_apply(server) {
            self.apply(server);
        }
    }

    /// Whether a server follows a leader that was deposed.
    pub(crate) fn is_deposed(&self, server: Server) -> bool {
        self.replicas
            .get(server)
            .is_some_and(|replica| replica.follows != Follows::Leader)
    }

    /// The other servers elect a new leader, and this one goes on with the old.
    pub(crate) fn depose(&mut self, server: Server) {
        let end = self.log.len();
        if let Some(replica) = self.replicas.get_mut(server) {
            replica.follows = Follows::Deposed(end);
        }
    }

    /// A server that followed a deposed leader finds out: it closes its connections, and follows the
    /// new one.
    pub(crate) fn rejoin(&mut self, server: Server) {
        let Some(replica) = self.replicas.get_mut(server) else {
            return;
        };
        replica.follows = Follows::Leader;
        self.close(|attached| attached.server == server);
    }

    /// Ends the earlier connection of a session that moves.
    fn leave(&mut self, session: SessionId) {
        self.close(|attached| attached.session == session);
    }

    /// Servers close the connections of which this holds.
    fn close(&mut self, gone: impl Fn(&Attached) -> bool) {
        let told = &mut self.told;
        self.links.retain(|link, attached| {
            let stays = !gone(attached);
            if !stays {
                told.push_back((*link, Told::Closed));
            }
            stays
        });
    }

    /// Appends a transaction: how many there are now.
    fn commit(&mut self, change: Change) -> usize {
        let zxid = self.zxid(self.log.len() + 1);
        self.tip.apply(&change, zxid);
        self.log.push(change);
        self.log.len()
    }

    fn tell(&mut self, link: Link, told: Told) {
        self.told.push_back((link, told));
    }

    fn zxid(&self, transactions: usize) -> Zxid {
        zxid(self.base, transactions)
    }
}

/// The zxid of a transaction by its place, from 1 on.
fn zxid(base: i64, transactions: usize) -> Zxid {
    Zxid::from(base + i64::try_from(transactions).unwrap_or(i64::MAX - base))
}

/// A frame of an `int`, a `long` and an `int`, as every reply starts.
fn header(xid: i32, zxid: Zxid, err: i32) -> Writer {
    Writer::default().int(xid).long(zxid.number()).int(err)
}

#[cfg(test)]
mod tests;
