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

use std::collections::{BTreeMap, BTreeSet};

use super::Settings;
use super::gather::{Gather, Merge};
use super::ledger::{self, Armed};
use super::leg::Legs;
use super::touched::Touched;
use crate::route::{self, EnsembleId, RouteMap, Rule};
use crate::wire::frames::PREFIX;
use crate::wire::jute::Writer;
use crate::wire::opcode::{OpCode, Target};
use crate::wire::request::{self, Operation, Request};
use crate::wire::{Xid, Zxid, code, reply};

/// `addWatch` mode of a recursive watch, `Watcher.WatcherType` of one to be removed, and the type
/// that stands for all.
const RECURSIVE_MODE: i32 = 1;
const RECURSIVE_TYPE: i32 = 5;
const ANY_TYPE: i32 = 3;

/// Where recursive watches stand in a setWatches2.
const RECURSIVE_LIST: usize = 4;

/// The node whose data lists the real servers; clients that read it would leave the sidecar.
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

/// One step of a request that goes out in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) to: EnsembleId,
    /// Which part of the reply its answer is.
    pub(super) part: u16,
    pub(super) op: OpCode,
    pub(super) frame: Vec<u8>,
}

/// The recursive watches this client armed on paths at or above a route: what decides which
/// watches on other ensembles are still wanted. Bounded by the number of such paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Recursive(BTreeSet<Vec<u8>>);

impl Recursive {
    fn armed(&mut self, routes: &RouteMap, path: &[u8]) {
        if routes.below(path).next().is_some() || routes.route(path).prefix() == path {
            self.0.insert(path.to_vec());
        }
    }

