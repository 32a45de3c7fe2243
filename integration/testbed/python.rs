//! Unmodified Python clients, run by the interpreter that has kazoo.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::launch::{self, Lines, Process};
use super::scratch::Scratch;

/// A script with its arguments, ready to run.
#[derive(Debug)]
pub(crate) struct Python {
    script: PathBuf,
    arguments: Vec<String>,
    scratch: Scratch,
}

impl Python {
    /// A script in the tree, by its path from `integration/`.
    pub(crate) fn file(path: impl AsRef<Path>) -> Self {
        Self {
            script: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("integration")
                .join(path),
            arguments: Vec::new(),
            scratch: Scratch::new("python"),
        }
    }

    /// A script given as text.
    pub(crate) fn text(text: &str) -> Self {
        let scratch = Scratch::new("python");
        Self {
            script: scratch.write("script.py", text),
            arguments: Vec::new(),
            scratch,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// Adds several arguments.
    pub(crate) fn args<T: ToString>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.to_string()));
        self
    }

    /// Runs it to its end and returns what it printed; panics with all output if it fails.
    pub(crate) fn run(self, within: Duration) -> String {
        let deadline = Instant::now() + within;
        let running = self.start();
        running.close_stdin();
        let mut printed = String::new();
        while let Some(line) = running.line(deadline.saturating_duration_since(Instant::now())) {
            printed.push_str(&line);
            printed.push('\n');
        }
        let status = running
            .process
            .wait(deadline.saturating_duration_since(Instant::now()));
        match status {
            Some(status) if status.success() => printed,
            Some(status) => panic!("{status}; {}", running.report(&printed)),
            None => panic!(
                "still running after {within:?}; {}",
                running.report(&printed)
            ),
        }
    }

    /// Starts it, for a test that talks with it or kills it.
    pub(crate) fn start(self) -> Running {
        let errors = self.scratch.path().join("stderr");
        let mut python = launch::command(interpreter());
        python
            .arg(&self.script)
            .args(&self.arguments)
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).expect("the scratch directory is ours"));
        let process = Process::spawn("python", python);
        let output = process.take_stdout().expect("it was asked for");
        Running {
            stdin: Mutex::new(process.take_stdin()),
            lines: Lines::of(output, |_| {}),
            errors,
            process,
            script: self,
        }
    }
}

/// A script under way; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    process: Process,
    stdin: Mutex<Option<ChildStdin>>,
    lines: Lines,
    errors: PathBuf,
    script: Python,
}

impl Running {
    /// The next line it prints, or `None` if none comes within that time or ever.
    pub(crate) fn line(&self, within: Duration) -> Option<String> {
        self.lines.next(within)
    }

    /// Waits for a line that begins so and returns the rest of it; panics if none comes.
    pub(crate) fn expect(&self, prefix: &str, within: Duration) -> String {
        self.lines
            .after(prefix, within)
            .unwrap_or_else(|| panic!("no line \"{prefix}…\"; {}", self.report("")))
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&self, line: &str) {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let said = stdin.as_mut().map(|stdin| writeln!(stdin, "{line}"));
        assert!(
            matches!(said, Some(Ok(()))),
            "it does not listen any more; {}",
            self.report("")
        );
    }

    /// Ends its standard input.
    pub(crate) fn close_stdin(&self) {
        self.stdin
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// The process itself, to signal or to await.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// All it wrote to its standard error so far.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_else(|error| error.to_string())
    }

    fn report(&self, printed: &str) -> String {
        format!(
            "{} {:?} printed:\n{printed}and on stderr:\n{}",
            self.script.script.display(),
            self.script.arguments,
            self.errors(),
        )
    }
}

/// A program that came with a Python package.
pub(crate) fn program(name: &str) -> PathBuf {
    interpreter().with_file_name(name)
}

/// The interpreter `integration/install` prepared.
fn interpreter() -> PathBuf {
    prepared("venv/bin/python")
}

/// A program that `integration/install` prepared, by its path in the cache.
pub(crate) fn prepared(path: &str) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")));
    let program = cache
        .expect("a user has a home directory")
        .join("zoonet")
        .join(path);
    assert!(
        program.exists(),
        "{} is missing: run integration/install",
        program.display()
    );
    program
}
