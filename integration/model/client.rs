//! One client and its sidecar: the real [`Session`], its connections, and what the client knows.

mod connections;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::ensemble::Link;
use super::history::{Asked, Fault, Outcome, Written};
use super::scenario::{Ask, Roles, Scenario};
use connections::Late;
pub(crate) use connections::{Wire, is_clients, is_read};
use zoonet::route::EnsembleId;
use zoonet::session::{Output, ParkedLeg, Session, Settings, Tick, Verdict};
use zoonet::wire::connect::Credentials;
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::{Reader, Writer};
use zoonet::wire::opcode::OpCode;
use zoonet::wire::reply::{self, ReplyHeader};
use zoonet::wire::{SessionId, Xid, Zxid, code, request};

/// The session timeout of everybody, milliseconds.
const TIMEOUT: i32 = 9_000;

/// More requests than any client asks, connections than any opens.
const MOST: u32 = 8;

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
        let (path, xid) = (ask.znode().path.as_bytes(), xid(index));
        match ask {
            Ask::Read(_) => request::of_path(xid, OpCode::GetData, path, &[0]),
            Ask::Sync(_) => request::of_path(xid, OpCode::Sync, path, &[]),
            Ask::Write(_) => {
                let data = [Written::new(self.place, index).byte()];
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
