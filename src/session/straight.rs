//! The straight way: requests that go home as they came, and replies that go to the client as they
//! came. Most of a client's frames are such, and of these the rule of the composition has nothing to
//! say, so they are looked at together, and little is kept of them.
//!
//! A request goes straight if nothing is held back that it would have to wait for, home is the
//! ensemble touched last and its lead has happened
//! ([`has_led`](super::switch::Switch::has_led)), and its bytes can stay as they are
//! ([`Planner::unchanged`]). It then is kept here, behind all that is kept elsewhere. Its reply goes
//! straight if no other is owed before. It is not translated: of home's only those are whose request
//! was, so that what a server sends there is passed on unread.
//!
//! Before a request that does not go straight, and for a reply that is found nowhere else, what is
//! kept here is moved to where all others are ([`Session::unfold`]). So the rules do not know of
//! this; what has to is whoever counts what is outstanding. While anything is here
//!
//! * it is behind every other reply owed, and nothing is held back;
//! * home is the ensemble touched last and has led, so that the replies may be shown.
//!
//! Numbers of requests are consecutive and many come at once, so that a *run* is kept of them and
//! not each.

mod lane;

use std::collections::VecDeque;

use super::meter::{Meter, Replied};
use super::pipeline::Owed;
use super::spread::Planner;
use super::{Phase, Session, Tick};
use crate::route::EnsembleId;
use crate::wire::frames::PREFIX;
use crate::wire::opcode::OpCode;
use crate::wire::reply::ReplyHeader;
use crate::wire::{Xid, Zxid, code};
use lane::Lane;

/// Whole frames at the start of some bytes that go on as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Stretch {
    /// How many.
    pub frames: u32,
    /// How many bytes they take, their lengths included.
    pub bytes: usize,
}

impl Stretch {
    /// With what comes behind.
    #[inline]
    const fn and(self, behind: Self) -> Self {
        Self {
            frames: self.frames + behind.frames,
            bytes: self.bytes + behind.bytes,
        }
    }

    /// Bytes without the lengths.
    fn payloads(self) -> usize {
        self.bytes - PREFIX * usize::try_from(self.frames).unwrap_or_default()
    }
}

/// Requests of one operation that went out one behind the other, under consecutive numbers, at one
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    /// The number of the first that is not answered.
    first: Xid,
    /// How many are not.
    requests: u32,
    op: OpCode,
    sent: Tick,
}

/// What has gone straight and is not answered, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Straight {
    runs: VecDeque<Run>,
    requests: usize,
}

impl Straight {
    /// How many requests it is.
    pub(super) const fn len(&self) -> usize {
        self.requests
    }

    /// Notes requests that go out.
    #[inline]
    fn push(&mut self, run: Run) {
        self.requests += usize::try_from(run.requests).unwrap_or_default();
        self.runs.push_back(run);
    }

    /// Takes the replies to the first requests, at the start of these bytes, and has each looked at:
    /// how far they go, and the largest zxid in them. Not inlined: what is around it would take the
    /// registers that its loop needs.
    #[inline(never)]
    fn answered(
        &mut self,
        bytes: &[u8],
        limit: usize,
        now: Tick,
        meter: &mut impl Meter,
        mut look: impl FnMut(OpCode, &ReplyHeader, &[u8]),
    ) -> (Stretch, Zxid) {
        let (mut stretch, mut seen) = (Stretch::default(), Zxid::NONE);
        let mut rest = bytes;
        while let Some(run) = self.runs.front_mut() {
            let mut replies = 0;
            while replies < run.requests
                && let Some((header, payload, behind)) = ReplyHeader::first_of(rest, limit)
                && header.xid == run.first.plus(replies)
            {
                if header.err != code::OK {
                    meter.failed(header.err);
                }
                look(run.op, &header, payload);
                seen = seen.max(header.zxid);
                replies += 1;
                rest = behind;
            }
            if replies == 0 {
                break;
            }
            let answered = Stretch {
                frames: replies,
                bytes: bytes.len() - rest.len() - stretch.bytes,
            };
            meter.replied(Replied {
                op: run.op,
                replies,
                bytes: answered.payloads(),
                microseconds: now.since(run.sent),
            });
            stretch = stretch.and(answered);
            self.requests -= usize::try_from(replies).unwrap_or_default();
            run.first = run.first.plus(replies);
            run.requests -= replies;
            if run.requests > 0 {
                break;
            }
            self.runs.pop_front();
        }
        (stretch, seen)
    }
}

