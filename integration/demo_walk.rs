//! The demo tells the truth: it runs to its end, and what it is there to show is what it saw.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::testbed::launch::{self, Lines, Process};

/// It may have to be built first.
const PATIENCE: Duration = Duration::from_secs(600);

#[test]
fn the_demo_shows_the_anomaly_without_the_rule_and_none_with_it() {
    let (demo, lines) = start(&["--once", "--port", "0"]);
    let verdict = |rule: &str| {
        let rest = lines.after(rule, PATIENCE).expect("a verdict is printed");
        let counts: Vec<u64> = rest.split(' ').filter_map(|w| w.parse().ok()).collect();
        let [rounds, unexplained] = counts[..] else {
            panic!("no verdict: {rest}");
        };
        assert!(rounds > 0, "{rest}");
        unexplained
    };
    assert!(verdict("    rule off (barrier: none) ") > 0);
    assert_eq!(verdict("    rule on (barrier: sync) "), 0);
    assert!(demo.wait(PATIENCE).expect("it ends by itself").success());
}

#[test]
fn a_signal_ends_the_demo_while_it_starts() {
    let (demo, lines) = start(&["--port", "0"]);
    lines
        .after("== Two regions", PATIENCE)
        .expect("it starts to start");
    let told = Instant::now();
    demo.signal(Signal::TERM);
    let ended = demo.wait(PATIENCE).expect("it ends");
    assert_eq!(ended.code(), Some(143));
    assert!(told.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_port_that_is_taken_is_named_with_a_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let demo = command(&["--port", &address.port().to_string()])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(demo.stderr).unwrap();
    assert!(!demo.status.success());
    assert!(said.contains(&format!("wants {address}")), "{said}");
    assert!(said.contains("--port 0"), "{said}");
}

fn command(arguments: &[&str]) -> std::process::Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/demo");
    let mut demo = launch::command(script);
    demo.args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    demo
}

fn start(arguments: &[&str]) -> (Process, Lines) {
    let demo = Process::spawn("demo", command(arguments));
    let lines = Lines::of(demo.take_stdout().expect("it was asked for"), |line| {
        println!("{line}");
    });
    (demo, lines)
}
