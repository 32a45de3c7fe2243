//! What a connection may begin with: four-letter words and handshakes of two sizes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Duration;

use crate::ZOONET;
use crate::raw;
use crate::testbed::regions;
use crate::testbed::sidecar::{Setup, Sidecar};

fn alone() -> Sidecar {
    Setup::home(&regions::shared_pair().us).start(ZOONET)
}

fn home() -> SocketAddr {
    regions::shared_pair().us.servers()[0].address()
}

/// Says these bytes one after the other, a while between, and reads to the end.
fn ask(address: SocketAddr, pieces: &[&[u8]], half_close: Option<Shutdown>) -> String {
    let mut stream = raw::dial(address);
    for piece in pieces {
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    if let Some(how) = half_close {
        stream.shutdown(how).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The names of the facts in an answer, whose values change from one moment to the next.
fn shape(answer: &str) -> Vec<String> {
    let name = |line: &str| line.split([':', '\t']).next().unwrap().to_owned();
    answer.lines().map(name).collect()
}

#[test]
fn words_are_answered_by_a_home_server() {
    let sidecar = alone();
    for word in [b"srvr", b"ruok", b"mntr", b"conf", b"isro", b"envi"] {
        let direct = ask(home(), &[word], None);
        let relayed = ask(sidecar.address(), &[word], None);
        assert!(!direct.is_empty());
        assert_eq!(shape(&relayed), shape(&direct));
    }
    assert_eq!(ask(sidecar.address(), &[b"ruok"], None), "imok");
    let log = sidecar.log();
    assert!(!log.contains("WARN zoonet::proxy"), "{log}");
}

#[test]
fn a_word_may_come_in_pieces_with_a_newline_and_half_closed() {
    let sidecar = alone();
    let pieces: [&[&[u8]]; 4] = [
        &[b"ru", b"ok"],
        &[b"r", b"u", b"o", b"k"],
        &[b"ruok\n"],
        &[b"ruok", b"\n"],
    ];
    for pieces in pieces {
        for half_close in [None, Some(Shutdown::Write)] {
            let answer = ask(sidecar.address(), pieces, half_close);
            assert_eq!(answer, "imok", "{pieces:?} {half_close:?}");
        }
    }
}

#[test]
fn words_that_change_a_server_are_refused_in_its_own_words() {
    let sidecar = alone();
    for word in ["crst", "srst", "stmk"] {
        let answer = ask(sidecar.address(), &[word.as_bytes()], None);
        let expected = format!("{word} is not executed because it is not in the whitelist.\n");
        assert_eq!(answer, expected);
    }
}

#[test]
fn handshakes_are_answered_as_home_answers_them() {
    let sidecar = alone();
    let long = raw::handshake(0, 7_000, 0, &[0; 16]);
    assert_eq!(long.len(), 45);
    for (hello, length) in [(&long[..], 37), (&long[..44], 36)] {
        let mut answers = Vec::new();
        for address in [home(), sidecar.address()] {
            let mut stream = raw::dial(address);
            stream.write_all(&raw::framed(hello)).unwrap();
            let mut answer = raw::read_frame(&mut stream).unwrap();
            assert_eq!(answer.len(), length);
            // Session id and password are this session's own.
            assert_ne!(answer[8..16], [0; 8]);
            assert_ne!(answer[20..36], [0; 16]);
            answer[8..16].fill(0);
            answer[20..36].fill(0);
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0][4..8], 7_000_i32.to_be_bytes());
    }
}

#[test]
fn a_session_home_does_not_know_is_refused_as_home_refuses_it() {
    let sidecar = alone();
    let hello = raw::framed(&raw::handshake(0, 7_000, 0x1234_5678_9abc, &[9; 16]));
    let mut answers = Vec::new();
    for address in [home(), sidecar.address()] {
        let mut stream = raw::dial(address);
        stream.write_all(&hello).unwrap();
        answers.push(raw::read_frame(&mut stream).unwrap());
        raw::assert_closed(stream);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][4..16], [0; 12]);
}

#[test]
fn what_follows_a_handshake_at_once_is_served() {
    let sidecar = alone();
    let mut stream = raw::dial(sidecar.address());
    let hello = raw::framed(&raw::handshake(0, 7_000, 0, &[0; 16]));
    let get = raw::framed(&raw::request(
        1,
        raw::GET_DATA,
        &raw::get_body("/words-missing"),
    ));
    stream.write_all(&[hello, get].concat()).unwrap();
    assert_eq!(raw::read_frame(&mut stream).unwrap().len(), 37);
    let reply = raw::read_frame(&mut stream).unwrap();
    assert_eq!(reply[..4], 1_i32.to_be_bytes());
}
