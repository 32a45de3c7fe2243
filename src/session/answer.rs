//! From the legs to the client.

use super::event::{Event, LegFault, Loss};
use super::leg::{InFlight, Owner};
use super::meter::{Meter, Replied};
use super::pipeline::{Owed, Ready, Source, Stamp};
use super::switch::Trust;
use super::translate::{self, Names, Owners, Seen};
use super::{End, Output, Phase, Session, Tick, Verdict, spread};
use crate::route::EnsembleId;
use crate::wire::frames::PREFIX;
use crate::wire::jute::Writer;
use crate::wire::opcode::{OpCode, Target};
use crate::wire::reply::{self, ReplyHeader, WatchEvent};
use crate::wire::{Xid, Zxid, code};

/// How long an end of the session waits for remote ensembles, milliseconds (contract 3.9).
pub(super) const CLOSE_BOUND: u64 = 1_000;

impl Session {
    /// Takes a reply or an event: the payload of a frame of a leg's. It may be patched in place.
    pub fn leg_frame(&mut self, ensemble: EnsembleId, payload: &mut [u8], now: Tick) -> Verdict {
        self.leg_frame_metered(ensemble, payload, now, &mut ())
    }

    /// [`Self::leg_frame`], reported to `meter`.
    pub fn leg_frame_metered(
        &mut self,
        ensemble: EnsembleId,
        payload: &mut [u8],
        now: Tick,
        meter: &mut impl Meter,
    ) -> Verdict {
        if self.phase == Phase::Ended {
            return Verdict::Taken;
        }
        match self.read_frame(ensemble, payload, now, meter) {
            Ok(verdict) => verdict,
            Err(fault) => {
                self.outputs.push_back(Output::HangUp(ensemble));
                self.leg_lost(ensemble, Loss::Broken(fault), now);
                Verdict::Taken
            }
        }
    }

    fn read_frame(
        &mut self,
        ensemble: EnsembleId,
        payload: &mut [u8],
        now: Tick,
        meter: &mut impl Meter,
    ) -> Result<Verdict, LegFault> {
        let header = ReplyHeader::parse(payload)?;
        let is_home = ensemble == self.settings.home();
        let leg = self.legs.get(ensemble);
        leg.heard(&header, now);
        if header.xid == Xid::NOTIFICATION {
            meter.fired(payload.len());
            return self.event(ensemble, payload, &header, now);
        }
        let answered = match leg.take(header.xid) {
            Some(answered) => answered,
            None => self.take_straight(ensemble, header.xid)?,
        };
        report(&answered, &header, payload.len(), now, meter);
        if let Some(note) = &answered.note {
            let leg = self.legs.get(ensemble);
            let (bound, was_complete) = (self.settings.ledger_limit, leg.ledger.is_complete());
            leg.ledger.answered(note, &header, payload, bound);
            if was_complete && !leg.ledger.is_complete() {
                self.outputs
                    .push_back(Output::Happened(Event::LedgerFull { ensemble, bound }));
            }
        }
        match answered.owner {
            Owner::Client { seq, part, op } => {
                let stamp = if is_home { Stamp::Own } else { Stamp::Home };
                let answer = Answer {
                    seq,
                    part,
                    op,
                    header,
                    stamp,
                };
                if is_home && !self.settings.is_rooted(ensemble) {
                    return Ok(self.answer(ensemble, answer, payload, now));
                }
                self.translated(ensemble, answer, payload, now)
            }
            Owner::ClientPing => {
                self.written = now;
                Ok(Verdict::ToClient)
            }
            Owner::Ping
            | Owner::Barrier(_)
            | Owner::Auth(_)
            | Owner::Identity(_)
            | Owner::Rearm(_)
            | Owner::Close => {
                self.swallow(ensemble, answered.owner, &header, now);
                Ok(Verdict::Taken)
            }
        }
    }

