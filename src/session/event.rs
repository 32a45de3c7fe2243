//! What happened in a session, as data: the core reports, the shell logs and counts.

use super::Origin;
use super::switch::Barrier;
use crate::route::EnsembleId;
use crate::wire::opcode::OpCode;
use crate::wire::{SessionId, WireFault, Xid};

/// Something an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The client's requests go to another ensemble now.
    Switched {
        /// The ensemble left.
        from: EnsembleId,
        /// The ensemble touched now.
        to: EnsembleId,
        /// How long the request waited for what was outstanding on the ensemble left, microseconds.
        drain: u64,
    },
    /// A barrier was put in front of a read.
    BarrierPlaced {
        /// Where.
        ensemble: EnsembleId,
        /// Which.
        barrier: Barrier,
    },
    /// A read after a switch went out without a barrier, as the client had learned nothing.
    BarrierElided {
        /// Where.
        ensemble: EnsembleId,
    },
    /// A barrier was answered in a way that shows that it was not ordered.
    BarrierFailed {
        /// Where.
        ensemble: EnsembleId,
        /// The error of its reply.
        err: i32,
    },
    /// A read was answered CONNECTIONLOSS because its lead had not happened.
    ReadWithheld {
        /// Where.
        ensemble: EnsembleId,
    },
    /// A request, or a part of one, was answered CONNECTIONLOSS: its outcome is not known, or its
    /// ensemble was out of reach.
    Failed {
        /// Where.
        ensemble: EnsembleId,
        /// The operation.
        op: OpCode,
        /// The client's number for it.
        xid: Xid,
    },
    /// A leg's session is there.
    LegUp {
        /// Where.
        ensemble: EnsembleId,
        /// The leg's own session.
        session: SessionId,
        /// The timeout its ensemble granted, milliseconds.
        timeout: u32,
        /// Whether it is an earlier session that was attached again.
        origin: Origin,
    },
    /// A leg's connection is gone.
    LegLost {
        /// Where.
        ensemble: EnsembleId,
        /// Why.
        reason: Loss,
    },
    /// A leg could not be opened.
    LegUnreachable {
        /// Where.
        ensemble: EnsembleId,
    },
    /// The session of a leg has expired.
    LegExpired {
        /// Where.
        ensemble: EnsembleId,
        /// Whether it may have owned ephemerals.
        owned: bool,
    },
    /// A leg that held nothing was ended after a while without use.
    LegRetired {
        /// Where.
        ensemble: EnsembleId,
    },
    /// Watches are armed again on a new connection.
    Rearmed {
        /// Where.
        ensemble: EnsembleId,
        /// In how many setWatches.
        frames: usize,
        /// Bytes of watches and ephemerals remembered for the leg.
        ledger: usize,
    },
    /// More watches were armed on a leg than are remembered: from now on the loss of its connection
    /// is the client's.
    LedgerFull {
        /// Where.
        ensemble: EnsembleId,
        /// Bytes that are remembered at most.
        bound: usize,
    },
    /// A remote ensemble refused the client's credentials; the leg goes on without them.
    AuthRefused {
        /// Where.
        ensemble: EnsembleId,
        /// The error of the reply.
        err: i32,
    },
    /// An ensemble refused credentials of the sidecar's own; the session goes on without them, at
    /// home on a connection to come.
    IdentityRefused {
        /// Where.
        ensemble: EnsembleId,
        /// The error of the reply.
        err: i32,
    },
    /// A path this client has used goes elsewhere now: its connection ends.
    Moved,
    /// A request was answered by zoonet itself.
    Refused {
        /// The operation.
        op: OpCode,
        /// The client's number for it.
        xid: Xid,
        /// The error it was answered with.
        err: i32,
    },
}

/// Why a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The server, or something on the way, closed it.
    Closed,
    /// A request or a ping on it was not answered in time.
    TimedOut,
    /// Its server sent what the protocol does not allow.
    Broken(LegFault),
}

/// A server sent what the protocol does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LegFault {
    /// Bytes that cannot be read.
    #[error("malformed reply: {0}")]
    Wire(#[from] WireFault),
    /// More replies than may wait for others, as those of a server that answers in order do not.
    #[error("more than {limit} bytes of replies that wait for those before them")]
    OutOfOrder {
        /// Bytes that may wait.
        limit: usize,
    },
    /// A reply nothing was asked for.
    #[error("reply to xid {0}, which is not outstanding")]
    Unasked(Xid),
}

/// The client sent what cannot be answered; its connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClientFault {
    /// Bytes that cannot be read.
    #[error("malformed request: {0}")]
    Wire(#[from] WireFault),
    /// A request under the number of watch events.
    #[error("operation {op:?} carries xid -1, which is reserved for watch events")]
    ReservedXid {
        /// The operation.
        op: OpCode,
    },
    /// More credentials than a connection may add.
    #[error("more than {limit} bytes of auth packets on one connection")]
    TooManyAuths {
        /// The largest sum allowed.
        limit: usize,
    },
}
