//! Whether clients of a running deployment see one consistent system: load, record, judge.
//!
//! ```text
//! cargo run --release --example verify -- --connect us:2181,eu:2181 --prefix /scratch --prefix /eu/scratch
//! cargo run --release --example verify -- --check history.jsonl
//! ```
//!
//! Ends with 0 if the history is OSC(U), with 1 if it is not, with 2 if that could not be decided.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the ban is for the core; real processes take real time"
)]

mod checker;
#[expect(
    dead_code,
    reason = "takes the Python client from the bed; tests take the rest"
)]
mod testbed;
#[expect(dead_code, reason = "only a campaign ends its load before its time")]
mod workload;

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use thiserror::Error;

use checker::{History, Malformed};
use testbed::scratch::Scratch;
use workload::{Broken, Workload};

/// Drives `ZooKeeper` addresses through unmodified clients, records what they see, and checks that
/// it is OSC(U). Directories made below the prefixes are removed again.
#[derive(Parser)]
#[command(bin_name = "verify")]
struct Options {
    #[command(flatten)]
    workload: Option<Workload>,
    /// Judge this recorded history instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "prefix", "history"])]
    check: Option<PathBuf>,
    /// Keep the history.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Where to draw a violation as FILE.dot and FILE.svg.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// Why there is no verdict.
#[derive(Debug, Error)]
enum Undecided {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("not a history that ZooKeeper can have answered: {0}")]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("nothing to judge: name --connect and --prefix, or --check")]
    Nothing,
    #[error("nothing to judge: no operation was answered")]
    Empty,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // What cannot go on in the test bed panics; scripts still want one number for it.
    match panic::catch_unwind(|| run(&options)) {
        Ok(Ok(code)) => code,
        Ok(Err(undecided)) => {
            eprintln!("undecided: {undecided}");
            ExitCode::from(2)
        }
        Err(_) => ExitCode::from(2),
    }
}

fn run(options: &Options) -> Result<ExitCode, Undecided> {
    if let Some(path) = &options.check {
        return judge(path, options);
    }
    let workload = options.workload.as_ref().ok_or(Undecided::Nothing)?;
    if workload.prefix.len() < 2 {
        eprintln!("with a single --prefix only one ensemble is judged");
    }
    let scratch = Scratch::new("verify");
    let own = scratch.path().join("history.jsonl");
    let path = options.history.as_deref().unwrap_or(&own);
    println!("{}", workload.run(path)?);
    judge(path, options)
}

fn judge(path: &Path, options: &Options) -> Result<ExitCode, Undecided> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |error| Undecided::File { path, error }
    };
    let file = File::open(path).map_err(failed(path))?;
    let begun = Instant::now();
    let history = History::read(BufReader::new(file))?;
    let verdict = checker::check(&history)?;
    println!("{} ({:.1?})", verdict.counts, begun.elapsed());
    if verdict.counts.operations == 0 {
        return Err(Undecided::Empty);
    }
    let Some(violation) = verdict.violation else {
        println!("OSC(U): one order of all operations explains what all clients saw");
        return Ok(ExitCode::SUCCESS);
    };
    println!("{violation}");
    if let Some(picture) = &options.picture {
        for (end, text) in [("dot", violation.dot()), ("svg", violation.svg())] {
            let file = picture.with_extension(end);
            fs::write(&file, text).map_err(failed(&file))?;
            println!("drawn in {}", file.display());
        }
    }
    Ok(ExitCode::FAILURE)
}
