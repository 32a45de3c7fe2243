//! HAProxy, the proxy that operators know: in TCP mode, a process of our own on a loopback port.

use std::env;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::testbed::launch::{self, Process};
use crate::testbed::ports;
use crate::testbed::scratch::Scratch;

const START: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_millis(5);

/// Connections it admits besides those of the load. It does not start where it could not have two
/// descriptors for each.
const SPARE: usize = 20;

/// How much HAProxy reads at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffers {
    /// Its default: 16 KiB.
    Stock,
    /// As much as the relay and zoonet: 64 KiB.
    Large,
}

/// A running HAProxy; dropping it kills it.
pub(crate) struct Haproxy {
    process: Process,
    address: SocketAddr,
    _scratch: Scratch,
}

impl Haproxy {
    /// Starts it in front of a server, for so many sessions at most.
    pub(crate) fn start(to: SocketAddr, sessions: usize, buffers: Buffers) -> anyhow::Result<Self> {
        let program = program()?;
        let scratch = Scratch::new("haproxy");
        let address = ports::reserve();
        let threads = thread::available_parallelism()?.get();
        let file = scratch.write(
            "haproxy.cfg",
            &configuration(address, to, threads, sessions + SPARE, buffers),
        );
        let mut command = launch::command(program);
        command.args(["-db", "-f"]).arg(file).stdin(Stdio::null());
        let started = Self {
            process: Process::spawn("haproxy", command),
            address,
            _scratch: scratch,
        };
        started.await_listening()?;
        Ok(started)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// It does not say when it listens.
    fn await_listening(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait() {
                bail!("haproxy has ended with {status}; what it said is above");
            }
            if Instant::now() > deadline {
                bail!("haproxy does not listen on {}", self.address);
            }
            thread::sleep(ASK_EVERY);
        }
        Ok(())
    }
}

/// As many threads as zoonet has; no delay is HAProxy's default in TCP mode.
fn configuration(
    listen: SocketAddr,
    to: SocketAddr,
    threads: usize,
    connections: usize,
    buffers: Buffers,
) -> String {
    let buffers = match buffers {
        Buffers::Stock => "",
        Buffers::Large => "    tune.bufsize 65536\n",
    };
    format!(
        "global\n    nbthread {threads}\n    maxconn {connections}\n{buffers}\
         defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 1h\n    \
         timeout server 1h\n\
         frontend clients\n    bind {listen} backlog 4096\n    default_backend home\n\
         backend home\n    server home {to}\n"
    )
}

/// The system's, or the one that integration/install took out of Debian's package.
fn program() -> anyhow::Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")));
    let ours = cache.map(|cache| cache.join("zoonet/haproxy"));
    ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]
        .into_iter()
        .map(PathBuf::from)
        .chain(ours)
        .find(|program| program.exists())
        .context("haproxy is missing: run integration/install --for measure")
}
