//! A violation for people: in words, as DOT and as SVG.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::graph::Hop;
use super::history::{Kind, Operation};
use super::{Step, Violation};

/// Distances of the drawing.
const LEFT: usize = 110;
const COLUMN: usize = 210;
const ROW: usize = 110;
const BOX: (usize, usize) = (170, 44);

impl fmt::Display for Violation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "not OSC(U): no order of all operations has these {} in it, as each must come before \
             the next and the last before the first{}",
            self.steps.len(),
            if self.shortest {
                ""
            } else {
                " (there may be a shorter cycle)"
            }
        )?;
        for (nth, &(step, hop)) in self.steps.iter().enumerate() {
            let next = (nth + 1) % self.steps.len().max(1);
            writeln!(f, "{:>4}. {}", nth + 1, self.sentence(step))?;
            let reason = match hop {
                Hop::Program => "and only then, in the order of the same client:",
                Hop::WriteRead => "which was read by:",
                Hop::WriteWriteNode => "and a later version of that node is what was written by:",
                Hop::WriteWriteEnsemble => "with a lower zxid of the same ensemble than:",
                Hop::ReadWrite => "although it does not show, and so must come before:",
                Hop::RealTime => "and had been answered before the beginning of:",
            };
            writeln!(f, "        {reason} ({})", next + 1)?;
        }
        Ok(())
    }
}

impl Violation<'_> {
    /// The cycle for graphviz.
    pub(crate) fn dot(&self) -> String {
        let mut dot = String::from("digraph violation {\n  node [shape=box];\n");
        for (nth, &(step, hop)) in self.steps.iter().enumerate() {
            let next = (nth + 1) % self.steps.len();
            let [who, what] = self.label(step).map(|text| text.replace('"', "'"));
            let _ = writeln!(dot, "  n{nth} [label=\"{who}\\n{what}\"];");
            let _ = writeln!(dot, "  n{nth} -> n{next} [label=\"{}\"];", name(hop));
        }
        dot + "}\n"
    }

    /// The cycle as a drawing: a row for each client, time from left to right.
    pub(crate) fn svg(&self) -> String {
        let mut rows: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        let mut columns: Vec<(u64, usize)> = Vec::new();
        for (nth, &(step, _)) in self.steps.iter().enumerate() {
            let op = self.operation(step);
            let row = rows.len();
            rows.entry(op.map(|op| op.client)).or_insert(row);
            columns.push((op.map_or(0, |op| op.invoked), nth));
        }
        columns.sort_unstable();
        let column: BTreeMap<usize, usize> = columns
            .iter()
            .enumerate()
            .map(|(column, &(_, nth))| (nth, column))
            .collect();
        let place = |nth: usize| {
            let step = self.steps.get(nth).map(|&(step, _)| step);
            let client = step
                .and_then(|step| self.operation(step))
                .map(|op| op.client);
            let x = LEFT + column.get(&nth).copied().unwrap_or_default() * COLUMN;
            (x, 40 + rows.get(&client).copied().unwrap_or_default() * ROW)
        };
        let (width, height) = (LEFT + self.steps.len() * COLUMN, 40 + rows.len() * ROW);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<defs><marker id=\"tip\" refX=\"9\" \
             refY=\"4\" markerWidth=\"9\" markerHeight=\"8\" orient=\"auto\"><path \
             d=\"M0,0 L9,4 L0,8 z\" fill=\"#b00\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for (client, row) in &rows {
            let y = 40 + row * ROW + BOX.1 / 2;
            let name = client.map_or("somebody", |client| self.history.name(client));
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/>\
                 <text x=\"8\" y=\"{y}\" font-weight=\"bold\">{}</text>",
                escaped(name)
            );
        }
        for (nth, &(step, hop)) in self.steps.iter().enumerate() {
            self.draw(&mut svg, step, place(nth));
            arrow(
                &mut svg,
                place(nth),
                place((nth + 1) % self.steps.len()),
                hop,
            );
        }
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String, step: Step, (x, y): (usize, usize)) {
        let [_, what] = self.label(step);
        let when = self
            .operation(step)
            .map_or_else(String::new, |op| self.when(op));
        let (width, height) = BOX;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" \
             fill=\"#eef\" stroke=\"#446\"/><text x=\"{0}\" y=\"{1}\">{2}</text>\
             <text x=\"{0}\" y=\"{3}\" fill=\"#666\" font-size=\"10\">{when}</text>",
            x + 6,
            y + 18,
            escaped(&what),
            y + 35,
        );
    }

    fn operation(&self, step: Step) -> Option<&Operation> {
        match step {
            Step::Operation(id) => self.history.operations.get(id),
            Step::Somebody { .. } => None,
        }
    }

    /// Who, and what in few words.
    fn label(&self, step: Step) -> [String; 2] {
        match step {
            Step::Somebody { key, version } => [
                "somebody".to_owned(),
                format!("write {} v{version}", self.history.name(key)),
            ],
            Step::Operation(id) => {
                self.history
                    .operations
                    .get(id)
                    .map_or_else(Default::default, |op| {
                        let key = self.history.name(op.key);
                        let what = match (op.kind, op.version) {
                            (Kind::Create, _) => format!("create {key}"),
                            (Kind::Delete, _) => format!("delete {key}"),
                            (Kind::Sync, _) => format!("sync {key}"),
                            (Kind::Write, Some(version)) => format!("write {key} v{version}"),
                            (Kind::Write, None) => format!("write {key}"),
                            (Kind::Read, Some(version)) => format!("read {key} v{version}"),
                            (Kind::Read, None) => format!("read {key}: absent"),
                        };
                        [self.history.name(op.client).to_owned(), what]
                    })
            }
        }
    }

    fn sentence(&self, step: Step) -> String {
        let op = match step {
            Step::Operation(id) => self.history.operations.get(id),
            Step::Somebody { key, version } => {
                let key = self.history.name(key);
                return format!("somebody, with unknown outcome, wrote version {version} of {key}");
            }
        };
        let Some(op) = op else {
            return String::new();
        };
        let (client, key) = (self.history.name(op.client), self.history.name(op.key));
        let did = match (op.kind, op.version) {
            (Kind::Create, _) => format!("created {key}"),
            (Kind::Delete, _) => format!("deleted {key}"),
            (Kind::Sync, _) => format!("called sync for {key}"),
            (Kind::Write, Some(version)) => format!("wrote version {version} of {key}"),
            (Kind::Write, None) => format!("wrote {key}, never answered,"),
            (Kind::Read, Some(version)) => format!("read version {version} of {key}"),
            (Kind::Read, None) => format!("found no {key}"),
        };
        let zxid = op
            .zxid
            .map_or_else(String::new, |zxid| format!(", zxid {zxid:#x}"));
        format!(
            "client {client} {did} on {} ({}; line {}, operation {}{zxid})",
            self.history.name(op.ensemble),
            self.when(op),
            op.line,
            op.index,
        )
    }

    /// When, in milliseconds since the history began.
    fn when(&self, op: &Operation) -> String {
        let begin = self.history.operations.iter().map(|op| op.invoked).min();
        let since = |time: u64| {
            let micros = time.saturating_sub(begin.unwrap_or_default()) / 1000;
            format!("{}.{:03}", micros / 1000, micros % 1000)
        };
        match op.returned {
            Some(returned) => format!("{} to {} ms", since(op.invoked), since(returned)),
            None => format!("from {} ms", since(op.invoked)),
        }
    }
}

