//! The paper's experiment: two regions that share data through one ensemble stretched over both, or
//! through two composed ones, each with an observer in the other region.
//!
//! # Decisions
//!
//! * What crosses regions is what observers hear from and say to their voters, so the test bed's
//!   relays on those links are the wide-area network. No client link crosses it: each client has a
//!   server of either ensemble in its region, as in the paper.
//! * What a barrier may be left out for depends on how often somebody else has written what is read:
//!   with a hundred znodes that is often, with ten thousand, as many an ensemble has, it is not. Nothing
//!   else depends on it.
//! * All variants of a round draw the same bursts, from the same seed: what is compared is how long
//!   they took and not which they were.

mod burst;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ZOONET;
use super::figures::{Record, named};
use super::process::Helper;
use super::results::Raw;
use super::wire;
use crate::testbed::relay::Relay;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::{Ensemble, Plan, Server};
use burst::{Client, Discipline, Mix, Seen};

const PATHS: [&str; 2] = ["/us/bench", "/eu/bench"];

/// How often znodes are created at most, and how long after one another: an election takes a second.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// How far the experiment goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// How many of [`CELLS`].
    pub(crate) cells: usize,
    pub(crate) rounds: usize,
    /// How long each variant is measured in each round and cell.
    pub(crate) seconds: f64,
    /// How long Java is given to compile what will be used, for each variant.
    pub(crate) heat: f64,
    /// Sessions of each region.
    pub(crate) sessions: usize,
    /// From region to region and back.
    pub(crate) round_trip: Duration,
}

/// Who does what is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// One ensemble: voters in the first region, an observer in the second.
    Stretched,
    /// Two ensembles through a sidecar per region.
    Zoonet,
    /// The same, with barriers left out where nothing was learned.
    Elided,
    /// Two ensembles, the client follows the rule itself.
    Rule,
    /// The same through raw relays: what any proxy in between costs.
    RuleRelay,
    /// Two ensembles, no rule: no composition, but what the rule is measured by.
    Ceiling,
}

impl Variant {
    const ALL: [Self; 6] = [
        Self::Stretched,
        Self::Rule,
        Self::RuleRelay,
        Self::Zoonet,
        Self::Elided,
        Self::Ceiling,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Stretched => "stretched",
            Self::Zoonet => "zoonet",
            Self::Elided => "zoonet-elided",
            Self::Rule => "rule",
            Self::RuleRelay => "rule-relay",
            Self::Ceiling => "ceiling",
        }
    }

    const fn discipline(self) -> Discipline {
        match self {
            Self::Stretched | Self::Zoonet | Self::Elided => Discipline::Served,
            Self::Rule | Self::RuleRelay => Discipline::Rule,
            Self::Ceiling => Discipline::None,
        }
    }
}

/// Runs that may fail.
const FAILURES: usize = 3;

/// Share of local bursts and of reads, percent, and how many znodes of each ensemble there are.
const CELLS: [(u8, u8, usize); 9] = [
    (50, 50, 100),
    (50, 99, 100),
    (90, 50, 100),
    (90, 99, 100),
    (100, 50, 100),
    (100, 99, 100),
    (50, 99, 1_000),
    (50, 99, MOST_ZNODES),
    (90, 99, MOST_ZNODES),
];

const MOST_ZNODES: usize = 10_000;

