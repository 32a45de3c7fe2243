//! The client sessions of this sidecar: which connection serves each, and what is kept for those
//! that have none just now.

mod budget;
mod listing;
mod mailbox;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::route::EnsembleId;
use crate::session::ParkedLeg;
use crate::wire::SessionId;
use budget::{Budget, Share};
pub(crate) use listing::{Listed, Report, Which};
pub(crate) use mailbox::{Command, Mailbox, Reader};

/// How long a new connection of a session waits for the older one to let go.
const TAKEOVER: Duration = Duration::from_secs(2);

/// How long it is known what a client without a connection had elsewhere. Its remote sessions may
/// expire long before that, but whether the client's own has is home's to say, and an ensemble
/// without a leader expires nobody: a client that comes back has to be told what it has lost.
const KEPT: Duration = Duration::from_secs(3600);

/// Of how many it is known. Of more, those are forgotten first that are away for longest.
const MOST_PARKED: usize = 50_000;

/// A session as the registry knows it. `Debug` leaves the password out.
enum Entry {
    /// A connection serves it.
    Live {
        mailbox: Arc<Mailbox>,
        over: watch::Receiver<()>,
    },
    /// Its remote sessions wait for its next connection.
    Parked {
        legs: Vec<ParkedLeg>,
        password: Option<[u8; 16]>,
        /// When the remote sessions are over, unless something keeps them.
        over: Instant,
        until: Instant,
        /// What the watches and ephemerals of these take, as long as they are remembered.
        share: Option<Share>,
    },
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live { .. } => f.write_str("Live"),
            Self::Parked { legs, until, .. } => f
                .debug_struct("Parked")
                .field("legs", legs)
                .field("until", until)
                .finish_non_exhaustive(),
        }
    }
}

impl Entry {
    fn parked(mut legs: Vec<ParkedLeg>, password: Option<[u8; 16]>, budget: &Budget) -> Self {
        let share = budget.take(legs.iter().map(ParkedLeg::bytes).sum());
        if share.is_none() {
            legs.iter_mut().for_each(ParkedLeg::shrink);
        }
        let now = Instant::now();
        let longest = legs.iter().map(|leg| leg.credentials().timeout).max();
        let lifetime = Duration::from_millis(longest.unwrap_or_default().into());
        Self::Parked {
            legs,
            password,
            over: now + lifetime,
            until: now + lifetime.max(KEPT),
            share,
        }
    }
}

/// All client sessions, in the order of their ids: what is told to all is told in that order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry(Arc<Mutex<BTreeMap<SessionId, Entry>>>, Budget);

/// How many there are of what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Sessions that a connection serves.
    pub(crate) connected: u64,
    /// Sessions whose clients are away.
    pub(crate) parked: u64,
    /// Remote sessions of those.
    pub(crate) parked_legs: BTreeMap<EnsembleId, u64>,
}

/// A connection's place in the registry.
pub(crate) struct Place {
    registry: Registry,
    session: SessionId,
    password: [u8; 16],
    pub(crate) mailbox: Arc<Mailbox>,
    /// Tells whoever waits that the connection is over.
    _over: watch::Sender<()>,
}

impl Registry {
    /// Makes a connection the one that serves a session: an older one is ended, and what it or an
    /// earlier one left is handed over. To be called once home has accepted the session (T31).
    pub(crate) async fn enter(
        &self,
        session: SessionId,
        password: [u8; 16],
    ) -> (Place, Vec<ParkedLeg>) {
        let mailbox = Arc::new(Mailbox::default());
        let (sender, over) = watch::channel(());
        let mut told = None;
        let legs = loop {
            let (older, mut ends) = match self.claim(session, &mailbox, &over, told.as_ref()) {
                Ok(legs) => break legs,
                Err(older) => older,
            };
            older.send(Command::TakeOver);
            // Its end is when its sender goes; one that does not end in time keeps its legs.
            let _ = timeout(TAKEOVER, ends.changed()).await;
            told = Some(older);
        };
        (
            Place {
                registry: self.clone(),
                session,
                password,
                mailbox,
                _over: sender,
            },
            legs,
        )
    }

    /// Puts a connection in the place of whatever is there, with the legs kept for it; unless that
    /// is another connection which has not been `told` yet. While one waits for an older one to go
    /// a third may have come.
    fn claim(
        &self,
        session: SessionId,
        mailbox: &Arc<Mailbox>,
        over: &watch::Receiver<()>,
        told: Option<&Arc<Mailbox>>,
    ) -> Result<Vec<ParkedLeg>, (Arc<Mailbox>, watch::Receiver<()>)> {
        let mut sessions = lock(&self.0);
        if let Some(Entry::Live { mailbox, over }) = sessions.get(&session)
            && told.is_none_or(|told| !Arc::ptr_eq(told, mailbox))
        {
            return Err((Arc::clone(mailbox), over.clone()));
        }
        let entry = Entry::Live {
            mailbox: Arc::clone(mailbox),
            over: over.clone(),
        };
        match sessions.insert(session, entry) {
            Some(Entry::Parked { legs, .. }) => Ok(legs),
            Some(Entry::Live { .. }) | None => Ok(Vec::new()),
        }
    }

