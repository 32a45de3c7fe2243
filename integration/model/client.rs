//! One client and its sidecar: the real [`Session`], its connections, and what the client knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::ensemble::{Link, Told};
use super::scenario::{self, Ask, Roles, Scenario};
use super::world::{Wire, is_read};
use zoonet::route::EnsembleId;
use zoonet::session::{Loss, Origin, Output, ParkedLeg, Session, Settings, Tick, Verdict};
use zoonet::wire::connect::{ConnectRequest, ConnectResponse, Credentials};
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::{Reader, Writer};
use zoonet::wire::opcode::OpCode;
use zoonet::wire::reply::{self, ReplyHeader};
use zoonet::wire::words::Role;
use zoonet::wire::{SessionId, Xid, Zxid, code, request};

/// The session timeout of everybody, milliseconds.
const TIMEOUT: i32 = 9_000;

/// More requests than any client asks, connections than any opens.
const MOST: u32 = 8;

/// A write, told from all others by the one byte it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Written(u8);

impl Written {
    pub(crate) fn new(place: usize, index: usize) -> Self {
        Self(u8::try_from(place * 8 + index).expect("few clients ask little"))
    }

    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        data.first().map(|byte| Self(*byte))
    }

    /// The client that wrote it, and which of its requests that was.
    pub(crate) fn by(self) -> (usize, usize) {
        (usize::from(self.0 / 8), usize::from(self.0 % 8))
    }

    pub(crate) const fn bit(self) -> u32 {
        1 << self.0
    }
}

/// What a client knows of something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Waiting,
    /// It read what this write had written, or nothing.
    Read(Option<Written>),
    Done,
    /// Nobody told what became of it.
    Lost,
    /// It did not happen.
    Refused,
}

/// Something a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    /// The writes of others that had returned by then; not kept for what real time does not bind.
    pub(crate) after: u32,
    pub(crate) outcome: Outcome,
}

/// What must never happen to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A reply to what it has not asked, or does not wait for.
    Unasked(i32),
    /// A reply before that to an earlier request.
    Overtaken(i32),
    /// Its connection was closed though home's was there.
    Dropped,
    /// Its session ended.
    Expired,
}

/// How a client is connected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Connected(Box<Session>),
    /// It will come back; its sidecar keeps the remote sessions.
    Away {
        parked: Vec<ParkedLeg>,
    },
    /// It has asked all it wanted to ask, and knows what came of it.
    Done,
}

/// A connection the sidecar has given up. What was under way may still be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Late {
    ensemble: EnsembleId,
    link: Link,
    up: VecDeque<Vec<u8>>,
}

/// One client and its sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    place: usize,
    settings: Arc<Settings>,
    me: Credentials,
    home: EnsembleId,
    pub(crate) stage: Stage,
    pub(crate) roles: Roles,
    wires: BTreeMap<EnsembleId, Wire>,
    /// Handshakes for which a server is being reached.
    dials: BTreeMap<EnsembleId, Vec<u8>>,
    /// Handshakes a server has and has not answered.
    offered: BTreeMap<EnsembleId, Vec<u8>>,
    unlearnt: BTreeSet<EnsembleId>,
    late: Vec<Late>,
    hung_up: BTreeSet<(EnsembleId, Link)>,
    links: u32,
    pub(crate) asked: Vec<Asked>,
    owed: VecDeque<usize>,
    /// The largest zxid it knows of, as stock clients keep it.
    pub(crate) seen: Zxid,
    pub(crate) fault: Option<Fault>,
}

impl Client {
    /// A client that has not yet asked home for a session.
    pub(crate) fn new(place: usize, home: EnsembleId, scenario: &Scenario) -> Self {
        let nobody = Credentials {
            session: SessionId::NONE,
            password: [0; 16],
            timeout: 1,
        };
        Self {
            place,
            settings: scenario.settings(home),
            me: nobody,
            home,
            stage: Stage::Away { parked: Vec::new() },
            roles: scenario.roles,
            wires: BTreeMap::new(),
            dials: BTreeMap::new(),
            offered: BTreeMap::new(),
            unlearnt: BTreeSet::new(),
            late: Vec::new(),
            hung_up: BTreeSet::new(),
            links: 0,
            asked: Vec::new(),
            owed: VecDeque::new(),
            seen: Zxid::NONE,
            fault: None,
        }
    }

