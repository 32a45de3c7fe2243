//! The answers of the sidecar itself, in the formats of ZooKeeper's `srvr`, `stat`, `cons`, `mntr`,
//! `envi` and `conf`: programs read them.

#[cfg(test)]
mod tests;

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use rustix::system::uname;

use super::home::Home;
use crate::config::{Config, Place, Server};
use crate::registry::Report;
use crate::route::EnsembleId;
use crate::session::Description;
use crate::telemetry::{Latency, Traffic, process};
use crate::wire::words::{Facts, Role};
use crate::wire::{SessionId, Zxid};

/// What the sidecar knows at one moment.
pub(super) struct View<'c> {
    pub(super) config: &'c Config,
    pub(super) home: Home,
    pub(super) load: Load,
}

/// What it does for its clients.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Sessions that a connection serves.
    pub(super) connected: usize,
    /// Sessions whose clients are away.
    pub(super) parked: usize,
    /// Requests that clients wait for.
    pub(super) outstanding: usize,
    pub(super) traffic: Traffic,
    /// The largest zxid of home that a reply has shown.
    pub(super) shown: Zxid,
    /// Since the start.
    pub(super) uptime: Duration,
    /// The connected ones, as many as are worth listing.
    pub(super) clients: Vec<Client>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Option<SocketAddr>,
    pub(super) session: SessionId,
    pub(super) since: SystemTime,
    /// Of the session, milliseconds.
    pub(super) timeout: u32,
    pub(super) outstanding: usize,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl View<'_> {
    /// `None` while home does not serve.
    pub(super) fn srvr(&self) -> Option<String> {
        self.home.serves().then(|| {
            let mut out = format!("Zookeeper version: {}\n", version(&self.home));
            self.figures(&mut out);
            out
        })
    }

    /// `None` while home does not serve.
    pub(super) fn stat(&self) -> Option<String> {
        self.home.serves().then(|| {
            let mut out = format!("Zookeeper version: {}\nClients:\n", version(&self.home));
            for client in &self.load.clients {
                let Client {
                    outstanding,
                    received,
                    sent,
                    ..
                } = client;
                let traffic = format!("queued={outstanding},recved={received},sent={sent}");
                put(&mut out, format_args!(" {}({traffic})\n", client.name()));
            }
            out.push('\n');
            self.figures(&mut out);
            out
        })
    }

    fn figures(&self, out: &mut String) {
        let Load {
            connected,
            outstanding,
            traffic,
            ..
        } = &self.load;
        let (received, sent) = (traffic.requests, traffic.replies);
        let Latency { least, mean, most } = traffic.latency;
        let mean = Mean(mean);
        put(
            out,
            format_args!(
                "Latency min/avg/max: {least}/{mean}/{most}\nReceived: {received}\nSent: {sent}\n\
                 Connections: {connected}\nOutstanding: {outstanding}\nZxid: {}\nMode: {}\n",
                self.zxid(),
                self.mode()
            ),
        );
        if let Some(facts) = self.home.facts() {
            put(out, format_args!("Node count: {}\n", facts.nodes));
        }
    }

    /// Home's last transaction, as far as anybody here has seen it.
    fn zxid(&self) -> Zxid {
        let told = self.home.facts().map(|facts| facts.zxid);
        told.unwrap_or_default().max(self.load.shown)
    }

    const fn mode(&self) -> &'static str {
        match &self.home {
            Home::Serving(_) | Home::Untold => Role::Observer.name(),
            Home::ReadOnly(_) => Role::ReadOnly.name(),
            Home::NotServing | Home::Unreachable => "not-serving",
        }
    }

    pub(super) fn mntr(&self) -> String {
        let load = &self.load;
        let mut out = String::new();
        let mut line = |key: &str, value: &dyn Display| {
            put(&mut out, format_args!("zk_{key}\t{value}\n"));
        };
        line("version", &version(&self.home));
        line("server_state", &self.mode());
        line("min_latency", &load.traffic.latency.least);
        line("avg_latency", &Mean(load.traffic.latency.mean));
        line("max_latency", &load.traffic.latency.most);
        line("packets_received", &load.traffic.requests);
        line("packets_sent", &load.traffic.replies);
        line("num_alive_connections", &load.connected);
        line("outstanding_requests", &load.outstanding);
        line("uptime", &load.uptime.as_millis());
        if let Some(facts) = self.home.facts() {
            line("znode_count", &facts.nodes);
        }
        if let Some(open) = process::open_files() {
            line("open_file_descriptor_count", &open);
        }
        if let Some(most) = process::most_open_files() {
            line("max_file_descriptor_count", &most);
        }
        let home = self.config.ensemble(self.config.home());
        line("zoonet_version", &env!("CARGO_PKG_VERSION"));
        line("zoonet_home", &home.name);
        line("zoonet_home_serves", &u8::from(self.home.serves()));
        line("zoonet_fingerprint", &self.config.fingerprint());
        line("zoonet_ensembles", &self.config.ensembles.len());
        line("zoonet_parked_sessions", &load.parked);
        line("zoonet_remote_legs", &load.traffic.remote_legs);
        line("zoonet_switches", &load.traffic.switches);
        line("zoonet_barriers", &load.traffic.barriers);
        out
    }
}

