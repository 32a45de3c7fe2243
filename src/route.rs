//! Which ensemble a path belongs to, and under which name it is known there.
//!
//! A [`RouteMap`] is built once from the configuration and asked per request. Building checks
//! everything that could make an answer ambiguous, so that an invalid map cannot exist.
//!
//! Paths are bytes as they came off the wire and are never normalised: a prefix owns a path that
//! equals it or goes on with a slash, and nothing else. `""` is the root, as it is for the server;
//! `//eu`, `eu` and `/eu/..` are the business of `/`, `/` and `/eu`. The server judges the rest.
//!
//! # Decisions
//!
//! * `/zookeeper` and what is below it is home's, under its own name, whatever the map says
//!   ([`RouteMap::system`]). This rule is in neither [`RouteMap::rules`] nor
//!   [`RouteMap::below`] nor the fingerprint, because home differs from region to region.
//! * Overlap of roots is judged on whole subtrees: that a deeper route happens to shadow the
//!   overlapping part does not excuse it. Looser would be possible, and would have to be explained.
//! * A mount of a whole ensemble (`root: /`) reaches that ensemble's own `/zookeeper` too. Whoever
//!   masks `/zookeeper/config` has to look at the translated path.

mod fault;
mod fingerprint;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub use fault::{Entry, PathFault, RouteFault};
pub use fingerprint::Fingerprint;

/// The subtree that ZooKeeper keeps for itself.
pub const SYSTEM: &[u8] = b"/zookeeper";

/// Up to this many rules a scan (about 1.2 ns per rule) is no slower than searching per component
/// (70 ns for 17 rules, 140 ns for 1000; paths of four components, one box, one run).
const SCAN: usize = 64;

/// Index of an ensemble in the configuration, ensembles sorted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnsembleId(u16);

impl EnsembleId {
    /// The ensemble at `index`.
    #[must_use]
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Where this ensemble stands in a list of all ensembles.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What is put in front of the first read after a switch, per ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BarrierKind {
    /// ZooKeeper's own `sync`: cheap, and as strong as a stock client's `sync`.
    #[default]
    Sync,
    /// A multi that changes nothing, committed by the quorum: strict, for the price of an update.
    Quorum,
    /// Nothing, hence no guarantee: for experiments, and as the negative control of the tests.
    None,
}

impl BarrierKind {
    /// Every kind, in the order in which they are offered to an operator.
    pub const ALL: [Self; 3] = [Self::Sync, Self::Quorum, Self::None];

    /// The word for it in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Quorum => "quorum",
            Self::None => "none",
        }
    }
}

impl fmt::Display for BarrierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One line of the route map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    prefix: Vec<u8>,
    ensemble: EnsembleId,
    /// Never equal to `prefix`.
    root: Option<Vec<u8>>,
}

impl Rule {
    fn new((prefix, ensemble, root): Entry) -> Self {
        let root = root.filter(|root| *root != prefix);
        Self {
            prefix,
            ensemble,
            root,
        }
    }

    /// The client paths this rule is about: this one and those below it.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Where they live.
    #[must_use]
    pub fn ensemble(&self) -> EnsembleId {
        self.ensemble
    }

    /// What the prefix is called there; `Some` only where that differs from the prefix.
    #[must_use]
    pub fn root(&self) -> Option<&[u8]> {
        self.root.as_deref()
    }

    /// Whether paths have the same name on both sides.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.root.is_none()
    }

    /// The name on the ensemble of a client path that this rule owns.
    ///
    /// A path that this rule does not own comes back as it is, and so does one without a leading
    /// slash, which no server accepts: a rewrite never makes a bad path good, nor leaves the root.
    #[must_use]
    pub fn to_real<'p>(&self, path: &'p [u8]) -> Cow<'p, [u8]> {
        let Some(root) = self.root() else {
            return Cow::Borrowed(path);
        };
        if self.prefix == b"/" && path.len() <= 1 && b"/".starts_with(path) {
            return Cow::Owned(root.to_vec());
        }
        let Some(rest) = below_or_at(path, &self.prefix) else {
            return Cow::Borrowed(path);
        };
        if root == b"/" && !rest.is_empty() && only_slashes(rest) {
            // `/eu/` is no node, so it must not become the node `/`.
            return Cow::Owned([root, rest].concat());
        }
        Cow::Owned(graft(root, rest))
    }

    /// As [`Rule::to_real`], for the path of a sequential create, to which the server appends a
    /// number: `/eu/` asks for a child of `/eu`, so the slash at the end counts.
    #[must_use]
    pub fn to_real_sequential<'p>(&self, path: &'p [u8]) -> Cow<'p, [u8]> {
        match (self.root(), below_or_at(path, &self.prefix)) {
            (Some(b"/"), Some(rest)) => Cow::Owned(rest.to_vec()),
            (Some(root), Some(rest)) => Cow::Owned([root, rest].concat()),
            (Some(_), None) | (None, _) => Cow::Borrowed(path),
        }
    }

    /// The client path that becomes `real`, if there is one; shadowing is not looked at.
    fn to_client(&self, root: &[u8], real: &[u8]) -> Option<Vec<u8>> {
        if self.prefix == b"/" && below_or_at(real, root) == Some(b"/") {
            return None; // would be `/`, which is called `root`
        }
        let rest = match below_or_at(real, root)? {
            b"/" if root == b"/" => b"",
            rest if root == b"/" && only_slashes(rest) => rest.get(1..)?,
            rest => rest,
        };
        Some(graft(&self.prefix, rest))
    }

    fn owns(&self, path: &[u8]) -> bool {
        below_or_at(path, &self.prefix).is_some()
    }

    /// The subtree on the ensemble that this rule leads to.
    fn real_root(&self) -> &[u8] {
        self.root().unwrap_or(&self.prefix)
    }
}

