//! What stands between the load and the server.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;

use super::ZOONET;
use super::haproxy::{Buffers, Haproxy};
use super::process::Helper;
use crate::testbed::sidecar::{Setup, Sidecar};

/// Requests of one ensemble in a row where prefixes are mixed.
const BURST: usize = 25;

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Direct,
    Relay,
    /// HAProxy as it comes.
    Haproxy,
    /// HAProxy with buffers as large as the relay's.
    HaproxyLarge,
    /// A sidecar whose map has one ensemble.
    Zoonet,
    /// A sidecar whose map has two, to home only.
    ZoonetMap,
    /// The same, with requests to both in turn.
    ZoonetMix,
}

impl Way {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The servers behind: with one of them alone, prefixes cannot be mixed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Servers {
    pub(crate) home: SocketAddr,
    pub(crate) other: Option<SocketAddr>,
}

/// Something to send the load through.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) name: String,
    way: Way,
    /// What is run as the sidecar.
    program: PathBuf,
}

/// A variant that runs; it ends when this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The proxy, if there is one.
    pub(crate) pid: Option<i32>,
    /// How many requests in a row go to the same ensemble, where there are two.
    pub(crate) burst: Option<usize>,
    _held: Held,
}

/// What must live as long as a variant is used.
enum Held {
    Nothing,
    Helper(#[expect(dead_code, reason = "it is held, not used")] Helper),
    Haproxy(#[expect(dead_code, reason = "it is held, not used")] Haproxy),
    Sidecar(#[expect(dead_code, reason = "it is held, not used")] Sidecar),
}

impl Variant {
    /// These ways, each through a sidecar also with other builds of it, given as `NAME=PATH`.
    pub(crate) fn all(ways: &[Way], against: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        for way in ways {
            let name = way.name();
            // Other builds run right beside the one they are compared with.
            for other in against.iter().filter(|_| name.starts_with("zoonet")) {
                let (label, program) = other
                    .split_once('=')
                    .ok_or_else(|| anyhow::anyhow!("--against takes NAME=PATH, not {other}"))?;
                all.push(Self {
                    name: name.replacen("zoonet", label, 1),
                    way: *way,
                    program: program.into(),
                });
            }
            all.push(Self {
                name,
                way: *way,
                program: ZOONET.into(),
            });
        }
        Ok(all)
    }

    /// Starts it in front of the servers.
    pub(crate) fn start(&self, servers: Servers, sessions: usize) -> anyhow::Result<Running> {
        let (address, pid, held) = match self.way {
            Way::Direct => (servers.home, None, Held::Nothing),
            Way::Relay => {
                let helper = Helper::relay(servers.home);
                let [address, _] = helper.addresses;
                (address, Some(helper.pid()), Held::Helper(helper))
            }
            Way::Haproxy | Way::HaproxyLarge => {
                let buffers = if self.way == Way::Haproxy {
                    Buffers::Stock
                } else {
                    Buffers::Large
                };
                let haproxy = Haproxy::start(servers.home, sessions, buffers)?;
                let (address, pid) = (haproxy.address(), haproxy.pid());
                (address, Some(pid), Held::Haproxy(haproxy))
            }
            Way::Zoonet => return Ok(self.sidecar(one_ensemble(servers))),
            Way::ZoonetMap => return Ok(self.sidecar(both_ensembles(servers)?)),
            Way::ZoonetMix => {
                let burst = Some(BURST);
                let running = self.sidecar(both_ensembles(servers)?);
                return Ok(Running { burst, ..running });
            }
        };
        Ok(Running {
            address,
            pid,
            burst: None,
            _held: held,
        })
    }

    /// Starts it with a map of both servers, whatever its own has.
    pub(crate) fn start_with_both(&self, servers: Servers) -> anyhow::Result<Running> {
        Ok(self.sidecar(both_ensembles(servers)?))
    }

    fn sidecar(&self, setup: Setup) -> Running {
        let sidecar = setup.log("info").start(&self.program);
        Running {
            address: sidecar.address(),
            pid: sidecar.pid(),
            burst: None,
            _held: Held::Sidecar(sidecar),
        }
    }
}

fn one_ensemble(servers: Servers) -> Setup {
    let setup = Setup::new("home").servers("home", &[servers.home]);
    setup.route("/", "home")
}

fn both_ensembles(servers: Servers) -> anyhow::Result<Setup> {
    let other = servers.other.context("this way needs two ensembles")?;
    let setup = one_ensemble(servers).servers("other", &[other]);
    Ok(setup.route("/other", "other"))
}
