//! From YAML to a configuration that can be run.
//!
//! Three steps: `raw` is the file with places, and with keys that nobody knows put aside; `check`
//! judges all of it and collects every mistake; what comes out is a [`Config`] in which a route
//! without an ensemble, an overlap or an address that must not be listened on cannot exist. All keys
//! are explained in `config/reference.yaml`; `config/rejected` shows the words for each mistake.
//!
//! # Decisions
//!
//! * Scalars are read as text, and a key without a value is a mistake: YAML's guesses (`no` as
//!   false, `12:30` as a number, nothing as the default) help nobody at night.
//! * What the parser itself refuses (syntax, duplicate keys, a list where a map has to be) stops at
//!   the first mistake; everything behind that is reported together.
//! * One server in two ensembles is refused. It is a slip of copying in every case we could think
//!   of, and its effect (writes of one region landing in another) is found late.

mod check;
mod complaint;
mod effective;
mod raw;
mod scalar;
mod strict;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use complaint::{Complaint, ConfigError, Mistake};

use tokio_rustls::rustls::pki_types::ServerName;

use crate::route::{EnsembleId, Fingerprint, RouteMap};
use crate::session::Policy;
use crate::wire::words::Word;

/// Everything an operator decides about one sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect; never empty.
    pub listen: Vec<Place>,
    /// Who may open the Unix sockets among these: the permissions of the files.
    pub socket_mode: u32,
    /// What clients that come over TCP have to speak, if it is TLS.
    pub client_tls: Option<ClientTls>,
    /// Where metrics, health and status are served, if at all.
    pub admin: Option<SocketAddr>,
    /// Names by which browsers and scrapers may ask for that, in lower case; addresses and
    /// `localhost` are always fine.
    pub admin_names: Vec<String>,
    /// Where the leg table is kept.
    pub state: Option<PathBuf>,
    /// Sorted by name; an [`EnsembleId`] is a position in this list.
    pub ensembles: Vec<Ensemble>,
    /// Which path is whose; knows the home ensemble.
    pub routes: RouteMap,
    /// What a client may take up.
    pub limits: Limits,
    /// How long one server has for accepting a connection.
    pub connect_timeout: Duration,
    /// How long a client has for its connect request.
    pub handshake_timeout: Duration,
    /// How long a client, or a server, may take nothing of what waits for it; the session timeout if
    /// not given.
    pub slow_reader_timeout: Option<Duration>,
    /// How long a remote request may take; a quarter of the session timeout if not given.
    pub request_timeout: Option<Duration>,
    /// How long a remote leg that holds nothing is kept without use.
    pub idle_leg_timeout: Duration,
    /// How long requests that are outstanding have when the sidecar is stopped.
    pub grace_period: Duration,
    /// Whether `/zookeeper/config` shows the real servers.
    pub expose_config: bool,
    /// The four-letter words that are answered.
    pub words: BTreeSet<Word>,
    /// What is logged, in the words of tracing's filter.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// One stock ZooKeeper cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// Its name in the file.
    pub name: String,
    /// Its servers; never empty.
    pub servers: Vec<Server>,
    /// Servers to be tried before the others.
    pub prefer: Vec<Server>,
    /// Its barrier, and what its failures mean to clients.
    pub policy: Policy,
    /// How its servers are spoken to, if it is in TLS.
    pub tls: Option<ServerTls>,
    /// The file of the credentials that all clients have there through the sidecar.
    pub credentials: Option<PathBuf>,
}

/// A place where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP port of an address of this host.
    Tcp(SocketAddr),
    /// A Unix socket of this path.
    Unix(PathBuf),
}

/// TLS to the servers of an ensemble: all files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The authorities that vouch for them.
    pub ca: PathBuf,
    /// What the sidecar shows of itself.
    pub identity: Option<KeyPair>,
    /// The name in their certificates; each server's own host where nothing is said.
    pub server_name: Option<ServerName<'static>>,
}

/// TLS from clients: all files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// What the sidecar shows of itself.
    pub identity: KeyPair,
    /// The authorities that vouch for clients; without it every client may connect.
    pub client_ca: Option<PathBuf>,
}

/// A certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The file of the certificate, and of those between it and its authority.
    pub certificate: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
}

/// A server's client address; the name is resolved when it is dialled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// Name or address, the latter without brackets.
    pub host: String,
    /// The client port.
    pub port: u16,
}

