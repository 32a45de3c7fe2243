//! What the leader does.

use zoonet::wire::code;
use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;

use super::{
    Answer, Ask, Back, Demand, Ensemble, Link, Out, Said, Session, State, Transaction, What,
    password, record,
};
use crate::simulation::request::Update;
use crate::simulation::tree::Change;

impl Ensemble {
    pub(super) fn ask(&mut self, link: Link, number: u64, demand: Demand) {
        let Some(attached) = self.links.get(&link) else {
            return;
        };
        let (server, session) = (attached.server, attached.session);
        let state = self.servers.get(server).map(|server| server.state);
        if state == Some(State::Astray) {
            // Whoever it takes for its leader cannot commit, and knows what it knows.
            if matches!(demand, Demand::Sync) {
                let upto = self.servers.get(server).map_or(0, |server| server.applied);
                self.out.push_back(Out::Back(
                    server,
                    Back {
                        link,
                        number,
                        said: Said::Synced(upto),
                    },
                ));
            }
            return;
        }
        self.out.push_back(Out::Ask(Ask {
            server,
            term: self.term,
            link,
            session,
            number,
            demand,
        }));
    }

    /// The leader gets what a server asks of it.
    pub(in crate::simulation) fn lead(&mut self, ask: Ask, now: u64) {
        let Ask {
            server,
            term,
            link,
            session,
            number,
            demand,
        } = ask;
        if term != self.term || self.leader.is_none() {
            return;
        }
        match demand {
            Demand::NewSession { timeout } => self.new_session(link, timeout, now),
            Demand::OldSession { id, password: said } => {
                let known = self.sessions.get_mut(&id);
                let said = match known.filter(|_| said == password(id)) {
                    Some(session) => {
                        session.owner = link;
                        Said::Session(session.timeout)
                    }
                    None => Said::NoSession,
                };
                self.out.push_back(Out::Back(
                    server,
                    Back {
                        link,
                        number: 0,
                        said,
                    },
                ));
            }
            Demand::Sync => {
                let said = Said::Synced(self.log.len());
                self.out
                    .push_back(Out::Back(server, Back { link, number, said }));
            }
            Demand::Update(..) | Demand::Multi(_) | Demand::CloseSession => {
                match self.sessions.get(&session) {
                    Some(known) if known.owner == link => {}
                    Some(_) | None => return self.close(link),
                }
                self.update(link, number, session, demand);
            }
        }
    }

    fn new_session(&mut self, link: Link, timeout: u32, now: u64) {
        self.granted += 1;
        // All ensembles count alike, so that their ids collide.
        let id = 0x0100_0000_0000_0000 + self.granted;
        let Some(attached) = self.links.get_mut(&link) else {
            return;
        };
        attached.session = id;
        self.sessions.insert(
            id,
            Session {
                timeout,
                heard: now,
                owner: link,
            },
        );
        self.commit(Vec::new(), None);
        self.until(link, 0, Answer::Handshake { timeout });
    }

    fn update(&mut self, link: Link, number: u64, session: i64, demand: Demand) {
        match demand {
            Demand::Update(op, update) => match update.judge(&self.tip, session) {
                Ok(change) => {
                    self.commit(vec![change], None);
                    let body = record(update.told(op, &self.tip, Writer::default()));
                    self.until(
                        link,
                        number,
                        Answer::Reply {
                            err: code::OK,
                            body,
                        },
                    );
                }
                Err(err) => {
                    self.commit(Vec::new(), None);
                    let body = Vec::new();
                    self.until(link, number, Answer::Reply { err, body });
                }
            },
            Demand::Multi(updates) => {
                let body = self.multi(&updates, session);
                self.until(
                    link,
                    number,
                    Answer::Reply {
                        err: code::OK,
                        body,
                    },
                );
            }
            Demand::CloseSession => {
                self.end(session);
                self.until(link, number, Answer::Farewell);
            }
            Demand::NewSession { .. } | Demand::OldSession { .. } | Demand::Sync => {}
        }
    }