/// Runs every variant of every cell once a round; each round starts with another variant.
pub(crate) fn measure(extent: Extent, raw: &mut Raw) -> anyhow::Result<()> {
    let world = World::start(extent.round_trip);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(world.prepare())?;
    let heat = Mix {
        local: 90,
        reads: 90,
        znodes: MOST_ZNODES,
        seed: 0,
    };
    for variant in Variant::ALL {
        run(&runtime, &world, variant, extent, heat, extent.heat)?;
    }
    let mut failed = 0;
    for round in 0..extent.rounds {
        for (local, reads, znodes) in CELLS.into_iter().take(extent.cells) {
            let mix = Mix {
                local,
                reads,
                znodes,
                seed: u64::try_from(round)?,
            };
            for step in 0..Variant::ALL.len() {
                let nth = (round + step) % Variant::ALL.len();
                let variant = *Variant::ALL.get(nth).context("it is below their number")?;
                match run(&runtime, &world, variant, extent, mix, extent.seconds) {
                    Ok(seen) => raw.add(record(raw.part(), extent, mix, variant, round, &seen))?,
                    // Servers may close a connection on a busy machine, and the rounds before this
                    // one took minutes.
                    Err(error) if failed < FAILURES => {
                        failed += 1;
                        eprintln!(
                            "paper: {} in round {round} is left out: {error:#}",
                            variant.name()
                        );
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        raw.round_done(round + 1, extent.rounds);
    }
    Ok(())
}

fn record(
    part: &str,
    extent: Extent,
    mix: Mix,
    variant: Variant,
    round: usize,
    [us, eu]: &[Region; 2],
) -> Record {
    let Mix {
        local,
        reads,
        znodes,
        ..
    } = mix;
    let trip = extent.round_trip.as_secs_f64() * 1e3;
    let quantile = |region: &Region, at| region.latency.value_at_quantile(at) as f64 / 1e6;
    Record {
        part: part.to_owned(),
        cell: format!("{local} % local, {reads} % reads, {znodes} znodes, {trip} ms round trip"),
        variant: variant.name().to_owned(),
        round,
        conditions: named([
            ("local", f64::from(local)),
            ("reads", f64::from(reads)),
            ("znodes", znodes as f64),
            ("round_trip_ms", trip),
            ("sessions", extent.sessions as f64),
        ]),
        figures: named([
            ("us_per_second", us.per_second),
            ("eu_per_second", eu.per_second),
            ("per_second", us.per_second + eu.per_second),
            ("us_p50_ms", quantile(us, 0.5)),
            ("us_p99_ms", quantile(us, 0.99)),
            ("eu_p50_ms", quantile(eu, 0.5)),
            ("eu_p99_ms", quantile(eu, 0.99)),
        ]),
    }
}

/// What the clients of a region saw.
struct Region {
    /// Operations: the sum of what each client did, by the time it took for that.
    per_second: f64,
    /// Of whole bursts, in nanoseconds.
    latency: Histogram<u64>,
}

/// Lets the clients of both regions work for a while, in new sessions.
fn run(
    runtime: &Runtime,
    world: &World,
    variant: Variant,
    extent: Extent,
    mix: Mix,
    seconds: f64,
) -> anyhow::Result<[Region; 2]> {
    runtime.block_on(async {
        let ready = Arc::new(Barrier::new(2 * extent.sessions));
        let mut running = JoinSet::new();
        for (region, nth) in
            (0..2).flat_map(|region| (0..extent.sessions).map(move |n| (region, n)))
        {
            let servers = world.servers(variant, region)?;
            let seed = mix.seed * 1000 + u64::try_from(nth * 2 + region)?;
            let (mix, ready) = (Mix { seed, ..mix }, Arc::clone(&ready));
            running.spawn(async move {
                let client = Client::open(&servers, region, variant.discipline(), mix).await?;
                ready.wait().await;
                let until = Instant::now() + Duration::from_secs_f64(seconds);
                anyhow::Ok((region, client.run(until).await?))
            });
        }
        let region = || {
            anyhow::Ok(Region {
                per_second: 0.0,
                latency: Histogram::new(3)?,
            })
        };
        let mut regions = [region()?, region()?];
        while let Some(ended) = running.join_next().await {
            let (region, seen): (usize, Seen) = ended??;
            let region = regions.get_mut(region).context("there are two")?;
            region.per_second += seen.operations as f64 / seen.elapsed.as_secs_f64();
            region.latency.add(seen.latency)?;
        }
        Ok(regions)
    })
}

/// All that runs.
struct World {
    stretched: Served,
    composed: [Served; 2],
    sidecars: [Sidecar; 2],
    eliding: [Sidecar; 2],
    /// In each region to home and to the observer of the other.
    relays: [[Helper; 2]; 2],
    /// The network from the sidecar of each region to the voters of the other.
    _wan: Vec<Relay>,
}

/// Creates znodes or finds them there. A server ends its connections when it has lost its leader, as it
/// may where all of them have just been started on a busy machine: then it is tried again.
async fn create(server: SocketAddr, paths: &[&str]) -> anyhow::Result<()> {
    for _ in 1..TRIES {
        match wire::create(server, paths, burst::VALUE).await {
            Err(error) if error.is::<io::Error>() => eprintln!("paper: znodes, again: {error}"),
            created => return created,
        }
        sleep(PAUSE).await;
    }
    wire::create(server, paths, burst::VALUE).await
}

impl World {
    fn start(round_trip: Duration) -> Self {
        let launch = |name| Plan::new(name).voters(3).observers(1).launch();
        // Side by side.
        let launched = ["stretched", "us", "eu"].map(launch);
        let [stretched, us, eu] = launched.map(|ensemble| Served::of(ensemble, round_trip / 2));
        let mut wan = Vec::new();
        let mut sidecar = |home: &Served, far: &Served, elide: bool| {
            let (home_name, far_name) = (home.ensemble.name(), far.ensemble.name());
            let wires = far.ensemble.voters().iter().map(|server| {
                let wire = Relay::to(server.address());
                wire.delay_both(round_trip / 2);
                wire
            });
            let wires: Vec<Relay> = wires.collect();
            let behind: Vec<SocketAddr> = wires.iter().map(Relay::address).collect();
            wan.extend(wires);
            let elide = format!("elide_barriers: {elide}");
            Setup::new(home_name)
                .ensemble(&home.ensemble)
                .prefer(home_name, &[home.near])
                .ensemble_key(home_name, &elide)
                .servers(far_name, &behind)
                .prefer(far_name, &[far.observer])
                .ensemble_key(far_name, &elide)
                .route("/", "us")
                .route("/us", "us")
                .route("/eu", "eu")
                .log("info")
                .start(ZOONET)
        };
        let sidecars = [sidecar(&us, &eu, false), sidecar(&eu, &us, false)];
        let eliding = [sidecar(&us, &eu, true), sidecar(&eu, &us, true)];
        let relays = [[us.near, eu.observer], [eu.near, us.observer]];
        Self {
            stretched,
            relays: relays.map(|both| both.map(Helper::relay)),
            composed: [us, eu],
            sidecars,
            eliding,
            _wan: wan,
        }
    }

    /// Creates what is read and written.
    async fn prepare(&self) -> anyhow::Result<()> {
        for (served, top, path) in [
            (&self.composed[0], "/us", PATHS[0]),
            (&self.composed[1], "/eu", PATHS[1]),
        ] {
            let mut paths = vec![top.to_owned(), path.to_owned()];
            paths.extend((0..MOST_ZNODES).map(|number| burst::znode(path, number)));
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            for server in [self.stretched.near, served.near] {
                create(server, &paths).await?;
            }
        }
        Ok(())
    }

    /// To whom a client of a region talks: about home, and about the other region.
    fn servers(&self, variant: Variant, region: usize) -> anyhow::Result<Vec<SocketAddr>> {
        let [us, eu] = &self.composed;
        let sidecars = if variant == Variant::Elided {
            &self.eliding
        } else {
            &self.sidecars
        };
        let sidecar = sidecars.get(region).context("there are two")?;
        Ok(match (variant, region) {
            (Variant::Stretched, 0) => vec![self.stretched.near],
            (Variant::Stretched, _) => vec![self.stretched.observer],
            (Variant::Zoonet | Variant::Elided, _) => vec![sidecar.address()],
            (Variant::RuleRelay, _) => {
                let relays = self.relays.get(region).context("there are two")?;
                relays.iter().map(|relay| relay.addresses[0]).collect()
            }
            (Variant::Rule | Variant::Ceiling, 0) => vec![us.near, eu.observer],
            (Variant::Rule | Variant::Ceiling, _) => vec![eu.near, us.observer],
        })
    }
}

/// An ensemble, and whom of it clients talk to.
struct Served {
    ensemble: Ensemble,
    /// In its own region: a follower, as most servers are.
    near: SocketAddr,
    /// In the other region.
    observer: SocketAddr,
}

impl Served {
    /// Once all servers have their roles; from then on the observer is as far away as told.
    fn of(ensemble: Ensemble, one_way: Duration) -> Self {
        ensemble.await_ready();
        ensemble.quorum_link(0).delay_both(one_way);
        let address = |server: Option<&Server>| {
            server.map_or_else(|| unreachable!("it was planned"), Server::address)
        };
        Self {
            near: address(ensemble.follower().or_else(|| ensemble.voters().first())),
            observer: address(ensemble.observers().first()),
            ensemble,
        }
    }
}
