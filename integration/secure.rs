//! TLS on both sides, Unix sockets, and who the sidecar is to its ensembles: against stock servers
//! that ask for certificates.

mod clients;
mod credentials;
mod rotation;
mod sasl;
mod servers;
mod silence;
mod socket;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::testbed::authority::{Authority, Certified, End};
use crate::testbed::sidecar::{Setup, Sidecar};
use crate::testbed::zookeeper::{Ensemble, Plan, Server};

/// Long enough for the first handshake of a Java that has just started on a busy machine.
const SESSION: u32 = 30_000;

/// Two standalone ensembles that have a port for TLS each, and the certificate that they trust.
struct Secure {
    authority: Authority,
    us: Ensemble,
    eu: Ensemble,
    sidecar: Certified,
}

/// The ensembles that the tests here share.
fn shared() -> &'static Secure {
    static SHARED: LazyLock<Secure> = LazyLock::new(|| {
        let authority = Authority::new("authority");
        let launch = |name| Plan::new(name).tls(&authority.stores(name)).launch();
        let (us, eu) = (launch("us"), launch("eu"));
        us.await_ready();
        eu.await_ready();
        Secure {
            sidecar: authority.certify("sidecar", &["sidecar.example"], End::Far),
            authority,
            us,
            eu,
        }
    });
    &SHARED
}

impl Secure {
    /// The line that lets a sidecar speak with either ensemble.
    fn tls(&self) -> String {
        tls(self.authority.ca(), Some(&self.sidecar), "")
    }

    /// Both ensembles over TLS.
    fn setup(&self) -> Setup {
        let mut setup = Setup::new("us")
            .key("connect_timeout: 6s")
            .route("/", "us")
            .route("/eu", "eu");
        for ensemble in [&self.us, &self.eu] {
            setup = over_tls(setup, ensemble, &self.tls());
        }
        setup
    }
}

/// Adds an ensemble by the ports of its voters that speak TLS.
fn over_tls(setup: Setup, ensemble: &Ensemble, tls: &str) -> Setup {
    let servers: Vec<_> = ensemble
        .voters()
        .iter()
        .map(Server::secure_address)
        .collect();
    setup
        .servers(ensemble.name(), &servers)
        .ensemble_key(ensemble.name(), tls)
}

/// TLS to an ensemble, as a line of YAML.
fn tls(ca: &Path, identity: Option<&Certified>, more: &str) -> String {
    let mut line = format!("tls: {{ ca: {}", ca.display());
    if let Some(Certified {
        certificate, key, ..
    }) = identity
    {
        let (certificate, key) = (certificate.display(), key.display());
        write!(line, ", certificate: {certificate}, key: {key}").unwrap();
    }
    format!("{line}{more} }}")
}

/// Waits for a line of the log that has all of these words, and counts them.
fn logs(sidecar: &Sidecar, words: &[&str]) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let count = logged(sidecar, words);
        if count > 0 {
            return count;
        }
        assert!(
            Instant::now() < deadline,
            "no line with {words:?}:\n{}",
            sidecar.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// How many lines of the log have all of these words.
fn logged(sidecar: &Sidecar, words: &[&str]) -> usize {
    let log = sidecar.log();
    let lines = log.lines();
    lines
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .count()
}

/// Replaces a file at once, permissions included.
fn replace(old: &Path, new: &Path) {
    let beside = old.with_extension("new");
    fs::copy(new, &beside).unwrap();
    fs::rename(beside, old).unwrap();
}
