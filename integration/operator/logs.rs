//! What the program logs, read as an operator's tools read it.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::ZOONET;
use crate::raw::{self, GET_DATA, MULTI, NO_NODE, OK, Raw};
use crate::testbed::http::get;
use crate::testbed::relay::{Direction, Relay};
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::{ports, regions};

const SESSION: u32 = 10_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn on_the_pair() -> Setup {
    let pair = regions::shared_pair();
    Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu")
}

/// Waits until the log has so many lines with these words.
fn logs(sidecar: &Sidecar, words: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while sidecar.log().matches(words).count() < count {
        let log = sidecar.log();
        assert!(Instant::now() < deadline, "not {count} of {words}:\n{log}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The lines that were logged; the bed keeps what the program prints beside them.
fn lines(sidecar: &Sidecar) -> Vec<String> {
    let printed = |line: &&str| line.starts_with("listening on ") || line.starts_with("admin on ");
    let log = sidecar.log();
    let lines = log.split('\n').filter(|line| !line.is_empty());
    lines
        .filter(|line| !printed(line))
        .map(str::to_owned)
        .collect()
}

/// The first line with this message of this session, as JSON.
fn said(sidecar: &Sidecar, message: &str, session: i64) -> Value {
    let session = format!("{session:#x}");
    logs(sidecar, message, 1);
    let objects = lines(sidecar).into_iter().map(|line| {
        let read: Result<Value, _> = serde_json::from_str(&line);
        read.unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let mut found = objects.filter(|line| line["message"] == message && line["session"] == session);
    found
        .next()
        .unwrap_or_else(|| panic!("no {message} of {session}: {}", sidecar.log()))
}

/// A transaction that creates nodes.
fn creating(paths: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for path in paths {
        body.extend(1_i32.to_be_bytes());
        body.push(0);
        body.extend((-1_i32).to_be_bytes());
        body.extend(raw::create_body(path, raw::PERSISTENT));
    }
    body.extend((-1_i32).to_be_bytes());
    body.push(1);
    body.extend((-1_i32).to_be_bytes());
    body
}

#[test]
fn a_line_says_which_session_ensemble_and_operation_it_is_about() {
    let sidecar = on_the_pair().key("log_format: json").start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    let peer = client.stream.local_addr().unwrap().to_string();
    assert_eq!(client.get("/eu/logs-missing").err, NO_NODE);
    let xid = client.send(MULTI, &creating(&["/logs-us", "/eu/logs-eu"]));
    assert_eq!(client.reply().err, OK);
    let eu = regions::shared_pair().eu.servers()[0].address();

    let attached = said(&sidecar, "session attached", client.session);
    assert_eq!(
        (&attached["level"], &attached["peer"]),
        (&"DEBUG".into(), &peer.clone().into())
    );
    let up = said(&sidecar, "leg is up", client.session);
    assert_eq!(
        (&up["level"], &up["ensemble"]),
        (&"INFO".into(), &"eu".into())
    );
    assert_eq!(
        (&up["peer"], &up["server"]),
        (&peer.clone().into(), &eu.to_string().into())
    );
    assert!(up["leg"].as_str().unwrap().starts_with("0x"), "{up}");
    let refused = said(&sidecar, "request refused", client.session);
    assert_eq!(
        (&refused["level"], &refused["op"]),
        (&"DEBUG".into(), &"multi".into())
    );
    assert_eq!(
        (&refused["xid"], &refused["peer"]),
        (&xid.into(), &peer.into())
    );
}

#[test]
fn a_request_that_fails_is_told_with_its_number_and_where_it_was_to_go() {
    let pair = regions::shared_pair();
    let nobody = ports::reserve();
    let sidecar = Setup::home(&pair.us)
        .servers("eu", &[nobody])
        .route("/eu", "eu")
        .key("log_format: json")
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/eu/logs-nowhere").err, raw::CONNECTION_LOSS);
    let failed = said(&sidecar, "request failed: CONNECTIONLOSS", client.session);
    assert_eq!(
        (&failed["op"], &failed["xid"]),
        (&"getData".into(), &1.into())
    );
    assert_eq!(failed["ensemble"], "eu");
    let unreachable = said(&sidecar, "cannot open leg", client.session);
    assert_eq!(
        (&unreachable["level"], &unreachable["ensemble"]),
        (&"WARN".into(), &"eu".into())
    );
    let over = said(&sidecar, "server passed over", client.session);
    assert_eq!(over["server"], nobody.to_string());
}

#[test]
fn what_is_lost_is_told_with_its_server_and_with_what_was_outstanding() {
    let pair = regions::shared_pair();
    let wire = Relay::to(pair.eu.servers()[0].address());
    let sidecar = Setup::home(&pair.us)
        .servers("eu", &[wire.address()])
        .route("/eu", "eu")
        .key("log_format: json")
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/eu/logs-missing").err, NO_NODE);
    wire.freeze(Direction::Down);
    let before = wire.traffic().up;
    let xid = client.send(GET_DATA, &raw::get_body("/eu/logs-missing"));
    let deadline = Instant::now() + PATIENCE;
    while wire.traffic().up == before {
        assert!(Instant::now() < deadline, "the request does not go out");
        thread::sleep(Duration::from_millis(5));
    }
    wire.reset();
    let reply = client.reply();
    assert_eq!((reply.xid, reply.err), (xid, raw::CONNECTION_LOSS));
    for message in [
        "leg lost: connection closed",
        "request failed: CONNECTIONLOSS",
    ] {
        let line = said(&sidecar, message, client.session);
        assert_eq!(line["server"], wire.address().to_string(), "{line}");
        assert_eq!(line["ensemble"], "eu", "{line}");
    }
    let failed = said(&sidecar, "request failed: CONNECTIONLOSS", client.session);
    assert_eq!(
        (&failed["op"], &failed["xid"]),
        (&"getData".into(), &xid.into())
    );
}

/// Connects and says what is no handshake.
fn strike(sidecar: &Sidecar) {
    let mut stream: TcpStream = raw::dial(sidecar.address());
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    raw::assert_closed(stream);
}

#[test]
fn a_flood_is_summed_up_and_hides_nothing_else() {
    const STRIKES: usize = 400;
    let sidecar = on_the_pair()
        .log("info")
        .key("log_format: json")
        .key("handshake_timeout: 300ms")
        .admin()
        .start(ZOONET);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..STRIKES / 4).for_each(|_| strike(&sidecar)));
        }
    });
    // Turned away for another reason.
    raw::assert_closed(raw::dial(sidecar.address()));
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/eu/logs-missing").err, NO_NODE);
    said(&sidecar, "leg is up", client.session);
    let metrics = get(sidecar.admin(), "/metrics").body;
    let counted = format!("zoonet_connections_total{{outcome=\"malformed\"}} {STRIKES}\n");
    assert!(metrics.contains(&counted), "{metrics}");
    // What was held back is said at the end, if not before.
    sidecar.terminate();
    assert!(sidecar.wait(PATIENCE).unwrap().success());
    let lines = lines(&sidecar);
    let objects: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |outcome: &str| -> Vec<&Value> {
        let away = objects
            .iter()
            .filter(|line| line["message"] == "client turned away");
        away.filter(|line| line["outcome"] == outcome).collect()
    };
    let malformed = told("malformed");
    // In another interval there are as many once more.
    assert!((11..=33).contains(&malformed.len()), "{lines:#?}");
    let stand_for = |line: &&Value| line["more"].as_u64().unwrap_or(1);
    let all: u64 = malformed.iter().map(stand_for).sum();
    assert_eq!(usize::try_from(all).unwrap(), STRIKES, "{lines:#?}");
    assert_eq!(told("slow").len(), 1, "{lines:#?}");
    assert!(lines.len() < 60, "{lines:#?}");
}

