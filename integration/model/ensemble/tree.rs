//! The znodes and sessions of one server, or of the leader.

use std::collections::{BTreeMap, BTreeSet};

use super::Change;
use zoonet::wire::jute::Writer;
use zoonet::wire::{SessionId, Zxid, code};

/// Error codes only servers send.
pub(super) const BAD_VERSION: i32 = -103;
pub(super) const NODE_EXISTS: i32 = -110;

/// One znode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) data: Vec<u8>,
    pub(super) version: i32,
    created: Zxid,
    modified: Zxid,
    owner: SessionId,
}

impl Node {
    fn new(data: &[u8], owner: SessionId, zxid: Zxid) -> Self {
        Self {
            data: data.to_vec(),
            version: 0,
            created: zxid,
            modified: zxid,
            owner,
        }
    }

    /// Its Stat behind what is already written. Times, child counts and ACL versions stay 0.
    pub(super) fn stat(&self, writer: Writer) -> Writer {
        writer
            .long(self.created.number())
            .long(self.modified.number())
            .long(0)
            .long(0)
            .int(self.version)
            .int(0)
            .int(0)
            .long(self.owner.number())
            .count(self.data.len())
            .int(0)
            .long(self.created.number())
    }
}

/// Znodes and sessions after some transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    sessions: BTreeSet<SessionId>,
}

impl Tree {
    /// These znodes, without data.
    pub(super) fn with(nodes: &[&[u8]], zxid: Zxid) -> Self {
        let node = |path: &&[u8]| (path.to_vec(), Node::new(b"", SessionId::NONE, zxid));
        Self {
            nodes: nodes.iter().map(node).collect(),
            sessions: BTreeSet::new(),
        }
    }

    pub(super) fn node(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Whether a session is there.
    pub(super) fn knows(&self, session: SessionId) -> bool {
        self.sessions.contains(&session)
    }

    pub(super) fn apply(&mut self, change: &Change, zxid: Zxid) {
        match change {
            Change::SessionCreated(session) => {
                self.sessions.insert(*session);
            }
            Change::SessionEnded(session) => {
                self.sessions.remove(session);
                self.nodes.retain(|_, node| node.owner != *session);
            }
            Change::Created { path, data, owner } => {
                self.nodes
                    .insert(path.clone(), Node::new(data, *owner, zxid));
            }
            Change::DataSet { path, data } => {
                if let Some(node) = self.nodes.get_mut(path) {
                    node.data.clone_from(data);
                    node.version += 1;
                    node.modified = zxid;
                }
            }
            Change::Deleted { path } => {
                self.nodes.remove(path);
            }
            Change::Checked(_) | Change::Failed(_) => {}
        }
    }

    /// What becomes of a change the leader is asked for: a change, or an ordered failure.
    pub(super) fn judge(&self, change: Change, version: i32) -> Change {
        let known = |path: &[u8]| match self.nodes.get(path) {
            None => Some(code::NO_NODE),
            Some(node) if version >= 0 && version != node.version => Some(BAD_VERSION),
            Some(_) => None,
        };
        let failed = match &change {
            Change::Created { path, .. } => self.nodes.contains_key(path).then_some(NODE_EXISTS),
            Change::DataSet { path, .. } | Change::Deleted { path } => known(path),
            Change::SessionCreated(_)
            | Change::SessionEnded(_)
            | Change::Checked(_)
            | Change::Failed(_) => None,
        };
        failed.map_or(change, Change::Failed)
    }
}
