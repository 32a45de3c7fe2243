//! Ways to a server, compared: the same load through each, in turns.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::{Amount, Load, Outcome, Shape};
use super::figures::{Record, named};
use super::process::Usage;
use super::results::Raw;
use super::variant::{Servers, Variant};

/// How long a load runs before it is measured, each time.
const WARM_UP: Duration = Duration::from_millis(150);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Each runs every variant of every cell once.
    pub(crate) rounds: usize,
    /// How long each variant is measured in each.
    pub(crate) seconds: f64,
}

/// Runs every variant of every cell once a round, each time in new processes; each round starts with
/// another variant.
pub(crate) fn measure(
    effort: Effort,
    shapes: &[Shape],
    variants: &[Variant],
    servers: Servers,
    raw: &mut Raw,
) -> anyhow::Result<()> {
    for round in 0..effort.rounds {
        for shape in shapes {
            for step in 0..variants.len() {
                let Some(variant) = variants.get((round + step) % variants.len()) else {
                    continue;
                };
                let figures = one_run(effort, shape, variant, servers)?;
                raw.add(Record {
                    part: raw.part().to_owned(),
                    cell: shape.in_words(),
                    variant: variant.name.clone(),
                    round,
                    conditions: shape.as_numbers(),
                    figures,
                })?;
            }
        }
        raw.round_done(round + 1, effort.rounds);
    }
    Ok(())
}

/// Figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

fn one_run(
    effort: Effort,
    shape: &Shape,
    variant: &Variant,
    servers: Servers,
) -> anyhow::Result<Figures> {
    let running = variant.start(servers, shape.sessions)?;
    let mut load = Load::open(running.address, shape, running.burst)?;
    load.run(Amount::For(WARM_UP))?;
    let before = running.pid.map(Usage::of);
    let outcome = load.run(Amount::For(Duration::from_secs_f64(effort.seconds)))?;
    let after = running.pid.map(Usage::of);
    load.close()?;
    Ok(figures(&outcome, after.zip(before)))
}

/// What the load saw, and what the proxy had used after it and before it.
pub(crate) fn figures(outcome: &Outcome, used: Option<(Usage, Usage)>) -> Figures {
    let mut figures = seen(outcome);
    if let Some((after, before)) = used {
        let cpu = after.cpu.saturating_sub(before.cpu);
        let each = cpu.as_secs_f64() * 1e6 / outcome.latency.len() as f64;
        let memory = after.resident as f64 / f64::from(1 << 20);
        figures.append(&mut named([("cpu_us", each), ("memory_mib", memory)]));
    }
    figures
}

fn seen(outcome: &Outcome) -> Figures {
    let quantile = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
    let elapsed = outcome.elapsed.as_secs_f64();
    named([
        ("per_second", outcome.latency.len() as f64 / elapsed),
        ("p50_us", quantile(0.5)),
        ("p90_us", quantile(0.9)),
        ("p99_us", quantile(0.99)),
        ("p999_us", quantile(0.999)),
        ("max_us", outcome.latency.max() as f64 / 1e3),
        ("load_busy", outcome.cpu.as_secs_f64() / elapsed * 100.0),
    ])
}

impl Shape {
    /// How a cell is called.
    pub(crate) fn in_words(&self) -> String {
        let sessions = match self.sessions {
            1 => "1 session".to_owned(),
            many => format!("{many} sessions"),
        };
        let value = match self.value {
            kib if kib >= 1024 && kib.is_multiple_of(1024) => format!("{} KiB", kib / 1024),
            bytes => format!("{bytes} B"),
        };
        let kind = match self.writes {
            0 => "reads".to_owned(),
            100 => "writes".to_owned(),
            percent => format!("{percent} % writes"),
        };
        format!("{} in flight, {sessions}, {value}, {kind}", self.depth)
    }

    /// The same as numbers.
    pub(crate) fn as_numbers(&self) -> Figures {
        named([
            ("depth", self.depth as f64),
            ("sessions", self.sessions as f64),
            ("value", self.value as f64),
            ("writes", self.writes as f64),
        ])
    }
}
