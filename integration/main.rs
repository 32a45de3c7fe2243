//! Everything that needs more than one unit of the program: one test target, a module per topic.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the ban is for the core; real processes take real time"
)]

#[expect(
    dead_code,
    reason = "the bed offers more than the tests of any one day take"
)]
mod testbed;

mod checker;
mod workload;

#[cfg(test)]
mod bed;
#[cfg(test)]
mod bench;
#[cfg(test)]
#[expect(dead_code, reason = "the suite runs a short one only")]
mod campaign;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod composition;
#[cfg(test)]
mod demo_walk;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod map;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod puppet;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod secure;
#[cfg(test)]
#[expect(dead_code, reason = "the suite asks for verdicts only")]
mod simulation;
#[cfg(test)]
mod survival;
#[cfg(test)]
mod verify_runs;

/// The program under test, as cargo built it for this run.
#[cfg(test)]
const ZOONET: &str = env!("CARGO_BIN_EXE_zoonet");
