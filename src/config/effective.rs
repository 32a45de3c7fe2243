//! A configuration as a file would say it, with its defaults filled in. It is JSON, which is YAML
//! too: saved, it is a file the sidecar would run by.
//!
//! Where a key stands for a secret, it is the path of the file that holds it, and nobody reads that
//! file for this.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::{ClientTls, Config, Ensemble, LogFormat, Place, Server, ServerTls};
use crate::session::{OnExpiry, OnUnreachable, Shown};

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the keys are what they are")]
struct Effective<'a> {
    listen: Vec<String>,
    socket_mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_tls: Option<FromClients>,
    allow_remote: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
    admin_names: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    home: &'a str,
    ensembles: BTreeMap<&'a str, Upstream>,
    routes: BTreeMap<String, Target<'a>>,
    expose_config: bool,
    words: Vec<String>,
    frame_limit: usize,
    look_ahead: usize,
    outstanding: usize,
    reply_limit: usize,
    max_connections: usize,
    max_connections_per_client: usize,
    connect_timeout: String,
    handshake_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_reader_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_timeout: Option<String>,
    idle_leg_timeout: String,
    grace_period: String,
    log: &'a str,
    log_format: &'static str,
}

#[derive(Serialize)]
struct Upstream {
    servers: Vec<String>,
    prefer: Vec<String>,
    barrier: &'static str,
    on_unreachable: &'static str,
    on_expiry: &'static str,
    warm: bool,
    elide_barriers: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<ToServers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
}

/// Where the files are; never what is in them.
#[derive(Serialize)]
struct FromClients {
    certificate: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ca: Option<String>,
}

#[derive(Serialize)]
struct ToServers {
    ca: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Target<'a> {
    Name(&'a str),
    Mount { ensemble: &'a str, root: String },
}

impl Config {
    /// The configuration in use, without secrets, as JSON that is a configuration file too.
    pub(crate) fn effective(&self) -> impl Serialize {
        let local = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        let listening = self.listen.iter().filter_map(|place| match place {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        });
        let rules = self.routes.rules().iter().map(|rule| {
            let ensemble = self.ensemble(rule.ensemble()).name.as_str();
            let target = match rule.root() {
                None => Target::Name(ensemble),
                Some(root) => Target::Mount {
                    ensemble,
                    root: String::from_utf8_lossy(root).into_owned(),
                },
            };
            (String::from_utf8_lossy(rule.prefix()).into_owned(), target)
        });
        Effective {
            listen: self.listen.iter().map(ToString::to_string).collect(),
            socket_mode: format!("{:04o}", self.socket_mode),
            client_tls: self.client_tls.as_ref().map(FromClients::of),
            allow_remote: !self.admin.iter().chain(listening).all(local),
            admin: self.admin.map(|address| address.to_string()),
            admin_names: &self.admin_names,
            state: self.state.as_deref().map(shown),
            home: &self.ensemble(self.home()).name,
            ensembles: self
                .ensembles
                .iter()
                .map(|ensemble| (ensemble.name.as_str(), Upstream::of(ensemble)))
                .collect(),
            routes: rules.collect(),
            expose_config: self.expose_config,
            words: self.words.iter().map(ToString::to_string).collect(),
            frame_limit: self.limits.frame_limit,
            look_ahead: self.limits.look_ahead,
            outstanding: self.limits.outstanding,
            reply_limit: self.limits.reply_limit,
            max_connections: self.limits.connections,
            max_connections_per_client: self.limits.connections_per_client,
            connect_timeout: written(self.connect_timeout),
            handshake_timeout: written(self.handshake_timeout),
            slow_reader_timeout: self.slow_reader_timeout.map(written),
            request_timeout: self.request_timeout.map(written),
            idle_leg_timeout: written(self.idle_leg_timeout),
            grace_period: written(self.grace_period),
            log: &self.log,
            log_format: match self.log_format {
                LogFormat::Human => "human",
                LogFormat::Json => "json",
            },
        }
    }
}

impl Upstream {
    fn of(ensemble: &Ensemble) -> Self {
        let list = |servers: &[Server]| servers.iter().map(ToString::to_string).collect();
        Self {
            servers: list(&ensemble.servers),
            prefer: list(&ensemble.prefer),
            barrier: ensemble.policy.barrier.name(),
            on_unreachable: match ensemble.policy.on_unreachable {
                OnUnreachable::Fail => "fail",
                OnUnreachable::Disconnect => "disconnect",
            },
            on_expiry: match ensemble.policy.on_expiry {
                OnExpiry::Expire => "expire",
                OnExpiry::Keep => "keep",
            },
            warm: ensemble.policy.warm,
            elide_barriers: match ensemble.policy.elide_barriers {
                None => "false",
                Some(Shown::Stat) => "true",
                Some(Shown::Header) => "header",
            },
            tls: ensemble.tls.as_ref().map(ToServers::of),
            credentials: ensemble.credentials.as_deref().map(shown),
        }
    }
}

impl FromClients {
    fn of(tls: &ClientTls) -> Self {
        Self {
            certificate: shown(&tls.identity.certificate),
            key: shown(&tls.identity.key),
            client_ca: tls.client_ca.as_deref().map(shown),
        }
    }
}

impl ToServers {
    fn of(tls: &ServerTls) -> Self {
        let pair = tls.identity.as_ref();
        let name = tls.server_name.as_ref();
        Self {
            ca: shown(&tls.ca),
            certificate: pair.map(|pair| shown(&pair.certificate)),
            key: pair.map(|pair| shown(&pair.key)),
            server_name: name.map(|name| name.to_str().into_owned()),
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// In the largest unit that says it exactly.
fn written(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(60_000) {
        format!("{}m", milliseconds / 60_000)
    } else if milliseconds.is_multiple_of(1_000) {
        format!("{}s", milliseconds / 1_000)
    } else {
        format!("{milliseconds}ms")
    }
}
