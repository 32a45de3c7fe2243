//! What a client is told, and what must not be.

use serde_json::{Value, json};
use zoonet::wire::jute::Reader;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::reply::{HEADER, ReplyHeader, STAT, WatchEvent, multi_results};
use zoonet::wire::{WireFault, Xid, Zxid, code};

use super::{Asked, Client, Do, Expects, Mark, Moment, Owned, Question};
use crate::simulation::plan::Act;

/// What a Stat says that is of interest.
#[derive(Clone, Copy, Debug)]
struct Stat {
    mzxid: i64,
    version: i32,
    owner: i64,
    pzxid: i64,
}

impl Stat {
    fn read(payload: &[u8], at: usize) -> Result<Self, WireFault> {
        let long = |offset| Reader::from(payload, at + offset).long("Stat");
        Ok(Self {
            mzxid: long(8)?,
            version: Reader::from(payload, at + 32).int("Stat")?,
            owner: long(44)?,
            pzxid: long(60)?,
        })
    }

    fn last(payload: &[u8]) -> Result<Self, WireFault> {
        Self::read(payload, payload.len().saturating_sub(STAT))
    }
}

impl Client {
    /// Takes a reply or an event; what is wrong with it.
    pub(super) fn answer(
        &mut self,
        payload: &[u8],
        home: i64,
        at: Moment,
        out: &mut Vec<Do>,
    ) -> Result<(), String> {
        let unreadable = |fault: WireFault| format!("cannot be read: {fault}");
        let header = ReplyHeader::parse(payload).map_err(unreadable)?;
        if header.xid == Xid::NOTIFICATION {
            let event = WatchEvent::parse(payload).map_err(unreadable)?;
            let path = String::from_utf8_lossy(event.path).into_owned();
            return self.fired(event.kind, &path);
        }
        if header.xid == Xid::PING {
            return Ok(());
        }
        let zxid = header.zxid.number();
        if zxid > home {
            return Err(format!(
                "zxid {zxid:#x} was shown, home is at {home:#x} only"
            ));
        }
        let expected = self.asked.front().map(|asked| asked.xid);
        if expected != Some(header.xid.number()) {
            return Err(format!(
                "a reply to {} came, {expected:?} was due",
                header.xid
            ));
        }
        if header.xid != Xid::AUTH && zxid > 0 {
            self.seen = Zxid::from(zxid);
        }
        let Some(asked) = self.asked.pop_front() else {
            return Ok(());
        };
        self.answered += 1;
        let judged = match &asked.what {
            Question::SetWatches if header.err == code::OK => Ok(()),
            Question::SetWatches => Err(format!("setWatches failed with {}", header.err)),
            Question::Of(act, op) => self.told(&asked, (*act, *op), &header, payload, at),
        };
        if asked.what == Question::Of(Act::Close, OpCode::CloseSession) {
            out.push(Do::HangUp);
            self.lost(at);
            self.reborn(at.now + 100);
        }
        judged
    }