    /// Forgets what was asked to get here.
    pub(crate) fn begin(&mut self, roles: Roles) {
        self.roles = roles;
        self.asked.clear();
    }

    pub(crate) const fn home(&self) -> EnsembleId {
        self.home
    }

    pub(crate) fn wires(&self) -> impl Iterator<Item = (EnsembleId, &Wire)> {
        self.wires.iter().map(|(ensemble, wire)| (*ensemble, wire))
    }

    /// The connections that can break, but for home's.
    pub(crate) fn legs(&self) -> impl Iterator<Item = EnsembleId> {
        let others = self.wires.keys().copied();
        others.filter(|to| *to != self.home && !self.offered.contains_key(to))
    }

    pub(crate) fn dials(&self) -> impl Iterator<Item = EnsembleId> {
        self.dials.keys().copied()
    }

    pub(crate) fn unlearnt(&self) -> impl Iterator<Item = EnsembleId> {
        self.unlearnt.iter().copied()
    }

    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self.stage, Stage::Connected(_))
    }

    /// Its writes that have returned.
    pub(crate) fn returned(&self) -> impl Iterator<Item = Written> {
        let asked = self.asked.iter().enumerate();
        asked
            .filter(|(_, asked)| {
                matches!(asked.ask, Ask::Write(_)) && asked.outcome == Outcome::Done
            })
            .map(|(index, _)| Written::new(self.place, index))
    }

    /// When its session has to be told the time, if it waits for something.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        match &self.stage {
            Stage::Connected(session) if !self.owed.is_empty() => session.deadline(),
            Stage::Connected(_) | Stage::Away { .. } | Stage::Done => None,
        }
    }

    /// What it may ask for now.
    pub(crate) fn may_ask(&self, scenario: &Scenario) -> Vec<Ask> {
        let Stage::Connected(session) = &self.stage else {
            return Vec::new();
        };
        let script = &scenario.clients[self.place].script;
        match script.get(self.asked.len()) {
            Some(asks) if self.owed.len() < scenario.window && session.wants_client() => {
                asks.clone()
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask, returned: u32, now: Tick) {
        let index = self.asked.len();
        let after = match ask {
            Ask::Write(_) => returned,
            Ask::Read(_) | Ask::Sync(_) => 0,
        };
        self.asked.push(Asked {
            ask,
            after,
            outcome: Outcome::Waiting,
        });
        self.owed.push_back(index);
        let frame = self.frame(ask, index);
        let Stage::Connected(session) = &mut self.stage else {
            return;
        };
        let verdict = session.client_frame(&frame[PREFIX..], now);
        self.pump(now);
        match verdict {
            Ok(Verdict::ToLeg(ensemble)) => self.send(ensemble, frame),
            Ok(Verdict::Taken) => {}
            Ok(Verdict::ToClient) | Err(_) => self.fault = Some(Fault::Dropped),
        }
    }

    fn frame(&self, ask: Ask, index: usize) -> Vec<u8> {
        let (path, xid) = (scenario::node(ask.ensemble()), xid(index));
        match ask {
            Ask::Read(_) => request::of_path(xid, OpCode::GetData, path, &[0]),
            Ask::Sync(_) => request::of_path(xid, OpCode::Sync, path, &[]),
            Ask::Write(_) => {
                let data = [Written::new(self.place, index).0];
                let rest = Writer::default().buffer(Some(&data)).int(-1).finish();
                request::of_path(xid, OpCode::SetData, path, &rest[PREFIX..])
            }
        }
    }

    /// Takes what the session wants done.
    fn pump(&mut self, now: Tick) {
        while let Stage::Connected(session) = &mut self.stage
            && let Some(output) = session.poll()
        {
            match output {
                Output::ToClient(frame) => self.receive(&frame[PREFIX..]),
                Output::ToLeg(ensemble, frame) => self.send(ensemble, frame),
                Output::Dial(ensemble, handshake) => {
                    self.dials.insert(ensemble, handshake);
                }
                Output::LearnRole(ensemble) => {
                    self.unlearnt.insert(ensemble);
                    if self.roles == Roles::AtOnce {
                        self.learn_role(ensemble);
                    }
                }
                Output::HangUp(ensemble) => {
                    self.dials.remove(&ensemble);
                    self.unlink(ensemble);
                }
                Output::Forget(ensemble) => session.forgotten(ensemble, now),
                Output::CloseClient => self.part(),
                Output::Happened(_) => {}
            }
        }
    }

    fn send(&mut self, ensemble: EnsembleId, frame: Vec<u8>) {
        if let Some(wire) = self.wires.get_mut(&ensemble) {
            wire.up.push_back(frame);
        }
    }

    /// The client's connection is over.
    fn part(&mut self) {
        if self.wires.contains_key(&self.home) {
            self.fault = Some(Fault::Dropped);
        }
        let before = std::mem::replace(&mut self.stage, Stage::Done);
        let Stage::Connected(session) = before else {
            return;
        };
        match session.park() {
            Some(parked) => self.stage = Stage::Away { parked },
            None => self.fault = Some(Fault::Expired),
        }
        self.hang_up_all();
        for index in std::mem::take(&mut self.owed) {
            self.asked[index].outcome = Outcome::Lost;
        }
    }

    fn hang_up_all(&mut self) {
        self.dials.clear();
        for ensemble in self.wires.keys().copied().collect::<Vec<_>>() {
            self.unlink(ensemble);
        }
    }

    /// Drops a connection. Its server may still take the updates that were under way.
    fn unlink(&mut self, ensemble: EnsembleId) {
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

    /// Whether its session has to be told the time.
    pub(crate) fn is_due(&self, now: Tick) -> bool {
        match &self.stage {
            Stage::Connected(session) => session.deadline().is_some_and(|due| due <= now),
            Stage::Away { .. } | Stage::Done => false,
        }
    }

    pub(crate) fn tick(&mut self, now: Tick) {
        if let Stage::Connected(session) = &mut self.stage {
            session.tick(now);
            self.pump(now);
        }
    }

    /// Whether it has all its answers and nothing more to ask.
    pub(crate) fn is_through(&self, scenario: &Scenario) -> bool {
        let script = &scenario.clients[self.place].script;
        self.stage != Stage::Done
            && self.owed.is_empty()
            && self.asked.len() >= script.len()
            && self.fault.is_none()
    }

    /// It goes out of the picture.
    pub(crate) fn leave(&mut self) {
        self.stage = Stage::Done;
        self.hang_up_all();
    }

    /// The client reads a frame.
    fn receive(&mut self, payload: &[u8]) {
        let header = ReplyHeader::parse(payload).expect("the session writes whole replies");
        if header.xid == Xid::PING {
            return;
        }
        let number = header.xid.number();
        let is_owed = |index: &usize| xid(*index) == header.xid;
        let Some(index) = self.owed.front().copied().filter(is_owed) else {
            self.fault = Some(if self.owed.iter().any(is_owed) {
                Fault::Overtaken(number)
            } else {
                Fault::Unasked(number)
            });
            return;
        };
        self.owed.pop_front();
        if header.zxid > Zxid::NONE {
            self.seen = header.zxid;
        }
        let asked = &mut self.asked[index];
        asked.outcome = match (header.err, asked.ask) {
            (code::CONNECTION_LOSS, _) => Outcome::Lost,
            (code::OK, Ask::Read(_)) => {
                let mut body = Reader::from(payload, reply::HEADER);
                let data = body.buffer("data").ok().flatten().unwrap_or_default();
                Outcome::Read(Written::read(data))
            }
            (code::OK, Ask::Write(_) | Ask::Sync(_)) => Outcome::Done,
            (_, _) => Outcome::Refused,
        };
    }
}

/// The number of a client's request. They start at 1, as all clients' do.
fn xid(index: usize) -> Xid {
    Xid::from(i32::try_from(index).unwrap_or(i32::MAX - 1) + 1)
}

/// Whether a frame that is under way carries a client's number.
pub(crate) fn is_clients(frame: &[u8]) -> bool {
    Reader::from(frame, PREFIX)
        .int("xid")
        .is_ok_and(|xid| xid > 0)
}
