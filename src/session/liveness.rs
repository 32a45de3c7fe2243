//! Time: who is pinged, who has been silent for too long, what has taken too long.
//!
//! Remote legs live as long as the client does: they are pinged only while the client has been
//! heard from within its own timeout, so that a dead client loses its ephemerals everywhere
//! (T24). A client blocked on a remote request need not speak (the C client does not, T22): home
//! is touched for it, and it is fed ping replies before it hangs up.

use super::answer::CLOSE_BOUND;
use super::event::{Event, Loss};
use super::leg::{Leg, Owner, State};
use super::pipeline::Step;
use super::{End, Output, Phase, Session, Tick};
use crate::route::EnsembleId;
use crate::wire::{Xid, reply, request};

/// How long a request waits for an ensemble that was out of reach a moment ago. Not less: some
/// clients try again at once, for ever (T56).
const PACE: u64 = 250;

/// How long a request waits for a new attempt to reach such an ensemble: two round trips of a slow
/// WAN, so that whoever asks first once it is back is not told that it is down.
const ATTEMPT: u64 = 1_500;

impl Session {
    /// When [`Session::tick`] has to be called, if nothing else happens before. A session that has
    /// only home has nothing to wait for: its client and home keep each other's time.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        match self.phase {
            Phase::Ended => None,
            Phase::Closing { since } => Some(self.closed_by(since)),
            Phase::Expiring { since } => Some(since.after(CLOSE_BOUND)),
            Phase::Open | Phase::Stopping if self.legs.only_home() => None,
            Phase::Open | Phase::Stopping => {
                let legs = self
                    .legs
                    .remotes()
                    .flat_map(|(ensemble, leg)| self.leg_deadlines(ensemble, leg))
                    .flatten();
                let mine = [self.home_ping_at(), self.feed_at(), self.held_until()]
                    .into_iter()
                    .flatten();
                legs.chain(mine).min()
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Tick) {
        self.ticked = now;
        match self.phase {
            Phase::Ended => {}
            Phase::Closing { since } => {
                let due = now >= self.closed_by(since);
                self.release(now);
                if due {
                    self.end();
                }
            }
            Phase::Expiring { since } => {
                if now >= since.after(CLOSE_BOUND) {
                    self.end();
                }
            }
            Phase::Open | Phase::Stopping => {
                self.check_legs(now);
                // The loss of a leg may have ended the connection: then nothing follows.
                if self.serves() {
                    self.check_client(now);
                    self.check_held(now);
                }
            }
        }
    }

    /// When a session that is being closed is over: a while after home's answer the remote ends are
    /// not waited for, and an answer that has not come within the timeout is of no use to anybody.
    fn closed_by(&self, since: Tick) -> Tick {
        match self.pipeline.next_ready() {
            Some(_) => since.after(CLOSE_BOUND),
            None => since.after(self.me.timeout.into()),
        }
    }

    /// How long a remote request may take: clients wait for ever while their pings are answered,
    /// and the C client hangs up after two thirds of its timeout.
    fn request_timeout(&self) -> u64 {
        let timeout = u64::from(self.me.timeout);
        let below_third = (timeout / 3).saturating_sub(1).max(1);
        self.settings
            .request_timeout
            .unwrap_or(timeout / 4)
            .min(below_third)
    }

    /// Until when the client counts as alive.
    fn alive_until(&self) -> Tick {
        self.heard.after(u64::from(self.me.timeout))
    }

    /// Whether what is due then is done: not for a dead client, also where the timer came so late
    /// that it has died meanwhile.
    fn is_done_at(&self, due: Tick) -> bool {
        due.max(self.ticked) < self.alive_until()
    }

    fn leg_deadlines(&self, ensemble: EnsembleId, leg: &Leg) -> [Option<Tick>; 3] {
        let warm = self.settings.is_warm(ensemble);
        let late = leg
            .waits_since()
            .map(|since| since.after(self.request_timeout()));
        match &leg.state {
            State::Live(session) => {
                let ping = leg.sent.after(u64::from(session.timeout) / 3);
                let idle = leg.used.after(self.settings.idle_leg_timeout);
                [
                    Some(ping).filter(|at| self.is_done_at(*at)),
                    late,
                    (!warm && !leg.holds_anything()).then_some(idle),
                ]
            }
            State::Retiring(_) => [late, None, None],
            State::Idle { resume } if warm || resume.is_some() => [
                Some(leg.not_before).filter(|at| self.is_done_at(*at)),
                None,
                None,
            ],
            State::Idle { .. } | State::Dialing { .. } => [None; 3],
        }
    }

    fn check_legs(&mut self, now: Tick) {
        let alive = now < self.alive_until();
        let (bound, idle) = (self.request_timeout(), self.settings.idle_leg_timeout);
        let (mut late, mut gone): (Vec<EnsembleId>, Vec<EnsembleId>) = Default::default();
        for (ensemble, leg) in self.legs.remotes_mut() {
            let warm = self.settings.is_warm(ensemble);
            match &leg.state {
                State::Live(_) | State::Retiring(_)
                    if leg
                        .waits_since()
                        .is_some_and(|sent| now >= sent.after(bound)) =>
                {
                    late.push(ensemble);
                }
                State::Live(session)
                    if !warm && !leg.holds_anything() && now >= leg.used.after(idle) =>
                {
                    leg.state = State::Retiring(session.clone());
                    self.outputs.push_back(Output::Forget(ensemble));
                }
                State::Live(session)
                    if alive && now >= leg.sent.after(u64::from(session.timeout) / 3) =>
                {
                    leg.push(Xid::PING, Owner::Ping, now);
                    self.outputs
                        .push_back(Output::ToLeg(ensemble, request::ping()));
                }
                State::Idle { resume }
                    if (warm || resume.is_some()) && alive && now >= leg.not_before =>
                {
                    gone.push(ensemble);
                }
                State::Live(_)
                | State::Retiring(_)
                | State::Idle { .. }
                | State::Dialing { .. } => {}
            }
        }
        for ensemble in gone {
            self.dial(ensemble, now);
        }
        for ensemble in late {
            // The loss of another may have led to this one's: its new dial is not to be given up.
            let oldest = self.legs.get(ensemble).waits_since();
            if oldest.is_some_and(|sent| now >= sent.after(bound)) {
                // A late reply must never surface: its connection goes (T5).
                self.outputs.push_back(Output::HangUp(ensemble));
                self.leg_lost(ensemble, Loss::TimedOut, now);
            }
        }
    }

