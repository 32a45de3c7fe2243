//! Clients are served by several threads, each of which has connections of its own.

use std::fs;

use super::*;
use crate::raw::{NO_NODE, Raw};
use crate::testbed::relay::Newcomers;

/// Connections that share a thread before the next is started.
const SHARED: usize = 64;

/// The threads that serve clients.
fn threads(sidecar: &Sidecar) -> Vec<String> {
    let tasks = format!("/proc/{}/task", sidecar.pid().unwrap());
    let names = fs::read_dir(tasks).unwrap().map(|task| {
        let name = fs::read_to_string(task.unwrap().path().join("comm"));
        name.unwrap_or_default().trim().to_owned()
    });
    let mut names: Vec<String> = names.filter(|name| name.starts_with("clients-")).collect();
    names.sort();
    names
}

#[test]
fn a_session_goes_on_on_another_thread() {
    let several = thread::available_parallelism().unwrap().get() > 1;
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    assert_eq!(threads(&sidecar), [""; 0], "started when they are needed");
    let (one, two) = (Relay::to(sidecar.address()), Relay::to(sidecar.address()));
    two.cut(Newcomers::Refuse);
    let outside = abroad();
    let hosts = format!("{},{}", one.address(), two.address());
    let client = Puppet::kazoo(hosts, 6);
    let session = client.ask("session");
    client.ask("ephemeral /thread");
    client.ask("ephemeral /eu/thread");
    let owner = outside.ask("owner /eu/thread");

    let connect = |_| Raw::connect(sidecar.address(), 40_000);
    let mut others: Vec<Raw> = (1..SHARED).map(connect).collect();
    assert_eq!(threads(&sidecar), ["clients-0"]);
    // It holds on to its place, so that the new connection gets one elsewhere.
    two.heal();
    one.cut(Newcomers::Refuse);
    client.sees("state SUSPENDED");
    client.sees("state CONNECTED");
    let expected: &[&str] = if several {
        &["clients-0", "clients-1"]
    } else {
        &["clients-0"]
    };
    assert_eq!(threads(&sidecar), expected);
    assert_eq!(client.ask("session"), session);
    for path in ["/thread", "/eu/thread"] {
        assert_eq!(client.ask(&format!("owner {path}")), session);
    }
    assert_eq!(outside.ask("owner /eu/thread"), owner, "the leg's session");

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
