//! What can be wrong with a route map.

use std::collections::BTreeMap;

use super::{EnsembleId, Rule, SYSTEM, below_or_at};

/// One line as it was written: prefix, ensemble, root.
pub type Entry = (Vec<u8>, EnsembleId, Option<Vec<u8>>);

/// Why a route map cannot be used; entries are named by their index in the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteFault {
    /// Some paths would have no ensemble.
    #[error("no entry for `/`")]
    NoTop,
    /// A prefix that no path can have.
    #[error("prefix of entry {entry} {fault}")]
    Prefix {
        /// Whose.
        entry: usize,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// A root that no node can have.
    #[error("root of entry {entry} {fault}")]
    Root {
        /// Whose.
        entry: usize,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// Two answers for one path.
    #[error("entry {entry} has the prefix of entry {first}")]
    Duplicate {
        /// The later one.
        entry: usize,
        /// The earlier one.
        first: usize,
    },
    /// One node of an ensemble with two client paths, so that events could not be translated.
    #[error("entries {first} and {entry} lead to overlapping subtrees of one ensemble")]
    Overlap {
        /// The later one.
        entry: usize,
        /// The earlier one.
        first: usize,
    },
}

/// Why a path cannot be a prefix or a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Not even a slash.
    #[error("is empty")]
    Empty,
    /// Relative.
    #[error("does not start with `/`")]
    Relative,
    /// ZooKeeper has no such node, and the prefix would own nothing.
    #[error("ends with `/`")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("has an empty component (`//`)")]
    EmptyComponent,
    /// `.` or `..`.
    #[error("has a component `.` or `..`")]
    Dots,
    /// A character that ZooKeeper refuses in names.
    #[error("contains U+{:04X}, which ZooKeeper refuses in names", u32::from(*.0))]
    Character(char),
    /// Not text.
    #[error("is not UTF-8")]
    NotText,
    /// The name of a sequential node: it would be made by whoever owns the parent.
    #[error("ends in ten digits, as the names of sequential nodes do")]
    Sequential,
    /// ZooKeeper's own subtree.
    #[error("is ZooKeeper's own, which is always home's under its own name")]
    System,
}

/// Everything that is wrong, in the order of the entries.
pub(super) fn faults(entries: &[Entry]) -> Vec<RouteFault> {
    let mut faults = Vec::new();
    let mut first_with = BTreeMap::new();
    let mut sound = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let (prefix, _, root) = entry;
        let before = faults.len();
        if let Err(fault) = check_prefix(prefix) {
            faults.push(RouteFault::Prefix {
                entry: index,
                fault,
            });
        }
        if let Some(Err(fault)) = root.as_deref().map(check_path) {
            faults.push(RouteFault::Root {
                entry: index,
                fault,
            });
        }
        let first = *first_with.entry(prefix).or_insert(index);
        if first != index {
            faults.push(RouteFault::Duplicate {
                entry: index,
                first,
            });
        }
        if faults.len() == before {
            sound.push((index, Rule::new(entry.clone())));
        }
    }
    if !first_with.keys().any(|prefix| *prefix == b"/") {
        faults.push(RouteFault::NoTop);
    }
    faults.extend(overlaps(&sound));
    faults
}

/// Each rule with the first one whose subtree it overlaps.
///
/// Sorted by ensemble and component, a subtree is followed by all that lies in it, so only those
/// that are still open have to be compared, not all with all.
fn overlaps(rules: &[(usize, Rule)]) -> Vec<RouteFault> {
    let mut sorted: Vec<&(usize, Rule)> = rules.iter().collect();
    sorted.sort_by(|(_, a), (_, b)| {
        let order = a.ensemble.cmp(&b.ensemble);
        order.then_with(|| components(a.real_root()).cmp(components(b.real_root())))
    });
    let mut faults = Vec::new();
    let mut above: Vec<&(usize, Rule)> = Vec::new();
    for rule in sorted {
        above.retain(|upper| {
            upper.1.ensemble == rule.1.ensemble
                && below_or_at(rule.1.real_root(), upper.1.real_root()).is_some()
        });
        let clash = above
            .iter()
            .find(|upper| !(upper.1.is_identity() && rule.1.is_identity()));
        if let Some(upper) = clash {
            faults.push(RouteFault::Overlap {
                entry: upper.0.max(rule.0),
                first: upper.0.min(rule.0),
            });
        }
        above.push(rule);
    }
    faults
}

fn check_prefix(prefix: &[u8]) -> Result<(), PathFault> {
    check_path(prefix)?;
    let digits = prefix.iter().rev().take_while(|byte| byte.is_ascii_digit());
    if digits.count() >= 10 {
        return Err(PathFault::Sequential);
    }
    Ok(())
}

/// ZooKeeper's own rules for the name of a node (`PathUtils.validatePath`), and `/zookeeper`.
fn check_path(path: &[u8]) -> Result<(), PathFault> {
    match path {
        b"" => return Err(PathFault::Empty),
        b"/" => return Ok(()),
        [b'/', .., b'/'] => return Err(PathFault::TrailingSlash),
        [b'/', ..] => {}
        [..] => return Err(PathFault::Relative),
    }
    for component in components(path) {
        match component {
            b"" => return Err(PathFault::EmptyComponent),
            b"." | b".." => return Err(PathFault::Dots),
            _ => {}
        }
    }
    let text = std::str::from_utf8(path).map_err(|_| PathFault::NotText)?;
    if let Some(refused) = text.chars().find(|c| !is_allowed(*c)) {
        return Err(PathFault::Character(refused));
    }
    if below_or_at(path, SYSTEM).is_some() {
        return Err(PathFault::System);
    }
    Ok(())
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    // The root has no component, where a split of nothing would yield an empty one.
    let some = (!path.is_empty()).then(|| path.split(|byte| *byte == b'/'));
    some.into_iter().flatten()
}

/// Java's characters are 16 bits wide: what is above them arrives as surrogates, which are refused.
fn is_allowed(c: char) -> bool {
    !matches!(
        c,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{10000}'..
    )
}
