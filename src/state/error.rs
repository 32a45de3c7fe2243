//! Why the leg table cannot be had or written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::wire::SessionId;

/// What could not be done with the leg table.
#[derive(Debug, Error)]
pub enum StateError {
    /// The directory is missing and cannot be created, or is none.
    #[error("cannot use the state directory {}: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Another process has the file open.
    #[error("another zoonet has {}: every sidecar needs a state directory of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Others can read session passwords, and their access cannot be taken away.
    #[error("{} has mode {mode:03o}, it holds session passwords, and setting 600 failed: {cause}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What the system says.
        cause: io::Error,
    },
    /// A leg is not on disk and must not be used.
    #[error(
        "cannot remember the leg of session {client} to {ensemble}: {cause}; new remote legs are refused until this is mended, home work goes on"
    )]
    NotRemembered {
        /// The client's session.
        client: SessionId,
        /// The leg's ensemble.
        ensemble: String,
        /// Why.
        cause: Arc<Cause>,
    },
    /// A leg may be found in the table after a restart though it is gone.
    #[error(
        "cannot forget legs of session {client}: {cause}; they go with the next change that can be written"
    )]
    NotForgotten {
        /// The client's session.
        client: SessionId,
        /// Why.
        cause: Arc<Cause>,
    },
}

/// Why the file cannot be written.
#[derive(Debug, Error)]
pub enum Cause {
    /// The system refuses.
    #[error("{doing} {} failed: {cause}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The store refuses.
    #[error("writing {} failed: {cause}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What it says.
        cause: Box<redb::Error>,
    },
    /// The store panicked, which it has said on standard error.
    #[error("writing {} failed: the store panicked", path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
    },
    /// The runtime ended first.
    #[error("zoonet is stopping")]
    Stopped,
}
