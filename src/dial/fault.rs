//! Why an ensemble could not be reached.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tower::BoxError;

use crate::config::Server;
use crate::state::StateError;
use crate::tls::TlsFault;
use crate::wire::connect::ConnectRequest;
use crate::wire::frames::PREFIX;
use crate::wire::{WireFault, Zxid};

/// Why a server was passed over.
#[derive(Debug, Error)]
pub enum Refusal {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] BoxError),
    /// There is no TLS with it.
    #[error("TLS: {0}")]
    Tls(#[source] TlsFault),
    /// It closed during the handshake of TLS.
    #[error("TLS: it closed the connection (a port without TLS?)")]
    NoTls,
    /// It closed instead of answering, or the connection broke.
    #[error("no answer to the handshake (not serving, or behind what the session has seen): {0}")]
    Handshake(#[source] io::Error),
    /// It took too long to answer.
    #[error("no answer to the handshake within {0:?}")]
    Slow(Duration),
    /// Its answer cannot be read.
    #[error("malformed answer to the handshake: {0}")]
    Malformed(#[from] WireFault),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match TlsFault::of(&error) {
            Some(fault) => Self::Tls(fault),
            None => Self::Handshake(error),
        }
    }
}

/// No server of an ensemble took the handshake.
#[derive(Debug, Error)]
#[error("no server of {ensemble} can be reached: {}", list(.tried))]
pub struct Unreachable {
    /// The ensemble's name.
    pub ensemble: String,
    /// Each server with what was wrong; empty where none was tried, because none answered a moment
    /// ago.
    pub tried: Vec<(Server, Refusal)>,
}

fn list(tried: &[(Server, Refusal)]) -> String {
    if tried.is_empty() {
        return "none answered a moment ago, so none was tried".to_owned();
    }
    let each: Vec<String> = tried
        .iter()
        .map(|(server, refusal)| format!("{server}: {refusal}"))
        .collect();
    each.join("; ")
}

/// A leg could not be opened.
#[derive(Debug, Error)]
pub enum LegError {
    /// Its ensemble is out of reach.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Its session could not be written down, so that it must not be used: after a restart nobody
    /// would know of it.
    #[error("leg to {ensemble} is not used: {cause}")]
    Unrecorded {
        /// The ensemble's name.
        ensemble: String,
        /// Why.
        cause: StateError,
    },
}

/// Why there is no stream to a server.
pub(super) fn not_reached(error: BoxError) -> Refusal {
    let cause = error.downcast_ref::<io::Error>();
    if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof) {
        return Refusal::NoTls;
    }
    match cause.and_then(TlsFault::of) {
        Some(fault) => Refusal::Tls(fault),
        None => Refusal::Connect(error),
    }
}

/// Whether a failure is the ensemble's and not just this session's. A server closes over a
/// handshake also where the session has seen more than it has itself, which is nobody else's
/// concern.
pub(super) fn says_it_is_down(handshake: &[u8], unreachable: &Unreachable) -> bool {
    let request = ConnectRequest::parse(handshake.get(PREFIX..).unwrap_or_default());
    let fresh = request.is_ok_and(|request| request.last_zxid_seen == Zxid::NONE);
    let closed = |refusal: &Refusal| matches!(refusal, Refusal::Handshake(_));
    fresh || !unreachable.tried.iter().any(|(_, refusal)| closed(refusal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SessionId;

    fn server() -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port: 1,
        }
    }

    #[test]
    fn what_a_session_has_seen_is_no_verdict_on_the_ensemble() {
        let handshake = |seen| {
            let request = ConnectRequest {
                last_zxid_seen: Zxid(seen),
                timeout: 4_000,
                session: SessionId::NONE,
                password: vec![0; 16],
                read_only: Some(false),
            };
            request.frame()
        };
        let closed = || Refusal::Handshake(io::ErrorKind::UnexpectedEof.into());
        let slow = || Refusal::Slow(Duration::from_secs(2));
        let tried = |refusals: Vec<Refusal>| Unreachable {
            ensemble: "eu".to_owned(),
            tried: refusals
                .into_iter()
                .map(|refusal| (server(), refusal))
                .collect(),
        };
        assert!(says_it_is_down(&handshake(0), &tried(vec![closed()])));
        assert!(says_it_is_down(&handshake(5), &tried(vec![slow(), slow()])));
        assert!(!says_it_is_down(
            &handshake(5),
            &tried(vec![slow(), closed()])
        ));
    }
}
