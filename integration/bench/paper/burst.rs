//! A client of the experiment: a closed loop of bursts, each of which goes to one ensemble.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fastrand::Rng;
use hdrhistogram::Histogram;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::PATHS;
use crate::wire::{self, Intake};

/// Bytes of data per znode.
pub(super) const VALUE: usize = 16;

/// The znode of this number.
pub(super) fn znode(top: &str, number: usize) -> String {
    format!("{top}/{number}")
}

/// Operations of a burst, pipelined.
const BURST: usize = 25;

/// What bursts are like, and which they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    /// Percent of bursts.
    pub(super) local: u8,
    /// Percent of operations.
    pub(super) reads: u8,
    /// Of each ensemble, read and written equally often.
    pub(super) znodes: usize,
    pub(super) seed: u64,
}

/// Who sees to it that ensembles are consistent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discipline {
    /// Whoever serves: one connection for everything.
    Served,
    /// This client, by the rule: a burst waits for the one before it, and a read that comes first
    /// after a switch has a sync in front of it, pipelined.
    Rule,
    /// Nobody: a burst waits only for the one before it on the same ensemble.
    None,
}

/// What a client saw.
pub(super) struct Seen {
    pub(super) operations: usize,
    /// From its first request to its last reply.
    pub(super) elapsed: Duration,
    /// Of whole bursts, in nanoseconds.
    pub(super) latency: Histogram<u64>,
}

/// One client.
pub(super) struct Client {
    connections: Vec<Connection>,
    /// Where it is: the index of its home among the paths.
    region: usize,
    discipline: Discipline,
    mix: Mix,
    chance: Rng,
    /// The ensemble of the last burst.
    at: usize,
    seen: Seen,
}

/// A session, on which one burst at a time is outstanding.
struct Connection {
    server: SocketAddr,
    stream: TcpStream,
    intake: Intake,
    xid: i32,
    owed: usize,
    begun: Instant,
}

impl Client {
    /// Opens its sessions and makes one burst to each ensemble, so that all it needs is there.
    pub(super) async fn open(
        servers: &[SocketAddr],
        region: usize,
        discipline: Discipline,
        mix: Mix,
    ) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for server in servers {
            connections.push(Connection {
                server: *server,
                stream: wire::connect(*server).await?,
                intake: Intake::default(),
                xid: 1,
                owed: 0,
                begun: Instant::now(),
            });
        }
        let mut client = Self {
            connections,
            region,
            discipline,
            mix,
            chance: Rng::with_seed(mix.seed),
            at: region,
            seen: Seen {
                operations: 0,
                elapsed: Duration::ZERO,
                latency: Histogram::new(3)?,
            },
        };
        for ensemble in [1 - region, region] {
            client.burst(ensemble, &[false; BURST]).await?;
        }
        client.finish().await?;
        client.seen.operations = 0;
        client.seen.latency.reset();
        Ok(client)
    }

    /// Burst after burst.
    pub(super) async fn run(mut self, until: Instant) -> anyhow::Result<Seen> {
        let begun = Instant::now();
        while Instant::now() < until {
            let is_local = self.chance.u8(..100) < self.mix.local;
            let ensemble = if is_local {
                self.region
            } else {
                1 - self.region
            };
            let writes = [(); BURST].map(|()| self.chance.u8(..100) >= self.mix.reads);
            self.burst(ensemble, &writes).await?;
        }
        self.finish().await?;
        self.seen.elapsed = begun.elapsed();
        for connection in &mut self.connections {
            wire::end(&mut connection.stream).await?;
        }
        Ok(self.seen)
    }

    /// Sends a burst once what it has to wait for is done.
    async fn burst(&mut self, ensemble: usize, writes: &[bool; BURST]) -> anyhow::Result<()> {
        let by = self.connection_to(ensemble);
        match self.discipline {
            Discipline::Served | Discipline::Rule => self.finish().await?,
            Discipline::None => self.finish_on(by).await?,
        }
        let switched = std::mem::replace(&mut self.at, ensemble) != ensemble;
        let top = PATHS.get(ensemble).context("there are two")?;
        let connection = self.connections.get_mut(by).context("it was opened")?;
        let mut out = Vec::new();
        let needs_barrier = self.discipline == Discipline::Rule && switched;
        if needs_barrier && writes.first() == Some(&false) {
            connection.append(&mut out, &wire::sync_of(top));
        }
        for is_write in writes {
            let path = znode(top, self.chance.usize(..self.mix.znodes));
            let request = if *is_write {
                wire::write_of(&path, VALUE)
            } else {
                wire::read_of(&path)
            };
            connection.append(&mut out, &request);
        }
        connection.begun = Instant::now();
        Ok(connection.stream.write_all(&out).await?)
    }

    /// Home is the first connection; the other ensemble the second, if there is one.
    fn connection_to(&self, ensemble: usize) -> usize {
        usize::from(ensemble != self.region && self.connections.len() > 1)
    }

    /// Waits for all replies.
    async fn finish(&mut self) -> anyhow::Result<()> {
        for by in 0..self.connections.len() {
            self.finish_on(by).await?;
        }
        Ok(())
    }

    /// Waits for the replies of one connection; takes what comes on the other meanwhile.
    async fn finish_on(&mut self, by: usize) -> anyhow::Result<()> {
        while self.connections.get(by).is_some_and(|one| one.owed > 0) {
            let ended = match self.connections.as_mut_slice() {
                [one] => one.take().await?,
                [home, far] => tokio::select! {
                    ended = home.take(), if home.owed > 0 => ended?,
                    ended = far.take(), if far.owed > 0 => ended?,
                },
                others => bail!("{} connections", others.len()),
            };
            if let Some(took) = ended {
                self.seen.operations += BURST;
                let took = u64::try_from(took.as_nanos())?;
                self.seen.latency.record(took)?;
            }
        }
        Ok(())
    }
}

impl Connection {
    fn append(&mut self, out: &mut Vec<u8>, request: &[u8]) {
        wire::append(out, request, self.xid);
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        self.owed += 1;
    }

    /// Takes some replies; how long the burst took, if they were its last.
    async fn take(&mut self) -> anyhow::Result<Option<Duration>> {
        let replies = self.intake.read(&mut self.stream).await;
        let replies = replies.with_context(|| format!("server {}", self.server))?;
        self.owed = self.owed.checked_sub(replies).context("a reply too many")?;
        Ok((self.owed == 0).then(|| self.begun.elapsed()))
    }
}
