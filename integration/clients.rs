//! Unmodified clients through the sidecar: each program of `clients/` says what it saw, as JSON.
//!
//! Every test has a sidecar and names of its own, so that all of them run side by side on the
//! shared ensembles.

mod kazoo_suite;
mod zookeeper_async;

use std::time::Duration;

use serde_json::Value;

use crate::ZOONET;
use crate::testbed::python::Python;
use crate::testbed::regions::{self, Pair, Regions};
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::Ensemble;

/// The bound of a whole program; each bounds its own waits far below.
const LIMIT: Duration = Duration::from_secs(280);

/// Home us on the pair, with eu below `/eu`.
fn on_the_pair() -> Sidecar {
    let Pair { us, eu } = regions::shared_pair();
    Setup::home(us)
        .ensemble(eu)
        .route("/eu", "eu")
        .start(ZOONET)
}

/// Home us on the regions, with eu below `/eu` by its observer, which lags.
fn on_the_regions() -> Sidecar {
    let Regions { us, eu, .. } = regions::shared();
    Setup::home(us)
        .ensemble(eu)
        .prefer("eu", &[eu.observers()[0].address()])
        .route("/eu", "eu")
        .start(ZOONET)
}

/// A program on both sides of `sidecar`, which may look at the ensembles from outside.
fn program(name: &str, sidecar: &Sidecar, us: &Ensemble, eu: &Ensemble) -> Python {
    Python::file(format!("clients/{name}.py"))
        .arg("--connect")
        .arg(sidecar.address())
        .arg("--direct-local")
        .arg(us.leader().unwrap().address())
        .arg("--direct-remote")
        .arg(eu.leader().unwrap().address())
        .arg("--limit")
        .arg(LIMIT.as_secs() - 20)
}

/// A program below `/us-…` and `/eu/…` of the pair.
fn pair_program(name: &str, sidecar: &Sidecar) -> Python {
    let Pair { us, eu } = regions::shared_pair();
    sides(program(name, sidecar, us, eu), name)
}

/// A program below `/us-…` and `/eu/…` of the regions.
fn regions_program(name: &str, sidecar: &Sidecar) -> Python {
    let Regions { us, eu, .. } = regions::shared();
    sides(program(name, sidecar, us, eu), name)
}

fn sides(program: Python, name: &str) -> Python {
    program
        .arg("--local")
        .arg(format!("/us-{name}"))
        .arg("--remote")
        .arg(format!("/eu/{name}"))
}

/// What the program says on its last line.
fn verdict(program: Python) -> Value {
    let printed = program.run(LIMIT);
    let last = printed.lines().last().unwrap_or_default();
    println!("{last}");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in {printed}"))
}

/// No client of a test misbehaves, so nobody's connection may be ended for a fault.
fn blames_nobody(sidecar: &Sidecar) {
    let log = sidecar.log();
    for complaint in [
        "panicked",
        "client's connection closed",
        "client turned away",
        "leg lost, ",
    ] {
        assert!(!log.contains(complaint), "{complaint}:\n{log}");
    }
}

#[test]
fn thousands_of_pipelined_operations_keep_their_order() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("fifo", &sidecar));
    assert_eq!(found["ops"], 6000, "{found}");
    assert!(found["switches"].as_u64().unwrap() > 1500, "{found}");
    assert!(
        found["errors_as_predicted"].as_u64().unwrap() > 500,
        "{found}"
    );
    blames_nobody(&sidecar);
}

