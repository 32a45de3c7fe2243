//! From a request to its answer.

use super::{Attached, Change, Ensemble, Follows, Link, Told, header};
use zoonet::wire::jute::{Reader, Writer};
use zoonet::wire::opcode::{Access, OpCode};
use zoonet::wire::reply;
use zoonet::wire::request::{HEADER, Request};
use zoonet::wire::words::Role;
use zoonet::wire::{SessionId, WireFault, Xid, Zxid, code};

/// When a request is answered, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// A handshake, once its server has applied this many transactions.
    Granted { until: usize, timeout: i32 },
    /// An update: the transaction with this place.
    Committed(usize),
    /// A `sync`: once its server has applied this many.
    Synced(usize),
    /// A read, or a ping, from what its server has applied: the payload.
    Read(Vec<u8>),
    /// It was thrown away unseen, with this error.
    TurnedAway(i32),
    /// There is no quorum to commit it.
    Never,
}

/// A request that was taken and not yet answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    xid: i32,
    op: OpCode,
    answer: Answer,
}

impl Pending {
    /// A handshake. It has no number; −10 is that of its operation.
    pub(super) const fn handshake(answer: Answer) -> Self {
        Self {
            xid: OpCode::CreateSession.number(),
            op: OpCode::CreateSession,
            answer,
        }
    }

    /// The number of the request.
    pub(super) const fn xid(&self) -> i32 {
        self.xid
    }
}

impl Ensemble {
    /// The server of a connection takes a request: the payload of a frame.
    pub(crate) fn take(&mut self, link: Link, payload: &[u8]) {
        let Ok(request) = Request::parse(payload) else {
            self.links.remove(&link);
            return self.tell(link, Told::Closed);
        };
        let Some(attached) = self.links.get(&link) else {
            return;
        };
        let (server, session) = (attached.server, attached.session);
        let Some((role, follows)) = self
            .replicas
            .get(server)
            .map(|replica| (replica.role, replica.follows))
        else {
            return;
        };
        let end = match follows {
            Follows::Leader => self.log.len(),
            Follows::Deposed(end) => end,
        };
        if request.op == OpCode::Auth {
            // Answered at the door.
            let answer = header(request.xid.number(), Zxid::NONE, code::OK);
            return self.tell(link, Told::Frame(answer.finish()));
        }
        let answer = match request.op.shape().access {
            Access::Read | Access::Control => Answer::Read(payload.to_vec()),
            // It is not matched against what is committed (T57).
            Access::Sync if role == Role::Leader => Answer::Read(payload.to_vec()),
            Access::Sync => Answer::Synced(end),
            Access::Ordered if follows != Follows::Leader => Answer::Never,
            Access::Ordered => {
                let change = self.change(&request, session);
                Answer::Committed(self.commit(change))
            }
        };
        self.pend(link, &request, answer);
    }

    /// The server of a connection turns a request away: it is not ordered.
    pub(crate) fn turn_away(&mut self, link: Link, payload: &[u8], err: i32) {
        if let Ok(request) = Request::parse(payload) {
            self.pend(link, &request, Answer::TurnedAway(err));
        }
    }

    fn pend(&mut self, link: Link, request: &Request<'_>, answer: Answer) {
        if let Some(attached) = self.links.get_mut(&link) {
            attached.pending.push_back(Pending {
                xid: request.xid.number(),
                op: request.op,
                answer,
            });
        }
        self.settle(link);
    }

    /// Answers what can be answered on a connection, in order.
    pub(super) fn settle(&mut self, link: Link) {
        while let Some(Attached {
            server,
            session,
            pending,
        }) = self.links.get_mut(&link)
            && let Some(replica) = self.replicas.get(*server)
            && let Some(first) = pending.front()
        {
            let zxid = super::zxid(self.base, replica.applied);
            let session = *session;
            let frame = match &first.answer {
                Answer::Granted { until, timeout } if replica.applied >= *until => {
                    grant(session, *timeout)
                }
                Answer::Committed(place) if replica.applied >= *place => {
                    let change = self.log.get(place.saturating_sub(1));
                    let body = change.map_or(Err(code::UNIMPLEMENTED), |change| {
                        Ok(outcome(&replica.tree, change, first.op))
                    });
                    framed(first.xid, zxid, body)
                }
                Answer::Synced(until) if replica.applied >= *until => {
                    let path = Writer::default().buffer(Some(b"/"));
                    framed(first.xid, zxid, Ok((code::OK, path)))
                }
                Answer::Read(payload) => {
                    let read = Request::parse(payload)
                        .map_or(Err(code::MARSHALLING_ERROR), |request| {
                            view(&replica.tree, &request)
                        });
                    framed(first.xid, zxid, read.map(|body| (code::OK, body)))
                }
                Answer::TurnedAway(err) => framed(first.xid, zxid, Err(*err)),
                Answer::Granted { .. }
                | Answer::Committed(_)
                | Answer::Synced(_)
                | Answer::Never => return,
            };
            let closes = first.op == OpCode::CloseSession;
            pending.pop_front();
            self.tell(link, Told::Frame(frame));
            if closes {
                self.links.remove(&link);
                self.tell(link, Told::Closed);
            }
        }
    }

