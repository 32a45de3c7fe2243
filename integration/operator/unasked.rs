//! Requests with a decided policy: what stock servers answer badly, what hides real servers.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;

use crate::ZOONET;
use crate::raw::{self, CHECK, CREATE_SESSION, GET_DATA, NO_NODE, Raw, UNIMPLEMENTED};
use crate::testbed::regions;
use crate::testbed::sidecar::Setup;

const SESSION: u32 = 10_000;

fn on_the_pair() -> Setup {
    let pair = regions::shared_pair();
    Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu")
}

/// Which error a request is answered with, if it is, and whether the connection ends then.
///
/// Whether a request sent behind it is served as well is a race within the stock server: its answer
/// and its closing go through different threads.
fn outcome(address: SocketAddr, op: i32, body: &[u8]) -> (Option<i32>, bool) {
    let mut client = Raw::connect(address, SESSION);
    client.send(op, body);
    let Some(frame) = frame_or_end(&mut client) else {
        return (None, true);
    };
    let err = i32::from_be_bytes(frame[12..16].try_into().unwrap());
    let next = raw::framed(&raw::request(9, GET_DATA, &raw::get_body("/unasked")));
    let ends = client.stream.write_all(&next).is_err()
        || frame_or_end(&mut client).is_none()
        || frame_or_end(&mut client).is_none();
    (Some(err), ends)
}

/// The next frame, or nothing if the connection ends.
///
/// # Panics
///
/// If neither comes.
fn frame_or_end(client: &mut Raw) -> Option<Vec<u8>> {
    raw::read_frame(&mut client.stream)
        .inspect_err(|error| assert_ne!(error.kind(), ErrorKind::WouldBlock, "left open"))
        .ok()
}

#[test]
fn operations_that_break_stock_servers_are_refused_as_newer_servers_do() {
    let sidecar = on_the_pair().start(ZOONET);
    for path in ["/x", "/eu/x"] {
        let check = [&raw::buffer(path.as_bytes())[..], &[0; 4]].concat();
        for (op, body) in [(CHECK, &check[..]), (CREATE_SESSION, &[0; 4]), (0, &[])] {
            let mut client = Raw::connect(sidecar.address(), SESSION);
            // What is asked before is answered before.
            client.send(GET_DATA, &raw::get_body("/eu/unasked"));
            let xid = client.send(op, body);
            assert_eq!(client.reply().err, NO_NODE);
            let reply = client.reply();
            assert_eq!((reply.xid, reply.zxid, reply.err), (xid, -1, UNIMPLEMENTED));
            raw::assert_closed(client.stream);
        }
    }
    let log = sidecar.log();
    assert_eq!(log.matches("request refused").count(), 6, "{log}");
}

#[test]
fn an_unknown_operation_ends_as_it_does_directly() {
    let sidecar = on_the_pair().start(ZOONET);
    let direct = regions::shared_pair().us.servers()[0].address();
    for op in [10, 99, 4711, -99, i32::MAX, i32::MIN] {
        for body in [&[][..], &raw::get_body("/eu/x")] {
            let seen = outcome(direct, op, body);
            assert_eq!(seen, (Some(UNIMPLEMENTED), true), "{op} {body:?} directly");
            assert_eq!(outcome(sidecar.address(), op, body), seen, "{op} {body:?}");
        }
    }
}

#[test]
fn the_addresses_of_the_servers_show_only_if_exposed() {
    let us = &regions::shared().us;
    let real = Raw::connect(us.leader().unwrap().address(), SESSION).get("/zookeeper/config");
    let real_data = String::from_utf8_lossy(&real.body).into_owned();
    assert!(real_data.contains("server.1="), "{real_data}");

    let hidden = Setup::home(us).start(ZOONET);
    let masked = Raw::connect(hidden.address(), SESSION).get("/zookeeper/config");
    assert_eq!(masked.err, 0);
    assert_eq!(masked.body[..4], [0; 4], "no data");
    assert_eq!(masked.body.len(), 4 + 68, "and a Stat");

    let exposed = Setup::home(us).key("expose_config: true").start(ZOONET);
    let shown = Raw::connect(exposed.address(), SESSION).get("/zookeeper/config");
    // The time in the Stat is that at which each server was started.
    let data = real.body.len() - 68;
    assert_eq!(shown.body[..data], real.body[..data]);
}
