//! A client's connection is lost and made again, or its session ends.

use std::io::Write as _;

use super::*;
use crate::raw;
use crate::testbed::relay::Newcomers;
use crate::testbed::zookeeper::Plan;
use rustix::process::Signal;

#[test]
fn a_client_that_comes_back_finds_its_session_on_both_sides() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let link = Relay::to(sidecar.address());
    let outside = abroad();
    let client = Puppet::kazoo(link.address(), 6);
    let session = client.ask("session");
    client.ask("ephemeral /back");
    client.ask("ephemeral /eu/back");
    let owner = outside.ask("owner /eu/back");
    for _ in 0..3 {
        link.reset();
        client.sees("state SUSPENDED");
        client.sees("state CONNECTED");
    }
    assert_eq!(client.ask("session"), session);
    // Longer than its timeout: its leg has to be attached, or it would expire now.
    thread::sleep(Duration::from_secs(8));
    for path in ["/back", "/eu/back"] {
        assert_eq!(client.ask(&format!("owner {path}")), session);
    }
    assert_eq!(outside.ask("owner /eu/back"), owner, "the leg's session");
    assert_eq!(client.seen_behind(&["sync /eu"]), [""; 0]);
}

#[test]
fn a_client_whose_connection_is_half_open_takes_over_with_a_new_one() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let ways = by_two_ways(&sidecar);
    let (one, two, client) = &ways;
    let outside = abroad();
    let session = client.ask("session");
    client.ask("ephemeral /half");
    client.ask("ephemeral /eu/half");
    let owner = outside.ask("owner /eu/half");
    change_ways(&ways);
    assert_eq!(two.traffic().connections, 1);
    assert_eq!(client.ask("session"), session);
    for path in ["/half", "/eu/half"] {
        assert_eq!(client.ask(&format!("owner {path}")), session);
    }
    one.heal();
    thread::sleep(Duration::from_secs(7));
    assert_eq!(outside.ask("owner /eu/half"), owner, "the leg's session");
    assert_eq!(client.seen_behind(&["sync /eu"]), [""; 0]);
}

#[test]
fn watches_of_both_sides_are_set_again_and_tell_each_change_once() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let link = Relay::to(sidecar.address());
    let outside = [at_home(), abroad()];
    let tops = ["/again", "/eu/again"];
    for (outside, top) in outside.iter().zip(tops) {
        for name in ["", "/changed", "/same", "/gone", "/kids"] {
            outside.ask(&format!("make {top}{name}"));
        }
    }
    let client = Puppet::java(link.address(), 10);
    for (outside, top) in outside.iter().zip(tops) {
        for name in ["/changed", "/same", "/gone", "/new", "/never"] {
            client.ask(&format!("watch {top}{name}"));
        }
        client.ask(&format!("watchchildren {top}/kids"));
        // The home of zxids differs: this makes eu's larger than what was seen at home, and back.
        outside.ask(&format!("set {top} x"));
    }
    link.cut(Newcomers::Refuse);
    link.reset();
    client.sees("state Disconnected");
    for (outside, top) in outside.iter().zip(tops) {
        outside.ask(&format!("set {top}/changed x"));
        outside.ask(&format!("delete {top}/gone"));
        outside.ask(&format!("create {top}/new x"));
        outside.ask(&format!("create {top}/kids/kid x"));
    }
    link.heal();
    client.sees("state SyncConnected");
    for top in tops {
        client.sees(&format!("event NodeDataChanged {top}/changed"));
        client.sees(&format!("event NodeDeleted {top}/gone"));
        client.sees(&format!("event NodeCreated {top}/new"));
        client.sees(&format!("event NodeChildrenChanged {top}/kids"));
    }
    let quiet = ["owner /again", "owner /eu/again"];
    assert_eq!(client.seen_behind(&quiet), [""; 0]);
    for (outside, top) in outside.iter().zip(tops) {
        outside.ask(&format!("set {top}/changed y"));
        outside.ask(&format!("set {top}/same y"));
        outside.ask(&format!("create {top}/never y"));
        client.sees(&format!("event NodeDataChanged {top}/same"));
        client.sees(&format!("event NodeCreated {top}/never"));
    }
    assert_eq!(client.seen_behind(&quiet), [""; 0]);
}

#[test]
fn a_wrong_password_harms_nobodys_legs() {
    let (_wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let outside = abroad();
    let client = Puppet::kazoo(sidecar.address(), 4);
    let session = client.ask("session");
    client.ask("ephemeral /wrong");
    client.ask("ephemeral /eu/wrong");
    let owner = outside.ask("owner /eu/wrong");
    let id = u64::from_str_radix(&session, 16).unwrap();
    for _ in 0..3 {
        let mut stream = raw::dial(sidecar.address());
        let hello = raw::handshake(0, 4_000, i64::from_be_bytes(id.to_be_bytes()), &[7; 16]);
        stream.write_all(&raw::framed(&hello)).unwrap();
        let answer = raw::read_frame(&mut stream).unwrap();
        assert_eq!(answer[4..8], [0; 4], "refused");
        raw::assert_closed(stream);
    }
    thread::sleep(Duration::from_secs(6));
    eventually("the client is connected", || {
        client.ask("owner /wrong") == session
    });
    assert_eq!(client.ask("session"), session);
    assert_eq!(client.ask("owner /eu/wrong"), session);
    assert_eq!(outside.ask("owner /eu/wrong"), owner);
}

#[test]
fn what_expires_remotely_while_its_client_is_away_is_no_silent_loss() {
    // Shorter than what home grants: eu's session goes while the client's lives on.
    let eu = Plan::new("eu")
        .session_timeouts(Duration::from_secs(2), Duration::from_secs(3))
        .start();
    let sidecar = setup(&[eu.servers()[0].address()]).start(ZOONET);
    let link = Relay::to(sidecar.address());
    let outside = Puppet::kazoo(eu.servers()[0].address(), 3);
    outside.ask("make /eu");
    let client = Puppet::kazoo(link.address(), 20);
    let session = client.ask("session");
    client.ask("ephemeral /eu/away");
    link.cut(Newcomers::Refuse);
    link.reset();
    client.sees("state SUSPENDED");
    eventually("eu's goes", || outside.ask("owner /eu/away") == "none");
    // Past the time in which the leg could have been attached again.
    thread::sleep(Duration::from_secs(3));
    link.heal();
    client.sees("state LOST");
    client.sees("state CONNECTED");
    assert_ne!(client.ask("session"), session);
}

#[test]
fn when_home_says_that_a_session_has_expired_its_remote_ephemerals_go_at_once() {
    // What is left to eu alone would take half a minute.
    let eu = Plan::new("eu")
        .session_timeouts(Duration::from_secs(30), Duration::from_secs(40))
        .start();
    let sidecar = setup(&[eu.servers()[0].address()]).start(ZOONET);
    let (home, outside) = (at_home(), Puppet::kazoo(eu.servers()[0].address(), 30));
    outside.ask("make /eu");
    let client = Puppet::kazoo(sidecar.address(), 2);
    client.ask("ephemeral /dead");
    client.ask("ephemeral /eu/dead");
    client.running().process().stop();
    eventually("home expires it", || home.ask("owner /dead") == "none");
    client.running().process().signal(Signal::CONT);
    let begun = Instant::now();
    eventually("eu's goes", || outside.ask("owner /eu/dead") == "none");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    client.sees("state LOST");
}
