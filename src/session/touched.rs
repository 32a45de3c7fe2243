//! Which paths this client has used, as far as it takes to tell whether a change of the route map
//! concerns it.
//!
//! Kept are the first two components of each path: enough to tell most routes apart, and few.
//! Where that cannot tell, or there are too many, the client counts as concerned: it is
//! disconnected without need, which it survives, rather than left with a path that has moved.

mod beginning;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use crate::route::at_or_below;
use beginning::Extent;
pub(super) use beginning::{Beginning, Edges};

/// How many are kept.
const MOST: usize = 256;

/// Bytes of the longest that is kept.
const LONGEST: usize = 1024;

/// How many beginnings are known without a search.
const RECENT: usize = 4;

/// The beginnings of the paths used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Touched {
    beginnings: BTreeSet<Vec<u8>>,
    everything: bool,
    recent: Recent,
}

/// How the last paths begin, the very last first: most requests stay there, or come back soon. Only
/// a short way to what is known, so that sessions which differ in this are the same.
#[derive(Clone, Debug, Default)]
struct Recent(Vec<Beginning>);

impl PartialEq for Recent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Recent {}

impl Hash for Recent {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Touched {
    /// Takes note of a path.
    #[inline]
    pub(super) fn note(&mut self, path: &[u8]) {
        if self.shared(path).is_none() {
            self.note_another(path);
        }
    }

    /// How the path noted last begins, if this one begins so too: then nothing has to be noted of
    /// it.
    #[inline]
    pub(super) fn shared(&self, path: &[u8]) -> Option<&Beginning> {
        self.recent
            .0
            .first()
            .filter(|beginning| beginning.holds(path))
    }

    #[inline(never)]
    fn note_another(&mut self, path: &[u8]) {
        let recent = &mut self.recent.0;
        if let Some(at) = recent.iter().position(|known| known.holds(path)) {
            if let Some(up_to_it) = recent.get_mut(..=at) {
                up_to_it.rotate_right(1);
            }
            return;
        }
        let end = end_of_beginning(path);
        let beginning = end.and_then(|end| path.get(..end)).unwrap_or(path);
        if beginning.len() > LONGEST {
            self.everything = true;
            recent.clear();
            return;
        }
        let mut reused = if recent.len() < RECENT {
            Beginning::default()
        } else {
            recent.pop().unwrap_or_default()
        };
        match end.and_then(|end| path.get(..=end)) {
            Some(start) => reused.become_that_of(start, Extent::All),
            None => reused.become_that_of(path, Extent::One),
        }
        recent.insert(0, reused);
        if !self.everything && !self.beginnings.contains(beginning) {
            self.everything = self.beginnings.len() >= MOST;
            self.beginnings.insert(beginning.to_vec());
        }
    }

    /// Whether a path at or below `prefix` may have been used.
    pub(super) fn any_below(&self, prefix: &[u8]) -> bool {
        let within = |known: &Vec<u8>| {
            let stands_for_more = known.iter().filter(|byte| **byte == b'/').count() > 1;
            at_or_below(known, prefix) || (stands_for_more && at_or_below(prefix, known))
        };
        self.everything || self.beginnings.iter().any(within)
    }
}

/// Where the first two components end, if there are more.
fn end_of_beginning(path: &[u8]) -> Option<usize> {
    let mut slashes = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    slashes.nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_told_from_what_was_not() {
        let mut touched = Touched::default();
        for path in ["/", "/app/one/deep/er", "/eu"] {
            touched.note(path.as_bytes());
        }
        for (prefix, expected) in [
            ("/app", true),
            ("/app/one", true),
            ("/app/one/x", true),
            ("/app/two", false),
            ("/eu", true),
            ("/eu/x", false),
            ("/other", false),
            ("/", true),
        ] {
            assert_eq!(touched.any_below(prefix.as_bytes()), expected, "{prefix}");
        }
    }

    #[test]
    fn a_path_too_long_to_be_kept_counts_as_all() {
        let mut touched = Touched::default();
        touched.note(&vec![b'x'; LONGEST + 1]);
        assert!(touched.recent.0.is_empty());
        assert!(touched.any_below(b"/never"));
    }

    #[test]
    fn what_is_shared_is_shared_with_the_path_noted_last() {
        let mut touched = Touched::default();
        assert!(touched.shared(b"").is_none());
        touched.note(b"/a/b/c");
        assert!(touched.shared(b"/a/b/d").is_some());
        for other in ["/a/b", "/a/c/b", "/a/b2/c"] {
            assert!(touched.shared(other.as_bytes()).is_none(), "{other}");
        }
        let long = [b"/".as_slice(), &[b'x'; LONGEST]].concat();
        touched.note(&long);
        assert!(touched.shared(&long).is_none(), "it is not kept");
        assert!(touched.shared(b"/a/b/d").is_none(), "it is not the last");
        touched.note(b"/a");
        assert!(touched.shared(b"/a").is_some_and(Beginning::is_one_path));
        assert!(touched.shared(b"/a/b/c").is_none());
    }

    #[test]
    fn of_many_paths_the_last_few_are_known_without_a_search() {
        let mut touched = Touched::default();
        let paths = [
            "/a/b/c", "/a/b", "/a/d/c", "/e", "/f/g/h", "/i", "/f/g/h", "/e",
        ];
        let mut used: Vec<&str> = Vec::new();
        for path in paths.iter().chain(&paths).chain(paths.iter().rev()) {
            touched.note(path.as_bytes());
            used.retain(|other| other != path);
            used.insert(0, path);
            for other in paths {
                let shared = touched.shared(other.as_bytes());
                assert_eq!(shared.is_some(), other == *path, "{other} behind {path}");
                let known = touched.any_below(other.as_bytes());
                assert!(known || !used.contains(&other), "{other}");
            }
            let recent = touched.recent.0.iter();
            let last = used.iter().take(RECENT);
            assert!(
                recent
                    .zip(last)
                    .all(|(known, path)| known.holds(path.as_bytes()))
            );
            assert_eq!(touched.recent.0.len(), used.len().min(RECENT));
        }
        assert!(!touched.any_below(b"/i/j") && !touched.any_below(b"/a/e"));
    }

    #[test]
    fn too_many_paths_count_as_all() {
        let mut touched = Touched::default();
        for index in 0..=MOST {
            touched.note(format!("/x{index}").as_bytes());
        }
        assert!(touched.any_below(b"/never"));
    }
}
