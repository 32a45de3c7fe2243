//! Which sessions there are, for whoever operates the sidecar. Connections tell of themselves when
//! they are asked, so that nothing is kept up to date that nobody looks at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Command, Entry, Mailbox, Registry, lock};
use crate::config::Server;
use crate::route::EnsembleId;
use crate::session::{Description, LegDescription, ParkedLeg};
use crate::wire::SessionId;

/// How long connections have to tell of themselves: each does when its task runs next.
const ANSWER: Duration = Duration::from_secs(1);

/// What a connection tells of itself.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) description: Description,
    /// The client's address.
    pub(crate) peer: Option<SocketAddr>,
    /// When its connection became a session.
    pub(crate) since: Instant,
    /// The servers its legs are connected to.
    pub(crate) servers: Vec<(EnsembleId, Server)>,
    /// Frames from the client.
    pub(crate) received: u64,
    /// Frames to it.
    pub(crate) sent: u64,
}

/// One session.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    /// A connection serves it.
    Connected(Report),
    /// A connection serves it that did not tell of itself in time.
    Silent,
    /// Its client is away.
    Parked {
        legs: Vec<LegDescription>,
        /// When the remote sessions are over, unless something keeps them.
        over: Instant,
        /// Until when it is known what they were.
        until: Instant,
    },
}

/// Which sessions are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    #[default]
    Any,
    /// Those that a connection serves.
    Connected,
    /// Those whose clients are away.
    Parked,
}

impl Which {
    const fn includes(self, entry: &Entry) -> bool {
        match self {
            Self::Any => true,
            Self::Connected => matches!(entry, Entry::Live { .. }),
            Self::Parked => matches!(entry, Entry::Parked { .. }),
        }
    }
}

/// Some of the sessions, and how many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) connected: usize,
    pub(crate) parked: usize,
    /// In the order of their ids.
    pub(crate) sessions: BTreeMap<SessionId, Listed>,
}

impl Registry {
    /// The first `limit` of these sessions behind `after`, in the order of their ids.
    pub(crate) async fn list(
        &self,
        which: Which,
        after: Option<SessionId>,
        limit: usize,
    ) -> Listing {
        let (mut listing, asked) = self.known(which, after, limit);
        // As large as what is asked for: nobody waits with its answer.
        let (sender, mut reports) = mpsc::channel(asked.len().max(1));
        for mailbox in asked {
            mailbox.send(Command::Describe(sender.clone()));
        }
        drop(sender);
        let deadline = Instant::now() + ANSWER;
        loop {
            match timeout_at(deadline, reports.recv()).await {
                Ok(Some(report)) => {
                    let report: Report = report;
                    let id = report.description.session;
                    listing.sessions.insert(id, Listed::Connected(report));
                }
                Ok(None) => {
                    // All have answered or ended, and there is nothing to tell of the latter.
                    let told = |listed: &Listed| !matches!(listed, Listed::Silent);
                    listing.sessions.retain(|_, listed| told(listed));
                    return listing;
                }
                Err(_) => return listing,
            }
        }
    }

    /// What is known without asking, and whom to ask for the rest.
    fn known(
        &self,
        which: Which,
        after: Option<SessionId>,
        limit: usize,
    ) -> (Listing, Vec<Arc<Mailbox>>) {
        let sessions = lock(&self.0);
        let live = |entry: &&Entry| Which::Connected.includes(entry);
        let connected = sessions.values().filter(live).count();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = BTreeMap::new();
        let mut asked = Vec::new();
        let behind = sessions.range((from, Bound::Unbounded));
        let wanted = behind.filter(|(_, entry)| which.includes(entry));
        for (id, entry) in wanted.take(limit) {
            let shown = match entry {
                Entry::Live { mailbox, .. } => {
                    asked.push(Arc::clone(mailbox));
                    Listed::Silent
                }
                Entry::Parked {
                    legs, over, until, ..
                } => Listed::Parked {
                    legs: legs.iter().map(ParkedLeg::describe).collect(),
                    over: *over,
                    until: *until,
                },
            };
            listed.insert(*id, shown);
        }
        let listing = Listing {
            connected,
            parked: sessions.len() - connected,
            sessions: listed,
        };
        (listing, asked)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::registry::{Place, Reader};
    use crate::wire::connect::Credentials;

    /// Answers as a driver does, as often as it is asked.
    async fn answers(place: &Place, id: SessionId) {
        let mut mailbox = Reader::new(Arc::clone(&place.mailbox));
        poll_fn(|cx| {
            for command in mailbox.take(cx) {
                if let Command::Describe(sender) = command {
                    let description = Description {
                        session: id,
                        timeout: 4_000,
                        current: EnsembleId::new(0),
                        outstanding: 0,
                        waiting: 0,
                        legs: Vec::new(),
                    };
                    let report = Report {
                        description,
                        peer: None,
                        since: Instant::now(),
                        servers: Vec::new(),
                        received: 0,
                        sent: 0,
                    };
                    sender.try_send(report).unwrap();
                }
            }
            Poll::<()>::Pending
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_is_described_and_who_does_not_is_named() {
        let registry = Registry::default();
        let [one, two, three] = [1, 2, 3].map(SessionId);
        let (place, _) = registry.enter(one, [0; 16]).await;
        let (_silent, _) = registry.enter(two, [0; 16]).await;
        let credentials = Credentials {
            session: SessionId(9),
            password: [2; 16],
            timeout: 4_000,
        };
        let leg = ParkedLeg::restored(EnsembleId::new(1), credentials);
        registry.restore(three, vec![leg]);
        let listing = tokio::select! {
            () = answers(&place, one) => unreachable!(),
            listing = registry.list(Which::Any, None, 10) => listing,
        };
        assert_eq!((listing.connected, listing.parked), (2, 1));
        let states: Vec<_> = listing.sessions.values().collect();
        assert!(
            matches!(
                states[..],
                [Listed::Connected(_), Listed::Silent, Listed::Parked { .. }]
            ),
            "{states:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_while_it_is_asked_is_not_listed() {
        let registry = Registry::default();
        let (place, _) = registry.enter(SessionId(1), [0; 16]).await;
        let begun = Instant::now();
        let (listing, ()) =
            tokio::join!(registry.list(Which::Any, None, 10), async { drop(place) });
        assert!(listing.sessions.is_empty(), "{listing:?}");
        assert!(begun.elapsed() < ANSWER, "nobody is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_as_long_as_wanted_and_goes_on_where_it_ended() {
        let registry = Registry::default();
        for id in (1..=5).map(SessionId) {
            registry.restore(id, Vec::new());
        }
        let ids = |listing: Listing| -> Vec<i64> {
            listing
                .sessions
                .into_keys()
                .map(|SessionId(id)| id)
                .collect()
        };
        assert_eq!(ids(registry.list(Which::Any, None, 2).await), [1, 2]);
        assert_eq!(
            ids(registry.list(Which::Any, Some(SessionId(2)), 2).await),
            [3, 4]
        );
        let last = registry.list(Which::Any, Some(SessionId(4)), 2).await;
        assert_eq!((last.connected, last.parked), (0, 5), "totals are of all");
        assert_eq!(ids(last), [5]);
        let (_place, _) = registry.enter(SessionId(3), [0; 16]).await;
        assert_eq!(ids(registry.list(Which::Parked, None, 3).await), [1, 2, 4]);
        assert_eq!(ids(registry.list(Which::Connected, None, 3).await), [3]);
    }
}
