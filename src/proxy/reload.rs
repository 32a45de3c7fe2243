//! A changed configuration is taken over while clients stay connected: on SIGHUP, and when the
//! file has changed.
//!
//! The file is read every two seconds and not watched: that survives editors that replace files
//! and mounts that swap links, and costs nothing that could be measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::{Current, Shared};
use crate::config::Config;
use crate::registry::Command;
use crate::telemetry::Reload;

/// How often the file is read.
const PERIOD: Duration = Duration::from_secs(2);

/// Follows the file for ever.
pub(super) async fn follow(file: PathBuf, mut hangup: Signal, current: Current) {
    let mut known = in_use(&file, &current.get().config).await;
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = period.tick() => false,
        };
        let found = tokio::fs::read(&file).await.ok();
        let changed = found.is_some() && found != known;
        if !asked && !changed {
            continue;
        }
        known = found;
        notify_reloading();
        reload(&file, &current);
        super::notify(&[NotifyState::Ready]);
    }
}

/// What the file says, if that is the configuration in use: somebody may have changed it since it
/// was loaded, which is a change like any other.
async fn in_use(file: &Path, config: &Config) -> Option<Vec<u8>> {
    let found = tokio::fs::read(file).await.ok()?;
    let text = str::from_utf8(&found).ok()?;
    let read = Config::parse("", text).ok()?;
    (read == *config).then_some(found)
}

/// Says so with the time: systemd takes no reload without it (`Type=notify-reload`).
fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => super::notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot notify systemd"),
    }
}

fn reload(file: &Path, current: &Current) {
    let old = current.get();
    let config = match Config::load(file) {
        Ok(config) => config.aligned_with(&old.config),
        Err(error) => {
            old.telemetry.reloaded(Reload::Rejected);
            tracing::error!(config = %file.display(), %error, "not reloaded: the configuration in use stays");
            return;
        }
    };
    if config == *old.config {
        old.telemetry.reloaded(Reload::Unchanged);
        tracing::info!("reloaded: nothing has changed");
        return;
    }
    if config.home() != old.config.home() {
        old.telemetry.reloaded(Reload::Rejected);
        tracing::error!(
            "not reloaded: `home` cannot change while clients' sessions live there; restart to change it"
        );
        return;
    }
    for (key, same) in [
        ("listen", config.listen == old.config.listen),
        ("admin", config.admin == old.config.admin),
        ("state", config.state == old.config.state),
        (
            "log",
            config.log == old.config.log && config.log_format == old.config.log_format,
        ),
    ] {
        if !same {
            tracing::warn!(
                key,
                "this key is read at the start only: restart to change it"
            );
        }
    }
    let moved = old.config.routes.moved(&config.routes);
    let moved: Vec<_> = moved
        .iter()
        .map(|prefix| String::from_utf8_lossy(prefix))
        .collect();
    tracing::info!(fingerprint = %config.fingerprint(), ?moved, "reloaded");
    let new = Shared::new(
        config,
        old.network.clone(),
        old.store.clone(),
        old.registry.clone(),
        old.telemetry.clone(),
    );
    let command = Command::Reload(Arc::clone(&new.settings), new.dialer.clone());
    current.set(new);
    old.registry.tell_all(&command);
    old.telemetry.reloaded(Reload::Applied);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADED: &str = "home: us\nensembles: { us: { servers: [a:1] } }\nroutes: { /: us }\n";

    #[tokio::test]
    async fn what_changed_before_the_first_look_is_not_taken_for_known() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("zoonet.yaml");
        let config = Config::parse("loaded", LOADED).unwrap();
        std::fs::write(&file, LOADED).unwrap();
        assert_eq!(
            in_use(&file, &config).await.as_deref(),
            Some(LOADED.as_bytes())
        );
        for changed in [LOADED.replace("a:1", "a:2"), "home: [".to_owned()] {
            std::fs::write(&file, changed).unwrap();
            assert_eq!(in_use(&file, &config).await, None);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(in_use(&file, &config).await, None);
    }
}
