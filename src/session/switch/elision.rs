//! When the barrier of a read after a switch may be left out: where nothing was learned meanwhile.
//!
//! The paper's rule pays for a barrier at every switch to a read, also when a client merely looks to
//! and fro between ensembles in which nothing has changed. This goes beyond the paper, and is off
//! unless an ensemble's `elide_barriers` says otherwise.
//!
//! # The rule
//! Let B be an ensemble whose last lead has happened on the connection that B's leg still has, and
//! let `covered` be what every other ensemble X had *told of* when the client last switched to B before
//! that lead: the largest zxid in the header of any reply, to the client or to a barrier. A switch to B
//! for a read needs no barrier while no X has *shown* this client more than that. The drain stays.
//!
//! # What counts as shown
//! * A successful read of one znode with its Stat shows the youngest of the Stat's zxids. Data, their
//!   version and length go with `mzxid`; the list of children, their number and version with `pzxid`; the
//!   owner with `czxid`. No zxid tells when an ACL was set, so a Stat whose `aversion` is not 0 counts as
//!   all other replies do. `getACL` is among those.
//! * Any other reply to a read shows the zxid of its header: it tells of the absence of everything later.
//!   [`Shown::Header`] counts every reply so.
//! * What `ZooKeeper` keeps for itself is news when it is asked for by path: the statistics of quotas
//!   change without a change of their Stat, and `/zookeeper/config` without a transaction.
//! * The client's own updates, and its `sync`, are news however they are answered: what it asks for behind
//!   them has to follow the moment at which they were ordered.
//! * An event tells of something newer than what was shown, and servers up to 3.8 do not say how much:
//!   whatever was covered elsewhere is so no more.
//! * Pings, and what zoonet itself asks, show the client nothing.
//!
//! Where a connection is lost, nothing is covered any more, and what its server has shown and told of is
//! forgotten: zxids are compared within a connection only.
//!
//! That a lead covers all that was told of, and not only what was shown, makes a znode that is read for
//! the first time and was changed long ago no news.
//!
//! # Why
//! Give every operation a moment. That of an update is when its leader commits it. That of a read is the
//! latest commit among everything that its client has been shown, this reply included. Moments order
//! everything: updates as real time does, and each client's operations as it asked for them, since what
//! it was shown only grows, and an update of its own is committed after what it was shown before and
//! shown by its reply; of operations with one moment the update comes first, and a client's reads as it
//! asked. An update whose answer was lost is no client's: it may be committed at any later moment, as it
//! may without any of this. It remains that a read returns what was there at its moment. Nothing that it
//! returns is younger, by the choice of the moment. And nothing is missing that was committed by then
//! and changes it, if its server had applied all that its ensemble had committed by then. Take a read at
//! B, and what was committed last of all that the client was shown:
//! * If B showed it, a server of B's had applied it, and a leg does not go back: it is attached again only
//!   to servers that have what it has seen.
//! * If the client's own update elsewhere was that, or an event told of it, nothing was covered then, and
//!   B's lead was sent later.
//! * If another ensemble showed it otherwise, the rule says that its server had told of it, or of something
//!   later, when the client switched to B, before the lead was sent; and servers tell of what is committed.
//! * In either case the moment is before B's lead was sent, and a server that has answered a lead has
//!   applied what its ensemble had committed when it was sent. With `sync` that is so as long as the
//!   leader is not deposed, as in the paper's rule.
//!
//! A reply that is counted by its header is exact at that zxid, one by its Stat from the Stat's youngest
//! zxid to that of its header; both are applied where it comes from. The barrier of the paper's rule is
//! the same argument with a lead that is always new.
//!
//! # Limits
//! `cversion` is an `int`: where more than 2³¹ children were created below one znode, its `pzxid` stays
//! as it is, and a change of that list looks old. [`Shown::Header`] relies on no Stat.
//!
//! This is an argument, not a proof. What was explored is in `integration/model/elision.rs`: the rule
//! with both meanings of shown, on two and three ensembles, and what falls without each of its parts.

use std::collections::BTreeMap;

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

