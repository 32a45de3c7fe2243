//! Where the file is: a directory that is locked, a file that is private.
//!
//! # Decisions
//!
//! * A directory that others may write is warned of, and used: a volume that a cluster manager gives
//!   to one pod looks like that. Its permissions are left alone, as it may not be ours alone. The file
//!   is, so others' access to it is taken away.

use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::StateError;

/// The mode of the file: others have no business there.
pub(super) const PRIVATE: u32 = 0o600;

/// The directory, locked.
pub(super) fn open_directory(directory: &Path, path: &Path) -> Result<File, StateError> {
    let unusable = |cause| StateError::Directory {
        path: directory.to_owned(),
        cause,
    };
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {
            // A name that is lost in a crash is one more empty table; some parents are not ours to
            // open.
            directory.parent().map(sync_directory);
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(error)),
    }
    let handle = File::open(directory).map_err(unusable)?;
    let about = handle.metadata().map_err(unusable)?;
    if !about.is_dir() {
        return Err(unusable(io::ErrorKind::NotADirectory.into()));
    }
    if let Some(mode) = open_to_others(&about) {
        let (directory, mode) = (directory.display(), format_args!("{mode:04o}"));
        tracing::warn!(%directory, mode, "others can write the state directory, and so replace the leg table; expected 0700");
    }
    match handle.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StateError::InUse {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!(directory = %directory.display(), %error, "state directory cannot be locked, only its file");
        }
    }
    Ok(handle)
}

/// The permissions of a directory in which others may replace files: not where each may replace his
/// own only.
fn open_to_others(directory: &Metadata) -> Option<u32> {
    const STICKY: u32 = 0o1000;
    let mode = directory.permissions().mode() & 0o7777;
    (mode & 0o022 != 0 && mode & STICKY == 0).then_some(mode)
}

/// Takes others' access to the file away, if it is there.
pub(super) fn make_private(path: &Path) -> Result<(), StateError> {
    let unreadable = |cause| StateError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(unreadable)?,
    };
    if !metadata.is_file() {
        // A pipe, say, would keep us waiting.
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !PRIVATE == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(|cause| {
        StateError::Exposed {
            path: path.to_owned(),
            mode,
            cause,
        }
    })?;
    tracing::warn!(
        path = %path.display(), mode = format_args!("{mode:03o}"),
        "others had access to the leg table, which is taken away; they may know session passwords"
    );
    Ok(())
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
