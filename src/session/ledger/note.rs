//! What a request will do to the ledger, kept until its reply says whether it did.

use super::ENTRY;
use crate::wire::opcode::{OpCode, Target};
use crate::wire::request::Request;

/// What a request does to the ledger if it succeeds; kept until its reply comes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::session) enum Note {
    /// It arms a data watch, or one for a missing znode.
    Watch { op: OpCode, path: Vec<u8> },
    /// It arms a persistent or recursive watch.
    AddWatch { path: Vec<u8>, mode: i32 },
    /// It arms watches again: the setWatches of this number.
    SetWatches { batch: u32 },
    /// It removes watches of this type.
    RemoveWatches { path: Vec<u8>, kind: i32 },
    /// It creates an ephemeral.
    Ephemeral,
    /// It deletes a znode.
    Delete { path: Vec<u8> },
    /// Which of its operations create ephemerals, and which paths it deletes.
    Multi {
        ephemerals: Vec<usize>,
        deletes: Vec<Vec<u8>>,
    },
}

impl Note {
    /// What has to be remembered of a request.
    pub(in crate::session) fn of(request: &Request<'_>) -> Option<Self> {
        let path = || request.path().map(<[u8]>::to_vec);
        match request.op.shape().target {
            Target::Created => request.is_ephemeral().then_some(Self::Ephemeral),
            Target::Deleted => Some(Self::Delete { path: path()? }),
            Target::Multi if request.op == OpCode::Multi => Self::of_multi(request),
            Target::Subtree if request.op == OpCode::AddWatch => Some(Self::AddWatch {
                path: path()?,
                mode: request.number_after_path()?,
            }),
            Target::Subtree if request.op == OpCode::RemoveWatches => Some(Self::RemoveWatches {
                path: path()?,
                kind: request.number_after_path()?,
            }),
            Target::Path if request.may_arm_watch() => Some(Self::Watch {
                op: request.op,
                path: path()?,
            }),
            Target::Path
            | Target::Multi
            | Target::Subtree
            | Target::WatchLists(_)
            | Target::Owned
            | Target::Home
            | Target::Everywhere
            | Target::Ping
            | Target::Close
            | Target::Nowhere => None,
        }
    }

    /// Bytes of the client's that are kept until its reply comes, roughly.
    pub(in crate::session) fn bytes(&self) -> usize {
        match self {
            Self::Watch { path, .. }
            | Self::AddWatch { path, .. }
            | Self::RemoveWatches { path, .. }
            | Self::Delete { path } => path.len(),
            Self::SetWatches { .. } | Self::Ephemeral => 0,
            Self::Multi {
                ephemerals,
                deletes,
            } => {
                let paths: usize = deletes.iter().map(|path| path.len() + ENTRY).sum();
                paths + size_of_val(ephemerals.as_slice())
            }
        }
    }

    fn of_multi(request: &Request<'_>) -> Option<Self> {
        let (mut ephemerals, mut deletes) = (Vec::new(), Vec::new());
        for (index, operation) in request.operations().flatten().enumerate() {
            if operation.ephemeral {
                ephemerals.push(index);
            } else if let (OpCode::Delete, Some(path)) = (operation.op, operation.path) {
                deletes.push(path.to_vec());
            }
        }
        let any = !ephemerals.is_empty() || !deletes.is_empty();
        any.then_some(Self::Multi {
            ephemerals,
            deletes,
        })
    }
}
