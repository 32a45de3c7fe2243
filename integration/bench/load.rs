//! What a request costs through the sidecar: the same load sent direct, through a raw relay and
//! through zoonet, in turns, each in a process of its own. See README.md beside this file.

#![expect(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench takes real time and rounds its figures"
)]

mod client;
mod process;
mod relay;
mod report;
mod responder;

#[path = "../testbed"]
#[expect(
    clippy::panic,
    dead_code,
    reason = "the bed of the tests; a bench takes a part of it"
)]
mod testbed {
    pub(crate) mod launch;
    pub(crate) mod ports;
    pub(crate) mod relay;
    pub(crate) mod scratch;
    pub(crate) mod sidecar;
    pub(crate) mod zookeeper;
}

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use client::{Load, Shape};
use process::{Helper, Usage};
use report::{Report, Sample};
use testbed::sidecar::{Setup, Sidecar};
use testbed::zookeeper::{Ensemble, Plan};

/// The program under test, as cargo built it for this run: with the release profile.
const ZOONET: &str = env!("CARGO_BIN_EXE_zoonet");

/// Requests of one ensemble in a row where prefixes are mixed.
const BURST: usize = 25;

/// How long each variant runs before it is measured, each time.
const WARM_UP: Duration = Duration::from_millis(150);

#[derive(Parser)]
#[command(name = "load", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Given by cargo; means nothing here.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Against a server that answers at once, so that the proxy is what is measured.
    Instant {
        #[command(flatten)]
        run: Run,
        /// The variants to run.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "direct,relay,zoonet,zoonet-map,zoonet-mix"
        )]
        variants: Vec<String>,
    },
    /// Against stock ZooKeeper.
    Real {
        #[command(flatten)]
        run: Run,
        /// The variants to run.
        #[arg(long, value_delimiter = ',', default_value = "direct,relay,zoonet")]
        variants: Vec<String>,
        /// Voting servers; one is a standalone server.
        #[arg(long, default_value_t = 1)]
        voters: usize,
    },
    /// Memory of the sidecar: idle, and with idle sessions.
    Memory {
        /// Sessions.
        #[arg(long, default_value_t = 2000)]
        sessions: usize,
        /// Ensembles each of them has read from: 1 or 2.
        #[arg(long, default_value_t = 1)]
        ensembles: u8,
    },
    /// Internal: the instant responder, on two ports.
    #[command(hide = true)]
    Responder {
        /// Bytes of every znode's data.
        value: usize,
    },
    /// Internal: the raw relay.
    #[command(hide = true)]
    Relay {
        /// Where it leads to.
        to: SocketAddr,
    },
}

#[derive(Args)]
struct Run {
    /// Rounds; each runs every variant once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds measured per variant and round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Sessions at once.
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    sessions: Vec<usize>,
    /// Requests each session has in flight.
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    depth: Vec<usize>,
    /// Bytes of data per znode.
    #[arg(long, default_value_t = 16)]
    value: usize,
    /// Writes among the requests, percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    writes: u8,
    /// A program to run as the sidecar instead of the one just built, as variant NAME=PATH.
    #[arg(long, value_name = "NAME=PATH")]
    against: Vec<String>,
    /// Writes every single result to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

/// Something to send the load to.
struct Variant {
    name: String,
    address: SocketAddr,
    /// The proxy, if there is one.
    pid: Option<i32>,
    mixed: bool,
    _held: Held,
}

/// What must live as long as a variant is used.
enum Held {
    Nothing,
    Helper(#[expect(dead_code, reason = "it is held, not used")] Helper),
    Sidecar(#[expect(dead_code, reason = "it is held, not used")] Sidecar),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Instant { run, variants } => {
            let responder = Helper::start(&["responder".to_owned(), run.value.to_string()]);
            let [home, other] = responder.addresses;
            let one = Setup::new("home").servers("home", &[home]);
            let two = one.clone().servers("other", &[other]);
            let set = Variants {
                home,
                one: one.route("/", "home"),
                two: two.route("/", "home").route("/other", "other"),
            };
            measure(&run, &set.start(&variants, &run.against)?)
        }
        Command::Real {
            run,
            variants,
            voters,
        } => {
            let ensemble = Plan::new("home")
                .voters(voters)
                .heap_megabytes(1024)
                .start();
            let server = server(&ensemble);
            client::prepare(server, run.value)?;
            let set = Variants {
                home: server,
                one: Setup::new("home")
                    .servers("home", &[server])
                    .route("/", "home"),
                two: Setup::new("home")
                    .servers("home", &[server])
                    .route("/", "home"),
            };
            measure(&run, &set.start(&variants, &run.against)?)
        }
        Command::Memory {
            sessions,
            ensembles,
        } => memory(sessions, (ensembles > 1).then_some(1)),
        Command::Responder { value } => responder::run(value),
        Command::Relay { to } => relay::run(to),
    }
}

/// The server all variants talk to: with more than one, a follower, as most clients do.
fn server(ensemble: &Ensemble) -> SocketAddr {
    let servers = ensemble.servers();
    let follower = servers
        .iter()
        .find(|server| server.role() != Some(testbed::zookeeper::Role::Leader));
    follower
        .or_else(|| servers.first())
        .map_or_else(|| unreachable!("an ensemble has servers"), |s| s.address())
}

/// How each kind of variant is set up.
struct Variants {
    home: SocketAddr,
    one: Setup,
    two: Setup,
}

impl Variants {
    fn start(&self, names: &[String], against: &[String]) -> anyhow::Result<Vec<Variant>> {
        let mut all = Vec::new();
        for name in names {
            all.push(self.variant(name, name, ZOONET)?);
            // Other builds run right beside the one they are compared with.
            for other in against.iter().filter(|_| name.starts_with("zoonet")) {
                let (label, program) = other
                    .split_once('=')
                    .ok_or_else(|| anyhow::anyhow!("--against takes NAME=PATH, not {other}"))?;
                let label = name.replacen("zoonet", label, 1);
                all.push(self.variant(&label, name, program)?);
            }
        }
        Ok(all)
    }

