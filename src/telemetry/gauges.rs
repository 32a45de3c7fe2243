//! Gauges that are kept by those they count: what is added is taken off again by a drop, so that
//! none can drift, whichever way a connection ends.

use std::collections::BTreeMap;

use super::Telemetry;
use super::count::size;
use super::counters::Count;
use crate::route::EnsembleId;
use crate::session::Session;

/// How far a leg's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Dialling,
    Open,
}

/// One leg in the gauge of its stage, for as long as this lives.
#[derive(Debug)]
pub(crate) struct CountedLeg {
    telemetry: Telemetry,
    ensemble: EnsembleId,
    stage: Stage,
}

impl CountedLeg {
    fn new(telemetry: &Telemetry, ensemble: EnsembleId, stage: Stage) -> Self {
        let leg = Self {
            telemetry: telemetry.clone(),
            ensemble,
            stage,
        };
        leg.change(|count| count.add(1));
        leg
    }

    fn change(&self, by: impl Fn(&Count)) {
        let counters = &self.telemetry.0.threads.ensemble(self.ensemble).counters;
        by(match self.stage {
            Stage::Dialling => &counters.legs_dialling,
            Stage::Open => &counters.legs_open,
        });
    }
}

impl Drop for CountedLeg {
    fn drop(&mut self) {
        self.change(|count| count.subtract(1));
    }
}

/// One connection of a client in its gauge, for as long as this lives.
#[derive(Debug)]
pub(crate) struct CountedConnection(Telemetry);

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let counters = self.0.0.threads.sidecar();
        counters.open_connections.subtract(1);
    }
}

/// What one connection adds to gauges of bytes.
#[derive(Debug)]
pub(crate) struct Holdings {
    telemetry: Telemetry,
    waiting: u64,
    ledgers: BTreeMap<EnsembleId, u64>,
}

impl Holdings {
    /// Says what a session holds now.
    pub(crate) fn update(&mut self, session: &Session) {
        let waiting = size(session.waiting());
        if waiting != self.waiting {
            let before = std::mem::replace(&mut self.waiting, waiting);
            let counters = self.telemetry.0.threads.sidecar();
            counters.look_ahead_bytes.add(waiting.wrapping_sub(before));
        }
        for (ensemble, bytes) in session.ledgers() {
            self.ledger(ensemble, size(bytes));
        }
    }

    fn ledger(&mut self, ensemble: EnsembleId, bytes: u64) {
        let known = self.ledgers.get(&ensemble).copied().unwrap_or_default();
        if bytes != known {
            self.ledgers.insert(ensemble, bytes);
            let counters = &self.telemetry.0.threads.ensemble(ensemble).counters;
            counters.ledger_bytes.add(bytes.wrapping_sub(known));
        }
    }
}

impl Drop for Holdings {
    fn drop(&mut self) {
        let threads = &self.telemetry.0.threads;
        threads.sidecar().look_ahead_bytes.subtract(self.waiting);
        for (ensemble, bytes) in &self.ledgers {
            let counters = &threads.ensemble(*ensemble).counters;
            counters.ledger_bytes.subtract(*bytes);
        }
    }
}

impl Telemetry {
    /// Counts a leg while it is dialled.
    pub(crate) fn dialling(&self, ensemble: EnsembleId) -> CountedLeg {
        CountedLeg::new(self, ensemble, Stage::Dialling)
    }

    /// Counts a leg while its connection is open.
    pub(crate) fn open_leg(&self, ensemble: EnsembleId) -> CountedLeg {
        CountedLeg::new(self, ensemble, Stage::Open)
    }

    /// Counts a connection of a client while it is open.
    pub(crate) fn open_connection(&self) -> CountedConnection {
        self.0.threads.sidecar().open_connections.add(1);
        CountedConnection(self.clone())
    }

    /// Counts what one connection holds.
    pub(crate) fn holdings(&self) -> Holdings {
        Holdings {
            telemetry: self.clone(),
            waiting: 0,
            ledgers: BTreeMap::new(),
        }
    }
}
