//! From the client to the legs.

use super::drain::Drain;
use super::event::{ClientFault, Event};
use super::ledger::{Note, Sent};
use super::leg::{Owner, State};
use super::pipeline::{Owed, Source, Stamp, Step};
use super::spread::{self, Plan, Planner};
use super::switch::{Barrier, Go};
use super::{End, OnUnreachable, Output, Phase, Session, Tick, Verdict};
use crate::route::EnsembleId;
use crate::wire::frames::PREFIX;
use crate::wire::opcode::{Access, OpCode, Target};
use crate::wire::request::{self, Request};
use crate::wire::{WireFault, Xid};

impl Session {
    /// Takes a request: the payload of a frame of the client's.
    ///
    /// # Errors
    /// A [`ClientFault`] when the connection has to be closed over it.
    pub fn client_frame(&mut self, payload: &[u8], now: Tick) -> Result<Verdict, ClientFault> {
        if self.straight_request(payload, now) {
            return Ok(Verdict::ToLeg(self.settings.home()));
        }
        self.look_closer(payload, now)
    }

    /// Takes a request that has to be looked at by all rules.
    pub(super) fn look_closer(
        &mut self,
        payload: &[u8],
        now: Tick,
    ) -> Result<Verdict, ClientFault> {
        self.heard = now;
        if self.phase != Phase::Open {
            // Stock servers do not answer what is pipelined behind a closeSession either.
            return Ok(Verdict::Taken);
        }
        self.unfold();
        let request = Request::parse(payload)?;
        if request.xid == Xid::NOTIFICATION {
            return Err(ClientFault::ReservedXid { op: request.op });
        }
        match request.op.shape().target {
            Target::Ping => Ok(self.client_ping(now)),
            Target::Close => self.step(&request, self.settings.home(), request.frame(), now),
            Target::Everywhere => self.auth(&request, now),
            Target::Path
            | Target::Created
            | Target::Deleted
            | Target::Subtree
            | Target::Multi
            | Target::WatchLists(_)
            | Target::Owned
            | Target::Home
            | Target::Nowhere => self.znode_request(&request, now),
        }
    }

    /// Pings never wait behind a drain (T23).
    fn client_ping(&mut self, now: Tick) -> Verdict {
        self.legs.home.push(Xid::PING, Owner::ClientPing, now);
        Verdict::ToLeg(self.settings.home())
    }

    fn znode_request(&mut self, request: &Request<'_>, now: Tick) -> Result<Verdict, ClientFault> {
        let mut planner = Planner {
            settings: &self.settings,
            legs: &self.legs,
            recursive: &mut self.recursive,
            touched: &mut self.touched,
        };
        match planner.plan(request) {
            Plan::Through(to) if self.pipeline.flows() && self.may_send(to, request.op, now) => {
                Ok(self.pass(request, to, now))
            }
            Plan::Through(to) => self.step(request, to, request.frame(), now),
            Plan::Rewritten(to, frame) => self.step(request, to, frame, now),
            Plan::Parts(parts, gather) => {
                let operations = spread::operations(request);
                let seq =
                    self.pipeline
                        .owe(Owed::gathered(request.xid, request.op, operations, gather));
                for part in parts {
                    self.hold(
                        seq,
                        part.part,
                        part.to,
                        Framed {
                            xid: request.xid,
                            op: part.op,
                            frame: part.frame,
                        },
                        now,
                    )?;
                }
                self.send_held(now);
                Ok(Verdict::Taken)
            }
            Plan::Answer(frame, err) => {
                self.happened(Event::Refused {
                    op: request.op,
                    xid: request.xid,
                    err,
                });
                let stamp = if request.op.shape().target == Target::Nowhere {
                    Stamp::Own
                } else {
                    Stamp::Home
                };
                let seq = self.pipeline.owe(Owed::plain(request.xid, request.op, 0));
                self.pipeline.ready(seq, frame, stamp, Source::Here);
                self.release(now);
                Ok(Verdict::Taken)
            }
        }
    }

    /// The hot path: the frame goes on as it came.
    #[inline]
    fn pass(&mut self, request: &Request<'_>, to: EnsembleId, now: Tick) -> Verdict {
        let is_remote = to != self.settings.home();
        let operations = if is_remote {
            spread::operations(request)
        } else {
            0
        };
        let seq = self
            .pipeline
            .owe(Owed::plain(request.xid, request.op, operations));
        self.admit(to, request.op, now);
        self.sent(
            to,
            request,
            Owner::Client {
                seq,
                part: 0,
                op: request.op,
            },
            now,
        );
        Verdict::ToLeg(to)
    }

    /// A request for one ensemble that may have to wait.
    pub(super) fn step(
        &mut self,
        request: &Request<'_>,
        to: EnsembleId,
        frame: Vec<u8>,
        now: Tick,
    ) -> Result<Verdict, ClientFault> {
        let seq = self.pipeline.owe(Owed::plain(
            request.xid,
            request.op,
            spread::operations(request),
        ));
        self.hold(
            seq,
            0,
            to,
            Framed {
                xid: request.xid,
                op: request.op,
                frame,
            },
            now,
        )?;
        self.send_held(now);
        Ok(Verdict::Taken)
    }

