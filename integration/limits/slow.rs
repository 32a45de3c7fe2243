//! Who does not read what waits for him.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use super::impostor::Impostor;
use super::*;
use crate::ZOONET;
use crate::raw::{self, CREATE, EPHEMERAL, EXISTS, GET_DATA, OK};

const ENDS: &str = "zoonet_connection_ends_total{reason=\"slow_reader\"}";
const CLOSED: &str = "client's connection closed: it takes nothing of what waits for it";

/// Bytes of the node that is read.
const LARGE: usize = 500_000;

/// A client that has asked for more than any buffer on the way takes, and has read nothing.
fn has_asked(sidecar: &Sidecar, node: &str, session: u32, times: usize) -> Raw {
    let mut client = Raw::connect(sidecar.address(), session);
    client.make(node);
    assert_eq!(client.set(node, &vec![7; LARGE]).err, OK);
    for _ in 0..times {
        client.send(GET_DATA, &raw::get_body(node));
    }
    client
}

#[test]
fn a_client_that_does_not_read_is_closed_and_keeps_its_session() {
    let sidecar = on_the_pair()
        .key("slow_reader_timeout: 500ms")
        .start(ZOONET);
    let begun = Instant::now();
    let mut owner = Raw::connect(sidecar.address(), SESSION);
    for path in ["/limits-owned", "/eu/limits-owned"] {
        owner.make("/eu");
        assert_eq!(
            owner.call(CREATE, &raw::create_body(path, EPHEMERAL)).err,
            OK
        );
    }
    owner.make("/limits-slow");
    assert_eq!(owner.set("/limits-slow", &vec![7; LARGE]).err, OK);
    for _ in 0..200 {
        owner.send(GET_DATA, &raw::get_body("/limits-slow"));
    }
    logs(
        &sidecar,
        &["WARN", CLOSED, &format!("{:#x}", owner.session), "500ms"],
    );
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(metric(&sidecar, ENDS), 1);
    let mut other = Raw::connect(sidecar.address(), SESSION);
    for path in ["/limits-owned", "/eu/limits-owned"] {
        let exists = other.call(EXISTS, &raw::get_body(path));
        assert_eq!(exists.err, OK, "its connection went, and not its session");
    }
}

#[test]
fn without_a_bound_of_its_own_it_has_its_sessions_timeout() {
    let sidecar = on_the_pair().start(ZOONET);
    let client = has_asked(&sidecar, "/limits-patience", 4_000, 200);
    let begun = Instant::now();
    logs(&sidecar, &[CLOSED, &format!("{:#x}", client.session), "4s"]);
    assert!(begun.elapsed() >= Duration::from_millis(3_500));
}

#[test]
fn a_client_that_reads_slowly_is_held_back_and_served() {
    let sidecar = on_the_pair()
        .key("slow_reader_timeout: 700ms")
        .start(ZOONET);
    let mut client = has_asked(&sidecar, "/limits-steady", SESSION, 40);
    let begun = Instant::now();
    let mut left = 40 * (4 + 16 + 4 + LARGE + 68);
    let mut some = vec![0; 400_000];
    while left > 0 {
        thread::sleep(Duration::from_millis(50));
        let some = some.get_mut(..left.min(400_000)).unwrap();
        client.stream.read_exact(some).unwrap();
        left -= some.len();
    }
    assert!(begun.elapsed() > Duration::from_secs(2));
    assert_eq!(client.get("/limits-missing").err, NO_NODE);
    assert_eq!(metric(&sidecar, ENDS), 0);
}

#[test]
fn a_server_that_does_not_read_is_given_up() {
    let home = Impostor::start(SESSION);
    let sidecar = Setup::new("us")
        .servers("us", &[home.address])
        .route("/", "us")
        .key("slow_reader_timeout: 500ms")
        .admin()
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    let _deaf = home.next();
    let request = raw::request(1, 5, &raw::set_body("/x", &vec![7; LARGE]));
    let frame = raw::framed(&request);
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    eventually("it is held back, and then closed", || {
        client.stream.write_all(&frame).is_err()
    });
    logs(
        &sidecar,
        &["WARN", "leg lost: no answer in time", "ensemble=\"us\""],
    );
    let timed_out = "zoonet_legs_lost_total{ensemble=\"us\",reason=\"timed_out\"}";
    assert_eq!(metric(&sidecar, timed_out), 1);
}
