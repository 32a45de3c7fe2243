//! A leg's session expires while its client lives.

use super::*;
use crate::testbed::relay::Newcomers;

/// Session timeout, seconds.
const SHORT: u32 = 4;

/// Parts the sidecar from eu until eu has expired the client's session: its ephemeral there is gone.
fn outlasted(relay: &Relay, outside: &Puppet, ephemeral: &str) {
    relay.cut(Newcomers::Refuse);
    relay.reset();
    eventually("the session expires", || {
        outside.ask(&format!("owner {ephemeral}")) == "none"
    });
}

#[test]
fn a_client_whose_remote_ephemerals_have_expired_expires_as_a_whole() {
    let (relay, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let (home, outside) = (at_home(), abroad());
    let client = Puppet::kazoo(sidecar.address(), SHORT);
    let first = client.ask("session");
    client.ask("ephemeral /expired");
    client.ask("ephemeral /eu/expired");
    outlasted(&relay, &outside, "/eu/expired");
    assert_eq!(
        home.ask("owner /expired"),
        first,
        "nothing happens until eu can say that the session is gone"
    );
    relay.heal();
    client.sees("state LOST");
    client.sees("state CONNECTED");
    assert_ne!(client.ask("session"), first);
    assert_eq!(home.ask("owner /expired"), "none");
    assert_ne!(client.ask("ephemeral /eu/expired"), "NodeExistsError");
}

#[test]
fn a_client_goes_on_without_its_remote_ephemerals_if_told_to_keep() {
    let (relay, setup) = wired();
    let sidecar = setup.ensemble_key("eu", "on_expiry: keep").start(ZOONET);
    let (home, outside) = (at_home(), abroad());
    outside.ask("make /eu/kept-watched");
    let client = Puppet::kazoo(sidecar.address(), SHORT);
    let session = client.ask("session");
    client.ask("ephemeral /kept");
    client.ask("ephemeral /eu/kept");
    client.ask("watch /eu/kept-watched");
    outlasted(&relay, &outside, "/eu/kept");
    outside.ask("set /eu/kept-watched changed");
    relay.heal();
    client.sees("event CHANGED /eu/kept-watched");
    assert_eq!(client.ask("owner /eu/kept"), "none");
    assert_eq!(client.ask("ephemeral /eu/kept"), "/eu/kept");
    assert_eq!(home.ask("owner /kept"), session);
    assert_eq!(client.seen_behind(&["sync /eu"]), [""; 0]);
}

#[test]
fn a_leg_without_ephemerals_is_replaced_in_silence_and_its_watches_fire() {
    let (relay, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let outside = abroad();
    for path in ["/eu/silent-while", "/eu/silent-after"] {
        outside.ask(&format!("make {path}"));
    }
    let client = Puppet::kazoo(sidecar.address(), SHORT);
    client.ask("ephemeral /silent");
    client.ask("watch /eu/silent-while");
    client.ask("watch /eu/silent-after");
    client.ask("watch /eu/silent-new");
    // Its ephemeral stands for the session's end and is gone before that.
    client.ask("ephemeral /eu/silent-mark");
    client.ask("delete /eu/silent-mark");
    relay.cut(Newcomers::Refuse);
    relay.reset();
    outside.ask("set /eu/silent-while changed");
    let server = &regions::shared_pair().eu.servers()[0];
    let session = leg_of(&sidecar);
    eventually("eu forgets the session", || {
        !server.ask("dump").is_ok_and(|dump| dump.contains(&session))
    });
    relay.heal();
    client.sees("event CHANGED /eu/silent-while");
    outside.ask("set /eu/silent-after changed");
    outside.ask("make /eu/silent-new");
    client.sees("event CHANGED /eu/silent-after");
    client.sees("event CREATED /eu/silent-new");
    assert!(sidecar.log().contains("it owned nothing"));
    assert_eq!(client.seen_behind(&["sync /eu"]), [""; 0]);
    assert_eq!(client.ask("owner /silent"), client.ask("session"));
}

/// The session of the last leg that came up, as servers write it.
fn leg_of(sidecar: &Sidecar) -> String {
    let log = sidecar.log();
    let line = log
        .lines()
        .rfind(|line| line.contains("leg is up"))
        .unwrap();
    let (_, rest) = line.split_once("leg=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}
