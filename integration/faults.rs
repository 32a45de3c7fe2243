//! What fails, and what clients see of it.
//!
//! Which server is chosen, what follows from the loss of a home server or of a whole remote ensemble,
//! and where barriers are placed. What outlives a fault is in `survival`.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::ZOONET;
use crate::patience::{PATIENCE, eventually};
use crate::raw::{
    self, CLOSE_SESSION, CONNECTION_LOSS, CREATE, EPHEMERAL, EXISTS, GET_DATA, MULTI, NO_NODE, OK,
    RUNTIME_INCONSISTENCY, Raw,
};
use crate::testbed::ports;
use crate::testbed::python::Python;
use crate::testbed::regions;
use crate::testbed::relay::{Newcomers, Relay};
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::{Ensemble, Plan};

/// Session timeout of the clients here, milliseconds: nothing is pinged while a test counts.
const SESSION: u32 = 30_000;

/// Home us of the pair, and its eu with these servers preferred.
fn preferring(preferred: &[SocketAddr]) -> Setup {
    let pair = regions::shared_pair();
    Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .prefer("eu", preferred)
        .route("/eu", "eu")
        .key("connect_timeout: 500ms")
}

/// A client of `sidecar` that gets an answer from eu.
fn answered_by_eu(sidecar: &Sidecar) -> Raw {
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/eu/faults-missing").err, NO_NODE);
    client
}

/// Whether the log says that this server was passed over, and why.
fn passed_over(sidecar: &Sidecar, server: SocketAddr, why: &str) -> bool {
    let log = sidecar.log();
    let mut lines = log
        .lines()
        .filter(|line| line.contains("server passed over"));
    lines.any(|line| line.contains(&server.to_string()) && line.contains(why))
}

#[test]
fn a_preferred_server_is_tried_first() {
    let relay = Relay::to(regions::shared_pair().eu.servers()[0].address());
    let sidecar = preferring(&[relay.address()]).start(ZOONET);
    for number in 1..=5 {
        answered_by_eu(&sidecar);
        assert!(relay.traffic().connections >= number);
    }
}

#[test]
fn a_server_that_is_down_is_passed_over() {
    let down = ports::reserve();
    let sidecar = preferring(&[down]).start(ZOONET);
    answered_by_eu(&sidecar);
    assert!(passed_over(&sidecar, down, "cannot connect"));
}

#[test]
fn a_server_that_never_answers_is_passed_over() {
    let relay = Relay::to(regions::shared_pair().eu.servers()[0].address());
    relay.cut(Newcomers::Hang);
    let sidecar = preferring(&[relay.address()]).start(ZOONET);
    let begun = Instant::now();
    answered_by_eu(&sidecar);
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let why = "no answer to the handshake within 500ms";
    assert!(passed_over(&sidecar, relay.address(), why));
}

#[test]
fn a_server_that_does_not_serve_is_passed_over() {
    // As a stock server without a quorum: it takes the handshake and closes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = raw::read_frame(&mut client);
        }
    });
    let sidecar = preferring(&[address]).start(ZOONET);
    answered_by_eu(&sidecar);
    assert!(passed_over(&sidecar, address, "not serving"));
}

#[test]
fn a_server_behind_what_the_client_has_seen_is_passed_over() {
    let us = &regions::shared().us;
    let observer = us.observers()[0].address();
    let sidecar = Setup::home(us).prefer("us", &[observer]).start(ZOONET);
    let mut writer = Raw::connect(us.leader().unwrap().address(), SESSION);
    writer.make("/faults-seen");
    // The observer lags, and so it cannot have heard of this yet.
    let seen = writer.set("/faults-seen", b"x").zxid;
    let mut reader = Raw::attach(sidecar.address(), seen, SESSION);
    assert!(passed_over(&sidecar, observer, "behind"));
    assert!(
        reader
            .get("/faults-seen")
            .body
            .starts_with(&raw::buffer(b"x"))
    );
}

#[test]
fn when_a_home_server_dies_the_session_goes_on_at_another() {
    let us = Plan::new("us").voters(3).start();
    let eu = &regions::shared_pair().eu;
    let victim = us.follower().unwrap();
    let sidecar = Setup::home(&us)
        .prefer("us", &[victim.address()])
        .ensemble(eu)
        .route("/eu", "eu")
        .start(ZOONET);
    Raw::connect(eu.servers()[0].address(), SESSION).make("/eu");
    let client = Python::file("faults/home_lost.py")
        .arg(sidecar.address())
        .arg("/faults-home")
        .arg("/eu/faults-home")
        .start();
    client.expect("ready", PATIENCE);
    victim.kill();
    client.say("killed");
    client.expect("done", Duration::from_secs(60));
    assert!(passed_over(&sidecar, victim.address(), "cannot connect"));
}

