//! One upstream session: idle, dialing or live; what is in flight on it; its own zxid.

use std::collections::{BTreeSet, VecDeque};

use super::ledger::{self, Armed, Ledger, Note};
use super::legs::ParkedLeg;
use super::switch::Barrier;
use super::{Identity, Tick};
use crate::route::EnsembleId;
use crate::wire::connect::{ConnectRequest, Credentials};
use crate::wire::opcode::{Access, OpCode};
use crate::wire::reply::ReplyHeader;
use crate::wire::words::Role;
use crate::wire::{SessionId, Xid, Zxid};

/// First wait before an ensemble that could not be reached is dialled again, milliseconds.
const FIRST_BACKOFF: u64 = 200;
/// Longest such wait, milliseconds.
const LONGEST_BACKOFF: u64 = 5_000;

/// Numbers for requests of our own: a range no surveyed client gets near.
const FIRST_OWN_XID: i32 = i32::MIN;
const LAST_OWN_XID: i32 = i32::MIN / 2;

/// Whose request is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// The client's, or a part of it.
    Client {
        /// Which reply the client is owed for it.
        seq: u32,
        /// Which part of that reply.
        part: u16,
        /// What it asks for.
        op: OpCode,
    },
    /// The client's ping; its answer overtakes everything.
    ClientPing,
    /// Our ping.
    Ping,
    /// Our barrier.
    Barrier(Barrier),
    /// The client's credentials, added on a remote leg: this one of them.
    Auth(usize),
    /// Credentials of the sidecar's own: this one of those the connection was given.
    Identity(usize),
    /// Our setWatches, or setWatches2, for watches the connection does not know of.
    Rearm(OpCode),
    /// Our end of the session.
    Close,
}

impl Owner {
    /// Whether the ensemble is not drained while this is in flight.
    const fn holds_drain(self) -> bool {
        match self {
            Self::Client { op, .. } => !matches!(op.shape().access, Access::Control),
            Self::Barrier(_) => true,
            Self::ClientPing
            | Self::Ping
            | Self::Auth(_)
            | Self::Identity(_)
            | Self::Rearm(_)
            | Self::Close => false,
        }
    }

    /// Which operation it is.
    pub(super) const fn op(self) -> OpCode {
        match self {
            Self::Client { op, .. } | Self::Rearm(op) => op,
            Self::ClientPing | Self::Ping => OpCode::Ping,
            Self::Barrier(Barrier::Sync) => OpCode::Sync,
            Self::Barrier(Barrier::Quorum) => OpCode::Multi,
            Self::Auth(_) | Self::Identity(_) => OpCode::Auth,
            Self::Close => OpCode::CloseSession,
        }
    }
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct InFlight {
    /// The number its reply will carry.
    pub(super) xid: Xid,
    pub(super) owner: Owner,
    pub(super) sent: Tick,
    /// What its success does to the leg's ledger.
    pub(super) note: Option<Box<Note>>,
}

/// How far the leg's connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// There is no connection; a session to resume may be left.
    Idle { resume: Option<Credentials> },
    /// A server is being reached.
    Dialing { resume: Option<Credentials> },
    /// Requests may go out.
    Live(Credentials),
    /// Its session is being ended because nobody needs it: it is forgotten first and closed then,
    /// so that a restart in between does not find a session that looks as if it had expired.
    Retiring(Credentials),
}

