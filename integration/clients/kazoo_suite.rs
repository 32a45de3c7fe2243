//! A part of kazoo's own published tests, through the sidecar as directly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;

use super::{on_the_pair, verdict};
use crate::ZOONET;
use crate::testbed::python::Python;
use crate::testbed::regions;
use crate::testbed::sidecar::{Setup, Sidecar};

/// How each of the tests ended.
type Outcomes = BTreeMap<String, &'static str>;

fn outcomes(address: SocketAddr, prefixes: &[&str]) -> Outcomes {
    let mut suite = Python::file("clients/kazoo_suite.py")
        .arg("--connect")
        .arg(address);
    for prefix in prefixes {
        suite = suite.arg("--prefix").arg(prefix);
    }
    let found = verdict(suite);
    let mut outcomes = Outcomes::new();
    for outcome in ["passed", "failed", "skipped"] {
        // Names, or names with reasons.
        if let Some(names) = found[outcome].as_array() {
            let names = names.iter().map(|name| name.as_str().unwrap().to_owned());
            outcomes.extend(names.map(|name| (name, outcome)));
        } else {
            let reasons = found[outcome].as_object().unwrap();
            outcomes.extend(reasons.keys().map(|name| (name.clone(), outcome)));
        }
    }
    let passed = outcomes.values().filter(|outcome| **outcome == "passed");
    assert!(passed.count() > 200, "{found}");
    outcomes
}

/// On a stock server, once; the others run meanwhile.
fn baseline() -> &'static Outcomes {
    static BASELINE: LazyLock<Outcomes> =
        LazyLock::new(|| outcomes(regions::shared_pair().eu.servers()[0].address(), &[]));
    &BASELINE
}

fn passes_as_directly(sidecar: &Sidecar, prefixes: &[&str]) {
    let (found, expected) = thread::scope(|scope| {
        let expected = scope.spawn(baseline);
        let found = outcomes(sidecar.address(), prefixes);
        (found, expected.join().unwrap())
    });
    assert_eq!(&found, expected);
    let log = sidecar.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn kazoos_own_tests_pass_on_one_ensemble() {
    let sidecar = Setup::home(&regions::shared_pair().us).start(ZOONET);
    passes_as_directly(&sidecar, &["/kazoo-alone"]);
}

#[test]
fn kazoos_own_tests_pass_on_the_remote_ensemble() {
    passes_as_directly(&on_the_pair(), &["/eu/kazoo"]);
}

#[test]
fn kazoos_own_tests_pass_on_both_in_turn() {
    passes_as_directly(&on_the_pair(), &["/us-kazoo", "/eu/kazoo-too"]);
}
