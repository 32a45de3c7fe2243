//! The connection to a remote server, or to all of them: lost, hung, refused.

use super::*;
use crate::testbed::relay::{Direction, Newcomers};
use crate::testbed::zookeeper::Plan;

/// How a spin of a client went: number, shortest and longest of what went well, then of what failed,
/// times in milliseconds.
fn spun(answer: &str) -> [u64; 6] {
    let numbers: Vec<u64> = answer
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

#[test]
fn a_lost_server_costs_what_was_outstanding_there_and_nothing_else() {
    let eu = Plan::new("eu").voters(3).start();
    let victim = eu.follower().unwrap();
    let servers: Vec<_> = eu.voters().iter().map(|server| server.address()).collect();
    let sidecar = setup(&servers)
        .prefer("eu", &[victim.address()])
        .start(ZOONET);
    let writer = Puppet::kazoo(eu.leader().unwrap().address(), 20);
    for path in ["/eu", "/eu/before", "/eu/meanwhile", "/eu/after"] {
        writer.ask(&format!("make {path}"));
    }
    let client = Puppet::kazoo(sidecar.address(), 20);
    client.ask("ephemeral /lost-here");
    client.ask("ephemeral /eu/mine");
    let owner = writer.ask("owner /eu/mine");
    for path in ["/eu/before", "/eu/meanwhile", "/eu/after"] {
        assert_eq!(client.ask(&format!("watch {path}")), "there");
    }
    writer.ask("set /eu/before x");
    client.sees("event CHANGED /eu/before");
    // A server that stands still keeps what it is sent outstanding until it is killed.
    victim.stop();
    let begun = client.tell("begin /eu/before 20");
    assert_eq!(client.answer(begun), "begun");
    // Behind them in the client's pipeline, and so behind them at the sidecar.
    let home = client.tell("owner /lost-here");
    writer.ask("set /eu/meanwhile x");
    let before = sidecar.log().matches("leg lost").count();
    victim.kill();
    for _ in 0..20 {
        client.sees(&format!("done {begun} ConnectionLoss"));
    }
    assert_ne!(client.answer(home), "none");
    logged(&sidecar, "leg lost", before);
    client.sees("event CHANGED /eu/meanwhile");
    writer.ask("set /eu/after x");
    client.sees("event CHANGED /eu/after");
    writer.ask("set /eu/meanwhile y");
    writer.ask("set /eu/after y");
    assert_eq!(client.seen_behind(&["sync /eu"]), [""; 0]);
    assert_eq!(writer.ask("owner /eu/mine"), owner, "the leg's session");
    assert_eq!(client.ask("owner /eu/mine"), client.ask("session"));
}

#[test]
fn a_hung_remote_is_noticed_without_a_request_and_harms_nobody_at_home() {
    let (relay, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let writer = abroad();
    writer.ask("make /eu/hung");
    let client = Puppet::kazoo(sidecar.address(), 6);
    let other = Puppet::kazoo(sidecar.address(), 6);
    other.ask("make /hung-home");
    client.ask("ephemeral /eu/hung-mine");
    client.ask("watch /eu/hung");
    relay.cut(Newcomers::Hang);
    let begun = Instant::now();
    let spins = other.tell("spin /hung-home 4");
    logged(&sidecar, "leg lost: no answer in time", 0);
    // A ping after a third of the timeout, and a request's time for its answer.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(client.ask("get /eu/hung"), "ConnectionLoss");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "below a third: {took:?}");
    }
    let [count, _, slowest, failed, ..] = spun(&other.answer(spins));
    assert_eq!(failed, 0);
    assert!(
        count > 100 && slowest < 1_000,
        "{count} reads, the slowest took {slowest} ms"
    );
    writer.ask("set /eu/hung changed");
    relay.heal();
    client.sees("event CHANGED /eu/hung");
    writer.ask("set /eu/hung again");
    eventually("it is back", || client.ask("get /eu/hung") == "again");
    assert_eq!(client.ask("owner /eu/hung-mine"), client.ask("session"));
    assert_eq!(client.seen_behind(&["sync /eu"]), [""; 0]);
    assert_eq!(other.seen_behind(&["get /hung-home"]), [""; 0]);
}

#[test]
fn requests_on_a_hung_remote_are_bounded_below_a_third_of_the_timeout() {
    let (relay, setup) = wired();
    let sidecar = setup.start(ZOONET);
    let client = Puppet::kazoo(sidecar.address(), 6);
    client.ask("make /eu/bounded");
    relay.freeze(Direction::Down);
    let begun = Instant::now();
    let reads = client.tell("begin /eu/bounded 10");
    client.answer(reads);
    for _ in 0..10 {
        client.sees(&format!("done {reads} ConnectionLoss"));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    relay.heal();
    eventually("it is back", || client.ask("get /eu/bounded").is_empty());
    assert_eq!(client.seen_behind(&[]), [""; 0]);
}

#[test]
fn failures_of_an_ensemble_that_is_down_are_paced_and_it_recovers_by_itself() {
    let eu = Plan::new("eu").start();
    let sidecar = setup(&[eu.servers()[0].address()]).start(ZOONET);
    let client = Puppet::kazoo(sidecar.address(), 20);
    client.ask("make /eu/down");
    client.ask("watch /eu/down");
    client.ask("ephemeral /eu/down-mine");
    eu.servers()[0].kill();
    let [went_well, _, _, failed, shortest, longest] = spun(&client.ask("spin /eu/down 6"));
    assert_eq!(went_well, 0);
    // The first may fail at once; then each waits a quarter of a second, or for a probe.
    assert!((2..=32).contains(&failed), "{failed} of at least 200 ms");
    assert!(
        longest < 6_600,
        "below a third of the timeout: {longest} ms"
    );
    println!("{failed} failed, {shortest} to {longest} ms");
    let again = spun(&client.ask("spin /eu/down 3"));
    assert!(again[4] >= 190, "each is paced: {again:?}");
    eu.servers()[0].restart();
    eu.await_ready();
    let writer = Puppet::kazoo(eu.servers()[0].address(), 20);
    writer.ask("set /eu/down changed");
    // Nobody asks for anything: the leg comes back because of the watch.
    client.sees("event CHANGED /eu/down");
    assert_eq!(client.ask("owner /eu/down-mine"), client.ask("session"));
    assert_eq!(client.seen_behind(&["get /eu/down"]), [""; 0]);
}

#[test]
fn a_client_is_disconnected_where_the_ensemble_says_so() {
    let (relay, setup) = wired();
    let sidecar = setup
        .ensemble_key("eu", "on_unreachable: disconnect")
        .start(ZOONET);
    let client = Puppet::kazoo(sidecar.address(), 6);
    let other = Puppet::kazoo(sidecar.address(), 6);
    let session = client.ask("session");
    client.ask("make /eu/cut-off");
    client.ask("ephemeral /cut-off");
    relay.cut(Newcomers::Refuse);
    relay.reset();
    // A request that is lost with its connection is no more than that.
    logged(&sidecar, "leg is unreachable", 0);
    assert_eq!(client.ask("get /eu/cut-off"), "ConnectionLoss");
    client.sees("state SUSPENDED");
    client.sees("state CONNECTED");
    assert_eq!(client.ask("session"), session);
    assert_eq!(client.ask("owner /cut-off"), session);
    relay.heal();
    eventually("it is back", || client.ask("get /eu/cut-off").is_empty());
    assert_eq!(other.seen_behind(&["owner /cut-off"]), [""; 0]);
}
