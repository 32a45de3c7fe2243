//! Remote legs that nobody needs.

use super::*;

/// How many sessions eu of the pair has whose clients came through this relay.
fn legs(relay: &Relay, sidecar: &Sidecar) -> (u64, usize) {
    (
        relay.traffic().connections,
        sidecar.log().matches("idle leg closed").count(),
    )
}

#[test]
fn a_leg_that_holds_nothing_is_closed_after_a_while_and_opened_on_demand() {
    let (relay, setup) = wired();
    let sidecar = setup.key("idle_leg_timeout: 1s").start(ZOONET);
    let outside = abroad();
    outside.ask("make /eu/idle");
    let [owner, watcher, idle] = [(); 3].map(|()| Puppet::kazoo(sidecar.address(), 20));
    owner.ask("ephemeral /eu/idle-mine");
    watcher.ask("watch /eu/idle-watched");
    for round in 1..=3 {
        // Each time what is idle goes after the others have been idle for longer.
        idle.ask("get /eu/idle");
        logged(&sidecar, "idle leg closed", round - 1);
    }
    // Connections that ask servers for their roles are among them; legs are closed by the log.
    let (_, closed) = legs(&relay, &sidecar);
    assert_eq!(closed, 3, "{}", sidecar.log());
    assert_eq!(owner.ask("owner /eu/idle-mine"), owner.ask("session"));
    outside.ask("create /eu/idle-watched x");
    watcher.sees("event CREATED /eu/idle-watched");
    // What they held is gone now, and so their legs go.
    owner.ask("delete /eu/idle-mine");
    logged(&sidecar, "idle leg closed", 4);
    for client in [&owner, &watcher, &idle] {
        assert_eq!(client.seen_behind(&["get /eu/idle"]), [""; 0]);
    }
}
