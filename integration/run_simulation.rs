//! Simulates sidecars from seeds, as many as it is told: see `simulation.rs`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the ban is for the core; how long the runs take is told in real time"
)]

#[expect(dead_code, reason = "it is asked for a verdict only")]
mod checker;
mod simulation;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use simulation::{Barrier, Deposed, Plan, Rules, counted, shrink, traced};

/// Runs of the whole sidecar in one thread against simulated ensembles. The same seed, with the same
/// options, is the same run to the byte.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(bin_name = "cargo run --release --example simulate --")]
struct Options {
    /// The first seed; any if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many runs, each with the next seed.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// How many operations the clients of a run have.
    #[arg(long, default_value_t = 300)]
    operations: usize,
    /// What leads the first read after a switch; the seed's choice if not given.
    #[arg(long)]
    barrier: Option<Leading>,
    /// Servers follow deposed leaders now and then: with `sync` that is seen.
    #[arg(long)]
    deposed: bool,
    /// Of what the seed plans only this: the numbers a shrunk run has printed.
    #[arg(long, value_delimiter = ',')]
    keep: Vec<usize>,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    /// How many runs cutting down a failure may take.
    #[arg(long, default_value_t = 2_000)]
    shrink: usize,
    /// Go on after a failure, without cutting it down.
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Leading {
    Sync,
    Quorum,
    None,
}

impl Options {
    fn rules(&self) -> Rules {
        Rules {
            barrier: self.barrier.map(|barrier| match barrier {
                Leading::Sync => Barrier::Sync,
                Leading::Quorum => Barrier::Quorum,
                Leading::None => Barrier::None,
            }),
            deposed: if self.deposed {
                Deposed::Sometimes
            } else {
                Deposed::Never
            },
            operations: self.operations,
        }
    }

    /// The command that does the same again.
    fn again(&self, seed: u64, keep: &[usize]) -> String {
        let mut words = format!(
            "cargo run --release --example simulate -- --seed {seed} --operations {}",
            self.operations
        );
        if let Some(barrier) = self.barrier.and_then(|barrier| barrier.to_possible_value()) {
            write!(words, " --barrier {}", barrier.get_name()).ok();
        }
        if self.deposed {
            words.push_str(" --deposed");
        }
        if !keep.is_empty() {
            let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
            write!(words, " --keep {}", keep.join(",")).ok();
        }
        words
    }

    fn plan(&self, seed: u64) -> Plan {
        let plan = Plan::of(seed, self.rules());
        if self.keep.is_empty() {
            plan
        } else {
            plan.keeping(&self.keep)
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let first = options
        .seed
        .unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("seed {first}, {} runs", options.runs);
    let begun = Instant::now();
    let (mut answered, mut lasted, mut failed, mut faults, mut digest) = (0, 0, 0, 0, 0);
    for seed in (first..).take(usize::try_from(options.runs).unwrap_or(usize::MAX)) {
        let plan = options.plan(seed);
        faults += plan.faults();
        let run = if options.trace {
            traced(&plan)
        } else {
            counted(&plan)
        };
        answered += run.answered;
        lasted += run.lasted;
        digest ^= run.digest;
        for line in &run.trace {
            println!("{line}");
        }
        if let Err(broken) = run.verdict {
            failed += 1;
            println!("seed {seed}: {broken}");
            if !options.all {
                cut_down(&options, seed, &plan, broken.property);
                break;
            }
        }
    }
    println!(
        "{failed} failed; {answered} replies, {faults} faults, {:.1} simulated hours in {:.0} s; \
         digest {digest:016x}",
        hours(lasted),
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints as short a run as is found that fails in the same way.
fn cut_down(options: &Options, seed: u64, plan: &Plan, property: simulation::Property) {
    println!("again: {}", options.again(seed, &options.keep));
    let kept = shrink(plan, property, options.shrink);
    let small = plan.keeping(&kept);
    println!("cut down, {}:", small.shape());
    for line in small.in_words() {
        println!("{line}");
    }
    if let Err(broken) = counted(&small).verdict {
        println!("{broken}");
    }
    println!("again: {}", options.again(seed, &small.kept()));
}

fn hours(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64() / 3600.0
}
