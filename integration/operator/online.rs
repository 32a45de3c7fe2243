//! `zoonet check --online` on real ensembles, by exit code, tables, findings and JSON.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use zookeeper_async::{Acl, CreateMode, ZooKeeper};

use crate::ZOONET;
use crate::testbed::ports;
use crate::testbed::regions;
use crate::testbed::relay::{Newcomers, Relay};
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::Setup;

/// The exit codes.
const WELL: i32 = 0;
const BROKEN: i32 = 1;
const WARNED: i32 = 3;

/// What a check came to.
struct Checked {
    code: i32,
    out: String,
    err: String,
}

impl Checked {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Whether some line has all of these words, in this order.
    fn says(&self, words: &[&str]) -> bool {
        self.out.lines().any(|line| {
            let mut rest = line;
            words.iter().all(|word| match rest.split_once(word) {
                Some((_, behind)) => {
                    rest = behind;
                    true
                }
                None => false,
            })
        })
    }

    #[track_caller]
    fn expect(&self, code: i32, lines: &[&[&str]]) {
        for line in lines {
            assert!(self.says(line), "no line {line:?} in:\n{}", self.out);
        }
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
    }
}

fn check(setup: &Setup, options: &[&str]) -> Checked {
    let scratch = Scratch::new("online");
    let yaml = setup.yaml(ports::reserve(), scratch.path());
    let file = scratch.write("zoonet.yaml", &yaml);
    let mut zoonet = Command::new(ZOONET);
    zoonet.arg("check").arg(file).arg("--online").args(options);
    Checked::of(zoonet.output().unwrap())
}

/// A relay to a server that is not there.
fn dead() -> Relay {
    let relay = Relay::to(ports::reserve());
    relay.cut(Newcomers::Refuse);
    relay
}

/// Listens and does this with each connection, for as long as the process lives.
fn stranger(answer: &'static [u8], linger: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut word = [0; 4];
                let _ = stream.read_exact(&mut word);
                thread::sleep(linger);
                let _ = stream.write_all(answer);
            });
        }
    });
    address
}

#[test]
fn mount_points_are_missed_made_and_found() {
    let regions = regions::shared();
    let observer = regions.eu.observers()[0].address();
    let setup = Setup::home(&regions.us)
        .ensemble(&regions.eu)
        .prefer("eu", &[observer])
        .route("/online-made", "eu")
        .mount("/online-made/deep", "eu", "/online/deep/root");

    let missed = check(&setup, &[]);
    let out_of_reach = "because /online does not either";
    missed.expect(
        BROKEN,
        &[
            &["eu", &observer.to_string(), "(preferred)", "observer", "3."],
            &["us (home)", "leader"],
            &["us (home)", "follower"],
            &[
                "/online-made ",
                "eu /online-made",
                "missing",
                "us /online-made",
                "missing",
            ],
            &["error", "/online-made/deep", out_of_reach],
            &["warning", "/online-made ", "clients have to make it first"],
            &[
                "warning",
                "/online-made ",
                "does not show among the children",
            ],
            &["7 of 7 servers serve; 1 error, 3 warnings"],
        ],
    );
    let again = check(&setup, &[]);
    assert!(
        again.says(&["/online-made ", "missing"]),
        "nothing is made unasked"
    );

    let made = check(&setup, &["--create-mount-points"]);
    made.expect(
        WELL,
        &[
            &["/online-made ", "created", "us /online-made", "created"],
            &[
                "/online-made/deep",
                "created, and 2 above it",
                "eu /online-made/deep",
                "created",
            ],
            &["7 of 7 servers serve; all is well"],
        ],
    );
    for options in [&["--create-mount-points"][..], &[]] {
        let found = check(&setup, options);
        found.expect(WELL, &[&["/online-made/deep", "exists", "exists"]]);
        assert!(!found.out.contains("created"), "{}", found.out);
    }
}

#[test]
fn some_servers_down_are_a_warning_and_all_of_an_ensemble_an_error() {
    let pair = regions::shared_pair();
    let (us, eu) = (
        pair.us.servers()[0].address(),
        pair.eu.servers()[0].address(),
    );
    let dead = dead();
    let some = Setup::new("us")
        .servers("us", &[us, dead.address()])
        .route("/", "us");
    let down = format!("us {}", dead.address());
    check(&some, &[]).expect(
        WARNED,
        &[
            &[&dead.address().to_string(), "down"],
            &["warning", &down, "cannot connect: Connection refused"],
            &["1 of 2 servers serve; 1 warning"],
        ],
    );
    let remote = Setup::home(&pair.us)
        .servers("eu", &[dead.address()])
        .route("/online-down", "eu");
    check(&remote, &[]).expect(
        BROKEN,
        &[
            &[
                "error",
                "eu",
                "none of its servers",
                "fail with CONNECTIONLOSS",
            ],
            &["/online-down", "eu /online-down", "not known"],
        ],
    );
    let home = Setup::new("us")
        .servers("us", &[dead.address()])
        .servers("eu", &[eu])
        .route("/", "us")
        .route("/online-down", "eu");
    check(&home, &[]).expect(
        BROKEN,
        &[&["error", "us", "it is home: no client can connect"]],
    );
}

