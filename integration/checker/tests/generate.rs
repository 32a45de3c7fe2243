//! Histories by chance: good ones with their mutants, and small ones of any kind.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use fastrand::Rng;
use serde_json::{Map, Value};

/// A line of a history.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) client: String,
    pub(super) index: u64,
    pub(super) invoke: u64,
    pub(super) returned: Option<u64>,
    pub(super) ensemble: String,
    pub(super) key: String,
    pub(super) kind: String,
    pub(super) outcome: String,
    pub(super) version: Option<i32>,
    pub(super) zxid: Option<i64>,
    pub(super) value: Option<String>,
}

impl Row {
    fn is_read(&self) -> bool {
        self.kind == "read"
    }

    /// Lets a read see what that update wrote.
    fn sees(&mut self, written: &Self) {
        self.version = written.version;
        self.zxid = written.zxid;
        self.value.clone_from(&written.value);
    }
}

/// As the checker reads it.
pub(super) fn json(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut line = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            line.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("client", Some(row.client.clone().into()));
        put("index", Some(row.index.into()));
        put("invoke", Some(row.invoke.into()));
        put("return", row.returned.map(Value::from));
        put("ensemble", Some(row.ensemble.clone().into()));
        put("key", Some(row.key.clone().into()));
        put("kind", Some(row.kind.clone().into()));
        put("outcome", Some(row.outcome.clone().into()));
        put("version", row.version.map(Value::from));
        put("zxid", row.zxid.map(Value::from));
        put("value", row.value.clone().map(Value::from));
        text += &Value::Object(line).to_string();
        text.push('\n');
    }
    text
}

/// Two ensembles whose updates are carried out one after the other.
#[derive(Default)]
struct Ensembles {
    zxids: BTreeMap<String, i64>,
    nodes: BTreeMap<String, Row>,
}

impl Ensembles {
    /// Completes an update, or says that it fails.
    fn update(&mut self, row: &mut Row) -> bool {
        let version = match (&*row.kind, self.nodes.get(&row.key)) {
            ("create", None) => Some(0),
            ("write", Some(node)) => node.version.map(|version| version + 1),
            ("delete", Some(_)) => None,
            _ => return false,
        };
        let zxid = self.zxids.entry(row.ensemble.clone()).or_default();
        *zxid += 1;
        row.zxid = Some(*zxid);
        row.version = version;
        if version.is_some() {
            self.nodes.insert(row.key.clone(), row.clone());
        } else {
            self.nodes.remove(&row.key);
        }
        true
    }
}

/// An OSC(U) history: a total order, carried out, in which each update has its moment between
/// invocation and return, while reads may return long after what they saw was replaced.
pub(super) fn good(rng: &mut Rng, operations: usize) -> Vec<Row> {
    let small = operations < 20;
    let clients = if small { 3 } else { 20 };
    let keys = if small { 1 } else { 10 };
    let mut world = Ensembles::default();
    let mut invoked = vec![0; clients];
    let mut issued = vec![0; clients];
    let mut rows: Vec<Row> = Vec::new();
    for moment in (1..).map(|n: u64| n * 100) {
        if rows.len() == operations {
            break;
        }
        let client = rng.usize(..clients);
        if invoked[client] > moment {
            continue;
        }
        let ensemble = if rng.bool() { "us" } else { "eu" };
        let key = format!("{ensemble}/{}", rng.usize(..keys));
        let exists = world.nodes.contains_key(&key);
        let reads = rng.bool();
        let kind = match (reads, exists) {
            (true, _) => "read",
            (false, true) => "write",
            (false, false) => "create",
        };
        let begin = if reads {
            moment + rng.u64(..300)
        } else {
            moment - rng.u64(..100)
        };
        let begin = begin.max(invoked[client]);
        let mut row = Row {
            client: format!("c{client}"),
            index: issued[client],
            invoke: begin,
            returned: Some(begin.max(moment) + rng.u64(..300)),
            ensemble: ensemble.to_owned(),
            key,
            kind: kind.to_owned(),
            outcome: "ok".to_owned(),
            version: None,
            zxid: None,
            value: (!reads).then(|| format!("v{}", rows.len())),
        };
        if reads {
            if let Some(node) = world.nodes.get(&row.key) {
                row.sees(&node.clone());
            }
        } else {
            world.update(&mut row);
        }
        invoked[client] = begin;
        issued[client] += 1;
        rows.push(row);
    }
    // The order of the file says nothing.
    if small {
        rng.shuffle(&mut rows);
    }
    rows
}

