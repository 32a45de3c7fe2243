//! A changed configuration is taken over while clients stay connected: on SIGHUP, and when its file,
//! or one that it names, has changed.
//!
//! The files are read every two seconds and not watched: that survives editors that replace files
//! and mounts that swap links, and costs nothing that could be measured.
//!
//! Certificates, keys and credentials are used by connections from then on; those that are there
//! stay. A certificate and its key are often replaced one after the other, so that they do not
//! fit together for a moment: what cannot be used is complained of when it has been so for a while.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::admission::warn_of_descriptors;
use super::process::warn_of_open_file;
use super::{Current, Shared, settings};
use crate::config::{Config, ConfigError};
use crate::registry::Command;
use crate::secrets::{Expiry, Moment, Secrets, SecretsError};
use crate::telemetry::Reload;
use crate::telemetry::process::most_open_files;

/// How often the files are read.
const PERIOD: Duration = Duration::from_secs(2);

/// Follows the files for ever, from what was `seen` in them when they were used first.
pub(super) async fn follow(
    (mut watched, mut known): (Watched, Seen),
    mut hangup: Signal,
    current: Current,
    set_log: impl Fn(&str),
) {
    // What was found the last time and could not be used.
    let mut doubtful = None;
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = period.tick() => false,
        };
        let mut found = watched.look().await;
        if !asked && (found == known || !found.is_there()) {
            continue;
        }
        // Whatever comes of it: systemd waits for both words once it has asked.
        notify_reloading();
        let old = current.get();
        let loaded = Config::load(&watched.config).map(|config| config.aligned_with(&old.config));
        if let Ok(config) = &loaded {
            // Those of a configuration that cannot be used yet as well: it may be for their sake.
            let secrets = owned(Secrets::files(config));
            if secrets != watched.secrets {
                watched.secrets = secrets;
                found = watched.look().await;
            }
        }
        let settled = asked || doubtful.as_ref() == Some(&found);
        let change = loaded
            .map_err(Refused::from)
            .and_then(|config| Change::of(config, &old));
        match change {
            Err(Refused::Secrets(_)) if !settled => doubtful = Some(found),
            Err(refused) => {
                let config = watched.config.display();
                tracing::error!(%config, error = %refused, "not reloaded: the configuration in use stays");
                old.telemetry.reloaded(Reload::Rejected);
                (known, doubtful) = (found, None);
            }
            Ok(change) => {
                if found.secrets == known.secrets && change.is_none(&old) {
                    tracing::info!("reloaded: nothing has changed");
                    old.telemetry.reloaded(Reload::Unchanged);
                } else {
                    warn_of_open_file(&watched.config);
                    warn_of_descriptors(&change.config, most_open_files());
                    change.apply(&old, &current, &set_log);
                    old.telemetry.reloaded(Reload::Applied);
                }
                (known, doubtful) = (found, None);
            }
        }
        super::notify(&[NotifyState::Ready]);
    }
}

/// Says which certificates end soon, or have ended.
pub(super) fn warn_of_expiry(secrets: &Secrets) {
    for certificate in secrets.certificates() {
        let (key, file) = (&certificate.key, certificate.file.display());
        match certificate.expiry(Moment::now()) {
            Expiry::Past(end) => tracing::error!(key, %file, %end, "this certificate has expired"),
            Expiry::Soon(end, days) => {
                tracing::warn!(key, %file, %end, days, "this certificate expires soon");
            }
            Expiry::Far(..) | Expiry::Unknown => {}
        }
    }
}

/// The files that are followed.
pub(super) struct Watched {
    config: PathBuf,
    /// Those that the configuration names.
    secrets: Vec<PathBuf>,
}

/// What was in them, as far as it takes to see that it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    config: Option<u64>,
    secrets: Vec<Option<u64>>,
}

impl Watched {
    /// The file of this configuration, and those that it names; and what is in them. Somebody may
    /// have changed the file since it was loaded, which is a change like any other.
    pub(super) async fn new(file: PathBuf, config: &Config) -> (Self, Seen) {
        let watched = Self {
            config: file,
            secrets: owned(Secrets::files(config)),
        };
        let Seen {
            config: found,
            secrets,
        } = watched.look().await;
        let loaded = Config::load(&watched.config).is_ok_and(|found| found == *config);
        let seen = Seen {
            config: found.filter(|_| loaded),
            secrets,
        };
        (watched, seen)
    }

