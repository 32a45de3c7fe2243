//! Two regions with a sidecar in each, wires between them, and clients.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::puppet::Puppet;
use crate::testbed::python::{Python, Running};
use crate::testbed::relay::Relay;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::{Ensemble, Plan};

/// Session timeout of all clients, seconds.
pub(super) const TIMEOUT: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// The regions, by their places everywhere.
pub(super) const REGIONS: [&str; 2] = ["us", "eu"];

/// What a sidecar makes of the other region, and its wires there.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) sidecar: Sidecar,
    pub(super) setup: Setup,
    /// To each server of the other region.
    pub(super) wires: Vec<Relay>,
}

/// A client, the link to its sidecar and the region it is in.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) region: usize,
    /// Whether it uses the other region too.
    pub(super) spans: bool,
    pub(super) link: Relay,
    pub(super) running: Running,
    base: String,
    generation: u32,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) clients: Vec<Client>,
    pub(super) sites: Vec<Site>,
    pub(super) ensembles: Vec<Ensemble>,
    /// Looks at each ensemble from outside.
    pub(super) eyes: Vec<Puppet>,
    /// Acknowledged writes of clients that are gone.
    former: u64,
}

/// How many servers of a region vote; one more only looks on.
const VOTERS: usize = 3;

/// How late the observers, which the sidecars of the other region read from, hear of commits: without
/// the rule clients would see old values all the time.
const LAG: Duration = Duration::from_millis(200);

/// The top of a region, which is one name for all.
pub(super) fn top(region: usize) -> String {
    format!("/{}", REGIONS[region])
}

impl World {
    /// Starts all of it; `barrier` is what the sidecars put in front of reads.
    pub(super) fn start(zoonet: &Path, barrier: &str) -> Self {
        let ensembles: Vec<Ensemble> = REGIONS
            .iter()
            .map(|name| Plan::new(*name).voters(VOTERS).observers(1).launch())
            .collect();
        ensembles.iter().for_each(Ensemble::await_ready);
        for ensemble in &ensembles {
            ensemble.quorum_link(0).lag(LAG);
        }
        let eyes: Vec<Puppet> = ensembles
            .iter()
            .map(|ensemble| Puppet::kazoo(ensemble.connect_string(), 20))
            .collect();
        for (region, eye) in eyes.iter().enumerate() {
            eye.ask(&format!("make {}/own", top(region)));
            eye.ask(&format!("create {}/watched 0", top(region)));
        }
        let sites: Vec<Site> = (0..2)
            .map(|home| site(&ensembles, home, zoonet, barrier))
            .collect();
        let mut world = Self {
            clients: Vec::new(),
            sites,
            ensembles,
            eyes,
            former: 0,
        };
        for (region, spans) in [(0, true), (0, true), (0, false), (1, true), (1, false)] {
            let number = world.clients.len();
            let link = Relay::to(world.sites[region].sidecar.address());
            let base = format!("{}{number}", REGIONS[region]);
            let regions = (0..2).filter(|used| spans || *used == region);
            let running = launch(&link, &base, regions);
            world.clients.push(Client {
                region,
                spans,
                link,
                running,
                base,
                generation: 0,
            });
        }
        for client in &world.clients {
            client.running.expect("ready", PATIENCE);
        }
        let deadline = Instant::now() + PATIENCE;
        while !world.reports().iter().all(|report| report["ready"] == true) {
            assert!(Instant::now() < deadline, "{:?}", world.reports());
            std::thread::sleep(Duration::from_millis(50));
        }
        world
    }

    /// What each client says now.
    pub(super) fn reports(&self) -> Vec<Value> {
        self.clients
            .iter()
            .map(|client| {
                client.running.say("report");
                let said = client.running.expect("report ", PATIENCE);
                serde_json::from_str(&said).expect("a campaigner speaks JSON")
            })
            .collect()
    }

    /// Replaces a client that was killed by a new one.
    pub(super) fn replace(&mut self, number: usize, last: &Value) {
        self.former += last["writes"].as_u64().unwrap_or(0);
        let client = &mut self.clients[number];
        client.generation += 1;
        let name = client.name();
        let regions = (0..2).filter(|region| client.uses(*region));
        let running = launch(&client.link, &name, regions);
        client.running = running;
        client.running.expect("ready", PATIENCE);
    }

    /// How many writes were acknowledged so far.
    pub(super) fn writes(&self) -> u64 {
        let now: u64 = self
            .reports()
            .iter()
            .filter_map(|report| report["writes"].as_u64())
            .sum();
        self.former + now
    }

    /// Asks an ensemble from outside until it answers.
    pub(super) fn ask(&self, region: usize, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.eyes[region].ask(words);
            let failed = [
                "ConnectionLoss",
                "SessionExpiredError",
                "ConnectionClosedError",
            ];
            if !failed.contains(&answer.as_str()) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{words}: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Client {
    /// The name under which it writes and owns.
    pub(super) fn name(&self) -> String {
        match self.generation {
            0 => self.base.clone(),
            generation => format!("{}-{generation}", self.base),
        }
    }

    /// Whether it uses this region.
    pub(super) fn uses(&self, region: usize) -> bool {
        self.spans || self.region == region
    }
}

fn site(ensembles: &[Ensemble], home: usize, zoonet: &Path, barrier: &str) -> Site {
    let other = 1 - home;
    let wires: Vec<Relay> = ensembles[other]
        .servers()
        .iter()
        .map(|server| Relay::to(server.address()))
        .collect();
    let addresses: Vec<_> = wires.iter().map(Relay::address).collect();
    let setup = Setup::new(REGIONS[home])
        .ensemble(&ensembles[home])
        .servers(REGIONS[other], &addresses)
        .prefer(REGIONS[other], &addresses[VOTERS..])
        .barrier(REGIONS[home], barrier)
        .barrier(REGIONS[other], barrier)
        .route("/", "us")
        .route("/eu", "eu")
        .key("connect_timeout: 500ms");
    Site {
        sidecar: setup.start(zoonet),
        setup,
        wires,
    }
}

/// A client that uses the tops of `regions`.
fn launch(link: &Relay, name: &str, regions: impl Iterator<Item = usize>) -> Running {
    let tops = regions.map(top);
    Python::file("clients/campaigner.py")
        .arg("--connect")
        .arg(link.address())
        .arg("--name")
        .arg(name)
        .arg("--timeout")
        .arg(TIMEOUT)
        .args(tops)
        .start()
}
