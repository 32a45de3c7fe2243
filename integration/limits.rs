//! What clients and servers may take up, and what becomes of those who take more.

mod connections;
mod files;
mod impostor;
mod memory;

mod slow;
mod swarm;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::patience::{PATIENCE, eventually};
use crate::raw::{NO_NODE, Raw};
use crate::testbed::http;
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};

const SESSION: u32 = 10_000;

fn on_the_pair() -> Setup {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu");
    setup.admin()
}

/// Waits for a line of the log that has all of these words.
fn logs(sidecar: &Sidecar, words: &[&str]) {
    let has = |line: &str| words.iter().all(|word| line.contains(word));
    eventually(&format!("no line with {words:?}"), || {
        sidecar.log().lines().any(has)
    });
}

/// The value of a series of the metrics.
fn metric(sidecar: &Sidecar, series: &str) -> u64 {
    let page = http::get(sidecar.admin(), "/metrics").body;
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no {series} in:\n{page}"));
    value.parse().unwrap()
}

/// Whether a client is served on both sides.
fn assert_served(sidecar: &Sidecar) {
    let mut client = Raw::connect(sidecar.address(), SESSION);
    assert_eq!(client.get("/limits-missing").err, NO_NODE);
    assert_eq!(client.get("/eu/limits-missing").err, NO_NODE);
}

/// The program under a limit that `ulimit` sets.
fn limited(scratch: &Scratch, ulimit: &str) -> PathBuf {
    let script = format!(
        "#!/bin/sh\nulimit {ulimit}\nexec {} \"$@\"\n",
        crate::ZOONET
    );
    let path = scratch.write("limited", &script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}