    /// What a reply answers that nothing in flight does: something that went straight, which is behind
    /// all else.
    #[cold]
    fn take_straight(&mut self, ensemble: EnsembleId, xid: Xid) -> Result<InFlight, LegFault> {
        self.unfold();
        let leg = self.legs.get(ensemble);
        leg.take(xid).ok_or(LegFault::Unasked(xid))
    }

    /// Takes the answer to a request of our own: the client never sees it (T2).
    fn swallow(&mut self, ensemble: EnsembleId, owner: Owner, header: &ReplyHeader, now: Tick) {
        match owner {
            Owner::Client { .. } | Owner::ClientPing | Owner::Ping => {}
            Owner::Barrier(_) => {
                self.switch.barrier_answered(ensemble, header);
                if !header.was_ordered() {
                    self.happened(Event::BarrierFailed {
                        ensemble,
                        err: header.err,
                    });
                }
                self.send_held(now);
            }
            Owner::Auth(index) => {
                if header.err != code::OK {
                    // The server closes next; the leg goes on without these credentials (T19).
                    self.legs.get(ensemble).refused_auths.insert(index);
                    self.happened(Event::AuthRefused {
                        ensemble,
                        err: header.err,
                    });
                }
            }
            Owner::Identity(index) => {
                if header.err != code::OK {
                    self.unwelcome(ensemble, index, header.err);
                }
            }
            Owner::Rearm(_) => {
                if header.err != code::OK {
                    // The client would believe in watches that are not there.
                    self.end();
                }
            }
            Owner::Close if matches!(self.phase, Phase::Expiring { .. }) => {
                if ensemble == self.settings.home() {
                    self.end = End::OfSession;
                    self.end();
                }
            }
            Owner::Close if self.serves() => {
                self.outputs.push_back(Output::HangUp(ensemble));
                self.retired(ensemble, now);
            }
            Owner::Close => self.release(now),
        }
    }

    /// Events go out in leg order: ahead of the reply that shows the new state, and behind those that
    /// came before, which may wait for the reply of another ensemble.
    fn event(
        &mut self,
        ensemble: EnsembleId,
        payload: &[u8],
        header: &ReplyHeader,
        now: Tick,
    ) -> Result<Verdict, LegFault> {
        let limit = self.settings.reply_limit;
        if self.pipeline.replies() + payload.len() > limit && self.pipeline.has_of(ensemble) {
            return Err(LegFault::OutOfOrder { limit });
        }
        if ensemble != self.settings.home() {
            let event = WatchEvent::parse(payload)?;
            self.legs.get(ensemble).ledger.fired(event.kind, event.path);
        }
        self.switch.notifies(ensemble);
        let rooted = self.settings.is_rooted(ensemble);
        let names = Names {
            routes: &self.settings.routes,
            ensemble,
            rooted,
        };
        match translate::event(payload, header.zxid, &names)? {
            Seen::AsIs if self.pipeline.replies() == 0 => {
                self.written = now;
                Ok(Verdict::ToClient)
            }
            Seen::AsIs => {
                let frame = Writer::with_capacity(payload.len()).raw(payload).finish();
                self.send_event(ensemble, frame, now);
                Ok(Verdict::Taken)
            }
            Seen::Renamed(frame) => {
                self.send_event(ensemble, frame, now);
                Ok(Verdict::Taken)
            }
            Seen::Hidden => Ok(Verdict::Taken),
        }
    }

    fn send_event(&mut self, ensemble: EnsembleId, frame: Vec<u8>, now: Tick) {
        if let Some(frame) = self.pipeline.follow(ensemble, frame) {
            self.written = now;
            self.outputs.push_back(Output::ToClient(frame));
        }
    }

