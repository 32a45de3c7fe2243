//! Watches that span ensembles: recursive ones above routes, and the lists of setWatches.

use std::collections::{BTreeMap, BTreeSet};

use super::super::gather::{Gather, Merge};
use super::super::ledger::{self, Armed};
use super::{Part, Parts, Plan, Planner, through};
use crate::route::{self, EnsembleId, RouteMap, Rule};
use crate::wire::frames::PREFIX;
use crate::wire::opcode::OpCode;
use crate::wire::request::{self, Request};

/// `addWatch` mode of a recursive watch, `Watcher.WatcherType` of one to be removed, and the type
/// that stands for all.
pub(super) const RECURSIVE_MODE: i32 = 1;
const RECURSIVE_TYPE: i32 = 5;
const ANY_TYPE: i32 = 3;
/// Where recursive watches stand in a setWatches2.
const RECURSIVE_LIST: usize = 4;

/// The recursive watches this client armed on paths at or above a route: what decides which
/// watches on other ensembles are still wanted. Bounded by the number of such paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::session) struct Recursive(BTreeSet<Vec<u8>>);

impl Recursive {
    pub(super) fn armed(&mut self, routes: &RouteMap, path: &[u8]) {
        if routes.below(path).next().is_some() || routes.route(path).prefix() == path {
            self.0.insert(path.to_vec());
        }
    }

    /// Whether a watch on `path` or above it sees `path`.
    pub(in crate::session) fn cover(&self, path: &[u8]) -> bool {
        self.0.iter().any(|armed| route::at_or_below(path, armed))
    }
}

impl Planner<'_> {
    /// A recursive watch is armed on the ensemble of its path and on those of all routes below.
    pub(super) fn watch_below(&mut self, request: &Request<'_>, path: &[u8]) -> Plan {
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
    pub(super) fn unwatch_below(&mut self, request: &Request<'_>, path: &[u8]) -> Plan {
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

    /// setWatches and setWatches2: each ensemble gets its own paths. The client's zxid is home's
    /// and means nothing elsewhere, where what it had seen of each watch takes its place (T12).
    pub(super) fn watch_lists(&mut self, request: &Request<'_>, lists: u8) -> Plan {
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
}
