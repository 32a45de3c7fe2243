//! Processes that cannot outlive us: each is killed when dropped, and by the kernel if we die.
//!
//! # Decisions
//!
//! * The kernel's half is the parent-death signal, set by util-linux' `setpriv` because the crate
//!   forbids unsafe code. That signal is bound to the *thread* which spawned, and test threads end
//!   early: all spawning is done by one thread that lives as long as the process.
//! * Each process leads its own group, so that Ctrl-C on the terminal reaches us alone and we
//!   decide in which order things end.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};

/// A command for `program` that [`Process::spawn`] ties to our life.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .process_group(0);
    command
}

/// A running or ended child; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Child>,
}

impl Process {
    /// Starts what [`command`] made; panics if the program cannot be run at all.
    pub(crate) fn spawn(name: impl Into<String>, command: Command) -> Self {
        let name = name.into();
        let child =
            launch(command).unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("the kernel's process ids are positive");
        Self {
            name,
            pid,
            child: Mutex::new(child),
        }
    }

    /// The kernel's number for it, which stays its own until this value is dropped.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Its standard input, if the command asked for a pipe and nobody took it yet.
    pub(crate) fn take_stdin(&self) -> Option<ChildStdin> {
        self.child().stdin.take()
    }

    /// Its standard output, if the command asked for a pipe and nobody took it yet.
    pub(crate) fn take_stdout(&self) -> Option<ChildStdout> {
        self.child().stdout.take()
    }

    /// Sends a signal; an ended process does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = self.child();
        // The child is not reaped while its exit status is unknown to us, so the number is its own.
        if matches!(child.try_wait(), Ok(None)) {
            kill_process(self.pid, signal)
                .unwrap_or_else(|error| panic!("{} takes no signal: {error}", self.name));
        }
    }

    /// Stops it and waits until all its threads stand still; [`Signal::CONT`] lets it go on.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        // Looks without taking: stopping twice is fine, and its exit is for `try_wait` to take.
        let still = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // An error means that its exit was taken before: it stands still for good.
        let _ = waitid(WaitId::Pid(self.pid), still);
    }

    /// How it ended, or `None` if it still runs after `within`.
    pub(crate) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.try_wait() {
                return Some(status);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let handle = pidfd_open(self.pid, PidfdFlags::empty()).expect("it is not reaped yet");
            let left = Timespec::try_from(left).expect("a test's patience fits into a timespec");
            match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("cannot wait for {}: {error}", self.name),
            }
        }
    }

    /// How it ended, if it did.
    pub(crate) fn try_wait(&self) -> Option<ExitStatus> {
        self.child()
            .try_wait()
            .unwrap_or_else(|error| panic!("cannot wait for {}: {error}", self.name))
    }

    /// Ends it the hard way and waits until it is gone.
    pub(crate) fn kill(&self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.child()
            .wait()
            .unwrap_or_else(|_| ExitStatus::from_raw(Signal::KILL.as_raw()))
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process prints, a line at a time, so that a test can await a word of it.
#[derive(Debug)]
pub(crate) struct Lines {
    received: Mutex<Receiver<String>>,
}

impl Lines {
    /// Reads `output` on its own thread until it ends; `copy` sees each line as well.
    pub(crate) fn of(
        output: impl Read + Send + 'static,
        mut copy: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                copy(&line);
                // Nobody listening is no reason to stop reading: the process would block.
                let _ = sender.send(line);
            }
        });
        Self {
            received: Mutex::new(receiver),
        }
    }

    /// The next line, or `None` if none comes within that time or ever.
    pub(crate) fn next(&self, within: Duration) -> Option<String> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(within)
            .ok()
    }

    /// What follows `prefix` on the first line that has it; other lines are passed over.
    pub(crate) fn after(&self, prefix: &str, within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        loop {
            let line = self.next(deadline.saturating_duration_since(Instant::now()))?;
            if let Some(rest) = line.strip_prefix(prefix) {
                return Some(rest.to_owned());
            }
        }
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// Spawns on the one thread that never ends before the process does.
fn launch(command: Command) -> io::Result<Child> {
    static LAUNCHER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(move || {
                for (mut command, reply) in orders {
                    // The one who ordered waits below and cannot be gone.
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a thread can be had at start-up");
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    LAUNCHER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .expect("the launcher never ends");
    answer.recv().expect("the launcher answers every order")
}