#[test]
fn pipelined_operations_keep_their_order_through_a_lagging_observer() {
    let sidecar = on_the_regions();
    let found = verdict(regions_program("fifo", &sidecar).arg("--ops").arg(300));
    assert_eq!(found["ops"], 300, "{found}");
    assert!(found["switches"].as_u64().unwrap() > 50, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn ephemerals_of_both_sides_go_with_the_session() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("ephemerals", &sidecar));
    assert_eq!(found["closed"]["gone_after"].as_array().unwrap().len(), 2);
    assert_eq!(found["killed"]["gone_after"].as_array().unwrap().len(), 2);
    // Seen from outside home's ephemeral is the client's; the remote one is the leg's.
    let owners = &found["closed"]["owner_from_outside_is_session"];
    assert_eq!(owners, &serde_json::json!([true, false]), "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn ephemerals_go_with_the_session_through_a_lagging_observer() {
    let sidecar = on_the_regions();
    let found = verdict(regions_program("ephemerals", &sidecar));
    assert_eq!(found["killed"]["gone_after"].as_array().unwrap().len(), 2);
    blames_nobody(&sidecar);
}

#[test]
fn watches_fire_once_and_before_the_reply_that_shows_the_change() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("watches", &sidecar));
    assert_eq!(found["order_rounds"], 100, "{found}");
    assert_eq!(found["shadowed"], "checked", "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn watches_keep_their_order_through_a_lagging_observer() {
    let sidecar = on_the_regions();
    let found = verdict(regions_program("watches", &sidecar).arg("--rounds").arg(10));
    assert_eq!(found["order_rounds"], 10, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn transactions_across_ensembles_are_refused_and_leave_no_trace() {
    let Pair { us, eu } = regions::shared_pair();
    let sidecar = Setup::home(us)
        .ensemble(eu)
        .route("/deep/down/eu", "eu")
        .start(ZOONET);
    let program = program("spanning", &sidecar, us, eu)
        .arg("--local")
        .arg("/us-spanning")
        .arg("--remote")
        .arg("/deep/down/eu/spanning")
        .arg("--mount")
        .arg("/deep/down/eu");
    let found = verdict(program);
    assert!(found["refused"].as_u64().unwrap() >= 5, "{found}");
    assert_eq!(found["ancestors_kept"], 2, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn a_mount_shows_its_own_names_only() {
    let Pair { us, eu } = regions::shared_pair();
    let sidecar = Setup::home(us)
        .ensemble(eu)
        .mount("/legacy/app", "eu", "/old/app")
        .start(ZOONET);
    let program = program("mounts", &sidecar, us, eu)
        .arg("--local")
        .arg("/us-mounts")
        .arg("--remote")
        .arg("/legacy/app")
        .arg("--real-remote")
        .arg("/old/app")
        .arg("--mount")
        .arg("/legacy/app");
    verdict(program);
    blames_nobody(&sidecar);
}

#[test]
fn identities_hold_on_both_sides_whenever_they_were_added() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("auth", &sidecar));
    assert_eq!(found["nodes"], 18, "{found}");
    assert_eq!(found["pipelined"], 20 * 9, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn values_of_all_sizes_pass_and_oversize_costs_the_connection_only() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("values", &sidecar));
    assert!(
        found["largest_value"].as_u64().unwrap() > 1_048_000,
        "{found}"
    );
    assert!(
        found["largest_reply"].as_u64().unwrap() > 1_048_575,
        "{found}"
    );
    let log = sidecar.log();
    let complaints = log.matches("client's connection closed").count();
    assert_eq!(complaints, 2, "one for each oversize request:\n{log}");
}

#[test]
fn idle_and_one_sided_sessions_keep_both_sides() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("idle", &sidecar));
    assert_eq!(found["requests"]["idle"], 0, "{found}");
    for busy in ["busy-remote", "busy-local"] {
        assert!(found["requests"][busy].as_u64().unwrap() > 100, "{found}");
    }
    blames_nobody(&sidecar);
}

#[test]
fn many_clients_see_nothing_of_each_other() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("isolation", &sidecar));
    assert_eq!(found["clients"], 20, "{found}");
    assert_eq!(found["requests"], 4000, "{found}");
    assert!(found["events"].as_u64().unwrap() > 300, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn the_stock_command_line_works_on_both_sides() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("zkcli", &sidecar));
    assert!(found["commands"].as_u64().unwrap() >= 78, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn the_stock_java_client_finds_nothing_missing() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("java_client", &sidecar));
    for part in ["watches", "requests", "async", "reconnect"] {
        assert_eq!(found[part]["part"], part, "{found}");
    }
    assert_eq!(found["reconnect"]["reconnects"], 2, "{found}");
    blames_nobody(&sidecar);
}

#[test]
fn the_stock_c_client_finds_nothing_missing() {
    let sidecar = on_the_pair();
    let found = verdict(pair_program("c_client", &sidecar));
    assert_eq!(found["ops"], 2000, "{found}");
    assert_eq!(found["cli_mt"], "ran", "{found}");
    blames_nobody(&sidecar);
}