/// One upstream session of a client session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leg {
    pub(super) state: State,
    in_flight: VecDeque<InFlight>,
    /// How many of these keep the ensemble from being drained.
    holding: u32,
    /// Bytes of the client's that are kept until these are answered.
    noted: usize,
    /// What the connection's server is, once known.
    pub(super) role: Option<Role>,
    /// The largest zxid a reply of this leg has shown.
    pub(super) zxid: Zxid,
    pub(super) sent: Tick,
    /// When a request was answered last.
    answered: Tick,
    next_xid: i32,
    /// Credentials this ensemble refuses, by their place in the session's list.
    pub(super) refused_auths: BTreeSet<usize>,
    /// Credentials of the sidecar's own that the present connection was given.
    pub(super) introduced: Vec<Identity>,
    /// Those that the ensemble refuses.
    pub(super) unwelcome: BTreeSet<Identity>,
    /// What the session holds; home's leg has nothing in it.
    pub(super) ledger: Ledger,
    /// The watches an earlier connection of the client had here.
    pub(super) before: Armed,
    /// When the client last asked for something here.
    pub(super) used: Tick,
    failures: u32,
    /// Whether the last attempt to reach its ensemble failed.
    out_of_reach: bool,
    /// Feeds the jitter of the waits between attempts.
    chance: u64,
    /// Not to be dialled before this.
    pub(super) not_before: Tick,
    /// Since when there has been no connection that was wanted.
    awaited: Option<Tick>,
}

impl Leg {
    /// A leg nothing was opened for.
    pub(super) fn idle(chance: u64) -> Self {
        Self {
            chance,
            ..Self::in_state(State::Idle { resume: None }, Tick::default())
        }
    }

    /// A leg whose session was just granted.
    pub(super) fn live(credentials: Credentials, now: Tick) -> Self {
        Self::in_state(State::Live(credentials), now)
    }

    fn in_state(state: State, now: Tick) -> Self {
        Self {
            state,
            in_flight: VecDeque::new(),
            holding: 0,
            noted: 0,
            role: None,
            zxid: Zxid::NONE,
            sent: now,
            answered: now,
            next_xid: FIRST_OWN_XID,
            refused_auths: BTreeSet::new(),
            introduced: Vec::new(),
            unwelcome: BTreeSet::new(),
            ledger: Ledger::default(),
            before: Armed::default(),
            used: now,
            failures: 0,
            out_of_reach: false,
            chance: 0,
            not_before: Tick::default(),
            awaited: None,
        }
    }

    /// Whether requests may go out.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    /// Whether nothing of the client's is outstanding.
    pub(super) const fn is_drained(&self) -> bool {
        self.holding == 0
    }

    /// How many requests are in flight, pings included.
    pub(super) fn unanswered(&self) -> usize {
        self.in_flight.len()
    }

    /// Bytes of the client's that are kept until its requests are answered.
    pub(super) const fn noted(&self) -> usize {
        self.noted
    }

    /// The leg's session, also while its connection is gone.
    pub(super) const fn session(&self) -> Option<&Credentials> {
        match &self.state {
            State::Live(credentials)
            | State::Idle {
                resume: Some(credentials),
            }
            | State::Dialing {
                resume: Some(credentials),
            } => Some(credentials),
            State::Idle { resume: None } | State::Dialing { resume: None } | State::Retiring(_) => {
                None
            }
        }
    }

    /// Notes a request that goes out now.
    pub(super) fn push(&mut self, xid: Xid, owner: Owner, now: Tick) {
        self.push_noted(xid, owner, None, now);
    }

    /// Notes a request that goes out now and changes what the session holds.
    #[inline]
    pub(super) fn push_noted(
        &mut self,
        xid: Xid,
        owner: Owner,
        note: Option<Box<Note>>,
        now: Tick,
    ) {
        self.holding += u32::from(owner.holds_drain());
        self.noted += note.as_deref().map_or(0, Note::bytes);
        self.in_flight.push_back(InFlight {
            xid,
            owner,
            sent: now,
            note,
        });
        self.sent = now;
    }

    /// Notes a request of the client's that went out a while ago.
    pub(super) fn push_straight(&mut self, xid: Xid, seq: u32, op: OpCode, sent: Tick) {
        let last = self.sent;
        self.push(xid, Owner::Client { seq, part: 0, op }, sent);
        self.sent = last;
    }

