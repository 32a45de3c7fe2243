//! What a remote leg holds besides its connection: the watches armed there and the ephemerals it
//! owns. With it a leg can be attached to another server without the client noticing.
//!
//! Watches die with a connection, not with a session, so whoever attaches a session again has to
//! arm them again and be told what changed meanwhile; stock clients do that with setWatches, and
//! so does a leg for its client. The ledger follows which watch each request arms and which each
//! event clears (protocol.md 6.1). Replies and events of a leg come in one order, so what it says
//! is what the server holds.
//!
//! A path is what its ensemble calls it. What is remembered is bounded: past the bound the ledger
//! is no longer [`Ledger::is_complete`], and the loss of its connection has to be the client's.

mod frames;
mod note;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use frames::{by_what_was_seen, frame, operation};
pub(super) use note::Note;

use frames::chunks;

use super::describe::Holdings;
use crate::wire::jute::Reader;
use crate::wire::opcode::{OpCode, Target};
use crate::wire::reply::{self, ReplyHeader, ResultBody};
use crate::wire::request::Request;
use crate::wire::{Zxid, code};

/// What one entry costs beside its path, roughly.
const ENTRY: usize = 64;

/// The lists of a setWatches2, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Data,
    Exist,
    Child,
    Persistent,
    Recursive,
}

impl List {
    const ALL: [Self; 5] = [
        Self::Data,
        Self::Exist,
        Self::Child,
        Self::Persistent,
        Self::Recursive,
    ];

    const fn index(self) -> usize {
        match self {
            Self::Data => 0,
            Self::Exist => 1,
            Self::Child => 2,
            Self::Persistent => 3,
            Self::Recursive => 4,
        }
    }
}

/// A watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Watch {
    /// The zxid of the reply that armed it: what its client has certainly seen.
    armed: Zxid,
    state: Arming,
}

/// How far a watch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Arming {
    /// A server has it.
    Armed,
    /// The setWatches of this number asks for it, with changes after `since` to be reported.
    Asked { since: Zxid, batch: u32 },
    /// No server has it; changes after `since` are to be reported.
    Missing { since: Zxid },
}

/// Which watches a client had armed on a leg, by what the reply that armed them had shown it.
pub(super) type Armed = [BTreeMap<Vec<u8>, Zxid>; 5];

/// Bytes that such a record takes, roughly.
pub(super) fn bytes_of(armed: &Armed) -> usize {
    let paths = armed.iter().flat_map(BTreeMap::keys);
    paths.map(|path| path.len() + ENTRY).sum()
}

/// The record of one remote leg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    lists: [BTreeMap<Vec<u8>, Watch>; 5],
    ephemerals: BTreeSet<Vec<u8>>,
    /// The leg may own ephemerals nothing is known of.
    unknown_ephemerals: bool,
    bytes: usize,
    overflowed: Overflow,
    /// How many setWatches were sent.
    batches: u32,
}

/// Whether more was to be remembered than the bound allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Overflow {
    #[default]
    No,
    Yes,
}

impl Ledger {
    /// The record of a leg of an earlier connection: its watches are gone, its ephemerals are not.
    pub(super) fn inherited(owned: Owned) -> Self {
        Self {
            bytes: owned.bytes(),
            ephemerals: owned.paths,
            unknown_ephemerals: owned.others,
            ..Self::default()
        }
    }

    /// Bytes remembered, roughly.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all watches of the leg are known.
    pub(super) fn is_complete(&self) -> bool {
        self.overflowed == Overflow::No
    }

    /// Whether the leg's session may own ephemerals.
    pub(super) fn owns_ephemerals(&self) -> bool {
        self.unknown_ephemerals || !self.ephemerals.is_empty()
    }

    /// Whether any watch is armed, or to be armed.
    pub(super) fn watches(&self) -> bool {
        !self.is_complete() || self.lists.iter().any(|list| !list.is_empty())
    }

    /// How much is armed and owned.
    pub(super) fn holdings(&self) -> Holdings {
        Holdings {
            watches: self.lists.iter().map(BTreeMap::len).sum(),
            ephemerals: self.ephemerals.len(),
            complete: self.is_complete() && !self.unknown_ephemerals,
        }
    }

