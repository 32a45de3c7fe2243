//! Real runs judged by the checker: random load through the sidecars of two regions.
//!
//! The observers both sidecars read through lag, so that without the rule old values are all over
//! the place; with it there must be none. `verify.rs` does the same for operators.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::time::Duration;

use crate::ZOONET;
use crate::checker::{self, History};
use crate::testbed::launch;
use crate::testbed::regions::{self, Regions};
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::workload::Workload;

/// The sidecar of a region, which reads the other region through its lagging observer.
fn sidecar(home: &str, barrier: &str) -> Sidecar {
    let Regions { us, eu, .. } = regions::shared();
    let lagging = if home == "us" { eu } else { us };
    Setup::new(home)
        .ensemble(us)
        .ensemble(eu)
        .prefer(lagging.name(), &[lagging.observers()[0].address()])
        .barrier("us", barrier)
        .barrier("eu", barrier)
        .route("/", "us")
        .route("/eu", "eu")
        .start(ZOONET)
}

/// Runs the load and returns why what the clients saw is not OSC(U), if it is not.
fn violation(barrier: &str) -> Option<String> {
    let (us, eu) = (sidecar("us", barrier), sidecar("eu", barrier));
    let scratch = Scratch::new("verify");
    let path = scratch.path().join("history.jsonl");
    let workload = Workload {
        connect: [&us, &eu].map(|s| s.address().to_string()).to_vec(),
        prefix: [
            format!("/verify-{barrier}"),
            format!("/eu/verify-{barrier}"),
        ]
        .to_vec(),
        clients: 6,
        window: 8,
        keys: 4,
        locality: 0.8,
        reads: 0.6,
        rate: None,
        duration: Duration::from_secs(6),
        seed: 1,
    };
    let summary = workload.run(&path).unwrap();
    let history = History::read(BufReader::new(File::open(path).unwrap())).unwrap();
    let verdict = checker::check(&history).unwrap();
    println!("{barrier}: {summary}\n{}", verdict.counts);
    assert!(verdict.counts.operations > 200, "{summary}");
    assert_eq!(verdict.counts.unplaced, 0);
    let told = verdict.violation.map(|violation| violation.to_string());
    println!("{}", told.as_deref().unwrap_or("OSC(U)"));
    told
}

#[test]
fn without_a_barrier_a_violation_is_found() {
    assert!(violation("none").is_some());
}

#[test]
fn with_sync_none_is_found() {
    assert_eq!(violation("sync"), None);
}

#[test]
fn with_quorum_none_is_found() {
    assert_eq!(violation("quorum"), None);
}

#[test]
fn with_elided_barriers_none_is_found() {
    assert_eq!(violation("elided"), None);
}

/// As scripts use it: the program's own verdict about files.
#[test]
fn the_program_ends_with_its_verdict() {
    let create = r#"{"client":"c","index":1,"invoke":1,"return":2,"ensemble":"e","key":"k","kind":"create","outcome":"ok"}"#;
    let absent = r#"{"client":"c","index":2,"invoke":3,"return":4,"ensemble":"e","key":"k","kind":"read","outcome":"ok"}"#;
    let present = absent.replace(r#""ok"}"#, r#""ok","version":0}"#);
    let scratch = Scratch::new("verify");
    for (code, said, lines) in [
        (0, "OSC(U): one order", [create, &present]),
        (1, "client c found no k on e", [create, absent]),
        (2, "undecided: not a history", [create, create]),
    ] {
        let file = scratch.write("history.jsonl", &lines.join("\n"));
        let picture = scratch.path().join("picture");
        // As the README says it; it may have to be built first.
        let mut verify = launch::command(env!("CARGO"));
        verify
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["run", "--quiet", "--locked", "--example", "verify", "--"])
            .args([OsStr::new("--check"), file.as_ref()])
            .args([OsStr::new("--picture"), picture.as_ref()]);
        let ended = verify.output().unwrap();
        let printed = [ended.stdout, ended.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{printed}");
        assert!(printed.contains(said), "{printed}");
        assert_eq!(picture.with_extension("svg").exists(), code == 1);
        let _ = fs::remove_file(picture.with_extension("svg"));
    }
}
