//! Who wrote what: the updates of each node in their order, and the source of each read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::history::{Flaw, History, Kind, Malformed, Operation, Outcome};

/// An update in the order of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// By its place in the history.
    Operation(usize),
    /// By its place in [`Order::somebody`].
    Somebody(usize),
}

/// A version that one of several updates of unknown outcome wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Somebody {
    pub(super) ensemble: u32,
    pub(super) key: u32,
    pub(super) version: i32,
    pub(super) zxid: Option<i64>,
    /// The line that shows it.
    pub(super) line: usize,
}

/// What is known about one node.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Its updates as they happened.
    pub(super) writers: Vec<Writer>,
    /// Reads, each with how many of `writers` precede what it saw.
    pub(super) reads: Vec<(usize, usize)>,
}

/// All that versions and zxids tell.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) nodes: Vec<Node>,
    pub(super) somebody: Vec<Somebody>,
    /// Updates of unknown outcome that did happen, with their zxid if it is known.
    pub(super) happened: BTreeMap<usize, Option<i64>>,
    pub(super) undecided: usize,
    pub(super) given_up: usize,
    pub(super) unplaced: usize,
}

impl Order {
    /// Orders the updates of all nodes, or says which line cannot be.
    pub(super) fn of(history: &History) -> Result<Self, Malformed> {
        let mut order = Self::default();
        let mut places: HashMap<(u32, u32), usize> = HashMap::new();
        let mut nodes: Vec<Vec<(usize, &Operation)>> = Vec::new();
        for (id, op) in history.operations.iter().enumerate() {
            if op.outcome == Outcome::Failed || op.kind == Kind::Sync {
                continue;
            }
            let place = *places.entry((op.ensemble, op.key)).or_insert_with(|| {
                nodes.push(Vec::new());
                nodes.len() - 1
            });
            if let Some(node) = nodes.get_mut(place) {
                node.push((id, op));
            }
        }
        for operations in nodes {
            let node = Slots::of(&operations)?.into_node(&operations, &mut order)?;
            order.nodes.push(node);
        }
        let undecided = |op: &&Operation| op.kind.is_update() && op.outcome == Outcome::Unknown;
        order.undecided = history.operations.iter().filter(undecided).count();
        order.given_up = order.undecided - order.happened.len();
        Ok(order)
    }
}

/// What identifies a state of a node: its version while it is never deleted, else the zxid alone.
type Mark = i64;

/// One state of a node, as told by all who wrote or saw it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    writer: Option<usize>,
    deletes: bool,
    version: i32,
    zxid: Option<i64>,
    value: Option<u32>,
    /// The line that told first.
    line: usize,
}

/// How often a node came to be, and so what identifies its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lives {
    /// It is never deleted: versions tell everything.
    One,
    /// It is deleted once and stays so: versions tell, but absence was before or after.
    OneThatEnds,
    /// Only zxids tell.
    Many,
}

/// The states of one node.
#[derive(Debug)]
struct Slots {
    lives: Lives,
    slots: BTreeMap<Mark, Slot>,
    /// The delete that ends the only life of the node, and its line.
    last: Option<(usize, usize)>,
    /// Updates that are ok and have no place.
    unplaced: usize,
}

impl Slots {
    fn of(operations: &[(usize, &Operation)]) -> Result<Self, Malformed> {
        let count = |kind| {
            let of_kind = |(_, op): &&(usize, &Operation)| op.kind == kind;
            operations.iter().filter(of_kind).count()
        };
        let lives = match (count(Kind::Delete), count(Kind::Create)) {
            (0, _) => Lives::One,
            (1, 1) => Lives::OneThatEnds,
            _ => Lives::Many,
        };
        let mut slots = Self {
            lives,
            slots: BTreeMap::new(),
            last: None,
            unplaced: 0,
        };
        for &(id, op) in operations {
            if op.outcome != Outcome::Ok || !op.kind.is_update() {
                continue;
            }
            if op.kind == Kind::Delete && lives == Lives::OneThatEnds {
                slots.last = Some((id, op.line));
            } else if slots.mark(op).is_some() {
                slots.write(id, op)?;
            } else {
                slots.unplaced += 1;
            }
        }
        for &(_, op) in operations {
            if op.outcome == Outcome::Ok && op.kind == Kind::Read && op.version.is_some() {
                slots.see(op)?;
            }
        }
        slots.name_writers(operations)?;
        let found: BTreeSet<usize> = slots.slots.values().filter_map(|s| s.writer).collect();
        let lost = |&(id, op): &(usize, &Operation)| {
            op.outcome == Outcome::Unknown && !found.contains(&id)
        };
        if lives != Lives::Many {
            slots.in_step()?;
        } else if slots.unplaced == 0 && !operations.iter().any(lost) {
            slots.no_gaps()?;
        }
        Ok(slots)
    }

