//! When the barrier of a read after a switch may be left out: where nothing was learned meanwhile.
//!
//! The paper's rule pays for a barrier at every switch to a read, also when a client merely looks to
//! and fro between ensembles in which nothing has changed. This goes beyond the paper, and is off
//! unless an ensemble's `elide_barriers` says otherwise.
//!
//! # The rule
//! Let B be an ensemble whose last lead has happened on the connection that B's leg still has, and
//! let `covered` be what every other ensemble X had *told of* when that lead was sent: the largest zxid
//! in any reply's header. A switch to B for a read needs no barrier while no X has *shown* this client
//! more than that. The drain stays.
//!
//! # What counts as shown
//! * A successful read of one znode with its Stat shows the youngest of the Stat's zxids: that of the
//!   znode's creation, of its data, of its list of children. What else a Stat holds goes with these,
//!   but for `aversion`: no zxid tells when an ACL was set, so a Stat in which it is not 0 counts as
//!   all other replies do. `getACL` is among those.
//! * What `ZooKeeper` keeps for itself is news whenever it is asked for: the statistics of quotas change
//!   without a change of their Stat.
//! * Any other reply to a read shows the zxid of its header: it tells of the absence of everything later.
//!   [`Shown::Header`] counts every reply so.
//! * The client's own updates, and its `sync`, are news whatever they say: what it asks for behind them
//!   has to follow the moment at which they were ordered. One whose answer is lost is none: whether it
//!   has happened, or will, nobody has told the client, so nothing that it does next has to follow it.
//! * An event tells of something newer than what was shown, and servers up to 3.8 do not say how much:
//!   whatever was covered elsewhere is so no more.
//! * Pings, and what zoonet itself asks, show the client nothing.
//!
//! Where a connection is lost, what was covered is so no more, and what its server has told is forgotten.
//!
//! That a lead covers all that was told of, and not only what was shown, makes a znode that is read for
//! the first time and was changed long ago no news.
//!
//! # Why
//! Give every operation a moment: an update that at which its leader commits it; a read the earliest at
//! which all had been committed that its client was shown until then, by this read too. Moments order
//! everything: updates as real time does, and each client's operations as it asked for them, since what
//! it was shown only grows, and an update of its own is committed after what it was shown before and
//! shown by its reply. It remains that a read returns what was there at its moment. Nothing that it
//! returns is younger, by the choice of the moment. And nothing is missing that was committed by then
//! and changes it, if its server had applied all that its ensemble had committed by then. Take a read at
//! B, and what was committed last of all that the client was shown:
//! * If B showed it, a server of B's had applied it, and a leg does not go back.
//! * If another ensemble did, the rule says that its server had told of it, or of something later, before
//!   B's lead was sent; and servers tell of what is committed. So the moment is before that, and a server
//!   that has answered a lead has applied what its ensemble had committed when it was sent.
//!
//! A reply that is counted by its header is exact at that zxid, one by its Stat from the Stat's youngest
//! zxid to that of its header; both are applied where it comes from. The barrier of the paper's rule is
//! the same argument with a lead that is always new.
//!
//! This is an argument, not a proof. What was explored is in `integration/model/elision.rs`: the rule
//! with both meanings of shown, on two and three ensembles, and what falls without each of its parts.

use std::collections::{BTreeMap, BTreeSet};

use crate::route::{EnsembleId, SYSTEM, at_or_below};
use crate::wire::Zxid;
use crate::wire::code;
use crate::wire::opcode::{Access, OpCode};
use crate::wire::reply::{self, ReplyHeader};
use crate::wire::request::Request;

/// What a reply is taken to have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shown {
    /// A znode's Stat where there is one, the header elsewhere.
    #[default]
    Stat,
    /// The header, always: fewer barriers are left out, and no Stat is relied on.
    Header,
}

/// The largest of some zxids, by ensemble. There are few of these, and each reply looks for its own: so
/// it is a short list, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Largest(Vec<(EnsembleId, Zxid)>);

impl Largest {
    #[inline]
    fn raise(&mut self, of: EnsembleId, zxid: Zxid) {
        match self.0.iter_mut().find(|(known, _)| *known == of) {
            Some((_, known)) => *known = zxid.max(*known),
            None => self.insert(of, zxid),
        }
    }

    #[cold]
    fn insert(&mut self, of: EnsembleId, zxid: Zxid) {
        let at = self.0.partition_point(|(known, _)| *known < of);
        self.0.insert(at, (of, zxid));
    }

    fn forget(&mut self, of: EnsembleId) {
        self.0.retain(|(known, _)| *known != of);
    }

