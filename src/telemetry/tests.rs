mod every;
mod files;

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::count::Tally;
use super::*;
use crate::dial::Dialer;
use crate::net::Network;
use crate::session::{Event, Loss, Meter, Origin, Replied};
use crate::wire::opcode::OpCode;
use crate::wire::{SessionId, Xid, code, request};

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
    let dialer = Dialer::new(
        Arc::clone(&config),
        Arc::default(),
        Network::Tcp,
        None,
        telemetry.clone(),
    );
    telemetry.look_at(Seen {
        config,
        circuits: dialer.circuits(),
        registry: registry.clone(),
        connections: 7,
    });
    (telemetry, registry)
}

fn watcher(telemetry: &Telemetry) -> Watcher {
    Watcher::new(config(), (SessionId(7), None), telemetry.clone())
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

/// Counts the answer to one request.
fn replied(tally: &mut Tally, op: OpCode, err: i32, microseconds: u64) {
    tally.replied(Replied {
        op,
        replies: 1,
        bytes: 96,
        microseconds,
    });
    if err != code::OK {
        tally.failed(err);
    }
}

#[test]
fn what_all_threads_count_is_added_up() {
    let (telemetry, _) = telemetry();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut tally = telemetry.tally(EU);
                tally.asked_one(&request::ping()[4..]);
                replied(&mut tally, OpCode::Ping, code::OK, 240);
                telemetry.tally(US).asked_one(&request::ping()[4..]);
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
        replied(&mut tally, OpCode::GetData, code::OK, microseconds);
    }
    drop(tally);
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
fn runs_of_frames_are_told_apart_by_operation_time_and_ensemble() {
    let (telemetry, _) = telemetry();
    let mut tallies = Tallies::default();
    for (ensemble, op, microseconds) in [
        (EU, OpCode::GetData, 50),
        (EU, OpCode::GetData, 50),
        (EU, OpCode::GetData, 200),
        (EU, OpCode::SetData, 200),
        (US, OpCode::SetData, 200),
        (EU, OpCode::GetData, 50),
    ] {
        let tally = tallies.of(&telemetry, ensemble);
        tally.asked_one(&request::of_path(Xid(1), op, b"/x", &[])[4..]);
        replied(tally, op, code::OK, microseconds);
    }
    drop(tallies);
    for (ensemble, op, requests, quick) in [
        ("eu", "getData", 4.0, 3.0),
        ("eu", "setData", 1.0, 0.0),
        ("us", "setData", 1.0, 0.0),
    ] {
        let labels = format!("ensemble=\"{ensemble}\",op=\"{op}\"");
        let get = |name, more| value(&telemetry, &format!("zoonet_{name}{{{labels}{more}}}"));
        assert_eq!(get("requests_total", ""), requests, "{labels}");
        assert_eq!(get("request_bytes_total", ""), requests * 18.0, "{labels}");
        assert_eq!(get("responses_total", ""), requests, "{labels}");
        assert_eq!(
            get("response_bytes_total", ""),
            requests * 100.0,
            "{labels}"
        );
        let quickest = get("request_duration_seconds_bucket", ",le=\"0.0001\"");
        assert_eq!(quickest, quick, "{labels}");
    }
}

#[test]
fn errors_have_names_and_strange_ones_share_one() {
    let (telemetry, _) = telemetry();
    let mut tally = telemetry.tally(EU);
    for err in [code::NO_NODE, code::NO_NODE, -4_711, 4_711] {
        replied(&mut tally, OpCode::Exists, err, 1);
    }
    replied(&mut tally, OpCode::Unknown(4_711), -6, 1);
    drop(tally);
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
    telemetry.tally(EU).asked_one(&request::ping()[4..]);
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

#[tokio::test]
async fn sessions_and_circuits_are_looked_at() {
    let (telemetry, registry) = telemetry();
    let sessions = |state| value(&telemetry, &format!("zoonet_sessions{{state=\"{state}\"}}"));
    let (place, _) = registry.enter(SessionId(7), [0; 16]).await;
    assert_eq!((sessions("connected"), sessions("parked")), (1.0, 0.0));
    drop(place);
    assert_eq!((sessions("connected"), sessions("parked")), (0.0, 0.0));

    let dialer = Dialer::new(
        config(),
        Arc::default(),
        Network::Tcp,
        None,
        telemetry.clone(),
    );
    telemetry.look_at(Seen {
        config: config(),
        circuits: dialer.circuits(),
        registry,
        connections: 7,
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
