//! The guarantee on real ensembles: each test beside its negative control (`barrier: none`).
//!
//! The smallest way to tell two consistent ensembles from one: client 1 writes at us and reads at
//! eu, client 2 writes at eu and reads at us, both at once. In any one order of these four at
//! least one reads what the other wrote. They read through observers that lag [`regions::LAG`]
//! behind, and so without the rule both read the old value in nearly every round.

use std::fmt;
use std::time::Duration;

use crate::ZOONET;
use crate::testbed::python::Python;
use crate::testbed::regions::{self, Regions};
use crate::testbed::sidecar::{Setup, Sidecar};

/// How often the clients race. With the rule each round takes as long as an observer lags.
const ROUNDS: u64 = 40;
const LIMIT: Duration = Duration::from_secs(120);

/// Which ensemble the clients read, through its observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// They write at home and read the other.
    Remote,
    /// They write at the other and read at home.
    Home,
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remote => "remote",
            Self::Home => "home",
        })
    }
}

/// The sidecar of a region; those of both regions have the same routes.
fn sidecar(home: &str, barrier: &str, read: Read) -> Sidecar {
    let Regions { us, eu, .. } = regions::shared();
    let lagging = match (home, read) {
        ("us", Read::Remote) | ("eu", Read::Home) => eu,
        _ => us,
    };
    Setup::new(home)
        .ensemble(us)
        .ensemble(eu)
        .prefer(lagging.name(), &[lagging.observers()[0].address()])
        .barrier("us", barrier)
        .barrier("eu", barrier)
        .route("/", "us")
        .route("/eu", "eu")
        .log("zoonet=trace")
        .start(ZOONET)
}

/// Lets two clients race and returns in how many rounds both read an old value.
fn violations(barrier: &str, mode: &str, read: Read) -> u64 {
    let (us, eu) = (sidecar("us", barrier, read), sidecar("eu", barrier, read));
    // Client 1 writes below `--local`, client 2 below `--remote`.
    let (one, two) = match read {
        Read::Remote => (&us, &eu),
        Read::Home => (&eu, &us),
    };
    let name = format!("anomaly-{barrier}-{mode}-{read}");
    let printed = Python::file("clients/anomaly.py")
        .arg("--connect1")
        .arg(one.address())
        .arg("--connect2")
        .arg(two.address())
        .arg("--local")
        .arg(format!("/{name}"))
        .arg("--remote")
        .arg(format!("/eu/{name}"))
        .arg("--direct-remote")
        .arg(regions::shared().eu.leader().unwrap().address())
        .arg("--mode")
        .arg(mode)
        .arg("--rounds")
        .arg(ROUNDS)
        .run(LIMIT);
    let last = printed.lines().last().unwrap();
    println!("{barrier} {read}: {last}");
    let found: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(found["rounds"], ROUNDS, "{found}");
    // Whoever placed no barriers must not pass for the wrong reason, nor who placed some.
    for sidecar in [&us, &eu] {
        let log = sidecar.log();
        let placed = log.matches("barrier placed").count();
        if barrier == "none" {
            assert_eq!(placed, 0, "{log}");
        } else {
            assert!(placed >= usize::try_from(ROUNDS).unwrap(), "{log}");
        }
    }
    found["violations"].as_u64().unwrap()
}

/// The negative control: it sees the anomaly far more often than once, so that a test beside it
/// that sees none in as many rounds means something.
fn sees_it(mode: &str, read: Read) {
    let seen = violations("none", mode, read);
    assert!(seen >= ROUNDS / 4, "{seen} of {ROUNDS} rounds");
}

fn never_sees_it(barrier: &str, mode: &str, read: Read) {
    let seen = violations(barrier, mode, read);
    assert_eq!(seen, 0, "violations in {ROUNDS} rounds");
}

#[test]
fn without_a_barrier_two_clients_both_read_old_values() {
    sees_it("sync", Read::Remote);
}

#[test]
fn without_a_barrier_pipelining_clients_both_read_old_values() {
    sees_it("pipelined", Read::Remote);
}

#[test]
fn without_a_barrier_clients_that_come_home_both_read_old_values() {
    sees_it("sync", Read::Home);
}

#[test]
fn with_sync_never_do_both_read_old_values() {
    never_sees_it("sync", "sync", Read::Remote);
}

#[test]
fn with_sync_never_do_pipelining_clients_both_read_old_values() {
    never_sees_it("sync", "pipelined", Read::Remote);
}

#[test]
fn with_sync_never_do_clients_that_come_home_both_read_old_values() {
    never_sees_it("sync", "pipelined", Read::Home);
}

#[test]
fn with_quorum_never_do_both_read_old_values() {
    never_sees_it("quorum", "sync", Read::Remote);
}

#[test]
fn with_quorum_never_do_pipelining_clients_both_read_old_values() {
    never_sees_it("quorum", "pipelined", Read::Remote);
}

#[test]
fn with_quorum_never_do_clients_that_come_home_both_read_old_values() {
    never_sees_it("quorum", "sync", Read::Home);
}
