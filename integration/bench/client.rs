//! The load: sessions that keep a number of requests in flight, and what they saw.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::process::Usage;
use super::wire::{self, Intake};

/// What the load looks like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Requests each session has in flight.
    pub(crate) depth: usize,
    pub(crate) sessions: usize,
    /// Bytes of data per znode.
    pub(crate) value: usize,
    /// Percent.
    pub(crate) writes: usize,
}

impl Shape {
    /// The znode read and written; on the other ensemble the same below `/other`. Its size stands
    /// in its name, which is how the instant responder knows it.
    fn paths(&self) -> [String; 2] {
        ["", "/other"].map(|above| format!("{above}/bench-{}", self.value))
    }
}

/// How much load there is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    For(Duration),
    /// So many requests of each session.
    Requests(usize),
}

/// What all sessions together saw.
pub(crate) struct Outcome {
    /// Nanoseconds from a request to its reply.
    pub(crate) latency: Histogram<u64>,
    pub(crate) elapsed: Duration,
    /// Processor time of the load itself.
    pub(crate) cpu: Duration,
}

/// Sessions that are open.
pub(crate) struct Load {
    runtime: Runtime,
    sessions: Vec<Session>,
}

impl Load {
    /// Opens them. With `burst`, so many requests in turn go to each of two ensembles.
    pub(crate) fn open(
        address: SocketAddr,
        shape: &Shape,
        burst: Option<usize>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let sessions = runtime.block_on(async {
            let mut sessions = Vec::new();
            for _ in 0..shape.sessions {
                sessions.push(Session::open(address, shape, burst).await?);
            }
            anyhow::Ok(sessions)
        })?;
        Ok(Self { runtime, sessions })
    }

    /// Sends the load, then waits for the replies still owed.
    pub(crate) fn run(&mut self, amount: Amount) -> anyhow::Result<Outcome> {
        let latency = Arc::new(Mutex::new(Histogram::new(3)?));
        let (begun, before) = (Instant::now(), Usage::of_this_thread());
        let (until, requests) = match amount {
            Amount::For(duration) => (Some(begun + duration), usize::MAX),
            Amount::Requests(requests) => (None, requests),
        };
        let mut running = JoinSet::new();
        for mut session in self.sessions.drain(..) {
            session.left = requests;
            let run = session.run(until, Arc::clone(&latency));
            running.spawn_on(run, self.runtime.handle());
        }
        self.runtime.block_on(async {
            while let Some(ended) = running.join_next().await {
                self.sessions.push(ended??);
            }
            anyhow::Ok(())
        })?;
        let cpu = Usage::of_this_thread().saturating_sub(before);
        let elapsed = begun.elapsed();
        let latency = latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(Outcome {
            latency,
            elapsed,
            cpu,
        })
    }

    /// Ends the sessions.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            for mut session in self.sessions {
                wire::end(&mut session.stream).await?;
            }
            Ok(())
        })
    }
}

/// Creates what the load reads and writes.
pub(crate) fn prepare(server: SocketAddr, shape: &Shape) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let [home, _] = shape.paths();
    runtime.block_on(wire::create(server, &[&home], shape.value))
}

/// One client.
struct Session {
    stream: TcpStream,
    xid: i32,
    /// The requests, their numbers left open: reads and writes of home, then of the other.
    requests: [[Vec<u8>; 2]; 2],
    shape: Shape,
    burst: Option<usize>,
    /// Requests written, those still to be, and replies still owed, oldest first.
    count: usize,
    left: usize,
    owed: VecDeque<Instant>,
    intake: Intake,
}

impl Session {
    async fn open(
        address: SocketAddr,
        shape: &Shape,
        burst: Option<usize>,
    ) -> anyhow::Result<Self> {
        let requests = shape
            .paths()
            .map(|path| [wire::read_of(&path), wire::write_of(&path, shape.value)]);
        Ok(Self {
            stream: wire::connect(address).await?,
            xid: 1,
            requests,
            shape: shape.clone(),
            burst,
            count: 0,
            left: 0,
            owed: VecDeque::new(),
            intake: Intake::default(),
        })
    }

    async fn run(
        mut self,
        until: Option<Instant>,
        latency: Arc<Mutex<Histogram<u64>>>,
    ) -> anyhow::Result<Self> {
        let mut out = Vec::new();
        self.send(self.shape.depth, &mut out).await?;
        while !self.owed.is_empty() {
            let replies = self.intake.read(&mut self.stream).await?;
            let now = Instant::now();
            {
                let mut latency = latency.lock().unwrap_or_else(PoisonError::into_inner);
                for sent in self.owed.drain(..replies) {
                    let taken = now.duration_since(sent).as_nanos();
                    latency.record(u64::try_from(taken)?)?;
                }
            }
            if until.is_none_or(|until| now < until) {
                self.send(replies, &mut out).await?;
            }
        }
        Ok(self)
    }

    /// Sends the next requests, all with one write.
    async fn send(&mut self, requests: usize, out: &mut Vec<u8>) -> anyhow::Result<()> {
        out.clear();
        let requests = requests.min(self.left);
        self.left -= requests;
        for _ in 0..requests {
            let turn = self.burst.map_or(0, |burst| self.count / burst % 2);
            let kind = usize::from(self.count * self.shape.writes % 100 + self.shape.writes > 99);
            let template = self.requests.get(turn).and_then(|kinds| kinds.get(kind));
            wire::append(out, template.context("there are two of two")?, self.xid);
            self.xid = self.xid.checked_add(1).unwrap_or(1);
            self.count += 1;
        }
        let now = Instant::now();
        self.owed.extend(std::iter::repeat_n(now, requests));
        Ok(self.stream.write_all(out).await?)
    }
}
