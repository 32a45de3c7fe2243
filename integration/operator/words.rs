//! What a connection may begin with: four-letter words and handshakes of two sizes.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::ZOONET;
use crate::raw::{self, Raw};
use crate::testbed::python::Python;
use crate::testbed::regions;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::Plan;

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

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

fn not_listed(word: &str) -> String {
    format!("{word} is not executed because it is not in the whitelist.\n")
}

/// Every word that may be allowed.
fn talkative() -> Sidecar {
    let home = Setup::home(&regions::shared_pair().us);
    home.key("words: [\"*\"]").start(ZOONET)
}

#[test]
fn words_about_what_a_server_stores_are_relayed() {
    let sidecar = talkative();
    for word in ["dirs", "dump", "gtmk", "hash", "wchs", "wchc", "wchp"] {
        let direct = ask(home(), &[word.as_bytes()], None);
        let relayed = ask(sidecar.address(), &[word.as_bytes()], None);
        assert_ne!(direct, not_listed(word));
        // What a line begins with stays the same from one moment to the next.
        assert_eq!(shape(&relayed).first(), shape(&direct).first(), "{word}");
    }
    let log = sidecar.log();
    assert!(!log.contains("WARN zoonet::proxy"), "{log}");
}

#[test]
fn words_about_the_sidecar_have_the_form_of_a_servers_and_its_own_content() {
    let sidecar = talkative();
    let client = Raw::connect(sidecar.address(), 8_000);
    let of = |address, word: &str| ask(address, &[word.as_bytes()], None);
    for word in ["srvr", "stat"] {
        let clients = |line: &String| !line.starts_with(" /");
        let shape = |address| {
            let names = shape(&of(address, word)).into_iter();
            names.filter(clients).collect::<Vec<String>>()
        };
        assert_eq!(shape(sidecar.address()), shape(home()), "{word}");
        let said = of(sidecar.address(), word);
        assert!(said.contains("-zoonet-"), "{said}");
        assert!(said.contains("\nMode: observer\n"), "{said}");
        assert!(said.contains("\nConnections: 1\n"), "{said}");
    }
    let keys = |address| -> BTreeSet<String> { shape(&of(address, "mntr")).into_iter().collect() };
    let (mine, homes) = (keys(sidecar.address()), keys(home()));
    let own = mine.difference(&homes);
    assert!(
        own.clone().all(|key| key.starts_with("zk_zoonet_")),
        "{mine:?}"
    );
    assert!(
        own.count() > 3 && mine.intersection(&homes).count() > 10,
        "{mine:?}"
    );
    assert_eq!(of(sidecar.address(), "isro"), "rw");
    assert_eq!(of(sidecar.address(), "ruok"), "imok");
    let cons = of(sidecar.address(), "cons");
    assert!(
        cons.contains(&format!("sid={:#x},", client.session)),
        "{cons}"
    );
    assert!(cons.contains(",to=8000)"), "{cons}");
    let envi = of(sidecar.address(), "envi");
    assert!(
        envi.starts_with("Environment:\nzookeeper.version=3."),
        "{envi}"
    );
    let conf = of(sidecar.address(), "conf");
    let port = format!("clientPort={}\n", sidecar.address().port());
    assert!(conf.starts_with(&port), "{conf}");
    assert!(conf.contains("zoonet.routes./=us:/\n"), "{conf}");
}

#[test]
fn stock_monitoring_reads_the_sidecar_as_it_reads_a_server() {
    let sidecar = talkative();
    let read = Python::file("operator/words.py").args([home(), sidecar.address()]);
    assert_eq!(read.run(Duration::from_secs(60)), "ok\n");
    // Of what is allowed without being told, kazoo finds all it needs.
    let plain = alone();
    let script = "import sys\nfrom kazoo.client import KazooClient\n\
                  client = KazooClient(hosts=sys.argv[1])\nclient.start()\n\
                  assert 'zk_server_state\\tobserver' in client.command(b'mntr')\n\
                  print(*client.server_version())\nclient.stop()\n";
    let version = Python::text(script).arg(plain.address());
    let version = version.run(Duration::from_secs(60));
    assert!(version.starts_with("3 "), "{version}");
}

#[test]
fn traffic_and_switches_are_counted() {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu");
    let sidecar = setup.start(ZOONET);
    let figure = |key: &str| -> u64 {
        let mntr = ask(sidecar.address(), &[b"mntr"], None);
        let line = mntr
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap();
        line.trim().parse().unwrap()
    };
    assert_eq!(figure("zk_num_alive_connections"), 0);
    assert_eq!(figure("zk_zoonet_switches"), 0);
    let mut client = Raw::connect(sidecar.address(), 8_000);
    for _ in 0..5 {
        client.get("/eu/words-none");
        client.get("/words-none");
    }
    assert_eq!(figure("zk_num_alive_connections"), 1);
    assert_eq!(figure("zk_zoonet_remote_legs"), 1);
    assert_eq!(figure("zk_zoonet_switches"), 10);
    assert_eq!(figure("zk_zoonet_barriers"), 10);
    assert!(figure("zk_packets_received") >= 20);
    assert!(figure("zk_packets_sent") >= 20);
    assert!(figure("zk_max_latency") >= 1);
    assert!(figure("zk_znode_count") >= 5);
}

#[test]
fn without_home_the_sidecar_answers_for_itself_and_soon() {
    let own = Plan::new("words").start();
    let sidecar = Setup::home(&own).key("words: [\"*\"]").start(ZOONET);
    let of = |word: &str| ask(sidecar.address(), &[word.as_bytes()], None);
    assert_eq!(of("isro"), "rw");
    let assert_alone = || {
        let begun = Instant::now();
        assert_eq!(of("ruok"), "imok");
        assert!(begun.elapsed() < Duration::from_secs(1));
        for word in ["srvr", "stat"] {
            assert_eq!(of(word), NOT_SERVING);
        }
        assert_eq!(of("isro"), "null");
        let mntr = of("mntr");
        assert!(mntr.contains("\nzk_server_state\tnot-serving\n"), "{mntr}");
        assert!(mntr.contains("\nzk_zoonet_home_serves\t0\n"), "{mntr}");
        assert!(mntr.contains("\nzk_num_alive_connections\t0\n"), "{mntr}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(12), "{took:?}");
    };
    // One that hangs first, then one that is not there.
    own.servers()[0].stop();
    assert_alone();
    own.servers()[0].kill();
    assert_alone();
    own.servers()[0].restart();
    own.await_ready();
    assert_eq!(of("isro"), "rw");
}

#[test]
fn what_is_not_listed_is_refused_and_a_reload_changes_that() {
    let sidecar = alone();
    let of = |word: &str| ask(sidecar.address(), &[word.as_bytes()], None);
    for word in ["conf", "cons", "dirs", "dump", "stat", "wchs"] {
        assert_eq!(of(word), not_listed(word));
    }
    for word in ["envi", "isro", "mntr", "ruok", "srvr"] {
        assert_ne!(of(word), not_listed(word));
    }
    sidecar.rewrite(&Setup::home(&regions::shared_pair().us).key("words: [cons]"));
    sidecar.signal(Signal::HUP);
    let begun = Instant::now();
    while of("ruok") != not_listed("ruok") {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(of("cons"), not_listed("cons"));
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
    let sidecar = talkative();
    for word in ["crst", "srst", "stmk"] {
        let answer = ask(sidecar.address(), &[word.as_bytes()], None);
        assert_eq!(answer, not_listed(word));
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
