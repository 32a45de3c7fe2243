//! Medians over rounds, as a table; every single result, as JSON lines.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::client::{Outcome, Shape};

/// One variant in one round.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    per_second: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    /// Of the proxy, microseconds per request; none where there is no proxy.
    cpu: Option<f64>,
}

impl Sample {
    pub(crate) fn new(outcome: &Outcome, cpu: Option<Duration>) -> Self {
        let requests = outcome.latency.len() as f64;
        let quantile = |q| outcome.latency.value_at_quantile(q) as f64 / 1e3;
        Self {
            per_second: requests / outcome.elapsed.as_secs_f64(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            cpu: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests),
        }
    }
}

/// All samples so far.
pub(crate) struct Report {
    raw: Option<File>,
    /// Of the present shape, in the order in which the variants came.
    samples: Vec<(String, Vec<Sample>)>,
}

impl Report {
    pub(crate) fn new(raw: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self {
            raw: raw.map(File::create).transpose()?,
            samples: Vec::new(),
        })
    }

    pub(crate) fn add(
        &mut self,
        variant: &str,
        shape: &Shape,
        round: usize,
        sample: Sample,
    ) -> anyhow::Result<()> {
        if let Some(raw) = &mut self.raw {
            let line = serde_json::json!({
                "variant": variant, "round": round, "sessions": shape.sessions,
                "depth": shape.depth, "value": shape.value, "writes": shape.writes,
                "per_second": sample.per_second, "p50_us": sample.p50, "p99_us": sample.p99,
                "cpu_us": sample.cpu,
            });
            writeln!(raw, "{line}")?;
        }
        match self.samples.iter_mut().find(|(name, _)| name == variant) {
            Some((_, samples)) => samples.push(sample),
            None => self.samples.push((variant.to_owned(), vec![sample])),
        }
        Ok(())
    }

    /// Prints the table of a shape and forgets its samples.
    pub(crate) fn print(&mut self, shape: &Shape) {
        println!(
            "\n{} in flight, {} session(s), {} B, {} % writes",
            shape.depth, shape.sessions, shape.value, shape.writes
        );
        println!(
            "{:<14}{:>28}{:>24}{:>26}{:>24}{:>8}{:>7}{:>7}",
            "", "requests/s", "p50 µs", "p99 µs", "CPU µs", "CPU x", "p50 x", "p99 x"
        );
        let relay = self.samples.iter().find(|(name, _)| name == "relay");
        let relay = relay.map(|(_, samples)| Medians::of(samples));
        for (name, samples) in &self.samples {
            let column = |of: fn(&Sample) -> Option<f64>, decimals| spread(samples, of, decimals);
            let here = Medians::of(samples);
            let ratio = |of: fn(&Medians) -> Option<f64>| {
                let ratio = of(&here).zip(relay.as_ref().and_then(of));
                ratio.map_or_else(
                    || "-".to_owned(),
                    |(here, relay)| format!("{:.2}", here / relay),
                )
            };
            println!(
                "{name:<14}{:>28}{:>24}{:>26}{:>24}{:>8}{:>7}{:>7}",
                column(|sample| Some(sample.per_second), 0),
                column(|sample| Some(sample.p50), 1),
                column(|sample| Some(sample.p99), 1),
                column(|sample| sample.cpu, 2),
                ratio(|medians| medians.cpu),
                ratio(|medians| medians.p50),
                ratio(|medians| medians.p99),
            );
        }
        self.samples.clear();
    }
}

/// What variants are compared by.
struct Medians {
    p50: Option<f64>,
    p99: Option<f64>,
    cpu: Option<f64>,
}

impl Medians {
    fn of(samples: &[Sample]) -> Self {
        Self {
            p50: median(&sorted(samples, |sample| Some(sample.p50))),
            p99: median(&sorted(samples, |sample| Some(sample.p99))),
            cpu: median(&sorted(samples, |sample| sample.cpu)),
        }
    }
}

fn sorted(samples: &[Sample], of: fn(&Sample) -> Option<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().filter_map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

/// Median, and from the least to the most.
fn spread(samples: &[Sample], of: fn(&Sample) -> Option<f64>, decimals: usize) -> String {
    let values = sorted(samples, of);
    match (median(&values), values.first(), values.last()) {
        (Some(median), Some(least), Some(most)) => {
            format!("{median:.decimals$} ({least:.decimals$}-{most:.decimals$})")
        }
        _ => "-".to_owned(),
    }
}
