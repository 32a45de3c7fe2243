//! OSC(U) by its definition: try every total order and carry it out. For a handful of operations.

use std::collections::{BTreeMap, BTreeSet};

use super::super::history::{History, Kind, Operation, Outcome};

/// A node that exists: version, zxid and value, as far as they are known.
type State = (i32, Option<i64>, Option<u32>);

#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    placed: u64,
    nodes: BTreeMap<(u32, u32), State>,
    zxids: BTreeMap<u32, i64>,
}

/// Whether some order of all operations, of unknown ones as many as one likes, explains them.
pub(super) fn is_osc(history: &History) -> bool {
    let operations = &history.operations;
    assert!(operations.len() < 60);
    // What an unknown update wrote is known from who read it.
    let zxid_of = |value: Option<u32>| {
        let seen = |op: &&Operation| op.kind == Kind::Read && op.value == value;
        value.and_then(|_| operations.iter().find(seen)?.zxid)
    };
    let mut seen = BTreeSet::new();
    let mut open = vec![World::default()];
    while let Some(world) = open.pop() {
        let left = |id: usize| world.placed & (1 << id) == 0;
        let done = |(id, op): (usize, &Operation)| !left(id) || op.outcome == Outcome::Unknown;
        if operations.iter().enumerate().all(done) {
            return true;
        }
        for (id, op) in operations.iter().enumerate().filter(|&(id, _)| left(id)) {
            let blocks = |(other, before): (usize, &Operation)| {
                let program = before.client == op.client
                    && before.index < op.index
                    && before.outcome != Outcome::Unknown;
                let real_time = before.outcome == Outcome::Ok
                    && before.kind.is_update()
                    && op.kind.is_update()
                    && op.outcome != Outcome::Failed
                    && before.returned.unwrap() < op.invoked;
                other != id && left(other) && (program || real_time)
            };
            if operations.iter().enumerate().any(blocks) {
                continue;
            }
            let zxid = op.zxid.or_else(|| zxid_of(op.value));
            let mut next = world.clone();
            next.placed |= 1 << id;
            if carry_out(op, zxid, &mut next) && seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    false
}

/// Does what the operation did, if it can have done so here.
fn carry_out(op: &Operation, zxid: Option<i64>, world: &mut World) -> bool {
    if op.outcome == Outcome::Failed || op.kind == Kind::Sync {
        return true;
    }
    let node = (op.ensemble, op.key);
    let state = world.nodes.get(&node).copied();
    if op.kind.is_update()
        && let Some(zxid) = zxid
        && world
            .zxids
            .insert(op.ensemble, zxid)
            .is_some_and(|last| last >= zxid)
    {
        return false;
    }
    let same = |a: Option<i64>, b: Option<i64>| a.is_none() || b.is_none() || a == b;
    let version = match (op.kind, state) {
        (Kind::Create, None) => 0,
        (Kind::Write, Some((version, ..))) => version + 1,
        (Kind::Delete, Some(_)) => {
            world.nodes.remove(&node);
            return true;
        }
        (Kind::Read, None) => return op.version.is_none(),
        (Kind::Read, Some((version, made, value))) => {
            return op.version == Some(version)
                && same(made, op.zxid)
                && same(value.map(i64::from), op.value.map(i64::from));
        }
        _ => return false,
    };
    world.nodes.insert(node, (version, zxid, op.value));
    op.outcome == Outcome::Unknown || op.version == Some(version)
}
