//! A crowd of hostile clients, beside which those who behave notice nothing.
//!
//! How long a request takes is measured twice in the same run, in peace and under attack, so that a
//! slow machine is slow in both. The bound is generous: what is looked for are requests that wait for
//! somebody else.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::ZOONET;
use crate::puppet::Puppet;
use crate::raw::{self, GET_DATA, OK};

/// Connections that are made without a word, and how many of them are there at once.
const CONNECTS: usize = 10_000;
const AT_ONCE: usize = 2_000;

/// Of each other kind of bad client.
const EACH: usize = 50;

/// How long it is peaceful first, and how long it is not at least.
const PHASE: Duration = Duration::from_secs(2);

/// How late a few answers may be before a client notices: a tenth of its session's timeout.
const NOTICED: Duration = Duration::from_secs(1);

const NODE: &str = "/limits-swarm";

/// Raises our own bound of descriptors, which sockets of both kinds need.
fn make_room() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// How long each request of somebody who behaves took, in microseconds, in order of size.
#[derive(Debug, Default)]
struct Times(Vec<u128>);

impl Times {
    fn at(&self, percent: usize) -> Duration {
        let micros = self.0[(self.0.len() - 1) * percent / 100];
        Duration::from_micros(u64::try_from(micros).unwrap())
    }

    fn of(mut all: Vec<u128>) -> Self {
        all.sort_unstable();
        Self(all)
    }
}

/// Asks on both sides until it is over.
fn behave(sidecar: &Sidecar, over: &AtomicBool) -> Vec<u128> {
    let mut client = Raw::connect(sidecar.address(), SESSION);
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        for path in ["/limits-missing", "/eu/limits-missing"] {
            let begun = Instant::now();
            assert_eq!(client.get(path).err, NO_NODE);
            times.push(begun.elapsed().as_micros());
        }
        thread::sleep(Duration::from_millis(1));
    }
    times
}

/// Comes anew for each request until it is over.
fn come_and_go(sidecar: &Sidecar, over: &AtomicBool) -> Vec<u128> {
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        assert_served(sidecar);
        times.push(begun.elapsed().as_micros());
        thread::sleep(Duration::from_millis(20));
    }
    times
}

/// What those who behave saw, and the most memory that was in use meanwhile.
struct Phase {
    requests: Times,
    visits: Times,
    memory: u64,
}

/// Runs those who behave beside `others`.
fn beside(sidecar: &Sidecar, kazoo: &Puppet, others: impl FnOnce() + Send) -> Phase {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let steady = [(); 2].map(|()| scope.spawn(|| behave(sidecar, &over)));
        let visitor = scope.spawn(|| come_and_go(sidecar, &over));
        let others = scope.spawn(others);
        let until = Instant::now() + PHASE;
        let mut memory = 0;
        while Instant::now() < until || !others.is_finished() {
            for path in ["/limits-kazoo", "/eu/limits-kazoo"] {
                assert_eq!(kazoo.ask(&format!("get {path}")), "well");
            }
            memory = memory.max(metric(sidecar, "process_resident_memory_bytes"));
        }
        over.store(true, Ordering::Relaxed);
        others.join().unwrap();
        Phase {
            requests: Times::of(steady.map(|thread| thread.join().unwrap()).concat()),
            visits: Times::of(visitor.join().unwrap()),
            memory,
        }
    })
}

/// Connects from any of many loopback addresses, of which one alone has too few ports.
async fn dial(to: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let host = 2 + u8::try_from(number % 200).unwrap();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
    socket.connect(to).await
}

/// Whether the other side has closed, whatever it says before.
async fn closes(mut stream: TcpStream) -> bool {
    let mut some = vec![0; 64 << 10];
    let end = async { while stream.read(&mut some).await.is_ok_and(|read| read > 0) {} };
    timeout(PATIENCE, end).await.is_ok()
}

/// Connects, ten thousand times, and says nothing.
async fn crowd(to: SocketAddr) {
    let mut there = VecDeque::new();
    for number in 0..CONNECTS {
        there.push_back(dial(to, number).await.unwrap());
        if there.len() > AT_ONCE {
            there.pop_front();
        }
    }
}

