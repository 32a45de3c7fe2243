//! The raw file against the rules; goes on after a mistake, so that all are reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::{Location, Spanned};

mod limits;
mod listen;
mod tls;

use super::raw::{Pairs, RawConfig, RawEnsemble, RawTarget, Text};
use super::strict::{Strict, Unknown};
use super::{Complaint, Config, Ensemble, LogFormat, Mistake, Server, scalar};
use crate::route::{BarrierKind, EnsembleId, Entry, RouteFault, RouteMap};
use crate::session::{OnExpiry, OnUnreachable, Policy};
use crate::wire::words::Word;

const MOST_ENSEMBLES: usize = 1000;

/// Files with relative names are in `folder`.
pub(super) fn check(raw: Strict<RawConfig>, folder: &Path) -> Result<Config, Vec<Mistake>> {
    let mut checker = Checker {
        folder: folder.to_owned(),
        ..Checker::default()
    };
    let config = checker.config(raw);
    match config {
        Some(config) if checker.mistakes.is_empty() => Ok(config),
        _ => Err(checker.mistakes),
    }
}

#[derive(Default)]
struct Checker {
    mistakes: Vec<Mistake>,
    folder: PathBuf,
    /// Of each server that was seen: the ensemble, and where.
    owners: BTreeMap<Server, (String, Location)>,
}

/// A route as written.
struct Written {
    prefix: Text,
    ensemble: String,
    root: Option<Text>,
    /// Of the whole value.
    at: Location,
}

impl Checker {
    fn config(&mut self, raw: Strict<RawConfig>) -> Option<Config> {
        let raw = self.known_keys(raw);
        let limits = self.limits(&raw);
        let ensembles = self.ensembles(raw.ensembles);
        let home = self.home(raw.home.as_ref(), &ensembles);
        let routes = self.routes(raw.routes, home, &ensembles);
        let (listen, admin) = self.addresses(
            raw.allow_remote.as_ref(),
            raw.listen.as_ref(),
            raw.admin.as_ref(),
        );
        let client_tls = self.client_tls(raw.client_tls, &listen);
        let config = Config {
            listen,
            socket_mode: self.or(raw.socket_mode.as_ref(), 0o600, scalar::socket_mode),
            client_tls,
            admin,
            admin_names: self.admin_names(raw.admin_names.as_ref()),
            state: self.optional(raw.state.as_ref(), scalar::absolute),
            ensembles,
            limits,
            connect_timeout: self.or(
                raw.connect_timeout.as_ref(),
                Duration::from_secs(2),
                scalar::duration,
            ),
            handshake_timeout: self.or(
                raw.handshake_timeout.as_ref(),
                Duration::from_secs(10),
                scalar::duration,
            ),
            slow_reader_timeout: self.optional(raw.slow_reader_timeout.as_ref(), scalar::duration),
            request_timeout: self.optional(raw.request_timeout.as_ref(), scalar::duration),
            idle_leg_timeout: self.or(
                raw.idle_leg_timeout.as_ref(),
                Duration::from_secs(600),
                scalar::duration,
            ),
            grace_period: self.or(
                raw.grace_period.as_ref(),
                Duration::from_secs(5),
                scalar::duration,
            ),
            expose_config: self.or(raw.expose_config.as_ref(), false, scalar::boolean),
            words: self.words(raw.words.as_ref()),
            log: self
                .optional(raw.log.as_ref(), scalar::log)
                .unwrap_or_else(|| "info".to_owned()),
            log_format: self.or(
                raw.log_format.as_ref(),
                LogFormat::default(),
                scalar::log_format,
            ),
            routes: routes?,
        };
        Some(config)
    }

    fn words(&mut self, raw: Option<&Spanned<Vec<Text>>>) -> BTreeSet<Word> {
        let Some(raw) = raw else {
            return scalar::default_words();
        };
        let mut words = BTreeSet::new();
        for text in &raw.value {
            let found = self.optional(Some(text), scalar::words);
            words.extend(found.unwrap_or_default());
        }
        words
    }

    fn admin_names(&mut self, raw: Option<&Spanned<Vec<Text>>>) -> Vec<String> {
        let written = raw.map_or(&[][..], |names| &names.value);
        let name = |text| self.optional(Some(text), scalar::host_name);
        written.iter().filter_map(name).collect()
    }

    fn ensembles(&mut self, raw: Option<Spanned<Pairs<Strict<RawEnsemble>>>>) -> Vec<Ensemble> {
        let Some(raw) = raw else {
            self.missing(
                Location::UNKNOWN,
                "ensembles",
                "`ensembles: { NAME: { servers: [HOST:PORT] } }`",
            );
            return Vec::new();
        };
        let found = raw.value.0.len();
        if found > MOST_ENSEMBLES {
            self.blame(raw.referenced, Complaint::TooManyEnsembles { found });
        }
        let mut ensembles: Vec<Ensemble> = raw
            .value
            .0
            .into_iter()
            .map(|(key, value)| self.ensemble(&key, value.value))
            .collect();
        ensembles.sort_by(|a, b| a.name.cmp(&b.name));
        ensembles
    }

