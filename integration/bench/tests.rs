use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::figures::{Of, Record, Records, Spread, named};
use super::goal::{self, Judgement};
use super::part::{self, PARTS};
use super::{plot, table};

fn record(cell: &str, variant: &str, round: usize, figure: (&str, f64)) -> Record {
    Record {
        part: "instant".to_owned(),
        cell: cell.to_owned(),
        variant: variant.to_owned(),
        round,
        conditions: named([]),
        figures: named([figure]),
    }
}

/// A record of processor time with so many sessions, 100 requests in flight.
fn cpu(sessions: f64, variant: &str, round: usize, cpu: f64) -> Record {
    Record {
        conditions: named([("sessions", sessions), ("depth", 100.0)]),
        ..record(
            &format!("{sessions} sessions"),
            variant,
            round,
            ("cpu_us", cpu),
        )
    }
}

const fn of(variant: &str) -> Of<'_> {
    Of {
        variant,
        figure: "per_second",
    }
}

#[test]
fn the_median_of_an_even_number_is_between_the_middle_two() {
    let spread = |values: &[f64]| Spread::of(&values.iter().copied().enumerate().collect());
    let (median, least, most) = (2.5, 1.0, 9.0);
    let four = Spread {
        median,
        least,
        most,
    };
    assert_eq!(spread(&[9.0, 1.0, 3.0, 2.0]), Some(four));
    assert_eq!(spread(&[9.0, 1.0, 2.0]).map(|s| s.median), Some(2.0));
    assert_eq!(spread(&[7.0]).map(|s| s.median), Some(7.0));
    assert_eq!(spread(&[]), None);
}

#[test]
fn ratios_are_those_of_the_same_round() {
    let record = |cell, variant, round, value| record(cell, variant, round, ("per_second", value));
    // The second round was slow for both, and the third has no partner.
    let records = Records(vec![
        record("c", "zoonet", 0, 90.0),
        record("c", "relay", 0, 100.0),
        record("c", "relay", 1, 10.0),
        record("c", "zoonet", 1, 9.0),
        record("c", "zoonet", 2, 77.0),
        record("d", "relay", 2, 1.0),
    ]);
    let ratios = records.ratios(("c", of("zoonet")), ("c", of("relay")));
    assert_eq!(ratios, [(0, 0.9), (1, 0.9)].into());
    assert_eq!(records.cells(), ["c", "d"]);
    assert_eq!(records.variants(), ["zoonet", "relay"]);
    assert_eq!(records.variants_of("d"), ["relay"]);
}

#[test]
fn nothing_is_divided_by_nothing() {
    let record = |variant, value| record("c", variant, 0, ("per_second", value));
    let records = Records(vec![record("a", 1.0), record("b", 0.0)]);
    let ratios = records.ratios(("c", of("a")), ("c", of("b")));
    assert!(ratios.is_empty(), "{ratios:?}");
}

#[test]
fn what_was_written_is_read_again() {
    let one = record("c", "zoonet", 0, ("per_second", 0.1));
    let text = serde_json::to_string(&one).unwrap() + "\n\n";
    assert_eq!(Records::parse(&text).unwrap().0, [one]);
    assert!(Records::parse("{}").is_err());
}

#[test]
fn a_table_has_medians_spreads_and_ratios_and_no_empty_columns() {
    let record = |variant, round, figure| record("cell", variant, round, figure);
    let records = Records(vec![
        record("relay", 0, ("cpu_us", 2.0)),
        record("zoonet", 0, ("cpu_us", 3.0)),
        record("relay", 1, ("cpu_us", 1.0)),
        record("zoonet", 1, ("cpu_us", 2.0)),
        record("zoonet", 1, ("unheard_of", 2.0)),
    ]);
    let expected = "\n| cell | CPU µs |\n\
                    | --- | --: |\n\
                    | relay | 1.50 (1.00–2.00) |\n\
                    | zoonet | 2.50 (2.00–3.00) |\n\
                    \n|  | CPU × relay |\n\
                    | --- | --: |\n\
                    | relay | – |\n\
                    | zoonet | 1.75 (1.50–2.00) |\n";
    let part = part::named("instant").unwrap();
    assert_eq!(table::text(part, &records), expected);
}

#[test]
fn thousands_are_told_apart() {
    assert_eq!(table::number(1_234_567.0, 0), "1,234,567");
    assert_eq!(table::number(999.94, 1), "999.9");
    assert_eq!(table::number(-123.0, 0), "-123");
    assert_eq!(table::number(-1234.5, 1), "-1,234.5");
}

/// The verdict about a goal that stands in one cell only.
fn about<'a>(judged: &'a [Judgement], what: &str) -> &'a Judgement {
    let mut these = judged.iter().filter(|one| one.what.contains(what));
    match (these.next(), these.next()) {
        (Some(one), None) => one,
        _ => panic!("{what}: {judged:?}"),
    }
}