/// Each barrier the sidecar says it placed: the ensemble and the kind.
fn barriers(sidecar: &Sidecar) -> Vec<(String, String)> {
    let log = sidecar.log();
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(name).unwrap();
        rest.split_whitespace().next().unwrap().replace('"', "")
    };
    log.lines()
        .filter(|line| line.contains("barrier placed"))
        .map(|line| (field(line, "ensemble="), field(line, "barrier=")))
        .collect()
}

/// A client of a sidecar that logs its barriers, the roles of whose servers are known by now.
fn settled(setup: Setup, eu: &Ensemble) -> (Sidecar, Raw) {
    let sidecar = setup.log("zoonet=trace").start(ZOONET);
    Raw::connect(eu.leader().unwrap().address(), SESSION).make("/eu");
    let mut client = Raw::connect(sidecar.address(), SESSION);
    client.make("/faults");
    client.make("/eu/faults");
    (sidecar, client)
}

#[test]
fn a_barrier_is_placed_once_for_each_switch_to_a_read() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu");
    let (sidecar, mut client) = settled(setup, &pair.eu);
    let before = barriers(&sidecar).len();
    let (here, there) = ("/faults", "/eu/faults");
    let mut expected = Vec::new();
    client.set(here, b"");
    for _ in 0..3 {
        client.get(here); // led by the update or by the barrier before
        for _ in 0..4 {
            client.get(there);
        }
        expected.push("eu");
        client.get(here);
        expected.push("us");
        client.get(here);
        client.set(there, b""); // leads itself
        client.get(there);
        client.get(there);
        client.set(here, b"");
    }
    let found = barriers(&sidecar);
    let found: Vec<&str> = found[before..].iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_server_sees_one_barrier_for_each_switch_and_nothing_else() {
    let pair = regions::shared_pair();
    let relay = Relay::to(pair.eu.servers()[0].address());
    let setup = Setup::home(&pair.us)
        .servers("eu", &[relay.address()])
        .route("/eu", "eu");
    let (sidecar, mut client) = settled(setup, &pair.eu);
    let kind = |sidecar: &Sidecar| barriers(sidecar).pop().map(|(_, kind)| kind);
    eventually("the role of the server is known", || {
        client.get("/faults");
        client.get("/eu/faults");
        kind(&sidecar).as_deref() == Some("Sync")
    });
    let read = raw::framed(&raw::request(1, GET_DATA, &raw::get_body("/eu/faults"))).len();
    let sync = raw::framed(&raw::request(1, 9, &raw::buffer(b"/"))).len();
    let before = relay.traffic();
    for _ in 0..10 {
        client.get("/faults");
        client.get("/eu/faults");
        client.get("/eu/faults");
    }
    let after = relay.traffic();
    let expected = u64::try_from(10 * (2 * read + sync)).unwrap();
    assert_eq!(after.up - before.up, expected);
    assert_eq!(after.connections, before.connections);
}

#[test]
fn on_a_leader_sync_is_replaced_by_the_quorum_barrier() {
    let regions = regions::shared();
    for (server, kind) in [
        (regions.eu.leader().unwrap(), "Quorum"),
        (regions.eu.follower().unwrap(), "Sync"),
        (&regions.eu.observers()[0], "Sync"),
    ] {
        let setup = Setup::home(&regions.us)
            .servers("eu", &[server.address()])
            .route("/eu", "eu");
        let (sidecar, mut client) = settled(setup, &regions.eu);
        let mut kinds = Vec::new();
        let mut look = || {
            client.get("/faults");
            client.get("/eu/faults");
            let placed = barriers(&sidecar).into_iter();
            kinds = placed
                .filter(|(to, _)| to == "eu")
                .map(|(_, kind)| kind)
                .collect();
            (kinds.len(), kinds.last().cloned())
        };
        // While a role is not known yet, the quorum barrier serves too.
        eventually(kind, || {
            let (count, last) = look();
            count >= 5 && last.as_deref() == Some(kind)
        });
    }
}

