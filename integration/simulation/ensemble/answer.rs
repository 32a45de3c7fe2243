//! What a server does with its clients' frames.

use zoonet::wire::jute::{Reader, Writer};
use zoonet::wire::opcode::{Access, OpCode, Target};
use zoonet::wire::reply::WatchEvent;
use zoonet::wire::request::{HEADER, Request};
use zoonet::wire::{Xid, Zxid, code};

use super::{Answer, Demand, Ensemble, Link, Out, Pending, State, What, framed, password, record};
use crate::simulation::request::{self, Update, Watching};

impl Ensemble {
    /// A frame's payload comes from a client.
    pub(in crate::simulation) fn frame(&mut self, link: Link, payload: &[u8], now: u64) {
        let Some(attached) = self.links.get_mut(&link) else {
            return;
        };
        let Ok(request) = Request::parse(payload) else {
            return self.close(link);
        };
        let (server, session) = (attached.server, attached.session);
        attached.numbers += 1;
        let number = attached.numbers;
        let state = self.servers.get(server).map(|server| server.state);
        if state != Some(State::Astray) {
            self.touch(session, now);
        }
        if request.op == OpCode::Auth {
            // At once, whatever waits.
            let frame = framed(request.xid.number(), 0, code::OK, &[]);
            return self.out.push_back(Out::Send(link, frame));
        }
        let ordered = matches!(request.op.shape().access, Access::Ordered | Access::Sync)
            && request.op != OpCode::CloseSession;
        let what = if ordered && self.turns_away(server) {
            What::Turned(code::THROTTLED_OP)
        } else {
            match demand(&request) {
                // For the leader's own clients a `sync` waits for nothing.
                Ok(Some(Demand::Sync)) if self.leader == Some(server) => {
                    What::Read(payload.to_vec())
                }
                Ok(Some(demand)) => {
                    self.ask(link, number, demand);
                    What::Asked
                }
                Ok(None) => What::Read(payload.to_vec()),
                Err(_) => What::Turned(code::MARSHALLING_ERROR),
            }
        };
        let xid = if request.op == OpCode::Ping {
            Xid::PING.number()
        } else {
            request.xid.number()
        };
        let echo = (request.op == OpCode::Sync).then(|| payload.get(HEADER..).unwrap_or_default());
        if let Some(attached) = self.links.get_mut(&link) {
            attached.pending.push_back(Pending { number, xid, what });
            if let Some(echo) = echo {
                attached.echoes.insert(number, echo.to_vec());
            }
        }
        self.settle(link);
    }

