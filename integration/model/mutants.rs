//! That the exploration finds what it is there to find: without any one part of the rule there is a
//! counter-example.
//!
//! The program has no switches for this. Its core is copied, together with the model, and each
//! mutation is written into the copy as text, so that one build serves all: which of them is in
//! force is said when the copy is run. A mutation whose place is no longer to be found, or found
//! twice, fails the test.
//!
//! Two parts stand behind each other, and are taken out together: a leg that was lost has no lead,
//! and it is attached again only to a server that is not behind what it has seen. Either alone keeps
//! the order, which is shown too.

mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::explore::{explore, hunt};
use super::words::{FALLS, HOLDS};
use table::{HUNTS, Hunt, MUTATIONS};

/// Names the mutations in force to the copy, with commas between them.
const IN_FORCE: &str = "ZOONET_MODEL_MUTATIONS";
/// Names the hunt to the copy.
const HUNT: &str = "ZOONET_MODEL_HUNT";

#[test]
fn every_part_of_the_rule_is_needed() {
    let built = Copied::new().build();
    let mut wrong = Vec::new();
    for (number, hunt) in HUNTS.iter().enumerate() {
        let in_force = hunt.mutations.join(",");
        println!("\n==== {in_force}");
        let told = run(&built, number, &in_force);
        print!("{told}");
        let expected = match hunt.falls {
            None => HOLDS.to_owned(),
            Some(property) => format!("{FALLS}{property}\n"),
        };
        if !told.contains(&expected) {
            wrong.push((hunt.mutations, expected));
        }
    }
    assert!(wrong.is_empty(), "not found: {wrong:?}");
}

/// What the copy tells of a hunt.
fn run(built: &Path, hunt: usize, mutations: &str) -> String {
    let run = Command::new(built)
        .args([
            "--exact",
            "mutants::in_the_copy",
            "--ignored",
            "--nocapture",
        ])
        .env(HUNT, hunt.to_string())
        .env(IN_FORCE, mutations)
        .output()
        .expect("it was just built");
    let told = String::from_utf8_lossy(&run.stdout);
    if run.status.success() {
        let lines = told.lines().filter(|line| !line.is_empty());
        let ours = lines.filter(|line| !line.starts_with("running") && !line.starts_with("test "));
        ours.map(|line| format!("{line}\n")).collect()
    } else {
        format!("{told}{}", String::from_utf8_lossy(&run.stderr))
    }
}

/// Runs in the copy only: goes on one hunt.
#[test]
#[ignore = "is run by every_part_of_the_rule_is_needed, in a copy"]
fn in_the_copy() {
    let number = std::env::var(HUNT).expect("only in the copy");
    let Hunt {
        scenario, falls, ..
    } = &HUNTS[number.parse::<usize>().expect("a hunt has a number")];
    match falls {
        Some(property) => hunt(&scenario(), property),
        None => explore("mutated", &scenario()).holds(),
    }
}

/// A copy of the core and the model into which all mutations are written.
struct Copied(PathBuf);

impl Copied {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let copy = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants"));
        for name in ["README.md", "Cargo.lock"] {
            let text = fs::read_to_string(root.join(name)).expect("it is in the tree");
            copy.write(name, &text);
        }
        copy.write("Cargo.toml", MANIFEST);
        copy.take_over(root, Path::new("src"));
        copy.take_over(root, Path::new("integration/model"));
        copy
    }

    fn take_over(&self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(root.join(folder)).expect("it is in the tree") {
            let entry = entry.expect("it can be listed");
            let name = folder.join(entry.file_name());
            if entry.file_type().expect("it has a type").is_dir() {
                self.take_over(root, &name);
                continue;
            }
            let name = name.to_str().expect("our own names are plain");
            let text = fs::read_to_string(entry.path()).expect("it can be read");
            self.write(name, &mutated(name, text));
        }
    }

    /// Writes a file unless it is there as it should be, so that it is not built again.
    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return;
        }
        let folder = path.parent().expect("it lies in the copy");
        fs::create_dir_all(folder).expect("the copy can be written");
        fs::write(path, text).expect("the copy can be written");
    }

    /// Builds the copy's model: where it is.
    fn build(&self) -> PathBuf {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = Command::new(cargo)
            .args(["test", "--offline", "--test", "model", "--no-run"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .output()
            .expect("cargo can be run");
        let complaints = String::from_utf8_lossy(&build.stderr);
        assert!(build.status.success(), "not built: {complaints}");
        let messages = String::from_utf8_lossy(&build.stdout);
        let built = messages.split("\"executable\":\"").nth(1);
        let built = built.and_then(|rest| rest.split('"').next());
        PathBuf::from(built.expect("cargo says what it has built"))
    }
}

/// The text of a file with the mutations that belong there.
fn mutated(file: &str, mut text: String) -> String {
    for mutation in MUTATIONS.iter().filter(|mutation| mutation.file == file) {
        let places = text.matches(mutation.needle).count();
        assert_eq!(places, 1, "{file}: {}", mutation.needle);
        let in_force = format!("crate::mutated({:?})", mutation.name);
        let instead = mutation.instead.replace("MUTATED", &in_force);
        text = text.replace(mutation.needle, &instead);
    }
    if file == "src/lib.rs" {
        text.push_str(SWITCH);
    }
    text
}

/// The copy's manifest: the core has one dependency, the model one more.
const MANIFEST: &str = r#"[package]
name = "zoonet"
version = "0.0.0"
edition = "2024"
autobins = false
autotests = false

[features]
proxy = []

[dependencies]
thiserror = "2"

[dev-dependencies]
stateright = "0.31"

[[test]]
name = "model"
path = "integration/model/main.rs"

[profile.dev]
opt-level = 1

[workspace]
"#;

/// What tells the copy which mutations are in force.
const SWITCH: &str = r#"
/// Whether a mutation is in force.
pub(crate) fn mutated(name: &str) -> bool {
    static IN_FORCE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let named = || std::env::var("ZOONET_MODEL_MUTATIONS").unwrap_or_default();
    IN_FORCE.get_or_init(named).split(',').any(|each| each == name)
}
"#;
