//! The sidecar is killed, stopped, and finds its disk full or its leg table damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::testbed::relay::Direction;
use crate::testbed::scratch::Scratch;

#[test]
fn ephemerals_of_both_sides_survive_a_killed_sidecar() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let outside = abroad();
    let client = Puppet::kazoo(sidecar.address(), 6);
    let session = client.ask("session");
    client.ask("ephemeral /killed");
    client.ask("ephemeral /eu/killed");
    let owner = outside.ask("owner /eu/killed");
    for _ in 0..2 {
        sidecar.kill();
        client.sees("state SUSPENDED");
        sidecar.restart();
        client.sees("state CONNECTED");
    }
    thread::sleep(Duration::from_secs(8));
    assert_eq!(client.ask("session"), session);
    for path in ["/killed", "/eu/killed"] {
        assert_eq!(client.ask(&format!("owner {path}")), session);
    }
    assert_eq!(outside.ask("owner /eu/killed"), owner, "the leg's session");
    assert_eq!(client.seen_behind(&[]), [""; 0]);
    // And when their session ends, they do.
    client.ask("stop");
    assert_eq!(outside.ask("owner /eu/killed"), "none");
}

#[test]
fn watches_survive_a_killed_sidecar() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let outside = [at_home(), abroad()];
    let tops = ["/revived", "/eu/revived"];
    let client = Puppet::java(sidecar.address(), 10);
    for (outside, top) in outside.iter().zip(tops) {
        for name in ["", "/changed", "/later"] {
            outside.ask(&format!("make {top}{name}"));
        }
        for name in ["/changed", "/later", "/new", "/never"] {
            client.ask(&format!("watch {top}{name}"));
        }
    }
    sidecar.kill();
    client.sees("state Disconnected");
    for (outside, top) in outside.iter().zip(tops) {
        outside.ask(&format!("set {top}/changed x"));
        outside.ask(&format!("create {top}/new x"));
    }
    sidecar.restart();
    client.sees("state SyncConnected");
    for top in tops {
        client.sees(&format!("event NodeDataChanged {top}/changed"));
        client.sees(&format!("event NodeCreated {top}/new"));
    }
    for (outside, top) in outside.iter().zip(tops) {
        outside.ask(&format!("set {top}/later x"));
        outside.ask(&format!("create {top}/never x"));
        // What was seen of eu before is not known any more, so its watch may have fired for nothing.
        client.sees(&format!("event NodeDataChanged {top}/later"));
        client.sees(&format!("event NodeCreated {top}/never"));
    }
    let quiet = ["owner /revived", "owner /eu/revived"];
    assert_eq!(client.seen_behind(&quiet), [""; 0]);
}

#[test]
fn a_stopped_sidecar_answers_what_is_outstanding_and_ends_no_session() {
    let (wire, setup) = wired();
    let sidecar = setup.key("grace_period: 4s").start(ZOONET);
    let outside = abroad();
    let client = Puppet::kazoo(sidecar.address(), 10);
    let session = client.ask("session");
    client.ask("ephemeral /stopped");
    client.ask("ephemeral /eu/stopped");
    let owner = outside.ask("owner /eu/stopped");
    wire.delay(Direction::Down, Duration::from_millis(700));
    let up = wire.traffic().up;
    let begun = client.tell("begin /eu/stopped 20");
    client.answer(begun);
    eventually("they are on their way", || wire.traffic().up > up + 500);
    let stopped = Instant::now();
    sidecar.terminate();
    for _ in 0..20 {
        client.sees(&format!("done {begun} ok"));
    }
    let status = sidecar.wait(Duration::from_secs(5)).expect("it ends");
    assert!(status.success(), "{status}");
    assert!(stopped.elapsed() < Duration::from_secs(4));
    client.sees("state SUSPENDED");
    wire.delay_both(Duration::ZERO);
    sidecar.restart();
    client.sees("state CONNECTED");
    for path in ["/stopped", "/eu/stopped"] {
        assert_eq!(client.ask(&format!("owner {path}")), session);
    }
    assert_eq!(outside.ask("owner /eu/stopped"), owner, "the leg's session");
    assert_eq!(client.seen_behind(&[]), [""; 0]);
}

