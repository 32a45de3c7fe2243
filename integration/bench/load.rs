//! What a request costs through the sidecar: the same load sent direct, through other proxies and
//! through zoonet, in turns, each in a process of its own. See README.md beside this file.

#![expect(
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench takes real time and rounds its figures"
)]

mod client;
mod figures;
mod goal;
mod haproxy;
mod memory;
mod neighbours;
mod paper;
mod part;
mod plot;
mod process;
mod proxies;
mod relay;
mod responder;
mod results;
mod suite;
mod table;
mod variant;
mod wire;

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

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use client::Shape;
use memory::Crowd;
use process::Helper;
use proxies::Effort;
use results::{Raw, Results};
use suite::Suite;
use variant::{Servers, Variant, Way};

/// The program under test, as cargo built it for this run: with the release profile.
const ZOONET: &str = env!("CARGO_BIN_EXE_zoonet");

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
    /// All that the goals are judged by, with raw data, tables and plots: integration/measure.
    Suite(Suite),
    /// Makes tables, plots and verdicts anew of the raw data in a directory.
    Report {
        /// Where the suite wrote.
        #[arg(long, default_value = "target/measure", value_name = "DIRECTORY")]
        out: PathBuf,
    },
    /// Against a server that answers at once, so that the proxy is what is measured.
    Instant {
        #[command(flatten)]
        run: Run,
        /// The variants to run.
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            default_value = "direct,relay,zoonet,zoonet-map,zoonet-mix"
        )]
        variants: Vec<Way>,
    },
    /// Against stock ZooKeeper.
    Real {
        #[command(flatten)]
        run: Run,
        /// The variants to run.
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            default_value = "direct,relay,zoonet"
        )]
        variants: Vec<Way>,
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
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        ensembles: u8,
        /// How often, each time with a new process.
        #[arg(long, default_value_t = 1)]
        rounds: usize,
    },
    /// Internal: the instant responder, on two ports.
    #[command(hide = true)]
    Responder,
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
    /// A program to run as the sidecar beside the one just built, as variant NAME=PATH.
    #[arg(long, value_name = "NAME=PATH")]
    against: Vec<String>,
    /// Writes every single result to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

impl Run {
    fn shapes(&self) -> Vec<Shape> {
        let depths = self.depth.iter();
        let both = depths.flat_map(|depth| self.sessions.iter().map(move |many| (*depth, *many)));
        both.map(|(depth, sessions)| Shape {
            depth,
            sessions,
            value: self.value,
            writes: usize::from(self.writes),
        })
        .collect()
    }

    fn against(&self, ways: &[Way], servers: Servers, part: &str) -> anyhow::Result<()> {
        let variants = Variant::all(ways, &self.against)?;
        let effort = Effort {
            rounds: self.rounds,
            seconds: self.seconds,
        };
        let part = part::named(part).context("it is among the parts")?;
        let mut raw = Raw::new(part, self.raw.as_deref())?;
        proxies::measure(effort, &self.shapes(), &variants, servers, &mut raw)?;
        println!("{}", raw.text());
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Suite(suite) => suite.run(),
        Command::Report { out } => {
            let report = Results::in_directory(out).render()?;
            println!("{}", report.display());
            Ok(())
        }
        Command::Instant { run, variants } => {
            let responder = Helper::responder();
            run.against(&variants, responder.servers(), "instant")
        }
        Command::Real {
            run,
            variants,
            voters,
        } => {
            let real = suite::Real::start(voters);
            real.prepare(&run.shapes())?;
            run.against(&variants, real.servers(), "real")
        }
        Command::Memory {
            sessions,
            ensembles,
            rounds,
        } => {
            let part = part::named("memory").context("it is among the parts")?;
            let mut raw = Raw::new(part, None)?;
            let crowd = Crowd {
                sessions,
                ensembles,
            };
            memory::measure(rounds, &[crowd], &[Way::Zoonet], &mut raw)?;
            println!("{}", raw.text());
            Ok(())
        }
        Command::Responder => responder::run(),
        Command::Relay { to } => relay::run(to),
    }
}
