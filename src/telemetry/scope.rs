//! Whom a log line is about. Lines are written in one of these spans, or in none if they are about
//! the sidecar itself; the names of fields are those of `config/README.md`.
//!
//! They are given to a line as its parent, `info!(parent: &session, …)`, which opens them only if it
//! is written.

use std::net::SocketAddr;

use tracing::{Span, error_span, field};

use crate::config::Server;
use crate::wire::opcode::OpCode;
use crate::wire::{SessionId, Xid};

/// The target of all of them, which every filter lets through: a line that comes out has them.
pub(crate) const TARGET: &str = "zoonet::scope";

/// A connection that is no session yet.
pub(crate) fn client(peer: Option<SocketAddr>) -> Span {
    error_span!(target: TARGET, "client", peer = peer.map(field::display))
}

/// A client session.
pub(crate) fn session(id: SessionId, peer: Option<SocketAddr>) -> Span {
    error_span!(target: TARGET, "session", session = %id, peer = peer.map(field::display))
}

/// What a client or a session has to do with an ensemble, and with one of its servers.
pub(crate) fn leg(of: &Span, ensemble: &str, server: Option<&Server>) -> Span {
    error_span!(target: TARGET, parent: of, "leg", ensemble, server = server.map(field::display))
}

/// A request of a session, on a leg if it is known on which.
pub(crate) fn request(of: &Span, op: OpCode, xid: Xid) -> Span {
    let op = op.shape().name;
    error_span!(target: TARGET, parent: of, "request", op, xid = xid.number())
}