    /// A reply in which names or ids may have to change.
    fn translated(
        &mut self,
        ensemble: EnsembleId,
        answer: Answer,
        payload: &mut [u8],
        now: Tick,
    ) -> Result<Verdict, LegFault> {
        if answer.header.err != code::OK {
            return Ok(self.answer(ensemble, answer, payload, now));
        }
        let leg = self
            .legs
            .get(ensemble)
            .session()
            .map_or(self.me.session, |leg| leg.session);
        let owners = Owners {
            leg,
            client: self.me.session,
        };
        let rooted = self.settings.is_rooted(ensemble);
        let names = Names {
            routes: &self.settings.routes,
            ensemble,
            rooted,
        };
        match translate::reply(payload, answer.op, owners, &names) {
            Err(fault) => {
                // It is no longer in flight, so the loss of the leg would not answer it.
                self.fail(ensemble, answer.seq, answer.part);
                Err(fault.into())
            }
            Ok(None) => Ok(self.answer(ensemble, answer, payload, now)),
            Ok(Some(mut frame)) => {
                let payload = frame.get_mut(PREFIX..).unwrap_or_default();
                if self.answer(ensemble, answer, payload, now) == Verdict::ToClient {
                    self.outputs.push_back(Output::ToClient(frame));
                }
                Ok(Verdict::Taken)
            }
        }
    }

    /// A reply as the client may see it, as far as its own lead allows.
    #[inline]
    fn answer(
        &mut self,
        ensemble: EnsembleId,
        answer: Answer,
        payload: &mut [u8],
        now: Tick,
    ) -> Verdict {
        let Answer {
            seq,
            part,
            op,
            header,
            stamp,
        } = answer;
        let shape = op.shape();
        let barrier = || {
            let role = self.legs.find(ensemble).and_then(|leg| leg.role);
            (self.settings.policy(ensemble).barrier, role)
        };
        let trust = self
            .switch
            .answered(ensemble, shape.access, &header, barrier);
        if self.switch.elides() {
            self.switch.shows(ensemble, op, &header, payload);
        }
        let verdict = match trust {
            // One that arms watches shows nothing that could be too old, and it has armed them.
            Trust::Withhold if !matches!(shape.target, Target::WatchLists(_)) => {
                self.happened(Event::ReadWithheld { ensemble });
                self.fail(ensemble, seq, part);
                self.release(now);
                Verdict::Taken
            }
            Trust::Show | Trust::Withhold if self.passes(seq, op) => {
                self.stamp(payload, header.zxid, stamp);
                self.written = now;
                Verdict::ToClient
            }
            Trust::Show | Trust::Withhold => {
                self.keep(ensemble, answer, payload, now);
                Verdict::Taken
            }
        };
        if !self.pipeline.flows() {
            self.send_held(now);
        }
        verdict
    }

    /// Keeps a reply, or a part of one, that waits for others. A server answers in order, so a few
    /// large ones wait at most: one that makes more of them wait is not to be listened to.
    fn keep(&mut self, ensemble: EnsembleId, answer: Answer, payload: &[u8], now: Tick) {
        let limit = self.settings.reply_limit;
        if self.pipeline.replies() + payload.len() <= limit {
            self.settle(
                answer.seq,
                answer.part,
                payload,
                answer.stamp,
                Source::Leg(ensemble),
            );
            self.release(now);
            return;
        }
        self.outputs.push_back(Output::HangUp(ensemble));
        // It is no longer in flight, so the loss of the leg would not answer it.
        self.fail(ensemble, answer.seq, answer.part);
        let fault = LegFault::OutOfOrder { limit };
        self.leg_lost(ensemble, Loss::Broken(fault), now);
    }

    #[inline]
    fn passes(&mut self, seq: u32, op: OpCode) -> bool {
        self.phase == Phase::Open && op != OpCode::CloseSession && self.pipeline.passes(seq)
    }

    /// Answers CONNECTIONLOSS to a request, or a part of one, whose outcome is not known.
    pub(super) fn fail(&mut self, ensemble: EnsembleId, seq: u32, part: u16) {
        let Some(Owed {
            xid,
            op,
            operations,
            ..
        }) = self.pipeline.get_mut(seq)
        else {
            return;
        };
        let (op, xid) = (*op, *xid);
        let frame = spread::failure(xid, op, *operations, code::CONNECTION_LOSS);
        self.happened(Event::Failed { ensemble, op, xid });
        self.settle(
            seq,
            part,
            frame.get(PREFIX..).unwrap_or_default(),
            Stamp::Home,
            Source::Here,
        );
    }

