//! The ensembles that tests share: started once per test process, by whoever needs them first.
//!
//! # Decisions
//!
//! * The tests of one process run side by side on them. Each keeps to paths of its own, runs its
//!   own sidecars, puts its own relays on client links, and leaves the servers up; whoever wants
//!   to break an ensemble starts one for it.
//! * How much an observer lags is part of the fixture and never changes, as changing it under
//!   another test would. A test that needs another lag makes its own [`Regions`].

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::zookeeper::{Ensemble, Plan};

/// By how much the observers of [`shared`] lag behind their leaders.
pub(crate) const LAG: Duration = Duration::from_millis(200);

/// Two ensembles far apart, each with an observer that hears late of its commits.
#[derive(Debug)]
pub(crate) struct Regions {
    pub(crate) us: Ensemble,
    pub(crate) eu: Ensemble,
    /// How long it took until all servers had their roles.
    pub(crate) started_within: Duration,
}

impl Regions {
    /// Starts both side by side, each with three voters and an observer without lag so far.
    pub(crate) fn start() -> Self {
        let begun = Instant::now();
        let launch = |name| Plan::new(name).voters(3).observers(1).launch();
        let (us, eu) = (launch("us"), launch("eu"));
        us.await_ready();
        eu.await_ready();
        Self {
            us,
            eu,
            started_within: begun.elapsed(),
        }
    }

    /// Sets how late both observers hear of commits.
    pub(crate) fn lag(&self, lag: Duration) {
        self.us.quorum_link(0).lag(lag);
        self.eu.quorum_link(0).lag(lag);
    }
}

/// Two standalone servers: as much composition as most tests need.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) us: Ensemble,
    pub(crate) eu: Ensemble,
}

impl Pair {
    /// Starts both side by side.
    pub(crate) fn start() -> Self {
        let pair = Self {
            us: Plan::new("us").launch(),
            eu: Plan::new("eu").launch(),
        };
        pair.us.await_ready();
        pair.eu.await_ready();
        pair
    }
}

/// The two regions all tests of this process share, their observers [`LAG`] behind.
pub(crate) fn shared() -> &'static Regions {
    static SHARED: LazyLock<Regions> = LazyLock::new(|| {
        let regions = Regions::start();
        regions.lag(LAG);
        regions
    });
    &SHARED
}

/// The two standalone ensembles all tests of this process share.
pub(crate) fn shared_pair() -> &'static Pair {
    static SHARED: LazyLock<Pair> = LazyLock::new(Pair::start);
    &SHARED
}
