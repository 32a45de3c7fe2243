//! A client as they all are: it pipelines, pings, hangs up when it hears nothing, comes back with
//! its session, arms its watches again; and it judges everything it is told.

mod answer;
mod ask;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use zoonet::wire::connect::{ConnectRequest, ConnectResponse};
use zoonet::wire::opcode::OpCode;
use zoonet::wire::{SessionId, Xid, Zxid, request};

use super::plan::{Act, Operation};

/// What a client wants done.
#[derive(Debug)]
pub(super) enum Do {
    Connect,
    Send(Vec<u8>),
    HangUp,
}

/// How the kinds of clients differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Pings whenever it has sent nothing for a while, and gives setWatches a number like any.
    Java,
    /// Does not ping while it waits for an answer, and gives setWatches the number −8.
    C,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without a connection until then.
    Away(u64),
    /// It has sent its handshake.
    Knocking,
    Live,
}

/// A moment of the run: milliseconds, and what came before it in the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub(super) now: u64,
    pub(super) nanoseconds: u64,
}

/// Something asked that was not answered yet.
#[derive(Debug)]
struct Asked {
    xid: i32,
    invoked: u64,
    what: Question,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    Of(Act, OpCode),
    SetWatches,
}

/// What a watch's client had seen when it was armed: the zxid that would change, or that there was
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Zxid(i64),
    Absent,
}

/// What a client believes to be watching.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    pub(super) data: BTreeMap<String, Mark>,
    pub(super) exist: BTreeMap<String, Mark>,
    pub(super) child: BTreeMap<String, Mark>,
    /// A server may have armed what the client was told had failed.
    perhaps: BTreeSet<String>,
}

/// Whether an ephemeral is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    Certainly,
    Perhaps,
}

/// What a client puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// Whatever breaks.
    Anything,
    /// Nothing: everything has been in order for long.
    Success,
}

/// One client program.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) sidecar: usize,
    prefixes: Vec<&'static str>,
    /// Which of the prefixes are of one ensemble with which.
    ensembles: Vec<usize>,
    style: Style,
    timeout: u64,
    window: usize,
    random: Rng,
    state: State,
    /// How many sessions it has had.
    pub(super) life: u32,
    session: i64,
    password: Vec<u8>,
    seen: Zxid,
    xid: i32,
    /// Of its operations, in this session's order.
    count: u64,
    todo: VecDeque<Operation>,
    asked: VecDeque<Asked>,
    pub(super) watches: Watches,
    pub(super) own: BTreeMap<String, Owned>,
    auths: u32,
    sent: u64,
    heard: u64,
    frozen_until: u64,
    expects: Expects,
    /// Lines of the history.
    pub(super) told: Vec<String>,
    /// What must not have happened.
    pub(super) wrong: Vec<String>,
    pub(super) answered: u64,
}

