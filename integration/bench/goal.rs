//! What the figures have to be, and whether they are.

use std::fmt::Write as _;

use super::figures::{Of, Records, Rounds, Spread, divided};
use super::part::{Conditions, is};
use super::table;

/// What is compared.
#[derive(Clone, Copy, Debug)]
enum Measure {
    /// A figure of a variant divided by that of another.
    Ratio(Of<'static>, &'static str),
    /// By how much more a figure grows from 8 sessions to those of the cell than that of another
    /// variant does.
    Loss(Of<'static>, &'static str),
    /// The figure itself.
    Plain(Of<'static>),
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn admits(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// One thing that is to hold in some cells of some parts.
#[derive(Debug)]
struct Goal {
    what: &'static str,
    parts: &'static [&'static str],
    measure: Measure,
    bound: Bound,
    cells: fn(&Conditions) -> bool,
}

const PROXIES: &[&str] = &["instant", "one-core"];

const fn zoonet(figure: &'static str) -> Of<'static> {
    Of {
        variant: "zoonet",
        figure,
    }
}

fn single(conditions: &Conditions) -> bool {
    is(conditions, "depth", 1.0) && is(conditions, "sessions", 1.0)
}

fn pipelined(conditions: &Conditions) -> bool {
    is(conditions, "depth", 100.0)
}

fn crowded(conditions: &Conditions) -> bool {
    is(conditions, "sessions", 1000.0)
}

fn pipelined_by_eight(conditions: &Conditions) -> bool {
    pipelined(conditions) && is(conditions, "sessions", 8.0)
}

fn with_remote_legs(conditions: &Conditions) -> bool {
    is(conditions, "ensembles", 2.0)
}

fn home_only(conditions: &Conditions) -> bool {
    is(conditions, "ensembles", 1.0)
}

const ELIDED: Of<'static> = Of {
    variant: "zoonet-elided",
    figure: "per_second",
};

/// Readers for whom every other burst is a switch.
fn to_and_fro(conditions: &Conditions) -> bool {
    is(conditions, "local", 50.0) && is(conditions, "reads", 99.0)
}

const fn everywhere(_: &Conditions) -> bool {
    true
}

static GOALS: [Goal; 16] = [
    Goal {
        what: "throughput pipelined, of HAProxy's",
        parts: PROXIES,
        measure: Measure::Ratio(zoonet("per_second"), "haproxy"),
        bound: Bound::AtLeast(1.0),
        cells: pipelined,
    },
    Goal {
        what: "processor time pipelined, of HAProxy's",
        parts: PROXIES,
        measure: Measure::Ratio(zoonet("cpu_us"), "haproxy"),
        bound: Bound::AtMost(1.0),
        cells: pipelined,
    },
    Goal {
        what: "processor time pipelined, of the relay's",
        parts: PROXIES,
        measure: Measure::Ratio(zoonet("cpu_us"), "relay"),
        bound: Bound::AtMost(2.0),
        cells: pipelined,
    },
    Goal {
        what: "p50 one at a time, of the relay's",
        parts: PROXIES,
        measure: Measure::Ratio(zoonet("p50_us"), "relay"),
        bound: Bound::AtMost(1.1),
        cells: single,
    },
    Goal {
        what: "p99 one at a time, of the relay's",
        parts: PROXIES,
        measure: Measure::Ratio(zoonet("p99_us"), "relay"),
        bound: Bound::AtMost(1.2),
        cells: single,
    },
    Goal {
        what: "processor time per request, 1000 sessions of 8, of HAProxy's own",
        parts: PROXIES,
        measure: Measure::Loss(zoonet("cpu_us"), "haproxy"),
        bound: Bound::AtMost(1.0),
        cells: crowded,
    },
    Goal {
        what: "throughput pipelined, of direct",
        parts: &["real"],
        measure: Measure::Ratio(zoonet("per_second"), "direct"),
        bound: Bound::AtLeast(0.97),
        cells: pipelined_by_eight,
    },
    Goal {
        what: "first region, of the client-side rule",
        parts: &["paper"],
        measure: Measure::Ratio(zoonet("us_per_second"), "rule"),
        bound: Bound::AtLeast(0.97),
        cells: everywhere,
    },
    Goal {
        what: "second region, of the client-side rule",
        parts: &["paper"],
        measure: Measure::Ratio(zoonet("eu_per_second"), "rule"),
        bound: Bound::AtLeast(0.97),
        cells: everywhere,
    },
    Goal {
        what: "both regions, of the client-side rule",
        parts: &["paper"],
        measure: Measure::Ratio(zoonet("per_second"), "rule"),
        bound: Bound::AtLeast(0.97),
        cells: everywhere,
    },
    Goal {
        what: "both regions with elided barriers, of the client-side rule",
        parts: &["paper"],
        measure: Measure::Ratio(ELIDED, "rule"),
        bound: Bound::AtLeast(1.4),
        cells: to_and_fro,
    },
    Goal {
        what: "both regions with elided barriers, of those without",
        parts: &["paper"],
        measure: Measure::Ratio(ELIDED, "zoonet"),
        bound: Bound::AtLeast(0.97),
        cells: everywhere,
    },
    Goal {
        what: "throughput among neighbours that switch, of alone",
        parts: &["neighbours"],
        measure: Measure::Ratio(
            Of {
                variant: "same-sidecar",
                figure: "per_second",
            },
            "alone",
        ),
        bound: Bound::AtLeast(0.95),
        cells: everywhere,
    },
    Goal {
        what: "MiB of an idle process",
        parts: &["memory"],
        measure: Measure::Plain(zoonet("idle_mib")),
        bound: Bound::AtMost(10.0),
        cells: everywhere,
    },
    Goal {
        what: "KiB per idle session, home only",
        parts: &["memory"],
        measure: Measure::Plain(zoonet("session_kib")),
        bound: Bound::AtMost(8.0),
        cells: home_only,
    },
    Goal {
        what: "KiB per idle session with a remote leg",
        parts: &["memory"],
        measure: Measure::Plain(zoonet("session_kib")),
        bound: Bound::AtMost(16.0),
        cells: with_remote_legs,
    },
];

/// How it stands with one goal in one cell.
#[derive(Debug)]
pub(crate) struct Judgement {
    part: String,
    pub(crate) what: &'static str,
    cell: String,
    bound: Bound,
    pub(crate) spread: Spread,
    /// Rounds that alone would meet the goal, of how many.
    pub(crate) rounds: (usize, usize),
}

impl Judgement {
    /// Whether the median is as it has to be.
    pub(crate) fn is_met(&self) -> bool {
        self.bound.admits(self.spread.median)
    }
}

/// Judges the records of a part.
pub(crate) fn judge(part: &str, records: &Records) -> Vec<Judgement> {
    let mut judged = Vec::new();
    for goal in GOALS.iter().filter(|goal| goal.parts.contains(&part)) {
        for cell in records.cells() {
            if !(goal.cells)(&records.conditions(cell)) {
                continue;
            }
            let values = goal.measure.values(records, cell);
            let met = values.values().filter(|value| goal.bound.admits(**value));
            let rounds = (met.count(), values.len());
            judged.extend(Spread::of(&values).map(|spread| Judgement {
                part: part.to_owned(),
                what: goal.what,
                cell: cell.to_owned(),
                bound: goal.bound,
                spread,
                rounds,
            }));
        }
    }
    judged
}

impl Measure {
    fn values(self, records: &Records, cell: &str) -> Rounds {
        match self {
            Self::Ratio(of, variant) => records.ratios((cell, of), (cell, Of { variant, ..of })),
            Self::Plain(of) => records.by_round(cell, of),
            Self::Loss(of, variant) => {
                let Some(few) = with_eight_sessions(records, cell) else {
                    return Rounds::new();
                };
                let theirs = Of { variant, ..of };
                divided(
                    &records.ratios((cell, of), (few, of)),
                    &records.ratios((cell, theirs), (few, theirs)),
                )
            }
        }
    }
}

/// The cell that differs from this one in having eight sessions.
fn with_eight_sessions<'a>(records: &'a Records, cell: &str) -> Option<&'a str> {
    let mut wanted = records.conditions(cell);
    wanted.insert("sessions".to_owned(), 8.0);
    let mut cells = records.cells().into_iter();
    cells.find(|other| records.conditions(other) == wanted)
}

/// Verdicts as a Markdown table.
pub(crate) fn text(judged: &[Judgement]) -> String {
    if judged.is_empty() {
        return String::new();
    }
    let mut text = "\n| goal | part | cell | bound | median (least–most) | verdict | rounds that \
                    would meet it |\n| --- | --- | --- | --: | --: | --- | --: |\n"
        .to_owned();
    for one in judged {
        let verdict = if one.is_met() { "met" } else { "**missed**" };
        let spread = table::with_spread(Some(one.spread), 2);
        let (met, rounds) = one.rounds;
        writeln!(
            text,
            "| {} | {} | {} | {} | {spread} | {verdict} | {met} of {rounds} |",
            one.what,
            one.part,
            one.cell,
            one.bound.in_words(),
        )
        .expect("a string takes all");
    }
    text
}
