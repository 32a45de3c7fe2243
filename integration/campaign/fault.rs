//! What is broken, and what the contract allows it to cost.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use super::world::{REGIONS, TIMEOUT, World, top};
use crate::testbed::relay::Newcomers;

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A server is killed, or stands still, and comes back.
    Server,
    /// A leader is, so that another is elected.
    Leader,
    /// All servers of a region are killed and come back.
    Region,
    /// The wire from a sidecar to the other region is cut for less than a session's timeout.
    Wire,
    /// ... or for longer.
    Outlasted,
    /// A client's connection goes silent, or is reset.
    HalfOpen,
    /// A sidecar is killed.
    Crash,
    /// A sidecar is asked to end, and started again.
    Stop,
    /// The map changes, or a broken one is written.
    Reload,
    /// A client stands still for a moment.
    Pause,
    /// ... or for longer than its session's timeout.
    Coma,
    /// A client is killed; another takes its place.
    Client,
}

/// How often each kind is drawn: what takes long, less often.
const KINDS: [Kind; 20] = [
    Kind::Server,
    Kind::Server,
    Kind::Server,
    Kind::Leader,
    Kind::Leader,
    Kind::Region,
    Kind::Wire,
    Kind::Wire,
    Kind::Wire,
    Kind::Outlasted,
    Kind::HalfOpen,
    Kind::HalfOpen,
    Kind::HalfOpen,
    Kind::Crash,
    Kind::Crash,
    Kind::Stop,
    Kind::Reload,
    Kind::Pause,
    Kind::Coma,
    Kind::Client,
];

/// One fault, wholly determined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    kind: Kind,
    /// Which region, sidecar or client.
    whose: usize,
    /// Which server of it, or which variant.
    which: usize,
    hold: Duration,
}

/// What may follow.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// Clients that may lose their session, and those that have to.
    pub(super) may_lose: BTreeSet<usize>,
    pub(super) must_lose: BTreeSet<usize>,
    /// Clients that are new: what was said of them before means nothing.
    pub(super) replaced: BTreeSet<usize>,
    /// Regions whose home-only clients may see errors.
    pub(super) disturbed: BTreeSet<usize>,
    /// The client that was struck itself.
    pub(super) struck: Option<usize>,
}

impl Fault {
    pub(super) fn any(random: &mut Rng) -> Self {
        let kind = KINDS[random.usize(..KINDS.len())];
        Self::of(kind, random)
    }