/// Which rule owns a path, and the way back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteMap {
    home: EnsembleId,
    /// Sorted by prefix; the first is `/`. A prefix sorts before those below it.
    rules: Vec<Rule>,
    system: Rule,
    single: bool,
    /// Length of the longest prefix: no slash behind it can matter.
    longest: usize,
}

impl RouteMap {
    /// Checks the entries and sorts them.
    ///
    /// # Errors
    /// The first of [`RouteMap::faults`].
    pub fn new(home: EnsembleId, entries: Vec<Entry>) -> Result<Self, RouteFault> {
        if let Some(fault) = Self::faults(&entries).into_iter().next() {
            return Err(fault);
        }
        let mut rules: Vec<Rule> = entries.into_iter().map(Rule::new).collect();
        rules.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        let single = rules.iter().all(|r| r.ensemble == home && r.is_identity());
        let longest = rules.iter().map(|r| r.prefix.len()).max().unwrap_or(0);
        let system = Rule::new((SYSTEM.to_vec(), home, None));
        Ok(Self {
            home,
            rules,
            system,
            single,
            longest,
        })
    }

    /// The same map with other numbers for its ensembles.
    #[must_use]
    pub fn renumbered(mut self, place: impl Fn(EnsembleId) -> EnsembleId) -> Self {
        self.home = place(self.home);
        for rule in self.rules.iter_mut().chain([&mut self.system]) {
            rule.ensemble = place(rule.ensemble);
        }
        self
    }

