//! The configuration changes under way; what the init system is told.

use std::fs;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use super::*;
use crate::testbed::scratch::Scratch;

#[test]
fn an_invalid_file_changes_nothing_and_is_reported_with_its_place() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let client = Puppet::kazoo(sidecar.address(), 10);
    client.ask("make /eu");
    client.ask("ephemeral /eu/invalid");
    let good = fs::read_to_string(sidecar.config()).unwrap();
    let bad = format!("{good}  /elsewhere: nowhere\n");
    let place = format!("zoonet.yaml:{}:", good.lines().count() + 1);
    fs::write(sidecar.config(), bad).unwrap();
    // The change is noticed by itself; then it is asked for.
    logged(&sidecar, "not reloaded", 0);
    sidecar.signal(Signal::HUP);
    logged(&sidecar, "not reloaded", 1);
    let log = sidecar.log();
    assert!(log.contains(&place), "{place} in {log}");
    assert_eq!(client.ask("owner /eu/invalid"), client.ask("session"));
    assert_eq!(client.seen_behind(&[]), [""; 0]);
    fs::write(sidecar.config(), good).unwrap();
    sidecar.signal(Signal::HUP);
    logged(&sidecar, "reloaded: nothing has changed", 0);
}

/// Clients of a sidecar before and after `/eu/moved` goes home, told of it by `notice`.
fn a_prefix_moves(name: &str, notice: impl Fn(&Sidecar)) {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let (home, outside) = (at_home(), abroad());
    let path = format!("/eu/{name}");
    outside.ask(&format!("make {path}"));
    home.ask(&format!("make {path}"));
    let user = Puppet::kazoo(sidecar.address(), 10);
    let other = Puppet::kazoo(sidecar.address(), 10);
    let session = user.ask("session");
    user.ask(&format!("ephemeral /{name}-user"));
    assert_eq!(
        user.ask(&format!("create {path}/before x")),
        format!("{path}/before")
    );
    other.ask(&format!("ephemeral /{name}-other"));
    other.ask(&format!("ephemeral /eu/{name}-other"));
    other.ask(&format!("watch /eu/{name}-watched"));
    sidecar.rewrite(&setup.route(&path, "us"));
    notice(&sidecar);
    user.sees("state SUSPENDED");
    user.sees("state CONNECTED");
    assert_eq!(user.ask("session"), session);
    assert_eq!(user.ask(&format!("owner /{name}-user")), session);
    for client in [&user, &other] {
        assert_eq!(client.ask(&format!("owner {path}/before")), "none");
        client.ask(&format!("create {path}/after x"));
    }
    assert_eq!(home.ask(&format!("get {path}/after")), "x");
    assert_eq!(outside.ask(&format!("owner {path}/after")), "none");
    outside.ask(&format!("make /eu/{name}-watched"));
    other.sees(&format!("event CREATED /eu/{name}-watched"));
    assert_eq!(
        other.ask(&format!("owner /eu/{name}-other")),
        other.ask("session")
    );
    assert_eq!(other.seen_behind(&["sync /eu"]), [""; 0]);
}

#[test]
fn a_prefix_that_moves_disconnects_those_who_used_it_on_hangup() {
    a_prefix_moves("moved", |sidecar| sidecar.signal(Signal::HUP));
}

#[test]
fn a_prefix_that_moves_disconnects_those_who_used_it_when_the_file_has_changed() {
    a_prefix_moves("followed", |_| {});
}

#[test]
fn the_init_system_is_told_of_start_reload_and_stop() {
    let scratch = Scratch::new("notify");
    let path = scratch.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (_wire, setup) = wired();
    let sidecar = setup.variable("NOTIFY_SOCKET", path).start(ZOONET);
    let told = || {
        let mut text = [0; 512];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert!(told().contains("READY=1"));
    sidecar.signal(Signal::HUP);
    let reloading = told();
    assert!(reloading.contains("RELOADING=1"), "{reloading}");
    // What systemd insists on for `Type=notify-reload`.
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(told().contains("READY=1"));
    sidecar.terminate();
    assert!(told().contains("STOPPING=1"));
}
