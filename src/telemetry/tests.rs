use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::catalogue::{FAMILIES, Family, Kind};
use super::*;
use crate::dial::{Dialer, Refusal};
use crate::net::Network;
use crate::session::{Barrier, LegFault, Meter, Origin, Replied};
use crate::wire::opcode::OpCode;
use crate::wire::request;
use crate::wire::{WireFault, Xid, code};

const EU: EnsembleId = EnsembleId::new(0);
const US: EnsembleId = EnsembleId::new(1);

fn config() -> Arc<Config> {
    let text = "home: us\n\
                ensembles: { us: { servers: [a:1] }, eu: { servers: [b:1] } }\n\
                routes: { /: us, /eu: eu }\n";
    Arc::new(Config::parse("test", text).unwrap())
}

fn telemetry() -> (Telemetry, Registry) {
    let (telemetry, registry, config) = (Telemetry::default(), Registry::default(), config());
    assert_eq!(config.ensemble(EU).name, "eu");
    let dialer = Dialer::new(Arc::clone(&config), Network::Tcp, None, telemetry.clone());
    telemetry.look_at(Seen {
        config,
        circuits: dialer.circuits(),
        registry: registry.clone(),
    });
    (telemetry, registry)
}

fn watcher(telemetry: &Telemetry) -> Watcher {
    Watcher::new(config(), SessionId(7), telemetry.clone())
}

/// The value of one series.
fn value(telemetry: &Telemetry, series: &str) -> f64 {
    let text = telemetry.render();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {series} in:\n{text}"));
    line.parse().unwrap()
}

const fn replied(op: OpCode, err: i32, microseconds: u64) -> Replied {
    Replied {
        op,
        err,
        bytes: 96,
        microseconds,
    }
}

#[test]
fn what_all_threads_count_is_added_up() {
    let (telemetry, _) = telemetry();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut tally = telemetry.tally(EU);
                tally.asked(&request::ping());
                tally.replied(replied(OpCode::Ping, code::OK, 240));
                telemetry.tally(US).asked(&request::ping());
            });
        }
    });
    let get = |series| value(&telemetry, series);
    assert_eq!(
        get("zoonet_requests_total{ensemble=\"eu\",op=\"ping\"}"),
        3.0
    );
    assert_eq!(
        get("zoonet_request_bytes_total{ensemble=\"eu\",op=\"ping\"}"),
        36.0
    );
    assert_eq!(
        get("zoonet_response_bytes_total{ensemble=\"eu\",op=\"ping\"}"),
        300.0
    );
    assert_eq!(
        get("zoonet_responses_total{ensemble=\"eu\",op=\"ping\"}"),
        3.0
    );
    assert_eq!(
        get("zoonet_requests_total{ensemble=\"us\",op=\"ping\"}"),
        3.0
    );
}

#[test]
fn times_are_counted_in_the_bucket_they_fit_in() {
    let (telemetry, _) = telemetry();
    let mut tally = telemetry.tally(EU);
    for microseconds in [0, 100, 101, 10_000_000, 10_000_001] {
        tally.replied(replied(OpCode::GetData, code::OK, microseconds));
    }
    let name = "zoonet_request_duration_seconds";
    for (bound, expected) in [
        ("0.0001", 2.0),
        ("0.00025", 3.0),
        ("5", 3.0),
        ("10", 4.0),
        ("+Inf", 5.0),
    ] {
        let series = format!("{name}_bucket{{ensemble=\"eu\",op=\"getData\",le=\"{bound}\"}}");
        assert_eq!(value(&telemetry, &series), expected, "{bound}");
    }
    let sum = format!("{name}_sum{{ensemble=\"eu\",op=\"getData\"}}");
    assert_eq!(value(&telemetry, &sum), 20.000_202);
}

#[test]
fn errors_have_names_and_strange_ones_share_one() {
    let (telemetry, _) = telemetry();
    let mut tally = telemetry.tally(EU);
    for err in [code::NO_NODE, code::NO_NODE, -4_711, 4_711] {
        tally.replied(replied(OpCode::Exists, err, 1));
    }
    tally.replied(replied(OpCode::Unknown(4_711), -6, 1));
    let get = |error| {
        let series = format!("zoonet_response_errors_total{{ensemble=\"eu\",error=\"{error}\"}}");
        value(&telemetry, &series)
    };
    assert_eq!(get("NONODE"), 2.0);
    assert_eq!(get("other"), 2.0);
    assert_eq!(get("UNIMPLEMENTED"), 1.0);
    assert_eq!(
        value(
            &telemetry,
            "zoonet_responses_total{ensemble=\"eu\",op=\"unknown\"}"
        ),
        1.0
    );
}

