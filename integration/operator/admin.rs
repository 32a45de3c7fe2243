//! The admin endpoints of the real program, as curl, Prometheus and a kubelet see them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ZOONET;
use crate::raw::{self, CREATE, EPHEMERAL, GET_DATA, OK, Raw};
use crate::testbed::http::{Answer, ask, get};
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::Plan;

const SESSION: u32 = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn on_the_pair() -> Setup {
    let pair = regions::shared_pair();
    Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .route("/eu", "eu")
        .mount("/legacy", "eu", "/old/app")
        .admin()
}

/// Waits for what cannot be awaited as an event.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The one session, once it has as many legs as that.
fn session_with_legs(sidecar: &Sidecar, id: i64, legs: usize) -> Value {
    let id = format!("{id:#x}");
    eventually("the session is listed", || {
        let found = get(sidecar.admin(), "/sessions").json();
        let sessions = found["sessions"].as_array().unwrap().clone();
        let one = sessions
            .into_iter()
            .find(|one| one["session"] == id.as_str())?;
        (one["legs"].as_array()?.len() == legs).then_some(one)
    })
}

#[test]
fn every_endpoint_answers_and_nothing_else_does() {
    let sidecar = on_the_pair().start(ZOONET);
    let admin = sidecar.admin();
    for (path, kind, says) in [
        ("/", "text/html", "<title>zoonet</title>"),
        ("/status.css", "text/css", "color-scheme"),
        ("/status.js", "text/javascript", "use strict"),
        ("/icon.svg", "image/svg+xml", "<svg"),
        ("/healthz", "text/plain", "ok\n"),
        ("/readyz", "application/json", "\"ready\": true"),
        ("/metrics", "text/plain; version=0.0.4", "zoonet_build_info"),
        ("/sessions", "application/json", "\"connected\": 0"),
        ("/routes", "application/json", "\"fingerprint\""),
        (
            "/routes?path=/legacy/x",
            "application/json",
            "\"real\": \"/old/app/x\"",
        ),
        ("/config", "application/json", "\"home\": \"us\""),
        ("/status.json", "application/json", "\"uptime_seconds\""),
    ] {
        let answer = get(admin, path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let found = answer.header("content-type").unwrap();
        assert!(found.starts_with(kind), "{path}: {found}");
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'"), "{path}: {policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");

        let head = ask(admin, "HEAD", path, "localhost");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(ask(admin, "POST", path, "localhost").status, 405, "{path}");
        assert_eq!(
            ask(admin, "GET", path, "evil.example").status,
            421,
            "{path}"
        );
    }
    assert_eq!(get(admin, "/nothing").status, 404);
    for wrong in [
        "/routes?path=x",
        "/routes?paht=/x",
        "/sessions?limit=0",
        "/sessions?after=x",
    ] {
        let answer = get(admin, wrong);
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
}

#[test]
fn what_port_zero_became_is_told_and_names_can_be_added_while_it_runs() {
    let setup = Setup::home(&regions::shared_pair().us).key("admin: 127.0.0.1:0");
    let sidecar = setup.start(ZOONET);
    let admin: SocketAddr = eventually("the address is told", || {
        let log = sidecar.log();
        let line = log
            .lines()
            .find_map(|line| line.strip_prefix("admin on "))?;
        line.parse().ok()
    });
    assert_ne!(admin.port(), 0);
    assert_eq!(ask(admin, "GET", "/healthz", "zoonet.example").status, 421);
    sidecar.rewrite(&setup.key("admin_names: [zoonet.example]"));
    eventually("the name is known", || {
        let answer = ask(admin, "GET", "/healthz", "zoonet.example:9181");
        (answer.status == 200).then_some(())
    });
    assert_eq!(ask(admin, "GET", "/healthz", "evil.example").status, 421);
}

#[test]
fn an_address_that_is_taken_is_an_error_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let scratch = Scratch::new("taken-admin");
    let setup = Setup::home(&regions::shared_pair().us).key(&format!("admin: {address}"));
    let yaml = setup.yaml("127.0.0.1:0".parse().unwrap(), scratch.path());
    let file = scratch.write("zoonet.yaml", &yaml);
    let output = Command::new(ZOONET)
        .args(["run", "--config"])
        .arg(file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("cannot listen on {address} for `admin`: ");
    assert!(said.contains(&expected), "{said}");
}

/// Waits until the sidecar is as ready as that, and says what it says then.
fn turns(sidecar: &Sidecar, status: u16) -> Answer {
    eventually("readiness turns", || {
        Some(get(sidecar.admin(), "/readyz")).filter(|answer| answer.status == status)
    })
}

#[test]
fn ready_is_who_reaches_home() {
    let home = Plan::new("us").start();
    let sidecar = Setup::home(&home).admin().start(ZOONET);
    let readiness = || get(sidecar.admin(), "/readyz");
    assert_eq!(readiness().status, 200);
    let server = &home.servers()[0];

    server.kill();
    let answer = turns(&sidecar, 503).json();
    let reason = answer["reason"].as_str().unwrap();
    let address = server.address();
    let expected = format!("no server of us can be used: {address}: cannot connect");
    assert!(reason.starts_with(&expected), "{reason}");
    assert_eq!(get(sidecar.admin(), "/healthz").status, 200, "it lives");
    let status = get(sidecar.admin(), "/status.json").json();
    assert_eq!(status["ready"], false);
    let seen = &status["ensembles"][0]["servers"][0];
    assert_eq!(seen["health"], "unreachable");
    server.restart();
    turns(&sidecar, 200);

    // A server that hangs is no better than none, and the answer does not hang with it.
    server.stop();
    let answer = turns(&sidecar, 503);
    assert!(answer.body.contains("no answer"), "{answer:?}");
    let asked = Instant::now();
    assert_eq!(readiness().status, 503);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    server.resume();
    turns(&sidecar, 200);
}

#[test]
fn who_stops_is_not_ready_any_more_and_lives_to_the_end() {
    let home = Plan::new("us").start();
    let setup = Setup::home(&home).admin().key("grace_period: 3s");
    let sidecar = setup.start(ZOONET);
    assert_eq!(get(sidecar.admin(), "/readyz").status, 200);
    // An answer that does not come is waited for.
    let mut client = Raw::connect(sidecar.address(), SESSION);
    home.servers()[0].stop();
    client.send(GET_DATA, &raw::get_body("/"));
    eventually("it is on its way", || {
        let found = get(sidecar.admin(), "/sessions").json();
        (found["sessions"][0]["outstanding"] == 1).then_some(())
    });
    sidecar.terminate();
    let stopping = |answer: &Answer| answer.body.contains("stopping");
    let answer = eventually("it says that it stops", || {
        Some(get(sidecar.admin(), "/readyz")).filter(stopping)
    });
    assert_eq!(answer.status, 503);
    assert_eq!(get(sidecar.admin(), "/healthz").status, 200);
    assert!(sidecar.wait(PATIENCE).unwrap().success());
}

/// A client with an ephemeral of this name on eu, and a watch on it.
fn client_with_leg(sidecar: &Sidecar, path: &str) -> Raw {
    let mut client = Raw::connect(sidecar.address(), SESSION);
    client.make("/eu");
    let ephemeral = raw::create_body(path, EPHEMERAL);
    assert_eq!(client.call(CREATE, &ephemeral).err, OK);
    let watch = [&raw::buffer(path.as_bytes())[..], &[1]].concat();
    assert_eq!(client.call(GET_DATA, &watch).err, OK);
    client
}

#[test]
fn a_session_is_shown_with_its_legs() {
    let pair = regions::shared_pair();
    let sidecar = on_the_pair().start(ZOONET);
    let mut other = Raw::connect(sidecar.address(), SESSION);
    other.make("/admin-home");
    let alone = session_with_legs(&sidecar, other.session, 1);
    assert_eq!(alone["state"], "connected");
    assert_eq!(alone["current"], "us");
    assert_eq!(alone["timeout_ms"], SESSION);
    let peer = other.stream.local_addr().unwrap().to_string();
    assert_eq!(alone["peer"], peer.as_str());

    let client = client_with_leg(&sidecar, "/eu/admin-shown");
    let whole = session_with_legs(&sidecar, client.session, 2);
    assert_eq!(whole["current"], "eu");
    let legs = whole["legs"].as_array().unwrap();
    let [home, eu] = &legs[..] else {
        panic!("{whole}")
    };
    assert_eq!(
        (&home["ensemble"], &eu["ensemble"]),
        (&"us".into(), &"eu".into())
    );
    assert_eq!(home["session"], whole["session"], "it is home's");
    assert_eq!(
        (&home["state"], &eu["state"]),
        (&"live".into(), &"live".into())
    );
    assert_eq!(home["holds"], Value::Null, "that is known to home only");
    let holds = serde_json::json!({ "watches": 1, "ephemerals": 1, "complete": true });
    assert_eq!(eu["holds"], holds);
    let server = pair.eu.servers()[0].address().to_string();
    assert_eq!(eu["server"], server.as_str());
    let role = eventually("the role is learned", || {
        let session = session_with_legs(&sidecar, client.session, 2);
        session["legs"][1]["role"].as_str().map(str::to_owned)
    });
    assert_eq!(role, "standalone");
}

#[test]
fn the_owner_of_a_remote_ephemeral_can_be_looked_up_also_while_it_is_away() {
    let eu = regions::shared_pair().eu.servers()[0].address();
    let sidecar = on_the_pair().start(ZOONET);
    let _other = client_with_leg(&sidecar, "/eu/admin-other");
    let client = client_with_leg(&sidecar, "/eu/admin-owned");
    let session = format!("{:#x}", client.session);

    // As another client of eu sees it.
    let body = Raw::connect(eu, SESSION).get("/eu/admin-owned").body;
    let stat = &body[body.len() - 68..];
    let owner = i64::from_be_bytes(stat[44..52].try_into().unwrap());
    let find = |text: &str| {
        let found = get(sidecar.admin(), &format!("/sessions?find={text}")).json();
        found["sessions"].as_array().unwrap().clone()
    };
    let found = find(&format!("{owner:#x}"));
    let [one] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(one["session"], session.as_str());
    assert_eq!(find("0xdeadbeef"), [Value::Null; 0]);

    drop(client.stream);
    let parked = eventually("it is parked", || {
        let found = find(&format!("{owner:#x}"));
        found.into_iter().find(|one| one["state"] == "parked")
    });
    assert_eq!(parked["session"], session.as_str());
    assert!(parked["over_in_seconds"].as_u64().unwrap() <= u64::from(SESSION) / 1000);
    assert_eq!(parked["legs"][0]["holds"]["ephemerals"], 1);
}

#[test]
fn passwords_and_credentials_are_nowhere_to_be_seen() {
    let sidecar = on_the_pair().start(ZOONET);
    let mut stream = raw::dial(sidecar.address());
    let hello = raw::handshake(0, SESSION, 0, &[0; 16]);
    stream.write_all(&raw::framed(&hello)).unwrap();
    let answer = raw::read_frame(&mut stream).unwrap();
    let password = &answer[20..36];
    assert!(password.iter().any(|byte| *byte != 0), "{answer:?}");
    let auth = [
        &[0; 4][..],
        &raw::buffer(b"digest"),
        &raw::buffer(b"operator:s3cr3t"),
    ]
    .concat();
    stream
        .write_all(&raw::framed(&raw::request(-4, 100, &auth)))
        .unwrap();
    raw::read_frame(&mut stream).unwrap();
    let read = raw::request(1, GET_DATA, &raw::get_body("/eu"));
    stream.write_all(&raw::framed(&read)).unwrap();
    raw::read_frame(&mut stream).unwrap();

    let hexadecimal: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = password
        .iter()
        .map(u8::to_string)
        .collect::<Vec<_>>()
        .join(",");
    for path in [
        "/sessions",
        "/config",
        "/status.json",
        "/metrics",
        "/routes",
        "/readyz",
    ] {
        let body = get(sidecar.admin(), path).body.to_lowercase();
        let flat: String = body.split_whitespace().collect();
        for secret in ["s3cr3t", "password", &hexadecimal, &list] {
            assert!(!flat.contains(secret), "{secret} in {path}: {body}");
        }
    }
    assert!(
        get(sidecar.admin(), "/sessions").body.contains("\"eu\""),
        "it was there to be seen"
    );
}

#[test]
fn the_configuration_in_effect_is_one_to_run_by() {
    let sidecar = on_the_pair().start(ZOONET);
    let effective = get(sidecar.admin(), "/config").body;
    let scratch = Scratch::new("effective");
    let check = |file: &std::path::Path| {
        let output = Command::new(ZOONET)
            .arg("check")
            .arg(file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let saved = scratch.write("effective.yaml", &effective);
    assert_eq!(check(&saved), check(sidecar.config()));
}

#[test]
fn slow_connections_do_not_keep_anybody_waiting() {
    let sidecar = on_the_pair().start(ZOONET);
    let admin = sidecar.admin();
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: local")
                .unwrap();
            stream
        })
        .collect();
    for path in ["/healthz", "/readyz", "/sessions", "/metrics"] {
        let asked = Instant::now();
        assert_eq!(get(admin, path).status, 200, "{path}");
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{path}: {:?}",
            asked.elapsed()
        );
    }
    // And they do not stay.
    let deadline = Instant::now() + PATIENCE;
    for mut stream in slow {
        let left = deadline.saturating_duration_since(Instant::now());
        stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .unwrap();
        let mut said = String::new();
        if let Err(error) = stream.read_to_string(&mut said) {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "it is still there");
        }
        assert!(!said.contains("200"), "{said}");
    }
}

#[test]
fn heads_that_never_end_are_cut_off() {
    let sidecar = on_the_pair().start(ZOONET);
    let mut stream = TcpStream::connect(sidecar.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "x".repeat(64 * 1024)
    );
    // It may close before it has read all of this.
    let _ = stream.write_all(head.as_bytes());
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "it is still there"),
    }
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("200 OK"), "{said}");
    assert_eq!(get(sidecar.admin(), "/healthz").status, 200);
}
