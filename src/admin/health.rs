//! What the servers of the ensembles say of themselves: asked only when somebody wants to know,
//! each at most every two seconds, in the background.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, Ensemble, Server};
use crate::dial::{Dialer, Unanswered};
use crate::route::EnsembleId;
use crate::wire::words::{Role, Srvr};

/// How often a server is asked at most.
const PERIOD: Duration = Duration::from_secs(2);

/// How old an answer may be to speak for its server where no newer one comes in time.
const FRESH: Duration = Duration::from_secs(5);

/// How long the question whether home is ready may take: less than the second after which a
/// kubelet gives up unless told otherwise.
const PATIENCE: Duration = Duration::from_millis(800);

/// How many servers are asked at once.
const AT_ONCE: usize = 16;

/// What is known of all servers.
#[derive(Clone)]
pub(super) struct Health(Arc<Inner>);

struct Inner {
    servers: Mutex<BTreeMap<Server, Known>>,
    room: Semaphore,
    /// Told whenever an answer has come.
    news: watch::Sender<()>,
}

/// What is known of one server.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// When it was asked last.
    asked: Instant,
    waiting: Waiting,
    /// What came of it when it was asked last or, while that is not known, before.
    pub(super) last: Option<Outcome>,
}

/// Whether an answer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Yes,
    No,
}

/// What came of asking.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) at: Instant,
    /// What it says, and its round trip.
    pub(super) said: Result<(Srvr, Duration), Arc<Unanswered>>,
}

/// Whether a server takes sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does, or at least runs and does not say.
    Serving,
    /// It runs, and takes none: it has no quorum.
    NotServing,
    /// It does not answer, or something else does.
    Unreachable,
    /// It has not been asked, or has not answered yet.
    Unknown,
}

impl Verdict {
    /// Words for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotServing => "not serving",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
}

impl Outcome {
    pub(super) const fn verdict(&self) -> Verdict {
        match &self.said {
            Ok((Srvr::Serving(facts), _)) => match facts.role {
                // Sessions of ordinary clients are refused there.
                Some(Role::ReadOnly) => Verdict::NotServing,
                Some(Role::Leader | Role::Follower | Role::Observer | Role::Standalone) | None => {
                    Verdict::Serving
                }
            },
            Ok((Srvr::NotListed, _)) => Verdict::Serving,
            Ok((Srvr::NotServing, _)) => Verdict::NotServing,
            Ok((Srvr::Foreign, _)) | Err(_) => Verdict::Unreachable,
        }
    }

    /// Why it is no better, in words.
    pub(super) fn reason(&self) -> Option<String> {
        match &self.said {
            Ok((Srvr::Serving(facts), _)) => {
                let cut_off = facts.role == Some(Role::ReadOnly);
                cut_off.then(|| "cut off from its quorum, serves reads only".to_owned())
            }
            Ok((Srvr::NotListed, _)) => {
                Some("`srvr` is not in its 4lw.commands.whitelist".to_owned())
            }
            Ok((Srvr::NotServing, _)) => Some("runs, but has no quorum".to_owned()),
            Ok((Srvr::Foreign, _)) => Some("its answer is no ZooKeeper's".to_owned()),
            Err(unanswered) => Some(unanswered.to_string()),
        }
    }
}

