//! Finds a cycle, and then one with as few operations as possible.

#![expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "numbers of nodes are the graph's; this is where the time goes"
)]

use std::collections::VecDeque;

use super::graph::{Graph, Hop};

/// How many edges the search for a short cycle looks at before it is content.
const EFFORT: usize = 100_000_000;
const NEVER: u32 = u32::MAX;

/// A cycle: each step with why it precedes the next.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) hops: Vec<(usize, Hop)>,
    /// Whether all others were looked at too.
    pub(super) shortest: bool,
}

/// A shortest cycle, if there is any.
pub(super) fn shortest(graph: &Graph) -> Option<Search> {
    let (component, sizes) = components(graph);
    let mut starts: Vec<usize> = (0..graph.len())
        .filter(|&node| graph.is_step(node) && sizes[component[node] as usize] > 1)
        .collect();
    // Small knots first, and in them reads: what they find bounds the search in the large ones.
    starts.sort_by_key(|&node| {
        let component = component[node];
        (sizes[component as usize], component, !graph.is_read(node))
    });
    let mut walk = Walk::new(graph, &component);
    let mut best: Option<Vec<(usize, Hop)>> = None;
    for start in starts {
        let bound = best.as_ref().map_or(NEVER, |best| best.len() as u32);
        // Nothing comes before itself, so two is the least.
        if bound == 2 {
            break;
        }
        if walk.effort > EFFORT && best.is_some() {
            let hops = best?;
            return Some(Search {
                hops,
                shortest: false,
            });
        }
        if let Some(shorter) = walk.round(start, bound) {
            best = Some(shorter);
        }
    }
    best.map(|hops| Search {
        hops,
        shortest: true,
    })
}

/// A search by breadth where only arriving at an operation counts.
struct Walk<'a> {
    graph: &'a Graph,
    component: &'a [u32],
    distance: Vec<u32>,
    parent: Vec<u32>,
    touched: Vec<usize>,
    effort: usize,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, component: &'a [u32]) -> Self {
        Self {
            graph,
            component,
            distance: vec![NEVER; graph.len()],
            parent: vec![NEVER; graph.len()],
            touched: Vec::new(),
            effort: 0,
        }
    }

    /// The shortest way from a step back to it, if shorter than `bound`.
    fn round(&mut self, start: usize, bound: u32) -> Option<Vec<(usize, Hop)>> {
        for node in self.touched.drain(..) {
            self.distance[node] = NEVER;
        }
        let mut queue = VecDeque::from([start]);
        self.distance[start] = 0;
        self.touched.push(start);
        let mut done_at = VecDeque::from([0u32]);
        while let (Some(node), Some(at)) = (queue.pop_front(), done_at.pop_front()) {
            if at > self.distance[node] {
                continue;
            }
            for &to in self.graph.next(node) {
                let to = to as usize;
                self.effort += 1;
                if self.component[to] != self.component[start] {
                    continue;
                }
                let counts = u32::from(self.graph.is_step(to));
                let far = at + counts;
                if far >= bound {
                    continue;
                }
                if to == start {
                    return Some(self.way(start, node));
                }
                if far >= self.distance[to] {
                    continue;
                }
                self.distance[to] = far;
                self.parent[to] = node as u32;
                self.touched.push(to);
                if counts == 0 {
                    queue.push_front(to);
                    done_at.push_front(far);
                } else {
                    queue.push_back(to);
                    done_at.push_back(far);
                }
            }
        }
        None
    }

    /// The steps from `start` to `last`, which leads to `start` again.
    fn way(&self, start: usize, last: usize) -> Vec<(usize, Hop)> {
        let mut hops = Vec::new();
        let (mut node, mut point) = (last, start);
        loop {
            // `point` is what follows `node`; the last point before the next step names the reason.
            let reason = if self.graph.is_step(node) && self.graph.is_step(point) {
                point
            } else {
                node
            };
            let by = reason;
            while !self.graph.is_step(node) {
                node = self.parent[node] as usize;
            }
            hops.push((node, self.graph.hop(node, by)));
            if node == start {
                break;
            }
            point = node;
            node = self.parent[node] as usize;
        }
        hops.reverse();
        hops
    }
}

/// The strongly connected component of each node, and how many nodes each has (Tarjan, without
/// recursion).
fn components(graph: &Graph) -> (Vec<u32>, Vec<u32>) {
    let nodes = graph.len();
    let mut component = vec![NEVER; nodes];
    let mut sizes = Vec::new();
    let mut number = vec![NEVER; nodes];
    let mut low = vec![0u32; nodes];
    let mut open = Vec::new();
    let mut calls: Vec<(usize, usize)> = Vec::new();
    let mut next_number = 0u32;
    for root in 0..nodes {
        if number[root] != NEVER {
            continue;
        }
        calls.push((root, 0));
        while let Some((node, edge)) = calls.pop() {
            if edge == 0 {
                number[node] = next_number;
                low[node] = next_number;
                next_number += 1;
                open.push(node);
            }
            if let Some(&to) = graph.next(node).get(edge) {
                let to = to as usize;
                calls.push((node, edge + 1));
                if number[to] == NEVER {
                    calls.push((to, 0));
                } else if component[to] == NEVER {
                    low[node] = low[node].min(number[to]);
                }
                continue;
            }
            if let Some(&(caller, _)) = calls.last() {
                low[caller] = low[caller].min(low[node]);
            }
            if low[node] == number[node] {
                let id = sizes.len() as u32;
                let mut size = 0;
                while let Some(member) = open.pop() {
                    component[member] = id;
                    size += 1;
                    if member == node {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
    }
    (component, sizes)
}
