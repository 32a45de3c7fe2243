//! The unit for systemd, judged by its own tools, and what the program needs of what it allows.
//! No test machine has systemd as its first process, so that it is not run by it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};

use crate::ZOONET;
use crate::raw::{NO_NODE, Raw};
use crate::testbed::http;
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};

const PATIENCE: Duration = Duration::from_secs(20);

/// Tenths of what `systemd-analyze security` calls exposure; a unit without any of it has 96.
const EXPOSURE: &str = "15";

fn unit() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/zoonet.service");
    fs::read_to_string(file).unwrap()
}

/// A tool's verdict on a unit, as which `text` is installed with the program of this build.
fn judged(arguments: &[&str], text: &str) -> Output {
    let scratch = Scratch::new("unit");
    let installed = "/usr/local/bin/zoonet";
    assert!(text.contains(installed));
    let file = scratch.write("zoonet.service", &text.replace(installed, ZOONET));
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(file).output().unwrap()
}

#[test]
fn the_unit_is_understood_and_leaves_little_open() {
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let security = ["security", "--offline=true", "--threshold", EXPOSURE];
    for arguments in [&verify[..], &security] {
        let output = judged(arguments, &unit());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
    let slip = unit().replace("ProtectSystem=", "ProtectSystems=");
    let output = judged(&verify, &slip);
    assert!(!output.stderr.is_empty(), "no such key: {output:?}");
    let slip = unit().replace("CapabilityBoundingSet=\n", "");
    let output = judged(&security, &slip);
    assert!(!output.status.success(), "all capabilities: {output:?}");
}

#[test]
fn the_unit_leaves_the_program_what_it_needs() {
    let unit = unit();
    let value = |key: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(key));
        found.unwrap_or_else(|| panic!("{key} is not set"))
    };
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/minimal.yaml");
    let check = Command::new(ZOONET).arg("check").arg(config).output();
    let said = String::from_utf8(check.unwrap().stdout).unwrap();
    let connections = said
        .lines()
        .find_map(|line| line.strip_prefix("connections  "));
    let (connections, _) = connections.unwrap().split_once(',').unwrap();
    let connections: u64 = connections.parse().unwrap();
    let files: u64 = value("LimitNOFILE=").parse().unwrap();
    assert!(files >= connections * 10, "enough for nine ensembles");
    assert_eq!(value("StateDirectoryMode="), "0700");
    assert!(!unit.contains("WatchdogSec"), "nobody would feed it");
}

fn on_the_pair() -> Setup {
    let pair = regions::shared_pair();
    let setup = Setup::home(&pair.us).ensemble(&pair.eu).route("/eu", "eu");
    setup.admin()
}

/// A script that runs the program, which is its first arguments, in some way.
fn wrapper(scratch: &Scratch, script: &str) -> PathBuf {
    let path = scratch.write("wrapper", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Has it do what it does in its life.
fn live(sidecar: &Sidecar) {
    let mut client = Raw::connect(sidecar.address(), 10_000);
    assert_eq!(client.get("/service-missing").err, NO_NODE);
    assert_eq!(client.get("/eu/service-missing").err, NO_NODE);
    assert_eq!(http::get(sidecar.admin(), "/metrics").status, 200);
    sidecar.signal(Signal::HUP);
    awaits(sidecar, "reloaded: nothing has changed");
    drop(client);
    sidecar.terminate();
    let ended = sidecar.wait(PATIENCE).expect("it stops");
    assert!(ended.success(), "{ended:?}");
}

fn awaits(sidecar: &Sidecar, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !sidecar.log().contains(words) {
        assert!(Instant::now() < deadline, "no {words}: {}", sidecar.log());
        thread::sleep(Duration::from_millis(10));
    }
}

/// All system calls of a set, those of the sets in it included.
fn calls(set: &str, into: &mut BTreeSet<String>) {
    let output = Command::new("systemd-analyze")
        .args(["syscall-filter", set])
        .output();
    let listed = String::from_utf8(output.unwrap().stdout).unwrap();
    for name in listed.lines().skip(1).map(str::trim) {
        if name.starts_with('@') {
            calls(name, into);
        } else if !name.starts_with('#') {
            into.insert(name.to_owned());
        }
    }
}

#[test]
fn every_system_call_it_makes_is_one_that_the_unit_allows() {
    let scratch = Scratch::new("calls");
    let trace = scratch.path().join("trace");
    let script = format!(
        "exec strace -D -f -qq -o {} {ZOONET} \"$@\"",
        trace.display()
    );
    let place = format!("unix:{}/zk.sock", scratch.path().display());
    let sidecar = on_the_pair()
        .listen_too(&place)
        .start(wrapper(&scratch, &script));
    live(&sidecar);
    let [mut allowed, mut denied] = [BTreeSet::new(), BTreeSet::new()];
    let unit = unit();
    for line in unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
    {
        match line.strip_prefix('~') {
            None => calls(line, &mut allowed),
            Some(set) => calls(set, &mut denied),
        }
    }
    let made: BTreeSet<String> = fs::read_to_string(&trace)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
        .collect();
    assert!(
        made.contains("accept4") && made.contains("fsync"),
        "{made:?}"
    );
    let refused: Vec<_> = made
        .iter()
        .filter(|name| !allowed.contains(*name) || denied.contains(*name))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// Where the tests run as root the sidecar is nobody; otherwise it is who we are.
#[test]
fn it_needs_no_privilege_and_says_when_it_has_them() {
    const WARNING: &str = "running as root";
    let scratch = Scratch::new("nobody");
    let root = geteuid().is_root();
    if root {
        let sidecar = on_the_pair().start(ZOONET);
        assert!(sidecar.log().contains(WARNING));
    }
    let script = if root {
        // What is above the sidecar's own folder is ours, and it has to pass through.
        format!(
            "folder=$(dirname \"$3\")\nchown -R 65534:65534 \"$folder\"\nchmod o+x \"$folder/..\"\n\
             exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \\\n\
             --bounding-set=-all --inh-caps=-all {ZOONET} \"$@\""
        )
    } else {
        format!("exec {ZOONET} \"$@\"")
    };
    let sidecar = on_the_pair().start(wrapper(&scratch, &script));
    live(&sidecar);
    assert!(!sidecar.log().contains(WARNING), "{}", sidecar.log());
}
