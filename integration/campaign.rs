//! The failure contract under fire: unmodified clients hold ephemerals and watches on two ensembles
//! and do versioned writes, while everything around them is broken, one thing at a time.
//!
//! After each fault, once it is healed, the world has to be in order again within a bound:
//!
//! * no acknowledged write is lost, and no version was skipped;
//! * the ephemerals on the ensembles are those of the live sessions, no more and no fewer;
//! * what changed under a watch during the fault was noticed by every client that has one;
//! * sessions were lost only where the contract says so, and there they were;
//! * a client that uses its home only saw no error of a remote fault, and was not slowed down.
//!
//! Beside it all, more clients write and read at random through both sidecars, which read the other
//! region through an observer that lags. What they saw over the whole campaign has to be OSC(U).
//!
//! What is broken follows from the seed alone; when, and what the machine makes of it, does not.

mod check;
mod fault;
mod load;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use fault::Fault;
use load::Load;
use world::World;

/// One fault of each kind that does not take long, for the suite.
#[cfg(test)]
const SHORT: [fault::Kind; 9] = [
    fault::Kind::Server,
    fault::Kind::Leader,
    fault::Kind::Wire,
    fault::Kind::HalfOpen,
    fault::Kind::Crash,
    fault::Kind::Stop,
    fault::Kind::Reload,
    fault::Kind::Client,
    fault::Kind::Outlasted,
];

/// Faults of all kinds until that time is over; panics at the first that breaks the contract, and
/// at the end if the load beside them was not served as `barrier` promises.
pub(crate) fn for_a_while(zoonet: &Path, seed: u64, time: Duration, barrier: &str) {
    let begun = Instant::now();
    let mut random = Rng::with_seed(seed);
    let mut world = World::start(zoonet, barrier);
    let load = Load::start(&world, seed);
    let mut tally = std::collections::BTreeMap::<String, usize>::new();
    let mut number = 0;
    while begun.elapsed() < time {
        number += 1;
        let fault = Fault::any(&mut random);
        let repeat = format!(
            "cargo run --example campaign -- --seed {seed} --barrier {barrier} --minutes {:.1}",
            (begun.elapsed().as_secs_f64() + 60.0) / 60.0
        );
        attempt(&mut world, number, &fault, begun, &repeat);
        *tally.entry(format!("{:?}", fault.kind())).or_default() += 1;
    }
    println!(
        "held: seed {seed}, {number} faults in {:.1} minutes, {} writes acknowledged; {tally:?}",
        begun.elapsed().as_secs_f64() / 60.0,
        world.writes(),
    );
    let verdict = load.judge();
    println!("{}", verdict.said);
    assert!(verdict.operations > 0, "the load has recorded nothing");
    assert!(
        verdict.violation.is_none(),
        "barrier {barrier}: what the clients of the load saw is not OSC(U)"
    );
}

fn attempt(world: &mut World, number: usize, fault: &Fault, begun: Instant, repeat: &str) {
    let at = begun.elapsed().as_secs_f64();
    let before = world.reports();
    let started = Instant::now();
    let allowed = fault.strike(world, number);
    let struck = started.elapsed();
    match check::order(world, number, &before, &allowed) {
        Ok(said) => println!(
            "{at:7.1} s  #{number:<4} {fault:?}: held ({:.1} s, in order after {:.1} s; {said})",
            struck.as_secs_f64(),
            (started.elapsed() - struck).as_secs_f64(),
        ),
        Err(broken) => {
            println!("{at:7.1} s  #{number:<4} {fault:?}: BROKEN\n{broken}\nto repeat: {repeat}");
            panic!("the contract did not hold over {fault:?}: {broken}");
        }
    }
}

/// Some faults one after the other; what the load saw meanwhile.
#[cfg(test)]
fn short(barrier: &str, kinds: &[fault::Kind]) -> load::Verdict {
    let mut random = Rng::with_seed(1);
    let mut world = World::start(Path::new(crate::ZOONET), barrier);
    let load = Load::start(&world, 1);
    let begun = Instant::now();
    for (number, kind) in (1..).zip(kinds) {
        let fault = Fault::of(*kind, &mut random);
        attempt(&mut world, number, &fault, begun, "run this test");
    }
    assert!(world.writes() > 50);
    let verdict = load.judge();
    println!("{}", verdict.said);
    assert!(verdict.operations > 300, "{}", verdict.said);
    verdict
}

#[cfg(test)]
#[test]
fn the_contract_holds_over_a_fault_of_each_kind() {
    assert_eq!(short("sync", &SHORT).violation, None);
}

#[cfg(test)]
#[test]
fn the_quorum_barrier_holds_over_faults_too() {
    let kinds = [fault::Kind::Leader, fault::Kind::Crash, fault::Kind::Wire];
    assert_eq!(short("quorum", &kinds).violation, None);
}

#[cfg(test)]
#[test]
fn elided_barriers_hold_over_faults_too() {
    let kinds = [
        fault::Kind::Leader,
        fault::Kind::Wire,
        fault::Kind::Crash,
        fault::Kind::Client,
    ];
    assert_eq!(short("elided", &kinds).violation, None);
}

/// What the load sees is looked at closely enough: without a barrier it is not OSC(U).
#[cfg(test)]
#[test]
fn without_a_barrier_the_load_sees_old_values() {
    let kinds = [
        fault::Kind::Reload,
        fault::Kind::HalfOpen,
        fault::Kind::Wire,
    ];
    assert!(short("none", &kinds).violation.is_some());
}
