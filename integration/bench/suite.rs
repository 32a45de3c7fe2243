//! All that the goals are judged by, in parts; each leaves its raw data, and a report is made of
//! those of all.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use super::client::{self, Amount, Load, Shape};
use super::memory::{self, Crowd};
use super::neighbours;
use super::paper::{self, Extent};
use super::part::{self, Part};
use super::process::Helper;
use super::proxies::{self, Effort};
use super::results::{Raw, Results};
use super::variant::{Servers, Variant, Way};
use crate::testbed::zookeeper::{Ensemble, Plan, Role};

/// What to run, how long, and where to write.
#[derive(Args)]
pub(crate) struct Suite {
    /// Parts to run; all of them if none is named.
    #[arg(value_enum, value_name = "PART")]
    parts: Vec<Name>,
    /// How much is measured.
    #[arg(long, value_enum, default_value = "quick")]
    effort: Level,
    /// Where results go.
    #[arg(long, default_value = "target/measure", value_name = "DIRECTORY")]
    out: PathBuf,
    /// Sessions of each region in the part `paper`.
    #[arg(long, default_value_t = 2)]
    sessions: usize,
    /// From region to region and back in the part `paper`.
    #[arg(long, default_value_t = 100, value_name = "MILLISECONDS")]
    round_trip: u64,
    /// Of which build, machine and time the figures are: said in the report.
    #[arg(long, default_value = "", value_name = "TEXT")]
    about: String,
}

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Proxies in front of a server that answers at once.
    Instant,
    /// The same with everything on one core.
    OneCore,
    /// Stock ZooKeeper, home only.
    Real,
    /// One ensemble stretched over two regions against two composed ones.
    Paper,
    /// A client of home only while others switch.
    Neighbours,
    /// Memory of idle sessions.
    Memory,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    /// That everything works: no figure of it says anything.
    Smoke,
    /// Minutes: enough to see what has changed a lot.
    Quick,
    /// As long as it takes for figures that are published.
    Full,
}

impl Level {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// One of these.
    fn pick<T>(self, smoke: T, quick: T, full: T) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Quick => quick,
            Self::Full => full,
        }
    }

    fn proxies(self) -> Effort {
        let (rounds, seconds) = self.pick((1, 0.05), (3, 0.3), (7, 1.0));
        Effort { rounds, seconds }
    }
}

impl Suite {
    /// Runs the parts; the report is of what there is, also when one has failed.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let results = Results::in_directory(self.out.clone());
        let ended = self.run_parts(&results);
        println!("{}", results.render()?.display());
        ended
    }

    fn run_parts(&self, results: &Results) -> anyhow::Result<()> {
        let parts = match self.parts.as_slice() {
            [] => Name::value_variants(),
            named => named,
        };
        for name in parts {
            if *name == Name::OneCore && thread::available_parallelism()?.get() > 1 {
                self.on_one_core()?;
                continue;
            }
            let value = name.to_possible_value().context("no part is hidden")?;
            let part = part::named(value.get_name()).context("each part can be shown")?;
            self.run_part(*name, part, results)
                .with_context(|| format!("part {}", part.name))?;
        }
        Ok(())
    }

    fn run_part(&self, name: Name, part: &'static Part, results: &Results) -> anyhow::Result<()> {
        let threads = thread::available_parallelism()?;
        let about = format!(
            "{}\n{} effort; each proxy has {threads} thread(s).\n",
            self.about,
            self.effort.name()
        );
        let mut raw = results.begin(part, &about)?;
        match name {
            Name::Instant => instant(self.effort, &instant_shapes(self.effort), &mut raw),
            Name::OneCore => instant(self.effort, &one_core_shapes(self.effort), &mut raw),
            Name::Real => real(self.effort, &mut raw),
            Name::Paper => paper::measure(self.extent(), &mut raw),
            Name::Neighbours => {
                let shapes = [shape(1, 1, 16, 0), shape(100, 8, 16, 0)];
                // Few cells, and what is looked for is small.
                let (rounds, seconds) = self.effort.pick((1, 0.05), (5, 0.5), (15, 1.0));
                neighbours::measure(Effort { rounds, seconds }, &shapes, &mut raw)
            }
            Name::Memory => {
                let sessions = self.effort.pick(20, 2_000, 10_000);
                let crowds = [1, 2].map(|ensembles| Crowd {
                    sessions,
                    ensembles,
                });
                let ways = [Way::Relay, Way::Haproxy, Way::HaproxyLarge, Way::Zoonet];
                memory::measure(self.effort.pick(1, 3, 3), &crowds, &ways, &mut raw)
            }
        }
    }

    fn extent(&self) -> Extent {
        let (rounds, seconds, heat) = self
            .effort
            .pick((1, 0.1, 0.1), (3, 1.5, 2.0), (7, 3.0, 5.0));
        Extent {
            cells: self.effort.pick(1, 9, 9),
            rounds,
            seconds,
            heat,
            sessions: self.sessions,
            round_trip: Duration::from_millis(self.round_trip),
        }
    }

    /// Runs that part in a process that has one core.
    fn on_one_core(&self) -> anyhow::Result<()> {
        let status = fs::read_to_string("/proc/self/status")?;
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = allowed.context("Linux says which processors may be used")?;
        let first = allowed.trim().split([',', '-']).next().unwrap_or_default();
        let ended = Command::new("taskset")
            .args(["-c", first])
            .arg(env::current_exe()?)
            .args(["suite", "one-core", "--effort", &self.effort.name()])
            .args(["--about", &self.about, "--out"])
            .arg(&self.out)
            .status()
            .context("taskset of util-linux cannot be run")?;
        ensure!(ended.success(), "one-core has failed: {ended}");
        Ok(())
    }
}

