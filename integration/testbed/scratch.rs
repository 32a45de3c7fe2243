//! Directories for data and logs: gone when all went well, kept and named when not.
//!
//! # Decisions
//!
//! * Fixtures live in statics, which are never dropped, and a test run may be killed. One helper
//!   process therefore waits for our end on a pipe and removes what is left, unless a panic told
//!   it to keep the logs. A panic that a test expects counts too: nobody can tell them apart in
//!   time, so tests on the bed do not use `should_panic`.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::{panic, thread};

/// A directory of its own for whoever asks; removed on drop unless the dropping thread panics.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one whose name begins with `name`.
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = ROOT.path.join(format!("{name}-{number}"));
        fs::create_dir(&path).expect("the scratch root is ours");
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it and returns the path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).expect("a scratch directory takes files");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !thread::panicking() {
            // Whatever cannot be removed now is removed by the sweeper.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

static ROOT: LazyLock<Root> = LazyLock::new(Root::new);

struct Root {
    path: PathBuf,
    sweeper: Mutex<Option<ChildStdin>>,
}

impl Root {
    fn new() -> Self {
        let path = tempfile::Builder::new()
            .prefix("zoonet-bed-")
            .disable_cleanup(true)
            .tempdir()
            .expect("the temporary directory is writable")
            .path()
            .to_owned();
        let sweeper = Mutex::new(Some(sweep_after_us(&path)));
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            previous(info);
            ROOT.keep();
        }));
        Self { path, sweeper }
    }

    /// Calls the sweeper off, once, and says what is kept.
    fn keep(&self) {
        let sweeper = self
            .sweeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut sweeper) = sweeper {
            let _ = sweeper.write_all(b"keep\n");
            eprintln!("logs of the test bed are kept in {}", self.path.display());
        }
    }
}

/// Starts the helper that removes `root` when the pipe to us closes, however we end.
fn sweep_after_us(root: &Path) -> ChildStdin {
    let remove = r#"read -r word; [ "$word" = keep ] && exit
                    rm -rf -- "$0" 2>/dev/null || { sleep 1; rm -rf -- "$0"; }"#;
    Command::new("sh")
        .arg("-c")
        .arg(remove)
        .arg(root)
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("every Unix has sh")
        .stdin
        .take()
        .expect("it was asked for")
}
