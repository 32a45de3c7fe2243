//! The frames of what was read: through the session, and on to where they go.

use std::ops::Range;
use std::task::Context;

use super::{Driver, Side};
use crate::session::{ClientFault, Loss, Stretch, Verdict};
use crate::telemetry::Tallies;
use crate::wire::WireFault;
use crate::wire::frames::{PREFIX, frame_size};

impl Driver {
    /// Hands all whole frames in `bytes` to the session and passes on what it lets through; how
    /// many bytes that took.
    pub(super) fn frames(
        &mut self,
        bytes: &mut [u8],
        from: Side,
        cx: &mut Context<'_>,
    ) -> Result<usize, ClientFault> {
        let mut run: Option<(Side, Range<usize>)> = None;
        let mut tallies = Tallies::default();
        let straight_to = match from {
            Side::Client => Side::Leg(self.session.home()),
            Side::Leg(_) => Side::Client,
        };
        let mut at = 0;
        let outcome = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let stretch = self.hand_in_straight(rest, from, &mut tallies);
            if stretch.bytes == bytes.len() {
                // Mostly that is all.
                self.write(straight_to, bytes, cx);
                return Ok(stretch.bytes);
            }
            if stretch.frames > 0 {
                self.pass_on(straight_to, at..at + stretch.bytes, &mut run, bytes, cx);
                at += stretch.bytes;
                if from == Side::Client && !self.session.wants_client() {
                    break Ok(at);
                }
            }
            let rest = bytes.get_mut(at..).unwrap_or_default();
            let limit = match from {
                Side::Client => self.request_limit,
                Side::Leg(_) => self.reply_limit,
            };
            let size = match frame_size(rest, limit) {
                Ok(Some(size)) if size <= rest.len() => size,
                Ok(_) => break Ok(at),
                Err(fault) => break self.bad_length(fault, from, at),
            };
            let payload = rest.get_mut(PREFIX..size).unwrap_or_default();
            let verdict = match self.hand_in(payload, from, &mut tallies) {
                Ok(verdict) => verdict,
                Err(fault) => break Err(fault),
            };
            if let Some(output) = self.session.poll() {
                self.pass_run(&mut run, bytes, cx);
                self.act(output, &mut tallies);
                self.act_on(&mut tallies);
            }
            let end = at + size;
            self.received += u64::from(from == Side::Client);
            self.sent += u64::from(verdict == Verdict::ToClient);
            if let Some(to) = to_side(verdict) {
                self.pass_on(to, at..end, &mut run, bytes, cx);
            }
            at = end;
            // Past these bounds the rest waits, unread by the session, in its pipe.
            if from == Side::Client && !self.session.wants_client() || self.hung_up(from) {
                break Ok(at);
            }
        };
        self.pass_run(&mut run, bytes, cx);
        self.act_all();
        outcome
    }

    /// Hands in what needs no more than to be passed on: most of what comes.
    #[inline]
    fn hand_in_straight(&mut self, bytes: &[u8], from: Side, tallies: &mut Tallies) -> Stretch {
        let telemetry = self.watcher.telemetry();
        let session = &mut self.session;
        match from {
            // Home's tally is not to take the place of another's for nothing.
            Side::Client if !session.asks_straight() => Stretch::default(),
            Side::Client => {
                let tally = tallies.of(telemetry, session.home());
                let stretch = session.straight_requests(bytes, self.now, tally);
                self.received += u64::from(stretch.frames);
                stretch
            }
            Side::Leg(ensemble) => {
                let tally = tallies.of(telemetry, ensemble);
                let stretch = session.straight_replies(ensemble, bytes, self.now, tally);
                self.sent += u64::from(stretch.frames);
                stretch
            }
        }
    }

    /// Hands one frame to the session, and counts it.
    #[inline]
    fn hand_in(
        &mut self,
        payload: &mut [u8],
        from: Side,
        tallies: &mut Tallies,
    ) -> Result<Verdict, ClientFault> {
        let telemetry = self.watcher.telemetry();
        match from {
            Side::Client => {
                let verdict = self.session.client_frame(payload, self.now)?;
                if let Verdict::ToLeg(ensemble) = verdict {
                    tallies.of(telemetry, ensemble).asked_one(payload);
                }
                Ok(verdict)
            }
            Side::Leg(ensemble) => {
                let (session, tally) = (&mut self.session, tallies.of(telemetry, ensemble));
                Ok(session.leg_frame_metered(ensemble, payload, self.now, tally))
            }
        }
    }

    fn bad_length(
        &mut self,
        fault: WireFault,
        from: Side,
        at: usize,
    ) -> Result<usize, ClientFault> {
        match from {
            Side::Client => Err(fault.into()),
            Side::Leg(ensemble) => {
                self.lose(ensemble, Loss::Broken(fault.into()));
                Ok(at)
            }
        }
    }

    fn hung_up(&self, side: Side) -> bool {
        match side {
            Side::Client => false,
            Side::Leg(ensemble) => !self.legs.contains(ensemble),
        }
    }

    /// Adds frames to the run that is to be passed on, or passes that on and begins another.
    #[inline]
    fn pass_on(
        &mut self,
        to: Side,
        frames: Range<usize>,
        run: &mut Option<(Side, Range<usize>)>,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) {
        match run {
            Some((side, range)) if *side == to && range.end == frames.start => {
                range.end = frames.end;
            }
            _ => {
                self.pass_run(run, bytes, cx);
                *run = Some((to, frames));
            }
        }
    }

    fn pass_run(
        &mut self,
        run: &mut Option<(Side, Range<usize>)>,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) {
        if let Some((to, range)) = run.take() {
            self.write(to, bytes.get(range).unwrap_or_default(), cx);
        }
    }
}

const fn to_side(verdict: Verdict) -> Option<Side> {
    match verdict {
        Verdict::ToLeg(ensemble) => Some(Side::Leg(ensemble)),
        Verdict::ToClient => Some(Side::Client),
        Verdict::Taken => None,
    }
}
