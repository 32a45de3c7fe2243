//! What a run begins with, and how it comes to its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use zoonet::config::Config;
use zoonet::state::Store;

use super::{Event, Feed, Keep, Phase, Road, Sidecar, TICK, World};
use crate::simulation::client::Client;
use crate::simulation::ensemble::Ensemble;
use crate::simulation::network::{Shared, name};
use crate::simulation::plan::{ENSEMBLES, Operation, Plan, SERVERS, SIDECARS, Shape};

/// The ensembles, in their order; the sidecars' homes are the first ones.
const NAMES: [&str; 3] = ["us", "eu", "asia"];

/// The root of `/legacy` on the second ensemble.
pub(in crate::simulation) const ROOT: &str = "/old/app";

/// How long the clients have to finish once nothing breaks any more: many timeouts.
const PATIENCE: u64 = 300_000;

impl World {
    pub(in crate::simulation) fn new(plan: Plan, keep: Keep) -> Self {
        let shape = &plan.shape;
        let clients = clients(&plan);
        let ensembles = (0..shape.ensembles).map(ensemble).collect();
        let sidecars = (0..SIDECARS).map(|number| sidecar(number, shape)).collect();
        let mut world = Self {
            now: 0,
            moments: 0,
            count: 0,
            events: BTreeMap::new(),
            ensembles,
            connections: vec![None; clients.len()],
            alarms: vec![0; clients.len()],
            clients,
            sidecars,
            lines: BTreeMap::new(),
            links: 0,
            roads: roads(shape),
            feeds: feeds(shape),
            keep,
            trace: Vec::new(),
            digest: 0xcbf2_9ce4_8422_2325,
            phase: Phase::Storm,
            hung: false,
            plan,
        };
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        for sidecar in 0..SIDECARS {
            self.at(0, Event::Start(sidecar));
        }
        for ensemble in 0..self.ensembles.len() {
            self.at(TICK, Event::Tick(ensemble));
        }
        for client in 0..self.clients.len() {
            self.at(1, Event::Client(client));
        }
        let faults: Vec<u64> = self.plan.faults.iter().map(|(at, _)| *at).collect();
        for (number, at) in faults.iter().enumerate() {
            self.at(*at, Event::Fault(number));
        }
        let operations = self.plan.operations.iter().map(|operation| operation.at);
        let end = operations.chain(faults).max().unwrap_or(0) + 1_000;
        self.at(end, Event::Calm);
        self.at(end + PATIENCE, Event::Late);
    }

    /// A sidecar starts, with what its earlier life has written down.
    pub(super) fn start(&mut self, number: usize, shared: &Arc<Shared>) {
        let Some(sidecar) = self.sidecars.get_mut(number) else {
            return;
        };
        let place = (number, sidecar.life);
        let running = shared.start(sidecar.config.clone(), sidecar.store.clone(), place);
        sidecar.running = Some(running);
        self.note(|| format!("sidecar {number} starts"));
    }

    /// Whether all clients are done; then the run ends after a while in which nothing comes up.
    pub(super) fn look(&mut self) {
        let done = self.clients.iter().all(Client::is_done);
        if self.phase == Phase::Order && done {
            self.at(self.now, Event::Look);
        }
        if self.phase == Phase::Calm && done {
            self.phase = Phase::Done(self.clients.iter().map(|client| client.life).collect());
            let settled = self.now + 3 * u64::from(self.plan.shape.timeout) + 5_000;
            self.at(settled, Event::Look);
        }
    }

    /// Whether all is over. Where nothing has come up since all clients were done, they look
    /// everywhere; else it is waited until all are done again.
    pub(super) fn is_over(&mut self) -> bool {
        if self.phase == Phase::Order {
            return true;
        }
        let lives: Vec<u32> = self.clients.iter().map(|client| client.life).collect();
        if self.phase == Phase::Done(lives) && self.clients.iter().all(Client::is_done) {
            self.phase = Phase::Order;
            for number in 0..self.clients.len() {
                if let Some(client) = self.clients.get_mut(number) {
                    client.look_everywhere(self.now);
                }
                self.at(self.now, Event::Client(number));
            }
            return false;
        }
        self.phase = Phase::Calm;
        self.look();
        false
    }
}

