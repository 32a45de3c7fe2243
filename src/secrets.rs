//! What the files that a configuration names hold: certificates, keys, credentials.
//!
//! The configuration says *where* they are and may be shown to anybody; what they *are* is here
//! only. They are read as a whole, at the start and whenever one of them changes, and what is in use
//! is replaced as a whole or not at all.
//!
//! # Decisions
//!
//! * Keys and credentials must be readable by their owner only, or, where root owns them, by its
//!   group as well: PostgreSQL's rule, which fits secrets that a cluster manager mounts for a group.
//! * When a certificate expires is read by a few lines of our own: x509-parser would bring a dozen
//!   crates for one date in a file the operator wrote.
//! * An expired certificate keeps nothing from starting: other ensembles can be used without it.
//!   It is not taken over while running, where a better one is in use.

mod file;
mod moment;

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio_rustls::rustls::RootCertStore;

pub use file::FileFault;
pub use moment::Moment;

use crate::config::{Config, Ensemble, KeyPair};
use crate::route::EnsembleId;
use crate::session::Identity;
use crate::tls::{self, Acceptor, Connector};

/// How many days before a certificate ends it is time to say so.
const NOTICE: u64 = 30;

/// All that is secret about one sidecar, or vouches for it.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// For clients over TCP, where they have to speak TLS.
    clients: Option<Acceptor>,
    /// By [`EnsembleId::index`].
    ensembles: Vec<ForEnsemble>,
    certificates: Vec<Certificate>,
}

#[derive(Clone, Debug, Default)]
struct ForEnsemble {
    connector: Option<Connector>,
    identities: Vec<Identity>,
}

/// A certificate of this sidecar's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The key of the configuration that names it.
    pub key: String,
    /// Where it is.
    pub file: PathBuf,
    /// Until when it is good, if that can be read.
    pub expires: Option<Moment>,
}

/// How far a certificate is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It cannot be read.
    Unknown,
    /// It is over since then.
    Past(Moment),
    /// It ends then, in so many days: a new one is due.
    Soon(Moment, u64),
    /// It ends then, in so many days.
    Far(Moment, u64),
}

impl Certificate {
    /// How far its end is.
    #[must_use]
    pub fn expiry(&self, now: Moment) -> Expiry {
        let Some(end) = self.expires else {
            return Expiry::Unknown;
        };
        match end.days_after(now) {
            None => Expiry::Past(end),
            Some(days @ ..NOTICE) => Expiry::Soon(end, days),
            Some(days) => Expiry::Far(end, days),
        }
    }
}

/// Files that cannot be used.
#[derive(Debug, Error)]
#[error("{}", Lines(.0))]
pub struct SecretsError(
    /// Never empty.
    pub Vec<Mistake>,
);

/// One file that cannot be used.
#[derive(Debug, Error)]
#[error("{key}: {}: {fault}", file.display())]
pub struct Mistake {
    /// The key of the configuration that names it.
    pub key: String,
    /// Where it is.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: FileFault,
}

impl Secrets {
    /// Reads all files that `config` names.
    ///
    /// # Errors
    /// With each file that cannot be used.
    pub fn load(config: &Config) -> Result<Self, SecretsError> {
        let mut reader = Reader::default();
        let clients = reader.clients(config);
        let ensembles = config
            .ensembles
            .iter()
            .map(|ensemble| ForEnsemble {
                connector: reader.connector(ensemble),
                identities: reader.identities(ensemble),
            })
            .collect();
        if reader.mistakes.is_empty() {
            return Ok(Self {
                clients,
                ensembles,
                certificates: reader.certificates,
            });
        }
        Err(SecretsError(reader.mistakes))
    }

    /// The files that [`Self::load`] reads.
    #[must_use]
    pub fn files(config: &Config) -> Vec<&Path> {
        let clients = config.client_tls.iter().flat_map(|tls| {
            let KeyPair { certificate, key } = &tls.identity;
            [Some(certificate), Some(key), tls.client_ca.as_ref()]
        });
        let ensembles = config.ensembles.iter().flat_map(|ensemble| {
            let tls = ensemble.tls.as_ref();
            let identity = tls.and_then(|tls| tls.identity.as_ref());
            [
                tls.map(|tls| &tls.ca),
                identity.map(|pair| &pair.certificate),
                identity.map(|pair| &pair.key),
                ensemble.credentials.as_ref(),
            ]
        });
        let files = clients.chain(ensembles).flatten();
        files.map(PathBuf::as_path).collect()
    }