impl Load {
    /// Adds what a connection tells of itself.
    pub(super) fn add(&mut self, report: &Report, home: EnsembleId) {
        let Description {
            session,
            timeout,
            outstanding,
            ref legs,
            ..
        } = report.description;
        let homes = legs.iter().filter(|leg| leg.ensemble == home);
        let shown = homes.map(|leg| leg.zxid).max().unwrap_or_default();
        self.shown = self.shown.max(shown);
        self.outstanding += outstanding;
        self.clients.push(Client {
            peer: report.peer,
            session,
            since: SystemTime::now() - report.since.elapsed(),
            timeout,
            outstanding,
            received: report.received,
            sent: report.sent,
        });
    }

    pub(super) fn cons(&self) -> String {
        let mut out = String::new();
        for client in &self.clients {
            let Client {
                session,
                since,
                timeout,
                outstanding,
                received,
                sent,
                ..
            } = client;
            let since = since.duration_since(SystemTime::UNIX_EPOCH);
            let since = since.unwrap_or_default().as_millis();
            put(
                &mut out,
                format_args!(
                    " {}(queued={outstanding},recved={received},sent={sent},sid={session},\
                     est={since},to={timeout})\n",
                    client.name()
                ),
            );
        }
        out.push('\n');
        out
    }
}

impl Client {
    fn name(&self) -> String {
        match self.peer {
            // The one in brackets says that its requests are read.
            Some(peer) => format!("/{peer}[1]"),
            None => "/local[1]".to_owned(),
        }
    }
}

/// The answer to `envi`: what client libraries look for, and nothing of whom the process belongs to.
pub(super) fn envi(home: &Home) -> String {
    let system = uname();
    format!(
        "Environment:\nzookeeper.version={}\nzoonet.version={}\nhost.name={}\nos.name={}\n\
         os.arch={}\nos.version={}\n",
        version(home),
        env!("CARGO_PKG_VERSION"),
        system.nodename().to_string_lossy(),
        system.sysname().to_string_lossy(),
        std::env::consts::ARCH,
        system.release().to_string_lossy(),
    )
}

/// The answer to `conf`: what routing and addresses are; there are no secrets in it.
pub(super) fn conf(config: &Config) -> String {
    let mut out = String::new();
    let tcp = config.listen.iter().find_map(|place| match place {
        Place::Tcp(address) => Some(address),
        Place::Unix(_) => None,
    });
    if let Some(address) = tcp {
        let (port, ip) = (address.port(), address.ip());
        put(
            &mut out,
            format_args!("clientPort={port}\nclientPortAddress={ip}\n"),
        );
    }
    let home = &config.ensemble(config.home()).name;
    put(&mut out, format_args!("zoonet.home={home}\n"));
    let mut line = |key: String, value: &dyn Display| {
        put(&mut out, format_args!("zoonet.{key}={value}\n"));
    };
    let list = |servers: &[Server]| {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        servers.join(",")
    };
    for ensemble in &config.ensembles {
        let key = |key| format!("ensembles.{}.{key}", ensemble.name);
        line(key("servers"), &list(&ensemble.servers));
        line(key("prefer"), &list(&ensemble.prefer));
        line(key("barrier"), &ensemble.policy.barrier);
    }
    for rule in config.routes.rules() {
        let name = &config.ensemble(rule.ensemble()).name;
        let prefix = rule.prefix();
        let root = rule.root().unwrap_or(prefix).escape_ascii();
        let key = format!("routes.{}", prefix.escape_ascii());
        line(key, &format!("{name}:{root}"));
    }
    line("fingerprint".to_owned(), &config.fingerprint());
    out
}

/// Home's release with ours behind, and when home's was built.
fn version(home: &Home) -> String {
    let ours = concat!("zoonet-", env!("CARGO_PKG_VERSION"));
    match home
        .facts()
        .map(|facts| (facts.release(), Facts::built(facts)))
    {
        Some((release, "")) => format!("{release}-{ours}"),
        Some((release, built)) => format!("{release}-{ours}, built on {built}"),
        None => ours.to_owned(),
    }
}

/// A mean as servers write it: at most four digits behind the point, at least one.
struct Mean(f64);

impl Display for Mean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", (self.0 * 10_000.0).round() / 10_000.0)
    }
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("a string takes all");
}