    fn mark(&self, op: &Operation) -> Option<Mark> {
        match self.lives {
            Lives::One | Lives::OneThatEnds => op.version.map(Mark::from),
            Lives::Many => op.zxid,
        }
    }

    fn write(&mut self, id: usize, op: &Operation) -> Result<(), Malformed> {
        let Some(mark) = self.mark(op) else {
            return Ok(());
        };
        let version = op.version.unwrap_or(-1);
        let slot = Slot {
            writer: Some(id),
            deletes: op.kind == Kind::Delete,
            version,
            zxid: op.zxid,
            value: op.value,
            line: op.line,
        };
        let Some(earlier) = self.slots.insert(mark, slot) else {
            return Ok(());
        };
        let other = earlier.line;
        Err(op.malformed(match op.zxid {
            Some(zxid) if self.lives == Lives::Many => Flaw::SameZxid { zxid, other },
            _ => Flaw::SameVersion { version, other },
        }))
    }

    fn see(&mut self, op: &Operation) -> Result<(), Malformed> {
        let (Some(mark), Some(version)) = (self.mark(op), op.version) else {
            return Ok(());
        };
        let slot = self.slots.entry(mark).or_insert(Slot {
            writer: None,
            deletes: false,
            version,
            zxid: op.zxid,
            value: op.value,
            line: op.line,
        });
        let other = slot.line;
        if slot.version != version || slot.deletes {
            return Err(op.malformed(Flaw::NobodyWrote(version)));
        }
        if slot.zxid.is_some() && op.zxid.is_some_and(|zxid| slot.zxid != Some(zxid)) {
            let zxid = op.zxid.unwrap_or_default();
            return Err(op.malformed(Flaw::OtherZxid {
                version,
                zxid,
                other,
            }));
        }
        if slot.value.is_some() && op.value.is_some() && slot.value != op.value {
            return Err(op.malformed(Flaw::OtherValue { version, other }));
        }
        slot.zxid = slot.zxid.or(op.zxid);
        slot.value = slot.value.or(op.value);
        Ok(())
    }

    /// Finds the updates of unknown outcome that wrote what no other did.
    fn name_writers(&mut self, operations: &[(usize, &Operation)]) -> Result<(), Malformed> {
        let unknown = |kind| {
            operations
                .iter()
                .filter(move |(_, op)| op.outcome == Outcome::Unknown && op.kind == kind)
                .map(|(id, op)| (*id, op.value))
        };
        let mut creates: BTreeMap<usize, Option<u32>> = unknown(Kind::Create).collect();
        let mut writes: BTreeMap<usize, Option<u32>> = unknown(Kind::Write).collect();
        if self.lives != Lives::Many {
            self.fill_gaps(writes.len())?;
        }
        let values = unknown(Kind::Create).chain(unknown(Kind::Write));
        let by_value: HashMap<u32, usize> = values
            .filter_map(|(id, value)| Some((value?, id)))
            .collect();
        for slot in self.slots.values_mut().filter(|slot| slot.writer.is_none()) {
            let Some(&id) = slot.value.and_then(|value| by_value.get(&value)) else {
                continue;
            };
            let of_its_kind = if slot.version == 0 {
                &mut creates
            } else {
                &mut writes
            };
            // Twice the same value, or one of the wrong kind: left open, and too few below.
            if of_its_kind.remove(&id).is_some() {
                slot.writer = Some(id);
            }
        }
        self.settle(&creates, Kind::Create)?;
        self.settle(&writes, Kind::Write)
    }

    /// What is still open can have been written by these only: by the last one left, or by
    /// somebody, but not by nobody.
    fn settle(
        &mut self,
        candidates: &BTreeMap<usize, Option<u32>>,
        kind: Kind,
    ) -> Result<(), Malformed> {
        if self.unplaced > 0 {
            return Ok(());
        }
        let is_open = |slot: &&mut Slot| {
            slot.writer.is_none() && (slot.version == 0) == (kind == Kind::Create)
        };
        let mut open: Vec<&mut Slot> = self.slots.values_mut().filter(is_open).collect();
        for (nth, slot) in open.iter().enumerate() {
            let fits = |value: &Option<u32>| {
                slot.value.is_none() || value.is_none() || slot.value == *value
            };
            if nth >= candidates.len() || !candidates.values().any(fits) {
                return Err(Malformed {
                    line: slot.line,
                    what: Flaw::NobodyWrote(slot.version),
                });
            }
        }
        if let ([slot], 1, Some((&id, _))) = (
            &mut open[..],
            candidates.len(),
            candidates.first_key_value(),
        ) {
            slot.writer = Some(id);
        }
        Ok(())
    }

