//! What the system allows the process, and under whose name it runs.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

/// Opens as many files as the system lets it: a descriptor of a service that does not use
/// `select` needs no lower bound than the hard one.
pub(super) fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(?current, ?maximum, "limit of file descriptors raised"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors"),
    }
}

/// Whether a socket could not be had because the process, or the system, has too many files open.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Nothing here needs a privilege, so whoever breaks in should not find any.
pub(super) fn warn_of_root() {
    if geteuid().is_root() {
        tracing::warn!("running as root, which is never needed: run it as a user of its own");
    }
}