/// What the client knows, and what its leads cover of that.
///
/// Its methods are kept out of their callers, which are on the way of every request where there is
/// none of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Elision {
    /// Where barriers may be left out, and how it is told when.
    on: BTreeMap<EnsembleId, Shown>,
    /// What the client was shown, by the Stats of replies and by their headers.
    shown: Largest,
    shown_by_header: Largest,
    /// What servers have told of, in the headers of their replies.
    told: Largest,
    /// Of each ensemble that has a lead on its present connection: what was told before it was sent.
    covered: BTreeMap<EnsembleId, Largest>,
    /// The ensemble last switched to, until it has a lead, and what was told then. Nothing was in flight
    /// there, so that whatever is ordered was sent later.
    stay: Option<(EnsembleId, Largest)>,
}

impl Elision {
    pub(super) const fn new(on: BTreeMap<EnsembleId, Shown>) -> Self {
        Self {
            on,
            shown: Largest(Vec::new()),
            shown_by_header: Largest(Vec::new()),
            told: Largest(Vec::new()),
            covered: BTreeMap::new(),
            stay: None,
        }
    }

    /// Whether a read may follow the last lead of an ensemble that is switched to.
    #[inline(never)]
    pub(super) fn covers(&self, to: EnsembleId) -> bool {
        let shown = match self.on.get(&to) {
            None => return false,
            Some(Shown::Stat) => &self.shown,
            Some(Shown::Header) => &self.shown_by_header,
        };
        self.covered.get(&to).is_some_and(|covered| {
            let mut others = shown.0.iter().filter(|(from, _)| *from != to);
            others.all(|(from, zxid)| covered.reaches(*from, *zxid))
        })
    }

    /// The client has switched to an ensemble.
    #[inline(never)]
    pub(super) fn enters(&mut self, to: EnsembleId) {
        self.stay = self.on.contains_key(&to).then(|| (to, self.told.clone()));
    }

    /// An ordered request has happened on the ensemble last switched to.
    #[inline(never)]
    pub(super) fn led(&mut self, here: EnsembleId) {
        if let Some((to, told)) = self.stay.take_if(|(to, _)| *to == here) {
            self.covered.insert(to, told);
        }
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
            News::Of { stat, header } => {
                self.shown.raise(from, stat);
                self.shown_by_header.raise(from, header);
            }
            News::Untold => self.learns(from),
        }
    }

    /// The client knows, or may know, more of an ensemble than any zxid tells.
    fn learns(&mut self, from: EnsembleId) {
        self.covered.retain(|to, _| *to == from);
        self.stay.take_if(|(to, _)| *to != from);
    }

    /// An ensemble's connection is gone, and its leads with it. Those of others no longer cover what it
    /// has told: an ensemble may have been put back to a backup meanwhile.
    pub(super) fn lost(&mut self, ensemble: EnsembleId) {
        self.covered.clear();
        self.stay = None;
        for known in [&mut self.shown, &mut self.shown_by_header, &mut self.told] {
            known.forget(ensemble);
        }
    }
}

/// The largest of some zxids, by ensemble. There are few of these, and each reply looks for its own: so
/// it is a short list, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// What a reply shows of its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// What was there at this zxid, which may be long ago, by its Stat; and by its header.
    Of { stat: Zxid, header: Zxid },
    /// More than any zxid tells.
    Untold,
}

/// Whether a reply may show what changed without a change of its Stat, or without a transaction. The
/// first component of a path tells: requests that begin alike are looked at once.
#[inline(never)]
pub(super) fn is_untold(request: &Request<'_>) -> bool {
    request.path().is_some_and(|path| at_or_below(path, SYSTEM))
}

/// What a reply to the client's request shows of its ensemble; `None` for what is about no znode.
#[inline]
pub(super) fn shown(op: OpCode, header: &ReplyHeader, payload: &[u8]) -> Option<News> {
    match op.shape().access {
        Access::Control => return None,
        Access::Ordered | Access::Sync => return Some(News::Untold),
        Access::Read => {}
    }
    let header_zxid = header.zxid;
    let has_stat = matches!(op, OpCode::Exists | OpCode::GetData | OpCode::GetChildren2);
    let by_stat = (has_stat && header.err == code::OK).then(|| reply::youngest(payload));
    Some(News::Of {
        stat: by_stat.flatten().unwrap_or(header_zxid),
        header: header_zxid,
    })
}