#[test]
fn what_no_frame_was_ever_counted_for_is_not_there() {
    let (telemetry, _) = telemetry();
    telemetry.tally(EU).asked(&request::ping());
    let text = telemetry.render();
    assert!(!text.contains("getData"), "{text}");
    assert!(!text.contains("zoonet_responses_total"), "{text}");
    assert!(!text.contains("_bucket"), "{text}");
}

#[test]
fn gauges_come_back_to_nothing_whichever_thread_ends_what_they_count() {
    let (telemetry, _) = telemetry();
    let (open, dialling) = (telemetry.open_leg(EU), telemetry.dialling(EU));
    let state = |state| {
        let series = format!("zoonet_legs{{ensemble=\"eu\",state=\"{state}\"}}");
        value(&telemetry, &series)
    };
    assert_eq!((state("open"), state("dialling")), (1.0, 1.0));
    std::thread::scope(|scope| {
        scope.spawn(move || drop((open, dialling)));
    });
    assert_eq!((state("open"), state("dialling")), (0.0, 0.0));
}

/// Every way in which something can be counted, once.
fn count_everything(telemetry: &Telemetry) {
    let mut tally = telemetry.tally(EU);
    tally.asked(&request::ping());
    tally.replied(replied(OpCode::Ping, -4, 1));
    tally.led(1);
    tally.fired(1);
    let watcher = watcher(telemetry);
    let fault = || WireFault::FrameLength {
        length: -1,
        limit: 0,
    };
    let ensemble = EU;
    let lost = |reason| Event::LegLost { ensemble, reason };
    let up = |origin| Event::LegUp {
        ensemble,
        session: SessionId(9),
        timeout: 1,
        origin,
    };
    for event in [
        Event::Switched {
            from: US,
            to: EU,
            drain: 1,
        },
        Event::BarrierPlaced {
            ensemble,
            barrier: Barrier::Sync,
        },
        Event::BarrierPlaced {
            ensemble,
            barrier: Barrier::Quorum,
        },
        Event::BarrierFailed { ensemble, err: -4 },
        Event::ReadWithheld { ensemble },
        up(Origin::New),
        up(Origin::Attached),
        lost(Loss::Closed),
        lost(Loss::TimedOut),
        lost(Loss::Broken(LegFault::Unasked(Xid(1)))),
        Event::LegUnreachable { ensemble },
        Event::LegExpired {
            ensemble,
            owned: true,
        },
        Event::LegExpired {
            ensemble,
            owned: false,
        },
        Event::LegRetired { ensemble },
        Event::Rearmed {
            ensemble,
            frames: 1,
            ledger: 1,
        },
        Event::LedgerFull { ensemble, bound: 1 },
        Event::AuthRefused { ensemble, err: -4 },
        Event::Moved,
        Event::Refused {
            op: OpCode::Multi,
            err: -8,
        },
    ] {
        watcher.happened(&event);
    }
    let gone = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    for refusal in [
        Refusal::Connect(gone().into()),
        Refusal::Handshake(gone()),
        Refusal::Slow(std::time::Duration::ZERO),
        Refusal::Malformed(fault()),
    ] {
        telemetry.dialled(EU, &Err::<(), _>(refusal));
    }
    telemetry.dialled(EU, &Ok(()));
    telemetry.unreachable(EU);
    for record in [Record::Remember, Record::Forget] {
        telemetry.not_recorded(record);
    }
    for outcome in [
        Outcome::Session(Origin::New),
        Outcome::Session(Origin::Attached),
        Outcome::Refused,
        Outcome::Unreachable,
        Outcome::Slow,
        Outcome::Lost,
        Outcome::Malformed,
        Outcome::Word,
        Outcome::Silent,
    ] {
        telemetry.connection(outcome);
    }
    for ending in [
        Ending::ClientGone,
        Ending::Closed,
        Ending::TakenOver,
        Ending::Protocol,
    ] {
        telemetry.ended(ending);
    }
    for reload in [Reload::Rejected, Reload::Unchanged, Reload::Applied] {
        telemetry.reloaded(reload);
    }
    let panics = telemetry.clone();
    let panicked = std::thread::spawn(move || {
        let _notice = panics.notice_panic();
        panic!("meant to");
    });
    assert!(panicked.join().is_err());
}