    /// The prefixes at which `next` sends paths elsewhere than this map does.
    #[must_use]
    pub fn moved(&self, next: &Self) -> Vec<Vec<u8>> {
        let mut prefixes: Vec<&[u8]> = self
            .rules
            .iter()
            .chain(&next.rules)
            .map(Rule::prefix)
            .collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let goes = |map: &Self, path: &[u8]| {
            let rule = map.route(path);
            (rule.ensemble, rule.to_real(path).into_owned())
        };
        let differs = |path: &&[u8]| goes(self, path) != goes(next, path);
        prefixes
            .into_iter()
            .filter(differs)
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Everything that is wrong with the entries, each fault naming them by index.
    #[must_use]
    pub fn faults(entries: &[Entry]) -> Vec<RouteFault> {
        fault::faults(entries)
    }

    /// The ensemble every client session lives on.
    #[must_use]
    pub fn home(&self) -> EnsembleId {
        self.home
    }

    /// Whether everything is home's under its own name, so that nothing ever needs composing.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// The configured rules, sorted by prefix; `/` is the first.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule for `/zookeeper`, which no configuration can change.
    #[must_use]
    pub fn system(&self) -> &Rule {
        &self.system
    }

    /// The rule that owns a client path: the longest prefix on whole components.
    #[must_use]
    pub fn route(&self, path: &[u8]) -> &Rule {
        let found = if self.rules.len() <= SCAN {
            // Of the prefixes that own a path the longest is sorted last.
            self.rules.iter().skip(1).rev().find(|r| r.owns(path))
        } else {
            self.search(path)
        };
        found.unwrap_or_else(|| self.top(path))
    }

    /// The rule that owns what a sequential create of `path` makes.
    ///
    /// The server appends ten digits, so a prefix equal to `path` does not own the new node, and
    /// the parent decides. `/eu/` makes `/eu/0000000000`, which is below `/eu`.
    #[must_use]
    pub fn route_sequential(&self, path: &[u8]) -> &Rule {
        let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.route(path.get(..slash).unwrap_or_default())
    }

    /// The configured rules whose prefix is strictly below `path`, sorted by prefix.
    pub fn below(&self, path: &[u8]) -> impl Iterator<Item = &Rule> {
        let path = if path.is_empty() { b"/" } else { path };
        let from = self.rules.partition_point(|r| r.prefix() <= path);
        self.rules
            .iter()
            .skip(from)
            .take_while(move |r| r.prefix.starts_with(path))
            .filter(move |r| below_or_at(&r.prefix, path).is_some())
    }

    /// Whether one rule owns all paths that start with these bytes: no prefix is as long and starts
    /// so too, and where a shorter one ends in such a path, these bytes tell.
    #[must_use]
    pub fn is_alike_below(&self, start: &[u8]) -> bool {
        if SYSTEM.starts_with(start) {
            return false;
        }
        let at_or_behind = || self.rules.partition_point(|rule| rule.prefix() < start);
        self.longest < start.len()
            || !self
                .rules
                .get(at_or_behind())
                .is_some_and(|rule| rule.prefix.starts_with(start))
    }

    /// The client path that leads to `real` on `ensemble`, if a client has one for it.
    ///
    /// There is none for what a deeper route shadows and for what is outside of all roots.
    #[must_use]
    pub fn to_client<'p>(&self, ensemble: EnsembleId, real: &'p [u8]) -> Option<Cow<'p, [u8]>> {
        let same = self.route(real);
        if same.ensemble == ensemble && same.to_real(real) == real {
            return Some(Cow::Borrowed(real));
        }
        self.rules
            .iter()
            .filter(|rule| rule.ensemble == ensemble)
            .find_map(|rule| {
                let client = rule.to_client(rule.root()?, real)?;
                (self.route(&client) == rule).then_some(Cow::Owned(client))
            })
    }

    /// A number that is the same wherever paths are routed the same way, in whichever order and
    /// region the routes are written down. Home, addresses and barriers have no part in it.
    ///
    /// `names` are those of the ensembles, by [`EnsembleId::index`].
    #[must_use]
    pub fn fingerprint(&self, names: &[impl AsRef<str>]) -> Fingerprint {
        let mut fingerprint = Fingerprint::START;
        for rule in self.rules.iter().filter(|rule| !self.is_redundant(rule)) {
            let name = names.get(rule.ensemble.index()).map_or("", AsRef::as_ref);
            fingerprint = fingerprint
                .field(&rule.prefix)
                .field(name.as_bytes())
                .field(rule.real_root());
        }
        fingerprint
    }

    /// Whether paths would go the same way without this rule.
    fn is_redundant(&self, rule: &Rule) -> bool {
        // The prefix without its last component decides, as for a sequential create.
        let upper = self.route_sequential(&rule.prefix);
        rule.prefix != b"/"
            && rule.ensemble == upper.ensemble
            && rule.is_identity()
            && upper.is_identity()
    }

    /// The longest prefix by one binary search per component of `path`.
    fn search(&self, path: &[u8]) -> Option<&Rule> {
        let mut end = path.len().min(self.longest);
        if path.get(end).is_some_and(|byte| *byte != b'/') {
            end = last_slash(path, end)?;
        }
        loop {
            let candidate = path.get(..end)?;
            let found = self
                .rules
                .binary_search_by(|rule| rule.prefix.as_slice().cmp(candidate));
            if let Ok(at) = found {
                return self.rules.get(at).filter(|rule| rule.prefix != b"/");
            }
            end = last_slash(path, end)?;
        }
    }

    /// The rule for a path that none but `/` owns.
    fn top(&self, path: &[u8]) -> &Rule {
        if self.system.owns(path) {
            return &self.system;
        }
        // There always is a first rule: `new` refuses a map without `/`.
        self.rules.first().unwrap_or(&self.system)
    }
}

/// Whether `path` is `prefix` or below it, by whole components.
pub(crate) fn at_or_below(path: &[u8], prefix: &[u8]) -> bool {
    below_or_at(path, prefix).is_some()
}

/// What follows `prefix` in `path`, if `path` is `prefix` or below it by whole components.
/// For the prefix `/` that is all of a path that starts with a slash.
fn below_or_at<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    if prefix == b"/" {
        return path.first().filter(|byte| **byte == b'/').map(|_| path);
    }
    // The byte behind the prefix is looked at first: it rules out most without a comparison.
    match path.get(prefix.len()) {
        Some(b'/') => path.strip_prefix(prefix),
        Some(_) => None,
        None => (path == prefix).then_some(b""),
    }
}

/// `base` with `rest`, which is empty or starts with a slash, below it.
fn graft(base: &[u8], rest: &[u8]) -> Vec<u8> {
    match (base, rest) {
        (b"/", b"") => b"/".to_vec(),
        (b"/", rest) => rest.to_vec(),
        (base, rest) => [base, rest].concat(),
    }
}

fn only_slashes(path: &[u8]) -> bool {
    path.iter().all(|byte| *byte == b'/')
}

/// Where the last slash before `end` is, if that leaves anything in front of it.
fn last_slash(path: &[u8], end: usize) -> Option<usize> {
    let slash = path.get(..end)?.iter().rposition(|byte| *byte == b'/')?;
    (slash > 0).then_some(slash)
}