    fn told(
        &mut self,
        asked: &Asked,
        (act, op): (Act, OpCode),
        header: &ReplyHeader,
        payload: &[u8],
        at: Moment,
    ) -> Result<(), String> {
        let unreadable = |fault: WireFault| format!("{act:?} cannot be read: {fault}");
        let lost = header.err == code::CONNECTION_LOSS;
        let ok = header.err == code::OK;
        let path = &asked.path;
        if lost && self.expects == Expects::Success {
            return Err(format!("{path} is out of reach, and nothing is broken"));
        }
        if lost && watches_for(act) {
            self.watches.perhaps.insert(path.clone());
        }
        match act {
            Act::Make | Act::Read | Act::Write | Act::ReadAndWatch | Act::LookAndWatch => {
                let stat = ok.then(|| Stat::last(payload)).transpose();
                let stat = stat.map_err(unreadable)?;
                let absent = header.err == code::NO_NODE;
                self.record(asked, header.err, stat, value(op, payload), at);
                if !lost && matches!(act, Act::ReadAndWatch | Act::LookAndWatch) {
                    self.arm(act, path, stat);
                }
                if stat.is_some() || absent {
                    self.compare(op, path, stat)?;
                }
            }
            Act::WriteInMulti if !ok => self.record(asked, header.err, None, None, at),
            Act::WriteInMulti => {
                let results = multi_results(payload).map_err(unreadable)?;
                let stat = results.get(1).and_then(|result| result.stat);
                let stat = stat.map(|stat| Stat::read(payload, stat)).transpose();
                let first = results.iter().map(|result| result.err);
                let err = first.into_iter().find(|err| *err != code::OK).unwrap_or(0);
                let stat = stat.map_err(unreadable)?;
                self.record(asked, err, stat, None, at);
            }
            Act::Across => {
                let results = multi_results(payload).map_err(unreadable)?;
                if !ok || results.len() != 2 || results.iter().all(|result| result.err == 0) {
                    return Err(format!("a multi across ensembles: {results:?}"));
                }
            }
            Act::Sync => self.record(asked, header.err, None, None, at),
            Act::ListAndWatch if ok => {
                let stat = Stat::last(payload).map_err(unreadable)?;
                let mark = Mark::Zxid(stat.pzxid);
                self.watches.child.insert(path.clone(), mark);
            }
            Act::ListOwn if ok => self.all_mine(payload)?,
            Act::Own | Act::Disown | Act::LookAtOwn | Act::LookAtOther => {
                let stat = (ok && act != Act::Disown).then(|| Stat::last(payload));
                let stat = stat.transpose().map_err(unreadable)?;
                self.told_of_ephemeral(act, path, header.err, stat)?;
            }
            Act::ListAndWatch | Act::ListOwn | Act::Authenticate | Act::Close => {}
        }
        Ok(())
    }

    fn told_of_ephemeral(
        &mut self,
        act: Act,
        path: &str,
        err: i32,
        stat: Option<Stat>,
    ) -> Result<(), String> {
        let lost = err == code::CONNECTION_LOSS;
        let gone = matches!(err, code::OK | code::NO_NODE);
        match (act, stat) {
            (Act::Own, Some(stat)) => {
                self.own.insert(path.to_owned(), Owned::Certainly);
                self.is_owner(path, stat)
            }
            (Act::Own, None) if !lost => {
                self.own.remove(path);
                Ok(())
            }
            (Act::Disown, _) if gone => {
                self.own.remove(path);
                Ok(())
            }
            (Act::Disown, _) if lost => {
                self.own.insert(path.to_owned(), Owned::Perhaps);
                Ok(())
            }
            (Act::LookAtOwn, Some(stat)) => self.is_owner(path, stat),
            (Act::LookAtOwn, None)
                if err == code::NO_NODE && self.own.get(path) == Some(&Owned::Certainly) =>
            {
                Err(format!(
                    "its ephemeral {path} is gone, and its session is not"
                ))
            }
            (Act::LookAtOther, Some(stat)) => {
                let mine = format!("/own/{}.{}.", self.number, self.life);
                if stat.owner == self.session && !path.contains(&mine) {
                    return Err(format!("{path}, another's, is shown as its own"));
                }
                Ok(())
            }
            (_, _) => Ok(()),
        }
    }

    fn is_owner(&self, path: &str, stat: Stat) -> Result<(), String> {
        if stat.owner == self.session {
            return Ok(());
        }
        let (owner, session) = (stat.owner, self.session);
        Err(format!(
            "its ephemeral {path} is shown as {owner:#x}'s, it is {session:#x}"
        ))
    }

    fn all_mine(&self, payload: &[u8]) -> Result<(), String> {
        let mut reader = Reader::from(payload, HEADER);
        let count = reader.count("ephemerals").ok().flatten().unwrap_or(0);
        for _ in 0..count {
            let path = reader.buffer("path").ok().flatten().unwrap_or_default();
            let path = String::from_utf8_lossy(path);
            if !self.own.contains_key(&*path) && !path.contains(&format!("/{}.", self.number)) {
                return Err(format!("{path} is listed as its own, and is not"));
            }
        }
        Ok(())
    }

    fn arm(&mut self, act: Act, path: &str, stat: Option<Stat>) {
        let watches = &mut self.watches;
        match (act, stat) {
            (_, Some(stat)) => {
                let mark = Mark::Zxid(stat.mzxid);
                watches.data.entry(path.to_owned()).or_insert(mark);
            }
            (Act::LookAndWatch, None) => {
                let exist = watches.exist.entry(path.to_owned());
                exist.or_insert(Mark::Absent);
            }
            (_, None) => {}
        }
    }

