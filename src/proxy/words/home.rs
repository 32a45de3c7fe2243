//! How home is at this moment, as its servers say.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Server;
use crate::dial::Dialer;
use crate::wire::words::{Facts, Role, Srvr};

/// How long the question may take: what asks for words gives up after some seconds.
const BOUND: Duration = Duration::from_secs(2);

/// How long one server may be silent before the next one is asked too.
const STAGGER: Duration = Duration::from_millis(250);

/// What home is to clients, the better the greater.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// No server answers.
    Unreachable,
    /// Its servers run, and serve nobody.
    NotServing,
    /// Its servers run, but do not say how they are: `srvr` is not in their whitelist.
    Untold,
    /// A server answers, cut off from its quorum.
    ReadOnly(Facts),
    /// A server serves.
    Serving(Facts),
}

impl Home {
    fn of(said: Srvr) -> Self {
        match said {
            Srvr::Serving(facts) if facts.role == Some(Role::ReadOnly) => Self::ReadOnly(facts),
            Srvr::Serving(facts) => Self::Serving(facts),
            Srvr::NotServing => Self::NotServing,
            Srvr::NotListed => Self::Untold,
            Srvr::Foreign => Self::Unreachable,
        }
    }

    /// What a server of it says of itself.
    pub(super) const fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Serving(facts) | Self::ReadOnly(facts) => Some(facts),
            Self::Untold | Self::NotServing | Self::Unreachable => None,
        }
    }

    /// Whether requests are answered, as far as is known.
    pub(super) const fn serves(&self) -> bool {
        match self {
            Self::Serving(_) | Self::ReadOnly(_) | Self::Untold => true,
            Self::NotServing | Self::Unreachable => false,
        }
    }

    /// The answer to `isro`.
    pub(super) const fn access(&self) -> &'static str {
        match self {
            Self::Serving(_) | Self::Untold => "rw",
            Self::ReadOnly(_) => "ro",
            Self::NotServing | Self::Unreachable => "null",
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Unreachable => 0,
            Self::NotServing => 1,
            Self::Untold => 2,
            Self::ReadOnly(_) => 3,
            Self::Serving(_) => 4,
        }
    }
}

/// Asks the servers of home until one serves: the next one when one has answered otherwise, or has
/// been silent for a moment.
pub(super) async fn ask(dialer: &Dialer) -> Home {
    let deadline = Instant::now() + BOUND;
    let config = dialer.config();
    let home = config.ensemble(config.home());
    let others = home.servers.iter().filter(|s| !home.prefer.contains(s));
    let mut servers = home.prefer.iter().chain(others).cloned();
    let mut under_way = JoinSet::new();
    let mut best = Home::Unreachable;
    loop {
        let next = servers.next();
        let patience = match next {
            Some(_) => Instant::now() + STAGGER,
            None => deadline,
        };
        if let Some(server) = next {
            under_way.spawn(ask_one(dialer.clone(), server));
        }
        match timeout_at(patience.min(deadline), under_way.join_next()).await {
            Ok(None) => return best,
            Ok(Some(found)) => {
                let found = found.unwrap_or(Home::Unreachable);
                if found.rank() > best.rank() {
                    best = found;
                }
            }
            Err(_) if Instant::now() >= deadline => return best,
            Err(_) => {}
        }
        if matches!(best, Home::Serving(_)) {
            return best;
        }
    }
}

async fn ask_one(dialer: Dialer, server: Server) -> Home {
    let said = async {
        let answer = dialer
            .ask(dialer.config().home(), &server, *b"srvr")
            .await
            .ok()?;
        Some(Home::of(Srvr::parse(&answer.bytes)))
    };
    tokio::select! {
        home = said => home.unwrap_or(Home::Unreachable),
        () = sleep(BOUND) => Home::Unreachable,
    }
}
