//! TLS, to servers and from clients.
//!
//! # Decisions
//!
//! * rustls with ring: TLS 1.2 and 1.3, and nothing that could be set wrong below that.
//! * The authorities of an ensemble have to be named. It has its own in almost every case; trusting
//!   those of the system by default would let any public authority vouch for a server that holds
//!   all locks. Who does use a public one names the system's bundle.
//! * There is no way to skip a check. A certificate that does not carry the host's name is what
//!   `server_name` is for.
//! * Sessions are resumed, from memory, and within one set of certificates only: what was granted
//!   under the last one has to be shown again under the next.
//! * An end without `close_notify` is an end. Frames carry their length, so that nothing can be cut
//!   off unnoticed, and enough peers just close.

mod fault;

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

pub use fault::TlsFault;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::Server;
use crate::net::Stream;

/// A certificate, those between it and its authority, and its key.
pub(crate) struct Certified {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Speaks TLS to the servers of an ensemble.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// Trusts servers that `authorities` vouch for, under this name or that of their host.
    ///
    /// # Errors
    /// If the identity is none.
    pub(crate) fn new(
        authorities: RootCertStore,
        identity: Option<Certified>,
        server_name: Option<ServerName<'static>>,
    ) -> Result<Self, Error> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities);
        let config = match identity {
            Some(Certified { chain, key }) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
            server_name,
        })
    }

    /// Shakes hands over a stream to `server`.
    ///
    /// # Errors
    /// If that fails; [`TlsFault::of`] tells why.
    pub(crate) async fn connect(&self, stream: Stream, server: &Server) -> io::Result<Stream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(server.host.clone()).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    Error::General(format!(
                        "no certificate can have the name {}; set `server_name`",
                        server.host
                    )),
                )
            })?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

/// Speaks TLS with clients.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// Shows `identity`; with `authorities`, takes only clients that they vouch for.
    ///
    /// # Errors
    /// If the identity is none, or there are no authorities.
    pub(crate) fn new(
        identity: Certified,
        authorities: Option<RootCertStore>,
    ) -> Result<Self, Error> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(authorities.into(), provider());
                let none = |error: VerifierBuilderError| Error::General(error.to_string());
                builder.with_client_cert_verifier(verifier.build().map_err(none)?)
            }
        };
        let config = builder.with_single_cert(identity.chain, identity.key)?;
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// If that fails; [`TlsFault::of`] tells why.
    pub(crate) async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0));
        let stream = acceptor.accept(stream).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

// What they are made of prints keys' names and whatever rustls thinks fit.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

#[cfg(test)]
pub(crate) mod tests;
