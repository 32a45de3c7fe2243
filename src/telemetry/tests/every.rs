//! Nothing is declared that is not counted, and nothing counted that is not exported.

use super::super::catalogue::{FAMILIES, Kind};
use super::*;
use crate::dial::Refusal;
use crate::session::{Barrier, LegFault};
use crate::wire::WireFault;

/// Every way in which something can be counted, once.
fn count_everything(telemetry: &Telemetry) {
    let mut tally = telemetry.tally(EU);
    tally.asked_one(&request::ping()[4..]);
    replied(&mut tally, OpCode::Ping, -4, 1);
    tally.led(1);
    tally.fired(1);
    drop(tally);
    let watcher = watcher(telemetry);
    events()
        .iter()
        .for_each(|event| watcher.happened(event, |_| None));
    count_dials(telemetry);
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
        Outcome::Tls,
        Outcome::Lost,
        Outcome::Malformed,
        Outcome::Word,
        Outcome::Silent,
        Outcome::TooMany,
        Outcome::TooManyOfOne,
        Outcome::OutOfFiles,
    ] {
        telemetry.connection(outcome);
    }
    for ending in [
        Ending::ClientGone,
        Ending::Closed,
        Ending::TakenOver,
        Ending::Protocol,
        Ending::SlowReader,
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

/// Every event, with each of its reasons.
fn events() -> Vec<Event> {
    let ensemble = EU;
    let lost = |reason| Event::LegLost { ensemble, reason };
    let up = |origin| Event::LegUp {
        ensemble,
        session: SessionId(9),
        timeout: 1,
        origin,
    };
    vec![
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
        Event::BarrierElided { ensemble },
        Event::BarrierFailed { ensemble, err: -4 },
        Event::ReadWithheld { ensemble },
        Event::Failed {
            ensemble,
            op: OpCode::GetData,
            xid: Xid(1),
        },
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
        Event::IdentityRefused { ensemble, err: -4 },
        Event::Moved,
        Event::Refused {
            op: OpCode::Multi,
            xid: Xid(1),
            err: -8,
        },
    ]
}

fn count_dials(telemetry: &Telemetry) {
    let fault = || WireFault::FrameLength {
        length: -1,
        limit: 0,
    };
    let gone = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    for refusal in [
        Refusal::Connect(gone().into()),
        Refusal::NoTls,
        Refusal::Handshake(gone()),
        Refusal::Slow(std::time::Duration::ZERO),
        Refusal::Malformed(fault()),
    ] {
        telemetry.dialled(EU, &Err::<(), _>(refusal));
    }
    telemetry.dialled(EU, &Ok(()));
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
        "zoonet_open_connections",
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
