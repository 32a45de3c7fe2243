//! Which paths this client has used, as far as it takes to tell whether a change of the route map
//! concerns it.
//!
//! Kept are the first two components of each path: enough to tell most routes apart, and few.
//! Where that cannot tell, or there are too many, the client counts as concerned: it is
//! disconnected without need, which it survives, rather than left with a path that has moved.

use std::collections::BTreeSet;

use crate::route::at_or_below;

/// How many are kept.
const MOST: usize = 256;

/// Bytes of the longest that is kept.
const LONGEST: usize = 1024;

/// The beginnings of the paths used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Touched {
    beginnings: BTreeSet<Vec<u8>>,
    /// What is kept of the path used last: most requests stay where the one before was.
    last: Vec<u8>,
    known_by: KnownBy,
    everything: bool,
}

/// How to know a path that begins as the one used last did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum KnownBy {
    /// No way: none was used yet.
    #[default]
    Nothing,
    /// It starts with two components and a slash.
    Start,
    /// It is the same path.
    All,
}

impl Touched {
    /// Takes note of a path.
    #[inline]
    pub(super) fn note(&mut self, path: &[u8]) {
        let start = match self.known_by {
            KnownBy::Nothing => None,
            KnownBy::Start => path.get(..self.last.len()),
            KnownBy::All => Some(path),
        };
        let known = start.is_some_and(|start| equal(start, &self.last));
        if !known {
            self.note_another(path);
        }
    }

    #[inline(never)]
    fn note_another(&mut self, path: &[u8]) {
        let end = end_of_beginning(path);
        let beginning = end.and_then(|end| path.get(..end)).unwrap_or(path);
        if beginning.len() > LONGEST {
            self.everything = true;
            return;
        }
        let (last, known_by) = match end.and_then(|end| path.get(..=end)) {
            Some(start) => (start, KnownBy::Start),
            None => (path, KnownBy::All),
        };
        self.known_by = known_by;
        self.last.clear();
        self.last.extend_from_slice(last);
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

/// Whether these are the same bytes. Most beginnings are so short that the call of a function costs
/// more than the look at their first and last bytes.
#[inline]
fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8..=16 => ends::<8>(one) == ends(other),
        17..=32 => ends::<16>(one) == ends(other),
        _ => whole(one, other),
    }
}

#[inline]
const fn ends<const N: usize>(bytes: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (bytes.first_chunk(), bytes.last_chunk())
}

#[cold]
#[inline(never)]
fn whole(one: &[u8], other: &[u8]) -> bool {
    one == other
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
    fn beginnings_of_all_lengths_are_told_apart() {
        for length in 0..70 {
            let one = vec![b'a'; length];
            assert!(equal(&one, &one.clone()));
            assert!(!equal(&one, &vec![b'a'; length + 1]));
            for at in 0..length {
                let mut other = one.clone();
                other[at] = b'b';
                assert!(!equal(&one, &other), "{length} bytes, other at {at}");
            }
        }
    }

    #[test]
    fn a_path_too_long_to_be_kept_counts_as_all() {
        let mut touched = Touched::default();
        touched.note(&vec![b'x'; LONGEST + 1]);
        assert_eq!(touched.known_by, KnownBy::Nothing);
        assert!(touched.any_below(b"/never"));
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