    /// Takes note of the reply to a request.
    pub(super) fn answered(
        &mut self,
        note: &Note,
        header: &ReplyHeader,
        payload: &[u8],
        bound: usize,
    ) {
        let (zxid, ok) = (header.zxid, header.err == code::OK);
        match note {
            Note::Watch {
                op: OpCode::Exists,
                path,
            } if header.err == code::NO_NODE => {
                self.arm(List::Exist, path, zxid, bound);
            }
            Note::SetWatches { batch } => self.confirmed(*batch, header.err),
            _ if !ok => {}
            Note::Watch { op, path } => {
                let children = matches!(op, OpCode::GetChildren | OpCode::GetChildren2);
                self.arm(
                    if children { List::Child } else { List::Data },
                    path,
                    zxid,
                    bound,
                );
            }
            Note::AddWatch { path, mode } => {
                self.arm(
                    if *mode == 1 {
                        List::Recursive
                    } else {
                        List::Persistent
                    },
                    path,
                    zxid,
                    bound,
                );
            }
            Note::RemoveWatches { path, kind } => self.removed(path, *kind),
            Note::Ephemeral => {
                if let Ok(Some(path)) = Reader::from(payload, reply::HEADER).buffer("path") {
                    self.own(path, bound);
                }
            }
            Note::Delete { path } => self.disown(path),
            Note::Multi {
                ephemerals,
                deletes,
            } => self.applied(ephemerals, deletes, payload, bound),
        }
    }

    fn applied(&mut self, ephemerals: &[usize], deletes: &[Vec<u8>], payload: &[u8], bound: usize) {
        let Ok(results) = reply::multi_results(payload) else {
            return;
        };
        if results.iter().any(|result| result.number == -1) {
            return;
        }
        for path in deletes {
            self.disown(path);
        }
        for index in ephemerals {
            if let Some(ResultBody::Path(Some(path))) =
                results.get(*index).map(|result| result.body)
            {
                self.own(path, bound);
            }
        }
    }

    /// Takes note of an event: it has cleared the watches that fired, but for those that last.
    pub(super) fn fired(&mut self, kind: i32, path: &[u8]) {
        let cleared: &[List] = match kind {
            1 | 3 => &[List::Data, List::Exist],
            2 => &[List::Data, List::Exist, List::Child],
            4 => &[List::Child],
            _ => &[],
        };
        for list in cleared {
            self.clear(*list, path);
        }
        if kind == 2 {
            self.disown(path);
        }
    }

    /// Takes note of a setWatches. Where it goes out, what it asks for is noted before its reply:
    /// the events that come in between clear it again. Where its leg is not there, it is armed
    /// when the leg comes up.
    pub(super) fn set_watches(&mut self, request: &Request<'_>, sent: Sent, bound: usize) -> Note {
        self.batches = self.batches.wrapping_add(1);
        let batch = self.batches;
        if let Target::WatchLists(count) = request.op.shape().target
            && let Ok(watches) = request.watch_lists(count)
        {
            let since = Zxid(watches.relative_zxid);
            let state = match sent {
                Sent::Yes => Arming::Asked { since, batch },
                Sent::No => Arming::Missing { since },
            };
            for (list, paths) in List::ALL.into_iter().zip(&watches.lists) {
                for path in paths {
                    self.insert(
                        list,
                        path,
                        Watch {
                            armed: since,
                            state,
                        },
                        bound,
                    );
                }
            }
        }
        Note::SetWatches { batch }
    }

    /// The reply to a setWatches: its events have come before it.
    fn confirmed(&mut self, answered: u32, err: i32) {
        let asked =
            |watch: &Watch| matches!(watch.state, Arming::Asked { batch, .. } if batch == answered);
        for list in &mut self.lists {
            if err == code::OK {
                list.values_mut()
                    .filter(|watch| asked(watch))
                    .for_each(|watch| watch.state = Arming::Armed);
            } else {
                list.retain(|path, watch| {
                    let stays = !asked(watch);
                    self.bytes -= if stays { 0 } else { path.len() + ENTRY };
                    stays
                });
            }
        }
    }

    fn arm(&mut self, list: List, path: &[u8], armed: Zxid, bound: usize) {
        self.insert(
            list,
            path,
            Watch {
                armed,
                state: Arming::Armed,
            },
            bound,
        );
    }

    fn insert(&mut self, list: List, path: &[u8], watch: Watch, bound: usize) {
        let Some(watches) = self.lists.get_mut(list.index()) else {
            return;
        };
        if let Some(known) = watches.get_mut(path) {
            *known = watch;
        } else if self.bytes + path.len() + ENTRY <= bound {
            self.bytes += path.len() + ENTRY;
            watches.insert(path.to_vec(), watch);
        } else {
            self.overflowed = Overflow::Yes;
        }
    }

    fn clear(&mut self, list: List, path: &[u8]) {
        if self
            .lists
            .get_mut(list.index())
            .is_some_and(|list| list.remove(path).is_some())
        {
            self.bytes -= path.len() + ENTRY;
        }
    }