/// Bounds on what clients may take up; each is of one connection unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one frame of a client's.
    pub frame_limit: usize,
    /// Bytes in one frame of a server's, and of all replies that wait for others.
    pub reply_limit: usize,
    /// Bytes of requests that wait behind a drain.
    pub look_ahead: usize,
    /// Requests in flight.
    pub outstanding: usize,
    /// Connections of all clients.
    pub connections: usize,
    /// Connections of one host, or of one user of Unix sockets that several may use.
    pub connections_per_client: usize,
}

impl Limits {
    /// Bytes that one connection can take at most, whatever its client and the servers of so many
    /// ensembles do. The guide has the formula (`config/README.md`, Capacity and limits), a test
    /// holds sidecars to it.
    #[must_use]
    pub const fn worst_case(&self, ensembles: usize) -> usize {
        // One under way from each ensemble; and to the client, waiting for others, being put
        // together, as it was and as it is sent.
        let replies = self.reply_limit.saturating_mul(ensembles + 4);
        // One under way, one that crossed the bound, and what becomes of them under other names.
        let requests = self.frame_limit.saturating_mul(4);
        // Held back; and all of it at once on its way to an ensemble, kept until it is answered.
        let ahead = self.look_ahead.saturating_mul(4);
        let notes = self.outstanding.saturating_mul(512);
        // Per ensemble: buffers of sockets, and what is remembered of watches and ephemerals.
        let legs = ensembles.saturating_mul(1 << 20);
        let ledgers = ensembles.saturating_sub(1).saturating_mul(16 << 20);
        replies
            .saturating_add(requests)
            .saturating_add(ahead)
            .saturating_add(notes)
            .saturating_add(legs)
            .saturating_add(ledgers)
            .saturating_add(1 << 20)
    }
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Human,
    /// For collectors: one JSON object per line.
    Json,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// If it cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Checks `text`; `name` is what it is called in messages, and files whose names in it are
    /// relative are in the folder of that name. They are not opened here: see
    /// [`Secrets`](crate::secrets::Secrets).
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let checked = match serde_yaml::from_str(text) {
            Ok(raw) => check::check(
                raw,
                Path::new(name).parent().unwrap_or_else(|| Path::new("")),
            ),
            Err(error) => Err(vec![complaint::from_yaml(error.without_snippet())]),
        };
        checked.map_err(|mistakes| ConfigError::rejected(name, text, mistakes))
    }

    /// What sidecars that belong together have in common; see [`RouteMap::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let names: Vec<&str> = self.ensembles.iter().map(|e| e.name.as_str()).collect();
        self.routes.fingerprint(&names)
    }

    /// The ensemble of this region.
    #[must_use]
    pub fn home(&self) -> EnsembleId {
        self.routes.home()
    }

    /// This configuration with its ensembles in the places that `previous` has them in, so that
    /// ids of the one mean the same in the other. Ensembles that are gone keep their place, though
    /// no route leads there any more.
    #[must_use]
    pub fn aligned_with(self, previous: &Self) -> Self {
        let mut ensembles = previous.ensembles.clone();
        let places: Vec<u16> = self
            .ensembles
            .iter()
            .map(|ensemble| {
                let known = ensembles.iter().position(|old| old.name == ensemble.name);
                let place = known.unwrap_or(ensembles.len());
                match ensembles.get_mut(place) {
                    Some(old) => *old = ensemble.clone(),
                    None => ensembles.push(ensemble.clone()),
                }
                u16::try_from(place).unwrap_or(u16::MAX)
            })
            .collect();
        let place = |id: EnsembleId| {
            let place = places.get(id.index()).copied();
            EnsembleId::new(place.unwrap_or(u16::MAX))
        };
        Self {
            routes: self.routes.renumbered(place),
            ensembles,
            ..self
        }
    }

    /// The ensemble with this id.
    ///
    /// # Panics
    /// If the id is of another configuration.
    #[must_use]
    pub fn ensemble(&self, id: EnsembleId) -> &Ensemble {
        let ensemble = self.ensembles.get(id.index());
        ensemble.expect("an id comes from this configuration's own routes")
    }
}

/// The permissions of a configuration's file, if everybody may write it: and so decide where the
/// clients of this host go.
#[must_use]
pub fn open_to_all(file: &Path) -> Option<u32> {
    const WRITABLE: u32 = 0o002;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o7777;
    (mode & WRITABLE != 0).then_some(mode)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}