    /// Takes out the request this reply answers: the first one under its number. Servers answer in
    /// order but for `auth`, SASL and what they turn away at the door (protocol.md 5).
    #[inline]
    pub(super) fn take(&mut self, xid: Xid) -> Option<InFlight> {
        let found = match self.in_flight.front() {
            Some(first) if first.xid == xid => self.in_flight.pop_front(),
            Some(_) => {
                let at = self
                    .in_flight
                    .iter()
                    .position(|waiting| waiting.xid == xid)?;
                self.in_flight.remove(at)
            }
            None => None,
        }?;
        self.holding -= u32::from(found.owner.holds_drain());
        self.noted -= found.note.as_deref().map_or(0, Note::bytes);
        Some(found)
    }

    /// A number for a request of our own that nothing in flight carries.
    pub(super) fn own_xid(&mut self) -> Xid {
        loop {
            let xid = Xid(self.next_xid);
            self.next_xid = if self.next_xid >= LAST_OWN_XID {
                FIRST_OWN_XID
            } else {
                self.next_xid + 1
            };
            if !self.in_flight.iter().any(|waiting| waiting.xid == xid) {
                return xid;
            }
        }
    }

    /// The frames that arm again what this connection does not know of; they go out now.
    pub(super) fn rearm(&mut self, now: Tick) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for again in self.ledger.rearm() {
            let xid = self.own_xid();
            let owner = Owner::Rearm(ledger::operation(&again.lists));
            self.push_noted(xid, owner, Some(Box::new(again.note)), now);
            frames.push(ledger::frame(xid, again.since, &again.lists));
        }
        frames
    }

    /// Since when the oldest request waits for its answer, those it waits behind not counted: a
    /// long pipeline that is being answered is no fault of the server.
    pub(super) fn waits_since(&self) -> Option<Tick> {
        let oldest = self.in_flight.front()?;
        Some(oldest.sent.max(self.answered))
    }

    /// How many requests are on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether a ping of the client's is on its way.
    pub(super) fn client_pings(&self) -> bool {
        self.in_flight
            .iter()
            .any(|waiting| waiting.owner == Owner::ClientPing)
    }

    /// Whether requests to it fail quickly because it was out of reach a moment ago.
    pub(super) const fn is_down(&self) -> bool {
        self.out_of_reach && !self.is_live()
    }

    /// Whether anything but a connection would be lost with the session.
    pub(super) fn holds_anything(&self) -> bool {
        self.ledger.watches() || self.ledger.owns_ephemerals() || !self.in_flight.is_empty()
    }

    /// The session is gone and with it what it owned; a new one may take its place.
    pub(super) fn expired(&mut self) {
        self.ledger.expired();
        self.state = State::Idle { resume: None };
    }

    /// What a later connection of the client can go on with, if there is a session.
    pub(super) fn into_parked(mut self, ensemble: EnsembleId) -> Option<ParkedLeg> {
        let credentials = self.session().cloned()?;
        self.lose_in_flight();
        // A connection that did not get so far as to ask for watches leaves what it had found.
        let before = (!self.ledger.watches()).then_some(self.before);
        let (armed, owned) = self.ledger.into_parts();
        let armed = before.unwrap_or(armed);
        Some(ParkedLeg {
            ensemble,
            credentials,
            zxid: self.zxid,
            armed,
            owned,
        })
    }

    /// Whether an end of the session is on its way, or goes out once it is attached.
    pub(super) fn closes(&self) -> bool {
        let comes = matches!(self.state, State::Dialing { resume: Some(_) });
        comes
            || self
                .in_flight
                .iter()
                .any(|waiting| waiting.owner == Owner::Close)
    }

    /// Starts to dial: the handshake to send. A session left is attached again with the leg's own
    /// zxid, because a server that is behind it must refuse (T8, T11).
    pub(super) fn dial(&mut self, timeout: u32, now: Tick) -> Vec<u8> {
        self.awaited.get_or_insert(now);
        let resume = self.session().cloned();
        let request = ConnectRequest {
            last_zxid_seen: self.zxid,
            timeout: i32::try_from(timeout).unwrap_or(i32::MAX),
            session: resume
                .as_ref()
                .map_or(SessionId::NONE, |credentials| credentials.session),
            password: resume
                .as_ref()
                .map_or_else(|| vec![0; 16], |credentials| credentials.password.to_vec()),
            // Sessions of a read-only server are not known to its ensemble (T53).
            read_only: Some(false),
        };
        self.state = State::Dialing { resume };
        request.frame()
    }

    /// The session was granted.
    pub(super) fn up(&mut self, credentials: Credentials, now: Tick) {
        self.state = State::Live(credentials);
        self.introduced.clear();
        self.out_of_reach = false;
        self.awaited = None;
        self.used = now;
        self.sent = now;
        self.answered = now;
    }

    /// No server could be reached: not again before a while that grows.
    pub(super) fn unreachable(&mut self, now: Tick) {
        self.out_of_reach = true;
        self.back_off(now);
        self.idle_again();
    }

    /// No connection is wanted for now; the session stays known.
    pub(super) fn idle_again(&mut self) {
        self.state = State::Idle {
            resume: self.session().cloned(),
        };
    }

    /// Doubles the wait up to a bound and takes a random half of it off, so that many sessions do
    /// not come back at once.
    fn back_off(&mut self, now: Tick) {
        // A session that is waited with for too long is lost though its ensemble is back.
        let longest = self.session().map_or(LONGEST_BACKOFF, |credentials| {
            u64::from(credentials.timeout / 10).clamp(FIRST_BACKOFF, LONGEST_BACKOFF)
        });
        let wait = FIRST_BACKOFF
            .saturating_mul(1 << self.failures.min(6))
            .min(longest);
        self.failures = self.failures.saturating_add(1);
        // The generator of Knuth's MMIX.
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.not_before = now.after(wait - (self.chance >> 33) % (wait / 2));
    }

    /// Since when a request that was admitted then has waited for a connection, if it does.
    pub(super) fn awaited_since(&self, admitted: Tick) -> Option<Tick> {
        match self.state {
            State::Live(_) => None,
            State::Idle { .. } | State::Dialing { .. } | State::Retiring(_) => Some(
                self.awaited
                    .map_or(admitted, |awaited| awaited.max(admitted)),
            ),
        }
    }

    /// A frame came in. What an event says of the zxid does not count, as with stock clients:
    /// another event of the same transaction may be behind it.
    pub(super) fn heard(&mut self, header: &ReplyHeader, now: Tick) {
        if header.xid == Xid::NOTIFICATION {
            self.failures = 0;
        } else {
            self.answered_up_to(header.zxid, now);
        }
    }

    /// Requests were answered by a server that has seen this zxid.
    pub(super) fn answered_up_to(&mut self, zxid: Zxid, now: Tick) {
        self.answered = now;
        self.zxid = self.zxid.max(zxid);
        self.failures = 0;
    }

    /// Nothing of this leg was read just now, so nothing can be said of how it answers.
    pub(super) fn unread(&mut self, now: Tick) {
        self.answered = now;
    }

    /// The connection is gone: what was in flight on it. Its session stays to be resumed, at once
    /// unless the connection never carried a frame: then its server is no good.
    pub(super) fn lost(&mut self, now: Tick) -> VecDeque<InFlight> {
        let resume = self.session().cloned();
        if self.failures > 0 {
            self.back_off(now);
        }
        self.failures = self.failures.max(1);
        self.state = State::Idle { resume };
        self.role = None;
        self.holding = 0;
        self.ledger.disconnected(self.zxid);
        self.lose_in_flight()
    }

    /// What was in flight; nobody will know what came of it.
    fn lose_in_flight(&mut self) -> VecDeque<InFlight> {
        let lost = std::mem::take(&mut self.in_flight);
        self.noted = 0;
        for note in lost.iter().filter_map(|lost| lost.note.as_deref()) {
            self.ledger.lost(note);
        }
        lost
    }
}

#[cfg(test)]
mod tests;
