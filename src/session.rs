//! The composition of one client session: a deterministic state machine without sockets, clocks or
//! tasks.
//!
//! The shell hands in the client's and the legs' frames, tells of connections that came up or went,
//! and of the time; it takes out what is to be written, dialled and closed:
//!
//! 1. hand in one thing ([`Session::client_frame`], [`Session::leg_frame`], [`Session::leg_up`],
//!    [`Session::leg_lost`], [`Session::tick`], ...);
//! 2. take out every [`Output`] with [`Session::poll`];
//! 3. if the frame's [`Verdict`] says so, pass its bytes on as they are. Outputs come first: a
//!    barrier goes in front of its read.
//!
//! Where many frames have come at once, [`Session::straight_requests`] and
//! [`Session::straight_replies`] take those at their start that need no output, to be passed on in one
//! piece.
//!
//! So the bytes of most frames are never copied here. One connection of a client is one `Session`.
//!
//! ```text
//! client ─frame→ request ─→ spread (where to) ─→ switch (drain, barrier) ─→ leg ─→ ensemble
//! client ←frame─ pipeline (in order) ←─ translate, gather ←─ answer ←─ leg ←─ ensemble
//! ```

mod answer;
mod auth;
mod describe;
mod drain;
mod event;
mod gather;
mod ledger;
mod leg;
mod legs;
mod liveness;
mod meter;
mod pipeline;
mod redacted;
mod request;
mod settings;
mod spread;
mod straight;
mod switch;
#[cfg(test)]
mod tests;
mod touched;
mod translate;

use std::collections::VecDeque;
use std::sync::Arc;

pub use auth::Identity;
pub use describe::{Description, Holdings, LegDescription, LegState};
pub use event::{ClientFault, Event, LegFault, Loss};
pub use legs::ParkedLeg;
pub use meter::{Meter, Replied};
pub use settings::{OnExpiry, OnUnreachable, Policy, Settings};
pub use straight::Stretch;
pub use switch::{Barrier, Shown};

use crate::route::EnsembleId;
use crate::wire::connect::Credentials;
use crate::wire::opcode::OpCode;
use crate::wire::request::close_session;
use crate::wire::words::Role;
use crate::wire::{SessionId, Zxid};
use drain::Drain;
use leg::{Leg, Owner, State};
use legs::Legs;
use pipeline::Pipeline;
use spread::Recursive;
use straight::Straight;
use switch::{Map, Switch};
use touched::Touched;

/// Microseconds since a moment the shell chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// So many milliseconds after that moment.
    #[must_use]
    pub const fn at(milliseconds: u64) -> Self {
        Self(0).after(milliseconds)
    }

    /// So many milliseconds later: settings and timeouts are in milliseconds.
    #[must_use]
    pub const fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds.saturating_mul(1_000)))
    }

    /// Microseconds since an earlier moment.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What becomes of a frame that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Its bytes go on to the leg of this ensemble, behind all outputs.
    ToLeg(EnsembleId),
    /// Its bytes, which may have been patched, go on to the client, behind all outputs.
    ToClient,
    /// Nothing: whatever follows from it is among the outputs.
    Taken,
}

/// What the shell has to do. `Debug` leaves out what is in frames.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Output {
    /// Write this frame to the client.
    ToClient(Vec<u8>),
    /// Write this frame to the leg of an ensemble.
    ToLeg(EnsembleId, Vec<u8>),
    /// Reach a server of this ensemble and hand it this handshake; the answer is
    /// [`Session::leg_up`], [`Session::leg_refused`] or [`Session::leg_unreachable`].
    Dial(EnsembleId, Vec<u8>),
    /// Find out what the server of this leg is; the answer is [`Session::role`], or none.
    LearnRole(EnsembleId),
    /// Close the leg's connection, or give up dialling it.
    HangUp(EnsembleId),
    /// The leg's session need not be remembered any longer; the answer is [`Session::forgotten`].
    Forget(EnsembleId),
    /// Write what is to be written to the client, then close everything. Nothing follows.
    CloseClient,
    /// Log or count this.
    Happened(Event),
}

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Open,
    /// The sidecar stops: what is outstanding is answered, nothing more is taken.
    Stopping,
    /// The client asked to end the session.
    Closing {
        since: Tick,
    },
    /// The session is being ended because a part of it has expired.
    Expiring {
        since: Tick,
    },
    /// Nothing more is read from the client, nor sent to it.
    Ended,
}

/// What ends when the client's connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    /// No more than that: the session goes on, and its remote ones with it.
    OfConnection,
    /// The session itself.
    OfSession,
}

/// One connection of a client, and the upstream sessions that serve it. `Debug` leaves out
/// credentials and what is in frames.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Session {
    settings: Arc<Settings>,
    /// The client's session: home's.
    me: Credentials,
    phase: Phase,
    end: End,
    switch: Switch,
    drain: Drain,
    pipeline: Pipeline,
    straight: Straight,
    legs: Legs,
    recursive: Recursive,
    touched: Touched,
    /// The client's credentials, in order: payloads of its auth packets.
    auths: Vec<Vec<u8>>,
    /// The largest zxid of home's that was written to the client.
    shown: Zxid,
    /// When the client was heard last.
    heard: Tick,
    /// When something was written to the client last.
    written: Tick,
    /// When [`Session::tick`] was called last.
    ticked: Tick,
    outputs: VecDeque<Output>,
}

