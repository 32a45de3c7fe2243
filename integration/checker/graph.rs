//! What must come before what, as a graph without a pair too many.
//!
//! An order in which every member precedes all later ones is a row of points: each member leads to
//! its own point, each point to the next one and to the next member. So a cycle visits as few
//! operations as there are reasons in it, and a million operations need a few million edges.

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "numbers of nodes are made here and fit; this is where the time goes"
)]

use std::ops::Range;

use super::Step;
use super::history::{Flaw, History, Malformed, Operation, Outcome};
use super::order::{Order, Somebody, Writer};

/// Why an operation of a cycle comes before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Hop {
    /// Its client issued it earlier.
    Program,
    /// The next read what it wrote.
    WriteRead,
    /// Both wrote the same node.
    WriteWriteNode,
    /// Both are updates of one ensemble.
    WriteWriteEnsemble,
    /// The next replaced what it read.
    ReadWrite,
    /// It returned before the next began.
    RealTime,
}

/// Operations, then updates by somebody, then points.
#[derive(Debug)]
pub(super) struct Graph {
    operations: usize,
    /// Below this a node is an operation, from it on a point.
    steps: usize,
    somebody: Vec<Somebody>,
    reads: Vec<bool>,
    starts: Vec<u32>,
    targets: Vec<u32>,
    program: Range<usize>,
    zxid: Range<usize>,
    node: Range<usize>,
}

/// Edges in the making.
struct Draft {
    nodes: usize,
    edges: Vec<(u32, u32)>,
}

impl Draft {
    fn edge(&mut self, from: usize, to: usize) {
        self.edges.push((from as u32, to as u32));
    }

    /// The next point of a row.
    fn point(&mut self, last: Option<usize>) -> usize {
        let point = self.nodes;
        self.nodes += 1;
        if let Some(last) = last {
            self.edge(last, point);
        }
        point
    }

    /// A row whose members each precede all later ones.
    fn row(&mut self, members: impl IntoIterator<Item = usize>) {
        let mut last = None;
        for member in members {
            if let Some(last) = last {
                self.edge(last, member);
            }
            let point = self.point(last);
            self.edge(member, point);
            last = Some(point);
        }
    }
}

