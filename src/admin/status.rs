//! `/status.json`: what the status page shows of the sidecar and its ensembles.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::health::{self, Health, Verdict};
use crate::config::{Config, Ensemble, Place, Server};
use crate::dial::Dialer;
use crate::registry::Census;
use crate::route::EnsembleId;
use crate::telemetry::{self, Figures, Telemetry};
use crate::wire::words::{Role, Srvr};

/// The sidecar at a glance.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    uptime_seconds: u64,
    fingerprint: String,
    home: &'a str,
    /// All places where clients connect.
    listen: String,
    /// Whether clients are taken, and why not.
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    sessions: Sessions,
    /// Upper bounds of the latency counts, in seconds; one more count follows for what is above.
    latency_bounds_seconds: Vec<f64>,
    ensembles: Vec<OfEnsemble<'a>>,
}

#[derive(Serialize)]
struct Sessions {
    connected: u64,
    parked: u64,
}

#[derive(Serialize)]
struct OfEnsemble<'a> {
    name: &'a str,
    /// `home` or `remote`.
    place: &'static str,
    barrier: &'static str,
    /// `open` while requests there fail at once, because none of its servers answered a moment
    /// ago; else `closed`.
    circuit: &'static str,
    servers: Vec<OfServer>,
    /// Since the sidecar was started.
    counters: Counters,
}

#[derive(Serialize)]
struct Counters {
    requests: u64,
    errors: u64,
    switches: u64,
    barriers: u64,
    /// Barriers left out.
    elided: u64,
    /// How many replies took how long; see `latency_bounds_seconds`.
    latency: Vec<u64>,
    barrier_latency: Vec<u64>,
}

#[derive(Serialize)]
struct OfServer {
    address: String,
    preferred: bool,
    health: &'static str,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zxid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<u64>,
    /// From our question to the end of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
    /// How old this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_seconds_ago: Option<f64>,
}

/// What is the same for the life of the process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) started: Instant,
    pub(super) listen: Vec<Place>,
}

impl<'a> Status<'a> {
    pub(super) fn new(
        process: &Process,
        config: &'a Config,
        census: &Census,
        readiness: Result<(), String>,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: process.started.elapsed().as_secs(),
            fingerprint: config.fingerprint().to_string(),
            home: &config.ensemble(config.home()).name,
            listen: {
                let places: Vec<String> = process.listen.iter().map(ToString::to_string).collect();
                places.join(", ")
            },
            ready: readiness.is_ok(),
            reason: readiness.err(),
            sessions: Sessions {
                connected: census.connected,
                parked: census.parked,
            },
            latency_bounds_seconds: telemetry::bounds()
                .map(|bound| Duration::from_micros(bound).as_secs_f64())
                .to_vec(),
            ensembles: Vec::new(),
        }
    }

    /// Adds all ensembles, home first.
    pub(super) fn with_ensembles(
        mut self,
        config: &'a Config,
        dialer: &Dialer,
        health: &Health,
        telemetry: &Telemetry,
    ) -> Self {
        let mut figures = telemetry.figures();
        let circuits = dialer.circuits();
        for (id, ensemble) in (0..).map(EnsembleId::new).zip(&config.ensembles) {
            self.ensembles.push(OfEnsemble {
                name: &ensemble.name,
                place: if id == config.home() {
                    "home"
                } else {
                    "remote"
                },
                barrier: ensemble.policy.barrier.name(),
                circuit: if circuits.is_open(id) {
                    "open"
                } else {
                    "closed"
                },
                servers: servers(ensemble, health),
                counters: figures.remove(&id).unwrap_or_default().into(),
            });
        }
        self.ensembles
            .sort_by_key(|ensemble| ensemble.place != "home");
        self
    }
}

impl From<Figures> for Counters {
    fn from(figures: Figures) -> Self {
        Self {
            requests: figures.requests,
            errors: figures.errors,
            switches: figures.switches,
            barriers: figures.barriers,
            elided: figures.elided,
            latency: figures.latency.0.to_vec(),
            barrier_latency: figures.barrier_latency.0.to_vec(),
        }
    }
}

fn servers(ensemble: &Ensemble, health: &Health) -> Vec<OfServer> {
    health::all(ensemble)
        .map(|server| OfServer::new(server, ensemble, health))
        .collect()
}

impl OfServer {
    fn new(server: &Server, ensemble: &Ensemble, health: &Health) -> Self {
        let last = health.of(server).and_then(|known| known.last);
        let mut shown = Self {
            address: server.to_string(),
            preferred: ensemble.prefer.contains(server),
            health: last
                .as_ref()
                .map_or(Verdict::Unknown, health::Outcome::verdict)
                .name(),
            reason: last.as_ref().and_then(health::Outcome::reason),
            role: None,
            version: None,
            zxid: None,
            nodes: None,
            round_trip_ms: None,
            seen_seconds_ago: last
                .as_ref()
                .map(|last| rounded(last.at.elapsed().as_secs_f64(), 10.0)),
        };
        if let Some(Ok((srvr, round_trip))) = last.map(|last| last.said) {
            shown.round_trip_ms = Some(rounded(round_trip.as_secs_f64() * 1_000.0, 100.0));
            if let Srvr::Serving(facts) = srvr {
                shown.role = facts.role.map(Role::name);
                shown.version = Some(facts.release().to_owned());
                shown.zxid = Some(facts.zxid.to_string());
                shown.nodes = Some(facts.nodes);
            }
        }
        shown
    }
}

/// To so many parts of one: digits nobody reads are noise.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}