/// A way to spoil a history; says whether it found a place for it.
pub(super) struct Mutation {
    pub(super) name: &'static str,
    pub(super) apply: fn(&mut Rng, &mut [Row]) -> bool,
}

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "reads of a client lag behind",
        apply: lag,
    },
    Mutation {
        name: "two reads of a node are swapped",
        apply: swap_reads,
    },
    Mutation {
        name: "a read sees an older version",
        apply: |rng, rows| see_other(rng, rows, -1),
    },
    Mutation {
        name: "a read sees a newer version",
        apply: |rng, rows| see_other(rng, rows, 1),
    },
    Mutation {
        name: "two operations of a client are swapped",
        apply: swap_operations,
    },
    Mutation {
        name: "an update happens much later than it was answered",
        apply: shift_update,
    },
    Mutation {
        name: "two updates of an ensemble swap their zxids",
        apply: swap_zxids,
    },
];

/// Any place of which the second row fits the first.
fn pair(rng: &mut Rng, rows: &[Row], fits: impl Fn(&Row, &Row) -> bool) -> Option<(usize, usize)> {
    for _ in 0..50 {
        let (a, from) = (rng.usize(..rows.len()), rng.usize(..rows.len()));
        let mut places = (from..rows.len()).chain(0..from);
        if let Some(b) = places.find(|&b| a != b && fits(&rows[a], &rows[b])) {
            return Some((a, b));
        }
    }
    None
}

/// As without a barrier: from some operation on, what a client reads of an ensemble is as it was
/// before its last few updates.
fn lag(rng: &mut Rng, rows: &mut [Row]) -> bool {
    let mut changed = false;
    let reads = |a: &Row, b: &Row| a.is_read() && !b.is_read() && a.ensemble == b.ensemble;
    let Some((read, _)) = pair(rng, rows, reads) else {
        return false;
    };
    let (client, ensemble) = (rows[read].client.clone(), rows[read].ensemble.clone());
    let from = rows[read].index;
    let writes: Vec<Row> = rows.iter().filter(|row| !row.is_read()).cloned().collect();
    for row in rows.iter_mut() {
        let affected = row.is_read() && row.client == client && row.ensemble == ensemble;
        if !affected || !(from..from + 10).contains(&row.index) {
            continue;
        }
        let Some(version) = row.version.and_then(|version| version.checked_sub(2)) else {
            continue;
        };
        let old = |write: &&Row| write.key == row.key && write.version == Some(version);
        if let Some(old) = writes.iter().find(old) {
            row.sees(old);
            changed = true;
        }
    }
    changed
}

fn swap_reads(rng: &mut Rng, rows: &mut [Row]) -> bool {
    let fits =
        |a: &Row, b: &Row| a.is_read() && b.is_read() && a.key == b.key && a.version != b.version;
    let Some((a, b)) = pair(rng, rows, fits) else {
        return false;
    };
    let (one, two) = (rows[a].clone(), rows[b].clone());
    rows[a].sees(&two);
    rows[b].sees(&one);
    true
}

fn see_other(rng: &mut Rng, rows: &mut [Row], by: i32) -> bool {
    let fits = |a: &Row, b: &Row| {
        a.is_read()
            && !b.is_read()
            && a.key == b.key
            && b.version == Some(a.version.unwrap_or(-1) + by)
    };
    let Some((read, write)) = pair(rng, rows, fits) else {
        return false;
    };
    let written = rows[write].clone();
    rows[read].sees(&written);
    true
}

fn swap_operations(rng: &mut Rng, rows: &mut [Row]) -> bool {
    let fits = |a: &Row, b: &Row| a.client == b.client && a.index + 1 == b.index;
    let Some((a, b)) = pair(rng, rows, fits) else {
        return false;
    };
    let (one, two) = (rows[a].clone(), rows[b].clone());
    rows[a].index = two.index;
    rows[b].index = one.index;
    (rows[a].invoke, rows[b].invoke) = (two.invoke, one.invoke);
    (rows[a].returned, rows[b].returned) = (two.returned, one.returned);
    true
}

