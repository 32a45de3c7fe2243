//! Paths that are told from others by how they begin, with few comparisons.

/// How some paths begin, of which no more is kept than of one of them.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Beginning {
    start: Vec<u8>,
    extent: Extent,
}

/// Which paths these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that start so.
    #[default]
    All,
    /// This one.
    One,
}

impl Beginning {
    /// Makes it another one, in the memory that it has.
    pub(super) fn become_that_of(&mut self, start: &[u8], extent: Extent) {
        self.start.clear();
        self.start.extend_from_slice(start);
        self.extent = extent;
    }

    /// What they start with: two components and a slash, unless it is one path.
    #[inline]
    pub(in super::super) fn start(&self) -> &[u8] {
        &self.start
    }

    #[inline]
    pub(in super::super) fn is_one_path(&self) -> bool {
        self.extent == Extent::One
    }

    /// Whether a path is one of these.
    #[inline]
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        let start = match self.extent {
            Extent::All => path.get(..self.start.len()),
            Extent::One => Some(path),
        };
        start.is_some_and(|start| equal(start, &self.start))
    }

    /// How to tell these paths by comparing so many bytes twice; `None` where the start is shorter
    /// than that, or longer than both together.
    #[inline]
    pub(in super::super) fn edges<const N: usize>(&self) -> Option<Edges<N>> {
        let start_of_last = self.start.len().checked_sub(N)?;
        (start_of_last <= N).then_some(Edges {
            first: *self.start.first_chunk()?,
            last: *self.start.last_chunk()?,
            start_of_last,
            longest: match self.extent {
                Extent::All => usize::MAX,
                Extent::One => self.start.len(),
            },
        })
    }
}

/// The first and the last bytes of what some paths start with; together they are all of it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Edges<const N: usize> {
    first: [u8; N],
    last: [u8; N],
    start_of_last: usize,
    longest: usize,
}

impl<const N: usize> Edges<N> {
    /// Whether a path is one of these.
    #[inline]
    pub(in super::super) fn hold(&self, path: &[u8]) -> bool {
        let last = path.get(self.start_of_last..);
        path.len() <= self.longest
            && path.first_chunk() == Some(&self.first)
            && last.and_then(<[u8]>::first_chunk) == Some(&self.last)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