    /// The transaction an update becomes.
    fn change(&self, request: &Request<'_>, session: SessionId) -> Change {
        self.read_change(request, session)
            .unwrap_or(Change::Failed(code::MARSHALLING_ERROR))
    }

    fn read_change(&self, request: &Request<'_>, session: SessionId) -> Result<Change, WireFault> {
        let mut reader = Reader::from(request.payload, HEADER);
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what the players of the ensemble do not ask for it does not know"
        )]
        Ok(match request.op {
            OpCode::SetData => {
                let path = owned(reader.buffer("path")?);
                let data = owned(reader.buffer("data")?);
                let version = reader.int("version")?;
                self.tip.judge(Change::DataSet { path, data }, version)
            }
            OpCode::Create => {
                let path = owned(reader.buffer("path")?);
                let data = owned(reader.buffer("data")?);
                let owner = if request.is_ephemeral() {
                    session
                } else {
                    SessionId::NONE
                };
                self.tip.judge(Change::Created { path, data, owner }, -1)
            }
            OpCode::Delete => {
                let path = owned(reader.buffer("path")?);
                let version = reader.int("version")?;
                self.tip.judge(Change::Deleted { path }, version)
            }
            OpCode::Multi => {
                let operations = request.operations().collect::<Result<Vec<_>, _>>()?;
                if operations.iter().all(|each| each.op == OpCode::Check) {
                    Change::Checked(operations.len())
                } else {
                    Change::Failed(code::UNIMPLEMENTED)
                }
            }
            OpCode::CloseSession => Change::SessionEnded(session),
            _ => Change::Failed(code::UNIMPLEMENTED),
        })
    }
}

fn owned(bytes: Option<&[u8]>) -> Vec<u8> {
    bytes.unwrap_or_default().to_vec()
}

/// The error and the body of an update's reply.
fn outcome(tree: &super::Tree, change: &Change, op: OpCode) -> (i32, Writer) {
    let body = Writer::default();
    match change {
        Change::Failed(err) => (*err, body),
        Change::DataSet { path, .. } => {
            let body = match tree.node(path) {
                Some(node) => node.stat(body),
                None => body.raw(&[0; reply::STAT]),
            };
            (code::OK, body)
        }
        Change::Created { path, .. } if op == OpCode::Create => (code::OK, body.buffer(Some(path))),
        Change::Checked(count) => {
            let each = |body: Writer, _| body.int(OpCode::Check.number()).bool(false).int(code::OK);
            let body = (0..*count).fold(body, each);
            (code::OK, body.int(-1).bool(true).int(-1))
        }
        Change::Created { .. }
        | Change::Deleted { .. }
        | Change::SessionCreated(_)
        | Change::SessionEnded(_) => (code::OK, body),
    }
}

/// What a read sees: the body of its reply, or an error.
fn view(tree: &super::Tree, request: &Request<'_>) -> Result<Writer, i32> {
    let path = request.path().unwrap_or_default();
    let node = tree.node(path).ok_or(code::NO_NODE);
    let body = Writer::default();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what the players of the ensemble do not ask for it does not know"
    )]
    match request.op {
        OpCode::GetData => node.map(|node| node.stat(body.buffer(Some(&node.data)))),
        OpCode::Exists => node.map(|node| node.stat(body)),
        OpCode::Sync => Ok(body.buffer(Some(path))),
        OpCode::Ping => Ok(body),
        _ => Err(code::UNIMPLEMENTED),
    }
}

/// A reply with its body, or with an error alone.
fn framed(xid: i32, zxid: Zxid, body: Result<(i32, Writer), i32>) -> Vec<u8> {
    match body {
        Ok((code::OK, body)) => {
            let body = body.finish();
            let body = body.get(zoonet::wire::frames::PREFIX..).unwrap_or_default();
            header(xid, zxid, code::OK).raw(body).finish()
        }
        Ok((err, _)) | Err(err) => reply::header_only(Xid::from(xid), zxid, err),
    }
}

/// A session that was granted.
fn grant(session: SessionId, timeout: i32) -> Vec<u8> {
    Writer::default()
        .int(0)
        .int(timeout)
        .long(session.number())
        .buffer(Some(&[7; 16]))
        .bool(false)
        .finish()
}

/// A session that is unknown.
pub(super) fn refusal() -> Vec<u8> {
    Writer::default()
        .int(0)
        .int(0)
        .long(0)
        .buffer(Some(&[0; 16]))
        .bool(false)
        .finish()
}
