//! What happens in a run: a shape, operations and faults, all from one seed, all plain lists, so
//! that a run can be cut down to what it takes to fail.

mod draw;

use std::fmt;

use fastrand::Rng;

/// What the ensembles are like and how the sidecars are set up.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Sessions' timeout, milliseconds.
    pub(super) timeout: u32,
    pub(super) ensembles: usize,
    pub(super) barrier: Barrier,
    /// Whether clients have a session on every ensemble from the start.
    pub(super) warm: bool,
    /// What `elide_barriers` says.
    pub(super) elide: &'static str,
    /// Between a sidecar and the servers elsewhere, milliseconds.
    pub(super) wan: u64,
    /// From a leader to a server, milliseconds, at most.
    pub(super) lag: u64,
    /// How the kinds of clients differ, and whatever is drawn while it runs.
    pub(super) chance: u64,
}

/// What leads the first read after a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    Sync,
    Quorum,
    None,
}

impl Barrier {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Quorum => "quorum",
            Self::None => "none",
        }
    }
}

/// Whether servers may follow a leader that was deposed and does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deposed {
    Never,
    Sometimes,
}

/// What is not left to the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The seed's choice, or this.
    pub(crate) barrier: Option<Barrier>,
    pub(crate) deposed: Deposed,
    pub(crate) operations: usize,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Make,
    Read,
    ReadAndWatch,
    Write,
    /// A multi of a check and a write.
    WriteInMulti,
    /// A multi across ensembles, which has to be refused.
    Across,
    Sync,
    /// Asks whether a node is there, and watches.
    LookAndWatch,
    /// Lists a directory of ephemerals, and watches.
    ListAndWatch,
    /// Creates an ephemeral.
    Own,
    /// Deletes one of its ephemerals.
    Disown,
    /// Looks at one of its ephemerals.
    LookAtOwn,
    /// Looks at an ephemeral of another client.
    LookAtOther,
    /// Lists its ephemerals everywhere.
    ListOwn,
    Authenticate,
    /// Ends its session and begins another.
    Close,
}

/// Something a client does, and when at the earliest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) at: u64,
    pub(super) client: usize,
    pub(super) act: Act,
    pub(super) prefix: usize,
    pub(super) key: u32,
}

/// What breaks. Durations are milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The connections between a sidecar and a server break.
    Cut {
        sidecar: usize,
        ensemble: usize,
        server: usize,
    },
    /// What is sent one way is held for a while; all of a sidecar's to one ensemble.
    Hold {
        sidecar: usize,
        ensemble: usize,
        way: Way,
        lasts: u64,
    },
    ServerDown {
        ensemble: usize,
        server: usize,
        lasts: u64,
    },
    EnsembleDown {
        ensemble: usize,
        lasts: u64,
    },
    /// A server hears nothing of new transactions.
    Lag {
        ensemble: usize,
        server: usize,
        lasts: u64,
    },
    /// A server follows a deposed leader.
    Astray {
        ensemble: usize,
        server: usize,
        lasts: u64,
    },
    /// Each server turns so many ordered requests away.
    Throttle {
        ensemble: usize,
        requests: u32,
    },
    /// A session expires; which of those that are there.
    Expire {
        ensemble: usize,
        which: usize,
    },
    ClientCut {
        client: usize,
    },
    /// A client does nothing for a while, as if it was stopped.
    ClientFreeze {
        client: usize,
        lasts: u64,
    },
    /// A client goes for good, another one comes in its place.
    ClientKill {
        client: usize,
        lasts: u64,
    },
    SidecarKill {
        sidecar: usize,
        lasts: u64,
    },
    SidecarStop {
        sidecar: usize,
    },
}

/// From or to the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    There,
    Back,
    Both,
}

/// All that is to happen in a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) seed: u64,
    pub(super) shape: Shape,
    pub(super) clients: usize,
    pub(super) operations: Vec<Operation>,
    pub(super) faults: Vec<(u64, Fault)>,
    /// The numbers these had in the whole plan, operations first.
    pub(super) numbers: Vec<usize>,
}

