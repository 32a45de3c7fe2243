//! Whether what the clients know so far fits into one order: OSC(U), decided exactly.
//!
//! Each write writes a byte of its own and the ensembles' logs say in which order they were made,
//! so nothing has to be guessed. An order as the guarantee wants it exists if and only if there is
//! no cycle of these:
//!
//! | what comes before | what | because |
//! | --- | --- | --- |
//! | an operation | a later one of the same client | program order |
//! | a write | the next one of the same ensemble | write-write |
//! | a write | a read that saw it | write-read |
//! | a read | the write of that znode behind the one it saw | read-write |
//! | a write | one that was asked for after it had returned | real time |
//!
//! A write of unknown outcome that is in a log comes after what its client knew before it, and
//! before nothing; one that is in none did not happen. A `sync` binds nothing here: it says nothing
//! about any znode, and real time is promised between updates only.

use super::history::{Asked, Outcome, Written};
use super::scenario::{Ask, ENSEMBLES};
use super::world::World;
use zoonet::route::EnsembleId;

/// An operation of a cycle: a client, and which of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) client: usize,
    pub(crate) index: usize,
}

impl Place {
    fn of(written: Written) -> Self {
        let (client, index) = written.by();
        Self { client, index }
    }
}

/// Operations of which each must come before the next, and the last before the first.
pub(crate) fn cycle(world: &World) -> Option<Vec<Place>> {
    Graph::of(world).cycle()
}

/// The operations that happened, and what each must come before.
struct Graph {
    places: Vec<Place>,
    after: Vec<Vec<usize>>,
}

impl Graph {
    fn of(world: &World) -> Self {
        let logs = ENSEMBLES.map(|ensemble| log(world, ensemble));
        let made = |place: Place| logs.iter().flatten().any(|written| *written == place);
        let mut places = Vec::new();
        for (client, asks) in world.clients.iter().enumerate() {
            for (index, asked) in asks.asked.iter().enumerate() {
                let place = Place { client, index };
                if is_known(asked) || made(place) {
                    places.push(place);
                }
            }
        }
        let after = vec![Vec::new(); places.len()];
        let mut graph = Self { places, after };
        graph.bind_programs(world);
        for log in &logs {
            graph.bind_log(log);
        }
        graph.bind_reads(world, &logs);
        graph
    }

    fn bind(&mut self, before: Place, after: Place) {
        let at = |place| self.places.iter().position(|known| *known == place);
        if let (Some(before), Some(after)) = (at(before), at(after)) {
            self.after[before].push(after);
        }
    }

    /// Program order, and real time.
    fn bind_programs(&mut self, world: &World) {
        let places = self.places.clone();
        for later in &places {
            let asked = &world.clients[later.client].asked[later.index];
            for earlier in &places {
                let before = &world.clients[earlier.client].asked[earlier.index];
                let programmed = earlier.client == later.client && earlier.index < later.index;
                let written = Written::new(earlier.client, earlier.index);
                let returned = asked.after & written.bit() != 0;
                if (programmed && is_known(before)) || returned {
                    self.bind(*earlier, *later);
                }
            }
        }
    }

    /// The order of an ensemble's writes.
    fn bind_log(&mut self, log: &[Place]) {
        for pair in log.windows(2) {
            self.bind(pair[0], pair[1]);
        }
    }

    /// Where reads stand among the writes of their znodes.
    fn bind_reads(&mut self, world: &World, logs: &[Vec<Place>]) {
        for place in self.places.clone() {
            let asked = &world.clients[place.client].asked[place.index];
            let (Ask::Read(znode), Outcome::Read(source)) = (asked.ask, asked.outcome) else {
                continue;
            };
            let same = |write: &&Place| {
                world.clients[write.client].asked[write.index].ask.znode() == znode
            };
            let mut writes = logs.iter().flatten().filter(same);
            if let Some(seen) = source.map(Place::of) {
                self.bind(seen, place);
                writes.find(|written| **written == seen);
            }
            if let Some(next) = writes.next() {
                self.bind(place, *next);
            }
        }
    }

    /// A shortest cycle.
    fn cycle(&self) -> Option<Vec<Place>> {
        let cycles = (0..self.places.len()).filter_map(|start| self.cycle_from(start));
        let shortest = cycles.min_by_key(Vec::len)?;
        Some(shortest.into_iter().map(|at| self.places[at]).collect())
    }

    /// A shortest one through this operation.
    fn cycle_from(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.places.len()];
        let mut front = vec![start];
        while !front.is_empty() {
            let mut next = Vec::new();
            for at in front {
                for to in &self.after[at] {
                    if *to == start {
                        let back = std::iter::successors(Some(at), |at| came_from[*at]);
                        let mut way: Vec<usize> = back.collect();
                        way.reverse();
                        return Some(way);
                    }
                    if came_from[*to].is_none() {
                        came_from[*to] = Some(at);
                        next.push(*to);
                    }
                }
            }
            front = next;
        }
        None
    }
}

/// Whether its client knows that it happened, and what came of it.
fn is_known(asked: &Asked) -> bool {
    match asked.outcome {
        Outcome::Read(_) => true,
        Outcome::Done => matches!(asked.ask, Ask::Write(_)),
        Outcome::Waiting | Outcome::Lost | Outcome::Refused => false,
    }
}

/// The writes of an ensemble, in order.
fn log(world: &World, ensemble: EnsembleId) -> Vec<Place> {
    world.ensembles[ensemble.index()]
        .written()
        .filter_map(Written::read)
        .map(Place::of)
        .collect()
}
