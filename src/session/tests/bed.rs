//! A session with a client and two ensembles played by the test.

use std::sync::Arc;

pub(super) use crate::route::{BarrierKind, RouteMap};

use super::super::*;
use crate::wire::Xid;
use crate::wire::connect::ConnectRequest;
use crate::wire::frames::PREFIX;
use crate::wire::jute::{Reader, Writer};
use crate::wire::reply::ReplyHeader;
use crate::wire::request::{self, Request};

pub(super) const HOME: EnsembleId = EnsembleId::new(0);
pub(super) const EU: EnsembleId = EnsembleId::new(1);
pub(super) const CLIENT: i64 = 0x100;
pub(super) const LEG: i64 = 0x200;
pub(super) const TIMEOUT: u32 = 9_000;

/// What came out, in order, events left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// A request on a leg.
    Leg(EnsembleId, Xid, OpCode),
    /// A reply to the client: xid, zxid, error.
    Reply(i32, i64, i32),
    /// A watch event for the client: its path.
    Event(String),
    Dial(EnsembleId),
    LearnRole,
    HangUp(EnsembleId),
    Forget(EnsembleId),
    CloseClient,
}

/// The session under test, with the frames that went out last.
pub(super) struct Bed {
    pub(super) session: Session,
    pub(super) now: Tick,
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
}

pub(super) fn settings() -> Settings {
    let rule =
        |prefix: &[u8], to, root: Option<&[u8]>| (prefix.to_vec(), to, root.map(<[u8]>::to_vec));
    let rules = vec![
        rule(b"/", HOME, None),
        rule(b"/eu", EU, None),
        rule(b"/old", EU, Some(b"/app")),
    ];
    Settings::new(
        RouteMap::new(HOME, rules).unwrap(),
        vec![Policy::from(BarrierKind::Sync); 2],
    )
}

pub(super) fn credentials(session: i64) -> Credentials {
    Credentials {
        session: SessionId(session),
        password: [7; 16],
        timeout: TIMEOUT,
    }
}

impl Bed {
    pub(super) fn new() -> Self {
        Self::with(settings(), Origin::New)
    }

    pub(super) fn with(settings: Settings, origin: Origin) -> Self {
        let session = Session::new(Arc::new(settings), credentials(CLIENT), origin, Tick(0));
        Self {
            session,
            now: Tick(0),
            frames: Vec::new(),
            events: Vec::new(),
        }
    }

    /// How much time has passed.
    pub(super) fn milliseconds(&self) -> u64 {
        self.now.since(Tick(0)) / 1_000
    }

    /// A session whose remote leg is up, on an observer; home is one as well.
    pub(super) fn with_leg() -> Self {
        let mut bed = Self::new();
        bed.open_leg();
        bed
    }

    pub(super) fn open_leg(&mut self) {
        assert_eq!(self.get(9_999, "/eu/warm"), [Out::Dial(EU), Out::LearnRole]);
        self.roles(Role::Observer);
        let out = self.up();
        let Some(Out::Leg(EU, barrier, OpCode::Sync)) = out.first().cloned() else {
            panic!("{out:?}")
        };
        assert_eq!(out.get(1), Some(&Out::Leg(EU, Xid(9_999), OpCode::GetData)));
        assert_eq!(self.answer(EU, barrier, 1, 0), []);
        self.answer(EU, Xid(9_999), 1, 0);
    }

    pub(super) fn roles(&mut self, role: Role) {
        self.session.role(HOME, role);
        self.session.role(EU, role);
    }

    pub(super) fn up(&mut self) -> Vec<Out> {
        self.session.leg_up(EU, credentials(LEG), self.now);
        self.roles(Role::Observer);
        self.drain()
    }

    pub(super) fn client(&mut self, frame: &[u8]) -> Vec<Out> {
        let payload = frame[PREFIX..].to_vec();
        let verdict = self.session.client_frame(&payload, self.now).unwrap();
        let mut out = self.drain();
        if let Verdict::ToLeg(ensemble) = verdict {
            self.frames.push(frame.to_vec());
            out.push(leg_out(ensemble, frame));
        }
        out
    }

    pub(super) fn op(&mut self, xid: i32, op: OpCode, path: &str, rest: &[u8]) -> Vec<Out> {
        self.client(&request::of_path(Xid(xid), op, path.as_bytes(), rest))
    }

    pub(super) fn get(&mut self, xid: i32, path: &str) -> Vec<Out> {
        self.op(xid, OpCode::GetData, path, &[0])
    }

    pub(super) fn set(&mut self, xid: i32, path: &str) -> Vec<Out> {
        self.op(xid, OpCode::SetData, path, &[0; 8])
    }

    pub(super) fn ping(&mut self) -> Vec<Out> {
        self.client(&request::ping())
    }

