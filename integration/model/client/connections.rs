//! The connections of a client's sidecar: opened, carrying, broken.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Client, Fault, MOST, Stage, TIMEOUT};
use crate::ensemble::{Link, Told};
use crate::scenario::Roles;
use zoonet::route::EnsembleId;
use zoonet::session::{Loss, Origin, Session, Tick, Verdict};
use zoonet::wire::SessionId;
use zoonet::wire::connect::{ConnectRequest, ConnectResponse};
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::Reader;
use zoonet::wire::opcode::Access;
use zoonet::wire::request::Request;
use zoonet::wire::words::Role;

/// One connection of a sidecar's, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wire {
    pub(crate) link: Link,
    /// What its server is.
    pub(crate) role: Option<Role>,
    /// Requests under way.
    pub(crate) up: VecDeque<Vec<u8>>,
    /// Replies under way.
    pub(crate) down: VecDeque<Told>,
}

impl Wire {
    pub(crate) const fn new(link: Link, role: Option<Role>) -> Self {
        Self {
            link,
            role,
            up: VecDeque::new(),
            down: VecDeque::new(),
        }
    }
}

/// A connection the sidecar has given up. What was under way may still be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Late {
    pub(super) ensemble: EnsembleId,
    link: Link,
    up: VecDeque<Vec<u8>>,
}

impl Client {
    pub(super) fn hang_up_all(&mut self) {
        self.dials.clear();
        for ensemble in self.wires.keys().copied().collect::<Vec<_>>() {
            self.unlink(ensemble);
        }
    }

    /// Drops a connection. Its server may still take the updates that were under way.
    pub(super) fn unlink(&mut self, ensemble: EnsembleId) {
        self.offered.remove(&ensemble);
        self.unlearnt.remove(&ensemble);
        let Some(mut wire) = self.wires.remove(&ensemble) else {
            return;
        };
        wire.up.retain(|frame| !is_read(frame) && is_clients(frame));
        if wire.up.is_empty() {
            self.hung_up.insert((ensemble, wire.link));
        } else {
            self.late.push(Late {
                ensemble,
                link: wire.link,
                up: wire.up,
            });
        }
    }

    /// A connection breaks.
    pub(crate) fn lose(&mut self, ensemble: EnsembleId, loss: Loss, now: Tick) {
        let offered = self.offered.remove(&ensemble);
        self.unlink(ensemble);
        if let Some(handshake) = offered {
            // Another server is tried. At home that is up to the client.
            self.links -= 1;
            if ensemble != self.home {
                self.dials.insert(ensemble, handshake);
            }
        } else if let Stage::Connected(session) = &mut self.stage {
            session.leg_lost(ensemble, loss, now);
            self.pump(now);
        }
    }

    /// A server is reached: the connection's number and what to hand it.
    pub(crate) fn dialled(
        &mut self,
        ensemble: EnsembleId,
        role: Option<Role>,
    ) -> Option<(Link, Vec<u8>)> {
        let handshake = self.dials.remove(&ensemble)?;
        let link = self.link();
        self.wires.insert(ensemble, Wire::new(link, role));
        self.offered.insert(ensemble, handshake.clone());
        Some((link, handshake))
    }

    fn link(&mut self) -> Link {
        self.links += 1;
        Link(u32::try_from(self.place).unwrap_or_default() * 2 * MOST + self.links)
    }

    /// Whether a connection is one of its own.
    pub(crate) fn has(&self, ensemble: EnsembleId, link: Link) -> bool {
        let wire = self.wires.get(&ensemble);
        let late = |late: &Late| (late.ensemble, late.link) == (ensemble, link);
        wire.is_some_and(|wire| wire.link == link) || self.late.iter().any(late)
    }

    /// A server has written something, or closed.
    pub(crate) fn told(&mut self, ensemble: EnsembleId, link: Link, told: Told) {
        let wire = self.wires.get_mut(&ensemble);
        if let Some(wire) = wire.filter(|wire| wire.link == link) {
            wire.down.push_back(told);
        } else if told == Told::Closed {
            self.late
                .retain(|late| (late.ensemble, late.link) != (ensemble, link));
        }
    }

    /// A connection on which something is there to be delivered.
    pub(crate) fn to_deliver(&self) -> Option<EnsembleId> {
        let mut wires = self.wires();
        wires
            .find(|(_, wire)| !wire.down.is_empty())
            .map(|(ensemble, _)| ensemble)
    }