/// Servers of each ensemble, and sidecars: one at home at each of the first two.
pub(super) const SERVERS: usize = 3;
pub(super) const SIDECARS: usize = 2;
/// The ensemble of each prefix.
pub(super) const ENSEMBLES: [usize; 4] = [0, 1, 1, 2];
/// Nodes clients write, below each prefix.
const KEYS: u32 = 3;

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64, rules: Rules) -> Self {
        let mut random = Rng::with_seed(seed);
        let barrier = if random.u8(..3) == 0 {
            Barrier::Quorum
        } else {
            Barrier::Sync
        };
        let shape = Shape {
            timeout: 1_000 * random.u32(4..=10),
            ensembles: if random.u8(..4) == 0 { 3 } else { 2 },
            barrier: rules.barrier.unwrap_or(barrier),
            wan: random.u64(5..=120),
            lag: *random.choice(&[5, 50, 400, 1_500]).unwrap_or(&5),
            chance: random.u64(..),
            warm: random.u8(..4) == 0,
            elide: random
                .choice(&["false", "true", "header"])
                .unwrap_or(&"false"),
        };
        let clients = random.usize(2..=6);
        let (operations, clashes, cuts) =
            draw::operations(&mut random, clients, &shape, rules.operations);
        let end = operations.last().map_or(0, |operation| operation.at);
        let faults = draw::faults(&mut random, clients, &shape, rules.deposed, (end, &clashes));
        let faults: Vec<(u64, Fault)> = faults.into_iter().chain(cuts).collect();
        let numbers = (0..operations.len() + faults.len()).collect();
        Self {
            seed,
            shape,
            clients,
            operations,
            faults,
            numbers,
        }
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// What the world of its run is like.
    pub(crate) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many things break.
    pub(crate) const fn faults(&self) -> usize {
        self.faults.len()
    }

    /// The numbers of what there is.
    pub(crate) fn kept(&self) -> Vec<usize> {
        self.numbers.clone()
    }

    /// How much there is to leave out.
    pub(super) const fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The same with only what has these numbers in the whole plan.
    pub(crate) fn keeping(&self, numbers: &[usize]) -> Self {
        let kept: Vec<usize> = (0..self.len())
            .filter(|at| {
                let number = self.numbers.get(*at);
                number.is_some_and(|number| numbers.contains(number))
            })
            .collect();
        let of = self.operations.len();
        Self {
            operations: kept
                .iter()
                .filter_map(|at| self.operations.get(*at).copied())
                .collect(),
            faults: kept
                .iter()
                .filter_map(|at| self.faults.get(at.checked_sub(of)?).copied())
                .collect(),
            numbers: kept
                .iter()
                .filter_map(|at| self.numbers.get(*at).copied())
                .collect(),
            ..self.clone()
        }
    }

    /// What paths begin with, by their place.
    pub(super) fn prefixes(&self) -> Vec<&'static str> {
        prefixes(&self.shape)
    }

    /// Each thing that happens, a line each.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let prefixes = self.prefixes();
        let operations = self.operations.iter().map(|operation| {
            let Operation {
                at,
                client,
                act,
                prefix,
                key,
            } = operation;
            let prefix = prefixes.get(*prefix).unwrap_or(&"?");
            (*at, format!("client {client}: {act:?} {prefix} {key}"))
        });
        let faults = self
            .faults
            .iter()
            .map(|(at, fault)| (*at, format!("{fault:?}")));
        let mut all: Vec<(u64, usize, String)> = operations
            .chain(faults)
            .zip(&self.numbers)
            .map(|((at, words), number)| (at, *number, words))
            .collect();
        all.sort();
        all.into_iter()
            .map(|(at, number, words)| format!("{at:>8} ms  #{number:<4} {words}"))
            .collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{} ensembles, barrier {}, elided {}, timeout {} ms, WAN {} ms, lag up to {} ms",
            self.ensembles,
            if self.warm { " warm" } else { "" },
            self.barrier.word(),
            self.elide,
            self.timeout,
            self.wan,
            self.lag
        )
    }
}

/// The prefix of each route: the ensembles', and a mount of the second.
fn prefixes(shape: &Shape) -> Vec<&'static str> {
    if shape.ensembles > 2 {
        vec!["/us", "/eu", "/legacy", "/asia"]
    } else {
        vec!["/us", "/eu", "/legacy"]
    }
}