#[test]
fn a_stop_ends_within_the_grace_period_whatever_hangs() {
    let (wire, setup) = wired();
    let sidecar = setup.clone().key("grace_period: 1m").start(ZOONET);
    sidecar.rewrite(&setup.key("grace_period: 1s"));
    logged(&sidecar, "reloaded", 0);
    let client = Puppet::kazoo(sidecar.address(), 30);
    client.ask("make /eu/grace");
    wire.freeze(Direction::Down);
    let begun = client.tell("begin /eu/grace 3");
    client.answer(begun);
    let up = wire.traffic().up;
    eventually("they are on their way", || wire.traffic().up >= up);
    let stopped = Instant::now();
    sidecar.terminate();
    let status = sidecar.wait(Duration::from_secs(5)).expect("it ends");
    let took = stopped.elapsed();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    assert!(status.success(), "{status}");
}

#[test]
fn a_damaged_leg_table_is_put_aside_and_reported() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let client = Puppet::kazoo(sidecar.address(), 10);
    client.ask("ephemeral /damaged");
    client.ask("make /eu/damaged");
    let session = client.ask("session");
    sidecar.kill();
    let table = sidecar.state().join("legs.redb");
    let mode = fs::metadata(&table).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&table, b"this is no table").unwrap();
    sidecar.restart();
    let aside: Vec<String> = fs::read_dir(sidecar.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("legs.redb.damaged-"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(sidecar.log().contains(&aside[0]), "{}", sidecar.log());
    client.sees("state SUSPENDED");
    client.sees("state CONNECTED");
    assert_eq!(client.ask("owner /damaged"), session);
    assert_eq!(client.ask("ephemeral /eu/damaged-new"), "/eu/damaged-new");
}

/// The sidecar with a file system of its own for the leg table, which is full: it is mounted where
/// nobody else sees it, and goes with the process.
fn on_a_full_disk(scratch: &Scratch) -> PathBuf {
    let script = format!(
        r#"#!/bin/sh
state=$(dirname "$3")/state
exec unshare --map-root-user --mount sh -c '
    mount -t tmpfs -o size=8m tmpfs "$0" || exit 1
    cat /dev/zero >"$0/filler" 2>/dev/null
    exec {ZOONET} "$@"' "$state" "$@"
"#
    );
    let path = scratch.write("full", &script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn on_a_full_disk_no_leg_is_opened_and_home_works() {
    let scratch = Scratch::new("full-disk");
    let (_wire, setup) = wired();
    let sidecar = setup.start(on_a_full_disk(&scratch));
    let outside = abroad();
    outside.ask("make /eu/full");
    let client = Puppet::kazoo(sidecar.address(), 10);
    client.ask("ephemeral /full");
    for _ in 0..3 {
        assert_eq!(client.ask("get /eu/full"), "ConnectionLoss");
        assert_eq!(client.ask("owner /full"), client.ask("session"));
    }
    let log = sidecar.log();
    assert!(log.contains("No space left on device"), "{log}");
    assert!(log.contains("leg to eu is not used"), "{log}");
    // From outside its file system is reached through the process.
    let inside = PathBuf::from(format!("/proc/{}/root", sidecar.pid().unwrap()));
    let filler = sidecar.state().join("filler");
    fs::remove_file(inside.join(filler.strip_prefix("/").unwrap())).unwrap();
    eventually("there is space", || client.ask("get /eu/full").is_empty());
    assert_eq!(client.ask("ephemeral /eu/full-mine"), "/eu/full-mine");
    assert_eq!(client.seen_behind(&[]), [""; 0]);
}
