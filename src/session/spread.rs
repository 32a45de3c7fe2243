//! Where a request goes: through as it is, under another name, in parts to several ensembles, or
//! nowhere. And how the answers of the parts become the one reply the client is owed.
//!
//! A request that concerns several ensembles becomes a list of steps. Each step is an ordinary
//! request to one ensemble and goes through the same rule as any other (drain, barrier), so that
//! nothing about consistency is decided here.
//!
//! # Decisions
//! * 2026-11: a persistent watch that is not recursive is not fanned out. It covers one znode and
//!   the list of its children, and both live on the ensemble of its path: the name of a route is a
//!   child of its parent only where a placeholder znode exists there.

mod multi;
mod watches;

pub(super) use multi::{failure, operations};
use watches::RECURSIVE_MODE;
pub(super) use watches::Recursive;

use super::Settings;
use super::gather::{Gather, Merge};
use super::legs::Legs;
use super::touched::Touched;
use crate::route::{EnsembleId, Rule};
use crate::wire::opcode::{OpCode, Target};
use crate::wire::request::{self, Request};
use crate::wire::{Zxid, code, reply};

/// The node whose data lists the real servers; clients that read it would leave the sidecar. It has
/// two components: with more, paths that begin as it does could not be told by that alone, as
/// requests that go straight are.
const CONFIG: &[u8] = b"/zookeeper/config";

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It goes to this ensemble as it came.
    Through(EnsembleId),
    /// It goes to this ensemble as this frame.
    Rewritten(EnsembleId, Vec<u8>),
    /// It goes out as these steps, whose answers are put together.
    Parts(Vec<Part>, Gather),
    /// It is answered by zoonet itself, with this frame.
    Answer(Vec<u8>, i32),
}

/// An operation of which the one path mostly is enough to tell where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// It shows data, which must not be that of [`CONFIG`].
    Data,
    /// It makes a znode, whose name may go on behind the path.
    Create,
    /// Any other.
    Other,
}

impl Plain {
    #[inline]
    pub(super) const fn of(op: OpCode) -> Option<Self> {
        match (op.shape().target, op) {
            (Target::Path, OpCode::GetData) => Some(Self::Data),
            (Target::Path, _) => Some(Self::Other),
            (Target::Created, _) => Some(Self::Create),
            _ => None,
        }
    }
}

/// One step of a request that goes out in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) to: EnsembleId,
    /// Which part of the reply its answer is.
    pub(super) part: u16,
    pub(super) op: OpCode,
    pub(super) frame: Vec<u8>,
}

/// Plans requests of one session.
pub(super) struct Planner<'a> {
    pub(super) settings: &'a Settings,
    pub(super) legs: &'a Legs,
    pub(super) recursive: &'a mut Recursive,
    pub(super) touched: &'a mut Touched,
}

