//! Everything but the sidecars: ensembles, clients, the wires between them, and what breaks when.
//!
//! It is a list of what happens next, in the order of time and, at one time, of its being decided.
//! Nothing in it waits; the sidecars' bytes come and go through [`super::network`].

mod fault;
mod setup;
mod wires;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use fastrand::Rng;
use zoonet::config::Config;
use zoonet::state::Store;

use super::client::{Client, Do, Moment};
use super::ensemble::{Ask, Back, Ensemble, Link, Out};
use super::network::{Running, Shared, Wire};
use super::plan::{Plan, SERVERS};
use fault::Heal;
pub(super) use setup::ROOT;

/// How often leaders look for sessions that are late.
const TICK: u64 = 500;

/// Something that is to happen.
#[derive(Debug)]
enum Event {
    /// Bytes from a sidecar come to its peer; none is the end of the stream.
    Arrive(Link, Vec<u8>),
    /// Its peer, which was frozen, may go on.
    Thaw(Link),
    /// Bytes come to a sidecar.
    Deliver(Link, Vec<u8>),
    /// The end of a stream comes to a sidecar.
    HangUp(Link),
    Lead(usize, Ask),
    Apply(usize, usize, usize),
    Back(usize, Back),
    Tick(usize),
    Client(usize),
    Fault(usize),
    Heal(Heal),
    Start(usize),
    /// All that was planned has happened: from now on nothing breaks.
    Calm,
    /// Whether all is as it was when all clients were done.
    Look,
    /// Time is up.
    Late,
}

/// Who is at the other end of a sidecar's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    Client(usize),
    Server(usize, usize),
}

/// A stream between a sidecar and its peer.
#[derive(Debug)]
struct Line {
    sidecar: usize,
    far: Far,
    wire: Option<Wire>,
    /// What has come and is no whole frame yet.
    left: Vec<u8>,
    /// What lies in the socket of a client that is frozen.
    held: Vec<Vec<u8>>,
    /// Whether the handshake has come.
    greeted: Greeted,
    /// When what was sent last arrives, each way.
    there: u64,
    back: u64,
    random: Rng,
}

impl Line {
    /// After how many bytes the next frame is cut in two; 0 where it is not.
    fn piece(&mut self) -> usize {
        let cut = self.random.usize(..640);
        if cut < 64 { cut } else { 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeted {
    No,
    Yes,
}

/// The way between a sidecar and an ensemble.
#[derive(Debug)]
struct Road {
    random: Rng,
    least: u64,
    jitter: u64,
    /// Until when nothing gets through, each way.
    held_there: u64,
    held_back: u64,
}

/// The way between a server and its leader.
#[derive(Debug)]
struct Feed {
    random: Rng,
    lag: u64,
    /// When what was sent last arrives, each way.
    up: u64,
    down: u64,
    held: u64,
}

/// A sidecar and what outlives it.
#[derive(Debug)]
struct Sidecar {
    config: Config,
    store: Store,
    life: u32,
    running: Option<Running>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// What was planned happens.
    Storm,
    /// Nothing breaks any more, clients finish.
    Calm,
    /// All clients were done, in this life of each.
    Done(Vec<u32>),
    /// All was in order for a while: clients look everywhere once more.
    Order,
}

/// What the record of a run keeps of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// What came of it, in one number.
    Digest,
    /// Every line as well.
    Lines,
}

/// All but the sidecars.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: u64,
    /// How many moments there were at this time.
    moments: u64,
    count: u64,
    events: BTreeMap<(u64, u64), Event>,
    pub(super) ensembles: Vec<Ensemble>,
    pub(super) clients: Vec<Client>,
    /// The connection of each client.
    connections: Vec<Option<Link>>,
    /// What each client was told to be called at.
    alarms: Vec<u64>,
    sidecars: Vec<Sidecar>,
    lines: BTreeMap<Link, Line>,
    links: u32,
    roads: BTreeMap<(usize, usize), Road>,
    feeds: BTreeMap<(usize, usize), Feed>,
    keep: Keep,
    pub(super) trace: Vec<String>,
    pub(super) digest: u64,
    phase: Phase,
    /// Whether the clients were not done in time.
    pub(super) hung: bool,
}

impl World {
    pub(super) fn set_now(&mut self, now: u64) {
        if now != self.now {
            self.now = now;
            self.moments = 0;
        }
    }

    /// This moment, later than any before it.
    fn moment(&mut self) -> Moment {
        self.moments += 1;
        Moment {
            now: self.now,
            nanoseconds: self.now * 1_000_000 + self.moments,
        }
    }

    fn at(&mut self, due: u64, event: Event) {
        self.count += 1;
        self.events.insert((due.max(self.now), self.count), event);
    }

    /// Writes down what happens: the digest of all lines tells two runs apart.
    fn note(&mut self, words: impl FnOnce() -> String) {
        let mut line = String::new();
        write!(line, "{:>8} {}", self.now, words()).ok();
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.keep == Keep::Lines {
            self.trace.push(line);
        }
    }

    /// Does all that is due; when to call again, or nothing where the run is over.
    pub(super) fn run(&mut self, shared: &Arc<Shared>) -> Option<u64> {
        loop {
            let (&(due, _), _) = self.events.first_key_value()?;
            if due > self.now {
                return Some(due);
            }
            let (_, event) = self.events.pop_first()?;
            self.hung = matches!(event, Event::Late);
            if self.hung || matches!(event, Event::Look) && self.is_over() {
                return None;
            }
            self.happen(event, shared);
            self.carry();
        }
    }

