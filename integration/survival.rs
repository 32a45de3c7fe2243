//! The failure contract, row by row, on real ZooKeeper and with unmodified clients.
//!
//! Clients are puppets: stock kazoo and Java clients that do what a test tells them and say what they
//! see unasked, connection states and events. What is broken is a test's own.

mod client;
mod expiry;
mod idle;
mod reload;
mod remote;
mod restart;
mod threads;
mod watches;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::ZOONET;
use crate::patience::{PATIENCE, eventually};
use crate::puppet::Puppet;
use crate::testbed::regions;
use crate::testbed::relay::{Newcomers, Relay};
use crate::testbed::sidecar::{Setup, Sidecar};

/// Home us of the pair, and eu by these servers below `/eu`.
fn setup(eu: &[SocketAddr]) -> Setup {
    Setup::home(&regions::shared_pair().us)
        .servers("eu", eu)
        .route("/eu", "eu")
        .key("connect_timeout: 500ms")
}

/// A relay to eu of the pair, and home us of the pair with eu behind that relay.
fn wired() -> (Relay, Setup) {
    let relay = Relay::to(regions::shared_pair().eu.servers()[0].address());
    let setup = setup(&[relay.address()]);
    (relay, setup)
}

/// A client of the pair's us.
fn at_home() -> Puppet {
    Puppet::kazoo(regions::shared_pair().us.servers()[0].address(), 20)
}

/// A client of the pair's eu, where there is `/eu`.
fn abroad() -> Puppet {
    let puppet = Puppet::kazoo(regions::shared_pair().eu.servers()[0].address(), 20);
    puppet.ask("make /eu");
    puppet
}

/// A client that reaches the sidecar over the first of two ways, and the other is cut.
fn by_two_ways(sidecar: &Sidecar) -> (Relay, Relay, Puppet) {
    let (one, two) = (Relay::to(sidecar.address()), Relay::to(sidecar.address()));
    two.cut(Newcomers::Refuse);
    let client = Puppet::kazoo(format!("{},{}", one.address(), two.address()), 6);
    (one, two, client)
}

/// Has such a client come over the other way, while its first connection stays half open.
fn change_ways((one, two, client): &(Relay, Relay, Puppet)) {
    two.heal();
    one.cut(Newcomers::Refuse);
    client.sees("state SUSPENDED");
    client.sees("state CONNECTED");
}

/// Waits until the sidecar has logged this once more than so many times.
fn logged(sidecar: &Sidecar, what: &str, before: usize) {
    eventually(what, || sidecar.log().matches(what).count() > before);
}
