//! What a client asks.

use std::fmt::Write as _;

use zoonet::wire::Xid;
use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::request::{close_session, of_path};

use super::{Asked, Client, Do, Moment, Owned, Question};
use crate::simulation::plan::{Act, Operation};

impl Client {
    /// Asks what is due, as far as its window allows.
    pub(super) fn ask(&mut self, at: Moment, out: &mut Vec<Do>) {
        while self.asked.len() < self.window
            && !self.closes()
            && self.todo.front().is_some_and(|next| next.at <= at.now)
            && let Some(operation) = self.todo.pop_front()
        {
            self.ask_one(operation, at, out);
        }
    }

    /// Nothing follows the end of a session.
    pub(super) fn closes(&self) -> bool {
        let last = self.asked.back();
        last.is_some_and(|asked| asked.what == Question::Of(Act::Close, OpCode::CloseSession))
    }

    pub(super) fn authenticate(&mut self, at: Moment, out: &mut Vec<Do>) {
        let frame = Writer::default()
            .int(Xid::AUTH.number())
            .int(OpCode::Auth.number())
            .int(0)
            .buffer(Some(b"digest"))
            .buffer(Some(b"user:secret"))
            .finish();
        self.asked.push_back(Asked {
            xid: Xid::AUTH.number(),
            invoked: at.nanoseconds,
            what: Question::Of(Act::Authenticate, OpCode::Auth),
            path: String::new(),
        });
        self.send(frame, at.now, out);
    }

    fn ask_one(&mut self, operation: Operation, at: Moment, out: &mut Vec<Do>) {
        let Operation {
            act, prefix, key, ..
        } = operation;
        let below = self.prefixes.get(prefix).copied().unwrap_or("/us");
        let node = format!("{below}/k{key}");
        self.count += 1;
        let (op, path) = match act {
            Act::Make => (OpCode::Create2, node),
            Act::Read | Act::ReadAndWatch => (OpCode::GetData, node),
            Act::Write => (OpCode::SetData, node),
            Act::WriteInMulti | Act::Across => (OpCode::Multi, node),
            Act::Sync => (OpCode::Sync, node),
            Act::LookAndWatch => (OpCode::Exists, node),
            Act::ListAndWatch => (OpCode::GetChildren2, format!("{below}/own")),
            Act::Own => (
                OpCode::Create2,
                format!("{below}/own/{}.{}.{}", self.number, self.life, self.count),
            ),
            Act::Disown => {
                let Some(path) = self.one_of_mine() else {
                    return;
                };
                (OpCode::Delete, path)
            }
            Act::LookAtOwn => {
                let Some(path) = self.one_of_mine() else {
                    return;
                };
                (OpCode::Exists, path)
            }
            Act::LookAtOther => (
                OpCode::Exists,
                format!("{below}/own/{}.0.{}", (self.number + 1) % 3, key + 1),
            ),
            Act::ListOwn => (OpCode::GetEphemerals, "/".to_owned()),
            Act::Authenticate => {
                if self.auths == 0 {
                    self.auths = 1;
                    self.authenticate(at, out);
                }
                return;
            }
            Act::Close => (OpCode::CloseSession, String::new()),
        };
        let xid = self.next_xid();
        let frame = self.written(xid, act, op, &path);
        if act == Act::Own {
            self.own.insert(path.clone(), Owned::Perhaps);
        }
        self.asked.push_back(Asked {
            xid: xid.number(),
            invoked: at.nanoseconds,
            what: Question::Of(act, op),
            path,
        });
        self.send(frame, at.now, out);
    }

    fn one_of_mine(&self) -> Option<String> {
        self.own.keys().next().cloned()
    }

    /// What a write of now writes, unlike any other.
    pub(super) fn value(&self, xid: i32) -> String {
        let mut value = String::new();
        write!(value, "{}.{}.{xid}", self.number, self.life).ok();
        value
    }

    fn written(&self, xid: Xid, act: Act, op: OpCode, path: &str) -> Vec<u8> {
        let value = self.value(xid.number());
        let after = |writer: Writer| writer.finish().split_off(4);
        let rest = match act {
            Act::Make | Act::Own => {
                let flags = i32::from(act == Act::Own);
                let data = Writer::default().buffer(Some(value.as_bytes())).count(1);
                let anyone = data.int(31).buffer(Some(b"world")).buffer(Some(b"anyone"));
                after(anyone.int(flags))
            }
            Act::Write => after(Writer::default().buffer(Some(value.as_bytes())).int(-1)),
            Act::Disown => after(Writer::default().int(-1)),
            Act::WriteInMulti => return multi(xid, path, path, &value),
            Act::Across => return multi(xid, &self.elsewhere(path), path, &value),
            Act::Close => return close_session(xid),
            Act::ReadAndWatch | Act::LookAndWatch | Act::ListAndWatch => vec![1],
            Act::Read | Act::LookAtOwn | Act::LookAtOther => vec![0],
            Act::Sync | Act::ListOwn | Act::Authenticate => Vec::new(),
        };
        of_path(xid, op, path.as_bytes(), &rest)
    }

    /// A node of another ensemble than this path's.
    fn elsewhere(&self, path: &str) -> String {
        let of = |path: &str| {
            let mut all = self.prefixes.iter().zip(&self.ensembles);
            let found = all.find(|(prefix, _)| path.starts_with(*prefix));
            found.map(|(_, ensemble)| *ensemble)
        };
        let other = self.prefixes.iter().find(|prefix| of(prefix) != of(path));
        format!("{}/k0", other.unwrap_or(&"/us"))
    }
}

/// Checks one node and writes another.
fn multi(xid: Xid, checked: &str, path: &str, value: &str) -> Vec<u8> {
    let header = |writer: Writer, op: OpCode| writer.int(op.number()).bool(false).int(-1);
    let start = Writer::default()
        .int(xid.number())
        .int(OpCode::Multi.number());
    let check = header(start, OpCode::Check)
        .buffer(Some(checked.as_bytes()))
        .int(-1);
    header(check, OpCode::SetData)
        .buffer(Some(path.as_bytes()))
        .buffer(Some(value.as_bytes()))
        .int(-1)
        .int(-1)
        .bool(true)
        .int(-1)
        .finish()
}