impl Client {
    pub(super) fn new(
        number: usize,
        sidecar: usize,
        (prefixes, ensembles): (Vec<&'static str>, Vec<usize>),
        timeout: u32,
        todo: VecDeque<Operation>,
        mut random: Rng,
    ) -> Self {
        Self {
            number,
            sidecar,
            prefixes,
            ensembles,
            style: if random.bool() { Style::Java } else { Style::C },
            timeout: timeout.into(),
            window: *random.choice(&[1, 3, 16]).unwrap_or(&1),
            state: State::Away(random.u64(..500)),
            random,
            life: 0,
            session: 0,
            password: vec![0; 16],
            seen: Zxid::NONE,
            xid: 0,
            count: 0,
            todo,
            asked: VecDeque::new(),
            watches: Watches::default(),
            own: BTreeMap::new(),
            auths: 0,
            sent: 0,
            heard: 0,
            frozen_until: 0,
            expects: Expects::Anything,
            told: Vec::new(),
            wrong: Vec::new(),
            answered: 0,
        }
    }

    /// Its session, once it has one.
    pub(super) const fn session(&self) -> i64 {
        self.session
    }

    /// Whether it has done everything and waits for nothing.
    pub(super) fn is_done(&self) -> bool {
        self.todo.is_empty() && self.asked.is_empty() && self.state == State::Live
    }

    /// Everything is in order: it looks everywhere once more, and nothing may fail.
    pub(super) fn look_everywhere(&mut self, now: u64) {
        self.expects = Expects::Success;
        for prefix in 0..self.prefixes.len() {
            self.todo.push_back(Operation {
                at: now,
                client: self.number,
                act: Act::Read,
                prefix,
                key: 0,
            });
        }
    }

    /// What it waits for, in words.
    pub(super) fn situation(&self) -> String {
        let waits: Vec<String> = self
            .asked
            .iter()
            .map(|asked| format!("{:?} {}", asked.what, asked.path))
            .collect();
        format!(
            "client {} is {:?} with session {:#x}, has {} operations to do and waits for {waits:?}",
            self.number,
            self.state,
            self.session,
            self.todo.len()
        )
    }

    /// Does what is due, and says when it has to be called again.
    pub(super) fn poll(&mut self, at: Moment, out: &mut Vec<Do>) -> u64 {
        if at.now < self.frozen_until {
            return self.frozen_until;
        }
        match self.state {
            State::Away(until) if at.now >= until => {
                self.state = State::Knocking;
                (self.sent, self.heard) = (at.now, at.now);
                out.push(Do::Connect);
                out.push(Do::Send(self.handshake()));
                at.now + self.timeout
            }
            State::Away(until) => until,
            State::Knocking if at.now >= self.heard + self.timeout => {
                self.hang_up(at, out);
                at.now + 1
            }
            State::Knocking => self.heard + self.timeout,
            State::Live if at.now > self.heard + 2 * self.timeout / 3 => {
                self.hang_up(at, out);
                at.now + 1
            }
            State::Live => {
                self.ask(at, out);
                if self.ping_at() <= at.now {
                    self.send(request::ping(), at.now, out);
                }
                let next = self.todo.front().map(|next| next.at);
                let next = next.filter(|_| self.asked.len() < self.window);
                let hang_up = self.heard + 2 * self.timeout / 3 + 1;
                [Some(hang_up), Some(self.ping_at()), next]
                    .into_iter()
                    .flatten()
                    .min()
                    .unwrap_or(hang_up)
                    .max(at.now + 1)
            }
        }
    }

    fn ping_at(&self) -> u64 {
        if self.style == Style::C && !self.asked.is_empty() {
            return u64::MAX;
        }
        self.sent + self.timeout / 3
    }

    fn handshake(&self) -> Vec<u8> {
        let request = ConnectRequest {
            last_zxid_seen: self.seen,
            timeout: i32::try_from(self.timeout).unwrap_or(i32::MAX),
            session: SessionId::from(self.session),
            password: self.password.clone(),
            read_only: (self.style == Style::Java).then_some(false),
        };
        request.frame()
    }

    fn send(&mut self, frame: Vec<u8>, now: u64, out: &mut Vec<Do>) {
        self.sent = now;
        out.push(Do::Send(frame));
    }

    fn hang_up(&mut self, at: Moment, out: &mut Vec<Do>) {
        out.push(Do::HangUp);
        self.lost(at);
    }

    /// It does nothing for a while.
    pub(super) fn freeze(&mut self, until: u64) {
        self.frozen_until = self.frozen_until.max(until);
    }

    pub(super) const fn frozen_until(&self) -> u64 {
        self.frozen_until
    }

    /// Its connection is gone: what was asked may have been done or not.
    pub(super) fn lost(&mut self, at: Moment) {
        if matches!(self.state, State::Away(_)) {
            return;
        }
        if self.expects == Expects::Success {
            self.wrong("its connection broke, and nothing else had".to_owned());
        }
        let until = at.now + self.random.u64(50..1_000);
        self.state = State::Away(until);
        let closing = self.closes();
        for asked in std::mem::take(&mut self.asked) {
            self.never_told(&asked, at);
        }
        self.watches.perhaps.clear();
        if closing {
            // Nobody comes back with a session that was to be ended.
            self.reborn(until);
        }
    }

    /// The program ends without a word, and another one starts after a while.
    pub(super) fn die(&mut self, at: Moment, until: u64) {
        self.lost(at);
        self.reborn(until);
    }

    /// Whatever it had is gone: a new session.
    fn reborn(&mut self, until: u64) {
        self.state = State::Away(until);
        self.life += 1;
        self.session = 0;
        self.password = vec![0; 16];
        self.seen = Zxid::NONE;
        self.count = 0;
        self.watches = Watches::default();
        self.own.clear();
        self.auths = 0;
    }

    /// A payload has come. `home` is the last zxid of its home ensemble.
    pub(super) fn frame(&mut self, payload: &[u8], home: i64, at: Moment, out: &mut Vec<Do>) {
        self.heard = at.now;
        match self.state {
            State::Away(_) => {}
            State::Knocking => self.welcome(payload, at, out),
            State::Live => {
                if let Err(wrong) = self.answer(payload, home, at, out) {
                    self.wrong.push(format!("client {}: {wrong}", self.number));
                }
            }
        }
    }

    fn welcome(&mut self, payload: &[u8], at: Moment, out: &mut Vec<Do>) {
        match ConnectResponse::parse(payload) {
            Ok(ConnectResponse::Granted(granted)) => {
                let id = granted.session.number();
                if self.session != 0 && self.session != id {
                    self.wrong(format!("session {:#x} became {id:#x}", self.session));
                }
                self.session = id;
                self.password = granted.password.to_vec();
                self.state = State::Live;
                self.arm_again(at, out);
            }
            Ok(ConnectResponse::Refused) if self.session == 0 => {
                self.wrong("a new session was refused".to_owned());
            }
            Ok(ConnectResponse::Refused) => {
                out.push(Do::HangUp);
                self.reborn(at.now + 100);
            }
            Err(fault) => self.wrong(format!("the handshake cannot be read: {fault}")),
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrong.push(format!("client {}: {what}", self.number));
    }

    /// Credentials first, then what it watches, as stock clients do.
    fn arm_again(&mut self, at: Moment, out: &mut Vec<Do>) {
        for _ in 0..self.auths {
            self.authenticate(at, out);
        }
        let Watches {
            data, exist, child, ..
        } = &self.watches;
        if data.is_empty() && exist.is_empty() && child.is_empty() {
            return;
        }
        let list = |paths: &BTreeMap<String, Mark>| {
            let paths = paths.keys().map(|path| path.as_bytes().to_vec());
            paths.collect::<Vec<_>>()
        };
        let lists = [list(data), list(exist), list(child)];
        let xid = match self.style {
            Style::Java => self.next_xid(),
            Style::C => Xid::from(-8),
        };
        let frame = request::set_watches(xid, OpCode::SetWatches, self.seen.number(), &lists);
        self.asked.push_back(Asked {
            xid: xid.number(),
            invoked: at.nanoseconds,
            what: Question::SetWatches,
            path: String::new(),
        });
        self.send(frame, at.now, out);
    }

    fn next_xid(&mut self) -> Xid {
        self.xid += 1;
        Xid::from(self.xid)
    }
}
