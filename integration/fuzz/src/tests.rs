//! The inputs that are kept, without libFuzzer.

// Its runtime has what instrumented code calls, should this be built with the fuzzer's flags.
use libfuzzer_sys as _;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{} are too few", files.len());
    for file in files {
        println!("{}", file.display());
        check(&fs::read(&file).unwrap());
    }
}

#[test]
fn wire() {
    replay("wire", crate::wire::check);
}

#[test]
fn frames() {
    replay("frames", crate::frames::check);
}

#[test]
fn client_bytes() {
    replay("client_bytes", crate::client::check);
}

#[test]
fn server_bytes() {
    replay("server_bytes", crate::server::check);
}

#[test]
fn config() {
    replay("config", crate::config::check);
}
