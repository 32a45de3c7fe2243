//! The words of ZooKeeper's wire protocol: identifiers, frames, records, the table of operations.
//!
//! Nothing here decodes a request into an owned structure: a frame is looked at in place
//! ([`request`], [`reply`]) and the bytes that came are the bytes that go on. Only what zoonet
//! has to author or rewrite is written, through [`jute::Writer`].
//!
//! All integers are big-endian; a `ustring` or `buffer` is an `i32` length and that many bytes,
//! where the length −1 is null. Sources are ZooKeeper's `zookeeper.jute` and the behaviour of the
//! stock servers.

use std::fmt;

pub mod connect;
pub mod frames;
pub mod jute;
pub mod multi;
pub mod opcode;
pub mod reply;
pub mod request;
pub mod words;

use thiserror::Error;

/// The number a client gives a request and the server repeats in its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(pub(crate) i32);

impl Xid {
    /// Servers send watch events under this number. A request may not use it: its reply could not
    /// be told from an event.
    pub const NOTIFICATION: Self = Self(-1);
    /// All clients send pings under this number, and servers answer every ping with it, whatever
    /// number the request carried (`FinalRequestProcessor`).
    pub const PING: Self = Self(-2);
    /// The Java, C and Python clients send `auth` under this number.
    pub const AUTH: Self = Self(-4);

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The number so many behind this one. Clients count up.
    #[inline]
    #[must_use]
    pub(crate) const fn plus(self, requests: u32) -> Self {
        Self(self.0.wrapping_add_unsigned(requests))
    }
}

impl From<i32> for Xid {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A transaction number of one ensemble. Numbers of different ensembles do not compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub(crate) i64);

impl Zxid {
    /// "Nothing seen yet"; every client ignores it in a reply header.
    pub const NONE: Self = Self(0);

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The reign it was given in: one more with every leader.
    #[must_use]
    pub const fn epoch(self) -> i64 {
        self.0 >> 32
    }

    /// Its place within that reign.
    #[must_use]
    pub const fn counter(self) -> i64 {
        self.0 & 0xffff_ffff
    }
}

impl From<i64> for Zxid {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The identifier of a session of one ensemble. Two ensembles may issue the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) i64);

impl SessionId {
    /// "No session": asks for a new one in a request, refuses in a response, and stands for "not
    /// ephemeral" in a Stat.
    pub const NONE: Self = Self(0);

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl From<i64> for SessionId {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

impl fmt::Display for SessionId {
    /// In hexadecimal, as ZooKeeper's own logs write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The error codes of ZooKeeper that zoonet itself decides about or sends
/// (`KeeperException.Code`).
pub mod code {
    /// Success.
    pub const OK: i32 = 0;
    /// The operations of a failed multi behind the one that failed.
    pub const RUNTIME_INCONSISTENCY: i32 = -2;
    /// The connection went before the answer came; the outcome is not known.
    pub const CONNECTION_LOSS: i32 = -4;
    /// The request could not be read.
    pub const MARSHALLING_ERROR: i32 = -5;
    /// The server does not know the operation.
    pub const UNIMPLEMENTED: i32 = -6;
    /// An argument is out of place; the code for a multi that spans ensembles.
    pub const BAD_ARGUMENTS: i32 = -8;
    /// No such znode.
    pub const NO_NODE: i32 = -101;
    /// The znode has children.
    pub const NOT_EMPTY: i32 = -111;
    /// A read-only server refused an update; it was not ordered.
    pub const NOT_READ_ONLY: i32 = -119;
    /// No such watch.
    pub const NO_WATCHER: i32 = -121;
    /// The server threw the request away unseen; it was not ordered.
    pub const THROTTLED_OP: i32 = -127;
}

/// Bytes that are not what the protocol says should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum WireFault {
    /// A frame's length is negative or above the limit.
    #[error("frame length {length} is outside 0..={limit}")]
    FrameLength {
        /// The length as it stood on the wire.
        length: i32,
        /// The largest length allowed.
        limit: usize,
    },
    /// The bytes end before the field does.
    #[error("{what} at offset {offset} needs {needed} bytes, {left} are left")]
    Short {
        /// What was being read.
        what: &'static str,
        /// Where it starts in the payload.
        offset: usize,
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A length or count is negative and not −1, which means null.
    #[error("{what} at offset {offset} has the length {length}")]
    NegativeLength {
        /// What was being read.
        what: &'static str,
        /// Where it starts in the payload.
        offset: usize,
        /// The length as it stood on the wire.
        length: i32,
    },
    /// A multi holds an operation that has no place in one.
    #[error("operation {number} at offset {offset} cannot be part of a multi")]
    MultiOperation {
        /// The operation's number.
        number: i32,
        /// Where its header starts in the payload.
        offset: usize,
    },
}