    /// The next thing a server has written reaches the sidecar.
    pub(crate) fn deliver(&mut self, ensemble: EnsembleId, now: Tick) {
        let Some(wire) = self.wires.get_mut(&ensemble) else {
            return;
        };
        let Some(Told::Frame(mut frame)) = wire.down.pop_front() else {
            return self.lose(ensemble, Loss::Closed, now);
        };
        if self.offered.remove(&ensemble).is_some() {
            let response = ConnectResponse::parse(&frame[PREFIX..]);
            return self.answered(ensemble, response.ok(), now);
        }
        if let Stage::Connected(session) = &mut self.stage {
            let straight = session.straight_replies(ensemble, &frame, now, &mut ());
            if straight.frames == 1 {
                return self.receive(&frame[PREFIX..]);
            }
            let verdict = session.leg_frame(ensemble, &mut frame[PREFIX..], now);
            self.pump(now);
            if verdict == Verdict::ToClient {
                self.receive(&frame[PREFIX..]);
            }
        }
    }

    /// A handshake was answered.
    fn answered(&mut self, ensemble: EnsembleId, response: Option<ConnectResponse>, now: Tick) {
        let granted = match response {
            Some(ConnectResponse::Granted(credentials)) => Some(credentials),
            Some(ConnectResponse::Refused) | None => None,
        };
        match (&mut self.stage, granted) {
            (Stage::Connected(session), Some(credentials)) => {
                let role = self.wires.get(&ensemble).and_then(|wire| wire.role);
                if let (Roles::AtOnce, Some(role)) = (self.roles, role) {
                    session.role(ensemble, role);
                } else {
                    self.unlearnt.insert(ensemble);
                }
                session.leg_up(ensemble, credentials, now);
            }
            (Stage::Connected(session), None) => session.leg_refused(ensemble, now),
            (Stage::Away { parked }, Some(me)) => {
                let origin = match self.me.session {
                    SessionId::NONE => Origin::New,
                    _ => Origin::Attached,
                };
                let settings = Arc::clone(&self.settings);
                let mut session = Session::new(settings, me.clone(), origin, now);
                session.resume(std::mem::take(parked), now);
                self.me = me;
                self.stage = Stage::Connected(Box::new(session));
            }
            (Stage::Away { .. }, None) => self.fault = Some(Fault::Expired),
            (Stage::Done, _) => {}
        }
        self.pump(now);
    }

    /// The sidecar learns what the server of a connection is.
    pub(crate) fn learn_role(&mut self, ensemble: EnsembleId) {
        self.unlearnt.remove(&ensemble);
        if let Stage::Connected(session) = &mut self.stage
            && let Some(role) = self.wires.get(&ensemble).and_then(|wire| wire.role)
        {
            session.role(ensemble, role);
        }
    }

    /// Whether it is about to come back.
    pub(crate) fn is_coming_back(&self) -> bool {
        matches!(self.stage, Stage::Away { .. }) && !self.wires.contains_key(&self.home)
    }

    /// The client hands home its session, or asks for one.
    pub(crate) fn reconnect(&mut self, role: Option<Role>) -> Option<(Link, Vec<u8>)> {
        let handshake = ConnectRequest {
            last_zxid_seen: self.seen,
            timeout: TIMEOUT,
            session: self.me.session,
            password: self.me.password.to_vec(),
            read_only: Some(false),
        };
        self.dials.insert(self.home, handshake.frame());
        self.dialled(self.home, role)
    }

    /// The next request of a connection, which its server takes now.
    pub(crate) fn take_up(&mut self, ensemble: EnsembleId) -> Option<(Link, Vec<u8>)> {
        let wire = self.wires.get_mut(&ensemble)?;
        wire.up.pop_front().map(|frame| (wire.link, frame))
    }

    /// Whether a connection that was given up has requests under way.
    pub(crate) const fn late_requests(&self) -> bool {
        !self.late.is_empty()
    }

    /// The next of those.
    pub(crate) fn take_late(&mut self) -> Option<(EnsembleId, Link, Vec<u8>)> {
        let late = self.late.first_mut()?;
        let (ensemble, link) = (late.ensemble, late.link);
        let frame = late.up.pop_front();
        if late.up.is_empty() {
            self.late.remove(0);
            self.hung_up.insert((ensemble, link));
        }
        frame.map(|frame| (ensemble, link, frame))
    }

    /// The connections that the sidecar has closed since it was last asked.
    pub(crate) fn take_hung_up(&mut self) -> BTreeSet<(EnsembleId, Link)> {
        std::mem::take(&mut self.hung_up)
    }

    /// Whether there are any.
    pub(crate) fn has_hung_up(&self) -> bool {
        !self.hung_up.is_empty()
    }
}

/// Whether a request is served from what its server has.
pub(crate) fn is_read(frame: &[u8]) -> bool {
    Request::parse(&frame[PREFIX..])
        .is_ok_and(|request| matches!(request.op.shape().access, Access::Read | Access::Control))
}

/// Whether a frame that is under way carries a client's number.
pub(crate) fn is_clients(frame: &[u8]) -> bool {
    Reader::from(frame, PREFIX)
        .int("xid")
        .is_ok_and(|xid| xid > 0)
}