    fn happen(&mut self, event: Event, shared: &Arc<Shared>) {
        match event {
            Event::Arrive(link, bytes) => self.arrive(link, bytes),
            Event::Thaw(link) => self.thaw(link),
            Event::Deliver(link, bytes) => {
                if let Some(Line {
                    wire: Some(wire), ..
                }) = self.lines.get(&link)
                {
                    wire.write(bytes);
                }
            }
            Event::HangUp(link) => drop(self.lines.remove(&link)),
            Event::Lead(ensemble, ask) => {
                let now = self.now;
                if let Some(ensemble) = self.ensembles.get_mut(ensemble) {
                    ensemble.lead(ask, now);
                }
            }
            Event::Apply(ensemble, server, transaction) => {
                if let Some(ensemble) = self.ensembles.get_mut(ensemble) {
                    ensemble.apply(server, transaction);
                }
            }
            Event::Back(ensemble, back) => {
                if let Some(ensemble) = self.ensembles.get_mut(ensemble) {
                    ensemble.back(back);
                }
            }
            Event::Tick(ensemble) => {
                let now = self.now;
                if let Some(ensemble) = self.ensembles.get_mut(ensemble) {
                    ensemble.tick(now);
                }
                self.at(now + TICK, Event::Tick(ensemble));
            }
            Event::Client(client) => self.call(client, shared),
            Event::Fault(fault) => self.strike(fault),
            Event::Heal(heal) => self.heal(heal),
            Event::Start(sidecar) => self.start(sidecar, shared),
            Event::Calm => self.calm_down(),
            Event::Look | Event::Late => {}
        }
    }

    /// Carries what ensembles have said.
    fn carry(&mut self) {
        for number in 0..self.ensembles.len() {
            while let Some(out) = self.ensembles.get_mut(number).and_then(Ensemble::poll) {
                match out {
                    Out::Send(link, frame) => self.deliver(link, frame),
                    Out::Close(link) => self.close(link),
                    Out::Ask(ask) => {
                        let due = self.up(number, ask.server);
                        self.at(due, Event::Lead(number, ask));
                    }
                    Out::Committed(transaction) => {
                        for server in 0..SERVERS {
                            let due = self.down(number, server);
                            self.at(due, Event::Apply(number, server, transaction));
                        }
                    }
                    Out::Back(server, back) => {
                        let due = self.down(number, server);
                        self.at(due, Event::Back(number, back));
                    }
                }
            }
        }
    }

    fn up(&mut self, ensemble: usize, server: usize) -> u64 {
        let now = self.now;
        let Some(feed) = self.feeds.get_mut(&(ensemble, server)) else {
            return now;
        };
        let way = feed.random.u64(0..=feed.lag.min(50));
        feed.up = feed.up.max(now + way);
        feed.up
    }

    fn down(&mut self, ensemble: usize, server: usize) -> u64 {
        let now = self.now;
        let Some(feed) = self.feeds.get_mut(&(ensemble, server)) else {
            return now;
        };
        let way = feed.random.u64(0..=feed.lag);
        feed.down = feed.down.max(now + way).max(feed.held);
        feed.down
    }

    /// Lets a client do what is due, and sees whether all are done.
    fn call(&mut self, number: usize, shared: &Arc<Shared>) {
        let at = self.moment();
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        let mut out = Vec::new();
        let next = client.poll(at, &mut out);
        if self
            .alarms
            .get(number)
            .is_none_or(|alarm| *alarm <= at.now || next < *alarm)
        {
            if let Some(alarm) = self.alarms.get_mut(number) {
                *alarm = next;
            }
            self.at(next, Event::Client(number));
        }
        if out
            .first()
            .is_some_and(|first| matches!(first, Do::Connect))
        {
            self.connect(number, shared);
        }
        self.act(number, out);
        self.look();
    }

    fn connect(&mut self, number: usize, shared: &Arc<Shared>) {
        let sidecar = self.clients.get(number).map_or(0, |client| client.sidecar);
        let running = self
            .sidecars
            .get(sidecar)
            .and_then(|sidecar| sidecar.running.as_ref());
        let Some(far) = running.and_then(Running::connect) else {
            let at = self.moment();
            if let Some(client) = self.clients.get_mut(number) {
                client.lost(at);
            }
            return self.at(at.now, Event::Client(number));
        };
        let link = self.line(sidecar, Far::Client(number));
        self.note(|| format!("client {number} connects: {link:?}"));
        self.wire(link, shared.attend(link, far));
        if let Some(connection) = self.connections.get_mut(number) {
            *connection = Some(link);
        }
    }

    fn act(&mut self, client: usize, out: Vec<Do>) {
        for act in out {
            let Some(Some(link)) = self.connections.get(client).copied() else {
                return;
            };
            match act {
                Do::Connect => {}
                Do::Send(frame) => self.deliver(link, frame),
                Do::HangUp => {
                    if let Some(connection) = self.connections.get_mut(client) {
                        *connection = None;
                    }
                    self.close(link);
                }
            }
        }
    }
}
