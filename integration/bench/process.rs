//! Processes of the bench itself, and what any process has used up.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::variant::Servers;
use crate::testbed::launch::{self, Lines, Process};

const START: Duration = Duration::from_secs(10);

/// This program again, with another task.
pub(crate) struct Helper {
    process: Process,
    /// Where it listens; a relay has one address, given twice.
    pub(crate) addresses: [SocketAddr; 2],
}

impl Helper {
    /// Starts it and waits until it listens.
    fn start(arguments: &[String]) -> Self {
        let program = env::current_exe().expect("a running program has a file");
        let mut command = launch::command(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let process = Process::spawn(arguments.join(" "), command);
        let output = process.take_stdout().expect("it was asked for");
        let lines = Lines::of(output, |_| {});
        let next = || {
            let port = lines.after("port ", START).expect("a helper listens");
            SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().expect("a port")))
        };
        let addresses = [next(), next()];
        Self { process, addresses }
    }

    /// The instant responder.
    pub(crate) fn responder() -> Self {
        Self::start(&["responder".to_owned()])
    }

    /// A raw relay to a server.
    pub(crate) fn relay(to: SocketAddr) -> Self {
        Self::start(&["relay".to_owned(), to.to_string()])
    }

    /// Where a responder serves, as two ensembles.
    pub(crate) fn servers(&self) -> Servers {
        let [home, other] = self.addresses;
        let other = Some(other);
        Servers { home, other }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }
}

/// What a process has used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Time on a processor, user and kernel, all threads that still run.
    pub(crate) cpu: Duration,
    /// Bytes of resident memory.
    pub(crate) resident: u64,
}

impl Usage {
    /// Reads it; a process that is gone has used nothing.
    pub(crate) fn of(pid: i32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        let cpu = threads
            .into_iter()
            .flatten()
            .flatten()
            .map(|thread| scheduled(&thread.path()))
            .sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        Self {
            cpu,
            resident: resident * 1024,
        }
    }

    /// Processor time of the calling thread.
    pub(crate) fn of_this_thread() -> Duration {
        scheduled(Path::new("/proc/thread-self"))
    }
}

/// How long a thread was on a processor: in nanoseconds, unlike the clock ticks of `stat`.
fn scheduled(thread: &Path) -> Duration {
    let line = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let first = line.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}
