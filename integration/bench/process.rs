//! Processes of the bench itself, and what any process has used up.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

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
    pub(crate) fn start(arguments: &[String]) -> Self {
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
        // Nanoseconds, unlike the clock ticks of /proc/PID/stat.
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        let nanoseconds = threads
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
            .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
            .sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        Self {
            cpu: Duration::from_nanos(nanoseconds),
            resident: resident * 1024,
        }
    }
}
