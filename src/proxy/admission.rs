//! Who is let in: how many connections there may be, of all clients together and of one.
//!
//! # Decisions
//!
//! * One too many is accepted and closed at once, as ZooKeeper does: a client that hears so tries
//!   again, one that waits to be accepted does not even know.
//! * A connection counts from when it is accepted, so those that never say a word count too.
//! * One client is one address; of IPv6 one /64, as a host has all of that. Over loopback all
//!   applications share an address, and a Unix socket of mode 0600 has one user: there a bound would
//!   set one application against the other, so only the bound of all holds.
//! * Each connection needs two descriptors at least. Where the process may not have so many, fewer
//!   are let in, so that it does not run out of them: that would strike those who are connected.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::workers;
use crate::config::Config;
use crate::net::Stream;
use crate::telemetry::{CountedConnection, Outcome, Telemetry};

/// Descriptors for all else: threads, the leg table, listeners, the admin address, questions to
/// servers.
const OTHERS: u64 = workers::DESCRIPTORS + 128;

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many as there may be.
    #[error("{0} connections are open, which is the most there may be (`max_connections`)")]
    All(usize),
    /// Its client has as many as one may have.
    #[error("its client has {0} connections, which is the most (`max_connections_per_client`)")]
    One(usize),
}

impl Full {
    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::All(_) => Outcome::TooMany,
            Self::One(_) => Outcome::TooManyOfOne,
        }
    }
}

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Host(IpAddr),
    User(u32),
}

impl Client {
    /// Whose connection this is, where clients can be told apart.
    fn of(stream: &Stream, config: &Config) -> Option<Self> {
        if let Stream::Unix(stream) = stream {
            let several = config.socket_mode != 0o600;
            return several
                .then(|| stream.peer_cred().ok())
                .flatten()
                .map(|credentials| Self::User(credentials.uid()));
        }
        let address = stream.address()?.ip().to_canonical();
        (!address.is_loopback()).then(|| Self::Host(network(address)))
    }
}

/// What one host has addresses of.
const fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// How many connections are let in: as many as are wanted, unless the process may not open so many
/// descriptors.
pub(super) fn most(config: &Config, descriptors: Option<u64>) -> usize {
    let wanted = config.limits.connections;
    let free = descriptors.map(|most| most.saturating_sub(OTHERS) / 2);
    let possible = free.and_then(|free| usize::try_from(free).ok());
    possible.map_or(wanted, |possible| wanted.min(possible.max(1)))
}

/// Warns where there may be more connections than descriptors for them.
pub(super) fn warn_of_descriptors(config: &Config, descriptors: Option<u64>) {
    let Some(available) = descriptors else { return };
    let each = 1 + config.ensembles.len();
    let needed = config.limits.connections.saturating_mul(each);
    let needed = u64::try_from(needed).unwrap_or(u64::MAX) + OTHERS;
    if needed > available {
        let (wanted, most) = (config.limits.connections, most(config, descriptors));
        tracing::warn!(
            max_connections = wanted,
            most,
            needed,
            available,
            "too few file descriptors for so many connections: raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}

/// The connections there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_client: HashMap<Client, usize>,
}

impl Admission {
    /// Lets a connection in, for as long as what is returned lives.
    pub(super) fn admit(
        &self,
        stream: &Stream,
        config: &Config,
        most: usize,
        telemetry: &Telemetry,
    ) -> Result<Admitted, Full> {
        let client = Client::of(stream, config);
        let mut counts = lock(&self.0);
        if counts.all >= most {
            return Err(Full::All(most));
        }
        if let Some(client) = client {
            let most = config.limits.connections_per_client;
            let has = counts.by_client.entry(client).or_default();
            if *has >= most {
                return Err(Full::One(most));
            }
            *has += 1;
        }
        counts.all += 1;
        Ok(Admitted {
            admission: self.clone(),
            client,
            _counted: telemetry.open_connection(),
        })
    }
}

/// A connection that was let in.
pub(super) struct Admitted {
    admission: Admission,
    client: Option<Client>,
    _counted: CountedConnection,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = lock(&self.admission.0);
        counts.all -= 1;
        if let Some(client) = self.client
            && let Some(has) = counts.by_client.get_mut(&client)
        {
            *has -= 1;
            if *has == 0 {
                counts.by_client.remove(&client);
            }
        }
    }
}

/// Nothing is done under the lock that could panic half way.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A descriptor that is kept for when there is no other: let go, it lets one more client be
/// accepted, to be told by a close that there is no place for it.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Whether there was one to let go.
    pub(super) fn let_go(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Opens one again, if it can be had.
    pub(super) fn take_back(&mut self) {
        if self.0.is_none() {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "home: us\nensembles: {{ us: {{ servers: [a:1] }} }}\nroutes: {{ /: us }}\n{more}"
        );
        Config::parse("test", &text).unwrap()
    }

    fn memory() -> Stream {
        Stream::Memory(duplex(1).0)
    }

    #[test]
    fn no_more_are_let_in_than_there_may_be_and_who_leaves_makes_room() {
        let (admission, config) = (Admission::default(), config(""));
        let telemetry = Telemetry::default();
        let admit = || admission.admit(&memory(), &config, 2, &telemetry);
        let (first, second) = (admit().ok().unwrap(), admit().ok().unwrap());
        assert_eq!(admit().err(), Some(Full::All(2)));
        drop(first);
        let third = admit().ok().unwrap();
        assert_eq!(admit().err(), Some(Full::All(2)));
        drop((second, third));
        assert_eq!(lock(&admission.0).all, 0);
    }

    #[tokio::test]
    async fn users_of_a_socket_for_several_are_counted_apart_and_applications_of_a_host_are_not() {
        let (admission, telemetry) = (Admission::default(), Telemetry::default());
        let pair = UnixStream::pair().unwrap();
        let (near, mut streams) = (Stream::Unix(pair.0), vec![Stream::Unix(pair.1)]);
        for (mode, expected) in [("0600", None), ("0660", Some(Full::One(1)))] {
            let config = config(&format!(
                "socket_mode: '{mode}'\nmax_connections_per_client: 1"
            ));
            let first = admission.admit(&near, &config, 9, &telemetry);
            assert!(first.is_ok());
            let second = admission.admit(&streams[0], &config, 9, &telemetry);
            assert_eq!(second.err(), expected);
        }
        assert!(
            lock(&admission.0).by_client.is_empty(),
            "who has none is not kept"
        );
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        streams.clear();
        for _ in 0..3 {
            let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
            streams.push(Stream::Tcp(near.unwrap()));
            streams.push(Stream::Tcp(far.unwrap().0));
        }
        let config = config("max_connections_per_client: 1");
        let admitted: Vec<_> = streams
            .iter()
            .map(|stream| admission.admit(stream, &config, 9, &telemetry))
            .collect();
        assert!(admitted.iter().all(Result::is_ok));
    }

    #[test]
    fn a_host_is_one_address_or_one_network_of_ipv6() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn no_more_are_let_in_than_there_are_descriptors_for() {
        let config = config("max_connections: 1000");
        for (descriptors, expected) in [
            (None, 1000),
            (Some(100_000), 1000),
            (Some(1024), 416),
            (Some(100), 1),
        ] {
            assert_eq!(most(&config, descriptors), expected);
        }
    }
}