#[test]
fn a_goal_is_judged_by_the_median_of_the_rounds() {
    let records = |zoonet: [f64; 3]| {
        let rounds = zoonet.into_iter().enumerate();
        let both = |(round, used)| {
            [
                cpu(8.0, "zoonet", round, used),
                cpu(8.0, "relay", round, 1.0),
            ]
        };
        Records(rounds.flat_map(both).collect())
    };
    let verdict = |values| {
        let judged = goal::judge("instant", &records(values));
        let one = about(&judged, "pipelined, of the relay's");
        (one.spread.median, one.is_met(), one.rounds)
    };
    assert_eq!(verdict([1.0, 2.0, 9.0]), (2.0, true, (2, 3)));
    assert_eq!(verdict([1.0, 2.5, 9.0]), (2.5, false, (1, 3)));
    // Another part has other goals.
    assert!(goal::judge("memory", &records([1.0; 3])).is_empty());
}

#[test]
fn what_many_sessions_cost_is_compared_with_what_they_cost_haproxy() {
    let verdict = |crowded| {
        let records = Records(vec![
            cpu(8.0, "zoonet", 0, 2.0),
            cpu(8.0, "haproxy", 0, 10.0),
            cpu(1000.0, "zoonet", 0, crowded),
            cpu(1000.0, "haproxy", 0, 20.0),
        ]);
        let judged = goal::judge("instant", &records);
        let one = about(&judged, "1000 sessions");
        (one.spread.median, one.is_met())
    };
    assert_eq!(verdict(4.0), (1.0, true));
    assert_eq!(verdict(5.0), (1.25, false));
}

#[test]
fn verdicts_are_told() {
    let records = Records(vec![cpu(8.0, "zoonet", 0, 2.5), cpu(8.0, "relay", 0, 1.0)]);
    let text = goal::text(&goal::judge("instant", &records));
    let line = "| processor time pipelined, of the relay's | instant | 8 sessions | ≤ 2 | 2.50 | \
                **missed** | 0 of 1 |";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_picture_shows_each_cell_and_variant_and_is_well_formed() {
    let cell = "a < b & \"c\"";
    let records = Records(vec![
        Record {
            cell: cell.to_owned(),
            ..cpu(8.0, "zoonet", 0, 2.5)
        },
        Record {
            cell: cell.to_owned(),
            ..cpu(8.0, "relay", 0, 0.5)
        },
    ]);
    let part = part::named("instant").unwrap();
    let wanted = part
        .plots
        .iter()
        .find(|plot| plot.file == "processor-pipelined");
    let svg = plot::svg(part, wanted.unwrap(), &records).unwrap();
    assert!(
        svg.contains(">a &lt; b &amp; &quot;c&quot;</text>"),
        "{svg}"
    );
    assert!(
        svg.contains(">zoonet</text>") && svg.contains(">5.00</text>"),
        "{svg}"
    );
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    // What it is divided by is the line at 1, and a figure nobody has is no picture.
    assert!(!svg.contains(">relay</text>"), "{svg}");
    let latency = part.plots.iter().find(|plot| plot.file == "latency-p50");
    assert_eq!(plot::svg(part, latency.unwrap(), &records), None);
}

#[test]
fn the_suite_runs_and_leaves_raw_data_tables_plots_and_verdicts() {
    let out = TempDir::new().unwrap();
    let ended = Command::new("integration/measure")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--smoke", "--out"])
        .arg(out.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let report = fs::read_to_string(out.path().join("report.md")).unwrap();
    for part in &PARTS {
        let below = out.path().join(part.name);
        let raw = fs::read_to_string(below.join("raw.jsonl")).unwrap();
        let records = Records::parse(&raw).unwrap();
        assert!(!records.0.is_empty(), "{}", part.name);
        for record in &records.0 {
            assert!(
                record.figures.values().all(|value| value.is_finite()),
                "{record:?}"
            );
            let counted = record
                .figures
                .get("per_second")
                .or_else(|| record.figures.get("memory_mib"));
            assert!(counted.is_some_and(|value| *value > 0.0), "{record:?}");
        }
        for words in [part.title, part.explanation] {
            assert!(report.contains(words), "{report}");
        }
        assert!(below.join("table.md").exists());
        let plotted = part
            .plots
            .iter()
            .any(|plot| below.join(format!("{}.svg", plot.file)).exists());
        assert!(plotted, "{}", part.name);
    }
    assert!(report.contains("| goal |"), "{report}");
}

/// What it takes out is still there to be taken out.
#[test]
fn the_patch_that_takes_the_counting_out_applies() {
    let applied = Command::new("git")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "apply",
            "--check",
            "integration/bench/without-metrics.patch",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{said}");
}
