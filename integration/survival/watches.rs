//! Watches over faults that come together, or that stock clients set again in ways of their own.

use super::*;
use crate::testbed::relay::Newcomers;

#[test]
fn watches_set_again_while_their_ensemble_is_down_tell_of_changes_when_it_is_back() {
    let (wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let link = Relay::to(sidecar.address());
    let outside = abroad();
    for path in ["/eu/both", "/eu/both/changed", "/eu/both/same"] {
        outside.ask(&format!("make {path}"));
    }
    let client = Puppet::java(link.address(), 20);
    for name in ["changed", "same", "new"] {
        client.ask(&format!("watch /eu/both/{name}"));
    }
    client.ask("ephemeral /eu/both/mine");
    wire.cut(Newcomers::Refuse);
    wire.reset();
    link.reset();
    client.sees("state Disconnected");
    client.sees("state SyncConnected");
    assert_eq!(client.ask("get /eu/both/same"), "ConnectionLossException");
    outside.ask("set /eu/both/changed x");
    outside.ask("create /eu/both/new x");
    wire.heal();
    client.sees("event NodeDataChanged /eu/both/changed");
    client.sees("event NodeCreated /eu/both/new");
    eventually("it is back", || client.ask("get /eu/both/same").is_empty());
    assert_eq!(client.ask("owner /eu/both/mine"), client.ask("session"));
    let quiet = ["owner /eu/both"];
    assert_eq!(client.seen_behind(&quiet), [""; 0], "what has not changed");
    outside.ask("set /eu/both/same x");
    client.sees("event NodeDataChanged /eu/both/same");
    assert_eq!(client.seen_behind(&quiet), [""; 0]);
}

#[test]
fn a_recursive_watch_is_armed_again_on_both_sides() {
    let (wire, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let link = Relay::to(sidecar.address());
    let outside = [at_home(), abroad()];
    let tops = ["/lasting", "/eu/lasting"];
    let client = Puppet::java(link.address(), 20);
    for (outside, top) in outside.iter().zip(tops) {
        outside.ask(&format!("make {top}"));
        assert_eq!(client.ask(&format!("watchbelow {top}")), "ok");
    }
    let before = sidecar.log().matches("watches armed again").count();
    wire.reset();
    logged(&sidecar, "watches armed again", before);
    let quiet = ["owner /lasting", "owner /eu/lasting"];
    let told = |name: &str| {
        for (outside, top) in outside.iter().zip(tops) {
            outside.ask(&format!("create {top}/{name} x"));
            client.sees(&format!("event NodeCreated {top}/{name}"));
        }
        assert_eq!(client.seen_behind(&quiet), [""; 0]);
    };
    client.ask("owner /eu/lasting");
    told("after-the-leg");
    link.reset();
    client.sees("state Disconnected");
    client.sees("state SyncConnected");
    for path in quiet {
        client.ask(path);
    }
    told("after-the-client");
    sidecar.kill();
    client.sees("state Disconnected");
    sidecar.restart();
    client.sees("state SyncConnected");
    for path in quiet {
        client.ask(path);
    }
    told("after-the-sidecar");
}