impl Planner<'_> {
    /// Decides where a request goes. Requests about the connection (ping, auth, closeSession) do
    /// not come here.
    #[inline]
    pub(super) fn plan(&mut self, request: &Request<'_>) -> Plan {
        match self.as_it_came(request) {
            Some(to) => Plan::Through(to),
            None => self.consider(request),
        }
    }

    /// The ensemble that a request goes to as it came, where its one path is enough to tell. Apart
    /// from [`Self::consider`], so that this is short enough to be inlined: most requests are so.
    #[inline]
    fn as_it_came(&mut self, request: &Request<'_>) -> Option<EnsembleId> {
        let target = request.op.shape().target;
        let (Target::Path | Target::Created | Target::Deleted | Target::Subtree) = target else {
            return None;
        };
        let path = request.path()?;
        self.touched.note(path);
        let plain = Plain::of(request.op)?;
        self.unchanged(plain, path)
    }

    /// The ensemble that such a request of this path goes to as it came.
    #[inline]
    pub(super) fn unchanged(&self, plain: Plain, path: &[u8]) -> Option<EnsembleId> {
        let routes = &self.settings.routes;
        if plain == Plain::Data && path == CONFIG {
            return None;
        }
        if routes.is_single() {
            return Some(routes.home());
        }
        self.routed(plain, path)
    }

    #[inline(never)]
    fn routed(&self, plain: Plain, path: &[u8]) -> Option<EnsembleId> {
        let rule = self.settings.routes.route(path);
        let is_own = plain == Plain::Create && rule.prefix() == path;
        (!is_own && rule.is_identity()).then(|| rule.ensemble())
    }

    /// Where all others go.
    #[inline(never)]
    fn consider(&mut self, request: &Request<'_>) -> Plan {
        let home = Plan::Through(self.settings.routes.home());
        match request.op.shape().target {
            Target::Path => request.path().map_or(home, |path| self.one(request, path)),
            Target::Created => request
                .path()
                .map_or(home, |path| self.create(request, path)),
            Target::Deleted => request
                .path()
                .map_or(home, |path| self.delete(request, path)),
            Target::Subtree => request
                .path()
                .map_or(home, |path| self.subtree(request, path)),
            Target::Multi => self.multi(request),
            Target::WatchLists(lists) => self.watch_lists(request, lists),
            Target::Owned => self.owned(request),
            Target::Nowhere => Plan::Answer(
                reply::header_only(request.xid, Zxid(-1), code::UNIMPLEMENTED),
                code::UNIMPLEMENTED,
            ),
            Target::Home if request.op == OpCode::Reconfig && !self.settings.expose_config => {
                masked(request, self.settings.routes.home(), request.frame())
            }
            Target::Home | Target::Everywhere | Target::Ping | Target::Close => home,
        }
    }

    fn one(&self, request: &Request<'_>, path: &[u8]) -> Plan {
        let rule = self.settings.routes.route(path);
        if request.op == OpCode::GetData && self.hides(rule, path) {
            return masked(request, rule.ensemble(), request.with_path(CONFIG));
        }
        through(request, rule, path)
    }

    /// Whether a path is called [`CONFIG`] on its ensemble and clients must not see what it holds.
    fn hides(&self, rule: &Rule, path: &[u8]) -> bool {
        let is_config = if rule.is_identity() {
            path == CONFIG
        } else {
            *rule.to_real(path) == *CONFIG
        };
        is_config && !self.settings.expose_config
    }

    /// The rule that owns what a create makes. Only where a rule's prefix is the very path can the
    /// sequence number lead elsewhere, so only then are the flags looked for.
    fn create(&self, request: &Request<'_>, path: &[u8]) -> Plan {
        let rule = self.settings.routes.route(path);
        if rule.is_identity() && rule.prefix() != path {
            return Plan::Through(rule.ensemble());
        }
        if !request.is_sequential() {
            return through(request, rule, path);
        }
        let rule = self.settings.routes.route_sequential(path);
        if rule.is_identity() {
            return Plan::Through(rule.ensemble());
        }
        Plan::Rewritten(
            rule.ensemble(),
            request.with_path(&rule.to_real_sequential(path)),
        )
    }

    fn delete(&self, request: &Request<'_>, path: &[u8]) -> Plan {
        if self.holds_routes(path) {
            return answer(request, code::NOT_EMPTY);
        }
        through(request, self.settings.routes.route(path), path)
    }

    /// Whether a route lies below a path that could be deleted. The root never can be.
    fn holds_routes(&self, path: &[u8]) -> bool {
        path.len() > 1 && self.settings.routes.below(path).next().is_some()
    }

    fn subtree(&mut self, request: &Request<'_>, path: &[u8]) -> Plan {
        if request.op == OpCode::RemoveWatches {
            self.unwatch_below(request, path)
        } else if request.op == OpCode::GetAllChildrenNumber {
            self.count_below(request, path)
        } else if request.op == OpCode::AddWatch
            && request.number_after_path() == Some(RECURSIVE_MODE)
        {
            self.watch_below(request, path)
        } else {
            through(request, self.settings.routes.route(path), path)
        }
    }

    /// Descendants of a path: those on its ensemble, less what routes shadow, and those behind the
    /// routes below it. The znode a route starts at counts where a placeholder stands for it.
    fn count_below(&self, request: &Request<'_>, path: &[u8]) -> Plan {
        let routes = &self.settings.routes;
        let own = routes.route(path);
        let mut parts = Parts::new(own, request.op, request.with_path(&own.to_real(path)));
        let mut counted = vec![true];
        for rule in routes.below(path) {
            let around = routes.route_sequential(rule.prefix());
            for (on, counts) in [(around, false), (rule, true)] {
                parts.add(
                    on,
                    request.op,
                    request::of_path(request.xid, request.op, &on.to_real(rule.prefix()), &[]),
                );
                counted.push(counts);
            }
        }
        if parts.is_single() {
            return through(request, own, path);
        }
        parts.gather(Merge::Count(counted))
    }

    /// getEphemerals: every ensemble on which the session may own some is asked for all of them;
    /// the prefix is looked at in the client's names.
    fn owned(&self, request: &Request<'_>) -> Plan {
        let routes = &self.settings.routes;
        let home = routes.home();
        let remotes: Vec<EnsembleId> = self.legs.with_session().collect();
        if remotes.is_empty() && !self.settings.is_rooted(home) {
            return Plan::Through(home);
        }
        let all = request::of_path(request.xid, request.op, b"/", &[]);
        let owners = std::iter::once(home).chain(remotes);
        let parts: Vec<Part> = owners
            .zip(0..)
            .map(|(to, part)| Part {
                to,
                part,
                op: request.op,
                frame: all.clone(),
            })
            .collect();
        let merge = Merge::Ephemerals {
            prefix: request.path().unwrap_or_default().to_vec(),
            from: parts.iter().map(|part| part.to).collect(),
        };
        let gather = Gather::new(merge, parts.len());
        Plan::Parts(parts, gather)
    }
}

