//! What a run recorded: JSON lines, one operation each, and what can be wrong with a single line.
//!
//! ```json
//! {"client":"c3","index":12,"invoke":1200,"return":1900,"ensemble":"/eu","key":"/eu/k1",
//!  "kind":"write","outcome":"ok","version":7,"zxid":4294967310,"value":"c3.12"}
//! ```
//!
//! | field | |
//! | --- | --- |
//! | `client` `index` | one session, and the place of the operation in its program order |
//! | `invoke` `return` | nanoseconds of one monotonic clock; `return` may be missing if nothing returned |
//! | `ensemble` | any name for what orders the updates: zxids of equal names are compared |
//! | `kind` | `create`, `write`, `delete`, `read`, `sync` |
//! | `outcome` | `ok`; `failed`: answered by an error, no effect; `unknown`: may have happened or may yet |
//! | `version` | that was written or seen; a read without one found nothing; a create writes 0 |
//! | `zxid` | that made the version: mzxid of the Stat; may be missing |
//! | `value` | what was written or seen, unique per update; only to find updates of unknown outcome |
//!
//! Every node is absent at first: its creation is part of the history.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead};

use serde::Deserialize;
use thiserror::Error;

/// What an operation does to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Create,
    Write,
    Delete,
    Read,
    Sync,
}

impl Kind {
    pub(super) fn is_update(self) -> bool {
        match self {
            Self::Create | Self::Write | Self::Delete => true,
            Self::Read | Self::Sync => false,
        }
    }
}

/// What its client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Ok,
    Failed,
    Unknown,
}

/// One operation; names stand for their place in [`History::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) line: usize,
    pub(super) client: u32,
    pub(super) index: u64,
    pub(super) invoked: u64,
    pub(super) returned: Option<u64>,
    pub(super) ensemble: u32,
    pub(super) key: u32,
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    pub(super) version: Option<i32>,
    pub(super) zxid: Option<i64>,
    pub(super) value: Option<u32>,
}

/// All operations of a run, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(super) operations: Vec<Operation>,
    names: Vec<Box<str>>,
    known: HashMap<Box<str>, u32>,
}

/// Why a file is no history a `ZooKeeper` could have answered, and where.
#[derive(Debug, Error)]
#[error("line {line}: {what}")]
pub(crate) struct Malformed {
    pub(crate) line: usize,
    pub(crate) what: Flaw,
}

/// What is wrong with a line, by itself or beside another.
#[derive(Debug, Error)]
pub(crate) enum Flaw {
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("is not an operation: {0}")]
    NotAnOperation(#[source] serde_json::Error),
    #[error("more operations than can be counted")]
    TooMany,
    #[error("returns before it was invoked")]
    ReturnsBeforeInvoked,
    #[error("says ok, but not when it returned")]
    NeverReturned,
    #[error("a write that is ok names the version it wrote")]
    NoVersion,
    #[error("version {0} cannot be what this wrote")]
    ImpossibleVersion(i32),
    #[error("has the same client and index as line {0}")]
    SameIndex(usize),
    #[error("was invoked before line {0}, which comes earlier in the order of its client")]
    TimeGoesBackwards(usize),
    #[error("writes version {version}, as line {other} does")]
    SameVersion { version: i32, other: usize },
    #[error("has zxid {zxid:#x}, as the update in line {other}")]
    SameZxid { zxid: i64, other: usize },
    #[error("shows that version {0} was written, but nobody wrote it")]
    NobodyWrote(i32),
    #[error("version {version} has zxid {zxid:#x} here, another in line {other}")]
    OtherZxid {
        version: i32,
        zxid: i64,
        other: usize,
    },
    #[error("version {version} has another value here than in line {other}")]
    OtherValue { version: i32, other: usize },
    #[error("version and zxid do not follow from those in line {0}")]
    OutOfStep(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    client: Cow<'a, str>,
    index: u64,
    invoke: u64,
    #[serde(rename = "return")]
    returned: Option<u64>,
    #[serde(borrow)]
    ensemble: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    kind: Kind,
    outcome: Outcome,
    version: Option<i32>,
    zxid: Option<i64>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

impl History {
    /// Reads JSON lines; empty ones are skipped.
    pub(crate) fn read(mut from: impl BufRead) -> Result<Self, Malformed> {
        let mut history = Self::default();
        let mut text = String::new();
        for line in 1.. {
            let at = |what| Malformed { line, what };
            text.clear();
            let got = from
                .read_line(&mut text)
                .map_err(|error| at(Flaw::Unreadable(error)))?;
            if got == 0 {
                break;
            }
            if !text.trim().is_empty() {
                history.add(line, &text).map_err(at)?;
            }
        }
        Ok(history)
    }

    fn add(&mut self, line: usize, text: &str) -> Result<(), Flaw> {
        let read: Line<'_> = serde_json::from_str(text).map_err(Flaw::NotAnOperation)?;
        let version = match (read.kind, read.outcome) {
            (Kind::Create, _) => Some(read.version.unwrap_or(0)),
            _ => read.version,
        };
        let operation = Operation {
            line,
            client: self.id(&read.client)?,
            index: read.index,
            invoked: read.invoke,
            returned: read.returned,
            ensemble: self.id(&read.ensemble)?,
            key: self.id(&read.key)?,
            kind: read.kind,
            outcome: read.outcome,
            version,
            zxid: read.zxid,
            value: read.value.map(|value| self.id(&value)).transpose()?,
        };
        operation.judge()?;
        self.operations.push(operation);
        Ok(())
    }

    fn id(&mut self, name: &str) -> Result<u32, Flaw> {
        if let Some(&id) = self.known.get(name) {
            return Ok(id);
        }
        let id = u32::try_from(self.names.len()).map_err(|_| Flaw::TooMany)?;
        self.names.push(name.into());
        self.known.insert(name.into(), id);
        Ok(id)
    }

    /// What an id stands for.
    pub(super) fn name(&self, id: u32) -> &str {
        usize::try_from(id)
            .ok()
            .and_then(|id| self.names.get(id))
            .map_or("?", |name| &**name)
    }

    /// How many clients took part.
    pub(super) fn clients(&self) -> usize {
        let mut clients: Vec<u32> = self.operations.iter().map(|op| op.client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients.len()
    }
}

impl Operation {
    fn judge(&self) -> Result<(), Flaw> {
        if self.returned.is_some_and(|end| end < self.invoked) {
            return Err(Flaw::ReturnsBeforeInvoked);
        }
        if self.outcome != Outcome::Ok {
            return Ok(());
        }
        if self.returned.is_none() {
            return Err(Flaw::NeverReturned);
        }
        match (self.kind, self.version) {
            (Kind::Write, None) => Err(Flaw::NoVersion),
            (Kind::Create, Some(version)) if version != 0 => Err(Flaw::ImpossibleVersion(version)),
            (Kind::Write, Some(version)) if version < 1 => Err(Flaw::ImpossibleVersion(version)),
            (Kind::Read, Some(version)) if version < 0 => Err(Flaw::ImpossibleVersion(version)),
            _ => Ok(()),
        }
    }

    /// As an error about this line.
    pub(super) fn malformed(&self, what: Flaw) -> Malformed {
        Malformed {
            line: self.line,
            what,
        }
    }
}
