//! A part of kazoo's own published tests, through the sidecar as directly.

use std::sync::LazyLock;

use super::{blames_nobody, on_the_pair, verdict};
use crate::ZOONET;
use crate::testbed::python::Python;
use crate::testbed::regions;
use crate::testbed::scratch::Scratch;
use crate::testbed::sidecar::{Setup, Sidecar};

/// How the tests end on a stock server, as JSON: run once, for all to compare with.
fn baseline() -> &'static str {
    static BASELINE: LazyLock<String> = LazyLock::new(|| {
        let eu = &regions::shared_pair().eu;
        let direct = Python::file("clients/kazoo_suite.py")
            .arg("--connect")
            .arg(eu.servers()[0].address());
        let found = verdict(direct);
        assert!(found["passed"].as_array().unwrap().len() > 200, "{found}");
        found.to_string()
    });
    &BASELINE
}

/// Whoever differs from the baseline ends the program with a list of what differs.
fn passes_as_directly(sidecar: &Sidecar, prefixes: &[&str]) {
    let scratch = Scratch::new("baseline");
    let baseline = scratch.write("baseline.json", baseline());
    let mut suite = Python::file("clients/kazoo_suite.py")
        .arg("--connect")
        .arg(sidecar.address())
        .arg("--baseline")
        .arg(baseline.display());
    for prefix in prefixes {
        suite = suite.arg("--prefix").arg(prefix);
    }
    let found = verdict(suite);
    assert!(found["passed"].as_array().unwrap().len() > 200, "{found}");
    blames_nobody(sidecar);
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