/// All series of the page whose value is zero.
fn zeros(telemetry: &Telemetry) -> BTreeSet<String> {
    let text = telemetry.render();
    text.lines()
        .filter_map(|line| line.strip_suffix(" 0"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_counter_is_counted_by_something() {
    let (telemetry, _) = telemetry();
    let before = zeros(&telemetry);
    assert!(before.contains("zoonet_state_errors_total{operation=\"forget\"}"));
    count_everything(&telemetry);
    let gauges = [
        "zoonet_sessions{",
        "zoonet_legs{",
        "zoonet_circuit_open{",
        "zoonet_ledger_bytes{",
        "zoonet_look_ahead_bytes",
    ];
    let still: Vec<String> = zeros(&telemetry)
        .into_iter()
        .filter(|series| !series.contains("ensemble=\"us\""))
        .filter(|series| !gauges.iter().any(|gauge| series.starts_with(gauge)))
        .collect();
    assert_eq!(still, Vec::<String>::new());
}

#[test]
fn every_metric_that_is_declared_is_exported() {
    let (telemetry, _) = telemetry();
    count_everything(&telemetry);
    let text = telemetry.render();
    for family in FAMILIES {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let head = format!("# TYPE {} {kind}\n", family.name);
        assert_eq!(text.matches(&head).count(), 1, "{}", family.name);
    }
    let heads = text.lines().filter(|line| line.starts_with("# TYPE "));
    assert_eq!(heads.count(), FAMILIES.len());
}

#[tokio::test]
async fn sessions_and_circuits_are_looked_at() {
    let (telemetry, registry) = telemetry();
    let sessions = |state| value(&telemetry, &format!("zoonet_sessions{{state=\"{state}\"}}"));
    let (place, _) = registry.enter(SessionId(7), [0; 16]).await;
    assert_eq!((sessions("connected"), sessions("parked")), (1.0, 0.0));
    drop(place);
    assert_eq!((sessions("connected"), sessions("parked")), (0.0, 0.0));

    let dialer = Dialer::new(config(), Network::Tcp, None, telemetry.clone());
    telemetry.look_at(Seen {
        config: config(),
        circuits: dialer.circuits(),
        registry,
    });
    let open = || value(&telemetry, "zoonet_circuit_open{ensemble=\"eu\"}");
    assert_eq!(open(), 0.0);
    dialer.circuits().fail(EU, Instant::now());
    assert_eq!(open(), 1.0);
}

#[test]
fn a_file_that_is_rejected_shows_until_it_is_good_again() {
    let (telemetry, _) = telemetry();
    let good = || value(&telemetry, "zoonet_last_reload_successful");
    assert_eq!(good(), 1.0);
    telemetry.reloaded(Reload::Rejected);
    assert_eq!(good(), 0.0);
    telemetry.reloaded(Reload::Unchanged);
    assert_eq!(good(), 1.0);
}

#[test]
fn the_process_is_described_as_it_is() {
    let (telemetry, _) = telemetry();
    let open = || value(&telemetry, "process_open_fds");
    let before = open();
    let files: Vec<_> = (0..50)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    // Tests beside this one open some as well.
    assert!(open() >= before + 25.0);
    drop(files);
    assert!(value(&telemetry, "process_max_fds") > open());
    assert!(value(&telemetry, "process_resident_memory_bytes") > 1e6);
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let began = value(&telemetry, "process_start_time_seconds");
    assert!((since_1970.as_secs_f64() - began).abs() < 600.0);
    let used = || value(&telemetry, "process_cpu_seconds_total");
    let (before, start) = (used(), Instant::now());
    while start.elapsed().as_secs() < 10 && used() < before + 0.05 {}
    assert!(used() >= before + 0.05);
}

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