const fn shape(depth: usize, sessions: usize, value: usize, writes: usize) -> Shape {
    Shape {
        depth,
        sessions,
        value,
        writes,
    }
}

const KIB: usize = 1024;

/// Not every combination: each number of sessions, size and kind beside the one it is compared with.
/// What is in flight stays below 200 MB.
fn instant_shapes(level: Level) -> Vec<Shape> {
    if level == Level::Smoke {
        return vec![shape(1, 1, 16, 0), shape(100, 8, KIB, 100)];
    }
    vec![
        shape(1, 1, 16, 0),
        shape(1, 1, 16, 100),
        shape(1, 1, KIB, 0),
        shape(1, 1, 256 * KIB, 0),
        shape(1, 1, 256 * KIB, 100),
        shape(1, 8, 16, 0),
        shape(1, 128, 16, 0),
        shape(1, 1000, 16, 0),
        shape(100, 1, 16, 0),
        shape(100, 8, 16, 0),
        shape(100, 8, 16, 100),
        shape(100, 8, KIB, 0),
        shape(100, 8, KIB, 100),
        shape(100, 128, 16, 0),
        shape(100, 1000, 16, 0),
        shape(8, 8, 256 * KIB, 0),
        shape(8, 8, 256 * KIB, 100),
    ]
}

fn one_core_shapes(level: Level) -> Vec<Shape> {
    if level == Level::Smoke {
        return vec![shape(1, 1, 16, 0)];
    }
    vec![
        shape(1, 1, 16, 0),
        shape(1, 1, 16, 100),
        shape(1, 1, KIB, 0),
        shape(100, 1, 16, 0),
        shape(100, 8, 16, 0),
        shape(100, 8, 16, 100),
    ]
}

fn instant(level: Level, shapes: &[Shape], raw: &mut Raw) -> anyhow::Result<()> {
    let responder = Helper::responder();
    let variants = Variant::all(Way::value_variants(), &[])?;
    proxies::measure(level.proxies(), shapes, &variants, responder.servers(), raw)
}

fn real(level: Level, raw: &mut Raw) -> anyhow::Result<()> {
    let shapes = [
        shape(1, 1, 16, 0),
        shape(1, 1, 16, 100),
        shape(1, 8, 16, 0),
        shape(100, 8, 16, 0),
        shape(100, 8, 16, 100),
        shape(100, 8, KIB, 0),
    ];
    let real = Real::start(1);
    real.prepare(&shapes)?;
    real.heat(level.pick(0.1, 5.0, 10.0))?;
    let ways = [
        Way::Direct,
        Way::Relay,
        Way::Haproxy,
        Way::HaproxyLarge,
        Way::Zoonet,
    ];
    let variants = Variant::all(&ways, &[])?;
    let shapes = shapes.get(..level.pick(1, 6, 6)).unwrap_or_default();
    proxies::measure(level.proxies(), shapes, &variants, real.servers(), raw)
}

/// A stock ensemble to load.
pub(crate) struct Real {
    ensemble: Ensemble,
}

impl Real {
    pub(crate) fn start(voters: usize) -> Self {
        let plan = Plan::new("home").voters(voters).heap_megabytes(1024);
        Self {
            ensemble: plan.start(),
        }
    }

    /// The server all variants talk to: with more than one, a follower, as most clients do.
    pub(crate) fn servers(&self) -> Servers {
        let servers = self.ensemble.servers();
        let follower = servers
            .iter()
            .find(|server| server.role() != Some(Role::Leader));
        let server = follower.or_else(|| servers.first());
        Servers {
            home: server.map_or_else(
                || unreachable!("an ensemble has servers"),
                |one| one.address(),
            ),
            other: None,
        }
    }

    /// Creates the znodes of these loads.
    pub(crate) fn prepare(&self, shapes: &[Shape]) -> anyhow::Result<()> {
        let server = self.servers().home;
        shapes
            .iter()
            .try_for_each(|shape| client::prepare(server, shape))
    }

    /// Has Java compile what will be used.
    fn heat(&self, seconds: f64) -> anyhow::Result<()> {
        let mut load = Load::open(self.servers().home, &shape(100, 8, 16, 10), None)?;
        load.run(Amount::For(Duration::from_secs_f64(seconds)))?;
        load.close()
    }
}