    async fn look(&self) -> Seen {
        let config = digest(&self.config).await;
        let mut secrets = Vec::new();
        for file in &self.secrets {
            secrets.push(digest(file).await);
        }
        Seen { config, secrets }
    }
}

impl Seen {
    /// A configuration that is being replaced may be away for a moment.
    const fn is_there(&self) -> bool {
        self.config.is_some()
    }
}

async fn digest(file: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    tokio::fs::read(file).await.ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

fn owned(files: Vec<&Path>) -> Vec<PathBuf> {
    files.into_iter().map(Path::to_owned).collect()
}

/// Says so with the time: systemd takes no reload without it (`Type=notify-reload`).
fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => super::notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot notify systemd"),
    }
}

/// Why a configuration is not taken over.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("`home` cannot change while clients' sessions live there; restart to change it")]
    Home,
    #[error("{key}: {}: this certificate has expired on {expired}", file.display())]
    Expired {
        key: String,
        file: PathBuf,
        expired: Moment,
    },
}

/// A configuration that can be taken over.
struct Change {
    config: Config,
    secrets: Secrets,
}

impl Change {
    fn of(config: Config, old: &Shared) -> Result<Self, Refused> {
        if config.home() != old.config.home() {
            return Err(Refused::Home);
        }
        let secrets = Secrets::load(&config)?;
        let now = Moment::now();
        for certificate in secrets.certificates() {
            // One that has expired while it was in use stays, until there is a better one.
            let known = old.secrets.certificates().contains(certificate);
            if let Expiry::Past(expired) = certificate.expiry(now)
                && !known
            {
                return Err(Refused::Expired {
                    key: certificate.key.clone(),
                    file: certificate.file.clone(),
                    expired,
                });
            }
        }
        Ok(Self { config, secrets })
    }

    /// Whether all is as it was, what files hold left out of account.
    fn is_none(&self, old: &Shared) -> bool {
        // Credentials that were left out are tried again.
        self.config == *old.config && settings(&self.config, &self.secrets) == *old.settings()
    }

    fn apply(self, old: &Shared, current: &Current, set_log: impl Fn(&str)) {
        let Self { config, secrets } = self;
        for (key, same) in [
            ("listen", config.listen == old.config.listen),
            ("socket_mode", config.socket_mode == old.config.socket_mode),
            ("admin", config.admin == old.config.admin),
            ("state", config.state == old.config.state),
            ("log_format", config.log_format == old.config.log_format),
        ] {
            if !same {
                tracing::warn!(
                    key,
                    "this key is read at the start only: restart to change it"
                );
            }
        }
        if config.log != old.config.log {
            set_log(&config.log);
            tracing::info!(log = config.log, "logging what passes another filter");
        }
        let moved = old.config.routes.moved(&config.routes);
        let moved: Vec<_> = moved
            .iter()
            .map(|prefix| String::from_utf8_lossy(prefix))
            .collect();
        tracing::info!(fingerprint = %config.fingerprint(), ?moved, "reloaded");
        warn_of_expiry(&secrets);
        let new = Shared::new(
            config,
            secrets,
            old.network.clone(),
            old.store.clone(),
            old.registry.clone(),
            old.telemetry.clone(),
        );
        let command = Command::Reload(new.settings(), new.dialer.clone());
        current.set(new);
        old.registry.tell_all(&command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADED: &str = "home: us\nensembles: { us: { servers: [a:1], credentials: us.auth } }\n\
                          routes: { /: us }\n";

    #[tokio::test]
    async fn what_changed_before_the_first_look_is_not_taken_for_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zoonet.yaml");
        std::fs::write(&file, LOADED).unwrap();
        let config = Config::load(&file).unwrap();
        let (watched, known) = Watched::new(file.clone(), &config).await;
        assert_eq!(watched.look().await, known);
        std::fs::write(folder.path().join("us.auth"), "digest a:b").unwrap();
        assert_ne!(watched.look().await, known);
        for changed in [LOADED.replace("a:1", "a:2"), "home: [".to_owned()] {
            std::fs::write(&file, changed).unwrap();
            let (watched, known) = Watched::new(file.clone(), &config).await;
            let found = watched.look().await;
            assert!(found.is_there() && found != known);
        }
    }
}