    /// Keeps remote sessions known from before a restart until their client comes back.
    pub(crate) fn restore(&self, session: SessionId, legs: Vec<ParkedLeg>) {
        lock(&self.0).insert(session, Entry::parked(legs, None, &self.1));
    }

    /// Home has refused a session. If that was its true password, it has expired, and what is left
    /// of it elsewhere is to be ended.
    pub(crate) fn refused(&self, session: SessionId, password: &[u8]) -> Option<Vec<ParkedLeg>> {
        let mut sessions = lock(&self.0);
        match sessions.get(&session) {
            Some(Entry::Parked {
                password: Some(known),
                ..
            }) if known == password => {}
            Some(_) | None => return None,
        }
        match sessions.remove(&session) {
            Some(Entry::Parked { legs, .. }) => Some(legs),
            Some(Entry::Live { .. }) | None => None,
        }
    }

    /// Takes out the sessions whose clients have not come back in time, or are too many. Of those that
    /// may come back after their remote sessions have expired, less is kept: what they had seen when
    /// they armed their watches may be a lot, and to know nothing of it hides no change.
    pub(crate) fn expired(&self, now: Instant) -> Vec<SessionId> {
        let mut sessions = lock(&self.0);
        for entry in sessions.values_mut() {
            if let Entry::Parked {
                legs, over, share, ..
            } = entry
                && *over <= now
                && share.take().is_some()
            {
                legs.iter_mut().for_each(ParkedLeg::shrink);
            }
        }
        let mut away: Vec<(Instant, SessionId)> = sessions
            .iter()
            .filter_map(|(id, entry)| match entry {
                Entry::Parked { until, .. } => Some((*until, *id)),
                Entry::Live { .. } => None,
            })
            .collect();
        match away.len().checked_sub(MOST_PARKED) {
            None | Some(0) => away.retain(|(until, _)| *until <= now),
            Some(too_many) => {
                away.sort_unstable();
                let late = away.partition_point(|(until, _)| *until <= now);
                away.truncate(late.max(too_many));
            }
        }
        let gone: Vec<SessionId> = away.into_iter().map(|(_, id)| id).collect();
        for session in &gone {
            sessions.remove(session);
        }
        gone
    }

    /// Counts what is there.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        for entry in lock(&self.0).values() {
            match entry {
                Entry::Live { .. } => census.connected += 1,
                Entry::Parked { legs, .. } => {
                    census.parked += 1;
                    for leg in legs {
                        *census.parked_legs.entry(leg.ensemble()).or_default() += 1;
                    }
                }
            }
        }
        census
    }

    /// Tells every connection.
    pub(crate) fn tell_all(&self, command: &Command) {
        for entry in lock(&self.0).values() {
            if let Entry::Live { mailbox, .. } = entry {
                mailbox.send(command.clone());
            }
        }
    }
}

impl Place {
    /// Whether no newer connection has taken this one's place.
    pub(crate) fn is_current(&self) -> bool {
        self.is_in(&lock(&self.registry.0))
    }

    fn is_in(&self, sessions: &BTreeMap<SessionId, Entry>) -> bool {
        matches!(sessions.get(&self.session), Some(Entry::Live { mailbox, .. }) if Arc::ptr_eq(mailbox, &self.mailbox))
    }

    /// The connection is over: `legs` are kept for the next one, or nothing where the session
    /// itself has ended.
    pub(crate) fn leave(self, legs: Option<Vec<ParkedLeg>>) {
        let mut sessions = lock(&self.registry.0);
        if !self.is_in(&sessions) {
            return;
        }
        match legs {
            Some(legs) if !legs.is_empty() => {
                let entry = Entry::parked(legs, Some(self.password), &self.registry.1);
                sessions.insert(self.session, entry);
            }
            Some(_) | None => {
                sessions.remove(&self.session);
            }
        }
    }
}

impl Drop for Place {
    /// A connection that ended without a word, in a panic, leaves nothing behind.
    fn drop(&mut self) {
        let mut sessions = lock(&self.registry.0);
        if self.is_in(&sessions) {
            sessions.remove(&self.session);
        }
    }
}

/// A panic elsewhere leaves the table as it was between two of its operations.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