    fn turns_away(&mut self, server: usize) -> bool {
        match self.servers.get_mut(server) {
            Some(server) if server.throttled > 0 => {
                server.throttled -= 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// What a `sync` is answered with: what it came with.
    pub(super) fn echo(&mut self, link: Link, number: u64) -> Option<Vec<u8>> {
        self.links.get_mut(&link)?.echoes.remove(&number)
    }

    /// Answers what can be answered, in order.
    pub(super) fn settle(&mut self, link: Link) {
        while let Some(attached) = self.links.get_mut(&link) {
            let Some(server) = self.servers.get(attached.server) else {
                return;
            };
            let applied = server.applied;
            let due = match attached.pending.front().map(|pending| &pending.what) {
                None | Some(What::Asked) => false,
                Some(What::Until(upto, _)) => applied >= *upto,
                Some(What::Read(_) | What::Turned(_)) => attached.session != 0,
            };
            if !due {
                return;
            }
            let Some(Pending { xid, what, .. }) = attached.pending.pop_front() else {
                return;
            };
            self.give(link, xid, what);
        }
    }

    fn give(&mut self, link: Link, xid: i32, what: What) {
        let Some(attached) = self.links.get(&link) else {
            return;
        };
        let (server, session) = (attached.server, attached.session);
        let applied = self.servers.get(server).map_or(0, |server| server.applied);
        let zxid = self.zxid(applied);
        let frame = match what {
            What::Asked => return,
            What::Until(_, Answer::Handshake { timeout }) => handshake(timeout, session),
            What::Until(_, Answer::Refused) => {
                self.out.push_back(Out::Send(link, handshake(0, 0)));
                return self.close(link);
            }
            What::Until(_, Answer::Reply { err, body }) => framed(xid, zxid, err, &body),
            What::Until(_, Answer::Farewell) => {
                let frame = framed(xid, zxid, code::OK, &[]);
                self.out.push_back(Out::Send(link, frame));
                return self.close(link);
            }
            What::Turned(err) => framed(xid, zxid, err, &[]),
            What::Read(payload) => match self.read(link, server, &payload, zxid) {
                Ok(body) => framed(xid, zxid, code::OK, &body),
                Err(code::UNIMPLEMENTED) => {
                    let frame = framed(xid, -1, code::UNIMPLEMENTED, &[]);
                    self.out.push_back(Out::Send(link, frame));
                    return self.close(link);
                }
                Err(err) => framed(xid, zxid, err, &[]),
            },
        };
        self.out.push_back(Out::Send(link, frame));
    }

    fn read(
        &mut self,
        link: Link,
        server: usize,
        payload: &[u8],
        zxid: i64,
    ) -> Result<Vec<u8>, i32> {
        let request = Request::parse(payload).map_err(|_| code::MARSHALLING_ERROR)?;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not listed is a read of one znode, or not known here"
        )]
        match request.op {
            OpCode::Ping => Ok(Vec::new()),
            OpCode::Sync => Ok(payload.get(HEADER..).unwrap_or_default().to_vec()),
            OpCode::SetWatches | OpCode::SetWatches2 => {
                self.set_watches(link, server, &request, zxid);
                Ok(Vec::new())
            }
            _ => self.read_node(link, server, &request),
        }
    }

    fn read_node(
        &mut self,
        link: Link,
        server: usize,
        request: &Request<'_>,
    ) -> Result<Vec<u8>, i32> {
        let (path, watching) = request::watched(request);
        let (Some(server), Some(attached)) = (self.servers.get(server), self.links.get_mut(&link))
        else {
            return Err(code::NO_NODE);
        };
        let tree = &server.tree;
        let node = tree.node(&path).ok_or(code::NO_NODE);
        let writer = Writer::default();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what is not listed is not known here"
        )]
        let (body, watchers) = match request.op {
            OpCode::GetEphemerals => {
                let own = tree
                    .ephemerals()
                    .filter(|(_, owner)| *owner == attached.session);
                let own = own.map(|(found, _)| found.to_owned());
                let below: Vec<String> = own.filter(|found| found.starts_with(&path)).collect();
                return Ok(record(list(&below, writer)));
            }
            OpCode::Exists => {
                if node.is_err() && watching == Watching::Yes {
                    attached.data.insert(path);
                    return Err(code::NO_NODE);
                }
                node?;
                (tree.stat(&path, writer), &mut attached.data)
            }
            OpCode::GetData => {
                let data = writer.buffer(Some(&node?.data));
                (tree.stat(&path, data), &mut attached.data)
            }
            OpCode::GetChildren | OpCode::GetChildren2 => {
                node?;
                let names = list(&tree.children(&path), writer);
                let body = if request.op == OpCode::GetChildren2 {
                    tree.stat(&path, names)
                } else {
                    names
                };
                (body, &mut attached.child)
            }
            _ => return Err(code::UNIMPLEMENTED),
        };
        if watching == Watching::Yes {
            watchers.insert(path);
        }
        Ok(record(body))
    }

    /// Arms what has not changed since, and tells of what has (protocol.md 6.4).
    fn set_watches(&mut self, link: Link, server: usize, request: &Request<'_>, zxid: i64) {
        let Target::WatchLists(count) = request.op.shape().target else {
            return;
        };
        let Ok(watches) = request.watch_lists(count) else {
            return;
        };
        let mut told = Vec::new();
        let (Some(server), Some(attached)) = (self.servers.get(server), self.links.get_mut(&link))
        else {
            return;
        };
        for (list, paths) in watches.lists.iter().take(3).enumerate() {
            for path in paths {
                let path = String::from_utf8_lossy(path).into_owned();
                let node = server.tree.node(&path);
                let changed = match (list, node) {
                    (0 | 2, None) => Some(2),
                    (0, Some(node)) => (node.mzxid > watches.relative_zxid).then_some(3),
                    (1, node) => node.map(|_| 1),
                    (_, Some(node)) => (node.pzxid > watches.relative_zxid).then_some(4),
                    (_, None) => None,
                };
                match (changed, list) {
                    (Some(kind), _) => told.push((kind, path)),
                    (None, 2) => drop(attached.child.insert(path)),
                    (None, _) => drop(attached.data.insert(path)),
                }
            }
        }
        for (kind, path) in told {
            self.tell(link, kind, &path, zxid);
        }
    }

    /// Tells a connection of a change it watches for.
    pub(super) fn fire(&mut self, link: Link, kind: i32, path: &str, zxid: i64) {
        let Some(attached) = self.links.get_mut(&link) else {
            return;
        };
        let fires = match kind {
            1 | 3 => attached.data.remove(path),
            2 => attached.data.remove(path) | attached.child.remove(path),
            _ => attached.child.remove(path),
        };
        if fires {
            self.tell(link, kind, path, zxid);
        }
    }

    fn tell(&mut self, link: Link, kind: i32, path: &str, zxid: i64) {
        let event = WatchEvent {
            kind,
            state: 3,
            path: path.as_bytes(),
        };
        let frame = event.frame(Zxid::from(zxid));
        self.out.push_back(Out::Send(link, frame));
    }
}

/// What a request wants of the leader; `None` where it is this server's to answer.
fn demand(request: &Request<'_>) -> Result<Option<Demand>, zoonet::wire::WireFault> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "everything else is a read, or not known here"
    )]
    Ok(match request.op {
        OpCode::Sync => Some(Demand::Sync),
        OpCode::CloseSession => Some(Demand::CloseSession),
        OpCode::Multi => request::multi(request)?.map(Demand::Multi),
        OpCode::Create | OpCode::Create2 | OpCode::SetData | OpCode::Delete => {
            let mut reader = Reader::from(request.payload, HEADER);
            Update::read(request.op, &mut reader)?.map(|update| Demand::Update(request.op, update))
        }
        _ => None,
    })
}

fn list(names: &[String], writer: Writer) -> Writer {
    names.iter().fold(writer.count(names.len()), |list, name| {
        list.buffer(Some(name.as_bytes()))
    })
}

fn handshake(timeout: u32, session: i64) -> Vec<u8> {
    let password = if session == 0 {
        [0; 16]
    } else {
        password(session)
    };
    Writer::default()
        .int(0)
        .int(i32::try_from(timeout).unwrap_or(i32::MAX))
        .long(session)
        .buffer(Some(&password))
        .bool(false)
        .finish()
}