    /// Whether it has as much of an ensemble.
    fn reaches(&self, of: EnsembleId, zxid: Zxid) -> bool {
        let mut known = self.0.iter();
        known.any(|(known, reached)| *known == of && *reached >= zxid)
    }
}

/// What the client knows, and what its leads cover of that.
///
/// Its methods are kept out of their callers, which are on the way of every request where there is
/// none of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Elision {
    /// Where barriers may be left out.
    on: BTreeSet<EnsembleId>,
    /// What the client was shown.
    shown: Largest,
    /// What servers have told of, in the headers of their replies.
    told: Largest,
    /// Of each ensemble that has a lead on its present connection: what was told when it was sent.
    covered: BTreeMap<EnsembleId, Largest>,
    /// The same of a lead that is not answered yet.
    asked: Option<Asked>,
}

/// A lead under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    to: EnsembleId,
    by: LedBy,
    told: Largest,
}

/// Whose request is a lead. Of the client's more than one may be in flight when a barrier is sent: they
/// were sent before, and cover less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LedBy {
    Client,
    Barrier,
}

impl Elision {
    pub(super) const fn new(on: BTreeSet<EnsembleId>) -> Self {
        Self {
            on,
            shown: Largest(Vec::new()),
            told: Largest(Vec::new()),
            covered: BTreeMap::new(),
            asked: None,
        }
    }

    /// Whether a read may follow the last lead of an ensemble that is switched to.
    #[inline(never)]
    pub(super) fn covers(&self, to: EnsembleId) -> bool {
        let known = |covered: &Largest| {
            let mut others = self.shown.0.iter().filter(|(from, _)| *from != to);
            others.all(|(from, zxid)| covered.reaches(*from, *zxid))
        };
        self.on.contains(&to) && self.covered.get(&to).is_some_and(known)
    }

    /// A lead is sent.
    #[inline(never)]
    pub(super) fn asks(&mut self, to: EnsembleId, by: LedBy) {
        self.covered.remove(&to);
        let told = self.told.clone();
        self.asked = Some(Asked { to, by, told });
    }

    /// A request that may be the lead was ordered.
    #[inline(never)]
    pub(super) fn led(&mut self, by: LedBy) {
        if let Some(Asked { to, told, .. }) = self.asked.take_if(|asked| asked.by == by) {
            self.covered.insert(to, told);
        }
    }

    /// The lead was not ordered.
    #[inline(never)]
    pub(super) fn failed(&mut self) {
        self.asked = None;
    }

    /// A server tells in a reply's header what it has applied.
    #[inline]
    pub(super) fn tells(&mut self, from: EnsembleId, header: &ReplyHeader) {
        self.told.raise(from, header.zxid);
    }

    /// A reply has shown the client something of an ensemble.
    #[inline]
    pub(super) fn shows(&mut self, from: EnsembleId, news: News) {
        match news {
            News::Of(zxid) => self.shown.raise(from, zxid),
            News::Untold => self.learns(from),
        }
    }

    /// The client knows, or may know, more of an ensemble than any zxid tells.
    fn learns(&mut self, from: EnsembleId) {
        self.covered.retain(|to, _| *to == from);
        self.asked.take_if(|asked| asked.to != from);
    }

    /// An ensemble's connection is gone, and its leads with it. Those of others no longer cover what it
    /// has told: zxids are compared within a connection only, so that nothing depends on an ensemble's
    /// going on where it was.
    pub(super) fn lost(&mut self, ensemble: EnsembleId) {
        self.covered.clear();
        self.asked = None;
        self.shown.forget(ensemble);
        self.told.forget(ensemble);
    }
}

/// What a reply shows of its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// What was there at this zxid, which may be long ago.
    Of(Zxid),
    /// More than any zxid tells.
    Untold,
}

/// Whether a reply may show what changed without a change of its Stat: `ZooKeeper` does so with the
/// statistics of quotas, which are among what it keeps for itself.
#[inline(never)]
pub(super) fn is_untold(request: &Request<'_>) -> bool {
    request.path().is_some_and(|path| at_or_below(path, SYSTEM))
}

/// What a reply to the client's request shows of its ensemble.
#[inline]
pub(super) fn shown(by: Shown, op: OpCode, header: &ReplyHeader, payload: &[u8]) -> News {
    if matches!(op.shape().access, Access::Ordered | Access::Sync) {
        return News::Untold;
    }
    let has_stat = matches!(op, OpCode::Exists | OpCode::GetData | OpCode::GetChildren2);
    if by == Shown::Header || !has_stat || header.err != code::OK {
        return News::Of(header.zxid);
    }
    News::Of(reply::youngest(payload).unwrap_or(header.zxid))
}