/// Moves the last operation of some client, an update, so that all had returned before.
fn shift_update(rng: &mut Rng, rows: &mut [Row]) -> bool {
    let end = rows.iter().filter_map(|row| row.returned).max().unwrap();
    let fits = |a: &Row, b: &Row| !a.is_read() && a.client != b.client;
    let Some((a, _)) = pair(rng, rows, fits) else {
        return false;
    };
    let (client, from) = (rows[a].client.clone(), rows[a].index);
    for row in rows.iter_mut() {
        if row.client == client && row.index >= from {
            row.invoke += end;
            row.returned = row.returned.map(|returned| returned + end);
        }
    }
    true
}

fn swap_zxids(rng: &mut Rng, rows: &mut [Row]) -> bool {
    let fits = |a: &Row, b: &Row| {
        !a.is_read() && !b.is_read() && a.ensemble == b.ensemble && a.key != b.key
    };
    // Small histories have one node each: any two updates then.
    let any = |a: &Row, b: &Row| !a.is_read() && !b.is_read() && a.ensemble == b.ensemble;
    let Some((a, b)) = pair(rng, rows, fits).or_else(|| pair(rng, rows, any)) else {
        return false;
    };
    let (one, two) = (rows[a].zxid, rows[b].zxid);
    let ensemble = rows[a].ensemble.clone();
    for row in rows.iter_mut().filter(|row| row.ensemble == ensemble) {
        row.zxid = match row.zxid {
            zxid if zxid == one => two,
            zxid if zxid == two => one,
            zxid => zxid,
        };
    }
    true
}

/// A few operations of which updates were carried out in some order, and reads saw anything.
pub(super) fn any(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Row>> {
    let mut world = Ensembles::default();
    let mut issued: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
    let mut states: Vec<Row> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..u.int_in_range(2..=9)? {
        let client = u.int_in_range(0..=2u8)?;
        let (index, invoked) = issued.entry(client).or_default();
        let now = u64::from(u.int_in_range(0..=3u8)?);
        *invoked = (*invoked).max(number) + now;
        let ensemble = (*u.choose(&["us", "eu"])?).to_owned();
        let key = format!("{ensemble}/{}", u.choose(&["a", "a", "b"])?);
        let exists = world.nodes.contains_key(&key);
        let kind = match (u.int_in_range(0..=9u8)?, exists) {
            (0..=4, _) => "read",
            (5, true) => "delete",
            (_, true) => "write",
            (_, false) => "create",
        };
        let mut row = Row {
            client: format!("c{client}"),
            index: *index,
            invoke: *invoked,
            returned: Some(*invoked + u64::from(u.int_in_range(0..=6u8)?)),
            ensemble,
            key,
            kind: kind.to_owned(),
            outcome: "ok".to_owned(),
            version: None,
            zxid: None,
            value: None,
        };
        *index += 1;
        if row.is_read() {
            rows.push(row);
            continue;
        }
        row.value = Some(format!("v{number}"));
        match u.int_in_range(0..=7u8)? {
            // Unknown, and it did not happen.
            0 => row.outcome = "unknown".to_owned(),
            // Unknown, and it did.
            1 => {
                world.update(&mut row);
                states.push(row.clone());
                row.outcome = "unknown".to_owned();
                (row.version, row.zxid) = (None, None);
            }
            2 => row.outcome = "failed".to_owned(),
            _ => {
                world.update(&mut row);
                states.push(row.clone());
            }
        }
        rows.push(row);
    }
    states.retain(|state| state.kind != "delete");
    look(u, &states, &mut rows)?;
    Ok(rows)
}

/// Lets each read see any state of its node, or none, or once in a while what cannot be.
fn look(u: &mut Unstructured<'_>, states: &[Row], rows: &mut [Row]) -> arbitrary::Result<()> {
    for row in rows.iter_mut().filter(|row| row.is_read()) {
        let of_key: Vec<&Row> = states.iter().filter(|state| state.key == row.key).collect();
        if !of_key.is_empty() && u.int_in_range(0..=3u8)? > 0 {
            row.sees(u.choose(&of_key)?);
        }
        if u.int_in_range(0..=30u8)? == 0 {
            row.version = Some(3);
        }
    }
    Ok(())
}
