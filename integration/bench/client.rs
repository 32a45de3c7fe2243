//! The load: sessions that keep a number of requests in flight, and what they saw.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use zoonet::wire::connect::{ConnectRequest, ConnectResponse};
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::{SessionId, Zxid};

/// The znode read and written; on the other ensemble the same below `/other`.
const PATH: &str = "/bench";
const OTHER: &str = "/other/bench";

/// Long enough that no session needs a ping while it is measured.
const TIMEOUT: i32 = 30_000;

/// Bytes of a reply's length and header.
const HEADER: usize = 20;

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

/// What all sessions together saw.
pub(crate) struct Outcome {
    /// Nanoseconds from a request to its reply.
    pub(crate) latency: Histogram<u64>,
    pub(crate) elapsed: Duration,
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

    /// Sends the load for a while, then waits for the replies still owed.
    pub(crate) fn run(&mut self, duration: Duration) -> anyhow::Result<Outcome> {
        let begun = Instant::now();
        let until = begun + duration;
        let mut running = JoinSet::new();
        for session in self.sessions.drain(..) {
            running.spawn_on(session.run(until), self.runtime.handle());
        }
        let mut latency = Histogram::new(3)?;
        self.runtime.block_on(async {
            while let Some(ended) = running.join_next().await {
                let (session, seen) = ended??;
                latency.add(seen)?;
                self.sessions.push(session);
            }
            anyhow::Ok(())
        })?;
        Ok(Outcome {
            latency,
            elapsed: begun.elapsed(),
        })
    }

    /// Ends the sessions.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            for mut session in self.sessions {
                let close = Writer::default()
                    .int(session.xid)
                    .int(OpCode::CloseSession.number());
                session.stream.write_all(&close.finish()).await?;
            }
            Ok(())
        })
    }
}

/// Creates what the load reads and writes.
pub(crate) fn prepare(server: SocketAddr, value: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut stream, _) = connect(server).await?;
        let create = Writer::default()
            .int(1)
            .int(OpCode::Create.number())
            .buffer(Some(PATH.as_bytes()))
            .buffer(Some(&vec![b'v'; value]))
            .count(1)
            .int(31)
            .buffer(Some(b"world"))
            .buffer(Some(b"anyone"))
            .int(0);
        stream.write_all(&create.finish()).await?;
        let reply = read_frame(&mut stream).await?;
        ensure!(
            reply.get(12..16) == Some(&[0; 4]),
            "the znode was not created"
        );
        Ok(())
    })
}

/// One client.
struct Session {
    stream: TcpStream,
    xid: i32,
    /// The requests, their numbers left open: reads and writes of home, then of the other.
    requests: [[Vec<u8>; 2]; 2],
    shape: Shape,
    burst: Option<usize>,
    /// Requests written and replies still owed, oldest first.
    count: usize,
    owed: VecDeque<Instant>,
    intake: Intake,
}

impl Session {
    async fn open(
        address: SocketAddr,
        shape: &Shape,
        burst: Option<usize>,
    ) -> anyhow::Result<Self> {
        let (stream, _) = connect(address).await?;
        let requests = [PATH, OTHER].map(|path| [read_of(path), write_of(path, shape.value)]);
        Ok(Self {
            stream,
            xid: 1,
            requests,
            shape: shape.clone(),
            burst,
            count: 0,
            owed: VecDeque::new(),
            intake: Intake::default(),
        })
    }

    async fn run(mut self, until: Instant) -> anyhow::Result<(Self, Histogram<u64>)> {
        let mut latency = Histogram::new(3)?;
        let mut out = Vec::new();
        self.send(self.shape.depth, &mut out).await?;
        while !self.owed.is_empty() {
            let replies = self.intake.read(&mut self.stream).await?;
            let now = Instant::now();
            for sent in self.owed.drain(..replies) {
                let taken = now.duration_since(sent).as_nanos();
                latency.record(u64::try_from(taken)?)?;
            }
            if now < until {
                self.send(replies, &mut out).await?;
            }
        }
        Ok((self, latency))
    }

    /// Sends the next requests, all with one write.
    async fn send(&mut self, requests: usize, out: &mut Vec<u8>) -> anyhow::Result<()> {
        out.clear();
        for _ in 0..requests {
            let turn = self.burst.map_or(0, |burst| self.count / burst % 2);
            let kind = usize::from(self.count * self.shape.writes % 100 + self.shape.writes > 99);
            let template = self.requests.get(turn).and_then(|kinds| kinds.get(kind));
            let start = out.len();
            out.extend_from_slice(template.context("there are two of two")?);
            if let Some(xid) = out.get_mut(start + PREFIX..start + 2 * PREFIX) {
                xid.copy_from_slice(&self.xid.to_be_bytes());
            }
            self.xid = self.xid.checked_add(1).unwrap_or(1);
            self.count += 1;
        }
        let now = Instant::now();
        self.owed.extend(std::iter::repeat_n(now, requests));
        Ok(self.stream.write_all(out).await?)
    }
}

fn read_of(path: &str) -> Vec<u8> {
    Writer::default()
        .int(0)
        .int(OpCode::GetData.number())
        .buffer(Some(path.as_bytes()))
        .bool(false)
        .finish()
}

fn write_of(path: &str, value: usize) -> Vec<u8> {
    Writer::default()
        .int(0)
        .int(OpCode::SetData.number())
        .buffer(Some(path.as_bytes()))
        .buffer(Some(&vec![b'v'; value]))
        .int(-1)
        .finish()
}

async fn connect(address: SocketAddr) -> anyhow::Result<(TcpStream, SessionId)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = ConnectRequest {
        last_zxid_seen: Zxid::NONE,
        timeout: TIMEOUT,
        session: SessionId::NONE,
        password: vec![0; 16],
        read_only: Some(false),
    };
    stream.write_all(&request.frame()).await?;
    match ConnectResponse::parse(&read_frame(&mut stream).await?)? {
        ConnectResponse::Granted(credentials) => Ok((stream, credentials.session)),
        ConnectResponse::Refused => anyhow::bail!("the session was refused"),
    }
}

async fn read_frame(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_i32().await?)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(payload)
}

/// Counts replies; what is in them is looked at no further than their error.
struct Intake {
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes to come of a reply whose header was seen.
    skip: usize,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            buffer: vec![0; 256 * 1024],
            filled: 0,
            skip: 0,
        }
    }
}

impl Intake {
    /// Reads once; how many replies that completed.
    async fn read(&mut self, stream: &mut TcpStream) -> anyhow::Result<usize> {
        let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let read = stream.read(space).await?;
        ensure!(read > 0, "the connection was closed");
        self.filled += read;
        let mut replies = 0;
        let mut at = 0;
        loop {
            let left = self.filled - at;
            let skipped = self.skip.min(left);
            at += skipped;
            if self.skip > 0 {
                self.skip -= skipped;
                replies += usize::from(self.skip == 0);
            }
            let Some(header) = self
                .buffer
                .get(at..self.filled)
                .and_then(|rest| rest.first_chunk::<HEADER>())
            else {
                break;
            };
            let [a, b, c, d, .., e, f, g, h] = *header;
            let err = i32::from_be_bytes([e, f, g, h]);
            ensure!(err == 0, "a request was answered with error {err}");
            self.skip = PREFIX + usize::try_from(i32::from_be_bytes([a, b, c, d]))?;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(replies)
    }
}