    /// The certificates this sidecar shows to others.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// What the sidecar is to each ensemble, by [`EnsembleId::index`].
    pub(crate) fn identities(&self) -> Vec<Vec<Identity>> {
        let identities = |ensemble: &ForEnsemble| ensemble.identities.clone();
        self.ensembles.iter().map(identities).collect()
    }

    /// What the sidecar is to an ensemble.
    pub(crate) fn identities_of(&self, ensemble: EnsembleId) -> &[Identity] {
        let ensemble = self.ensembles.get(ensemble.index());
        ensemble.map_or(&[], |ensemble| &ensemble.identities)
    }

    /// How an ensemble's servers are spoken to, if it is in TLS.
    pub(crate) fn connector(&self, ensemble: EnsembleId) -> Option<&Connector> {
        self.ensembles.get(ensemble.index())?.connector.as_ref()
    }

    /// How clients over TCP are spoken to, if it is in TLS.
    pub(crate) fn acceptor(&self) -> Option<&Acceptor> {
        self.clients.as_ref()
    }
}

/// Reads on after a mistake, so that all are reported together.
#[derive(Default)]
struct Reader {
    certificates: Vec<Certificate>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn clients(&mut self, config: &Config) -> Option<Acceptor> {
        let tls = config.client_tls.as_ref()?;
        let identity = self.identity("client_tls", &tls.identity);
        let authorities = match &tls.client_ca {
            None => None,
            Some(ca) => Some(self.take("client_tls.client_ca", ca, file::authorities)?),
        };
        let made = Acceptor::new(identity?, authorities);
        let certificate = &tls.identity.certificate;
        self.take("client_tls.certificate", certificate, |_| {
            made.map_err(FileFault::from)
        })
    }

    fn connector(&mut self, ensemble: &Ensemble) -> Option<Connector> {
        let tls = ensemble.tls.as_ref()?;
        let key = format!("ensembles.{}.tls", ensemble.name);
        let authorities: Option<RootCertStore> =
            self.take(&format!("{key}.ca"), &tls.ca, file::authorities);
        let identity = match &tls.identity {
            None => None,
            Some(pair) => Some(self.identity(&key, pair)?),
        };
        let made = Connector::new(authorities?, identity, tls.server_name.clone());
        let (key, file) = match &tls.identity {
            Some(pair) => (format!("{key}.certificate"), &pair.certificate),
            None => (format!("{key}.ca"), &tls.ca),
        };
        self.take(&key, file, |_| made.map_err(FileFault::from))
    }

    fn identity(&mut self, key: &str, pair: &KeyPair) -> Option<tls::Certified> {
        let name = format!("{key}.certificate");
        let chain = self.take(&name, &pair.certificate, file::certificates);
        if let Some(first) = chain.as_ref().and_then(|chain| chain.first()) {
            self.certificates.push(Certificate {
                key: name,
                file: pair.certificate.clone(),
                expires: moment::not_after(first),
            });
        }
        let key = self.take(&format!("{key}.key"), &pair.key, file::private_key);
        Some(tls::Certified {
            chain: chain?,
            key: key?,
        })
    }

    fn identities(&mut self, ensemble: &Ensemble) -> Vec<Identity> {
        let Some(file) = &ensemble.credentials else {
            return Vec::new();
        };
        let key = format!("ensembles.{}.credentials", ensemble.name);
        self.take(&key, file, file::credentials).unwrap_or_default()
    }

    fn take<T>(
        &mut self,
        key: &str,
        file: &Path,
        read: impl FnOnce(&Path) -> Result<T, FileFault>,
    ) -> Option<T> {
        match read(file) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.mistakes.push(Mistake {
                    key: key.to_owned(),
                    file: file.to_owned(),
                    fault,
                });
                None
            }
        }
    }
}

/// One per line.
struct Lines<'a>(&'a [Mistake]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for mistake in self.0 {
            write!(f, "{separator}{mistake}")?;
            separator = "\n";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
