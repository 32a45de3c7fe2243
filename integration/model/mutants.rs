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

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bounds;
use super::explore::{explore, hunt};
use super::properties::{COMES_BACK, LEAK, NO_DEADLOCK, NO_TIMER, ONE_AT_A_TIME, ORDER, REPLIES};
use super::scenario::Scenario;
use super::words::{FALLS, HOLDS};
use zoonet::route::BarrierKind;

/// Names the mutations in force to the copy, with commas between them.
const IN_FORCE: &str = "ZOONET_MODEL_MUTATIONS";
/// Names the hunt to the copy.
const HUNT: &str = "ZOONET_MODEL_HUNT";

/// A change of the program's text.
struct Mutation {
    name: &'static str,
    file: &'static str,
    /// What stands there, once.
    needle: &'static str,
    /// What stands there instead; `MUTATED` is whether the mutation is in force.
    instead: &'static str,
}

const MUTATIONS: [Mutation; 13] = [
    Mutation {
        name: "no drain",
        file: "src/session/request.rs",
        needle: ".is_none_or(super::leg::Leg::is_drained)",
        instead: ".is_none_or(|leg| MUTATED || leg.is_drained())",
    },
    Mutation {
        name: "no barrier",
        file: "src/session/switch.rs",
        needle: "Some(barrier)) => Go::Behind(barrier),",
        instead: "Some(barrier)) => if MUTATED {
            self.lead = Lead::Happened;
            Go::Forward
        } else {
            Go::Behind(barrier)
        },",
    },
    Mutation {
        name: "a failed lead stays one",
        file: "src/session/switch.rs",
        needle: "(false, _, Lead::Asked) => self.lead = Lead::None,",
        instead: "(false, _, Lead::Asked) => {
            self.lead = if MUTATED { Lead::Happened } else { Lead::None };
        }",
    },
    Mutation {
        name: "withheld reads are shown",
        file: "src/session/switch.rs",
        needle: "Access::Read => Trust::Withhold,",
        instead: "Access::Read => if MUTATED { Trust::Show } else { Trust::Withhold },",
    },
    Mutation {
        name: "a session attached again leads",
        file: "src/session/switch.rs",
        needle: "let led = origin == Origin::New",
        instead: "let led = MUTATED || origin == Origin::New",
    },
    Mutation {
        name: "a lost leg keeps its lead",
        file: "src/session/switch.rs",
        needle: "if self.current == ensemble && self.map == Map::Composed {",
        instead: "if !MUTATED && self.current == ensemble && self.map == Map::Composed {",
    },
    Mutation {
        name: "legs forget their zxid",
        file: "src/session/leg.rs",
        needle: "last_zxid_seen: self.zxid,",
        instead: "last_zxid_seen: if MUTATED { Zxid::NONE } else { self.zxid },",
    },
    Mutation {
        name: "sync at a leader",
        file: "src/session/switch.rs",
        needle: "| None) => Some(Barrier::Quorum),",
        instead: "| None) => Some(if MUTATED { Barrier::Sync } else { Barrier::Quorum }),",
    },
    Mutation {
        name: "remote zxids are shown",
        file: "src/session/answer.rs",
        needle: "Stamp::Home => reply::set_zxid(payload, self.shown),",
        instead: "Stamp::Home if MUTATED => {}
            Stamp::Home => reply::set_zxid(payload, self.shown),",
    },
    Mutation {
        name: "barriers are answered to the client",
        file: "src/session/answer.rs",
        needle: "self.swallow(ensemble, answered.owner, &header, now);",
        instead: "self.swallow(ensemble, answered.owner, &header, now);
            if MUTATED && answered.owner == Owner::Barrier {
                return Ok(Verdict::ToClient);
            }",
    },
    Mutation {
        name: "replies pass as they come",
        file: "src/session/pipeline.rs",
        needle: "let first = self.first == seq && ",
        instead: "let first = (MUTATED || self.first == seq) && ",
    },
    Mutation {
        name: "what was on a lost leg is not answered",
        file: "src/session.rs",
        needle: "if let Owner::Client { seq, part, .. } = lost.owner {",
        instead: "if !MUTATED && let Owner::Client { seq, part, .. } = lost.owner {",
    },
    Mutation {
        name: "a drain releases nothing",
        file: "src/session/answer.rs",
        needle: "if !self.pipeline.flows() {",
        instead: "if !MUTATED && !self.pipeline.flows() {",
    },
];

/// A look for what a mutation breaks.
struct Hunt {
    /// The mutations in force.
    mutations: &'static [&'static str],
    scenario: fn() -> Scenario,
    /// The property that falls, if one does.
    falls: Option<&'static str>,
}

const HUNTS: [Hunt; 19] = [
    Hunt {
        mutations: &[],
        scenario: Scenario::smallest,
        falls: None,
    },
    Hunt {
        mutations: &["no drain"],
        scenario: Scenario::smallest,
        falls: Some(ONE_AT_A_TIME),
    },
    Hunt {
        mutations: &["no drain"],
        scenario: Scenario::smallest,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["no barrier"],
        scenario: Scenario::smallest,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["no barrier"],
        scenario: quorum,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a failed lead stays one"],
        scenario: barrier_turned_away,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a failed lead stays one"],
        scenario: bounds::led_by_an_update,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["withheld reads are shown"],
        scenario: barrier_turned_away,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["withheld reads are shown"],
        scenario: bounds::led_by_an_update,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a session attached again leads"],
        scenario: bounds::read_after_coming_back,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["a lost leg keeps its lead"],
        scenario: bounds::read_after_a_move,
        falls: None,
    },
    Hunt {
        mutations: &["legs forget their zxid"],
        scenario: bounds::read_after_a_move,
        falls: None,
    },
    Hunt {
        mutations: &["a lost leg keeps its lead", "legs forget their zxid"],
        scenario: bounds::read_after_a_move,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["sync at a leader"],
        scenario: bounds::through_leaders,
        falls: Some(ORDER),
    },
    Hunt {
        mutations: &["remote zxids are shown"],
        scenario: Scenario::smallest,
        falls: Some(COMES_BACK),
    },
    Hunt {
        mutations: &["barriers are answered to the client"],
        scenario: Scenario::smallest,
        falls: Some(LEAK),
    },
    Hunt {
        mutations: &["no drain", "replies pass as they come"],
        scenario: Scenario::smallest,
        falls: Some(REPLIES),
    },
    Hunt {
        mutations: &["what was on a lost leg is not answered"],
        scenario: bounds::read_after_a_move,
        falls: Some(NO_DEADLOCK),
    },
    Hunt {
        mutations: &["a drain releases nothing"],
        scenario: Scenario::smallest,
        falls: Some(NO_TIMER),
    },
];

fn quorum() -> Scenario {
    Scenario {
        barrier: BarrierKind::Quorum,
        ..Scenario::smallest()
    }
}

fn barrier_turned_away() -> Scenario {
    Scenario {
        budget: bounds::TURNED_AWAY,
        ..Scenario::smallest()
    }
}

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