fn name(hop: Hop) -> &'static str {
    match hop {
        Hop::Program => "program order",
        Hop::WriteRead => "write-read",
        Hop::WriteWriteNode => "write-write",
        Hop::WriteWriteEnsemble => "zxid order",
        Hop::ReadWrite => "read-write",
        Hop::RealTime => "real time",
    }
}

/// An arrow between two boxes, bent a little so that two between the same boxes differ.
fn arrow(svg: &mut String, from: (usize, usize), to: (usize, usize), hop: Hop) {
    let (width, height) = BOX;
    let (x1, y1) = if to.0 >= from.0 {
        (from.0 + width, from.1 + height / 2)
    } else {
        (from.0, from.1 + height / 2)
    };
    let (x2, y2) = if to.0 >= from.0 {
        (to.0, to.1 + height / 2)
    } else {
        (to.0 + width, to.1 + height / 2)
    };
    let bend = if to.0 >= from.0 { 12 } else { 48 };
    let (x, y) = (x1.midpoint(x2), y1.midpoint(y2) + bend);
    let _ = writeln!(
        svg,
        "<path d=\"M{x1},{y1} Q{x},{y} {x2},{y2}\" fill=\"none\" stroke=\"#b00\" \
         marker-end=\"url(#tip)\"/><text x=\"{x}\" y=\"{}\" fill=\"#b00\" font-size=\"10\" \
         text-anchor=\"middle\">{}</text>",
        y + 2,
        name(hop)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
