//! What a simulated server understands of a request.

use zoonet::wire::WireFault;
use zoonet::wire::jute::{Reader, Writer};
use zoonet::wire::multi::Operation;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::request::Request;

use super::tree::{Change, Tree};

/// One update, alone or in a multi.
#[derive(Clone, Debug)]
pub(super) enum Update {
    Create {
        path: String,
        data: Vec<u8>,
        /// Whether it goes with its session.
        kind: Kind,
    },
    Set {
        path: String,
        data: Vec<u8>,
        version: i32,
    },
    Delete {
        path: String,
        version: i32,
    },
    Check {
        path: String,
        version: i32,
    },
}

/// How long a created znode stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Persistent,
    Ephemeral,
}

impl Update {
    /// Reads the record of an update; `None` where this server knows no such update.
    pub(super) fn read(op: OpCode, reader: &mut Reader<'_>) -> Result<Option<Self>, WireFault> {
        let path = text(reader)?;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not listed is not known here"
        )]
        Ok(Some(match op {
            OpCode::Create | OpCode::Create2 => {
                let data = reader.buffer("data")?.unwrap_or_default().to_vec();
                reader.skip_acl()?;
                let kind = match reader.int("flags")? {
                    1 => Kind::Ephemeral,
                    _ => Kind::Persistent,
                };
                Self::Create { path, data, kind }
            }
            OpCode::SetData => {
                let data = reader.buffer("data")?.unwrap_or_default().to_vec();
                let version = reader.int("version")?;
                Self::Set {
                    path,
                    data,
                    version,
                }
            }
            OpCode::Delete => Self::Delete {
                path,
                version: reader.int("version")?,
            },
            OpCode::Check => Self::Check {
                path,
                version: reader.int("version")?,
            },
            _ => return Ok(None),
        }))
    }

    /// What it would do to this tree for a session.
    pub(super) fn judge(&self, tree: &Tree, session: i64) -> Result<Change, i32> {
        match self {
            Self::Create { path, data, kind } => {
                let owner = if *kind == Kind::Ephemeral { session } else { 0 };
                tree.create(path, data, owner)
            }
            Self::Set {
                path,
                data,
                version,
            } => tree.set(path, data, *version),
            Self::Delete { path, version } => tree.delete(path, *version),
            Self::Check { path, version } => tree.check(path, *version),
        }
    }

    /// Writes the record that tells how it went, read from the tree it has changed.
    pub(super) fn told(&self, op: OpCode, tree: &Tree, writer: Writer) -> Writer {
        match self {
            Self::Create { path, .. } => {
                let writer = writer.buffer(Some(path.as_bytes()));
                if op == OpCode::Create2 {
                    tree.stat(path, writer)
                } else {
                    writer
                }
            }
            Self::Set { path, .. } => tree.stat(path, writer),
            Self::Delete { .. } | Self::Check { .. } => writer,
        }
    }
}

/// The updates of a multi with their numbers; `None` where one is not known here.
pub(super) fn multi(request: &Request<'_>) -> Result<Option<Vec<(OpCode, Update)>>, WireFault> {
    let mut updates = Vec::new();
    for operation in request.operations() {
        let Operation { op, record, .. } = operation?;
        let mut reader = Reader::from(request.payload, record.start);
        let Some(update) = Update::read(op, &mut reader)? else {
            return Ok(None);
        };
        updates.push((op, update));
    }
    Ok(Some(updates))
}

/// The path a request names, and whether it wants to watch.
pub(super) fn watched(request: &Request<'_>) -> (String, Watching) {
    let path = String::from_utf8_lossy(request.path().unwrap_or_default()).into_owned();
    if request.may_arm_watch() {
        (path, Watching::Yes)
    } else {
        (path, Watching::No)
    }
}

/// Whether a read arms a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watching {
    Yes,
    No,
}

fn text(reader: &mut Reader<'_>) -> Result<String, WireFault> {
    let bytes = reader.buffer("path")?.unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
