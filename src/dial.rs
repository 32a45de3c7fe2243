//! Reaches an ensemble: which server, how long, and the handshake with it.
//!
//! `prefer` comes first, in the order written; then the other servers, shuffled, so that sessions
//! spread. A server that does not answer the handshake is passed over: it is down, not serving, or
//! behind the zxid its client has seen, and says so by closing (protocol.md 1.4). A server that
//! refuses the session has spoken for its ensemble.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use crate::config::{Config, Ensemble, Server};
use crate::route::EnsembleId;
use crate::wire::WireFault;
use crate::wire::connect::ConnectResponse;
use crate::wire::frames::{PREFIX, frame_size};
use crate::wire::words::Role;

/// Largest handshake answer: stock servers send 37 bytes.
const HANDSHAKE_LIMIT: usize = 1024;

/// Largest answer to `srvr` worth reading.
const SRVR_LIMIT: u64 = 64 * 1024;

/// A connection on which a server has answered the handshake.
#[derive(Debug)]
pub struct Attached {
    /// Nothing behind the answer has been read from it.
    pub stream: TcpStream,
    /// The server's address.
    pub peer: SocketAddr,
    /// What it said.
    pub response: ConnectResponse,
    /// The frame it said it in.
    pub frame: Vec<u8>,
}