fn ensemble(number: usize) -> Ensemble {
    let name = NAMES.get(number).copied().unwrap_or("us");
    let mut directories = vec![format!("/{name}"), format!("/{name}/own")];
    if number == 1 {
        directories.extend([ROOT.to_owned(), format!("{ROOT}/own")]);
    }
    // Far apart, so that a zxid that goes astray is seen.
    let base = [0x2_0000_0000, 0x7_0000_0000, 0x1_0000_0000];
    Ensemble::new(
        base.get(number).copied().unwrap_or(0),
        SERVERS,
        &directories,
    )
}

fn sidecar(number: usize, shape: &Shape) -> Sidecar {
    let home = NAMES.get(number).copied().unwrap_or("us");
    let mut text = format!("home: {home}\nidle_leg_timeout: 30s\nensembles:\n");
    for (number, ensemble) in NAMES.iter().enumerate().take(shape.ensembles) {
        let servers: Vec<String> = (0..SERVERS)
            .map(|server| format!("\"{}:2181\"", name(number, server)))
            .collect();
        let prefer = if *ensemble == home {
            String::new()
        } else {
            format!(", prefer: [\"{}:2181\"]", name(number, SERVERS - 1))
        };
        text.push_str(&format!(
            "  {ensemble}: {{ servers: [{}]{prefer}, barrier: {}, warm: {}, elide_barriers: {} }}\n",
            servers.join(", "),
            shape.barrier.word(),
            shape.warm,
            shape.elide
        ));
    }
    text.push_str("routes:\n  /: us\n  /eu: eu\n");
    text.push_str(&format!("  /legacy: {{ ensemble: eu, root: {ROOT} }}\n"));
    if shape.ensembles > 2 {
        text.push_str("  /asia: asia\n");
    }
    let config = Config::parse("simulated", &text);
    Sidecar {
        config: config.expect("the text above is a configuration"),
        store: Store::in_memory(),
        life: 0,
        running: None,
    }
}

fn clients(plan: &Plan) -> Vec<Client> {
    let prefixes = plan.prefixes();
    let ensembles = ENSEMBLES.to_vec();
    (0..plan.clients)
        .map(|number| {
            let mine = plan.operations.iter().filter(|op| op.client == number);
            let todo: VecDeque<Operation> = mine.copied().collect();
            let random = chance(&plan.shape, 0, number);
            let places = (prefixes.clone(), ensembles.clone());
            Client::new(
                number,
                number % SIDECARS,
                places,
                plan.shape.timeout,
                todo,
                random,
            )
        })
        .collect()
}

/// What chance brings one of the clients, roads or feeds: the same whatever else there is, so that
/// less of a plan is still like the whole of it.
fn chance(shape: &Shape, kind: u64, number: usize) -> Rng {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    Rng::with_seed(shape.chance ^ (kind << 32) ^ number)
}

fn roads(shape: &Shape) -> BTreeMap<(usize, usize), Road> {
    let mut roads = BTreeMap::new();
    for sidecar in 0..SIDECARS {
        for ensemble in 0..shape.ensembles {
            let wan = if sidecar == ensemble { 2 } else { shape.wan };
            let road = Road {
                random: chance(shape, 1, sidecar * 16 + ensemble),
                least: wan / 2,
                jitter: wan / 2,
                held_there: 0,
                held_back: 0,
            };
            roads.insert((sidecar, ensemble), road);
        }
    }
    roads
}

fn feeds(shape: &Shape) -> BTreeMap<(usize, usize), Feed> {
    let mut feeds = BTreeMap::new();
    for ensemble in 0..shape.ensembles {
        for server in 0..SERVERS {
            let lag = if server == SERVERS - 1 {
                shape.lag
            } else {
                shape.lag / 4
            };
            let feed = Feed {
                random: chance(shape, 2, ensemble * 16 + server),
                lag,
                up: 0,
                down: 0,
                held: 0,
            };
            feeds.insert((ensemble, server), feed);
        }
    }
    feeds
}