/// Collects the parts of a request, the one for its own path first. They go out grouped by
/// ensemble, so that each is switched to once.
struct Parts(Vec<Part>);

impl Parts {
    fn new(own: &Rule, op: OpCode, frame: Vec<u8>) -> Self {
        Self(vec![Part {
            to: own.ensemble(),
            part: 0,
            op,
            frame,
        }])
    }

    fn add(&mut self, rule: &Rule, op: OpCode, frame: Vec<u8>) {
        let part = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        self.0.push(Part {
            to: rule.ensemble(),
            part,
            op,
            frame,
        });
    }

    fn is_single(&self) -> bool {
        self.0.len() == 1
    }

    fn gather(self, merge: Merge) -> Plan {
        let mut parts = self.0;
        let own = parts.first().map(|part| part.to);
        parts.sort_by_key(|part| (Some(part.to) != own, part.to, part.part));
        let gather = Gather::new(merge, parts.len());
        Plan::Parts(parts, gather)
    }
}

fn through(request: &Request<'_>, rule: &Rule, path: &[u8]) -> Plan {
    if rule.is_identity() {
        return Plan::Through(rule.ensemble());
    }
    Plan::Rewritten(rule.ensemble(), request.with_path(&rule.to_real(path)))
}

/// A request whose answer shows the addresses of the real servers, and must not.
fn masked(request: &Request<'_>, to: EnsembleId, frame: Vec<u8>) -> Plan {
    let part = Part {
        to,
        part: 0,
        op: request.op,
        frame,
    };
    Plan::Parts(vec![part], Gather::new(Merge::HideData, 1))
}

fn answer(request: &Request<'_>, err: i32) -> Plan {
    Plan::Answer(reply::header_only(request.xid, Zxid::NONE, err), err)
}