    /// All of it or nothing; the body of its reply.
    fn multi(&mut self, updates: &[(OpCode, Update)], session: i64) -> Vec<u8> {
        let mut scratch = self.tip.clone();
        let zxid = self.last_zxid() + 1;
        let mut writer = Writer::default();
        let mut changes = Vec::new();
        for (at, (op, update)) in updates.iter().enumerate() {
            match update.judge(&scratch, session) {
                Ok(change) => {
                    scratch.apply(zxid, &change);
                    changes.push(change);
                    writer = writer.int(op.number()).bool(false).int(0);
                    writer = update.told(*op, &scratch, writer);
                }
                Err(err) => {
                    self.commit(Vec::new(), None);
                    let mut writer = Writer::default();
                    for other in 0..updates.len() {
                        let code = match other.cmp(&at) {
                            std::cmp::Ordering::Less => code::OK,
                            std::cmp::Ordering::Equal => err,
                            std::cmp::Ordering::Greater => code::RUNTIME_INCONSISTENCY,
                        };
                        writer = writer.int(-1).bool(false).int(code).int(code);
                    }
                    return record(writer.int(-1).bool(true).int(-1));
                }
            }
        }
        self.commit(changes, None);
        record(writer.int(-1).bool(true).int(-1))
    }

    fn commit(&mut self, changes: Vec<Change>, ends: Option<i64>) {
        let zxid = self.last_zxid() + 1;
        for change in &changes {
            self.tip.apply(zxid, change);
        }
        self.log.push(Transaction { changes, ends });
        self.out.push_back(Out::Committed(self.log.len()));
    }

    /// A request is answered so, once its server has applied everything there is now.
    fn until(&mut self, link: Link, number: u64, answer: Answer) {
        let upto = self.log.len();
        self.becomes(link, number, What::Until(upto, answer));
    }

    fn becomes(&mut self, link: Link, number: u64, what: What) {
        let Some(attached) = self.links.get_mut(&link) else {
            return;
        };
        if number == 0 {
            attached.pending.push_front(super::Pending {
                number,
                xid: 0,
                what,
            });
        } else if let Some(pending) = attached
            .pending
            .iter_mut()
            .find(|pending| pending.number == number)
        {
            pending.what = what;
        }
    }

    /// A server gets what the leader says.
    pub(in crate::simulation) fn back(&mut self, back: Back) {
        let Back { link, number, said } = back;
        let what = match said {
            Said::Session(timeout) => What::Until(0, Answer::Handshake { timeout }),
            Said::NoSession => What::Until(0, Answer::Refused),
            Said::Synced(upto) => {
                // The path comes back as it was sent.
                let root = record(Writer::default().buffer(Some(b"/")));
                let body = self.echo(link, number).unwrap_or(root);
                What::Until(
                    upto,
                    Answer::Reply {
                        err: code::OK,
                        body,
                    },
                )
            }
        };
        self.becomes(link, number, what);
        self.settle(link);
    }

    /// Ends the sessions that were not heard in time.
    pub(in crate::simulation) fn tick(&mut self, now: u64) {
        if self.leader.is_none() {
            return;
        }
        let late: Vec<i64> = self
            .sessions
            .iter()
            .filter(|(_, session)| now > session.heard + u64::from(session.timeout))
            .map(|(id, _)| *id)
            .collect();
        late.into_iter().for_each(|session| self.end(session));
    }

    /// Ends a session: its ephemerals go in one transaction.
    pub(in crate::simulation) fn end(&mut self, session: i64) {
        if self.sessions.remove(&session).is_none() {
            return;
        }
        let owned = self.tip.ephemerals();
        let changes = owned
            .filter(|(_, owner)| *owner == session)
            .map(|(path, _)| Change::Delete {
                path: path.to_owned(),
            })
            .collect();
        self.commit(changes, Some(session));
    }
}
