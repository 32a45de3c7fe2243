//! What a connection has done beside its task: dialling, asking servers for their role, writing
//! down what may be forgotten.

use std::task::{Context, Poll};

use tracing::Instrument;

use super::Driver;
use super::pipe::Pipe;
use crate::dial::{Attached, LegError};
use crate::net::Peer;
use crate::route::EnsembleId;
use crate::wire::connect::ConnectResponse;
use crate::wire::words::Role;

/// What came of work in the background.
pub(super) enum Arrival {
    Leg(EnsembleId, Result<Attached, LegError>),
    Role(EnsembleId, Peer, Option<Role>),
    Forgotten(EnsembleId),
}

impl Driver {
    pub(super) fn forget(&mut self, ensemble: EnsembleId) {
        let (dialer, client) = (self.dialer.clone(), self.session.id());
        let forget = async move {
            dialer.forget(client, ensemble).await;
            Arrival::Forgotten(ensemble)
        };
        self.background
            .spawn(forget.instrument(self.watcher.scope()));
    }

    pub(super) fn dial(&mut self, ensemble: EnsembleId, handshake: Vec<u8>) {
        self.legs.dialling();
        let (dialer, client) = (self.dialer.clone(), self.session.id());
        let dial =
            async move { Arrival::Leg(ensemble, dialer.open(client, ensemble, &handshake).await) };
        let abort = self.background.spawn(dial.instrument(self.watcher.scope()));
        let counted = self.watcher.telemetry().dialling(ensemble);
        self.dialing.insert(ensemble, (abort, counted));
    }

    pub(super) fn learn_role(&mut self, ensemble: EnsembleId) {
        let Some(peer) = self.legs.peer(ensemble).cloned() else {
            return;
        };
        let dialer = self.dialer.clone();
        self.background.spawn(async move {
            let role = dialer.role(ensemble, &peer).await;
            Arrival::Role(ensemble, peer, role)
        });
    }

    #[inline]
    pub(super) fn take_arrivals(&mut self, cx: &mut Context<'_>) -> bool {
        // Mostly there is nothing to wait for.
        !self.background.is_empty() && self.take_each_arrival(cx)
    }

    #[inline(never)]
    fn take_each_arrival(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Poll::Ready(Some(arrival)) = self.background.poll_join_next(cx) {
            // A task that was aborted has nothing to say.
            let Ok(arrival) = arrival else { continue };
            moved = true;
            match arrival {
                Arrival::Role(ensemble, of, Some(role)) => {
                    // The leg may have gone to another server since it was asked.
                    if self.legs.peer(ensemble) == Some(&of) {
                        self.session.role(ensemble, role);
                    }
                }
                Arrival::Role(_, _, None) => {}
                Arrival::Forgotten(ensemble) => self.session.forgotten(ensemble, self.now),
                Arrival::Leg(ensemble, outcome) => self.dialled(ensemble, outcome),
            }
            self.act_all();
        }
        moved
    }

    fn dialled(&mut self, ensemble: EnsembleId, outcome: Result<Attached, LegError>) {
        self.dialing.remove(&ensemble);
        match outcome {
            Ok(attached) => match attached.response {
                ConnectResponse::Granted(credentials) => {
                    let (pipe, telemetry) = (Pipe::new(attached.stream), self.watcher.telemetry());
                    self.legs.insert(ensemble, pipe, attached.peer, telemetry);
                    self.learn_role(ensemble);
                    self.session.leg_up(ensemble, credentials, self.now);
                }
                ConnectResponse::Refused => self.session.leg_refused(ensemble, self.now),
            },
            Err(error) => {
                self.watcher.cannot_open(ensemble, &error);
                self.session.leg_unreachable(ensemble, self.now);
            }
        }
    }
}