    fn removed(&mut self, path: &[u8], kind: i32) {
        let lists: &[List] = match kind {
            1 => &[List::Child],
            2 => &[List::Data, List::Exist],
            3 => &List::ALL,
            4 => &[List::Persistent],
            5 => &[List::Recursive],
            _ => &[],
        };
        for list in lists {
            self.clear(*list, path);
        }
    }

    fn own(&mut self, path: &[u8], bound: usize) {
        if self.bytes + path.len() + ENTRY > bound {
            self.unknown_ephemerals = true;
        } else if self.ephemerals.insert(path.to_vec()) {
            self.bytes += path.len() + ENTRY;
        }
    }

    fn disown(&mut self, path: &[u8]) {
        if self.ephemerals.remove(path) {
            self.bytes -= path.len() + ENTRY;
        }
    }

    /// A request that could have created an ephemeral was lost: its outcome is not known.
    pub(super) fn lost(&mut self, note: &Note) {
        let creates = match note {
            Note::Ephemeral => true,
            Note::Multi { ephemerals, .. } => !ephemerals.is_empty(),
            Note::Watch { .. }
            | Note::AddWatch { .. }
            | Note::SetWatches { .. }
            | Note::RemoveWatches { .. }
            | Note::Delete { .. } => false,
        };
        self.unknown_ephemerals |= creates;
    }

    /// The connection went: all its watches are gone, and what happened after `seen` was not told.
    pub(super) fn disconnected(&mut self, seen: Zxid) {
        for watch in self.lists.iter_mut().flat_map(BTreeMap::values_mut) {
            watch.state = match watch.state {
                Arming::Armed => Arming::Missing { since: seen },
                Arming::Asked { since, .. } | Arming::Missing { since } => {
                    Arming::Missing { since }
                }
            };
        }
    }

    /// The session went with all its ephemerals; its watches can be armed in another.
    pub(super) fn expired(&mut self) {
        self.bytes -= self
            .ephemerals
            .iter()
            .map(|path| path.len() + ENTRY)
            .sum::<usize>();
        self.ephemerals.clear();
        self.unknown_ephemerals = false;
    }

    /// What has to be armed again, in portions that fit into one frame.
    pub(super) fn rearm(&mut self) -> Vec<Again> {
        let mut groups: BTreeMap<Zxid, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for (list, watches) in self.lists.iter().enumerate() {
            for (path, watch) in watches {
                if let Arming::Missing { since } = watch.state {
                    groups.entry(since).or_default().push((list, path.clone()));
                }
            }
        }
        let mut portions = Vec::new();
        for (since, watches) in groups {
            for lists in chunks(watches) {
                self.batches = self.batches.wrapping_add(1);
                let batch = self.batches;
                self.ask(&lists, Arming::Asked { since, batch });
                portions.push(Again {
                    since,
                    lists,
                    note: Note::SetWatches { batch },
                });
            }
        }
        portions
    }

    fn ask(&mut self, asked: &Lists, state: Arming) {
        for (list, paths) in self.lists.iter_mut().zip(asked) {
            for path in paths {
                if let Some(watch) = list.get_mut(path) {
                    watch.state = state;
                }
            }
        }
    }

    /// What a later connection of the client needs: which watches it had, and what the leg owns.
    pub(super) fn into_parts(self) -> (Armed, Owned) {
        let armed = self.lists.map(|list| {
            list.into_iter()
                .map(|(path, watch)| (path, watch.armed))
                .collect()
        });
        (
            armed,
            Owned {
                paths: self.ephemerals,
                others: self.unknown_ephemerals,
            },
        )
    }
}

/// The paths of a setWatches2, by list.
pub(super) type Lists = [Vec<Vec<u8>>; 5];

/// Watches to be armed again by one frame.
pub(super) struct Again {
    pub(super) since: Zxid,
    pub(super) lists: Lists,
    pub(super) note: Note,
}

/// Whether a setWatches went out or waits for its leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    No,
}

/// The ephemerals of a leg's session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Owned {
    paths: BTreeSet<Vec<u8>>,
    others: bool,
}

impl Owned {
    /// Nothing is known: there may be some.
    pub(super) const fn unknown() -> Self {
        Self {
            paths: BTreeSet::new(),
            others: true,
        }
    }

    /// Keeps no more than that there are some, where there are.
    pub(super) fn forget_names(&mut self) {
        self.others |= !self.paths.is_empty();
        self.paths.clear();
    }

    /// Bytes remembered, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.paths.iter().map(|path| path.len() + ENTRY).sum()
    }

    /// How many there are; nothing is known of watches here.
    pub(super) fn holdings(&self) -> Holdings {
        Holdings {
            watches: 0,
            ephemerals: self.paths.len(),
            complete: !self.others,
        }
    }
}

#[cfg(test)]
mod tests;