    fn hold(
        &mut self,
        seq: u32,
        part: u16,
        to: EnsembleId,
        framed: Framed,
        now: Tick,
    ) -> Result<(), ClientFault> {
        let Framed { xid, op, frame } = framed;
        let (length, limit) = (
            frame.len().saturating_sub(PREFIX),
            self.settings.frame_limit,
        );
        if length > limit {
            // A longer name can carry a request over the limit; its server would close as well (T46).
            let length = i32::try_from(length).unwrap_or(i32::MAX);
            return Err(WireFault::FrameLength { length, limit }.into());
        }
        self.pipeline.hold(Step {
            seq,
            part,
            to,
            xid,
            op,
            frame,
            admitted: now,
        });
        Ok(())
    }

    /// Whether a request for `to` can go out now. If not, whatever it waits for is under way: a
    /// dial overlaps the drain.
    fn may_send(&mut self, to: EnsembleId, op: OpCode, now: Tick) -> bool {
        if op.shape().access == Access::Control {
            return true;
        }
        let drained = !self.switch.leaves(to) || self.is_drained(now);
        if !self.legs.get(to).is_live() {
            self.dial(to, now);
            return false;
        }
        drained
    }

    /// Whether nothing of the client's is outstanding on the ensemble that a request wants to leave.
    /// Apart from [`Self::may_send`], so that this is short enough to be inlined.
    #[inline(never)]
    fn is_drained(&mut self, now: Tick) -> bool {
        let left = self.legs.find(self.switch.current());
        let drained = left.is_none_or(super::leg::Leg::is_drained);
        if drained {
            self.drain.is_over(now);
        } else {
            self.drain.waits(now);
        }
        drained
    }

    /// Starts to reach an ensemble, unless it is too early after a failure or under way.
    pub(super) fn dial(&mut self, to: EnsembleId, now: Tick) {
        let ask = Output::LearnRole(self.settings.home());
        let first = self.legs.home.role.is_none() && !self.outputs.contains(&ask);
        let leg = self.legs.get(to);
        if !matches!(leg.state, State::Idle { .. }) || now < leg.not_before {
            return;
        }
        let handshake = leg.dial(self.me.timeout, now);
        self.outputs.push_back(Output::Dial(to, handshake));
        if first {
            // From now on home may have to be switched back to.
            self.outputs.push_back(ask);
        }
    }

    /// Sends what was held back, as far as it can go out.
    pub(super) fn send_held(&mut self, now: Tick) {
        while self.serves()
            && let Some(step) = self.pipeline.next_held()
        {
            let (to, op, seq) = (step.to, step.op, step.seq);
            if op == OpCode::CloseSession {
                if !self.pipeline.is_first(seq) {
                    return;
                }
                self.close(now);
            } else if self.may_send(to, op, now) {
                self.send_next(now);
            } else {
                return;
            }
        }
    }

    fn send_next(&mut self, now: Tick) {
        let Some(step) = self.pipeline.take_held() else {
            return;
        };
        self.admit(step.to, step.op, now);
        let payload = step.frame.get(PREFIX..).unwrap_or_default();
        let request = Request {
            xid: step.xid,
            op: step.op,
            payload,
        };
        let owner = Owner::Client {
            seq: step.seq,
            part: step.part,
            op: step.op,
        };
        self.sent(step.to, &request, owner, now);
        if step.op == OpCode::Auth && !self.auths.iter().any(|known| known == payload) {
            self.auths.push(payload.to_vec());
            let index = self.auths.len() - 1;
            let live: Vec<EnsembleId> = self
                .legs
                .remotes()
                .filter(|(_, leg)| leg.is_live())
                .map(|(ensemble, _)| ensemble)
                .collect();
            for ensemble in live {
                self.add_auth(ensemble, index, now);
            }
        }
        self.outputs.push_back(Output::ToLeg(step.to, step.frame));
    }

    /// Applies the rule to a request that goes out now, and puts its barrier in front.
    #[inline]
    fn admit(&mut self, to: EnsembleId, op: OpCode, now: Tick) {
        if !self.switch.follows(to, op.shape().access) {
            self.admit_first(to, op, now);
        }
    }

