//! Memory of a proxy: idle, and with idle sessions.

use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::client::{Amount, Load, Shape};
use super::figures::{Record, named};
use super::process::{Helper, Usage};
use super::results::Raw;
use super::variant::{Servers, Variant, Way};

/// For what is let go to be given back.
const SETTLE: Duration = Duration::from_secs(1);

/// Sessions that come at once: remote sessions of all would take longer than a request may wait.
const AT_ONCE: usize = 100;

/// Descriptors a process needs besides those of sessions: while they come, servers are also asked
/// for their roles.
const SPARE: u64 = 500;

/// Many sessions that do nothing any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) sessions: usize,
    /// How many ensembles each has read from: one or two.
    pub(crate) ensembles: u8,
}

impl Crowd {
    /// As many of these sessions as a process may have descriptors for; says so if that is less.
    fn that_fits(self) -> anyhow::Result<Self> {
        // In the sidecar one of the client and one of each ensemble.
        let each = 1 + u64::from(self.ensembles);
        let limit = descriptors(each * u64::try_from(self.sessions)? + SPARE)?;
        let most = usize::try_from(limit.saturating_sub(SPARE) / each)?;
        if most < self.sessions {
            eprintln!(
                "memory: {most} sessions instead of {}: a process may have {limit} descriptors, and \
                 each session takes {each} (raise the hard limit: ulimit -Hn)",
                self.sessions
            );
        }
        Ok(Self {
            sessions: self.sessions.min(most),
            ..self
        })
    }

    fn in_words(self) -> String {
        let sessions = self.sessions;
        match self.ensembles {
            1 => format!("{sessions} sessions, home only"),
            _ => format!("{sessions} sessions, one remote leg each"),
        }
    }
}

/// Raises how many descriptors this process, and those it starts, may have; returns how many.
fn descriptors(wanted: u64) -> anyhow::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let allowed = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    if allowed(limit.current) >= wanted {
        return Ok(allowed(limit.current));
    }
    let both = Rlimit {
        current: Some(wanted),
        maximum: Some(wanted.max(allowed(limit.maximum))),
    };
    if setrlimit(Resource::Nofile, both).is_ok() {
        return Ok(wanted);
    }
    // Only root may have more than the hard limit.
    let soft = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, soft).context("the soft limit may be raised to the hard one")?;
    Ok(allowed(limit.maximum))
}

/// Measures each way with each crowd, each time in new processes.
pub(crate) fn measure(
    rounds: usize,
    crowds: &[Crowd],
    ways: &[Way],
    raw: &mut Raw,
) -> anyhow::Result<()> {
    let fitting: Vec<Crowd> = crowds
        .iter()
        .map(|crowd| crowd.that_fits())
        .collect::<Result<_, _>>()?;
    let variants = Variant::all(ways, &[])?;
    for round in 0..rounds {
        for crowd in &fitting {
            // Only zoonet knows of two ensembles.
            let fit = |way: &Way| crowd.ensembles == 1 || *way == Way::Zoonet;
            let these = variants.iter().zip(ways).filter(|(_, way)| fit(way));
            for (variant, _) in these {
                raw.add(one_run(round, *crowd, variant, raw.part())?)?;
            }
        }
        raw.round_done(round + 1, rounds);
    }
    Ok(())
}

fn one_run(round: usize, crowd: Crowd, variant: &Variant, part: &str) -> anyhow::Result<Record> {
    let responder = Helper::responder();
    let servers = responder.servers();
    let running = match crowd.ensembles {
        1 => variant.start(
            Servers {
                other: None,
                ..servers
            },
            crowd.sessions,
        )?,
        _ => variant.start_with_both(servers)?,
    };
    let pid = running.pid.context("a proxy is measured")?;
    let resident = || Usage::of(pid).resident as f64;
    let idle = resident();
    let ensembles = usize::from(crowd.ensembles);
    let mut loads = Vec::new();
    for first in (0..crowd.sessions).step_by(AT_ONCE) {
        let shape = Shape {
            depth: 1,
            sessions: AT_ONCE.min(crowd.sessions - first),
            value: 16,
            writes: 0,
        };
        let mut load = Load::open(running.address, &shape, (ensembles > 1).then_some(1))?;
        load.run(Amount::Requests(2 * ensembles))?;
        loads.push(load);
    }
    std::thread::sleep(SETTLE);
    let full = resident();
    loads.into_iter().try_for_each(Load::close)?;
    let each = (full - idle).max(0.0) / crowd.sessions as f64;
    Ok(Record {
        part: part.to_owned(),
        cell: crowd.in_words(),
        variant: variant.name.clone(),
        round,
        conditions: named([
            ("sessions", crowd.sessions as f64),
            ("ensembles", f64::from(crowd.ensembles)),
        ]),
        figures: named([
            ("idle_mib", idle / f64::from(1 << 20)),
            ("memory_mib", full / f64::from(1 << 20)),
            ("session_kib", each / 1024.0),
        ]),
    })
}
