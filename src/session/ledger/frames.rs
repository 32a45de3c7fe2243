//! The setWatches that arm again: grouped by what was seen, cut to size.

use super::{Armed, Lists};
use crate::wire::opcode::OpCode;
use crate::wire::request;
use crate::wire::{Xid, Zxid};

/// Bytes of paths in one setWatches: what the Java client sends at most.
pub(super) const CHUNK: usize = 128 * 1024;

/// Zxids watches are grouped under when a client arms them again. Past that many, watches share
/// the smallest of a group, which may report a change twice and never hides one.
pub(super) const GROUPS: usize = 1000;

/// A setWatches for each zxid that a client which reconnects has seen last of its watches. What
/// its leg's zxid says would not do: events may have been written to its dead connection. A watch
/// nothing is known of is reported if anything ever changed.
pub(in crate::session) fn by_what_was_seen(
    xid: Xid,
    lists: &[Vec<Vec<u8>>],
    before: &Armed,
) -> Vec<Vec<u8>> {
    let mut watches: Vec<(Zxid, usize, &Vec<u8>)> = lists
        .iter()
        .enumerate()
        .flat_map(|(list, paths)| paths.iter().map(move |path| (list, path)))
        .map(|(list, path)| {
            let seen = before.get(list).and_then(|armed| armed.get(path)).copied();
            (seen.unwrap_or_default(), list, path)
        })
        .collect();
    watches.sort();
    let distinct = watches.chunk_by(|a, b| a.0 == b.0).count();
    let per_group = watches.len().div_ceil(GROUPS).max(1);
    let mut frames = Vec::new();
    let mut group = |watches: &[(Zxid, usize, &Vec<u8>)]| {
        let Some((since, ..)) = watches.first() else {
            return;
        };
        let named = watches
            .iter()
            .map(|(_, list, path)| (*list, (*path).clone()))
            .collect();
        frames.extend(chunks(named).map(|lists| frame(xid, *since, &lists)));
    };
    if distinct <= GROUPS {
        watches.chunk_by(|a, b| a.0 == b.0).for_each(&mut group);
    } else {
        watches.chunks(per_group).for_each(&mut group);
    }
    frames
}

/// Splits watches into lists whose paths fit into one frame.
pub(super) fn chunks(watches: Vec<(usize, Vec<u8>)>) -> impl Iterator<Item = Lists> {
    let mut all = watches.into_iter().peekable();
    std::iter::from_fn(move || {
        all.peek()?;
        let mut lists = Lists::default();
        let mut bytes = 0;
        while let Some((list, path)) =
            all.next_if(|(_, path)| bytes == 0 || bytes + path.len() <= CHUNK)
        {
            bytes += path.len() + 4;
            if let Some(list) = lists.get_mut(list) {
                list.push(path);
            }
        }
        Some(lists)
    })
}

/// The request that arms these watches.
pub(in crate::session) fn frame(xid: Xid, since: Zxid, lists: &Lists) -> Vec<u8> {
    let op = operation(lists);
    let used = if op == OpCode::SetWatches {
        3
    } else {
        lists.len()
    };
    request::set_watches(xid, op, since.0, lists.get(..used).unwrap_or_default())
}

/// A setWatches, or a setWatches2 where only that will do: servers before 3.6 do not know it.
pub(in crate::session) const fn operation(lists: &Lists) -> OpCode {
    let [.., persistent, recursive] = lists;
    if persistent.is_empty() && recursive.is_empty() {
        OpCode::SetWatches
    } else {
        OpCode::SetWatches2
    }
}