    /// Versions below the highest one were all written, by an update of unknown outcome if need be.
    fn fill_gaps(&mut self, spare: usize) -> Result<(), Malformed> {
        let mut missing: Vec<(Mark, usize)> = Vec::new();
        let mut next: Mark = 0;
        for (&mark, slot) in &self.slots {
            while next < mark {
                missing.push((next, slot.line));
                // One more for the creation; the count is judged again by who is left.
                if missing.len() > spare + 1 {
                    let seen_only = slot.writer.is_none();
                    let version = if seen_only { mark } else { next };
                    return Err(Malformed {
                        line: slot.line,
                        what: Flaw::NobodyWrote(i32::try_from(version).unwrap_or(i32::MAX)),
                    });
                }
                next += 1;
            }
            next = mark + 1;
        }
        // What was deleted had been created.
        if let (0, Some((_, line))) = (next, self.last) {
            missing.push((0, line));
        }
        for (mark, line) in missing {
            let slot = Slot {
                writer: None,
                deletes: false,
                version: i32::try_from(mark).unwrap_or(i32::MAX),
                zxid: None,
                value: None,
                line,
            };
            self.slots.insert(mark, slot);
        }
        Ok(())
    }

    /// In a single life zxids rise with the versions.
    fn in_step(&self) -> Result<(), Malformed> {
        let mut last: Option<(i64, usize)> = None;
        for slot in self.slots.values() {
            let Some(zxid) = slot.zxid else {
                continue;
            };
            if let Some((_, other)) = last.filter(|&(before, _)| before >= zxid) {
                return Err(Malformed {
                    line: slot.line,
                    what: Flaw::OutOfStep(other),
                });
            }
            last = Some((zxid, slot.line));
        }
        Ok(())
    }

    /// Where each update of a node of several lives is known, each follows from the one before.
    fn no_gaps(&self) -> Result<(), Malformed> {
        let mut before: Option<Slot> = None;
        for slot in self.slots.values() {
            let absent = before.is_none_or(|before| before.deletes);
            let follows = match before {
                _ if slot.deletes => !absent,
                _ if slot.version == 0 => absent,
                Some(before) => !absent && slot.version.checked_sub(1) == Some(before.version),
                None => false,
            };
            if !follows {
                let other = before.map_or(slot.line, |before| before.line);
                return Err(Malformed {
                    line: slot.line,
                    what: Flaw::OutOfStep(other),
                });
            }
            before = Some(*slot);
        }
        Ok(())
    }

    fn into_node(
        self,
        operations: &[(usize, &Operation)],
        order: &mut Order,
    ) -> Result<Node, Malformed> {
        let mut node = Node::default();
        let mut position: BTreeMap<Mark, usize> = BTreeMap::new();
        let unknown: BTreeMap<usize, &Operation> = operations
            .iter()
            .filter(|(_, op)| op.outcome == Outcome::Unknown)
            .copied()
            .collect();
        let (ensemble, key) = operations
            .first()
            .map_or((0, 0), |(_, op)| (op.ensemble, op.key));
        for (&mark, slot) in &self.slots {
            node.writers.push(if let Some(id) = slot.writer {
                if unknown.contains_key(&id) {
                    order.happened.insert(id, slot.zxid);
                }
                Writer::Operation(id)
            } else {
                order.unplaced += 1;
                order.somebody.push(Somebody {
                    ensemble,
                    key,
                    version: slot.version,
                    zxid: slot.zxid,
                    line: slot.line,
                });
                Writer::Somebody(order.somebody.len() - 1)
            });
            position.insert(mark, node.writers.len());
        }
        node.writers
            .extend(self.last.map(|(id, _)| Writer::Operation(id)));
        order.unplaced += self.unplaced;
        if self.lives == Lives::Many {
            // Some of them may have to have happened: not found out.
            let open = |id: &&usize| !order.happened.contains_key(id);
            order.unplaced += unknown.keys().filter(open).count();
        }
        for &(id, op) in operations {
            if op.outcome != Outcome::Ok || op.kind != Kind::Read {
                continue;
            }
            let place = match op.version {
                Some(_) => self.mark(op).and_then(|mark| position.get(&mark).copied()),
                None => (self.lives == Lives::One).then_some(0),
            };
            match place {
                Some(place) => node.reads.push((id, place)),
                None => order.unplaced += 1,
            }
        }
        Ok(node)
    }
}
