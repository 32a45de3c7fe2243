//! `zoonet health`, as the supervisor of a container runs it.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::ZOONET;
use crate::testbed::sidecar::Setup;
use crate::testbed::zookeeper::Plan;

fn health(arguments: &[&str]) -> Output {
    let mut health = Command::new(ZOONET);
    health.arg("health").args(arguments).output().unwrap()
}

/// Asks until the exit code is this, and returns what was said with it.
fn health_becomes(code: i32, admin: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = health(&[admin]);
        if output.status.code() == Some(code) {
            let said = [output.stdout, output.stderr].concat();
            return String::from_utf8(said).unwrap();
        }
        assert!(Instant::now() < deadline, "not {code}: {output:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn health_is_that_of_home_and_life_is_not() {
    let ensemble = Plan::new("health").voters(1).start();
    let sidecar = Setup::home(&ensemble).admin().start(ZOONET);
    let admin = sidecar.admin().to_string();
    health_becomes(0, &admin);
    assert!(health(&["--live", &admin]).status.success());

    for server in ensemble.servers() {
        server.kill();
    }
    let said = health_becomes(1, &admin);
    assert!(said.starts_with("503 Service Unavailable: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let live = health(&["--live", &admin]);
    assert!(live.status.success(), "a restart would not help: {live:?}");

    sidecar.kill();
    let live = health(&["--live", &admin]);
    assert_eq!(live.status.code(), Some(1));
    let said = String::from_utf8(live.stderr).unwrap();
    let expected = format!("no sidecar answers at {admin}: ");
    assert!(said.starts_with(&expected), "{said}");
}