    /// Whether a watch on `path` or above it sees `path`.
    pub(super) fn cover(&self, path: &[u8]) -> bool {
        self.0.iter().any(|armed| route::at_or_below(path, armed))
    }
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
    pub(super) fn plan(&mut self, request: &Request<'_>) -> Plan {
        let routes = &self.settings.routes;
        let home = Plan::Through(routes.home());
        let target = request.op.shape().target;
        if let Target::Path | Target::Created | Target::Deleted | Target::Subtree = target
            && let Some(path) = request.path()
        {
            self.touched.note(path);
        }
        match target {
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
                masked(request, routes.home(), request.frame())
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

    /// A recursive watch is armed on the ensemble of its path and on those of all routes below.
    fn watch_below(&mut self, request: &Request<'_>, path: &[u8]) -> Plan {
        let routes = &self.settings.routes;
        self.recursive.armed(routes, path);
        let own = routes.route(path);
        if routes.below(path).next().is_none() {
            return through(request, own, path);
        }
        let mut parts = Parts::new(own, request.op, request.with_path(&own.to_real(path)));
        for rule in routes.below(path) {
            let mode = RECURSIVE_MODE.to_be_bytes();
            let real = rule.to_real(rule.prefix());
            parts.add(
                rule,
                request.op,
                request::of_path(request.xid, request.op, &real, &mode),
            );
        }
        parts.gather(Merge::All)
    }

    /// Removes what [`Self::watch_below`] armed, as far as no other recursive watch still needs it;
    /// and arms again what one needs and the removal took along.
    fn unwatch_below(&mut self, request: &Request<'_>, path: &[u8]) -> Plan {
        let routes = &self.settings.routes;
        let own = routes.route(path);
        let kind = request.number_after_path().unwrap_or_default();
        if !(kind == RECURSIVE_TYPE || kind == ANY_TYPE) {
            return through(request, own, path);
        }
        let was_recursive = self.recursive.0.remove(path);
        let mut parts = Parts::new(own, request.op, request.with_path(&own.to_real(path)));
        if own.prefix() == path && self.recursive.cover(path) {
            let mode = RECURSIVE_MODE.to_be_bytes();
            let again = OpCode::AddWatch;
            parts.add(
                own,
                again,
                request::of_path(request.xid, again, &own.to_real(path), &mode),
            );
        }
        if was_recursive {
            for rule in routes
                .below(path)
                .filter(|rule| !self.recursive.cover(rule.prefix()))
            {
                let real = rule.to_real(rule.prefix());
                let kind = kind.to_be_bytes();
                parts.add(
                    rule,
                    request.op,
                    request::of_path(request.xid, request.op, &real, &kind),
                );
            }
        }
        if parts.is_single() {
            return through(request, own, path);
        }
        parts.gather(Merge::First)
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

    fn multi(&mut self, request: &Request<'_>) -> Plan {
        let routes = &self.settings.routes;
        let mut first: Option<&Rule> = None;
        let mut rewritten = false;
        let mut hidden = Vec::new();
        for (index, operation) in request.operations().enumerate() {
            // What cannot be read is home's to refuse (T40).
            let Ok(Operation {
                path: Some(path),
                op,
                sequential,
                ..
            }) = operation
            else {
                return Plan::Through(routes.home());
            };
            self.touched.note(path);
            let rule = if sequential {
                routes.route_sequential(path)
            } else {
                routes.route(path)
            };
            if op == OpCode::Delete && self.holds_routes(path) {
                return refuse_multi(request, index, code::NOT_EMPTY);
            }
            if first.get_or_insert(rule).ensemble() != rule.ensemble() {
                return refuse_multi(request, index, code::BAD_ARGUMENTS);
            }
            rewritten |= !rule.is_identity();
            if op == OpCode::GetData && self.hides(rule, path) {
                hidden.push(u16::try_from(index).unwrap_or(u16::MAX));
            }
        }
        let to = first.map_or_else(|| routes.home(), Rule::ensemble);
        let frame = |rewritten| {
            if rewritten {
                rename_operations(request, routes)
            } else {
                request.frame()
            }
        };
        match (hidden.is_empty(), rewritten) {
            (true, false) => Plan::Through(to),
            (true, true) => Plan::Rewritten(to, frame(true)),
            (false, rewritten) => {
                let part = Part {
                    to,
                    part: 0,
                    op: request.op,
                    frame: frame(rewritten),
                };
                Plan::Parts(vec![part], Gather::new(Merge::HideResults(hidden), 1))
            }
        }
    }

    /// setWatches and setWatches2: each ensemble gets its own paths. The client's zxid is home's
    /// and means nothing elsewhere, where what it had seen of each watch takes its place (T12).
    fn watch_lists(&mut self, request: &Request<'_>, lists: u8) -> Plan {
        let routes = &self.settings.routes;
        let home = routes.home();
        let Ok(watches) = request.watch_lists(lists) else {
            return Plan::Through(home);
        };
        let mut split: BTreeMap<EnsembleId, Vec<Vec<Vec<u8>>>> = BTreeMap::new();
        let mut fanned = BTreeSet::new();
        let mut add = |list: usize, rule: &Rule, path: &[u8]| {
            let own = split
                .entry(rule.ensemble())
                .or_insert_with(|| vec![Vec::new(); watches.lists.len()]);
            if let Some(paths) = own.get_mut(list) {
                paths.push(rule.to_real(path).into_owned());
            }
        };
        for (list, paths) in watches.lists.iter().enumerate() {
            for path in paths {
                self.touched.note(path);
                add(list, routes.route(path), path);
                if list == RECURSIVE_LIST {
                    self.recursive.armed(routes, path);
                    // Each once, or a frame full of `/` would become as many as there are routes.
                    for rule in routes.below(path).filter(|r| fanned.insert(r.prefix())) {
                        add(list, rule, rule.prefix());
                    }
                }
            }
        }
        let at_home = split.keys().all(|ensemble| *ensemble == home);
        if split.is_empty() || (at_home && !self.settings.is_rooted(home)) {
            return Plan::Through(home);
        }
        let none = Armed::default();
        let mut parts = Vec::new();
        for (to, lists) in split {
            let frames = if to == home {
                vec![request::set_watches(
                    request.xid,
                    request.op,
                    watches.relative_zxid,
                    &lists,
                )]
            } else {
                let before = self.legs.find(to).map(|leg| &leg.before);
                ledger::by_what_was_seen(request.xid, &lists, before.unwrap_or(&none))
            };
            for frame in frames {
                let part = u16::try_from(parts.len()).unwrap_or(u16::MAX);
                let op = Request::parse(frame.get(PREFIX..).unwrap_or_default())
                    .map_or(request.op, |sent| sent.op);
                parts.push(Part {
                    to,
                    part,
                    op,
                    frame,
                });
            }
        }
        let gather = Gather::new(Merge::Watches, parts.len());
        Plan::Parts(parts, gather)
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

/// Refuses a multi for its operation at `failed`; those before it were not applied either.
fn refuse_multi(request: &Request<'_>, failed: usize, err: i32) -> Plan {
    let before = if request.op == OpCode::Multi {
        code::OK
    } else {
        code::RUNTIME_INCONSISTENCY
    };
    let codes: Vec<i32> = request
        .operations()
        .enumerate()
        .map(|(index, _)| match index.cmp(&failed) {
            std::cmp::Ordering::Less => before,
            std::cmp::Ordering::Equal => err,
            std::cmp::Ordering::Greater => code::RUNTIME_INCONSISTENCY,
        })
        .collect();
    Plan::Answer(reply::failed_multi(request.xid, &codes), err)
}

/// A multi with the ensemble's names for its paths. All its operations have been read before.
fn rename_operations(request: &Request<'_>, routes: &RouteMap) -> Vec<u8> {
    let payload = request.payload;
    let mut writer = Writer::with_capacity(payload.len() + 64);
    let mut from = 0;
    for operation in request.operations().flatten() {
        let Operation {
            path: Some(path),
            sequential,
            record,
            ..
        } = operation
        else {
            continue;
        };
        let real = if sequential {
            routes.route_sequential(path).to_real_sequential(path)
        } else {
            routes.route(path).to_real(path)
        };
        writer = writer
            .raw(payload.get(from..record.start).unwrap_or_default())
            .buffer(Some(&real));
        from = record.start + 4 + path.len();
    }
    writer.raw(payload.get(from..).unwrap_or_default()).finish()
}

/// The reply to a request whose outcome is not known, or that cannot go out, as every client
/// survives it: a multi is answered per operation (protocol.md 3, 8).
pub(super) fn failure(xid: Xid, op: OpCode, operations: u16, err: i32) -> Vec<u8> {
    if op.shape().target != Target::Multi {
        return reply::header_only(xid, Zxid::NONE, err);
    }
    // What was to be read one by one failed one by one.
    let behind = if op == OpCode::Multi {
        code::RUNTIME_INCONSISTENCY
    } else {
        err
    };
    let codes: Vec<i32> = (0..operations)
        .map(|index| if index == 0 { err } else { behind })
        .collect();
    reply::failed_multi(xid, &codes)
}

/// How many operations a multi has; 0 for any other request.
pub(super) fn operations(request: &Request<'_>) -> u16 {
    if request.op.shape().target != Target::Multi {
        return 0;
    }
    u16::try_from(request.operations().count()).unwrap_or(u16::MAX)
}
