//! The znodes of a simulated ensemble: what an update does to them, or why it does nothing.

use std::collections::BTreeMap;
use std::ops::Bound;

use zoonet::wire::code;
use zoonet::wire::jute::Writer;

/// The znode is there already; a code only servers need.
pub(super) const NODE_EXISTS: i32 = -110;
/// Ephemerals have no children.
pub(super) const NO_CHILDREN: i32 = -108;
/// Another version is there than the one named.
pub(super) const BAD_VERSION: i32 = -103;

/// What a znode holds.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) data: Vec<u8>,
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) pzxid: i64,
    pub(super) version: i32,
    pub(super) cversion: i32,
    /// The session it goes with, or 0.
    pub(super) owner: i64,
}

/// A change that was found possible.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create {
        path: String,
        data: Vec<u8>,
        owner: i64,
    },
    Set {
        path: String,
        data: Vec<u8>,
    },
    Delete {
        path: String,
    },
    /// Nothing changes, and yet it was looked at in order.
    Check,
}

/// The kind of a watch event, as on the wire, and the znode.
pub(super) type Fired = (i32, String);

/// All znodes of an ensemble, as of one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// The root and these directories below it.
    pub(super) fn new(directories: &[String]) -> Self {
        let mut tree = Self::default();
        let node = Node {
            data: Vec::new(),
            czxid: 0,
            mzxid: 0,
            pzxid: 0,
            version: 0,
            cversion: 0,
            owner: 0,
        };
        tree.nodes.insert("/".to_owned(), node.clone());
        for directory in directories {
            let mut end = 0;
            while let Some(next) = directory.get(end + 1..).and_then(|rest| rest.find('/')) {
                end += 1 + next;
                let above = directory.get(..end).unwrap_or_default();
                tree.nodes.insert(above.to_owned(), node.clone());
            }
            tree.nodes.insert(directory.clone(), node.clone());
        }
        tree
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// All ephemerals with their owners.
    pub(super) fn ephemerals(&self) -> impl Iterator<Item = (&str, i64)> {
        let owned = self.nodes.iter().filter(|(_, node)| node.owner != 0);
        owned.map(|(path, node)| (path.as_str(), node.owner))
    }

    /// The names of a znode's children.
    pub(super) fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        self.nodes
            .range::<String, _>((Bound::Excluded(&prefix), Bound::Unbounded))
            .map_while(|(path, _)| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    /// Whether a znode may be created.
    pub(super) fn create(&self, path: &str, data: &[u8], owner: i64) -> Result<Change, i32> {
        let above = self.nodes.get(parent(path)).ok_or(code::NO_NODE)?;
        if self.nodes.contains_key(path) {
            return Err(NODE_EXISTS);
        }
        if above.owner != 0 {
            return Err(NO_CHILDREN);
        }
        Ok(Change::Create {
            path: path.to_owned(),
            data: data.to_vec(),
            owner,
        })
    }

    /// Whether a znode's data may be replaced.
    pub(super) fn set(&self, path: &str, data: &[u8], version: i32) -> Result<Change, i32> {
        self.check(path, version)?;
        Ok(Change::Set {
            path: path.to_owned(),
            data: data.to_vec(),
        })
    }

    /// Whether a znode may be deleted.
    pub(super) fn delete(&self, path: &str, version: i32) -> Result<Change, i32> {
        self.check(path, version)?;
        if !self.children(path).is_empty() {
            return Err(code::NOT_EMPTY);
        }
        Ok(Change::Delete {
            path: path.to_owned(),
        })
    }

    /// Whether a znode has this version; −1 is any.
    pub(super) fn check(&self, path: &str, version: i32) -> Result<Change, i32> {
        let node = self.nodes.get(path).ok_or(code::NO_NODE)?;
        if version != -1 && version != node.version {
            return Err(BAD_VERSION);
        }
        Ok(Change::Check)
    }

    /// Does it; which watches fire over it, in order.
    pub(super) fn apply(&mut self, zxid: i64, change: &Change) -> Vec<Fired> {
        match change {
            Change::Create { path, data, owner } => {
                let node = Node {
                    data: data.clone(),
                    czxid: zxid,
                    mzxid: zxid,
                    pzxid: zxid,
                    version: 0,
                    cversion: 0,
                    owner: *owner,
                };
                self.nodes.insert(path.clone(), node);
                vec![(1, path.clone()), self.child_changed(zxid, path)]
            }
            Change::Set { path, data } => {
                if let Some(node) = self.nodes.get_mut(path) {
                    node.data.clone_from(data);
                    node.mzxid = zxid;
                    node.version += 1;
                }
                vec![(3, path.clone())]
            }
            Change::Delete { path } => {
                self.nodes.remove(path);
                vec![(2, path.clone()), self.child_changed(zxid, path)]
            }
            Change::Check => Vec::new(),
        }
    }

    fn child_changed(&mut self, zxid: i64, path: &str) -> Fired {
        let above = parent(path);
        if let Some(node) = self.nodes.get_mut(above) {
            node.pzxid = zxid;
            node.cversion += 1;
        }
        (4, above.to_owned())
    }

    /// Writes the Stat of a znode behind what is there.
    pub(super) fn stat(&self, path: &str, writer: Writer) -> Writer {
        let Some(node) = self.nodes.get(path) else {
            return writer;
        };
        writer
            .long(node.czxid)
            .long(node.mzxid)
            .long(0)
            .long(0)
            .int(node.version)
            .int(node.cversion)
            .int(0)
            .long(node.owner)
            .count(node.data.len())
            .count(self.children(path).len())
            .long(node.pzxid)
    }
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => path.get(..at).unwrap_or("/"),
    }
}
