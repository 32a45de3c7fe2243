//! What all ensembles have done together, for those who do not read Prometheus.

use std::time::Duration;

use super::Telemetry;
use super::catalogue::BOUNDS;
use super::counters::{Count, Times};
use crate::route::EnsembleId;

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    /// Requests sent to ensembles, pings and barriers of zoonet's own included.
    pub(crate) requests: u64,
    /// What came back: replies and watch events.
    pub(crate) replies: u64,
    pub(crate) switches: u64,
    pub(crate) barriers: u64,
    /// Connections to ensembles other than home that are open now.
    pub(crate) remote_legs: u64,
    pub(crate) latency: Latency,
}

/// From a request to its reply, milliseconds. The extremes are as exact as the histograms are: the
/// least is rounded down and the most up, to bounds of buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) least: u64,
    pub(crate) mean: f64,
    pub(crate) most: u64,
}

impl Telemetry {
    /// Sums all up.
    pub(crate) fn traffic(&self, home: EnsembleId) -> Traffic {
        let mut traffic = Traffic::default();
        let times = Times::default();
        let requests = Count::default();
        for (id, counted) in self.0.threads.by_ensemble() {
            for (_, operation) in counted.operations() {
                requests.add(operation.requests.value());
                times.absorb(&operation.latency);
            }
            let counters = &counted.counters;
            traffic.replies += counters.watch_events.value();
            traffic.switches += counters.switches.value();
            traffic.barriers += counters.sync_barriers.value() + counters.quorum_barriers.value();
            if id != home {
                traffic.remote_legs += counters.legs_open.value();
            }
        }
        traffic.requests = requests.value();
        traffic.replies += times.count();
        traffic.latency = Latency::of(&times);
        traffic
    }

    /// How long there has been something to count.
    pub(crate) fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}

impl Latency {
    fn of(times: &Times) -> Self {
        let so_far = times.cumulated();
        let count = times.count();
        let first = so_far.iter().position(|so_far| *so_far > 0);
        let last = so_far.iter().position(|so_far| *so_far == count);
        let (Some(first), Some(last), true) = (first, last, count > 0) else {
            return Self::default();
        };
        // A bucket begins where the one before it ends; what is above all bounds has none.
        let below = first.checked_sub(1).and_then(|before| BOUNDS.get(before));
        let above = BOUNDS.get(last).or(BOUNDS.last());
        Self {
            least: below.map_or(0, |bound| bound / 1000),
            mean: mean(times.sum(), count),
            most: above.map_or(0, |bound| bound.div_ceil(1000)),
        }
    }
}

/// The mean of so many, exact to a microsecond; `count` is not zero.
fn mean(microseconds: u64, count: u64) -> f64 {
    let mean = microseconds.checked_div(count).unwrap_or_default();
    Duration::from_micros(mean).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_those_of_buckets() {
        let times = Times::default();
        assert_eq!(Latency::of(&times), Latency::default());
        for microseconds in [1_200, 1_400, 7_000] {
            times.observe(microseconds);
        }
        let expected = Latency {
            least: 1,
            mean: 3.2,
            most: 10,
        };
        assert_eq!(Latency::of(&times), expected);
        times.observe(60_000_000);
        assert_eq!(Latency::of(&times).most, 10_000);
    }
}