impl Health {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            servers: Mutex::default(),
            room: Semaphore::new(AT_ONCE),
            news: watch::Sender::new(()),
        }))
    }

    /// What is known of a server.
    pub(super) fn of(&self, server: &Server) -> Option<Known> {
        self.lock().get(server).cloned()
    }

    /// Asks all servers that have not been asked for a while, without waiting for them.
    pub(super) fn refresh_all(&self, dialer: &Dialer) {
        let config = dialer.config();
        self.keep_only(&config);
        for (id, ensemble) in (0..).map(EnsembleId::new).zip(&config.ensembles) {
            self.refresh(dialer, id, ensemble);
        }
    }

    /// Whether home takes sessions; why not, where it does not.
    ///
    /// # Errors
    /// What is wrong with each of its servers, in words.
    pub(super) async fn home_is_ready(&self, dialer: &Dialer) -> Result<(), Vec<String>> {
        let config = dialer.config();
        let home = config.ensemble(config.home());
        let deadline = Instant::now() + PATIENCE;
        let mut news = self.0.news.subscribe();
        self.refresh(dialer, config.home(), home);
        loop {
            if self.serves(home, PERIOD) {
                return Ok(());
            }
            let waited_for = self.waits_for(home);
            let heard = waited_for && timeout_at(deadline, news.changed()).await.is_ok();
            if heard {
                continue;
            }
            // Of those that still owe an answer the one before counts.
            return if waited_for && self.serves(home, FRESH) {
                Ok(())
            } else {
                Err(self.faults(home))
            };
        }
    }

    /// Whether a server of the ensemble serves, going by answers no older than that.
    fn serves(&self, ensemble: &Ensemble, age: Duration) -> bool {
        let servers = self.lock();
        all(ensemble)
            .filter_map(|server| servers.get(server)?.last.as_ref())
            .any(|last| last.verdict() == Verdict::Serving && last.at.elapsed() <= age)
    }

    fn waits_for(&self, ensemble: &Ensemble) -> bool {
        let servers = self.lock();
        all(ensemble).any(|server| {
            servers
                .get(server)
                .is_some_and(|known| known.waiting == Waiting::Yes)
        })
    }

    fn faults(&self, ensemble: &Ensemble) -> Vec<String> {
        let servers = self.lock();
        let fault = |server: &Server| {
            let known = servers.get(server)?;
            let reason = match &known.last {
                Some(last) if known.waiting == Waiting::No => last.reason()?,
                Some(_) | None => "no answer yet".to_owned(),
            };
            Some(format!("{server}: {reason}"))
        };
        all(ensemble).filter_map(fault).collect()
    }

    fn refresh(&self, dialer: &Dialer, id: EnsembleId, ensemble: &Ensemble) {
        let now = Instant::now();
        for server in all(ensemble) {
            if !self.is_due(server, now) {
                continue;
            }
            let (health, dialer, server) = (self.clone(), dialer.clone(), server.clone());
            tokio::spawn(async move {
                let Ok(_room) = health.0.room.acquire().await else {
                    return;
                };
                let said = dialer.ask(id, &server, *b"srvr").await;
                let said = said
                    .map(|answer| (Srvr::parse(&answer.bytes), answer.round_trip))
                    .map_err(Arc::new);
                health.note(&server, said);
            });
        }
    }

    /// Whether a server is to be asked now; from here on it counts as asked.
    fn is_due(&self, server: &Server, now: Instant) -> bool {
        let mut servers = self.lock();
        match servers.get_mut(server) {
            Some(known) if known.waiting == Waiting::Yes || now < known.asked + PERIOD => false,
            Some(known) => {
                (known.asked, known.waiting) = (now, Waiting::Yes);
                true
            }
            None => {
                let known = Known {
                    asked: now,
                    waiting: Waiting::Yes,
                    last: None,
                };
                servers.insert(server.clone(), known);
                true
            }
        }
    }

    fn note(&self, server: &Server, said: Result<(Srvr, Duration), Arc<Unanswered>>) {
        // It may have gone with a reload.
        if let Some(known) = self.lock().get_mut(server) {
            known.waiting = Waiting::No;
            known.last = Some(Outcome {
                at: Instant::now(),
                said,
            });
        }
        self.0.news.send_replace(());
    }

    /// Forgets servers that are configured no longer.
    fn keep_only(&self, config: &Config) {
        let configured: BTreeSet<&Server> = config.ensembles.iter().flat_map(all).collect();
        self.lock().retain(|server, _| configured.contains(server));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Server, Known>> {
        self.0
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// All servers of an ensemble, the preferred ones first.
pub(super) fn all(ensemble: &Ensemble) -> impl Iterator<Item = &Server> {
    let others = ensemble.servers.iter();
    let others = others.filter(|server| !ensemble.prefer.contains(server));
    ensemble.prefer.iter().chain(others)
}

#[cfg(test)]
mod tests;