    pub(super) fn of(kind: Kind, random: &mut Rng) -> Self {
        let clients = [Kind::HalfOpen, Kind::Pause, Kind::Coma, Kind::Client];
        let most = if clients.contains(&kind) { 5 } else { 2 };
        let timeout = u64::from(TIMEOUT) * 1000;
        let hold = match kind {
            Kind::Outlasted => timeout + 2_000,
            // Home may have been touched for its client up to a third of the timeout after its last
            // word, and ZooKeeper rounds up.
            Kind::Coma => timeout * 3 / 2 + 3_000,
            Kind::Wire | Kind::Pause | Kind::HalfOpen => random.u64(200..timeout / 2),
            Kind::Server | Kind::Leader | Kind::Region | Kind::Crash | Kind::Stop => {
                random.u64(100..2_500)
            }
            Kind::Reload | Kind::Client => 0,
        };
        Self {
            kind,
            whose: random.usize(..most),
            which: random.usize(..8),
            hold: Duration::from_millis(hold),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Breaks it, changes what is watched meanwhile, holds, and heals it.
    pub(super) fn strike(&self, world: &mut World, number: usize) -> Allowed {
        let mut allowed = Allowed::default();
        match self.kind {
            Kind::Server | Kind::Leader | Kind::Region => self.servers(world, number, &mut allowed),
            Kind::Wire | Kind::Outlasted => self.wire(world, number, &mut allowed),
            Kind::HalfOpen => self.half_open(world, number, &mut allowed),
            Kind::Crash | Kind::Stop => self.sidecar(world, number, &mut allowed),
            Kind::Reload => self.reload(world, number),
            Kind::Pause | Kind::Coma | Kind::Client => self.client(world, number, &mut allowed),
        }
        allowed
    }

    /// Changes what is watched on all ensembles, as soon as they can be reached, and waits.
    fn meanwhile(&self, world: &World, number: usize) {
        change(world, number);
        thread::sleep(self.hold);
    }

    fn servers(&self, world: &World, number: usize, allowed: &mut Allowed) {
        let ensemble = &world.ensembles[self.whose];
        let leader = ensemble.leader().map(|leader| leader.address());
        let struck: Vec<_> = ensemble
            .servers()
            .iter()
            .enumerate()
            .filter(|(at, server)| match self.kind {
                Kind::Region => true,
                Kind::Leader => Some(server.address()) == leader,
                Kind::Server
                | Kind::Wire
                | Kind::Outlasted
                | Kind::HalfOpen
                | Kind::Crash
                | Kind::Stop
                | Kind::Reload
                | Kind::Pause
                | Kind::Coma
                | Kind::Client => *at == self.which % 4,
            })
            .map(|(_, server)| server)
            .collect();
        let hangs = self.kind != Kind::Region && self.which >= 4;
        let begun = Instant::now();
        for server in &struck {
            if hangs {
                server.stop();
            } else {
                server.kill();
            }
        }
        // Without a leader nothing can be changed; one that hangs is not replaced so soon.
        let waits = hangs || self.kind == Kind::Region;
        if waits {
            thread::sleep(self.hold);
        } else {
            self.meanwhile(world, number);
        }
        for server in &struck {
            if hangs {
                server.resume();
            } else {
                server.restart();
            }
        }
        if waits {
            change(world, number);
        }
        ensemble.await_ready();
        allowed.disturbed.insert(self.whose);
        // What a client without a connection has elsewhere is kept for one timeout. A busy machine
        // may need longer to start a region again.
        if self.kind == Kind::Region && begun.elapsed() > Duration::from_secs(TIMEOUT.into()) {
            let clients = world.clients.iter().enumerate();
            let away = clients.filter(|(_, client)| client.spans && client.region == self.whose);
            allowed.may_lose.extend(away.map(|(at, _)| at));
        }
    }

    fn wire(&self, world: &World, number: usize, allowed: &mut Allowed) {
        let newcomers = if self.which.is_multiple_of(2) {
            Newcomers::Hang
        } else {
            Newcomers::Refuse
        };
        let wires = &world.sites[self.whose].wires;
        for wire in wires {
            wire.cut(newcomers);
        }
        if self.which >= 4 {
            wires.iter().for_each(|wire| wire.reset());
        }
        self.meanwhile(world, number);
        wires.iter().for_each(|wire| wire.heal());
        if self.kind == Kind::Outlasted {
            let clients = world.clients.iter().enumerate();
            allowed.must_lose = clients
                .filter(|(_, client)| client.spans && client.region == self.whose)
                .map(|(at, _)| at)
                .collect();
        }
    }

    fn half_open(&self, world: &World, number: usize, allowed: &mut Allowed) {
        let client = &world.clients[self.whose];
        if self.which.is_multiple_of(3) {
            client.link.reset();
            self.meanwhile(world, number);
        } else {
            client.link.cut(Newcomers::Hang);
            self.meanwhile(world, number);
            if self.which.is_multiple_of(2) {
                client.link.reset();
            }
            client.link.heal();
        }
        allowed.struck = Some(self.whose);
    }

    fn sidecar(&self, world: &World, number: usize, allowed: &mut Allowed) {
        let sidecar = &world.sites[self.whose].sidecar;
        if self.kind == Kind::Crash {
            sidecar.kill();
        } else {
            sidecar.terminate();
            assert!(
                sidecar.wait(Duration::from_secs(8)).is_some(),
                "the sidecar of {} does not end within its grace period",
                REGIONS[self.whose]
            );
        }
        self.meanwhile(world, number);
        sidecar.restart();
        allowed.disturbed.insert(self.whose);
    }

    fn reload(&self, world: &World, number: usize) {
        let site = &world.sites[self.whose];
        let told = |words: &str| site.sidecar.log().matches(words).count();
        let (route, said) = match self.which % 3 {
            // Nobody uses it.
            0 => {
                let unused = format!("/us/unused-{number}");
                (site.setup.clone().route(&unused, "eu"), "reloaded")
            }
            1 => (
                site.setup.clone().route("/broken", "nowhere"),
                "not reloaded",
            ),
            _ => (site.setup.clone(), "reloaded"),
        };
        for (setup, said) in [(&route, said), (&site.setup, "reloaded")] {
            let before = told(said);
            site.sidecar.rewrite(setup);
            site.sidecar.signal(Signal::HUP);
            for _ in 0..200 {
                if told(said) > before {
                    break;
                }
                thread::sleep(Duration::from_millis(50));
            }
            assert!(told(said) > before, "the sidecar does not say \"{said}\"");
        }
        change(world, number);
    }

    fn client(&self, world: &mut World, number: usize, allowed: &mut Allowed) {
        allowed.struck = Some(self.whose);
        if self.kind == Kind::Client {
            let last = world.reports().swap_remove(self.whose);
            world.clients[self.whose].running.process().kill();
            self.meanwhile(world, number);
            world.replace(self.whose, &last);
            allowed.replaced.insert(self.whose);
            return;
        }
        let process = world.clients[self.whose].running.process();
        process.stop();
        self.meanwhile(world, number);
        process.signal(Signal::CONT);
        if self.kind == Kind::Coma {
            allowed.must_lose.insert(self.whose);
        }
    }
}

fn change(world: &World, number: usize) {
    for region in 0..2 {
        let answer = world.ask(region, &format!("set {}/watched {number}", top(region)));
        assert!(answer.parse::<u32>().is_ok(), "{answer}");
    }
}
