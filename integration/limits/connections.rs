//! How many connections there may be.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::ZOONET;
use crate::raw;

const TOO_MANY: &str = "zoonet_connections_total{outcome=\"too_many\"}";
const TOO_MANY_OF_ONE: &str = "zoonet_connections_total{outcome=\"too_many_of_one\"}";
const OUT_OF_FILES: &str = "zoonet_connections_total{outcome=\"out_of_files\"}";
const OPEN: &str = "zoonet_open_connections";
const MOST: &str = "zoonet_max_connections";

#[test]
fn one_too_many_is_closed_at_once_until_there_is_room_or_the_bound_is_raised() {
    let setup = on_the_pair().key("max_connections_per_client: 1");
    let sidecar = setup.clone().key("max_connections: 3").start(ZOONET);
    // Two with a session, and one that has not said a word.
    let mut clients = [(); 2].map(|()| Raw::connect(sidecar.address(), SESSION));
    let silent = raw::dial(sidecar.address());
    eventually("three are open", || metric(&sidecar, OPEN) == 3);
    let fourth = raw::dial(sidecar.address());
    let peer = fourth.local_addr().unwrap().to_string();
    raw::assert_closed(fourth);
    logs(
        &sidecar,
        &[
            "WARN",
            "client turned away",
            &peer,
            "3 connections are open",
            "`max_connections`",
        ],
    );
    assert_eq!((metric(&sidecar, TOO_MANY), metric(&sidecar, MOST)), (1, 3));
    for client in &mut clients {
        assert_eq!(client.get("/eu/limits-missing").err, NO_NODE);
    }

    drop(silent);
    eventually("one has gone", || metric(&sidecar, OPEN) == 2);
    assert_served(&sidecar);

    sidecar.rewrite(&setup.key("max_connections: 5"));
    eventually("the bound is raised", || metric(&sidecar, MOST) == 5);
    let more = [(); 3].map(|()| Raw::connect(sidecar.address(), SESSION));
    raw::assert_closed(raw::dial(sidecar.address()));
    assert_eq!(metric(&sidecar, OPEN), 5);
    drop((clients, more));
    eventually("all have gone", || metric(&sidecar, OPEN) == 0);
    assert_eq!(
        metric(&sidecar, TOO_MANY_OF_ONE),
        0,
        "applications of one host are not taken for one client"
    );
}

#[test]
fn a_user_of_a_shared_socket_has_so_many_and_others_are_not_concerned() {
    let scratch = Scratch::new("limits");
    let path = scratch.path().join("zk.sock");
    let sidecar = on_the_pair()
        .key("max_connections_per_client: 2")
        .key("socket_mode: \"0666\"")
        .listen_too(&format!("unix:{}", path.display()))
        .start(ZOONET);
    let dial = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut clients = [(); 2].map(|()| Raw::over(dial(), 0, SESSION));
    let mut rest = Vec::new();
    let end = std::io::Read::read_to_end(&mut dial(), &mut rest);
    assert!(end.is_ok_and(|bytes| bytes == 0), "{rest:?}");
    logs(
        &sidecar,
        &["client turned away", "its client has 2 connections"],
    );
    assert_eq!(metric(&sidecar, TOO_MANY_OF_ONE), 1);
    assert_served(&sidecar);
    for client in &mut clients {
        assert_eq!(client.get("/limits-missing").err, NO_NODE);
    }
}

#[test]
fn the_limit_of_descriptors_is_raised_and_bounds_the_connections() {
    let scratch = Scratch::new("limits");
    let soft = on_the_pair().start(limited(&scratch, "-Sn 64"));
    assert!(metric(&soft, "process_max_fds") > 64, "it may be raised");
    let hard = on_the_pair().start(limited(&scratch, "-n 264"));
    assert_eq!(metric(&hard, "process_max_fds"), 264);
    logs(
        &hard,
        &[
            "WARN",
            "too few file descriptors",
            "max_connections=4096",
            "most=36",
            "available=264",
        ],
    );
    assert_eq!(metric(&hard, MOST), 36);
    let clients: Vec<_> = (0..36)
        .map(|_| Raw::connect(hard.address(), SESSION))
        .collect();
    raw::assert_closed(raw::dial(hard.address()));
    assert_eq!(metric(&hard, TOO_MANY), 1);
    assert!(!hard.log().contains("cannot accept"), "it does not run out");
    drop(clients);
}

#[test]
fn without_descriptors_the_next_client_is_closed_and_nothing_spins() {
    let scratch = Scratch::new("limits");
    let sidecar = on_the_pair().start(limited(&scratch, "-n 48"));
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/eu/limits-missing").err, NO_NODE);
    // Whoever looks at the sidecar needs descriptors too, of which there are not enough.
    let looking: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(sidecar.admin()).unwrap())
        .collect();
    logs(
        &sidecar,
        &[
            "ERROR",
            "cannot accept on the admin address",
            "Too many open files",
        ],
    );
    let extra = raw::dial(sidecar.address());
    raw::assert_closed(extra);
    logs(
        &sidecar,
        &[
            "client turned away",
            "the process is out of file descriptors",
        ],
    );
    assert_eq!(client.get("/limits-missing").err, NO_NODE);
    thread::sleep(Duration::from_secs(1));
    let said = sidecar.log().matches("cannot accept").count();
    assert!(said < 100, "{said} lines");
    drop((looking, client));
    eventually("there are descriptors again", || {
        metric(&sidecar, OPEN) == 0
    });
    assert_eq!(metric(&sidecar, OUT_OF_FILES), 1);
    assert_served(&sidecar);
}
