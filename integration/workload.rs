//! Random load by unmodified clients, recorded for the checker: `clients/workload.py`.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use thiserror::Error;

use crate::testbed::python::{Python, Running};

/// What it may take beyond its duration: starting clients, creating nodes, awaiting replies.
const SLACK: Duration = Duration::from_secs(120);

/// What to do to which addresses.
#[derive(Clone, Debug, Args)]
pub(crate) struct Workload {
    /// Where clients connect; they take the addresses in turn, so name a sidecar of each region.
    #[arg(long, required = true, value_delimiter = ',', value_name = "HOST:PORT")]
    pub(crate) connect: Vec<String>,
    /// A scratch directory on an ensemble; give one for each ensemble.
    #[arg(long, required = true, value_name = "PATH")]
    pub(crate) prefix: Vec<String>,
    /// How many clients, each with a session of its own.
    #[arg(long, default_value_t = 8)]
    pub(crate) clients: u32,
    /// How many requests each keeps in flight.
    #[arg(long, default_value_t = 8)]
    pub(crate) window: u32,
    /// How many nodes they share below each prefix.
    #[arg(long, default_value_t = 8)]
    pub(crate) keys: u32,
    /// How often the next request goes where the last one went.
    #[arg(long, default_value_t = 0.8)]
    pub(crate) locality: f64,
    /// The share of reads.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) reads: f64,
    /// How many operations a second all clients start; as many as they can unless given.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// How long, such as 10s or 2m.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Decides what is drawn by chance.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A run that recorded nothing that could be judged.
#[derive(Debug, Error)]
#[error("the workload did not run to its end:\n{0}")]
pub(crate) struct Broken(String);

/// A workload under way.
#[derive(Debug)]
pub(crate) struct Load {
    running: Running,
    duration: Duration,
}

impl Workload {
    /// Runs it, leaves the record in `history`, and returns the summary it printed.
    pub(crate) fn run(&self, history: &Path) -> Result<String, Broken> {
        self.start(history)?.end()
    }

    /// Starts it, and returns when its nodes are there.
    pub(crate) fn start(&self, history: &Path) -> Result<Load, Broken> {
        let rate = self.rate.map(|rate| format!("--rate={rate}"));
        let running = Python::file("clients/workload.py")
            .args(["--connect", &self.connect.join(",")])
            .args(self.prefix.iter().flat_map(|path| ["--prefix", path]))
            .args(["--clients", &self.clients.to_string()])
            .args(["--window", &self.window.to_string()])
            .args(["--keys", &self.keys.to_string()])
            .args(["--locality", &self.locality.to_string()])
            .args(["--reads", &self.reads.to_string()])
            .args(rate)
            .args(["--duration", &self.duration.as_secs_f64().to_string()])
            .args([
                "--limit",
                &(self.duration + SLACK).as_secs_f64().to_string(),
            ])
            .args(["--seed", &self.seed.to_string()])
            .args(["--history", &history.to_string_lossy()])
            .start();
        match running.line(SLACK) {
            Some(_) => Ok(Load {
                running,
                duration: self.duration,
            }),
            None => Err(Broken(running.errors())),
        }
    }
}

impl Load {
    /// Asks it to end before its time and waits until it has.
    pub(crate) fn stop(self) -> Result<String, Broken> {
        self.running.say("stop");
        self.end()
    }

    /// Waits for its end; the summary it printed.
    pub(crate) fn end(self) -> Result<String, Broken> {
        let said = self.running.line(self.duration + SLACK);
        let ended = self.running.process().wait(SLACK);
        match (said, ended) {
            (Some(said), Some(status)) if status.success() => Ok(said),
            _ => Err(Broken(self.running.errors())),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("a number with ms, s, m or h behind it".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| format!("no number: {number}"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}