#[test]
fn another_filter_holds_at_once_and_a_wrong_one_changes_nothing() {
    let setup = on_the_pair().log("warn");
    let sidecar = setup.start(ZOONET);
    let quiet = Raw::connect(sidecar.address(), SESSION);
    let detailed = setup.clone().log("zoonet=debug,info");
    sidecar.rewrite(&detailed);
    sidecar.signal(Signal::HUP);
    logs(&sidecar, "logging what passes another filter", 1);
    let mut heard = Raw::connect(sidecar.address(), SESSION);
    logs(&sidecar, "session attached", 1);
    let log = sidecar.log();
    assert!(
        log.contains(&format!("session={:#x}", heard.session)),
        "{log}"
    );
    assert!(!log.contains(&format!("{:#x}", quiet.session)), "{log}");
    assert!(!log.contains("restart to change it"), "{log}");

    sidecar.rewrite(&setup.clone().log("debgu"));
    sidecar.signal(Signal::HUP);
    logs(&sidecar, "`debgu` is no level", 1);
    assert_eq!(heard.get("/eu/logs-missing").err, NO_NODE);
    drop(heard);
    logs(&sidecar, "client gone", 1);

    sidecar.rewrite(&detailed.key("log_format: json"));
    sidecar.signal(Signal::HUP);
    logs(&sidecar, "key=\"log_format\"", 1);
    // A session that was there before speaks by the filter of now, and is known.
    drop(quiet);
    logs(&sidecar, "client gone", 2);
    sidecar.rewrite(&setup.log("error"));
    sidecar.signal(Signal::HUP);
    let before = Instant::now();
    while before.elapsed() < PATIENCE {
        // Until one goes unheard: those that are there before the file is read are not.
        let told = sidecar.log().matches("client gone").count();
        drop(Raw::connect(sidecar.address(), SESSION));
        thread::sleep(Duration::from_millis(300));
        if sidecar.log().matches("client gone").count() == told {
            return;
        }
    }
    panic!("not silenced: {}", sidecar.log());
}