    fn ensemble(&mut self, key: &Text, raw: Strict<RawEnsemble>) -> Ensemble {
        let raw = self.known_keys(raw);
        if let Err(complaint) = scalar::name(&key.value) {
            self.blame(key.referenced, complaint);
        }
        let servers = match &raw.servers {
            Some(servers) if servers.value.is_empty() => {
                self.blame(servers.referenced, Complaint::NoServers);
                Vec::new()
            }
            Some(servers) => self.servers(&key.value, &servers.value),
            None => {
                self.missing(key.referenced, "servers", "`servers: [HOST:PORT]`");
                Vec::new()
            }
        };
        let prefer = raw.prefer.as_ref().map(|p| p.value.as_slice());
        Ensemble {
            name: key.value.clone(),
            servers,
            prefer: self.servers(&key.value, prefer.unwrap_or_default()),
            policy: Policy {
                barrier: self.or(
                    raw.barrier.as_ref(),
                    BarrierKind::default(),
                    scalar::barrier,
                ),
                on_unreachable: self.or(
                    raw.on_unreachable.as_ref(),
                    OnUnreachable::default(),
                    scalar::on_unreachable,
                ),
                on_expiry: self.or(
                    raw.on_expiry.as_ref(),
                    OnExpiry::default(),
                    scalar::on_expiry,
                ),
                warm: self.or(raw.warm.as_ref(), false, scalar::boolean),
                elide_barriers: self.or(raw.elide_barriers.as_ref(), None, scalar::elide_barriers),
            },
            tls: self.server_tls(raw.tls),
            credentials: raw.credentials.as_ref().map(|file| self.file(file)),
        }
    }

    /// One list of servers: a list must not repeat itself, ensembles must not share.
    fn servers(&mut self, ensemble: &str, list: &[Text]) -> Vec<Server> {
        let mut seen = BTreeMap::new();
        let mut servers = Vec::new();
        for text in list {
            let at = text.referenced;
            let server = match scalar::server(&text.value) {
                Ok(server) => server,
                Err(complaint) => {
                    self.blame(at, complaint);
                    continue;
                }
            };
            let first = *seen.entry(server.clone()).or_insert(at);
            if first != at {
                let (found, line) = (text.value.clone(), first.line());
                self.blame(at, Complaint::DuplicateServer { found, line });
                continue;
            }
            let owner = self.owners.entry(server.clone());
            let (owner, first) = owner.or_insert_with(|| (ensemble.to_owned(), at));
            if owner != ensemble {
                let complaint = Complaint::ForeignServer {
                    found: text.value.clone(),
                    owner: owner.clone(),
                    line: first.line(),
                };
                self.blame(at, complaint);
                continue;
            }
            servers.push(server);
        }
        servers
    }

    fn home(&mut self, home: Option<&Text>, ensembles: &[Ensemble]) -> EnsembleId {
        let Some(home) = home else {
            let example = "`home: NAME`, the ensemble of this region";
            self.missing(Location::UNKNOWN, "home", example);
            return EnsembleId::new(0);
        };
        let id = self.lookup(&home.value, home.referenced, ensembles);
        id.unwrap_or(EnsembleId::new(0))
    }

    fn routes(
        &mut self,
        raw: Option<Spanned<Pairs<RawTarget>>>,
        home: EnsembleId,
        ensembles: &[Ensemble],
    ) -> Option<RouteMap> {
        let Some(raw) = raw else {
            let example = "`routes: { /: NAME }`, which ensemble has which paths";
            self.missing(Location::UNKNOWN, "routes", example);
            return None;
        };
        let block = raw.referenced;
        let mut written = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for (index, (prefix, target)) in raw.value.0.into_iter().enumerate() {
            let route = self.route(prefix, target);
            let id = self.owner(&route, ensembles).unwrap_or_else(|| {
                // An ensemble of its own, so that it overlaps nothing.
                let stand_in = u16::try_from(MOST_ENSEMBLES + index).unwrap_or(u16::MAX);
                EnsembleId::new(stand_in)
            });
            let root = route.root.as_ref().map(|r| r.value.as_bytes().to_vec());
            entries.push((route.prefix.value.as_bytes().to_vec(), id, root));
            written.push(route);
        }
        let home_name = ensembles.get(home.index()).map_or("NAME", |e| &e.name);
        for fault in RouteMap::faults(&entries) {
            self.fault(&fault, &written, block, home_name);
        }
        RouteMap::new(home, entries).ok()
    }