    fn variant(&self, label: &str, kind: &str, program: &str) -> anyhow::Result<Variant> {
        let sidecar = |setup: &Setup| {
            let sidecar = setup.clone().log("info").start(program);
            (sidecar.address(), sidecar.pid(), Held::Sidecar(sidecar))
        };
        let (address, pid, held) = match kind {
            "direct" => (self.home, None, Held::Nothing),
            "relay" => {
                let helper = Helper::start(&["relay".to_owned(), self.home.to_string()]);
                let [address, _] = helper.addresses;
                (address, Some(helper.pid()), Held::Helper(helper))
            }
            "zoonet" => sidecar(&self.one),
            "zoonet-map" | "zoonet-mix" => sidecar(&self.two),
            _ => anyhow::bail!("no variant {kind}"),
        };
        Ok(Variant {
            name: label.to_owned(),
            address,
            pid,
            mixed: kind == "zoonet-mix",
            _held: held,
        })
    }
}

fn measure(run: &Run, variants: &[Variant]) -> anyhow::Result<()> {
    let mut report = Report::new(run.raw.as_deref())?;
    let shapes = run
        .depth
        .iter()
        .flat_map(|depth| run.sessions.iter().map(move |sessions| (*depth, *sessions)));
    for (depth, sessions) in shapes {
        let shape = Shape {
            depth,
            sessions,
            value: run.value,
            writes: usize::from(run.writes),
        };
        for round in 0..run.rounds {
            for step in 0..variants.len() {
                // Each round starts with another variant.
                let Some(variant) = variants.get((round + step) % variants.len()) else {
                    continue;
                };
                let sample = one_run(run, variant, &shape)?;
                report.add(&variant.name, &shape, round, sample)?;
            }
        }
        report.print(&shape);
    }
    Ok(())
}

fn one_run(run: &Run, variant: &Variant, shape: &Shape) -> anyhow::Result<Sample> {
    let mut load = Load::open(variant.address, shape, variant.mixed.then_some(BURST))?;
    load.run(WARM_UP)?;
    let before = variant.pid.map(Usage::of);
    let outcome = load.run(Duration::from_secs_f64(run.seconds))?;
    let after = variant.pid.map(Usage::of);
    load.close()?;
    let cpu = after
        .zip(before)
        .map(|(after, before)| after.cpu.saturating_sub(before.cpu));
    Ok(Sample::new(&outcome, cpu))
}

fn memory(sessions: usize, burst: Option<usize>) -> anyhow::Result<()> {
    let responder = Helper::start(&["responder".to_owned(), "16".to_owned()]);
    let [home, other] = responder.addresses;
    let setup = Setup::new("home")
        .servers("home", &[home])
        .servers("other", &[other])
        .route("/", "home")
        .route("/other", "other");
    let sidecar = setup.log("info").start(ZOONET);
    let usage = || sidecar.pid().map(Usage::of).unwrap_or_default();
    let idle = usage();
    let shape = Shape {
        depth: 1,
        sessions,
        value: 16,
        writes: 0,
    };
    let mut load = Load::open(sidecar.address(), &shape, burst)?;
    load.run(Duration::from_millis(500))?;
    std::thread::sleep(Duration::from_millis(500));
    let full = usage();
    load.close()?;
    let per_session = full.resident.saturating_sub(idle.resident) as f64 / sessions as f64;
    println!(
        "idle {:.1} MiB; with {sessions} sessions {:.1} MiB: {:.1} KiB per session",
        idle.resident as f64 / f64::from(1 << 20),
        full.resident as f64 / f64::from(1 << 20),
        per_session / 1024.0,
    );
    Ok(())
}