#[test]
fn what_is_no_zookeeper_is_told_apart_and_does_not_hold_up() {
    let web = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", Duration::ZERO);
    let silent = stranger(b"", Duration::from_secs(60));
    let closing = stranger(b"", Duration::ZERO);
    let setup = Setup::home(&regions::shared_pair().us)
        .servers("eu", &[web, silent, closing])
        .ensemble_key("eu", "prefer: [\"nowhere.invalid:2181\"]")
        .route("/online-strange", "eu");
    let begun = Instant::now();
    let found = check(&setup, &[]);
    let took = begun.elapsed();
    let about = |address: SocketAddr| format!("eu {address}");
    found.expect(
        BROKEN,
        &[
            &[
                "warning",
                &about(web),
                "is not ZooKeeper",
                "`HTTP/1.1 400 Bad",
            ],
            &["warning", &about(silent), "does not answer"],
            &["warning", &about(closing), "without an answer", "TLS"],
            &[
                "warning",
                "eu nowhere.invalid:2181",
                "cannot be resolved",
                "preferred",
            ],
            &["1 of 5 servers serve"],
        ],
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn one_ensemble_listed_as_two_and_two_listed_as_one_are_errors() {
    let regions = regions::shared();
    let server = |place: usize| regions.us.voters()[place].address();
    let twice = Setup::new("us")
        .servers("us", &[server(0), server(1)])
        .servers("eu", &[server(2)])
        .route("/", "us")
        .route("/online-twice", "eu");
    let same = ["error", "eu", "is the same ensemble as us"];
    check(&twice, &[]).expect(BROKEN, &[&same]);

    let stranger = regions.eu.voters()[0].address();
    let mixed = Setup::new("us")
        .servers("us", &[server(0), server(1), stranger])
        .route("/", "us");
    let found = check(&mixed, &[]);
    found.expect(BROKEN, &[&["error", "us ", "of different ensembles"]]);

    // Both as they should be.
    let apart = Setup::home(&regions.us).ensemble(&regions.eu);
    let found = check(&apart, &[]);
    assert!(!found.out.contains("ensembles, or"), "{}", found.out);
    assert!(!found.out.contains("is the same"), "{}", found.out);
}

#[test]
fn what_an_acl_denies_is_said_so() {
    let pair = regions::shared_pair();
    let eu = pair.eu.servers()[0].address().to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = ZooKeeper::connect(&eu, Duration::from_secs(10), |_| {})
            .await
            .unwrap();
        let read_only = Acl::read_unsafe().clone();
        let made = client.create("/online-closed", vec![], read_only, CreateMode::Persistent);
        made.await.unwrap();
        client.close().await.unwrap();
    });
    let setup = Setup::home(&pair.us).ensemble(&pair.eu).mount(
        "/online-denied",
        "eu",
        "/online-closed/root",
    );
    check(&setup, &["--create-mount-points"]).expect(
        BROKEN,
        &[&[
            "error",
            "/online-denied",
            "/online-closed/root could not be made",
            "ACL",
        ]],
    );
}

/// Passes everything on to a server, but answers `srvr` as one does that has it not whitelisted.
fn without_srvr(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut first = [0; 4];
                if stream.read_exact(&mut first).is_err() {
                    return;
                }
                if &first == b"srvr" {
                    let answer = "srvr is not executed because it is not in the whitelist.\n";
                    stream.write_all(answer.as_bytes()).unwrap();
                    return;
                }
                let mut upstream = std::net::TcpStream::connect(server).unwrap();
                upstream.write_all(&first).unwrap();
                let mut back = (upstream.try_clone().unwrap(), stream.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
                let _ = std::io::copy(&mut stream, &mut upstream);
            });
        }
    });
    address
}

#[test]
fn a_server_that_does_not_say_srvr_serves_all_the_same() {
    let server = without_srvr(regions::shared_pair().us.servers()[0].address());
    let setup = Setup::new("us").servers("us", &[server]).route("/", "us");
    let about = format!("us {server}");
    check(&setup, &[]).expect(
        WARNED,
        &[
            &["us (home)", "not told", " ms"],
            &["warning", &about, "add it to 4lw.commands.whitelist"],
            &["1 of 1 servers serve; 1 warning"],
        ],
    );
}

#[test]
fn programs_get_json_and_progress_goes_to_standard_error() {
    let pair = regions::shared_pair();
    let dead = dead();
    let eu = pair.eu.servers()[0].address();
    let setup = Setup::home(&pair.us)
        .servers("eu", &[eu, dead.address()])
        .route("/online-json", "eu");
    let found = check(&setup, &["--format", "json", "--create-mount-points"]);
    assert_eq!(found.code, WARNED, "{}", found.out);
    let report: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(report["verdict"], "warning");
    assert_eq!(
        report["findings"].as_array().unwrap().len(),
        1,
        "{report:#}"
    );
    let (eu, us) = (&report["ensembles"][0], &report["ensembles"][1]);
    assert_eq!((&eu["name"], &us["home"]), (&"eu".into(), &true.into()));
    let (up, down) = (&eu["servers"][0], &eu["servers"][1]);
    assert_eq!(
        (&up["serves"], &up["mode"]),
        (&true.into(), &"standalone".into())
    );
    assert_eq!(up["behind"], 0);
    assert!(
        up["counter"].as_i64().unwrap() > 0,
        "its sessions are transactions"
    );
    assert!(up["round_trip_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&down["serves"], &down["mode"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(report["routes"][0]["placeholder"]["ensemble"], "us");
    let lines: Vec<&str> = found.err.lines().collect();
    assert_eq!(lines[0], "checking: asking 3 servers");
    let of_servers = lines.iter().filter(|line| line.contains(" of 3 servers: "));
    assert_eq!(of_servers.count(), 3, "{lines:?}");
}
