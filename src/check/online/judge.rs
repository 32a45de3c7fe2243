//! What of all that was found an operator should know.

use std::fmt;

use super::Found;
use super::kinship::Kinship;
use super::mounts::{Mount, Node, State};
use super::server::{Answer, Listed, Probe, Reach};
use crate::config::{Config, Ensemble};
use crate::wire::words::{Role, Srvr};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Degree {
    /// It breaks service for some path.
    Error,
    /// It is worth a look.
    Warning,
}

impl fmt::Display for Degree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub degree: Degree,
    /// An ensemble, one of its servers or a route.
    pub about: String,
    /// What is the matter, and what to do.
    pub words: String,
}

/// Judges everything; errors come first.
pub(super) fn judge(
    config: &Config,
    found: &[Found],
    kinship: &Kinship,
    mounts: &[Mount],
) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    for ensemble in found {
        findings.ensemble(config, ensemble);
    }
    findings.kinship(config, kinship);
    for mount in mounts {
        findings.mount(config, mount);
    }
    // Of one degree in the order found.
    findings.0.sort_by_key(|finding| finding.degree);
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, about: impl Into<String>, words: impl Into<String>) {
        self.push(Degree::Error, about.into(), words.into());
    }

    fn warn(&mut self, about: impl Into<String>, words: impl Into<String>) {
        self.push(Degree::Warning, about.into(), words.into());
    }

    fn push(&mut self, degree: Degree, about: String, words: String) {
        self.0.push(Finding {
            degree,
            about,
            words,
        });
    }

    fn ensemble(&mut self, config: &Config, found: &Found) {
        let ensemble = config.ensemble(found.id);
        if found.serving().is_empty() {
            let consequence = if found.id == config.home() {
                "it is home: no client can connect"
            } else {
                "requests for its paths fail with CONNECTIONLOSS"
            };
            let words = format!("none of its servers opens a session; {consequence}");
            self.error(&ensemble.name, words);
        }
        for probe in &found.servers {
            self.server(ensemble, probe);
        }
        self.clocks(ensemble, found);
        self.versions(ensemble, found);
    }

    fn server(&mut self, ensemble: &Ensemble, probe: &Probe) {
        let about = name(ensemble, probe);
        if let Some(trouble) = probe.trouble() {
            let preferred = if probe.listed == Listed::First {
                "; it is preferred, and the others are used instead"
            } else {
                ""
            };
            self.warn(about, format!("{trouble}{preferred}"));
            return;
        }
        if matches!(
            &probe.reach,
            Reach::Connected {
                answer: Answer::Said(Srvr::NotListed),
                ..
            }
        ) {
            let words = "does not answer `srvr`: add it to 4lw.commands.whitelist there; until \
                         then its mode is not known and each barrier on it is a quorum barrier";
            self.warn(about, words);
            return;
        }
        let Some(facts) = probe.facts() else {
            return;
        };
        if facts.version.contains("zoonet") {
            let words = "is a sidecar of zoonet, not a server of an ensemble";
            self.error(about, words);
        } else if facts.role == Some(Role::ReadOnly) {
            self.warn(about, "is read-only: it has lost its quorum");
        }
    }

    fn clocks(&mut self, ensemble: &Ensemble, found: &Found) {
        let epochs = found.servers.iter().filter_map(Probe::facts);
        let Some(newest) = epochs.map(|facts| facts.zxid.epoch()).max() else {
            return;
        };
        for probe in &found.servers {
            let epoch = probe.facts().map(|facts| facts.zxid.epoch());
            if let Some(epoch) = epoch
                && epoch != newest
            {
                let words = format!(
                    "is in epoch {epoch} and others in {newest}: it is cut off, far behind, or of \
                     another ensemble"
                );
                self.warn(name(ensemble, probe), words);
            }
        }
    }

    fn versions(&mut self, ensemble: &Ensemble, found: &Found) {
        let facts = found.servers.iter().filter_map(Probe::facts);
        let mut releases: Vec<&str> = facts.map(|facts| facts.release()).collect();
        releases.sort_unstable();
        releases.dedup();
        if releases.len() > 1 {
            let words = format!(
                "its servers run different versions: {}",
                releases.join(", ")
            );
            self.warn(&ensemble.name, words);
        }
    }

    fn kinship(&mut self, config: &Config, kinship: &Kinship) {
        for (ensemble, stranger, compared) in &kinship.strangers {
            let about = format!("{} {stranger}", config.ensemble(*ensemble).name);
            let words = format!(
                "does not know a session opened at {compared}: they are of different ensembles, \
                 or have localSessionsEnabled, with which sessions cannot move between servers"
            );
            self.error(about, words);
        }
        for (one, other) in &kinship.same {
            let [one, other] = [one, other].map(|id| config.ensemble(*id).name.as_str());
            let words = format!("is the same ensemble as {other}; make them one");
            self.error(one, words);
        }
    }

    fn mount(&mut self, config: &Config, mount: &Mount) {
        let name = |node: &Node| config.ensemble(node.ensemble).name.as_str();
        let Node { path, state, .. } = &mount.point;
        let on = name(&mount.point);
        match state {
            State::Missing => self.warn(
                &mount.prefix,
                format!("{path} does not exist on {on}; clients have to make it first"),
            ),
            State::OutOfReach { missing } => self.error(
                &mount.prefix,
                format!(
                    "{path} does not exist on {on} and clients cannot make it, because \
                     {missing} does not either; see --create-mount-points"
                ),
            ),
            State::Failed(why) => self.error(
                &mount.prefix,
                format!("{path} could not be made on {on}: {why}"),
            ),
            State::There | State::Made { .. } | State::Unknown => {}
        }
        let Some(placeholder) = &mount.placeholder else {
            return;
        };
        let (Node { path, state, .. }, on) = (placeholder, name(placeholder));
        match state {
            State::Missing | State::OutOfReach { .. } => self.warn(
                &mount.prefix,
                format!(
                    "does not show among the children of its parent, because {path} does not \
                     exist on {on}; see --create-mount-points"
                ),
            ),
            State::Failed(why) => self.error(
                &mount.prefix,
                format!("its placeholder {path} could not be made on {on}: {why}"),
            ),
            State::There | State::Made { .. } | State::Unknown => {}
        }
    }
}