    /// A change is not shown before its event.
    fn compare(&self, op: OpCode, path: &str, stat: Option<Stat>) -> Result<(), String> {
        if !matches!(op, OpCode::GetData | OpCode::Exists) {
            return Ok(());
        }
        let now = stat.map_or(Mark::Absent, |stat| Mark::Zxid(stat.mzxid));
        for armed in [&self.watches.data, &self.watches.exist] {
            if let Some(then) = armed.get(path)
                && *then != now
            {
                return Err(format!(
                    "{path} is shown changed, from {then:?} to {now:?}, before its watch has fired"
                ));
            }
        }
        Ok(())
    }

    fn fired(&mut self, kind: i32, path: &str) -> Result<(), String> {
        let watches = &mut self.watches;
        let (data, exist, child) = (
            kind != 4 && watches.data.remove(path).is_some(),
            kind != 4 && watches.exist.remove(path).is_some(),
            matches!(kind, 2 | 4) && watches.child.remove(path).is_some(),
        );
        let asks = |asked: &Asked| match asked.what {
            Question::Of(act, _) => watches_for(act) && asked.path == path,
            Question::SetWatches => false,
        };
        let perhaps = watches.perhaps.contains(path) || self.asked.iter().any(asks);
        if data || exist || child || perhaps {
            return Ok(());
        }
        Err(format!("event {kind} of {path}, which it does not watch"))
    }

    /// Its connection went before the answer came.
    pub(super) fn never_told(&mut self, asked: &Asked, at: Moment) {
        if let Question::Of(act, _) = asked.what {
            if act == Act::Disown {
                self.own.insert(asked.path.clone(), Owned::Perhaps);
            }
            self.record(asked, code::CONNECTION_LOSS, None, None, at);
        }
    }

    /// Writes the line of an operation on a node that is part of the history.
    fn record(
        &mut self,
        asked: &Asked,
        err: i32,
        stat: Option<Stat>,
        read: Option<String>,
        at: Moment,
    ) {
        let Question::Of(act, _) = asked.what else {
            return;
        };
        let kind = match act {
            Act::Make => "create",
            Act::Read | Act::ReadAndWatch | Act::LookAndWatch => "read",
            Act::Write | Act::WriteInMulti => "write",
            Act::Sync => "sync",
            Act::Across
            | Act::ListAndWatch
            | Act::Own
            | Act::Disown
            | Act::LookAtOwn
            | Act::LookAtOther
            | Act::ListOwn
            | Act::Authenticate
            | Act::Close => return,
        };
        let is_read = kind == "read";
        let outcome = match err {
            code::OK => "ok",
            code::NO_NODE if is_read => "ok",
            code::CONNECTION_LOSS if !is_read => "unknown",
            _ => "failed",
        };
        let value = if is_read {
            read
        } else {
            (kind != "sync").then(|| self.value(asked.xid))
        };
        let mut line = json!({
            "client": format!("c{}.{}", self.number, self.life),
            "index": asked.xid,
            "invoke": asked.invoked,
            "ensemble": self.ensemble_of(&asked.path),
            "key": asked.path,
            "kind": kind,
            "outcome": outcome,
            "version": stat.map(|stat| stat.version),
            "zxid": stat.map(|stat| stat.mzxid),
            "value": value,
        });
        if outcome != "unknown"
            && let Value::Object(fields) = &mut line
        {
            fields.insert("return".to_owned(), json!(at.nanoseconds));
        }
        self.told.push(line.to_string());
    }

    fn ensemble_of(&self, path: &str) -> String {
        let mut all = self.prefixes.iter().zip(&self.ensembles);
        let found = all.find(|(prefix, _)| path.starts_with(*prefix));
        format!("e{}", found.map_or(0, |(_, ensemble)| *ensemble))
    }
}

/// Whether a request asks to watch.
fn watches_for(act: Act) -> bool {
    matches!(
        act,
        Act::ReadAndWatch | Act::LookAndWatch | Act::ListAndWatch
    )
}

/// The data of a getData reply.
fn value(op: OpCode, payload: &[u8]) -> Option<String> {
    if op != OpCode::GetData {
        return None;
    }
    let data = Reader::from(payload, HEADER).buffer("data").ok()??;
    Some(String::from_utf8_lossy(data).into_owned())
}
