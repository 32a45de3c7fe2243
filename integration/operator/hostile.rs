//! Broken and hostile clients: theirs is the connection that closes, and the log says why.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ZOONET;
use crate::raw::{self, EXISTS, GET_DATA, NO_NODE, OK, Raw};
use crate::testbed::regions;
use crate::testbed::sidecar::{Setup, Sidecar};

const SESSION: u32 = 10_000;

/// The largest payload of a request, as servers and the sidecar come.
const LIMIT: usize = 0xf_ffff;

fn on_the_pair() -> Setup {
    let pair = regions::shared_pair();
    Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu")
}

/// Waits for a line of the log that has all of these words.
fn logs(sidecar: &Sidecar, words: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let log = sidecar.log();
        if log
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
        {
            return;
        }
        assert!(Instant::now() < deadline, "no line with {words:?}:\n{log}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `attack` beside a client that works on both sides, which must not notice a thing.
fn beside_a_working_client(sidecar: &Sidecar, attack: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut client = Raw::connect(sidecar.address(), SESSION);
            let mut rounds = 0;
            while rounds < 10 || !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                assert_eq!(client.get("/hostile-missing").err, NO_NODE);
                assert_eq!(client.get("/eu/hostile-missing").err, NO_NODE);
                assert!(begun.elapsed() < Duration::from_secs(3));
                rounds += 1;
            }
        });
        attack();
        over.store(true, Ordering::Relaxed);
        worker.join().unwrap();
    });
    let log = sidecar.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn malformed_frames_close_their_connection_and_are_logged() {
    let frame = |payload: &[u8]| raw::framed(payload);
    let get = |path: &str| raw::get_body(path);
    let cases: [(&str, Vec<u8>, &str); 8] = [
        (
            "a giant length",
            i32::MAX.to_be_bytes().to_vec(),
            "frame length 2147483647 is outside",
        ),
        (
            "a negative length",
            (-2_i32).to_be_bytes().to_vec(),
            "frame length -2 is outside",
        ),
        (
            "a word too late",
            b"ruok".to_vec(),
            "frame length 1920298859 is outside",
        ),
        (
            "an empty frame",
            frame(b""),
            "xid at offset 0 needs 4 bytes, 0 are left",
        ),
        (
            "a frame of four bytes",
            frame(&[0; 4]),
            "4 bytes, 0 are left",
        ),
        (
            "the number of watch events",
            frame(&raw::request(-1, GET_DATA, &get("/x"))),
            "xid -1, which is reserved for watch events",
        ),
        (
            "another protocol",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "frame length 1195725856",
        ),
        (
            "one byte too many",
            i32::try_from(LIMIT + 1).unwrap().to_be_bytes().to_vec(),
            "1048576",
        ),
    ];
    let sidecar = on_the_pair().start(ZOONET);
    beside_a_working_client(&sidecar, || {
        for (what, bytes, said) in &cases {
            println!("{what}");
            let mut client = Raw::connect(sidecar.address(), SESSION);
            assert_eq!(client.get("/eu/hostile-missing").err, NO_NODE);
            let session = format!("{:#x}", client.session);
            client.stream.write_all(bytes).unwrap();
            raw::assert_closed(client.stream);
            logs(
                &sidecar,
                &["WARN", "client's connection closed", &session, said],
            );
        }
    });
}

#[test]
fn a_broken_body_is_judged_by_the_server_and_a_broken_path_too() {
    // MARSHALLINGERROR, and the connection stays: as directly.
    let sidecar = on_the_pair().start(ZOONET);
    let direct = regions::shared_pair().us.servers()[0].address();
    let cut_off = 100_i32.to_be_bytes();
    for body in [
        &cut_off[..],
        &[],
        &(-1_i32).to_be_bytes(),
        &raw::get_body("no-slash"),
        &raw::get_body("/a//b"),
        &raw::get_body("/a/../b"),
        &raw::get_body(""),
    ] {
        let mut ends = Vec::new();
        for address in [direct, sidecar.address()] {
            let mut client = Raw::connect(address, SESSION);
            let err = client.call(GET_DATA, body).err;
            ends.push((err, client.get("/hostile-missing").err));
        }
        assert_eq!(ends[0], ends[1], "{body:?}");
        assert_eq!(ends[0].1, NO_NODE);
    }
}