    /// A leg's frame comes in.
    pub(super) fn leg(&mut self, ensemble: EnsembleId, frame: &[u8]) -> Vec<Out> {
        let straight = self
            .session
            .straight_replies(ensemble, frame, self.now, &mut ());
        if straight.frames == 1 {
            self.frames.push(frame.to_vec());
            return vec![client_out(frame)];
        }
        let mut frame = frame.to_vec();
        let verdict = self
            .session
            .leg_frame(ensemble, &mut frame[PREFIX..], self.now);
        let mut out = self.drain();
        if verdict == Verdict::ToClient {
            out.push(client_out(&frame));
            self.frames.push(frame);
        }
        out
    }

    /// A leg answers without a body.
    pub(super) fn answer(
        &mut self,
        ensemble: EnsembleId,
        xid: Xid,
        zxid: i64,
        err: i32,
    ) -> Vec<Out> {
        self.leg(
            ensemble,
            &Writer::default().int(xid.0).long(zxid).int(err).finish(),
        )
    }

    pub(super) fn answer_body(
        &mut self,
        ensemble: EnsembleId,
        xid: i32,
        zxid: i64,
        body: &[u8],
    ) -> Vec<Out> {
        self.leg(
            ensemble,
            &Writer::default()
                .int(xid)
                .long(zxid)
                .int(0)
                .raw(body)
                .finish(),
        )
    }

    pub(super) fn lost(&mut self, ensemble: EnsembleId) -> Vec<Out> {
        self.session.leg_lost(ensemble, Loss::Closed, self.now);
        self.drain()
    }

    /// Lets time pass, up to and including this millisecond, stopping at each deadline.
    pub(super) fn pass_to(&mut self, until: u64) -> Vec<Out> {
        let mut out = Vec::new();
        while let Some(due) = self
            .session
            .deadline()
            .filter(|due| *due <= Tick::at(until))
        {
            self.now = self.now.max(due);
            self.session.tick(self.now);
            let step = self.drain();
            assert!(
                !step.is_empty() || self.session.deadline().is_none_or(|next| next > due),
                "spins at {due:?}"
            );
            out.extend(step);
        }
        self.now = Tick::at(until);
        out
    }

    pub(super) fn drain(&mut self) -> Vec<Out> {
        let mut out = Vec::new();
        while let Some(output) = self.session.poll() {
            out.push(match output {
                Output::ToClient(frame) => {
                    let shown = client_out(&frame);
                    self.frames.push(frame);
                    shown
                }
                Output::ToLeg(ensemble, frame) => {
                    let shown = leg_out(ensemble, &frame);
                    self.frames.push(frame);
                    shown
                }
                Output::Dial(ensemble, frame) => {
                    ConnectRequest::parse(&frame[PREFIX..]).unwrap();
                    self.frames.push(frame);
                    Out::Dial(ensemble)
                }
                Output::LearnRole(_) => Out::LearnRole,
                Output::HangUp(ensemble) => Out::HangUp(ensemble),
                Output::Forget(ensemble) => Out::Forget(ensemble),
                Output::CloseClient => Out::CloseClient,
                Output::Happened(event) => {
                    self.events.push(event);
                    continue;
                }
            });
        }
        out
    }

    /// The frame that went out last.
    pub(super) fn last_frame(&self) -> &[u8] {
        self.frames.last().map_or(&[], Vec::as_slice)
    }

    /// The path of the request or reply that went out last.
    pub(super) fn last_path(&self, offset: usize) -> String {
        let path = Reader::from(&self.last_frame()[PREFIX..], offset)
            .buffer("path")
            .unwrap()
            .unwrap();
        String::from_utf8(path.to_vec()).unwrap()
    }
}

fn leg_out(ensemble: EnsembleId, frame: &[u8]) -> Out {
    let request = Request::parse(&frame[PREFIX..]).unwrap();
    Out::Leg(ensemble, request.xid, request.op)
}

fn client_out(frame: &[u8]) -> Out {
    let header = ReplyHeader::parse(&frame[PREFIX..]).unwrap();
    if header.xid == Xid::NOTIFICATION {
        let event = crate::wire::reply::WatchEvent::parse(&frame[PREFIX..]).unwrap();
        return Out::Event(String::from_utf8(event.path.to_vec()).unwrap());
    }
    Out::Reply(header.xid.0, header.zxid.0, header.err)
}

/// A request of the client's as it goes out on a leg.
pub(super) const fn sent(ensemble: EnsembleId, xid: i32, op: OpCode) -> Out {
    Out::Leg(ensemble, Xid(xid), op)
}

/// The xid of the request of our own that stands at `index`.
pub(super) fn own(out: &[Out], index: usize) -> Xid {
    let Out::Leg(_, xid, _) = &out[index] else {
        panic!("not a request: {out:?}")
    };
    *xid
}