    /// Answers a request, or a part of one, without a body.
    pub(super) fn accept(&mut self, seq: u32, part: u16) {
        let Some(Owed { xid, .. }) = self.pipeline.get_mut(seq) else {
            return;
        };
        let frame = reply::header_only(*xid, Zxid::NONE, code::OK);
        self.settle(
            seq,
            part,
            frame.get(PREFIX..).unwrap_or_default(),
            Stamp::Home,
            Source::Here,
        );
    }

    /// Takes a reply, or a part of one, that cannot pass through.
    fn settle(&mut self, seq: u32, part: u16, payload: &[u8], stamp: Stamp, source: Source) {
        let Some(owed) = self.pipeline.get_mut(seq) else {
            return;
        };
        let (xid, op, operations) = (owed.xid, owed.op, owed.operations);
        if owed.parts().is_none() {
            let frame = Writer::with_capacity(payload.len()).raw(payload).finish();
            self.pipeline.ready(seq, frame, stamp, source);
            return;
        }
        let Some(gather) = self.pipeline.part(seq, part, payload, (stamp, source)) else {
            return;
        };
        let (frame, err) = gather.merged(xid, &self.settings).unwrap_or_else(|_| {
            (
                spread::failure(xid, op, operations, code::CONNECTION_LOSS),
                code::CONNECTION_LOSS,
            )
        });
        let (must_succeed, stamp) = (gather.must_succeed(), gather.stamp());
        self.pipeline.ready(seq, frame, stamp, source);
        if must_succeed && err != code::OK {
            self.end();
        }
    }

    /// Sends the replies that are there and due.
    pub(super) fn release(&mut self, now: Tick) {
        while self.phase != Phase::Ended
            && let Some(op) = self.pipeline.next_ready()
        {
            if op == OpCode::CloseSession && !self.legs_closed(now) {
                return;
            }
            let Some((reply, events)) = self.pipeline.release() else {
                return;
            };
            let Ready {
                op,
                mut frame,
                stamp,
                ..
            } = reply;
            let payload = frame.get_mut(PREFIX..).unwrap_or_default();
            let zxid = ReplyHeader::parse(payload).map_or(Zxid::NONE, |header| header.zxid);
            self.stamp(payload, zxid, stamp);
            self.written = now;
            self.outputs.push_back(Output::ToClient(frame));
            self.outputs
                .extend(events.into_iter().map(Output::ToClient));
            if op == OpCode::CloseSession || op.shape().target == Target::Nowhere {
                self.end();
            }
        }
        self.check_stopped();
    }

    /// Writes the zxid the client may see, or takes note of it where it is home's own.
    #[inline]
    fn stamp(&mut self, payload: &mut [u8], zxid: Zxid, stamp: Stamp) {
        match stamp {
            Stamp::Own => self.shown = self.shown.max(zxid),
            Stamp::Home => reply::set_zxid(payload, self.shown),
        }
    }

    /// Whether no remote end of the session is worth waiting for any more.
    fn legs_closed(&self, now: Tick) -> bool {
        let Phase::Closing { since } = self.phase else {
            return true;
        };
        now >= since.after(CLOSE_BOUND) || self.legs.remotes().all(|(_, leg)| !leg.closes())
    }
}

/// Has an answer counted.
#[inline]
fn report(
    answered: &InFlight,
    header: &ReplyHeader,
    bytes: usize,
    now: Tick,
    meter: &mut impl Meter,
) {
    let microseconds = now.since(answered.sent);
    meter.replied(Replied {
        op: answered.owner.op(),
        replies: 1,
        bytes,
        microseconds,
    });
    if header.err != code::OK {
        meter.failed(header.err);
    }
    if let Owner::Barrier(_) = answered.owner {
        meter.led(microseconds);
    }
}

/// An answer to a request of the client's.
#[derive(Clone, Copy)]
struct Answer {
    seq: u32,
    part: u16,
    op: OpCode,
    header: ReplyHeader,
    stamp: Stamp,
}
