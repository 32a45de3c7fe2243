//! The guarantee under the same faults: random load through both sidecars, recorded and judged.

use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use super::world::{REGIONS, World, top};
use crate::checker::{self, History};
use crate::testbed::scratch::Scratch;
use crate::workload::{self, Workload};

/// Longer than any campaign: it is told when to stop.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// Operations a second: many per fault, few enough to leave a small machine to the faults.
const RATE: f64 = 150.0;

/// Clients that write and read on both ensembles while things break.
pub(super) struct Load {
    load: workload::Load,
    scratch: Scratch,
}

/// What the record of a campaign came to.
pub(super) struct Verdict {
    /// How many operations were judged.
    pub(super) operations: usize,
    /// Why no order explains what the clients saw, if none does.
    pub(super) violation: Option<String>,
    /// All of it in words.
    pub(super) said: String,
}

impl Load {
    pub(super) fn start(world: &World, seed: u64) -> Self {
        let scratch = Scratch::new("load");
        let workload = Workload {
            connect: world
                .sites
                .iter()
                .map(|site| site.sidecar.address().to_string())
                .collect(),
            prefix: (0..REGIONS.len())
                .map(|region| format!("{}/load", top(region)))
                .collect(),
            clients: 4,
            window: 8,
            keys: 2,
            locality: 0.7,
            reads: 0.6,
            rate: Some(RATE),
            duration: FOREVER,
            seed,
        };
        let load = workload
            .start(&scratch.path().join("history.jsonl"))
            .unwrap_or_else(|broken| panic!("{broken}"));
        Self { load, scratch }
    }

    /// Ends the load and judges all of it.
    pub(super) fn judge(self) -> Verdict {
        let summary = self.load.stop().unwrap_or_else(|broken| panic!("{broken}"));
        let path = self.scratch.path().join("history.jsonl");
        let file = File::open(path).expect("the load has recorded what it did");
        let history = History::read(BufReader::new(file)).expect("it writes what is read here");
        let verdict = checker::check(&history).expect("ZooKeeper can have answered so");
        let violation = verdict.violation.map(|violation| violation.to_string());
        Verdict {
            operations: verdict.counts.operations,
            said: format!(
                "load: {summary}\nload: {}: {}",
                verdict.counts,
                violation.as_deref().unwrap_or("OSC(U)")
            ),
            violation,
        }
    }
}