    /// The client takes no more for now, so the legs are not read: that they seem not to answer is
    /// not their fault.
    pub fn legs_unread(&mut self, now: Tick) {
        self.legs.remotes_mut().for_each(|(_, leg)| leg.unread(now));
    }

    /// A leg's session is no longer on record: now it can be closed.
    pub fn forgotten(&mut self, ensemble: EnsembleId, now: Tick) {
        let leg = self.legs.get(ensemble);
        if matches!(leg.state, State::Retiring(_)) && !leg.closes() {
            let xid = leg.own_xid();
            leg.push(xid, Owner::Close, now);
            self.outputs
                .push_back(Output::ToLeg(ensemble, request::close_session(xid)));
        }
    }

    /// A leg that held nothing has ended its session.
    pub(super) fn retired(&mut self, ensemble: EnsembleId, now: Tick) {
        let leg = self.legs.get(ensemble);
        leg.lost(now);
        leg.expired();
        self.switch.lost(ensemble);
        self.happened(Event::LegRetired { ensemble });
        self.send_held(now);
    }

    /// The client's connection is about to go, and the legs' with it: their servers hear of them once
    /// more, so that the client has a whole timeout to come back in. Not so for a client that was
    /// silent for a timeout: home has expired it (T24).
    pub fn part(&mut self, now: Tick) {
        if self.end == End::OfSession || now >= self.alive_until() {
            return;
        }
        for (ensemble, leg) in self.legs.remotes_mut() {
            if leg.is_live() {
                leg.push(Xid::PING, Owner::Ping, now);
                self.outputs
                    .push_back(Output::ToLeg(ensemble, request::ping()));
            }
        }
    }

    /// Whether the client waits for something that is not home's.
    fn waits_elsewhere(&self) -> bool {
        self.pipeline.owed() > 0
            && (!self.pipeline.flows() || self.switch.current() != self.settings.home())
    }

    /// Home hears from a client only what is for home. One that is busy elsewhere, or waits, would
    /// lose its session.
    fn home_ping_at(&self) -> Option<Tick> {
        let home = &self.legs.home;
        let needs = self.heard > home.sent || self.waits_elsewhere();
        let at = home.sent.after(u64::from(self.me.timeout) / 3);
        Some(at).filter(|at| needs && self.is_done_at(*at))
    }

    /// Clients hang up when they hear nothing for two thirds of their timeout. One that pings is
    /// answered by home and never gets here; unasked answers are only for those that do not ping
    /// while they wait, all of which take them (protocol.md 7).
    fn feed_at(&self) -> Option<Tick> {
        let silent = self.waits_elsewhere() && !self.legs.home.client_pings();
        let at = self.written.after(u64::from(self.me.timeout) / 2);
        Some(at).filter(|at| silent && self.is_done_at(*at))
    }

    fn check_client(&mut self, now: Tick) {
        if self.home_ping_at().is_some_and(|at| now >= at) {
            self.legs.home.push(Xid::PING, Owner::Ping, now);
            self.outputs
                .push_back(Output::ToLeg(self.settings.home(), request::ping()));
        }
        if self.feed_at().is_some_and(|at| now >= at) {
            self.written = now;
            self.outputs
                .push_back(Output::ToClient(reply::ping(self.shown)));
        }
    }

    /// When the request at the front of the queue has waited for its remote ensemble for too long,
    /// or that ensemble may be dialled again.
    fn held_until(&self) -> Option<Tick> {
        let step = self.pipeline.next_held()?;
        let again = self.legs.find(step.to).and_then(|leg| match leg.state {
            State::Idle { .. } => Some(leg.not_before),
            State::Dialing { .. } | State::Live(_) | State::Retiring(_) => None,
        });
        self.late_at(step).into_iter().chain(again).min()
    }

    /// When a request has waited for too long for the connection to its remote ensemble. Its turn
    /// behind others does not count: a long pipeline of a client is no fault of the ensemble, and
    /// each of those it waits for is bounded itself.
    fn late_at(&self, step: &Step) -> Option<Tick> {
        let leg = self
            .legs
            .find(step.to)
            .filter(|_| step.to != self.settings.home())?;
        let bound = self.request_timeout();
        let patience = match leg.is_down() {
            true if step.admitted < leg.not_before => PACE.min(bound),
            true => ATTEMPT.min(bound),
            false => bound,
        };
        Some(leg.awaited_since(step.admitted)?.after(patience))
    }

    pub(super) fn check_held(&mut self, now: Tick) {
        while self.serves()
            && let Some(step) = self.pipeline.next_held()
            && self.late_at(step).is_some_and(|late| now >= late)
        {
            self.fail_next(now);
        }
        self.release(now);
        self.send_held(now);
    }
}
