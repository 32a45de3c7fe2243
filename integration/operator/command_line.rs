//! `zoonet check`, `route` and `run` by exit code, standard output and standard error.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::ZOONET;
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::Setup;

/// The folder of the examples.
fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// Runs a command that ends by itself, in `folder`.
fn zoonet(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(ZOONET)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What it printed, if it did well and complained about nothing.
fn printed(arguments: &[&str]) -> String {
    let output = zoonet(&config(), arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).to_owned()
}

/// What it complained about, if it failed and printed nothing else.
fn complaint(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = zoonet(folder, arguments);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr).to_owned()
}

/// The fingerprint on the last line of what `check` prints.
fn fingerprint(summary: &str) -> &str {
    let line = summary.lines().last().unwrap();
    line.strip_prefix("fingerprint  ").unwrap()
}

#[test]
fn check_tells_what_a_good_file_says() {
    let us = printed(&["check", "us/zoonet.yaml"]);
    assert!(us.contains("\nhome         us\n"), "{us}");
    let eu = printed(&["check", "eu/zoonet.yaml"]);
    assert!(eu.contains("\nhome         eu\n"), "{eu}");
    assert_eq!(fingerprint(&us), fingerprint(&eu), "regions share routes");
    let alone = printed(&["check", "minimal.yaml"]);
    assert_ne!(fingerprint(&us), fingerprint(&alone));
    printed(&["check", "reference.yaml"]);
}

#[test]
fn check_refuses_each_bad_file_in_the_words_beside_it() {
    let rejected = config().join("rejected");
    let mut count = 0;
    for entry in fs::read_dir(&rejected).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".yaml") {
            let expected = fs::read_to_string(rejected.join(format!("{stem}.err"))).unwrap();
            assert_eq!(complaint(&rejected, &["check", &name], 1), expected);
            count += 1;
        }
    }
    assert!(count > 20);
}

#[test]
fn route_tells_where_paths_go() {
    let found = printed(&[
        "route",
        "reference.yaml",
        "/a",
        "/eu/x",
        "/europe",
        "/legacy/x",
    ]);
    let expected = "/a\tus\t/a\t/\n/eu/x\teu\t/eu/x\t/eu\n/europe\tus\t/europe\t/\n\
                    /legacy/x\teu\t/old/app/x\t/legacy\n";
    assert_eq!(found, expected);
}

#[test]
fn route_refuses_what_is_no_path_and_bad_files() {
    let said = complaint(&config(), &["route", "reference.yaml", "/a", "b"], 1);
    assert!(said.contains("`b` is no path"), "{said}");
    let said = complaint(&config(), &["route", "rejected/overlap.yaml", "/a"], 1);
    assert!(said.starts_with("rejected/overlap.yaml:9:29: "), "{said}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_answered_by_the_usage() {
    let cases: [&[&str]; 5] = [
        &["route", "reference.yaml"],
        &["run"],
        &["check"],
        &["start"],
        &["check", "reference.yaml", "--create-mount-points"],
    ];
    for arguments in cases {
        let said = complaint(&config(), arguments, 2);
        assert!(said.contains("Usage: "), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for arguments in [
        &["check", "none.yaml"][..],
        &["run", "--config", "none.yaml"],
    ] {
        let said = complaint(&config(), arguments, 1);
        assert!(said.contains("none.yaml"), "{said}");
        assert!(said.contains("No such file"), "{said}");
    }
}

#[test]
fn run_refuses_a_bad_file_as_check_does() {
    let rejected = config().join("rejected");
    let expected = fs::read_to_string(rejected.join("many.err")).unwrap();
    let said = complaint(&rejected, &["run", "--config", "many.yaml"], 1);
    assert_eq!(said, expected);
}

#[test]
fn run_says_which_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let scratch = Scratch::new("taken");
    let yaml = Setup::home(&regions::shared_pair().us).yaml(address, scratch.path());
    scratch.write("zoonet.yaml", &yaml);
    let said = complaint(scratch.path(), &["run", "--config", "zoonet.yaml"], 1);
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with(&format!("cannot listen on {address}: ")),
        "{said}"
    );
    assert!(last.contains("in use"), "{said}");
}

#[test]
fn the_fingerprint_logged_at_start_is_the_one_check_prints() {
    let pair = regions::shared_pair();
    let sidecar = Setup::home(&pair.us)
        .ensemble(&pair.eu)
        .mount("/legacy", "eu", "/old")
        .start(ZOONET);
    let summary = printed(&["check", sidecar.config().to_str().unwrap()]);
    let logged = format!("fingerprint={}", fingerprint(&summary));
    let log = sidecar.log();
    assert_eq!(log.matches(&logged).count(), 1, "{logged} in {log}");
}
