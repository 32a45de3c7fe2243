//! The few numbers a status page shows, out of the many that are counted.

use std::collections::BTreeMap;

use super::Telemetry;
use super::catalogue::BOUNDS;
use super::counters::{OfEnsemble, Times};
use crate::route::EnsembleId;
use crate::wire::opcode::OpCode;

/// What was counted for one ensemble since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Requests sent there, pings left out: of idle clients there is nothing else.
    pub(crate) requests: u64,
    /// Replies that carried an error.
    pub(crate) errors: u64,
    /// Times a client came there from another ensemble.
    pub(crate) switches: u64,
    /// Barriers put in front of reads.
    pub(crate) barriers: u64,
    /// Barriers left out.
    pub(crate) elided: u64,
    /// From when a request went out to when its reply came in.
    pub(crate) latency: Spread,
    /// The same of barriers.
    pub(crate) barrier_latency: Spread,
}

/// How many took how long: by [`bounds`], the last one those above all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread(pub(crate) [u64; BOUNDS.len() + 1]);

/// Upper bounds of what is counted together in a [`Spread`], microseconds.
pub(crate) const fn bounds() -> [u64; BOUNDS.len()] {
    BOUNDS
}

impl Telemetry {
    /// The figures of every ensemble for which anything was counted.
    pub(crate) fn figures(&self) -> BTreeMap<EnsembleId, Figures> {
        let totals = self.0.threads.by_ensemble().into_iter();
        totals
            .map(|(id, counted)| (id, Figures::of(&counted)))
            .collect()
    }
}

impl Figures {
    fn of(counted: &OfEnsemble) -> Self {
        let mut figures = Self {
            errors: counted.errors().map(|(_, count)| count).sum(),
            switches: counted.counters.switches.value(),
            barriers: counted.counters.sync_barriers.value()
                + counted.counters.quorum_barriers.value(),
            elided: counted.counters.elided_barriers.value(),
            barrier_latency: Spread::of(&counted.barrier),
            ..Self::default()
        };
        let pings = OpCode::Ping.shape().name;
        for (_, operation) in counted.operations().filter(|(op, _)| *op != pings) {
            figures.requests += operation.requests.value();
            figures.latency.add(&Spread::of(&operation.latency));
        }
        figures
    }
}

impl Spread {
    fn of(times: &Times) -> Self {
        let mut before = 0;
        Self(
            times
                .cumulated()
                .map(|so_far| so_far - std::mem::replace(&mut before, so_far)),
        )
    }

    fn add(&mut self, other: &Self) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine += others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_added_up_and_times_are_told_apart() {
        let counted = OfEnsemble::default();
        for (op, microseconds) in [
            (OpCode::GetData, 90),
            (OpCode::GetData, 200),
            (OpCode::Create, 90),
        ] {
            let operation = counted.operation(op.place());
            operation.requests.add(1);
            operation.latency.observe(microseconds);
        }
        counted.operation(OpCode::Exists.place()).requests.add(1);
        counted.operation(OpCode::Ping.place()).requests.add(100);
        counted.error(-101).add(2);
        counted.counters.switches.add(3);
        counted.counters.sync_barriers.add(4);
        counted.counters.quorum_barriers.add(1);
        counted.counters.elided_barriers.add(7);
        counted.barrier.observe(60_000_000);
        let figures = Figures::of(&counted);
        assert_eq!((figures.requests, figures.errors), (4, 2));
        assert_eq!((figures.switches, figures.barriers), (3, 5));
        assert_eq!(figures.elided, 7);
        assert_eq!(figures.latency.0[..3], [2, 1, 0]);
        assert_eq!(figures.latency.0.iter().sum::<u64>(), 3);
        assert_eq!(figures.barrier_latency.0.last(), Some(&1));
    }
}