/// How a session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Its ensemble has just created it.
    New,
    /// It was there before and its ensemble attached it again.
    Attached,
}

impl Session {
    /// The session home has granted to a client.
    #[must_use]
    pub fn new(settings: Arc<Settings>, me: Credentials, origin: Origin, now: Tick) -> Self {
        let home = settings.routes.home();
        let map = Map::of(&settings.routes);
        let mut session = Self {
            switch: Switch::new(home, origin, map),
            drain: Drain::default(),
            legs: Legs::new(
                home,
                Leg::live(me.clone(), now),
                u64::from_ne_bytes(me.session.0.to_ne_bytes()),
            ),
            settings,
            me,
            phase: Phase::Open,
            end: End::OfConnection,
            pipeline: Pipeline::default(),
            straight: Straight::default(),
            recursive: Recursive::default(),
            touched: Touched::default(),
            auths: Vec::new(),
            shown: Zxid::NONE,
            heard: now,
            written: now,
            ticked: now,
            outputs: VecDeque::new(),
        };
        session.switch.elide(session.settings.eliding());
        session.introduce(home, now);
        session
    }

    /// The client's session id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.me.session
    }

    /// The ensemble it lives on.
    #[must_use]
    pub fn home(&self) -> EnsembleId {
        self.settings.home()
    }

    /// The timeout that home granted, milliseconds.
    #[must_use]
    pub const fn timeout(&self) -> u32 {
        self.me.timeout
    }

    /// The next thing to do; call until there is none after whatever was handed in.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the client should be read. Not while too much waits behind a drain, too much is kept
    /// of requests that are out, or too many replies are owed: then the socket's own flow control
    /// holds the client back.
    #[must_use]
    pub fn wants_client(&self) -> bool {
        self.phase == Phase::Open
            && self.pipeline.waiting() + self.legs.noted() <= self.settings.look_ahead
            && self.owed() < self.settings.outstanding
            // Pings are not owed in order, but each is kept until home answers.
            && self.legs.home.unanswered() + self.straight.len() < self.settings.outstanding
    }

    /// Bytes of requests that wait for their turn, and of replies that wait for theirs.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.pipeline.waiting()
    }

    /// Bytes of watches and ephemerals remembered for each remote leg.
    pub fn ledgers(&self) -> impl Iterator<Item = (EnsembleId, usize)> {
        let remotes = self.legs.remotes();
        remotes.map(|(ensemble, leg)| (ensemble, leg.ledger.bytes()))
    }

    /// Goes on with the remote sessions of the client's earlier connection: they are attached again
    /// at once, or they would expire. Opens those that are to be there before they are needed.
    pub fn resume(&mut self, legs: Vec<ParkedLeg>, now: Tick) {
        for leg in legs {
            let ensemble = leg.ensemble;
            self.legs.adopt(leg);
            self.dial(ensemble, now);
        }
        self.warm_up(now);
    }

    fn warm_up(&mut self, now: Tick) {
        let warm: Vec<EnsembleId> = self.settings.warm().collect();
        for ensemble in warm {
            self.dial(ensemble, now);
        }
    }

    /// The client's connection is gone: the remote sessions for its next one, or `None` where the
    /// session itself is over.
    #[must_use]
    pub fn park(self) -> Option<Vec<ParkedLeg>> {
        match self.end {
            End::OfSession => None,
            End::OfConnection => Some(self.legs.into_parked()),
        }
    }

    /// Takes no more requests, and ends the connection once what is outstanding has been answered.
    pub fn stop(&mut self) {
        if self.phase == Phase::Open {
            self.unfold();
            self.phase = Phase::Stopping;
            self.check_stopped();
        }
    }

    /// Goes over to other settings, in which ids of ensembles mean what they did. A client that has
    /// used a path which goes elsewhere now is disconnected, once it has its answers: what it
    /// watches and owns there has not moved along.
    pub fn reload(&mut self, settings: Arc<Settings>, now: Tick) {
        let moved = self.settings.routes.moved(&settings.routes);
        let concerned =
            |prefix: &Vec<u8>| self.touched.any_below(prefix) || self.recursive.cover(prefix);
        if self.settings.home() != settings.home() || moved.iter().any(concerned) {
            self.happened(Event::Moved);
            self.stop();
            return;
        }
        // What was let through before is answered under these settings by all rules.
        self.unfold();
        self.switch.reload(Map::of(&settings.routes));
        self.switch.elide(settings.eliding());
        self.settings = settings;
        let live = |(ensemble, leg): (EnsembleId, &Leg)| leg.is_live().then_some(ensemble);
        let remotes: Vec<EnsembleId> = self.legs.remotes().filter_map(live).collect();
        for ensemble in remotes.into_iter().chain([self.settings.home()]) {
            self.introduce_anew(ensemble, now);
        }
        self.warm_up(now);
    }

    fn check_stopped(&mut self) {
        if self.phase == Phase::Stopping && self.pipeline.owed() == 0 {
            self.end();
        }
    }

    /// Whether requests and replies still flow.
    const fn serves(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Stopping)
    }

    /// A server granted the session that was dialled for.
    pub fn leg_up(&mut self, ensemble: EnsembleId, credentials: Credentials, now: Tick) {
        if self.phase == Phase::Ended {
            self.outputs.push_back(Output::HangUp(ensemble));
            return;
        }
        let origin = match self.legs.get(ensemble).session() {
            Some(_) => Origin::Attached,
            None => Origin::New,
        };
        self.happened(Event::LegUp {
            ensemble,
            session: credentials.session,
            timeout: credentials.timeout,
            origin,
        });
        self.legs.get(ensemble).up(credentials, now);
        if !self.serves() {
            self.close_leg(ensemble, now);
            return;
        }
        self.introduce(ensemble, now);
        for index in 0..self.auths.len() {
            self.add_auth(ensemble, index, now);
        }
        self.rearm(ensemble, now);
        self.send_held(now);
    }

    /// The session a leg wanted to resume has expired, and its ephemerals are gone. A client that
    /// owned some has to learn of it, and there is one way only: its own session ends as well.
    pub fn leg_refused(&mut self, ensemble: EnsembleId, now: Tick) {
        let leg = self.legs.get(ensemble);
        let owned = leg.ledger.owns_ephemerals();
        let told = owned && self.settings.policy(ensemble).on_expiry == OnExpiry::Expire;
        self.happened(Event::LegExpired { ensemble, owned });
        if told && !matches!(self.phase, Phase::Closing { .. }) {
            // What was lost stays known until home has ended the session: it may not hear of it, or
            // its connection may be gone already. Then the client's next one learns of it.
            self.legs.get(ensemble).idle_again();
            if self.serves() {
                self.expire(now);
            }
            return;
        }
        self.legs.get(ensemble).expired();
        self.outputs.push_back(Output::Forget(ensemble));
        if self.serves() {
            self.dial(ensemble, now);
        } else {
            self.release(now);
        }
    }

    /// No server of an ensemble could be reached: the requests waiting for it are answered
    /// CONNECTIONLOSS, it is dialled again after a while.
    pub fn leg_unreachable(&mut self, ensemble: EnsembleId, now: Tick) {
        let known = self.legs.get(ensemble).is_down();
        self.legs.get(ensemble).unreachable(now);
        self.happened(Event::LegUnreachable { ensemble });
        if known {
            // What has come since then fails paced.
            self.check_held(now);
        } else {
            self.fail_held(ensemble, now);
        }
    }

    /// What the server of a leg's present connection is.
    pub fn role(&mut self, ensemble: EnsembleId, role: Role) {
        self.legs.get(ensemble).role = Some(role);
    }

    /// A leg's connection is gone. What was outstanding on it is answered CONNECTIONLOSS, its
    /// outcome is not known; the session is attached to another server.
    pub fn leg_lost(&mut self, ensemble: EnsembleId, reason: Loss, now: Tick) {
        if self.phase == Phase::Ended {
            return;
        }
        if matches!(self.legs.get(ensemble).state, State::Retiring(_)) {
            self.retired(ensemble, now);
            return;
        }
        // Servers close right after they have answered a closeSession: nothing is lost by that.
        let closing = matches!(self.phase, Phase::Closing { .. });
        if !closing || self.legs.get(ensemble).in_flight() > 0 {
            self.happened(Event::LegLost { ensemble, reason });
        }
        if ensemble == self.settings.home() {
            self.unfold();
        }
        let leg = self.legs.get(ensemble);
        let in_flight = leg.lost(now);
        let complete = leg.ledger.is_complete();
        self.switch.lost(ensemble);
        if ensemble == self.settings.home() {
            if !closing || self.pipeline.next_ready() != Some(OpCode::CloseSession) {
                self.end();
            }
            return;
        }
        for lost in in_flight {
            if let Owner::Client { seq, part, .. } = lost.owner {
                self.fail(ensemble, seq, part);
            }
        }
        if !complete && self.serves() {
            // Watches went with the connection that nobody remembers. The client does.
            self.end();
        }
        self.release(now);
        self.send_held(now);
        self.tick(now);
    }

    fn happened(&mut self, event: Event) {
        self.outputs.push_back(Output::Happened(event));
    }

    /// Ends the whole session, at home and elsewhere; home tells the client so when it comes back.
    fn expire(&mut self, now: Tick) {
        self.phase = Phase::Expiring { since: now };
        self.close_legs(now);
        let home = &mut self.legs.home;
        let xid = home.own_xid();
        home.push(xid, Owner::Close, now);
        self.outputs
            .push_back(Output::ToLeg(self.settings.home(), close_session(xid)));
    }

    /// Ends the client's connection. Its session lives on at home until it times out there.
    fn end(&mut self) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.outputs.push_back(Output::CloseClient);
        }
    }
}
