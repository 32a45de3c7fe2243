//! What one connection can take, whatever its client and its servers do: the bound that
//! `zoonet check` prints, and the worst run that we could think of.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;

use super::impostor::{Impostor, reply};
use super::*;
use crate::ZOONET;
use crate::raw::{self, EXISTS, GET_DATA};

/// Sessions that are as bad as they can be, at once.
const SESSIONS: u64 = 4;

const REPLY_LIMIT: usize = 8 << 20;
const FRAME_LIMIT: usize = 256 << 10;

/// Bytes of resident memory.
fn resident(sidecar: &Sidecar) -> u64 {
    metric(sidecar, "process_resident_memory_bytes")
}

/// What one connection may take, as the program says it.
fn bound(sidecar: &Sidecar) -> u64 {
    let mut check = Command::new(ZOONET);
    let output = check.arg("check").arg(sidecar.config()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, said) = said.split_once(", of at most ").unwrap();
    let (mebibytes, _) = said.split_once("MiB of memory each").unwrap();
    mebibytes.parse::<u64>().unwrap() << 20
}

/// A watch event of about that many bytes.
fn event(bytes: usize) -> Vec<u8> {
    let kind = [&3_i32.to_be_bytes()[..], &3_i32.to_be_bytes()];
    let body = [&kind.concat()[..], &raw::buffer(&vec![b'/'; bytes - 64])];
    reply(-1, &body.concat())
}

/// All but the last byte of a frame of the largest size.
fn unfinished() -> Vec<u8> {
    let mut frame = raw::framed(&vec![7; REPLY_LIMIT]);
    frame.pop();
    frame
}

/// Bytes that a test writes to somebody who should not take them all.
const FLOOD: usize = 256 << 20;

/// Writes as much as is taken.
fn flood(stream: &mut TcpStream, frame: &[u8]) {
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut frames = 0..FLOOD / frame.len();
    while frames.next().is_some() && stream.write_all(frame).is_ok() {}
}

/// A client that reads nothing and what it asks for.
struct Worst {
    client: Raw,
    home: TcpStream,
    _remotes: [TcpStream; 2],
}

impl Worst {
    /// Has each of its servers make the sidecar keep what it can be made to keep.
    fn new(sidecar: &Sidecar, servers: &[Impostor; 3]) -> Self {
        let [us, eu, ap] = servers;
        let mut client = Raw::connect(sidecar.address(), 60_000);
        let home = us.next();
        let first = client.send(GET_DATA, &raw::get_body("/ap/x"));
        let mut from_ap = ap.next();
        raw::read_frame(&mut from_ap).unwrap();
        from_ap.write_all(&reply(first, &[0; 72])).unwrap();
        assert_eq!(client.reply().xid, first);
        from_ap.write_all(&unfinished()).unwrap();

        let asked = [(); 3].map(|()| client.send(GET_DATA, &raw::get_body("/eu/x")));
        let mut from_eu = eu.next();
        for _ in asked {
            raw::read_frame(&mut from_eu).unwrap();
        }
        // The last one first, so that it has to wait for the others.
        from_eu
            .write_all(&reply(asked[2], &vec![0; REPLY_LIMIT - 32]))
            .unwrap();
        from_eu.write_all(&unfinished()).unwrap();
        Self {
            client,
            home,
            _remotes: [from_ap, from_eu],
        }
    }

    /// Requests that wait for a switch, as many as are taken.
    fn pile_up(&mut self) {
        let path = format!("/{}", "p".repeat(FRAME_LIMIT - 64));
        let request = raw::request(1_000, EXISTS, &raw::get_body(&path));
        flood(&mut self.client.stream, &raw::framed(&request));
    }
}

#[test]
fn a_connection_takes_no_more_than_the_program_says() {
    let servers = [(); 3].map(|()| Impostor::start(60_000));
    let mut setup = Setup::new("us");
    for (name, server) in ["us", "eu", "ap"].iter().zip(&servers) {
        setup = setup
            .servers(name, &[server.address])
            .barrier(name, "none")
            .route(&format!("/{name}"), name);
    }
    let sidecar = setup
        .route("/", "us")
        .key(&format!("reply_limit: {REPLY_LIMIT}"))
        .key(&format!("frame_limit: {FRAME_LIMIT}"))
        .key("look_ahead: 1MiB")
        .key("request_timeout: 15s")
        .admin()
        .start(ZOONET);
    let idle = resident(&sidecar);
    let bound = SESSIONS * bound(&sidecar);
    let first = besiege(&sidecar, &servers, idle);
    assert!(first <= bound, "{first} > {bound}");
    // The allocator may keep what was freed, but then it is used again.
    let second = besiege(&sidecar, &servers, idle);
    println!("{SESSIONS} sessions take {first} and {second} bytes, of {bound}");
    assert!(second <= first + first / 2, "{second} after {first}");
}

/// Makes as many sessions as bad as they can be; how much memory they take.
fn besiege(sidecar: &Sidecar, servers: &[Impostor; 3], idle: u64) -> u64 {
    let reply = u64::try_from(REPLY_LIMIT).unwrap();
    let taken = || resident(sidecar) - idle;
    let worst = || Worst::new(sidecar, servers);
    let mut sessions: Vec<Worst> = (0..SESSIONS).map(|_| worst()).collect();
    eventually("one reply from each remote, and one that waits", || {
        taken() > SESSIONS * 3 * reply * 9 / 10
    });
    thread::scope(|scope| {
        for session in &mut sessions {
            scope.spawn(|| {
                session.pile_up();
                flood(&mut session.home, &event(REPLY_LIMIT));
            });
        }
    });
    let most = taken();
    assert!(
        most > SESSIONS * 4 * reply,
        "what waits for the client too: {most}"
    );
    let connected = || metric(sidecar, "zoonet_sessions{state=\"connected\"}");
    assert_eq!(connected(), SESSIONS);
    drop(sessions);
    eventually("all have gone", || connected() == 0);
    most
}
