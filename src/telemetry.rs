//! What happens becomes log lines and metrics.

mod catalogue;
mod count;
mod counters;
mod figures;
mod gauges;
mod page;
pub(crate) mod process;
#[cfg(test)]
mod tests;
mod traffic;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::Config;
use crate::dial::{Circuits, LegError};
use crate::registry::Registry;
use crate::route::EnsembleId;
use crate::session::{Event, Loss};
use crate::wire::SessionId;
pub(crate) use count::{Ending, Outcome, Record, Reload, Tallies};
use counters::{OfEnsemble, Threads};
pub(crate) use figures::{Figures, bounds};
pub(crate) use gauges::{CountedConnection, CountedLeg, Holdings};
use page::Page;
pub(crate) use traffic::{Latency, Traffic};

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

/// Speaks and counts for one session.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    config: Arc<Config>,
    session: SessionId,
    telemetry: Telemetry,
}

impl Watcher {
    pub(crate) const fn new(config: Arc<Config>, session: SessionId, telemetry: Telemetry) -> Self {
        Self {
            config,
            session,
            telemetry,
        }
    }

    /// Where it counts.
    pub(crate) const fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn name(&self, ensemble: EnsembleId) -> &str {
        &self.config.ensemble(ensemble).name
    }

    /// Counts and logs what happened. Only what an operator would want to be woken by is a warning.
    pub(crate) fn happened(&self, event: &Event) {
        self.telemetry.happened(event);
        let session = self.session;
        match event {
            Event::Switched { from, to, .. } => {
                tracing::trace!(%session, from = self.name(*from), to = self.name(*to), "switched");
            }
            Event::BarrierPlaced { ensemble, barrier } => {
                tracing::trace!(%session, ensemble = self.name(*ensemble), ?barrier, "barrier placed");
            }
            Event::BarrierFailed { ensemble, err } => {
                tracing::warn!(%session, ensemble = self.name(*ensemble), err, "barrier failed");
            }
            Event::ReadWithheld { ensemble } => {
                tracing::debug!(%session, ensemble = self.name(*ensemble), "read withheld: its lead did not happen");
            }
            Event::LegUp {
                ensemble,
                session: leg,
                timeout,
                ..
            } => {
                tracing::info!(%session, ensemble = self.name(*ensemble), %leg, timeout, "leg is up");
            }
            Event::LegLost { ensemble, reason } => self.lost(*ensemble, *reason),
            Event::LegUnreachable { ensemble } => {
                tracing::debug!(%session, ensemble = self.name(*ensemble), "leg is unreachable");
            }
            Event::LegExpired { ensemble, owned } => {
                let ensemble = self.name(*ensemble);
                if *owned {
                    tracing::warn!(%session, ensemble, "leg's session has expired, and its ephemerals with it");
                } else {
                    tracing::info!(%session, ensemble, "leg's session has expired; it owned nothing");
                }
            }
            Event::LegRetired { ensemble } => {
                tracing::debug!(%session, ensemble = self.name(*ensemble), "idle leg closed");
            }
            Event::Rearmed {
                ensemble,
                frames,
                ledger,
            } => {
                let ensemble = self.name(*ensemble);
                tracing::info!(%session, ensemble, frames, ledger, "watches armed again");
            }
            Event::LedgerFull { ensemble, bound } => {
                let ensemble = self.name(*ensemble);
                tracing::warn!(%session, ensemble, bound, "more watches than are remembered: a lost connection will disconnect the client");
            }
            Event::Moved => {
                tracing::info!(%session, "a path this client uses has moved: disconnecting it")
            }
            Event::AuthRefused { ensemble, err } => self.refused(*ensemble, *err),
            Event::IdentityRefused { ensemble, err } => self.unwelcome(*ensemble, *err),
            Event::Refused { op, err } => {
                tracing::debug!(%session, op = op.shape().name, err, "request refused");
            }
        }
    }

    fn refused(&self, ensemble: EnsembleId, err: i32) {
        let (session, ensemble) = (self.session, self.name(ensemble));
        tracing::warn!(%session, ensemble, err, "credentials refused");
    }

    fn unwelcome(&self, ensemble: EnsembleId, err: i32) {
        let (session, ensemble) = (self.session, self.name(ensemble));
        tracing::error!(%session, ensemble, err, "the sidecar's own credentials are refused: sessions go on without them until they are changed");
    }

    fn lost(&self, ensemble: EnsembleId, reason: Loss) {
        let is_home = ensemble == self.config.home();
        let (session, ensemble) = (self.session, self.name(ensemble));
        match reason {
            // At the end of a session that is how it should be.
            Loss::Closed if is_home => {
                tracing::info!(%session, ensemble, "connection closed by home");
            }
            Loss::Closed => tracing::info!(%session, ensemble, "leg lost: connection closed"),
            Loss::TimedOut => tracing::warn!(%session, ensemble, "leg lost: no answer in time"),
            Loss::Broken(fault) => tracing::warn!(%session, ensemble, %fault, "leg lost"),
        }
    }

    /// Logs why a leg could not be opened. What is known already is not repeated.
    pub(crate) fn cannot_open(&self, error: &LegError) {
        match error {
            LegError::Unreachable(unreachable) if unreachable.tried.is_empty() => {
                tracing::debug!(session = %self.session, %error, "cannot open leg");
            }
            LegError::Unreachable(_) => {
                tracing::warn!(session = %self.session, %error, "cannot open leg")
            }
            LegError::Unrecorded { .. } => {
                tracing::error!(session = %self.session, %error, "cannot open leg")
            }
        }
    }

    /// Speaks of the ensembles of another configuration from here on.
    pub(crate) fn reload(&mut self, config: Arc<Config>) {
        self.config = config;
    }
}