    fn route(&mut self, prefix: Text, target: Spanned<RawTarget>) -> Written {
        let at = target.referenced;
        let (ensemble, root, at) = match target.value {
            RawTarget::Name(name) => (name, None, at),
            RawTarget::Mount(mount) => {
                let mount = self.known_keys(mount);
                match mount.ensemble {
                    Some(text) => (text.value, mount.root, text.referenced),
                    None => {
                        self.missing(at, "ensemble", "`ensemble: NAME`");
                        (String::new(), mount.root, at)
                    }
                }
            }
        };
        Written {
            prefix,
            ensemble,
            root,
            at,
        }
    }

    /// The ensemble of a route; no second complaint where the name is missing.
    fn owner(&mut self, route: &Written, ensembles: &[Ensemble]) -> Option<EnsembleId> {
        if route.ensemble.is_empty() {
            return None;
        }
        self.lookup(&route.ensemble, route.at, ensembles)
    }

    fn fault(&mut self, fault: &RouteFault, written: &[Written], block: Location, home: &str) {
        let line = |index: usize| written.get(index).map_or(0, |r| r.prefix.referenced.line());
        let (at, complaint) = match *fault {
            RouteFault::NoTop => {
                let example = home.to_owned();
                (block, Complaint::NoTop { example })
            }
            RouteFault::Prefix { entry, fault } => {
                let Some(route) = written.get(entry) else {
                    return;
                };
                let found = route.prefix.value.clone();
                (route.prefix.referenced, Complaint::Path { found, fault })
            }
            RouteFault::Root { entry, fault } => {
                let root = written.get(entry).and_then(|r| r.root.as_ref());
                let Some(root) = root else {
                    return;
                };
                let found = root.value.clone();
                (root.referenced, Complaint::Path { found, fault })
            }
            RouteFault::Duplicate { entry, first } => {
                let Some(route) = written.get(entry) else {
                    return;
                };
                let (found, line) = (route.prefix.value.clone(), line(first));
                let complaint = Complaint::DuplicateRoute { found, line };
                (route.prefix.referenced, complaint)
            }
            RouteFault::Overlap { entry, first } => {
                let (Some(route), Some(other)) = (written.get(entry), written.get(first)) else {
                    return;
                };
                let complaint = Complaint::Overlap {
                    prefix: route.prefix.value.clone(),
                    real: route.real().to_owned(),
                    ensemble: route.ensemble.clone(),
                    other: other.prefix.value.clone(),
                    line: line(first),
                };
                let root = route.root.as_ref().map(|root| root.referenced);
                (root.unwrap_or(route.prefix.referenced), complaint)
            }
        };
        self.blame(at, complaint);
    }

    fn lookup(&mut self, name: &str, at: Location, ensembles: &[Ensemble]) -> Option<EnsembleId> {
        let index = ensembles.iter().position(|e| e.name == name);
        if let Some(index) = index {
            return u16::try_from(index).ok().map(EnsembleId::new);
        }
        // Without any ensembles that is what is wrong, and is said already.
        if !ensembles.is_empty() {
            let complaint = Complaint::UnknownEnsemble {
                found: name.to_owned(),
                known: ensembles.iter().map(|e| e.name.clone()).collect(),
            };
            self.blame(at, complaint);
        }
        None
    }

    /// The value, or the default where there is none or it is wrong.
    fn or<T>(
        &mut self,
        text: Option<&Text>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> T {
        self.optional(text, parse).unwrap_or(default)
    }

    fn optional<T>(
        &mut self,
        text: Option<&Text>,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let text = text?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.blame(text.referenced, complaint);
                None
            }
        }
    }

    /// What a map holds, once the keys that have no place there are complained about.
    fn known_keys<T>(&mut self, map: Strict<T>) -> T {
        for Unknown { key, allowed } in map.unknown {
            let complaint = Complaint::UnknownKey {
                found: key.value,
                allowed: allowed.iter().copied().map(str::to_owned).collect(),
            };
            self.blame(key.referenced, complaint);
        }
        map.value
    }

    /// A key that has to be there is not, unless it was only misspelt: that is said already.
    fn missing(&mut self, at: Location, key: &'static str, example: &'static str) {
        let is_meant = |mistake: &Mistake| mistake.complaint.suggests() == Some(key);
        if !self.mistakes.iter().any(is_meant) {
            self.blame(at, Complaint::Missing { key, example });
        }
    }

    fn blame(&mut self, at: Location, complaint: Complaint) {
        self.mistakes.push(Mistake::new(at, complaint));
    }
}

impl Written {
    fn real(&self) -> &str {
        let root = self.root.as_ref().unwrap_or(&self.prefix);
        &root.value
    }
}
