//! Names by Prometheus' rules; the list, the dashboard and the alerts agree with them.

use std::path::{Path, PathBuf};

use super::super::catalogue::{FAMILIES, Family, Kind};
use super::*;

#[test]
fn names_follow_the_rules_of_prometheus() {
    let mut names = BTreeSet::new();
    for Family {
        name,
        kind,
        labels,
        help,
    } in FAMILIES
    {
        assert!(names.insert(name), "{name} is there twice");
        let ours = name.starts_with("zoonet_") || name.starts_with("process_");
        assert!(ours, "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(
            *kind != Kind::Histogram || name.ends_with("_seconds"),
            "{name}"
        );
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}");
        for label in *labels {
            let known = [
                "ensemble",
                "op",
                "error",
                "outcome",
                "reason",
                "state",
                "kind",
                "session",
                "ephemerals",
                "operation",
                "fingerprint",
                "home",
                "version",
            ];
            assert!(known.contains(label), "{name}: {label}");
        }
    }
}

fn monitoring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/monitoring")
        .join(name)
}

/// All names of metrics in a text: of histograms, those of their series.
fn named(text: &str) -> BTreeSet<&str> {
    ["zoonet_", "process_"]
        .iter()
        .flat_map(|start| text.match_indices(start))
        .map(|(at, _)| {
            let rest = &text[at..];
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]
        })
        .collect()
}

fn is_exported(name: &str) -> bool {
    FAMILIES.iter().any(|family| {
        let series = name.strip_prefix(family.name);
        match family.kind {
            Kind::Histogram => matches!(series, Some("_bucket" | "_sum" | "_count")),
            Kind::Counter | Kind::Gauge => series == Some(""),
        }
    })
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_exist() {
    assert!(!is_exported("zoonet_request_duration_seconds"));
    assert!(!is_exported("zoonet_nothing_total"));
    for file in ["grafana.json", "alerts.yaml", "alerts.test.yaml"] {
        let text = std::fs::read_to_string(monitoring(file)).unwrap();
        let names = named(&text);
        assert!(names.len() > 5, "{file}: {names:?}");
        for name in names {
            assert!(is_exported(name), "{file} names {name}");
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let text = std::fs::read_to_string(monitoring("grafana.json")).unwrap();
    let names = named(&text);
    for family in FAMILIES {
        let shown = |name: &&str| name.starts_with(family.name) && is_exported(name);
        assert!(names.iter().any(shown), "{}", family.name);
    }
}

#[test]
fn every_alert_is_tested() {
    let rules = std::fs::read_to_string(monitoring("alerts.yaml")).unwrap();
    let tests = std::fs::read_to_string(monitoring("alerts.test.yaml")).unwrap();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        assert!(tests.contains(&fires), "{alert} is never tested to fire");
    }
}

/// `ZOONET_BLESS=1 cargo test --lib list_of_metrics` writes it anew.
#[test]
fn the_list_of_metrics_is_the_one_of_this_program() {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut list = String::from(
        "# Metrics\n\n\
         Generated from `src/telemetry/catalogue.rs`; a test compares them.\n\n\
         Counters and gauges are there from the start, with the value 0; those with the label `op` \
         or `error`, and histograms, from when they are first used. Histograms have buckets from \
         100 µs to 10 s. A time is exact to the length of one turn of a connection's task, some \
         tens of microseconds.\n\n\
         | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for family in FAMILIES {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let kind = format!("{:?}", family.kind).to_lowercase();
        let labels = labels.join(" ");
        list += &format!(
            "| `{}` | {kind} | {labels} | {} |\n",
            family.name,
            cell(family.help)
        );
    }
    let file = monitoring("METRICS.md");
    if std::env::var_os("ZOONET_BLESS").is_some() {
        std::fs::write(&file, &list).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), list);
}