#[test]
fn what_clients_say_neither_begins_a_line_nor_moves_a_terminal() {
    let evil = "x\n2026-11-29T00:00:00.000000Z ERROR zoonet: forged\r\x1b[2J\x07\u{9b}31m";
    for format in ["human", "json"] {
        let sidecar = on_the_pair()
            .log("trace")
            .key(&format!("log_format: {format}"))
            .start(ZOONET);
        let mut client = Raw::connect(sidecar.address(), SESSION);
        for path in [format!("/{evil}"), format!("/eu/{evil}")] {
            client.call(GET_DATA, &raw::get_body(&path));
            client.call(raw::EXISTS, &raw::get_body(&path));
            client.call(raw::CREATE, &raw::create_body(&path, raw::PERSISTENT));
        }
        client.send(
            MULTI,
            &creating(&[&format!("/{evil}"), &format!("/eu/{evil}")]),
        );
        client.reply();
        let mut stranger = raw::dial(sidecar.address());
        stranger.write_all(evil.as_bytes()).unwrap();
        raw::assert_closed(stranger);
        client
            .stream
            .write_all(&raw::framed(evil.as_bytes()))
            .unwrap();
        client.stream.write_all(evil.as_bytes()).unwrap();
        raw::assert_closed(client.stream);
        logs(&sidecar, "client turned away", 1);
        logs(&sidecar, "client's connection closed", 1);
        for line in lines(&sidecar) {
            assert!(!line.contains(char::is_control), "{line:?}");
            let begins = if format == "json" {
                "{\"timestamp\":\"20"
            } else {
                "20"
            };
            assert!(line.starts_with(begins), "{line:?}");
            assert!(!line.contains("forged"), "{line:?}");
        }
    }
}