fn name(ensemble: &Ensemble, probe: &Probe) -> String {
    format!("{} {}", ensemble.name, probe.server)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::server::{Listed, Session};
    use super::*;
    use crate::config::Server;
    use crate::wire::Zxid;
    use crate::wire::words::Facts;

    const TWO: &str = "home: us\nensembles:\n  us: { servers: [a:1, b:2] }\n  \
                       eu: { servers: [c:3] }\nroutes: { /: us, /eu: eu }\n";

    /// A server that serves and says so.
    fn serving(port: u16, version: &str, zxid: i64) -> Probe {
        let facts = Facts {
            version: version.to_owned(),
            role: Some(Role::Follower),
            zxid: Zxid(zxid),
            latency: "0/0.0/0".to_owned(),
            nodes: 5,
        };
        Probe {
            server: Server {
                host: "zk".to_owned(),
                port,
            },
            listed: Listed::Other,
            addresses: Vec::new(),
            reach: Reach::Connected {
                address: None,
                within: Duration::ZERO,
                answer: Answer::Said(Srvr::Serving(facts)),
            },
            session: Session::Opened {
                within: Duration::ZERO,
                round_trip: Duration::ZERO,
            },
            client: None,
        }
    }

    fn found(us: Vec<Probe>) -> [Found; 2] {
        let eu = vec![serving(3, "3.8.0", 0)];
        [(0, eu), (1, us)].map(|(id, servers)| Found {
            id: crate::route::EnsembleId::new(id),
            servers,
        })
    }

    fn findings(us: Vec<Probe>) -> Vec<String> {
        let config = Config::parse("two", TWO).unwrap();
        judge(&config, &found(us), &Kinship::default(), &[])
            .into_iter()
            .map(|finding| format!("{} {}: {}", finding.degree, finding.about, finding.words))
            .collect()
    }

    #[test]
    fn servers_alike_are_fine() {
        let us = vec![serving(1, "3.8.0-a", 7), serving(2, "3.8.0-b", 9)];
        assert_eq!(findings(us), [""; 0]);
    }

    #[test]
    fn epochs_and_versions_that_differ_are_worth_a_look() {
        let us = vec![serving(1, "3.8.0", 7), serving(2, "3.9.1", 9 << 32)];
        let found = findings(us);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("warning us zk:1: is in epoch 0 and others in 9"));
        assert!(found[1].ends_with("different versions: 3.8.0, 3.9.1"));
    }

    #[test]
    fn a_sidecar_is_no_server() {
        let us = vec![serving(1, "3.8.0-zoonet-0.1.0, built on never", 7)];
        assert!(findings(us)[0].starts_with("error us zk:1: is a sidecar of zoonet"));
    }

    #[test]
    fn one_server_that_does_not_serve_is_a_warning_and_all_are_an_error() {
        let down = |port| Probe {
            reach: Reach::Failed("cannot connect".to_owned()),
            session: Session::NotTried,
            ..serving(port, "", 0)
        };
        let some = findings(vec![serving(1, "3.8.0", 7), down(2)]);
        assert_eq!(some, ["warning us zk:2: cannot connect"]);
        let none = findings(vec![down(1), down(2)]);
        assert_eq!(none.len(), 3, "{none:?}");
        assert!(none[0].starts_with("error us: none of its servers opens a session; it is home"));
    }
}
