//! `zoonet check --online`: every server of every ensemble is reached as the sidecar would reach
//! it, and what is found is held against what the file expects.
//!
//! 1. `server`: each server on its own, all at once: name, connection, `srvr`, a session;
//! 2. `kinship`: whether the servers of an ensemble belong together, and the ensembles do not;
//! 3. `mounts`: whether routes lead to nodes that are there, and show among their parent's children;
//! 4. `judge`: what of all that an operator should know; `report` prints it.
//!
//! # Decisions
//!
//! * Nothing is written unless asked for, but sessions are opened: only that shows that a server
//!   serves and that its ensemble has a quorum, which confirms each session.
//! * Whether two servers are of one ensemble is found out with a session as well: an ensemble knows
//!   its own and no other's. Names and addresses tell less, as one server has many of them, and
//!   members of one cluster listed as two ensembles have nothing in common.
//! * There are two degrees. An *error* breaks service for some path now; all else worth a look is a
//!   *warning*. Exit codes are 0 (neither), 1 (an error, or a file that is refused) and 3 (warnings
//!   alone); 2 is what a mistaken command line ends with, and a pipeline should not confuse them.

mod judge;
mod kinship;
mod mounts;
mod progress;
mod report;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zookeeper_async::ZooKeeper;

pub use judge::{Degree, Finding};
pub use progress::Progress;
pub use report::Report;

use crate::config::{Config, Server};
use crate::dial::Dialer;
use crate::net::Network;
use crate::route::EnsembleId;
use crate::secrets::Secrets;
use crate::telemetry::Telemetry;
use crate::wire::words::{Role, Srvr};
use server::{Listed, Probe};

/// How many servers are asked at a time.
const AT_A_TIME: usize = 16;

/// How long a goodbye may take; without one the session times out.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is done about nodes that are missing at mount points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// They are reported.
    Report,
    /// They are made, with the nodes above them, open to the world.
    Create,
}

/// What was found out about one ensemble.
#[derive(Debug)]
pub(crate) struct Found {
    id: EnsembleId,
    /// `prefer` first, then `servers`, each server once.
    servers: Vec<Probe>,
}

impl Found {
    /// Its servers that opened a session, the one that knows most first.
    fn serving(&self) -> Vec<&Probe> {
        let mut serving: Vec<&Probe> = self.servers.iter().filter(|probe| probe.serves()).collect();
        serving.sort_by_key(|probe| match probe.facts().and_then(|facts| facts.role) {
            Some(Role::Leader | Role::Standalone) => 0,
            Some(Role::Follower) => 1,
            Some(Role::Observer) | None => 2,
            Some(Role::ReadOnly) => 3,
        });
        serving
    }

    fn client(&self) -> Option<&ZooKeeper> {
        self.serving().first()?.client.as_ref()
    }
}

/// Reaches everything in the file and judges what it found.
pub async fn run(
    config: &Arc<Config>,
    secrets: Arc<Secrets>,
    missing: Missing,
    progress: &Progress,
) -> Report {
    let dialer = Dialer::new(
        Arc::clone(config),
        secrets,
        Network::default(),
        None,
        Telemetry::default(),
    );
    let mut found = ask_all(config, &dialer, progress).await;
    progress.phase("comparing ensembles");
    read_clocks(&dialer, &mut found).await;
    let kinship = kinship::find(&dialer, &found).await;
    progress.phase("looking for mount points");
    let mounts = mounts::find(config, &found, missing).await;
    say_goodbye(&found).await;
    progress.finish();
    let findings = judge::judge(config, &found, &kinship, &mounts);
    Report::new(config, found, mounts, findings)
}

/// Asks every server, a few at a time.
async fn ask_all(config: &Config, dialer: &Dialer, progress: &Progress) -> Vec<Found> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut under_way = JoinSet::new();
    let ids: Vec<EnsembleId> = (0..)
        .map(EnsembleId::new)
        .take(config.ensembles.len())
        .collect();
    for (id, ensemble) in ids.iter().zip(&config.ensembles) {
        for (place, server) in in_order(&ensemble.prefer, &ensemble.servers).enumerate() {
            let (id, server, dialer) = (*id, server.clone(), dialer.clone());
            let listed = if ensemble.prefer.contains(&server) {
                Listed::First
            } else {
                Listed::Other
            };
            let places = Arc::clone(&places);
            under_way.spawn(async move {
                let _place = places.acquire_owned().await;
                (id, place, server::probe(&dialer, id, server, listed).await)
            });
        }
    }
    progress.begin(under_way.len());
    let mut answers = BTreeMap::new();
    while let Some(answer) = under_way.join_next().await {
        let (id, place, probe) = answer.expect("a probe neither panics nor is cancelled");
        progress.done(&config.ensemble(id).name, &probe);
        answers.insert((id, place), probe);
    }
    let mut found: Vec<Found> = ids
        .into_iter()
        .map(|id| Found {
            id,
            servers: Vec::new(),
        })
        .collect();
    for ((id, _), probe) in answers {
        if let Some(ensemble) = found.get_mut(id.index()) {
            ensemble.servers.push(probe);
        }
    }
    found
}

fn in_order<'c>(prefer: &'c [Server], servers: &'c [Server]) -> impl Iterator<Item = &'c Server> {
    let others = servers.iter().filter(|server| !prefer.contains(server));
    prefer.iter().chain(others)
}

/// Asks all servers again for their last transaction, at about the same moment: what they said
/// before was said at different times, and the sessions opened since are transactions too.
async fn read_clocks(dialer: &Dialer, found: &mut [Found]) {
    let mut under_way = JoinSet::new();
    for found in found.iter() {
        for (place, probe) in found.servers.iter().enumerate() {
            if probe.facts().is_some() {
                let (dialer, id, server) = (dialer.clone(), found.id, probe.server.clone());
                under_way.spawn(async move {
                    (id, place, server::ask_again(&dialer, id, &server).await)
                });
            }
        }
    }
    while let Some(answer) = under_way.join_next().await {
        let Ok((id, place, Some(Srvr::Serving(now)))) = answer else {
            continue;
        };
        let probe = found
            .get_mut(id.index())
            .and_then(|found| found.servers.get_mut(place));
        if let Some(facts) = probe.and_then(Probe::facts_mut) {
            *facts = now;
        }
    }
}

/// Ends the sessions, so that servers need not wait for them to time out.
async fn say_goodbye(found: &[Found]) {
    for probe in found.iter().flat_map(|found| &found.servers) {
        if let Some(client) = &probe.client {
            let _ = timeout(GOODBYE, client.close()).await;
        }
    }
}