#[test]
fn while_a_remote_ensemble_cannot_be_reached_home_goes_on() {
    let pair = regions::shared_pair();
    let relay = Relay::to(pair.eu.servers()[0].address());
    let setup = Setup::home(&pair.us)
        .servers("eu", &[relay.address()])
        .route("/eu", "eu")
        .key("connect_timeout: 500ms");
    let sidecar = setup.start(ZOONET);
    let timeout = 6_000;
    let mut client = Raw::connect(sidecar.address(), timeout);
    let mut other = Raw::connect(sidecar.address(), timeout);
    other.make("/faults-alone");
    assert_eq!(client.get("/eu/missing").err, NO_NODE);
    for newcomers in [Newcomers::Hang, Newcomers::Refuse] {
        relay.cut(newcomers);
        for _ in 0..4 {
            let begun = Instant::now();
            let xid = client.send(GET_DATA, &raw::get_body("/eu/missing"));
            // Another client is not even slowed down, and this one's next request is served.
            assert_eq!(other.set("/faults-alone", b"x").err, OK);
            assert!(begun.elapsed() < Duration::from_secs(1));
            client.send(EXISTS, &raw::get_body("/faults-alone"));
            let lost = client.reply();
            assert_eq!(
                (lost.xid, lost.err, lost.body.len()),
                (xid, CONNECTION_LOSS, 0)
            );
            assert_eq!(client.reply().err, OK);
            let took = begun.elapsed();
            assert!(
                took < Duration::from_secs(2),
                "a third of the timeout: {took:?}"
            );
        }
        relay.heal();
        eventually("the ensemble is back", || {
            let err = client.get("/eu/missing").err;
            assert!(err == CONNECTION_LOSS || err == NO_NODE, "{err}");
            err == NO_NODE
        });
    }
    let log = sidecar.log();
    assert!(log.contains("cannot open leg"), "{log}");
    assert!(!log.contains("client gone"), "{log}");
}

#[test]
fn a_multi_for_a_lost_ensemble_is_answered_for_each_of_its_operations() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us)
        .servers("eu", &[ports::reserve()])
        .route("/eu", "eu");
    let sidecar = setup.start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), 6_000);
    let header =
        |op: i32, done: u8, err: i32| [&op.to_be_bytes()[..], &[done], &err.to_be_bytes()].concat();
    let check = [&header(13, 0, -1)[..], &raw::buffer(b"/eu/x"), &[0; 4]].concat();
    let body = [&check[..], &check, &header(-1, 1, -1)].concat();
    let reply = client.call(MULTI, &body);
    assert_eq!(reply.err, OK, "a header error aborts the stock C client");
    let failed = |err: i32| [&header(-1, 0, err)[..], &err.to_be_bytes()].concat();
    // As servers answer a multi that failed at its first operation.
    let per_operation = [failed(CONNECTION_LOSS), failed(RUNTIME_INCONSISTENCY)].concat();
    assert!(reply.body.starts_with(&per_operation), "{:?}", reply.body);
}

#[test]
fn failures_of_a_refusing_ensemble_are_paced() {
    let pair = regions::shared_pair();
    let sidecar = Setup::home(&pair.us)
        .servers("eu", &[ports::reserve()])
        .route("/eu", "eu")
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    let begun = Instant::now();
    for _ in 0..4 {
        assert_eq!(client.get("/eu/x").err, CONNECTION_LOSS);
    }
    // The first is answered at once, the others after a quarter of a second each.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(750), "{took:?}");
    assert!(took < Duration::from_millis(2_500), "{took:?}");
}

#[test]
fn a_close_waits_for_a_lost_ensemble_no_longer_than_a_second() {
    let pair = regions::shared_pair();
    let relay = Relay::to(pair.eu.servers()[0].address());
    let sidecar = Setup::home(&pair.us)
        .servers("eu", &[relay.address()])
        .route("/eu", "eu")
        .start(ZOONET);
    let mut client = answered_by_eu(&sidecar);
    relay.cut(Newcomers::Hang);
    let begun = Instant::now();
    assert_eq!(client.call(CLOSE_SESSION, &[]).err, OK);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    raw::assert_closed(client.stream);
}

#[test]
fn a_silent_client_is_dropped_and_loses_both_sides() {
    let pair = regions::shared_pair();
    let sidecar = preferring(&[]).start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), 2_000);
    let mut other = Raw::connect(sidecar.address(), SESSION);
    other.make("/eu");
    let paths = ["/faults-silent", "/eu/faults-silent"];
    for path in paths {
        assert_eq!(
            client.call(CREATE, &raw::create_body(path, EPHEMERAL)).err,
            OK
        );
    }
    let begun = Instant::now();
    raw::assert_closed(client.stream);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    for (path, ensemble) in paths.iter().zip([&pair.us, &pair.eu]) {
        let mut direct = Raw::connect(ensemble.servers()[0].address(), SESSION);
        eventually("its ephemeral is gone", || direct.get(path).err == NO_NODE);
    }
    // A timeout, a step of the server's clock, and what a busy machine takes.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}
