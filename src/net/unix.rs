//! Unix sockets that clients connect to.
//!
//! # Decisions
//!
//! * A socket is bound under a name nobody knows, gets its permissions, begins to listen, and only
//!   then gets its own name, in one step: nobody meets it half made, and what is left by a process
//!   that was killed is replaced. Where something answers already, that is an error.
//! * Who is at the other end is not asked for. Whom the permissions let in may do what the host may,
//!   as over the loopback address.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::timeout;

/// Clients that may wait to be accepted; what tokio has for TCP.
const BACKLOG: u32 = 1_024;

/// How long whoever may listen already has for taking a connection.
const LIFE_SIGN: Duration = Duration::from_secs(1);

/// A Unix socket that listens. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct UnixPlace {
    listener: UnixListener,
    path: PathBuf,
    file: FileId,
}

/// Tells a file from another one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl UnixPlace {
    /// Listens on `path`, whose permissions will be `mode`.
    ///
    /// # Errors
    /// If something listens there, or is there and is no socket; if the folder is not there or must
    /// not be written to.
    pub async fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        make_room(path).await?;
        let mut unnamed = path.as_os_str().to_owned();
        unnamed.push(format!(".{}", std::process::id()));
        let unnamed = PathBuf::from(unnamed);
        match std::fs::remove_file(&unnamed) {
            // Of an earlier process that had this number.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let made = name(&unnamed, path, mode);
        if made.is_err() {
            // There may be nothing to remove.
            let _ = std::fs::remove_file(&unnamed);
        }
        made
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next client.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        let (stream, _) = ready!(self.listener.poll_accept(cx))?;
        Poll::Ready(Ok(stream))
    }
}

impl Drop for UnixPlace {
    fn drop(&mut self) {
        // Somebody else may have taken the place.
        if FileId::of(&self.path).is_ok_and(|file| file == self.file)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let about = std::fs::symlink_metadata(path)?;
        Ok(Self {
            device: about.dev(),
            inode: about.ino(),
        })
    }
}

/// Finds out that nobody listens here.
async fn make_room(path: &Path) -> io::Result<()> {
    let about = match std::fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !about.file_type().is_socket() {
        let words = "there is a file of that name, and it is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
    }
    match timeout(LIFE_SIGN, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // Removed just now.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Also where it has so many to take that we would have to wait.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn name(unnamed: &Path, path: &Path, mode: u32) -> io::Result<UnixPlace> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(unnamed)?;
    // Nobody can connect before it listens.
    std::fs::set_permissions(unnamed, std::fs::Permissions::from_mode(mode))?;
    let listener = socket.listen(BACKLOG)?;
    std::fs::rename(unnamed, path)?;
    Ok(UnixPlace {
        listener,
        path: path.to_owned(),
        file: FileId::of(path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    /// What is in the folder.
    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn it_has_its_permissions_and_is_gone_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zk.sock");
        for permissions in [0o600, 0o660, 0o666] {
            let place = UnixPlace::bind(&path, permissions).await.unwrap();
            assert_eq!(mode(&path), permissions);
            assert_eq!(names(folder.path()), ["zk.sock"]);
            drop(place);
            assert_eq!(names(folder.path()), [""; 0]);
        }
    }

    #[tokio::test]
    async fn a_live_one_is_an_error_and_a_dead_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zk.sock");
        let live = UnixPlace::bind(&path, 0o600).await.unwrap();
        let error = UnixPlace::bind(&path, 0o600).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(names(folder.path()), ["zk.sock"], "the live one stays");
        drop(live);

        // What a killed process leaves.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(names(folder.path()), ["zk.sock"]);
        let next = UnixPlace::bind(&path, 0o600).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        drop(next);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, "precious").unwrap();
        let error = UnixPlace::bind(&path, 0o600).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let error = UnixPlace::bind(&folder.path().join("none/zk.sock"), 0o600).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn the_socket_of_another_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zk.sock");
        let first = UnixPlace::bind(&path, 0o600).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = UnixPlace::bind(&path, 0o600).await.unwrap();
        drop(first);
        UnixStream::connect(&path).await.unwrap();
        drop(second);
    }
}