    /// [`Self::admit`] for a request that has no lead to follow.
    #[inline(never)]
    fn admit_first(&mut self, to: EnsembleId, op: OpCode, now: Tick) {
        let from = self.switch.current();
        let kind = self.settings.policy(to).barrier;
        let leg = self.legs.get(to);
        let go = self.switch.admit(to, op.shape().access, kind, leg.role);
        if self.switch.current() != from {
            let drain = self.drain.end();
            self.outputs
                .push_back(Output::Happened(Event::Switched { from, to, drain }));
        }
        let barrier = match go {
            Go::Forward => return,
            Go::Elided => return self.happened(Event::BarrierElided { ensemble: to }),
            Go::Behind(barrier) => barrier,
        };
        let xid = leg.own_xid();
        let frame = match barrier {
            Barrier::Sync => request::sync(xid),
            Barrier::Quorum => request::quorum_check(xid),
        };
        leg.push(xid, Owner::Barrier(barrier), now);
        self.outputs.push_back(Output::ToLeg(to, frame));
        self.happened(Event::BarrierPlaced {
            ensemble: to,
            barrier,
        });
    }

    /// Notes a request that goes out now, and on a remote leg what it will do to the ledger.
    #[inline]
    fn sent(&mut self, to: EnsembleId, request: &Request<'_>, owner: Owner, now: Tick) {
        let (home, bound) = (self.settings.home(), self.settings.ledger_limit);
        if self.switch.elides() {
            self.switch.asked(to, request);
        }
        let leg = self.legs.get(to);
        let note = if to == home {
            None
        } else if let Target::WatchLists(_) = request.op.shape().target {
            Some(leg.ledger.set_watches(request, Sent::Yes, bound))
        } else {
            Note::of(request)
        };
        leg.used = now;
        leg.push_noted(request.xid, owner, note.map(Box::new), now);
    }

    /// Arms again what a new connection of a leg does not know of.
    pub(super) fn rearm(&mut self, ensemble: EnsembleId, now: Tick) {
        let frames = self.legs.get(ensemble).rearm(now);
        if frames.is_empty() {
            return;
        }
        let ledger = self.legs.get(ensemble).ledger.bytes();
        self.happened(Event::Rearmed {
            ensemble,
            frames: frames.len(),
            ledger,
        });
        self.outputs.extend(
            frames
                .into_iter()
                .map(|frame| Output::ToLeg(ensemble, frame)),
        );
    }

    /// Ends every session at once; the answer is home's (T28).
    fn close(&mut self, now: Tick) {
        let Some(step) = self.pipeline.take_held() else {
            return;
        };
        self.phase = Phase::Closing { since: now };
        self.end = End::OfSession;
        self.close_legs(now);
        let owner = Owner::Client {
            seq: step.seq,
            part: step.part,
            op: step.op,
        };
        self.legs.home.push(step.xid, owner, now);
        self.outputs.push_back(Output::ToLeg(step.to, step.frame));
    }

    /// Ends every remote session. One that is being attached again is ended when it comes.
    pub(super) fn close_legs(&mut self, now: Tick) {
        let legs: Vec<EnsembleId> = self.legs.remotes().map(|(ensemble, _)| ensemble).collect();
        for ensemble in legs {
            match self.legs.get(ensemble).state {
                State::Live(_) => self.close_leg(ensemble, now),
                State::Dialing { resume: None } => {
                    self.outputs.push_back(Output::HangUp(ensemble));
                }
                State::Dialing { resume: Some(_) } | State::Idle { .. } | State::Retiring(_) => {}
            }
        }
    }

    /// Ends the session of a live remote leg.
    pub(super) fn close_leg(&mut self, ensemble: EnsembleId, now: Tick) {
        let leg = self.legs.get(ensemble);
        let xid = leg.own_xid();
        leg.push(xid, Owner::Close, now);
        self.outputs
            .push_back(Output::ToLeg(ensemble, request::close_session(xid)));
    }

    /// Answers CONNECTIONLOSS to the requests at the front of the queue that wait for an ensemble
    /// which cannot be reached.
    pub(super) fn fail_held(&mut self, ensemble: EnsembleId, now: Tick) {
        while self
            .pipeline
            .next_held()
            .is_some_and(|step| step.to == ensemble)
        {
            self.fail_next(now);
        }
        self.release(now);
        self.send_held(now);
    }

    /// Answers the first request held back in the place of its ensemble.
    pub(super) fn fail_next(&mut self, now: Tick) {
        self.drain = Drain::None;
        let Some(step) = self.pipeline.take_held() else {
            return;
        };
        if let Target::WatchLists(_) = step.op.shape().target {
            // They are armed when the leg comes up; until then nothing can be known of them.
            let payload = step.frame.get(PREFIX..).unwrap_or_default();
            let request = Request {
                xid: step.xid,
                op: step.op,
                payload,
            };
            let bound = self.settings.ledger_limit;
            let ledger = &mut self.legs.get(step.to).ledger;
            ledger.set_watches(&request, Sent::No, bound);
            if ledger.is_complete() {
                self.accept(step.seq, step.part);
            } else {
                self.end();
            }
            return;
        }
        self.fail(step.to, step.seq, step.part);
        if self.settings.policy(step.to).on_unreachable == OnUnreachable::Disconnect {
            self.release(now);
            self.end();
        }
    }
}

/// A request's frame with what its reply is told by.
struct Framed {
    xid: Xid,
    op: OpCode,
    frame: Vec<u8>,
}