impl Graph {
    /// Draws all edges, or says which line contradicts another.
    pub(super) fn of(history: &History, order: &Order) -> Result<Self, Malformed> {
        let operations = history.operations.len();
        let steps = operations + order.somebody.len();
        let most = operations
            .checked_mul(8)
            .and_then(|n| u32::try_from(n).ok());
        if most.is_none() {
            return Err(Malformed {
                line: operations,
                what: Flaw::TooMany,
            });
        }
        let mut draft = Draft {
            nodes: steps,
            edges: Vec::with_capacity(operations * 7),
        };
        program_order(history, &mut draft)?;
        let program = steps..draft.nodes;
        zxid_order(history, order, &mut draft)?;
        let zxid = program.end..draft.nodes;
        node_order(operations, order, &mut draft);
        let node = zxid.end..draft.nodes;
        real_time(history, order, &mut draft);
        let (starts, targets) = packed(draft.nodes, &draft.edges);
        Ok(Self {
            operations,
            steps,
            somebody: order.somebody.clone(),
            reads: history
                .operations
                .iter()
                .map(|op| !op.kind.is_update())
                .collect(),
            starts,
            targets,
            program,
            zxid,
            node,
        })
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where edges lead from a node.
    pub(super) fn next(&self, node: usize) -> &[u32] {
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// Whether a node is an operation and no mere point.
    pub(super) fn is_step(&self, node: usize) -> bool {
        node < self.steps
    }

    /// Whether a node reads: only these can be old, and nearly every cycle has one.
    pub(super) fn is_read(&self, node: usize) -> bool {
        self.reads.get(node).is_some_and(|&reads| reads)
    }

    /// What a node stands for.
    pub(super) fn step(&self, node: usize) -> Step {
        match node.checked_sub(self.operations) {
            None => Step::Operation(node),
            Some(nth) => Step::Somebody {
                key: self.somebody[nth].key,
                version: self.somebody[nth].version,
            },
        }
    }

    /// Why `from` precedes the step reached from it by way of `point`.
    pub(super) fn hop(&self, from: usize, point: usize) -> Hop {
        if self.is_step(point) {
            Hop::WriteRead
        } else if self.program.contains(&point) {
            Hop::Program
        } else if self.zxid.contains(&point) {
            Hop::WriteWriteEnsemble
        } else if !self.node.contains(&point) {
            Hop::RealTime
        } else if self.is_read(from) {
            Hop::ReadWrite
        } else {
            Hop::WriteWriteNode
        }
    }
}

fn program_order(history: &History, draft: &mut Draft) -> Result<(), Malformed> {
    let operations = &history.operations;
    let mut sorted: Vec<usize> = (0..operations.len()).collect();
    sorted.sort_by_key(|&id| (operations[id].client, operations[id].index));
    for pair in sorted.windows(2) {
        let (before, op) = (&operations[pair[0]], &operations[pair[1]]);
        if before.client == op.client {
            if before.index == op.index {
                return Err(op.malformed(Flaw::SameIndex(before.line)));
            }
            if op.invoked < before.invoked {
                return Err(op.malformed(Flaw::TimeGoesBackwards(before.line)));
            }
        }
    }
    for of_client in sorted.chunk_by(|&a, &b| operations[a].client == operations[b].client) {
        let mut last = None;
        for &id in of_client {
            if let Some(last) = last {
                draft.edge(last, id);
            }
            // What was given up may happen at any later time.
            if operations[id].outcome != Outcome::Unknown {
                let point = draft.point(last);
                draft.edge(id, point);
                last = Some(point);
            }
        }
    }
    Ok(())
}

fn zxid_order(history: &History, order: &Order, draft: &mut Draft) -> Result<(), Malformed> {
    let operations = &history.operations;
    let of_history = operations.iter().enumerate().filter_map(|(id, op)| {
        let zxid = match op.outcome {
            Outcome::Ok if op.kind.is_update() => op.zxid,
            Outcome::Unknown => order.happened.get(&id).copied().flatten(),
            Outcome::Ok | Outcome::Failed => None,
        };
        Some((op.ensemble, zxid?, id, op.line))
    });
    let of_somebody = order
        .somebody
        .iter()
        .enumerate()
        .filter_map(|(nth, by)| Some((by.ensemble, by.zxid?, operations.len() + nth, by.line)));
    let mut updates: Vec<(u32, i64, usize, usize)> = of_history.chain(of_somebody).collect();
    updates.sort_unstable();
    for pair in updates.windows(2) {
        let ((ensemble, zxid, _, other), (of, same, _, line)) = (pair[0], pair[1]);
        if (ensemble, zxid) == (of, same) {
            let what = Flaw::SameZxid { zxid, other };
            return Err(Malformed { line, what });
        }
    }
    for of_ensemble in updates.chunk_by(|a, b| a.0 == b.0) {
        draft.row(of_ensemble.iter().map(|&(_, _, id, _)| id));
    }
    Ok(())
}

fn node_order(operations: usize, order: &Order, draft: &mut Draft) {
    for node in &order.nodes {
        let writers: Vec<usize> = node
            .writers
            .iter()
            .map(|writer| match *writer {
                Writer::Operation(id) => id,
                Writer::Somebody(nth) => operations + nth,
            })
            .collect();
        // A point ahead of the first update, for reads that found nothing.
        let first = draft.point(None);
        let mut points = vec![first];
        let mut last = first;
        for &writer in &writers {
            draft.edge(last, writer);
            last = draft.point(Some(last));
            draft.edge(writer, last);
            points.push(last);
        }
        for &(read, saw) in &node.reads {
            draft.edge(read, points[saw]);
            if let Some(nth) = saw.checked_sub(1) {
                draft.edge(writers[nth], read);
            }
        }
    }
}

fn real_time(history: &History, order: &Order, draft: &mut Draft) {
    let happened = |(id, op): &(usize, &Operation)| match op.outcome {
        Outcome::Ok => op.kind.is_update(),
        Outcome::Unknown => order.happened.contains_key(id),
        Outcome::Failed => false,
    };
    let updates = history.operations.iter().enumerate().filter(happened);
    // At one instant what begins comes first: what returned just then was not before it.
    let mut moments: Vec<(u64, bool, usize)> = Vec::new();
    for (id, op) in updates {
        moments.push((op.invoked, false, id));
        if let (Outcome::Ok, Some(returned)) = (op.outcome, op.returned) {
            moments.push((returned, true, id));
        }
    }
    moments.sort_unstable();
    let mut last = None;
    for (_, returns, id) in moments {
        if returns {
            let point = draft.point(last);
            draft.edge(id, point);
            last = Some(point);
        } else if let Some(last) = last {
            draft.edge(last, id);
        }
    }
}

/// Edges sorted by where they start.
fn packed(nodes: usize, edges: &[(u32, u32)]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; nodes + 1];
    for &(from, _) in edges {
        starts[from as usize + 1] += 1;
    }
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    let mut at = starts.clone();
    let mut targets = vec![0u32; edges.len()];
    for &(from, to) in edges {
        targets[at[from as usize] as usize] = to;
        at[from as usize] += 1;
    }
    (starts, targets)
}