#[test]
fn half_a_frame_is_no_matter() {
    let sidecar = on_the_pair().start(ZOONET);
    let whole = raw::framed(&raw::request(1, GET_DATA, &raw::get_body("/x")));
    beside_a_working_client(&sidecar, || {
        for length in [1, 3, 4, 5, 11, whole.len() - 1] {
            let mut client = Raw::connect(sidecar.address(), SESSION);
            client.stream.write_all(&whole[..length]).unwrap();
            client.stream.shutdown(Shutdown::Write).unwrap();
            raw::assert_closed(client.stream);
            logs(
                &sidecar,
                &["client gone", &format!("{:#x}", client.session)],
            );
        }
        // Byte by byte is slow, not broken.
        let mut client = Raw::connect(sidecar.address(), SESSION);
        for byte in &whole {
            client.stream.write_all(&[*byte]).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(client.reply().err, NO_NODE);
    });
}

#[test]
fn a_request_of_exactly_the_limit_passes() {
    let sidecar = on_the_pair().start(ZOONET);
    for path in ["/hostile-limit", "/eu/hostile-limit"] {
        let mut client = Raw::connect(sidecar.address(), SESSION);
        client.make(
            path.rsplit_once('/')
                .map_or("/", |(parent, _)| parent)
                .max("/eu"),
        );
        client.make(path);
        let overhead = raw::request(0, 5, &raw::set_body(path, b"")).len();
        assert_eq!(client.set(path, &vec![7; LIMIT - overhead]).err, OK);
        assert_eq!(client.get(path).body.len(), 4 + LIMIT - overhead + 68);
        assert_eq!(client.set(path, b"").err, OK);
        let over = raw::request(9, 5, &raw::set_body(path, &vec![7; LIMIT + 1 - overhead]));
        // It may be refused before it is sent as a whole.
        let _ = client.stream.write_all(&raw::framed(&over));
        raw::assert_closed(client.stream);
        let mut client = Raw::connect(sidecar.address(), SESSION);
        assert_eq!(
            client.get(path).body.len(),
            4 + 68,
            "nothing of it was applied"
        );
    }
}

#[test]
fn the_frame_limit_is_what_the_file_says() {
    let sidecar = on_the_pair().key("frame_limit: 1KiB").start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    // A path too long for a request of the limit, but for its last byte.
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    let overhead = raw::request(0, EXISTS, &raw::get_body("")).len();
    assert_eq!(
        client
            .call(EXISTS, &raw::get_body(&path(1024 - overhead)))
            .err,
        NO_NODE
    );
    client.send(EXISTS, &raw::get_body(&path(1025 - overhead)));
    raw::assert_closed(client.stream);
    logs(&sidecar, &["frame length 1025 is outside 0..=1024"]);
}

fn say(sidecar: &Sidecar, bytes: &[u8]) -> TcpStream {
    let mut stream = raw::dial(sidecar.address());
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn who_does_not_shake_hands_in_time_is_turned_away() {
    let sidecar = on_the_pair().key("handshake_timeout: 300ms").start(ZOONET);
    let hello = raw::framed(&raw::handshake(0, SESSION, 0, &[0; 16]));
    beside_a_working_client(&sidecar, || {
        for length in [0, 2, 4, 20] {
            let begun = Instant::now();
            let stream = say(&sidecar, &hello[..length]);
            let peer = stream.local_addr().unwrap().to_string();
            raw::assert_closed(stream);
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5));
            logs(
                &sidecar,
                &[
                    "WARN",
                    "client turned away",
                    &peer,
                    "no handshake within 300ms",
                ],
            );
        }
    });
}

#[test]
fn the_time_for_a_handshake_is_that_of_all_its_parts() {
    let sidecar = on_the_pair().key("handshake_timeout: 2s").start(ZOONET);
    let hello = raw::framed(&raw::handshake(0, SESSION, 0, &[0; 16]));
    let begun = Instant::now();
    let mut stream = say(&sidecar, &hello[..3]);
    thread::sleep(Duration::from_millis(1_500));
    // Its length is known now, and the rest has half a second left.
    stream.write_all(&hello[3..10]).unwrap();
    raw::assert_closed(stream);
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(3_400), "{took:?}");
}

#[test]
fn what_is_no_handshake_is_turned_away() {
    let sidecar = on_the_pair().start(ZOONET);
    let giant = i32::MAX.to_be_bytes();
    let cases: [(&[u8], &str); 5] = [
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "this is not ZooKeeper's protocol",
        ),
        (
            &[22, 3, 1, 2, 0, 1, 0, 1],
            "this is not ZooKeeper's protocol",
        ),
        (&giant, "this is not ZooKeeper's protocol"),
        (
            &[0, 0, 0, 0],
            "malformed handshake: protocolVersion at offset 0",
        ),
        (
            &[0, 0, 0, 4, 0, 0, 0, 0],
            "malformed handshake: lastZxidSeen at offset 4",
        ),
    ];
    beside_a_working_client(&sidecar, || {
        for (bytes, said) in cases {
            let stream = say(&sidecar, bytes);
            let peer = stream.local_addr().unwrap().to_string();
            raw::assert_closed(stream);
            logs(&sidecar, &["WARN", "client turned away", &peer, said]);
        }
    });
}

#[test]
fn who_only_looks_whether_the_port_is_open_is_no_matter() {
    let sidecar = on_the_pair().start(ZOONET);
    let stream = say(&sidecar, b"");
    stream.shutdown(Shutdown::Write).unwrap();
    raw::assert_closed(stream);
    let log = sidecar.log();
    assert!(!log.contains("turned away"), "{log}");
}
