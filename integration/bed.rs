//! The bed is what every other test stands on, so it is tested itself: it starts in time, its
//! observers lag, and it leaves nothing behind, however the process that made it ends.

mod relay;
mod sidecar;

use std::env;
use std::io::{Read as _, stdin};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::testbed::launch::{self, Lines, Process};
use crate::testbed::python::Python;
use crate::testbed::regions::{self, LAG};
use crate::testbed::zookeeper::{Plan, Role};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn two_regions_start_within_fifteen_seconds() {
    let started = regions::shared().started_within;
    println!("two regions started within {started:?}");
    assert!(started < Duration::from_secs(15), "took {started:?}");
}

#[test]
fn each_server_has_the_role_it_was_planned_for() {
    let regions = regions::shared();
    for ensemble in [&regions.us, &regions.eu] {
        let roles: Vec<_> = ensemble.voters().iter().map(|s| s.role()).collect();
        let count = |role| roles.iter().filter(|found| **found == Some(role)).count();
        assert_eq!((count(Role::Leader), count(Role::Follower)), (1, 2));
        assert_eq!(ensemble.observers()[0].role(), Some(Role::Observer));
        assert!(ensemble.follower().is_some());
    }
}

#[test]
fn a_pair_of_standalone_ensembles_is_at_hand() {
    let pair = regions::shared_pair();
    for ensemble in [&pair.us, &pair.eu] {
        assert_eq!(ensemble.leader().unwrap().role(), Some(Role::Standalone));
    }
}

#[test]
fn an_observer_is_stale_for_as_long_as_its_link_lags() {
    let us = &regions::shared().us;
    let printed = Python::file("bed/stale_read.py")
        .arg(us.leader().unwrap().address())
        .arg(us.observers()[0].address())
        .arg("/bed-stale")
        .run(PATIENCE);
    let mut words = printed.split_whitespace();
    let stale_reads: u32 = words.next().unwrap().parse().unwrap();
    let stale_for: f64 = words.next().unwrap().parse().unwrap();
    assert!(stale_reads > 0, "{printed}");
    assert!(stale_for > LAG.as_secs_f64() * 0.9, "{printed}");
    assert_eq!(words.next(), Some("synced"), "{printed}");
}

#[test]
fn a_frozen_observer_stays_where_it_is() {
    let ensemble = Plan::new("frozen").voters(3).observers(1).start();
    let script = Python::file("bed/frozen_read.py")
        .arg(ensemble.leader().unwrap().address())
        .arg(ensemble.observers()[0].address())
        .start();
    script.expect("connected", PATIENCE);
    ensemble.quorum_link(0).freeze();
    script.say("frozen");
    script.expect("stale", PATIENCE);
    ensemble.quorum_link(0).heal();
    script.say("healed");
    script.expect("fresh", PATIENCE);
}

#[test]
fn a_standalone_server_is_stopped_killed_and_restarted_where_it_was() {
    let ensemble = Plan::new("alone").start();
    let server = &ensemble.servers()[0];
    assert_eq!(server.role(), Some(Role::Standalone));
    server.stop();
    server.stop();
    assert!(server.ask("ruok").is_err(), "a stopped server is silent");
    server.resume();
    assert_eq!(server.ask("ruok").unwrap(), "imok");
    server.kill();
    assert_eq!(server.role(), None);
    server.restart();
    assert_eq!(server.await_role(PATIENCE), Role::Standalone);
}

#[test]
fn a_dropped_ensemble_leaves_neither_processes_nor_files() {
    let ensemble = Plan::new("dropped").start();
    let pid = ensemble.servers()[0].pid().unwrap();
    let directory = ensemble.directory().to_owned();
    assert!(directory.exists());
    drop(ensemble);
    assert!(is_gone(pid, Duration::ZERO));
    assert!(!directory.exists());
}

#[test]
fn a_killed_bed_leaves_neither_processes_nor_files() {
    let (bed, pid, directory) = bed_of_another_process("wait");
    bed.kill();
    assert!(is_gone(pid, PATIENCE), "the server outlived its bed");
    assert!(vanishes(Path::new(&directory)), "{directory} is left");
}

#[test]
fn a_failed_test_keeps_its_logs_but_no_process() {
    let (bed, pid, directory) = bed_of_another_process("panic");
    assert!(bed.wait(PATIENCE).is_some());
    assert!(is_gone(pid, PATIENCE), "the server outlived its bed");
    assert!(Path::new(&directory).join("1/log").exists());
    std::fs::remove_dir_all(Path::new(&directory).parent().unwrap()).unwrap();
}

/// Not a test by itself: the process the two tests above start and lose.
#[test]
#[ignore = "started by the tests above"]
fn bed_to_be_lost() {
    let ensemble = Plan::new("lost").start();
    let pid = ensemble.servers()[0].pid().unwrap();
    println!("\nbed {pid} {}", ensemble.directory().display());
    assert!(env::var("BED_ENDS_BY").as_deref() != Ok("panic"), "as told");
    let _ = stdin().read(&mut [0]);
}

/// Starts this test binary again on the test above; gives its process, server and directory.
fn bed_of_another_process(ends_by: &str) -> (Process, i32, String) {
    let mut command = launch::command(env::current_exe().unwrap());
    command
        .args(["--exact", "bed::bed_to_be_lost", "--ignored", "--nocapture"])
        .env("BED_ENDS_BY", ends_by)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let process = Process::spawn("another bed", command);
    let lines = Lines::of(process.take_stdout().unwrap(), |_| {});
    let line = lines.after("bed ", PATIENCE).unwrap();
    let (pid, directory) = line.split_once(' ').unwrap();
    (process, pid.parse().unwrap(), directory.to_owned())
}

fn is_gone(pid: i32, within: Duration) -> bool {
    let Ok(handle) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else {
        return true;
    };
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&within)).unwrap() == 1
}

fn vanishes(path: &Path) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while path.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    !path.exists()
}
