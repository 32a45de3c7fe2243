//! What the system allows the process, and others with its configuration.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::open_to_all;

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

/// Says that everybody may change the configuration, where that is so.
pub(super) fn warn_of_open_file(config: &Path) {
    if let Some(mode) = open_to_all(config) {
        let (config, mode) = (config.display(), format_args!("{mode:04o}"));
        tracing::warn!(%config, mode, "everybody can write this file, and so decide where clients of this host go");
    }
}