impl Session {
    /// Looks for requests that need no more than to go home, at the start of what the client has
    /// sent: they count as handed in, and are to be passed on as they are, at once. What is behind
    /// them is for [`Self::client_frame`], if [`Self::wants_client`].
    #[inline]
    pub fn straight_requests(
        &mut self,
        bytes: &[u8],
        now: Tick,
        meter: &mut impl Meter,
    ) -> Stretch {
        if !self.asks_straight() || !self.wants_client() {
            return Stretch::default();
        }
        let others = self.pipeline.owed().max(self.legs.home.unanswered());
        let room = self.settings.outstanding - (others + self.straight.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let limit = self.settings.frame_limit;
        let mut lane = self.lane(now);
        let mut stretch = Stretch::default();
        while stretch.frames < room {
            let rest = bytes.get(stretch.bytes..).unwrap_or_default();
            let run = lane.run(rest, room - stretch.frames, limit);
            if run.frames == 0 {
                break;
            }
            meter.asked(lane.number(), run.frames, run.payloads());
            stretch = stretch.and(run);
        }
        if stretch.frames > 0 {
            self.asked_straight(now);
        }
        stretch
    }

    /// Looks for replies that the client may have as they are, at the start of what a leg has sent:
    /// they count as handed in, and are to be passed on as they are, at once. What is behind them is
    /// for [`Self::leg_frame`].
    #[inline]
    pub fn straight_replies(
        &mut self,
        ensemble: EnsembleId,
        bytes: &[u8],
        now: Tick,
        meter: &mut impl Meter,
    ) -> Stretch {
        if !self.answers_straight(ensemble) {
            return Stretch::default();
        }
        let limit = self.settings.reply_limit;
        let straight = &mut self.straight;
        let (stretch, seen) = if self.switch.elides() {
            let kind = self.settings.policy(ensemble).barrier;
            let barrier = (kind, self.legs.home.role);
            straight.answered(bytes, limit, now, meter, |op, header, payload| {
                let switch = &mut self.switch;
                switch.answered_straight(ensemble, op, header, payload, || barrier);
            })
        } else {
            straight.answered(bytes, limit, now, meter, |_, _, _| {})
        };
        if stretch.frames > 0 {
            self.legs.home.answered_up_to(seen, now);
            self.shown = self.shown.max(seen);
            self.written = now;
        }
        stretch
    }

    /// Lets one request go straight, if it does; it is counted by whoever sends it.
    #[inline]
    pub(super) fn straight_request(&mut self, payload: &[u8], now: Tick) -> bool {
        if !self.asks_straight() {
            return false;
        }
        let mut lane = self.lane(now);
        let goes = lane.one(payload);
        if goes {
            self.asked_straight(now);
        }
        goes
    }

    /// Whether a request could go straight now, so that [`Self::straight_requests`] is of use.
    #[inline]
    #[must_use]
    pub fn asks_straight(&self) -> bool {
        self.phase == Phase::Open
            && self.switch.has_led(self.settings.home())
            && self.pipeline.flows()
    }

    /// Whether a reply could.
    #[inline]
    fn answers_straight(&self, from: EnsembleId) -> bool {
        self.straight.len() > 0
            && from == self.settings.home()
            && self.phase == Phase::Open
            && self.pipeline.owed() == 0
            && self.switch.has_led(from)
    }

    #[inline]
    fn lane(&mut self, now: Tick) -> Lane<'_> {
        let planner = Planner {
            settings: &self.settings,
            legs: &self.legs,
            recursive: &mut self.recursive,
            touched: &mut self.touched,
        };
        Lane::new(planner, &mut self.switch, &mut self.straight, now)
    }

    fn asked_straight(&mut self, now: Tick) {
        self.heard = now;
        self.legs.home.sent = now;
    }

    /// Replies the client is owed.
    pub(super) fn owed(&self) -> usize {
        self.pipeline.owed() + self.straight.len()
    }

    /// Moves what has gone straight to where everything else is that is under way.
    #[inline]
    pub(super) fn unfold(&mut self) {
        if self.straight.len() > 0 {
            self.unfold_all();
        }
    }

    #[inline(never)]
    fn unfold_all(&mut self) {
        let Straight { runs, .. } = std::mem::take(&mut self.straight);
        for run in runs {
            for ahead in 0..run.requests {
                let xid = run.first.plus(ahead);
                let seq = self.pipeline.owe(Owed::plain(xid, run.op, 0));
                self.legs.home.push_straight(xid, seq, run.op, run.sent);
            }
        }
    }
}

/// The payload of the frame at the start of some bytes, if it is there as a whole, and what is behind.
#[inline]
fn first_frame(bytes: &[u8], limit: usize) -> Option<(&[u8], &[u8])> {
    let (length, behind) = bytes.split_first_chunk()?;
    // A negative one is more than there is.
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (length <= limit).then(|| behind.split_at_checked(length))?
}
