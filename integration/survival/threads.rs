//! Clients are served by several threads, each of which has connections of its own.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;

use super::*;
use crate::raw::{NO_NODE, Raw};

/// Connections that share a thread before the next is started.
const SHARED: usize = 64;

/// Requests that one thread has to wait for, one by one.
const ASKED: u64 = 50;

/// The threads that serve clients, and how often each has waited for something to do.
fn threads(sidecar: &Sidecar) -> BTreeMap<String, u64> {
    let tasks = format!("/proc/{}/task", sidecar.pid().unwrap());
    let of = |task: io::Result<DirEntry>| {
        let status = fs::read_to_string(task.unwrap().path().join("status")).ok()?;
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim().to_owned())
        };
        let name = value("Name:").filter(|name| name.starts_with("clients-"))?;
        Some((name, value("voluntary_ctxt_switches:")?.parse().unwrap()))
    };
    fs::read_dir(tasks).unwrap().filter_map(of).collect()
}

fn names(sidecar: &Sidecar) -> Vec<String> {
    threads(sidecar).into_keys().collect()
}

#[test]
fn a_session_goes_on_on_another_thread() {
    let several = thread::available_parallelism().unwrap().get() > 1;
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    assert_eq!(names(&sidecar), [""; 0], "started when they are needed");
    let ways = by_two_ways(&sidecar);
    let (_, _, client) = &ways;
    let outside = abroad();
    let session = client.ask("session");
    client.ask("ephemeral /thread");
    client.ask("ephemeral /eu/thread");
    let owner = outside.ask("owner /eu/thread");

    let connect = |_| Raw::connect(sidecar.address(), 40_000);
    let mut others: Vec<Raw> = (1..SHARED).map(connect).collect();
    assert_eq!(names(&sidecar), ["clients-0"]);
    // It holds on to its place, so that the new connection gets one elsewhere.
    change_ways(&ways);
    let expected: &[&str] = if several {
        &["clients-0", "clients-1"]
    } else {
        &["clients-0"]
    };
    assert_eq!(names(&sidecar), expected);
    assert_eq!(client.ask("session"), session);
    for path in ["/thread", "/eu/thread"] {
        assert_eq!(client.ask(&format!("owner {path}")), session);
    }
    assert_eq!(outside.ask("owner /eu/thread"), owner, "the leg's session");
    let before = threads(&sidecar);
    for _ in 0..ASKED {
        client.ask("owner /thread");
    }
    let last = expected[expected.len() - 1];
    let waits = threads(&sidecar)[last] - before[last];
    assert!(waits >= ASKED, "it serves the client: {waits}");

    // Both threads serve all ensembles.
    others.extend((0..SHARED).map(connect));
    for other in &mut others {
        for path in ["/thread-missing", "/eu/thread-missing"] {
            assert_eq!(other.get(path).err, NO_NODE);
        }
    }
    // And both stop: what is outstanding is answered first.
    sidecar.terminate();
    let status = sidecar.wait(PATIENCE).unwrap();
    assert!(status.success(), "{status}");
    assert!(!sidecar.log().contains("ERROR"), "{}", sidecar.log());
}
