//! What a session reports, and what becomes of its legs, in words and figures.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::Span;

use super::{Telemetry, scope};
use crate::config::{Config, Server};
use crate::dial::LegError;
use crate::route::EnsembleId;
use crate::session::{Event, Loss};
use crate::wire::SessionId;

/// Speaks and counts for one session.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    config: Arc<Config>,
    session: SessionId,
    /// Where the client is, if that can be told.
    peer: Option<SocketAddr>,
    telemetry: Telemetry,
}

impl Watcher {
    pub(crate) const fn new(
        config: Arc<Config>,
        (session, peer): (SessionId, Option<SocketAddr>),
        telemetry: Telemetry,
    ) -> Self {
        Self {
            config,
            session,
            peer,
            telemetry,
        }
    }

    /// Where it counts.
    pub(crate) const fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What is logged of the session is logged in this.
    pub(crate) fn scope(&self) -> Span {
        scope::session(self.session, self.peer)
    }

    fn leg(&self, ensemble: EnsembleId, server: Option<&Server>) -> Span {
        scope::leg(&self.scope(), self.name(ensemble), server)
    }

    fn name(&self, ensemble: EnsembleId) -> &str {
        &self.config.ensemble(ensemble).name
    }

    /// Counts and logs what happened; `server` knows whom each leg is, or was last, connected to. Only
    /// what an operator would want to be woken by is a warning.
    pub(crate) fn happened<'s>(
        &self,
        event: &Event,
        server: impl Fn(EnsembleId) -> Option<&'s Server>,
    ) {
        self.telemetry.happened(event);
        let leg = |ensemble: EnsembleId| self.leg(ensemble, server(ensemble));
        match event {
            Event::Switched { from, to, .. } => {
                tracing::trace!(parent: &leg(*to), from = self.name(*from), "switched");
            }
            Event::BarrierPlaced { ensemble, barrier } => {
                tracing::trace!(parent: &leg(*ensemble), ?barrier, "barrier placed");
            }
            Event::BarrierElided { ensemble } => {
                tracing::trace!(parent: &leg(*ensemble), "barrier left out");
            }
            Event::BarrierFailed { ensemble, err } => {
                tracing::warn!(parent: &leg(*ensemble), err, "barrier failed");
            }
            Event::ReadWithheld { ensemble } => {
                tracing::debug!(parent: &leg(*ensemble), "read withheld: its lead did not happen");
            }
            Event::Failed { ensemble, op, xid } => {
                let of = || scope::request(&leg(*ensemble), *op, *xid);
                tracing::debug!(parent: &of(), "request failed: CONNECTIONLOSS");
            }
            Event::Moved => {
                tracing::info!(parent: &self.scope(), "a path this client uses has moved: disconnecting it");
            }
            Event::Refused { op, xid, err } => {
                let of = || scope::request(&self.scope(), *op, *xid);
                tracing::debug!(parent: &of(), err, "request refused");
            }
            Event::AuthRefused { ensemble, err } => {
                tracing::warn!(parent: &leg(*ensemble), err, "credentials refused");
            }
            Event::IdentityRefused { ensemble, err } => {
                tracing::error!(parent: &leg(*ensemble), err, "the sidecar's own credentials are refused: sessions go on without them until they are changed");
            }
            Event::LegUp { ensemble, .. }
            | Event::LegLost { ensemble, .. }
            | Event::LegUnreachable { ensemble }
            | Event::LegExpired { ensemble, .. }
            | Event::LegRetired { ensemble }
            | Event::Rearmed { ensemble, .. }
            | Event::LedgerFull { ensemble, .. } => self.of_leg(event, || leg(*ensemble)),
        }
    }

    /// Logs what became of a leg.
    fn of_leg(&self, event: &Event, leg: impl Fn() -> Span) {
        match event {
            Event::LegUp {
                session, timeout, ..
            } => {
                tracing::info!(parent: &leg(), leg = %session, timeout, "leg is up");
            }
            Event::LegLost { ensemble, reason } => self.lost(*ensemble, *reason, leg),
            Event::LegUnreachable { .. } => {
                tracing::debug!(parent: &leg(), "leg is unreachable");
            }
            Event::LegExpired { owned: true, .. } => {
                tracing::warn!(parent: &leg(), "leg's session has expired, and its ephemerals with it");
            }
            Event::LegExpired { owned: false, .. } => {
                tracing::info!(parent: &leg(), "leg's session has expired; it owned nothing");
            }
            Event::LegRetired { .. } => {
                tracing::debug!(parent: &leg(), "idle leg closed");
            }
            Event::Rearmed { frames, ledger, .. } => {
                tracing::info!(parent: &leg(), frames, ledger, "watches armed again");
            }
            Event::LedgerFull { bound, .. } => {
                tracing::warn!(parent: &leg(), bound, "more watches than are remembered: a lost connection will disconnect the client");
            }
            Event::Switched { .. }
            | Event::BarrierPlaced { .. }
            | Event::BarrierElided { .. }
            | Event::BarrierFailed { .. }
            | Event::ReadWithheld { .. }
            | Event::Failed { .. }
            | Event::Moved
            | Event::Refused { .. }
            | Event::AuthRefused { .. }
            | Event::IdentityRefused { .. } => {}
        }
    }

    fn lost(&self, ensemble: EnsembleId, reason: Loss, leg: impl Fn() -> Span) {
        match reason {
            // At the end of a session that is how it should be.
            Loss::Closed if ensemble == self.config.home() => {
                tracing::info!(parent: &leg(), "connection closed by home");
            }
            Loss::Closed => tracing::info!(parent: &leg(), "leg lost: connection closed"),
            Loss::TimedOut => tracing::warn!(parent: &leg(), "leg lost: no answer in time"),
            Loss::Broken(fault) => tracing::warn!(parent: &leg(), %fault, "leg lost"),
        }
    }

    /// Logs why a leg could not be opened. What is known already is not repeated.
    pub(crate) fn cannot_open(&self, ensemble: EnsembleId, error: &LegError) {
        let leg = || self.leg(ensemble, None);
        match error {
            LegError::Unreachable(unreachable) if unreachable.tried.is_empty() => {
                tracing::debug!(parent: &leg(), %error, "cannot open leg");
            }
            LegError::Unreachable(_) => {
                tracing::warn!(parent: &leg(), %error, "cannot open leg");
            }
            LegError::Unrecorded { .. } => {
                tracing::error!(parent: &leg(), %error, "cannot open leg");
            }
        }
    }

    /// Speaks of the ensembles of another configuration from here on.
    pub(crate) fn reload(&mut self, config: Arc<Config>) {
        self.config = config;
    }
}