/// Why a server was passed over.
#[derive(Debug, Error)]
pub enum Refusal {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] BoxError),
    /// It closed instead of answering, or the connection broke.
    #[error("no answer to the handshake (not serving, or behind what the session has seen): {0}")]
    Handshake(#[from] io::Error),
    /// It took too long to answer.
    #[error("no answer to the handshake within {0:?}")]
    Slow(Duration),
    /// Its answer cannot be read.
    #[error("malformed answer to the handshake: {0}")]
    Malformed(#[from] WireFault),
}

/// No server of an ensemble took the handshake.
#[derive(Debug, Error)]
#[error("no server of {ensemble} can be reached: {}", list(.tried))]
pub struct Unreachable {
    /// The ensemble's name.
    pub ensemble: String,
    /// Each server with what was wrong.
    pub tried: Vec<(Server, Refusal)>,
}

fn list(tried: &[(Server, Refusal)]) -> String {
    let each: Vec<String> = tried
        .iter()
        .map(|(server, refusal)| format!("{server}: {refusal}"))
        .collect();
    each.join("; ")
}

/// Reaches the ensembles of a configuration.
#[derive(Clone, Debug)]
pub struct Dialer {
    config: Arc<Config>,
}

impl Dialer {
    /// Dials by this configuration.
    #[must_use]
    pub const fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    /// Hands `handshake`, a frame, to the first server that answers it.
    ///
    /// # Errors
    /// [`Unreachable`] when none does.
    pub async fn attach(
        &self,
        ensemble: EnsembleId,
        handshake: &[u8],
    ) -> Result<Attached, Unreachable> {
        let ensemble = self.config.ensemble(ensemble);
        let mut tried = Vec::new();
        for server in in_order(ensemble) {
            match self.shake(&server, handshake).await {
                Ok(attached) => return Ok(attached),
                Err(refusal) => {
                    tracing::debug!(ensemble = %ensemble.name, %server, %refusal, "server passed over");
                    tried.push((server, refusal));
                }
            }
        }
        Err(Unreachable {
            ensemble: ensemble.name.clone(),
            tried,
        })
    }

    /// A connection to the first server of an ensemble that accepts one.
    ///
    /// # Errors
    /// [`Unreachable`] when none does.
    pub async fn connect(&self, ensemble: EnsembleId) -> Result<TcpStream, Unreachable> {
        let ensemble = self.config.ensemble(ensemble);
        let mut tried = Vec::new();
        for server in in_order(ensemble) {
            match self.reach(&server).await {
                Ok(stream) => return Ok(stream),
                Err(refusal) => tried.push((server, refusal)),
            }
        }
        Err(Unreachable {
            ensemble: ensemble.name.clone(),
            tried,
        })
    }

    /// Asks the server at `peer` what it is; `None` when it does not say.
    pub async fn role(&self, peer: SocketAddr) -> Option<Role> {
        let ask = async {
            let mut stream = TcpStream::connect(peer).await?;
            stream.write_all(b"srvr").await?;
            let mut answer = Vec::new();
            stream.take(SRVR_LIMIT).read_to_end(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answer = timeout(self.config.connect_timeout, ask).await.ok()?.ok()?;
        Role::of_srvr(&answer)
    }

    async fn reach(&self, server: &Server) -> Result<TcpStream, Refusal> {
        let connect = ServiceBuilder::new()
            .timeout(self.config.connect_timeout)
            .service(service_fn(|server: Server| async move {
                let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
                stream.set_nodelay(true)?;
                io::Result::Ok(stream)
            }));
        connect
            .oneshot(server.clone())
            .await
            .map_err(Refusal::Connect)
    }

    async fn shake(&self, server: &Server, handshake: &[u8]) -> Result<Attached, Refusal> {
        let mut stream = self.reach(server).await?;
        let bound = self.config.connect_timeout;
        let exchange = async {
            stream.write_all(handshake).await?;
            read_frame(&mut stream, HANDSHAKE_LIMIT).await
        };
        let frame = timeout(bound, exchange)
            .await
            .map_err(|_| Refusal::Slow(bound))??;
        let response = ConnectResponse::parse(frame.get(PREFIX..).unwrap_or_default())?;
        let peer = stream.peer_addr()?;
        Ok(Attached {
            stream,
            peer,
            response,
            frame,
        })
    }
}

/// Reads one whole frame, its length included, and nothing behind it.
///
/// # Errors
/// What reading fails with; a length above `limit` is [`io::ErrorKind::InvalidData`].
pub(crate) async fn read_frame(stream: &mut TcpStream, limit: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; PREFIX];
    stream.read_exact(&mut frame).await?;
    read_rest(stream, frame, limit).await
}

/// Reads the rest of a frame whose length is already there.
///
/// # Errors
/// As [`read_frame`].
pub(crate) async fn read_rest(
    stream: &mut TcpStream,
    mut frame: Vec<u8>,
    limit: usize,
) -> io::Result<Vec<u8>> {
    let size = frame_size(&frame, limit)
        .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
    frame.resize(size.unwrap_or(PREFIX), 0);
    stream
        .read_exact(frame.get_mut(PREFIX..).unwrap_or_default())
        .await?;
    Ok(frame)
}

fn in_order(ensemble: &Ensemble) -> impl Iterator<Item = Server> {
    let mut others: Vec<&Server> = ensemble
        .servers
        .iter()
        .filter(|server| !ensemble.prefer.contains(server))
        .collect();
    fastrand::shuffle(&mut others);
    let order: Vec<Server> = ensemble.prefer.iter().chain(others).cloned().collect();
    order.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::BarrierKind;

    fn server(port: u16) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port,
        }
    }

    #[test]
    fn preferred_servers_come_first_and_only_once() {
        let ensemble = Ensemble {
            name: "eu".to_owned(),
            servers: (1..=9).map(server).collect(),
            prefer: vec![server(20), server(3)],
            barrier: BarrierKind::Sync,
        };
        let mut firsts = Vec::new();
        for _ in 0..64 {
            let order: Vec<u16> = in_order(&ensemble).map(|server| server.port).collect();
            assert_eq!(order[..2], [20, 3]);
            let mut rest = order[2..].to_vec();
            firsts.push(rest[0]);
            rest.sort_unstable();
            assert_eq!(rest, [1, 2, 4, 5, 6, 7, 8, 9]);
        }
        firsts.dedup();
        assert!(firsts.len() > 1, "the others are shuffled");
    }
}
