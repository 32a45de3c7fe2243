//! What a session reports, and what becomes of its legs, in words and figures.

use std::sync::Arc;

use super::Telemetry;
use crate::config::Config;
use crate::dial::LegError;
use crate::route::EnsembleId;
use crate::session::{Event, Loss};
use crate::wire::SessionId;

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