/// Says its handshake a byte at a time, and never to the end.
async fn loris(to: SocketAddr, number: usize) {
    let mut stream = dial(to, number).await.unwrap();
    for byte in raw::framed(&raw::handshake(0, SESSION, 0, &[0; 16])) {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("a handshake of five seconds was listened to");
}

/// Says something that is no handshake: a giant length, or anything at all.
async fn babble(to: SocketAddr, number: usize) {
    let mut bytes = vec![0; 4_096];
    fastrand::Rng::with_seed(number.try_into().unwrap()).fill(&mut bytes);
    if number.is_multiple_of(2) {
        bytes.truncate(4);
    }
    bytes[0] = 0x7f;
    let mut stream = dial(to, number).await.unwrap();
    // It may be closed before all is said.
    let _ = stream.write_all(&bytes).await;
    assert!(closes(stream).await);
}

/// A session.
async fn attach(to: SocketAddr, number: usize) -> TcpStream {
    let mut stream = dial(to, number).await.unwrap();
    let hello = raw::framed(&raw::handshake(0, SESSION, 0, &[0; 16]));
    stream.write_all(&hello).await.unwrap();
    stream.read_exact(&mut [0; 41]).await.unwrap();
    stream
}

/// Has a session, and stops in the middle of a request, or says a giant length.
async fn half(to: SocketAddr, number: usize) {
    let mut stream = attach(to, number).await;
    let whole = raw::framed(&raw::request(1, GET_DATA, &raw::get_body(NODE)));
    if number.is_multiple_of(2) {
        stream.write_all(&[0x7f; 4]).await.unwrap();
        assert!(closes(stream).await);
    } else {
        stream.write_all(&whole[..whole.len() / 2]).await.unwrap();
        sleep(PHASE).await;
    }
}

/// Has a session, asks for more than all buffers on the way take, and reads nothing.
async fn never_read(to: SocketAddr, number: usize) {
    let mut stream = attach(to, number).await;
    let mut requests = Vec::new();
    for xid in 1..=500 {
        requests.extend(raw::framed(&raw::request(
            xid,
            GET_DATA,
            &raw::get_body(NODE),
        )));
    }
    stream.write_all(&requests).await.unwrap();
    sleep(PHASE).await;
    assert!(closes(stream).await, "it reads too late");
}

/// All of them at once.
fn attack(to: SocketAddr) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let mut attackers = JoinSet::new();
        attackers.spawn(crowd(to));
        for number in 0..EACH {
            attackers.spawn(loris(to, number));
            attackers.spawn(babble(to, number));
            attackers.spawn(half(to, number));
            if number < EACH / 5 {
                attackers.spawn(never_read(to, number));
            }
        }
        while let Some(ended) = attackers.join_next().await {
            ended.unwrap();
        }
    });
}

/// Has clients served on as many threads as there may be: each has descriptors of its own.
fn start_all_threads(sidecar: &Sidecar) {
    let enough = 128 * thread::available_parallelism().unwrap().get().min(16);
    let clients: Vec<Raw> = (0..enough)
        .map(|_| Raw::connect(sidecar.address(), SESSION))
        .collect();
    drop(clients);
}

#[test]
fn those_who_behave_notice_nothing_of_ten_thousand_who_do_not() {
    make_room();
    let sidecar = on_the_pair()
        .key("handshake_timeout: 1s")
        .key("slow_reader_timeout: 1s")
        .start(ZOONET);
    let mut client = Raw::connect(sidecar.address(), SESSION);
    client.make(NODE);
    assert_eq!(client.set(NODE, &vec![7; 200_000]).err, OK);
    client.make("/eu");
    for path in ["/limits-kazoo", "/eu/limits-kazoo"] {
        client.make(path);
        assert_eq!(client.set(path, b"well").err, OK);
    }
    drop(client);
    start_all_threads(&sidecar);
    let kazoo = Puppet::kazoo(sidecar.address(), 10);
    assert_eq!(kazoo.ask("get /eu/limits-kazoo"), "well");
    let session = kazoo.ask("session");
    eventually("kazoo is alone", || {
        metric(&sidecar, "zoonet_open_connections") == 1
    });

    let files = metric(&sidecar, "process_open_fds");
    let quiet = beside(&sidecar, &kazoo, || {});
    let loud = beside(&sidecar, &kazoo, || attack(sidecar.address()));
    for (name, phase) in [("quiet", &quiet), ("loud", &loud)] {
        let at = |percent| (phase.requests.at(percent), phase.visits.at(percent));
        let (half, most, all) = (at(50), at(99), at(100));
        let (requests, memory) = (phase.requests.0.len(), phase.memory);
        println!(
            "{name}: {requests} requests; p50 {half:?}, p99 {most:?}, most {all:?}; {memory} bytes"
        );
    }
    for (quiet, loud) in [
        (&quiet.requests, &loud.requests),
        (&quiet.visits, &loud.visits),
    ] {
        for percent in [50, 99] {
            let (found, bound) = (loud.at(percent), bound(quiet.at(percent), percent));
            assert!(
                found <= bound,
                "p{percent} is {found:?}, more than {bound:?}"
            );
        }
    }
    assert!(loud.memory - quiet.memory < 128 << 20, "{}", loud.memory);

    assert_eq!(
        kazoo.seen_behind(&["sync /eu"]),
        [""; 0],
        "nothing happened to it"
    );
    assert_eq!(kazoo.ask("session"), session);
    eventually("all descriptors are given back", || {
        metric(&sidecar, "process_open_fds") <= files
    });
    let log = sidecar.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
    let slow = "zoonet_connection_ends_total{reason=\"slow_reader\"}";
    assert_eq!(metric(&sidecar, slow), u64::try_from(EACH / 5).unwrap());
}

/// How long a percentile may be that took so long without the crowd. The tail is also what other tests
/// do to this machine meanwhile.
fn bound(quiet: Duration, percent: usize) -> Duration {
    let bound = quiet * 10 + Duration::from_millis(100);
    if percent > 90 {
        bound.max(NOTICED)
    } else {
        bound
    }
}
