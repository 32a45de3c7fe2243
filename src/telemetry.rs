//! What happens becomes log lines and metrics.

mod catalogue;
mod count;
mod counters;
mod figures;
mod gauges;
mod page;
pub(crate) mod process;
pub(crate) mod scope;
#[cfg(test)]
mod tests;
mod traffic;
mod watcher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::Config;
use crate::dial::Circuits;
use crate::registry::Registry;
use crate::route::EnsembleId;
pub(crate) use count::{Ending, Outcome, Record, Reload, Tallies};
use counters::{OfEnsemble, Threads};
pub(crate) use figures::{Figures, bounds};
pub(crate) use gauges::{CountedConnection, CountedLeg, Holdings};
use page::Page;
pub(crate) use traffic::{Latency, Traffic};
pub(crate) use watcher::Watcher;

/// Counts what the sidecar does; all clones count together. One lives as long as the process does,
/// so that counters go on over reloads.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Seconds since 1970.
    began: u64,
    /// The same moment on a clock that nobody sets.
    started: Instant,
    threads: Threads,
    /// Whether the file on disk could not be used when it was last read.
    rejected: AtomicBool,
    seen: RwLock<Option<Seen>>,
}

/// What is looked at when the metrics are asked for, instead of being counted.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) config: Arc<Config>,
    pub(crate) circuits: Circuits,
    pub(crate) registry: Registry,
    /// How many connections clients may have.
    pub(crate) connections: usize,
}

impl Default for Inner {
    fn default() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            began: since_1970.map_or(0, |since| since.as_secs()),
            started: Instant::now(),
            threads: Threads::default(),
            rejected: AtomicBool::default(),
            seen: RwLock::default(),
        }
    }
}

impl Telemetry {
    /// All metrics in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = Page::default();
        let seen = self.0.seen.read();
        let seen = seen.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(seen) = &seen {
            self.show_ensembles(seen, &mut page);
            show_seen(seen, &mut page);
        }
        let sidecar = self.0.threads.of_sidecar();
        sidecar.visit(|family, labels, value| page.number(family, labels, value));
        let rejected = self.0.rejected.load(Ordering::Relaxed);
        page.number(&catalogue::RELOADED, &[], (!rejected).into());
        page.number(&catalogue::BUILD, &[env!("CARGO_PKG_VERSION")], 1);
        page.number(&catalogue::START_TIME, &[], self.0.began);
        process::show(&mut page);
        page.text()
    }

    /// From here on this is what there is to look at.
    pub(crate) fn look_at(&self, seen: Seen) {
        let mut place = self.0.seen.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(seen);
    }

    fn show_ensembles(&self, seen: &Seen, page: &mut Page) {
        let mut totals = self.0.threads.by_ensemble();
        for (id, ensemble) in (0..).map(EnsembleId::new).zip(&seen.config.ensembles) {
            show_ensemble(
                &ensemble.name,
                &totals.remove(&id).unwrap_or_default(),
                page,
            );
        }
    }
}

fn show_ensemble(name: &str, counted: &OfEnsemble, page: &mut Page) {
    for (op, operation) in counted.operations() {
        let labels = [name, op];
        if operation.requests.value() > 0 {
            page.number(&catalogue::REQUESTS, &labels, operation.requests.value());
            page.number(
                &catalogue::REQUEST_BYTES,
                &labels,
                operation.request_bytes.value(),
            );
        }
        let replies = operation.latency.count();
        if replies > 0 {
            page.number(&catalogue::RESPONSES, &labels, replies);
            page.number(
                &catalogue::RESPONSE_BYTES,
                &labels,
                operation.response_bytes.value(),
            );
            page.times(&catalogue::LATENCY, &labels, &operation.latency);
        }
    }
    for (error, count) in counted.errors().filter(|(_, count)| *count > 0) {
        page.number(&catalogue::ERRORS, &[name, error], count);
    }
    counted.counters.visit(|family, own, value| {
        page.number(family, &[&[name], own].concat(), value);
    });
    page.times(&catalogue::BARRIER_LATENCY, &[name], &counted.barrier);
    page.times(&catalogue::DRAIN, &[name], &counted.drain);
}

fn show_seen(seen: &Seen, page: &mut Page) {
    let census = seen.registry.census();
    page.number(&catalogue::SESSIONS, &["connected"], census.connected);
    page.number(&catalogue::SESSIONS, &["parked"], census.parked);
    for (id, ensemble) in (0..).map(EnsembleId::new).zip(&seen.config.ensembles) {
        let parked = census.parked_legs.get(&id).copied().unwrap_or_default();
        page.number(&catalogue::LEGS, &[&ensemble.name, "parked"], parked);
        page.number(
            &catalogue::CIRCUIT,
            &[&ensemble.name],
            seen.circuits.is_open(id).into(),
        );
    }
    page.number(
        &catalogue::MOST_CONNECTIONS,
        &[],
        count::size(seen.connections),
    );
    let home = &seen.config.ensemble(seen.config.home()).name;
    let fingerprint = seen.config.fingerprint().to_string();
    page.number(&catalogue::ROUTES, &[&fingerprint, home], 1);
}
